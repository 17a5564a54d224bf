"""What the functions' logs tell of one order, read as little as possible: CloudWatch Logs takes few readers."""

import json
from typing import Any

from workshop.context import Workshop

#: The event that each function logs last of an order that went well.
LAST_EVENTS = {"POC-Lambda-1": ("stored", "repeated"), "POC-Lambda-2": ("notified",)}


class OrderLog:
    """What the functions have logged about one order.

    Reads what is recent, and further back once, when the order turns out to be older. Once the line that a function
    ends with is there, it is not asked for again.

    Args:
        ws: the context.
        order_id: which order.
        since: where what is recent begins, in seconds since 1970.
    """

    def __init__(self, ws: Workshop, order_id: str, since: float) -> None:
        self.ws, self.order_id, self.since = ws, order_id, since
        self._lines: dict[str, dict[str, dict[str, Any]]] = {function: {} for function in LAST_EVENTS}
        self._whole: set[str] = set()
        self._ended: set[str] = set()

    def known(self, function: str) -> list[dict[str, Any]]:
        """The lines of a function that were read so far, oldest first."""
        return list(self._lines[function].values())

    def of(self, function: str) -> list[dict[str, Any]]:
        """The lines of a function, oldest first; reads those that have come since."""
        if function not in self._ended:
            self._read(function, self.since)
        return self.known(function)

    def reach_back(self, function: str) -> list[dict[str, Any]]:
        """The lines of a function, as far back as its log goes; that is read once."""
        if function not in self._whole:
            self._whole.add(function)
            self._read(function, 0)
        return self.known(function)

    def repeats(self, message_id: str) -> bool:
        """Whether a message repeats this order, which another one brought."""
        events = {(line.get("event"), line.get("messageId") == message_id) for line in self.known("POC-Lambda-1")}
        return ("repeated", True) in events or (("stored", False) in events and ("stored", True) not in events)

    def is_old(self) -> bool:
        """Whether the order may have come before what is recent."""
        times = [milliseconds(line.get("time")) or 0 for line in self._lines["POC-Lambda-1"].values()]
        return not times or times[0] < self.since * 1000

    def _read(self, function: str, since: float) -> None:
        lines = [*self.ws.find_in_log(function, self.order_id, since), *self._lines[function].values()]
        lines.sort(key=lambda line: milliseconds(line.get("time")) or 0)
        self._lines[function] = {json.dumps(line, sort_keys=True): line for line in lines}
        if any(line.get("event") in LAST_EVENTS[function] for line in lines):
            self._ended.add(function)


def milliseconds(value: Any) -> int | None:
    """A time of a log line, which somebody's own test event may leave out or fill with anything."""
    try:
        return int(value) or None
    except (TypeError, ValueError):
        return None
