"""The one HTTP request that clients of the built API make."""

import functools
import json
import os
import ssl
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from workshop.base.errors import WorkshopError

#: Seconds that an answer may take; API Gateway itself gives up after 29.
TIMEOUT = 30
#: Connections that are kept open, for as many senders at once.
CONNECTIONS = 200


def post(
    url: str, body: bytes, content_type: str = "application/json", ca_bundle: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Send a body to the API. Connections stay open: thousands of orders need no handshake each.

    Args:
        url: where orders go.
        body: what is sent, unchanged.
        content_type: the header of that name.
        ca_bundle: a file with the only authorities whose certificates count; None for those that boto3 brings along.

    Returns:
        The HTTP status, and the JSON object that came back (an empty one for anything else).

    Raises:
        WorkshopError: nobody answers at that URL.
    """
    place = urlsplit(url)
    connections = _connections(f"{place.scheme}://{place.netloc}", ca_bundle, _changed(ca_bundle), os.getpid())
    request = AWSRequest("POST", url, {"Content-Type": content_type}, body).prepare()
    try:
        answer = connections.send(request)
        return answer.status_code, json_object(answer.content)
    except BotoCoreError as error:
        raise WorkshopError(f"No response from {url}: {error}.", "Check the network and try again.") from None


@functools.lru_cache(maxsize=8)
def _connections(place: str, ca_bundle: str | None, _changed: int, _pid: int) -> URLLib3Session:
    """The connections to one place; proxies as for boto3's own calls.

    A forked process gets its own: two processes that share a connection read each other's answers.
    """
    verify: Any = ca_bundle or True
    return URLLib3Session(
        verify=verify, proxies=get_environ_proxies(place), timeout=TIMEOUT, max_pool_connections=CONNECTIONS
    )


def trust(ca_bundle: str | None) -> ssl.SSLContext:
    """Whose certificates count: those of a file's authorities, or of the system's."""
    return _context(ca_bundle, _changed(ca_bundle))


@functools.lru_cache(maxsize=8)
def _context(ca_bundle: str | None, _changed: int) -> ssl.SSLContext:
    """Reading the authorities takes longer than the request does; a new file of the same name is read again."""
    return ssl.create_default_context(cafile=ca_bundle)


def _changed(ca_bundle: str | None) -> int:
    return os.stat(ca_bundle).st_mtime_ns if ca_bundle else 0


def json_object(text: bytes | str) -> dict[str, Any]:
    """The JSON object in a text; an empty one if there is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
