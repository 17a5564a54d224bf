"""An order's way through the architecture, hop by hop.

What is known of it comes from data that AWS has as well: the functions' log lines (which repeat the times that
API Gateway and SQS put on the message), the item in the table, the topic's answer. Only the last hop, the mail
itself, can be seen on an embedded AWS alone. Where the way ends, the checks of the steps around that place tell
why: what `verify` asks and what a dead end is explained with are the same.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workshop.checking import run_check
from workshop.context import RECENT, Workshop
from workshop.errors import WorkshopError
from workshop.mail import read_mail
from workshop.orderlog import LAST_EVENTS, OrderLog, milliseconds
from workshop.remedies import Remedies
from workshop.web import json_object

#: Seconds between two looks.
LOOK_EVERY = 0.5
#: The hops in order, and the steps whose work is at fault when the way ends before one.
HOPS: dict[str, tuple[int, ...]] = {
    "api": (8, 1),
    "queue": (8, 3, 1),
    "lambda-1": (4, 3, 1, 2),
    "table": (1, 2, 4, 8),
    "stream": (5, 7, 1),
    "lambda-2": (7, 5, 1, 6),
    "topic": (6, 1, 7),
    "inbox": (6,),
}


@dataclass(frozen=True)
class Hop:
    """A place that an order has passed.

    Attributes:
        hop: its name, a key of `HOPS`.
        at: when, in milliseconds since 1970; None where nothing tells.
        detail: what is known of it.
    """

    hop: str
    at: int | None
    detail: str

    @property
    def time(self) -> str | None:
        """When, as ISO 8601 in UTC."""
        if self.at is None:
            return None
        return datetime.fromtimestamp(self.at / 1000, UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class DeadEnd:
    """Where an order's way ends, and why.

    Attributes:
        hop: the first hop that was not reached.
        cause: the likely cause.
        remedy: what to type.
    """

    hop: str
    cause: str
    remedy: str


def expected_hops(ws: Workshop) -> list[str]:
    """The hops that can be seen on this target."""
    return [hop for hop in HOPS if hop != "inbox" or ws.mailbox is not None]


def hops_of(ws: Workshop, order_id: str, log: OrderLog | None = None) -> list[Hop]:
    """The hops that an order has passed so far, in their order.

    Args:
        ws: the context.
        order_id: which order.
        log: what was read of it before, for who asks several times.
    """
    log = log or OrderLog(ws, order_id, since=0)
    stored = bool(ws.find("table", "ecommerce-orders") and ws.find_order(order_id))
    hops = [*_front(ws, log, stored), *_back(ws, log, stored)]
    names = [hop.hop for hop in hops]
    # A later hop proves the earlier ones, also when their log lines are gone.
    last = max((expected_hops(ws).index(name) for name in names), default=-1)
    known = {hop.hop: hop for hop in hops}
    way = [known.get(name, Hop(name, None, "nothing tells when")) for name in expected_hops(ws)[: last + 1]]
    return list(_in_order(way))


def dead_end(ws: Workshop, order_id: str, hops: list[Hop], log: OrderLog | None = None) -> DeadEnd:
    """Find out why an order went no further.

    Args:
        ws: the context.
        order_id: which order.
        hops: what `hops_of` found.
        log: what was read of it before.
    """
    log = log or OrderLog(ws, order_id, since=0)
    missing = expected_hops(ws)[len(hops)]
    said = "; ".join(filter(None, (_said_by_functions(log), _dead_letter(ws, order_id))))
    ws.forget_needed()
    for number in HOPS[missing]:
        step = ws.steps[number - 1]
        for check in step.checks:
            if not check.sends:
                verdict = run_check(ws, number, step.command, check)
                if not verdict.passed:
                    fault = f"step {number} is not as it should be: {verdict.name} ({verdict.detail})"
                    remedy = Remedies(ws).of(step, check, verdict)
                    return DeadEnd(missing, f"{fault}; {said}" if said else fault, remedy)
    if said:
        return DeadEnd(missing, said, f"workshop verify{ws.settings.options}")
    if missing == "api":
        return DeadEnd(
            missing,
            "neither the table nor a function's log knows this id",
            f"workshop order --trace{ws.settings.options}",
        )
    return DeadEnd(
        missing,
        "everything is as it should be; it may still be on its way",
        f"workshop trace {order_id}{ws.settings.options}",
    )


def _front(ws: Workshop, log: OrderLog, stored: bool) -> Iterator[Hop]:
    """API, queue, POC-Lambda-1, table."""
    lines = log.of("POC-Lambda-1")
    if stored and not any(line.get("event") == "stored" for line in lines):
        lines = log.reach_back("POC-Lambda-1")
    if lines:
        first, last = lines[0], lines[-1]
        # A test event that was typed into Lambda's console has no times, and came through no API.
        sent = milliseconds(first.get("sentTime"))
        accepted, request = milliseconds(first.get("apiRequestTime")), first.get("apiRequestId")
        yield Hop("api", accepted or sent, f"request {request}" if request else "accepted")
        yield Hop("queue", sent, f"message {first.get('messageId')}")
        received = milliseconds(first.get("receivedTime"))
        yield Hop("lambda-1", received, f"received {last.get('receiveCount', '1')} time(s)")
    elif waiting := _waiting(ws):
        yield Hop("queue", None, f"{waiting} message(s) wait in the queue; this one is probably among them")
    written = next((line for line in lines if line.get("event") in LAST_EVENTS["POC-Lambda-1"]), None)
    if written or stored:
        detail = "stored" if stored else "stored, and taken out since"
        yield Hop("table", milliseconds(written.get("time")) if written else None, detail)


def _back(ws: Workshop, log: OrderLog, stored: bool) -> Iterator[Hop]:
    """Stream, POC-Lambda-2, topic, inbox."""
    lines = log.of("POC-Lambda-2")
    if stored and not lines and log.is_old():
        lines = log.reach_back("POC-Lambda-2")
    told = next((line for line in lines if line.get("event") == "notified"), None)
    if told:
        ids, times = told["orderIds"], told.get("storedTimes") or []
        place = ids.index(log.order_id)
        others = len(ids) - 1
        yield Hop("stream", milliseconds(times[place]) if place < len(times) else None, "new item")
        yield Hop("lambda-2", milliseconds(told.get("receivedTime")),
                  f"in a batch with {others} other(s)" if others else "alone")  # fmt: skip
        yield Hop("topic", milliseconds(told.get("time")), f"notification {told.get('snsMessageId')}")
        if ws.mailbox:
            for mail in read_mail(ws):
                if log.order_id in mail["orderIds"]:
                    at = round(datetime.fromisoformat(mail["at"]).timestamp() * 1000)
                    yield Hop("inbox", at, f"to {mail['to']}: {mail['subject']}")
                    break
    elif lines:
        yield Hop("lambda-2", milliseconds(lines[0].get("receivedTime")), "failed")
    elif stored and ws.find("stream", "ecommerce-orders"):
        yield Hop("stream", None, "the table has a stream, and it keeps every new item for 24 hours")


def _in_order(hops: list[Hop]) -> Iterator[Hop]:
    """Some clocks count in seconds only (the stream's); no hop comes before the one that led to it."""
    latest = 0
    for hop in hops:
        if hop.at is not None:
            latest = max(latest, hop.at)
            yield Hop(hop.hop, latest, hop.detail)
        else:
            yield hop


def _waiting(ws: Workshop) -> int:
    """How many messages the orders queue holds, those that are being worked on among them."""
    queue = ws.find("queue", "ecommerce-orders-queue")
    keys = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return sum(int(queue[key]) for key in keys) if queue else 0


def _said_by_functions(log: OrderLog) -> str:
    """The last complaint of a function about an order."""
    for function in ("POC-Lambda-2", "POC-Lambda-1"):
        complaints = [line for line in log.reach_back(function) if line.get("level") == "ERROR"]
        if complaints:
            last = complaints[-1]
            return f"{function} said: {last.get('event')}: {last.get('reason', 'without a reason')}"
    return ""


def _dead_letter(ws: Workshop, order_id: str) -> str:
    """Whether an order lies in the dead-letter queue. Looking does not hide it from others."""
    queue = ws.find("queue", "ecommerce-orders-dlq")
    if queue is None:
        return ""
    messages = ws.client("sqs").receive_message(
        QueueUrl=queue["QueueUrl"], MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=0
    ).get("Messages", [])  # fmt: skip
    for message in messages:
        if order_id in (message["MessageId"], json_object(message["Body"]).get("orderId")):
            return "it lies in the dead-letter queue"
    return ""


def follow(ws: Workshop, order_id: str, wait: float, message_id: str | None = None) -> dict[str, Any]:
    """Print each hop of an order as it is reached, until the last one or a dead end.

    Args:
        ws: the context.
        order_id: which order.
        wait: seconds to wait for the next hop.
        message_id: the message that was sent just now, to tell whether it repeats an earlier one.

    Returns:
        `{"orderId", "complete", "hops": [{"hop", "at", "detail"}], "duplicate": bool, "deadEnd": None or {"hop",
        "cause", "remedy"}}`.
    """
    log = OrderLog(ws, order_id, time.time() - RECENT)
    shown, since = 0, ws.patience.clock()
    while True:
        hops = hops_of(ws, order_id, log)
        complete = len(hops) == len(expected_hops(ws))
        late = ws.patience.clock() - since >= wait
        if late and not complete and log.reach_back("POC-Lambda-1") + log.reach_back("POC-Lambda-2"):
            hops = hops_of(ws, order_id, log)
            complete = len(hops) == len(expected_hops(ws))
        # The item may be seen before the log line that tells its time: logs come late. Wait for them.
        told = next((n for n, hop in enumerate(hops) if hop.at is None), len(hops))
        for number in range(shown, len(hops) if late else told):
            since = ws.patience.clock()
            _show(ws, hops[number], hops[number - 1] if number else None)
        shown = max(shown, told)
        if late or (complete and shown == len(hops)):
            break
        ws.patience.sleep(LOOK_EVERY)
    end = None if complete else dead_end(ws, order_id, hops, log)
    duplicate = message_id is not None and log.repeats(message_id)
    if duplicate:
        ws.console.say(
            f"Duplicate: order {order_id} was stored before, and this is its way. Message {message_id} repeats it: it"
            " changes nothing, and nobody is notified again."
        )
    elif complete:
        ws.console.say("The order has gone all the way.")
    return {
        "orderId": order_id,
        "complete": complete,
        "hops": [{"hop": hop.hop, "at": hop.time, "detail": hop.detail} for hop in hops],
        "duplicate": duplicate,
        "deadEnd": None if end is None else vars(end),
    }


def way_ended(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """What a command that followed an order ends with, if the order did not get all the way."""
    end = document.get("deadEnd")
    if end is None:
        return None
    if document["hops"]:
        reached = document["hops"][-1]["hop"]
        problem = f"Order {document['orderId']} reached {reached}, not {end['hop']}. Likely cause: {end['cause']}."
    else:
        problem = f"There is no trace of order {document['orderId']}: {end['cause']}."
    return WorkshopError(problem, f"Try: {end['remedy']}", code=f"DeadEnd {end['hop']}")


def _show(ws: Workshop, hop: Hop, before: Hop | None) -> None:
    """Print one hop, with the time that it took to get there."""
    took = f"+{hop.at - before.at} ms" if before and before.at is not None and hop.at is not None else ""
    clock = (hop.time or "")[11:23]
    ws.console.say(f"  {hop.hop:<9} {clock:<13}{took:>10}  {hop.detail}")
