"""The one HTTP request that clients of the built API make."""

import json
import urllib.error
import urllib.request
from typing import Any

from workshop.errors import WorkshopError


def post(url: str, body: bytes, content_type: str = "application/json") -> tuple[int, dict[str, Any]]:
    """Send a body to the API.

    Args:
        url: where orders go.
        body: what is sent, unchanged.
        content_type: the header of that name.

    Returns:
        The HTTP status, and the JSON object that came back (an empty one for anything else).

    Raises:
        WorkshopError: nobody answers at that URL.
    """
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json_object(answer.read())
    except urllib.error.HTTPError as refusal:
        return refusal.code, json_object(refusal.read())
    except OSError as error:
        raise WorkshopError(f"Nobody answers at {url}: {error}.", "Is the network there? Try again.") from None


def json_object(text: bytes | str) -> dict[str, Any]:
    """The JSON object in a text; an empty one if there is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
