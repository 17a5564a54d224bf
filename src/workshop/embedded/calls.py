"""Calls of AWS that ministack reads otherwise, said as it understands them, on their way to it."""

import json
from typing import Any


def register(session: Any) -> None:
    """Let the clients of a botocore session speak so."""
    session.register("before-call.api-gateway.UpdateRestApi", _move_api)


def _move_api(params: dict[str, Any], **_: Any) -> None:
    """Change an API's endpoint type; ministack takes `types/EDGE` for a place in an object, and not in a list."""
    body = json.loads(params["body"])
    for operation in body["patchOperations"]:
        if operation["path"].startswith("/endpointConfiguration/types/"):
            operation |= {"path": "/endpointConfiguration/types", "value": [operation["value"]]}
    params["body"] = json.dumps(body).encode()
