"""Notebook 08: a client that loses no order and places none twice, over a bad line."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from workshop.base.errors import GaveUp, WorkshopError
from workshop.base.http import post
from workshop.build.step import Workshop
from workshop.orders.api import api_url, find_order

from .trying import Outcome, Row, Rows, attempt

ORDER = {"productId": "exercise-8", "quantity": 1}
#: So often may a client send one order; and so often until the line turns good, whatever its weather.
MOST_TRIES, HANG_UP = 5, 12
LOST, DOWN = "lost", "down"


class HungUp(BaseException):
    """The client tries without end. Not an Exception, so that a client which catches every Exception ends as well."""


@dataclass
class Line:
    """A way to the API. What happens to each try: a status, LOST (it arrived, the answer did not) or DOWN.

    Attributes:
        weather: what happens to the first tries, in order; the last entry goes on for ever.
        sent: all that was sent.
        accepted: what arrived at the API and was accepted.
    """

    weather: list[Any]
    sent: list[dict[str, Any]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)

    def send(self, order: dict[str, Any]) -> int:
        """Take one try."""
        if len(self.sent) >= 2 * HANG_UP:
            raise HungUp
        # Who tries for ever is let go with the answer that it waits for.
        now = 202 if len(self.sent) >= HANG_UP else self.weather[min(len(self.sent), len(self.weather) - 1)]
        self.sent.append(dict(order))
        if now in (202, LOST):
            self.accepted.append(dict(order))
        if now in (LOST, DOWN):
            raise ConnectionError("the line broke")
        return int(now)

    @property
    def orders(self) -> set[str]:
        """The orders that the workshop would store: those of one id are one."""
        return {str(one.get("orderId", f"message {number}")) for number, one in enumerate(self.accepted)}


def try_client(place: Any, *weather: Any, order: dict[str, Any] | None = None) -> tuple[Line, Outcome]:
    """Let the client place an order over a line. Its pauses take no time."""
    line = Line(list(weather))
    with mock.patch.object(time, "sleep"):
        try:
            outcome = attempt(place, dict(ORDER) if order is None else order, line.send)
        except HungUp:
            outcome = Outcome("nothing: it never ends")
    return line, outcome


def try_the_api(ws: Workshop, place: Any) -> tuple[list[int], Outcome]:
    """Let the client place one order through the real API, and take that order out of the table again.

    Returns:
        The API's answers, and what the client did.
    """
    url = api_url(ws)
    statuses: list[int] = []
    ids: set[str] = set()

    def send(order: dict[str, Any]) -> int:
        status, answer = post(url, json.dumps(order).encode(), ca_bundle=ws.client.ca_bundle)
        statuses.append(status)
        if status == 202:
            ids.add(str(order.get("orderId", answer.get("messageId"))))
        return status

    try:
        outcome = attempt(place, dict(ORDER), send)
    finally:
        for order_id in ids:
            take_out(ws, order_id)
    if isinstance(outcome.error, WorkshopError):
        # Nobody answers there, which is not the client's fault.
        raise outcome.error
    return statuses, outcome


def take_out(ws: Workshop, order_id: str) -> None:
    """Delete an order from the table, as soon as it is there."""
    try:
        ws.waiter.until(lambda: find_order(ws, order_id), "the order of this exercise is on its way", 30, quiet=True)
    except GaveUp:
        ws.console.note(f"The order {order_id} of this exercise is still on its way: look behind the API.")
        return
    ws.client("dynamodb").delete_item(TableName=ws.name("ecommerce-orders"), Key={"orderId": {"S": order_id}})


def check(ws: Workshop, answer: Any) -> Rows:
    """Let the client place orders over lines of every quality, then one through the real API."""
    line, outcome = try_client(answer, 202) if callable(answer) else (Line([202]), Outcome())
    given = callable(answer) and bool(line.sent or outcome.error)
    yield Row("place sends the order", given, "Write def place(order, send), and call send(order).")
    if not given:
        return
    rows = list(over_lines(answer))
    yield from rows
    if not all(row.holds for row in rows):
        return
    statuses, outcome = try_the_api(ws, answer)
    yield Row(
        "the real API accepts it",
        statuses[-1:] == [202],
        f"The API answered {statuses}. Send the order as it is, with an orderId of letters, digits and hyphens."
        f" {outcome.said if outcome.error else ''}",
    )


def over_lines(answer: Any) -> Iterator[Row]:
    """The rows about lines that the checker plays."""
    for asked, weather, hint in (
        ("on a good line it sends once", [202], "202 says that the order has arrived: return it."),
        (
            "it tries again on a broken line",
            [DOWN, DOWN, 202],
            "send raises ConnectionError: catch it, and send again.",
        ),
        ("it tries again after 429", [429, 202], "429 asks for patience; nothing was accepted yet."),
        ("it tries again after 500 and 503", [500, 503, 202], "5xx is a fault on the API's side: send it again."),
        ("the fifth try may be the good one", [DOWN, 503, 429, DOWN, 202], "Try up to five times."),
    ):
        line, outcome = try_client(answer, *weather)
        ends = len(line.sent) == len(weather) and outcome.value == 202
        yield Row(asked, ends, f"{hint} Tries: {len(line.sent)}. {outcome.said}")
    hint = "Count your tries; after the fifth, return the last status."
    for asked, always, last in (
        ("it gives up after five tries", 503, 503),
        ("also where the line stays broken", DOWN, None),
    ):
        line, outcome = try_client(answer, always)
        ends = len(line.sent) <= MOST_TRIES and last in (None, outcome.value)
        yield Row(asked, ends, f"{hint} Tries: {len(line.sent)}. {outcome.said}")
    line, outcome = try_client(answer, 400)
    final = len(line.sent) == 1 and outcome.value == 400
    yield Row("a 400 is final", final, f"No repetition makes it an order: return 400. Tries: {len(line.sent)}.")
    line, _ = try_client(answer, LOST, LOST, 202)
    yield Row(
        "a lost answer does not make a second order",
        len(line.orders) == 1,
        f"The API accepted {len(line.orders)} orders: the first had arrived. Give it one orderId before the first try.",
    )
    order = dict(ORDER)
    first, second = (try_client(answer, 202, order=order)[0] for _ in range(2))
    yield Row(
        "two orders are two orders",
        first.orders.isdisjoint(second.orders) or first.orders == {"message 0"},
        "Placed twice on purpose, they had the same id. Each call needs a new one, and must leave its order as it was.",
    )
    mine = {**ORDER, "orderId": f"mine-{uuid.uuid4().hex[:8]}"}
    line, _ = try_client(answer, 202, order=mine)
    yield Row(
        "nothing of the order is changed",
        [{**ORDER, **one, "orderId": ""} for one in line.sent] == [{**ORDER, "orderId": ""}]
        and line.orders == {mine["orderId"]},
        f"For {mine} it sent {line.sent}. Keep every field; an id that the order brings along stays.",
    )
