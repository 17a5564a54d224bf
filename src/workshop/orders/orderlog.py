"""Read what the functions logged about one order, with as few calls as possible: CloudWatch Logs throttles early."""

import json
from typing import Any

from workshop.build.context import Workshop
from workshop.orders.logs import find_in_log

#: The event that each function logs last if an order succeeds.
LAST_EVENTS = {"POC-Lambda-1": ("stored", "repeated"), "POC-Lambda-2": ("notified",)}


class OrderLog:
    """What the functions have logged about one order.

    Reads recent lines, and goes back further once if the order is older. Stops reading a function's log after its last
    event.

    Args:
        ws: the context.
        order_id: which order.
        since: where recent lines start, in seconds since 1970.
    """

    def __init__(self, ws: Workshop, order_id: str, since: float) -> None:
        self.ws, self.order_id, self.since = ws, order_id, since
        self._lines: dict[str, dict[str, dict[str, Any]]] = {function: {} for function in LAST_EVENTS}
        self._whole: set[str] = set()
        self._ended: set[str] = set()

    def known(self, function: str) -> list[dict[str, Any]]:
        """Return the lines of a function read so far, oldest first."""
        return list(self._lines[function].values())

    def of(self, function: str) -> list[dict[str, Any]]:
        """Read new lines of a function, and return all of them, oldest first."""
        if function not in self._ended:
            self._read(function, self.since)
        return self.known(function)

    def read_all(self, function: str) -> list[dict[str, Any]]:
        """Read the whole log of a function, once, and return its lines."""
        if function not in self._whole:
            self._whole.add(function)
            self._read(function, 0)
        return self.known(function)

    def repeats(self, message_id: str) -> bool:
        """Return whether a message is a duplicate of this order."""
        events = {(line.get("event"), line.get("messageId") == message_id) for line in self.known("POC-Lambda-1")}
        return ("repeated", True) in events or (("stored", False) in events and ("stored", True) not in events)

    def is_old(self) -> bool:
        """Return whether the order may be older than the recent lines."""
        times = [milliseconds(line.get("time")) or 0 for line in self._lines["POC-Lambda-1"].values()]
        return not times or times[0] < self.since * 1000

    def _read(self, function: str, since: float) -> None:
        lines = [*find_in_log(self.ws, function, self.order_id, since), *self._lines[function].values()]
        lines.sort(key=lambda line: milliseconds(line.get("time")) or 0)
        self._lines[function] = {json.dumps(line, sort_keys=True): line for line in lines}
        if any(line.get("event") in LAST_EVENTS[function] for line in lines):
            self._ended.add(function)


def milliseconds(value: Any) -> int | None:
    """Parse the time of a log line. A hand-written test event may contain anything."""
    try:
        return int(value) or None
    except (TypeError, ValueError):
        return None
