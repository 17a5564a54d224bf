"""Read the functions' logs. All readers in this process share one rate limiter."""

from collections.abc import Iterator
from typing import Any

from workshop.aws.owner import gone_is_fine
from workshop.base.http import json_object
from workshop.base.services import Parameters
from workshop.build.context import Workshop
from workshop.orders.rate import log_reads

#: Seconds of log to read for an order that was just placed. AWS rejects signatures if our clock differs by more.
RECENT = 900


def find_in_log(ws: Workshop, function: str, text: str, since: float = 0, whole: bool = True) -> list[dict[str, Any]]:
    """Return the JSON lines of a function's log about an order or a message, oldest first.

    Args:
        ws: the context.
        function: its name before the prefix.
        text: the id. CloudWatch matches it anywhere in a line, so the line's ids are compared again.
        since: seconds since 1970.
        whole: match the whole id, not a prefix.
    """
    return [
        line for line in read_log(ws, function, text, since=since)
        if any(one == text if whole else one.startswith(text) for one in _ids(line))
    ]  # fmt: skip


def read_log(ws: Workshop, function: str, *texts: str, since: float = 0) -> list[dict[str, Any]]:
    """Return the JSON lines of a function's log that contain all of some texts, oldest first.

    Args:
        ws: the context.
        function: its name before the prefix.
        texts: the texts to search for.
        since: seconds since 1970.
    """
    lines = [json_object(event["message"]) for event in log_events(ws, function, *texts, since=since)]
    return sorted((line for line in lines if line), key=lambda line: _number(line.get("time")))


def log_events(ws: Workshop, function: str, *texts: str, since: float = 0) -> Iterator[dict[str, Any]]:
    """Yield what a function logged, as CloudWatch Logs returns it: events with `message` and `timestamp`.

    The more log there is to search, the longer it takes, so set `since`.

    Args:
        ws: the context.
        function: its name before the prefix.
        texts: only lines that contain all of these.
        since: seconds since 1970.
    """
    pattern: Parameters = {"filterPattern": " ".join(f'"{text}"' for text in texts)} if texts else {}
    pages = ws.client("logs").get_paginator("filter_log_events").paginate(
        logGroupName=ws.name(f"/aws/lambda/{function}"), startTime=max(0, int(since * 1000)), **pattern
    )  # fmt: skip
    limiter = log_reads(ws.account, ws.region)
    # A function that never ran may have no log group.
    with gone_is_fine():
        limiter.wait()
        for page in pages:
            for event in page["events"]:
                yield {**event}
            if page.get("nextToken"):
                limiter.wait()


def _ids(line: dict[str, Any]) -> list[str]:
    """Return the order and message ids in a log line."""
    several = line.get("orderIds")
    named = [line.get("orderId"), line.get("messageId"), *(several if isinstance(several, list) else [])]
    return [one for one in named if isinstance(one, str)]


def _number(value: Any) -> float:
    """Return a log line's time, or 0 if it isn't a number, as in lines of modified code."""
    return value if isinstance(value, int | float) else 0
