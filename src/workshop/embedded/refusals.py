"""How the gate says no: as AWS would, in the protocol of the service that was asked."""

import json
import re
from collections.abc import Iterator, MutableMapping
from typing import Any
from xml.sax.saxutils import escape  # nosec B406

#: Lambda and API Gateway, which know an operation by its path. What else has no target in its header is S3's.
REST_JSON = re.compile(r"/(\d{4}-\d\d-\d\d|restapis|apikeys|usageplans|account|domainnames|tags|v2)(/|$)|/_")


class Refusal(Exception):
    """A request that doesn't get in.

    Args:
        code: AWS's name of the error.
        message: why, in a sentence.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


def answer(refusal: Refusal, scope: MutableMapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The ASGI messages that refuse a request, in the form that its service's clients can read."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    code, message = refusal.code, refusal.message
    if "x-www-form-urlencoded" in headers.get(b"content-type", "") or b"Action=" in scope["query_string"]:
        kind, body = "text/xml", (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            "<RequestId>0</RequestId></ErrorResponse>"
        )  # fmt: skip
    elif b"x-amz-target" not in headers and not REST_JSON.match(scope["path"]):
        kind, body = "application/xml", f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    else:
        kind, body = "application/json", json.dumps({"__type": code, "message": message})
    yield {
        "type": "http.response.start",
        "status": 403,
        "headers": [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body.encode())).encode()),
            (b"x-amzn-errortype", code.encode()),
            # What is left of the body is not read.
            (b"connection", b"close"),
        ],
    }
    yield {"type": "http.response.body", "body": body.encode()}
