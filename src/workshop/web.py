"""The one HTTP request that clients of the built API make."""

import functools
import json
import os
import ssl
import urllib.error
import urllib.request
from typing import Any

from workshop.errors import WorkshopError


def post(
    url: str, body: bytes, content_type: str = "application/json", ca_bundle: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Send a body to the API.

    Args:
        url: where orders go.
        body: what is sent, unchanged.
        content_type: the header of that name.
        ca_bundle: a file with the only authorities whose certificates count; None for the system's.

    Returns:
        The HTTP status, and the JSON object that came back (an empty one for anything else).

    Raises:
        WorkshopError: nobody answers at that URL.
    """
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30, context=trust(ca_bundle)) as answer:
            return answer.status, json_object(answer.read())
    except urllib.error.HTTPError as refusal:
        return refusal.code, json_object(refusal.read())
    except OSError as error:
        raise WorkshopError(f"Nobody answers at {url}: {error}.", "Is the network there? Try again.") from None


def trust(ca_bundle: str | None) -> ssl.SSLContext:
    """Whose certificates count: those of a file's authorities, or of the system's."""
    return _context(ca_bundle, os.stat(ca_bundle).st_mtime_ns if ca_bundle else 0)


@functools.lru_cache(maxsize=8)
def _context(ca_bundle: str | None, changed: int) -> ssl.SSLContext:
    """Reading the authorities takes longer than the request does; a new file of the same name is read again."""
    return ssl.create_default_context(cafile=ca_bundle)


def json_object(text: bytes | str) -> dict[str, Any]:
    """The JSON object in a text; an empty one if there is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
