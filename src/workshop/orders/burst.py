"""Find out which orders of a burst are stored and notified, and when."""

import bisect
import math
import time
from collections import Counter
from typing import Any

from workshop.base.http import json_object
from workshop.build.context import Workshop
from workshop.orders.logs import RECENT, find_in_log, log_events
from workshop.orders.mail import read_mail
from workshop.orders.orderlog import milliseconds

FUNCTIONS = ("POC-Lambda-1", "POC-Lambda-2")
#: Seconds by which a log line may be late.
LINES_COME_LATE = 60
#: Seconds between two reads of the log.
READ_LOG_EVERY = 2.0
#: How often to read the log at the end, a second apart, until it's complete.
LAST_READS = 5
#: Seconds between two points of the curves, and the maximum number of points.
STEP, MAX_STEPS = 0.1, 1_000


class Burst:
    """The orders of one burst.

    Args:
        ws: the context.
        run: the prefix of their ids.
    """

    def __init__(self, ws: Workshop, run: str) -> None:
        self.ws, self.run = ws, run
        self.stored: set[str] = set()
        #: The number of notifications for each order.
        self.notified: Counter[str] = Counter()
        #: When orders passed each hop, in seconds since 1970 by AWS's clock, sorted.
        self.times: dict[str, list[float]] = {}
        #: Whether the times are complete.
        self.is_timed = False
        self._since = time.time() - RECENT
        self._published: dict[str, list[str]] = {}
        self._read_log_at, self._last_line = float("-inf"), 0.0

    def look(self, accepted: int | None = None) -> dict[str, int]:
        """Count where the orders are now.

        Args:
            accepted: the number of accepted orders; once all are stored, the table isn't queried. None for the final
                count, which queries everything.

        Returns:
            `waiting`, `inFlight`, `stored`, `notified`, `deadLetters`.
        """
        # Count the last hop first, so that no sample shows more orders there than at an earlier hop.
        self._count_notified(whole=accepted is None)
        if accepted is None or len(self.stored) < accepted:
            self._find_stored()
        queue, dead = self._depth("ecommerce-orders-queue"), self._depth("ecommerce-orders-dlq")
        return {
            "waiting": queue["ApproximateNumberOfMessages"],
            "inFlight": queue["ApproximateNumberOfMessagesNotVisible"],
            "stored": len(self.stored),
            "notified": len(self.notified),
            "deadLetters": dead["ApproximateNumberOfMessages"],
        }

    def finish(self, patient: bool) -> dict[str, list[dict[str, Any]]]:
        """Read the times, and return what the functions logged: `{function: events of CloudWatch Logs}`.

        Args:
            patient: wait for late log lines.
        """
        for number in range(LAST_READS if patient else 1):
            if number:
                self.ws.waiter.sleep(1)
            events = {function: list(log_events(self.ws, function, since=self._since)) for function in FUNCTIONS}
            self._time(
                {function: [json_object(one["message"]) for one in several] for function, several in events.items()}
            )
            if self.is_timed or not self.notified:
                break
        return events

    def _time(self, lines: dict[str, list[dict[str, Any]]]) -> None:
        taken = {
            line["orderId"]: line for line in reversed(lines["POC-Lambda-1"]) if self._is_ours(line.get("orderId"))
        }
        mails = [line for line in lines["POC-Lambda-2"] if line.get("event") == "notified"]
        notified = {order: line for line in mails for order in line.get("orderIds", []) if self._is_ours(order)}
        fields = {"sent": "sentTime", "received": "receivedTime", "stored": "time"}
        self.times = {name: sorted(seconds(line, field) for line in taken.values()) for name, field in fields.items()}
        self.times["accepted"] = sorted(seconds(line, "apiRequestTime", "sentTime") for line in taken.values())
        self.times["notified"] = sorted(seconds(line, "time") for line in notified.values())
        whole = taken.keys() >= self.stored and notified.keys() >= self.notified.keys()
        self.is_timed = whole and all(times and times[0] for times in self.times.values())

    def curves(self) -> list[dict[str, Any]]:
        """Return where the orders were every tenth of a second; for a long burst, at 1,000 points."""
        began, ended = self.times["accepted"][0], self.times["notified"][-1]
        steps = min(MAX_STEPS, math.ceil((ended - began) / STEP))
        return [self._moment(began, (ended - began) * number / steps) for number in range(steps + 1)]

    def _moment(self, began: float, at: float) -> dict[str, Any]:
        passed = {name: bisect.bisect_right(times, began + at) for name, times in self.times.items()}
        return {
            "at": round(at, 2),
            "accepted": passed["accepted"],
            "waiting": passed["sent"] - passed["received"],
            "inFlight": passed["received"] - passed["stored"],
            "stored": passed["stored"],
            "notified": passed["notified"],
        }

    def _is_ours(self, order: Any) -> bool:
        return isinstance(order, str) and order.startswith(self.run)

    def _depth(self, base: str) -> dict[str, int]:
        url = self.ws.need("queue", base)["QueueUrl"]
        found = self.ws.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        )["Attributes"]
        return {name: int(number) for name, number in found.items()}

    def _find_stored(self) -> None:
        pages = self.ws.client("dynamodb").get_paginator("scan").paginate(
            TableName=self.ws.name("ecommerce-orders"),
            ProjectionExpression="orderId",
            FilterExpression="begins_with(orderId, :run)",
            ExpressionAttributeValues={":run": {"S": self.run}},
            ConsistentRead=True,
        )  # fmt: skip
        self.stored |= {item["orderId"]["S"] for page in pages for item in page["Items"]}

    def _count_notified(self, whole: bool) -> None:
        if self.ws.mailbox:
            mails = read_mail(self.ws)
            # With several subscribers, each e-mail is there several times.
            first = min((mail["to"] for mail in mails), default="")
            orders = [order for mail in mails if mail["to"] == first for order in mail["orderIds"]]
        else:
            if whole or time.monotonic() - self._read_log_at >= READ_LOG_EVERY:
                self._read_published()
            orders = [order for several in self._published.values() for order in several]
        self.notified = Counter(order for order in orders if self._is_ours(order))

    def _read_published(self) -> None:
        """Read what POC-Lambda-2 logged as published, each time only the end of its log."""
        self._read_log_at = time.monotonic()
        since = max(self._since, self._last_line - LINES_COME_LATE)
        for line in find_in_log(self.ws, "POC-Lambda-2", self.run, since, whole=False):
            if line.get("event") == "notified":
                self._published[str(line.get("snsMessageId"))] = line["orderIds"]
                self._last_line = max(self._last_line, (milliseconds(line.get("time")) or 0) / 1000)


def seconds(line: dict[str, Any], *fields: str) -> float:
    """Return the first of some times that a log line contains, in seconds since 1970; 0 if it contains none."""
    return next((found / 1000 for found in (milliseconds(line.get(field)) for field in fields) if found), 0.0)
