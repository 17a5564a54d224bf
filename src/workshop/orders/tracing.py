"""Follow an order through the architecture, hop by hop.

All evidence is available on AWS, too: the functions' log lines (which repeat the timestamps of API Gateway and SQS),
the item in the table and the topic's answer. Only the last hop, the e-mail itself, is visible on an embedded AWS
alone. At a dead end, the checks of the nearby steps explain the cause; they're the same checks that `verify` runs.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workshop.base.errors import WorkshopError
from workshop.base.http import json_object
from workshop.build.checks import run_check
from workshop.build.opening import OpenWorkshop
from workshop.build.remedies import Remedies
from workshop.orders.api import find_order
from workshop.orders.logs import RECENT
from workshop.orders.mail import read_mail
from workshop.orders.orderlog import LAST_EVENTS, OrderLog, milliseconds

#: Seconds between two polls.
POLL_EVERY = 0.5
#: The hops in order, and the steps that can be at fault if an order doesn't reach one.
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
    """A hop that an order has reached.

    Attributes:
        hop: its name, a key of `HOPS`.
        at: when, in milliseconds since 1970; None if unknown.
        detail: what is known about it.
    """

    hop: str
    at: int | None
    detail: str

    @property
    def time(self) -> str | None:
        """The time in ISO 8601, UTC."""
        if self.at is None:
            return None
        return datetime.fromtimestamp(self.at / 1000, UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class DeadEnd:
    """Where an order got stuck, and why.

    Attributes:
        hop: the first hop that it didn't reach.
        cause: the likely cause.
        remedy: what to type.
    """

    hop: str
    cause: str
    remedy: str


def expected_hops(ws: OpenWorkshop) -> list[str]:
    """Return the hops that are visible on this target."""
    return [hop for hop in HOPS if hop != "inbox" or ws.mailbox is not None]


def hops_of(ws: OpenWorkshop, order_id: str, log: OrderLog | None = None) -> list[Hop]:
    """Return the hops that an order has reached so far, in order.

    Args:
        ws: the context.
        order_id: which order.
        log: the log lines read before, if you call this repeatedly.
    """
    log = log or OrderLog(ws, order_id, since=0)
    stored = bool(ws.find("table", "ecommerce-orders") and find_order(ws, order_id))
    hops = [*_to_table(ws, log, stored), *_to_inbox(ws, log, stored)]
    names = [hop.hop for hop in hops]
    # A later hop proves the earlier ones, even if their log lines are gone.
    last = max((expected_hops(ws).index(name) for name in names), default=-1)
    known = {hop.hop: hop for hop in hops}
    path = [known.get(name, Hop(name, None, "time unknown")) for name in expected_hops(ws)[: last + 1]]
    return list(_in_order(path))


def dead_end(ws: OpenWorkshop, order_id: str, hops: list[Hop], log: OrderLog | None = None) -> DeadEnd:
    """Find out why an order got no further.

    Args:
        ws: the context.
        order_id: which order.
        hops: what `hops_of` returned.
        log: the log lines read before.
    """
    log = log or OrderLog(ws, order_id, since=0)
    missing = expected_hops(ws)[len(hops)]
    logged = "; ".join(filter(None, (_logged_errors(log), _dead_letter(ws, order_id))))
    ws.forget_needed()
    for number in HOPS[missing]:
        step = ws.steps[number - 1]
        for check in step.checks:
            if not check.sends:
                verdict = run_check(ws, number, step.command, check)
                if not verdict.passed:
                    fault = f"step {number} fails the check “{verdict.name}” ({verdict.detail})"
                    remedy = Remedies(ws).of(step, check, verdict)
                    return DeadEnd(missing, f"{fault}; {logged}" if logged else fault, remedy)
    if logged:
        return DeadEnd(missing, logged, f"workshop verify{ws.settings.options}")
    if missing == "api":
        return DeadEnd(
            missing,
            "neither the table nor the functions' logs contain this id",
            f"workshop order --trace{ws.settings.options}",
        )
    return DeadEnd(
        missing,
        "all checks pass; the order may still be on its way",
        f"workshop trace {order_id}{ws.settings.options}",
    )


def _to_table(ws: OpenWorkshop, log: OrderLog, stored: bool) -> Iterator[Hop]:
    """API, queue, POC-Lambda-1, table."""
    lines = log.of("POC-Lambda-1")
    if stored and not any(line.get("event") == "stored" for line in lines):
        lines = log.read_all("POC-Lambda-1")
    if lines:
        first, last = lines[0], lines[-1]
        # A test event from the Lambda console has no timestamps and didn't come through the API.
        sent = milliseconds(first.get("sentTime"))
        accepted, request = milliseconds(first.get("apiRequestTime")), first.get("apiRequestId")
        yield Hop("api", accepted or sent, f"request {request}" if request else "accepted")
        yield Hop("queue", sent, f"message {first.get('messageId')}")
        received = milliseconds(first.get("receivedTime"))
        yield Hop("lambda-1", received, f"received {last.get('receiveCount', '1')} time(s)")
    elif waiting := _waiting(ws):
        yield Hop("queue", None, f"{waiting} message(s) in the queue, probably including this one")
    written = next((line for line in lines if line.get("event") in LAST_EVENTS["POC-Lambda-1"]), None)
    if written or stored:
        detail = "stored" if stored else "stored, and deleted since"
        yield Hop("table", milliseconds(written.get("time")) if written else None, detail)


def _to_inbox(ws: OpenWorkshop, log: OrderLog, stored: bool) -> Iterator[Hop]:
    """Stream, POC-Lambda-2, topic, inbox."""
    lines = log.of("POC-Lambda-2")
    if stored and not lines and log.is_old():
        lines = log.read_all("POC-Lambda-2")
    published = next((line for line in lines if line.get("event") == "notified"), None)
    if published:
        ids, times = published["orderIds"], published.get("storedTimes") or []
        index = ids.index(log.order_id)
        others = len(ids) - 1
        yield Hop("stream", milliseconds(times[index]) if index < len(times) else None, "new item")
        yield Hop("lambda-2", milliseconds(published.get("receivedTime")),
                  f"in a batch with {others} other(s)" if others else "alone")  # fmt: skip
        yield Hop("topic", milliseconds(published.get("time")), f"notification {published.get('snsMessageId')}")
        if ws.mailbox:
            for mail in read_mail(ws):
                if log.order_id in mail["orderIds"]:
                    at = round(datetime.fromisoformat(mail["at"]).timestamp() * 1000)
                    yield Hop("inbox", at, f"to {mail['to']}: {mail['subject']}")
                    break
    elif lines:
        yield Hop("lambda-2", milliseconds(lines[0].get("receivedTime")), "failed")
    elif stored and ws.find("stream", "ecommerce-orders"):
        yield Hop("stream", None, "the table's stream keeps every new item for 24 hours")


def _in_order(hops: list[Hop]) -> Iterator[Hop]:
    """Make times monotonic: the stream's timestamps have only whole seconds."""
    latest = 0
    for hop in hops:
        if hop.at is not None:
            latest = max(latest, hop.at)
            yield Hop(hop.hop, latest, hop.detail)
        else:
            yield hop


def _waiting(ws: OpenWorkshop) -> int:
    """Return the number of messages in the orders queue, including those in flight."""
    queue = ws.find("queue", "ecommerce-orders-queue")
    keys = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return sum(int(queue[key]) for key in keys) if queue else 0


def _logged_errors(log: OrderLog) -> str:
    """Return the last error that a function logged about an order."""
    for function in ("POC-Lambda-2", "POC-Lambda-1"):
        errors = [line for line in log.read_all(function) if line.get("level") == "ERROR"]
        if errors:
            last = errors[-1]
            return f"{function} logged: {last.get('event')}: {last.get('reason', 'no reason given')}"
    return ""


def _dead_letter(ws: OpenWorkshop, order_id: str) -> str:
    """Say whether an order is in the dead-letter queue, without hiding it from other consumers."""
    queue = ws.find("queue", "ecommerce-orders-dlq")
    if queue is None:
        return ""
    messages = ws.client("sqs").receive_message(
        QueueUrl=queue["QueueUrl"], MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=0
    ).get("Messages", [])  # fmt: skip
    for message in messages:
        if order_id in (message["MessageId"], json_object(message["Body"]).get("orderId")):
            return "the order is in the dead-letter queue"
    return ""


def follow(ws: OpenWorkshop, order_id: str, wait: float, message_id: str | None = None) -> dict[str, Any]:
    """Print each hop as an order reaches it, until the last hop or a dead end.

    Args:
        ws: the context.
        order_id: which order.
        wait: seconds to wait for the next hop.
        message_id: the message that was just sent, to find out whether it is a duplicate.

    Returns:
        `{"orderId", "complete", "hops": [{"hop", "at", "detail"}], "duplicate": bool, "deadEnd": None or {"hop",
        "cause", "remedy"}}`.
    """
    log = OrderLog(ws, order_id, time.time() - RECENT)
    shown, since = 0, ws.waiter.clock()
    while True:
        hops = hops_of(ws, order_id, log)
        complete = len(hops) == len(expected_hops(ws))
        late = ws.waiter.clock() - since >= wait
        if late and not complete and log.read_all("POC-Lambda-1") + log.read_all("POC-Lambda-2"):
            hops = hops_of(ws, order_id, log)
            complete = len(hops) == len(expected_hops(ws))
        # Log lines come late: wait for the one with the item's time.
        timed = next((n for n, hop in enumerate(hops) if hop.at is None), len(hops))
        for number in range(shown, len(hops) if late else timed):
            since = ws.waiter.clock()
            _show(ws, hops[number], hops[number - 1] if number else None)
        shown = max(shown, timed)
        if late or (complete and shown == len(hops)):
            break
        ws.waiter.sleep(POLL_EVERY)
    end = None if complete else dead_end(ws, order_id, hops, log)
    duplicate = message_id is not None and log.repeats(message_id)
    if duplicate:
        ws.console.say(
            f"Duplicate: order {order_id} was already stored, and these are its hops. Message {message_id} repeats it,"
            " so it changes nothing and sends no second notification."
        )
    elif complete:
        ws.console.say("The order passed every hop.")
    return {
        "orderId": order_id,
        "complete": complete,
        "hops": [{"hop": hop.hop, "at": hop.time, "detail": hop.detail} for hop in hops],
        "duplicate": duplicate,
        "deadEnd": None if end is None else vars(end),
    }


def incomplete(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """Return the error of a command that followed an order, if the order got stuck."""
    end = document.get("deadEnd")
    if end is None:
        return None
    if document["hops"]:
        reached = document["hops"][-1]["hop"]
        problem = f"Order {document['orderId']} reached {reached} but not {end['hop']}. Likely cause: {end['cause']}."
    else:
        problem = f"There is no trace of order {document['orderId']}: {end['cause']}."
    return WorkshopError(problem, f"Try: {end['remedy']}", code=f"DeadEnd {end['hop']}")


def _show(ws: OpenWorkshop, hop: Hop, before: Hop | None) -> None:
    """Print one hop and how long it took to reach it."""
    took = f"+{hop.at - before.at} ms" if before and before.at is not None and hop.at is not None else ""
    clock = (hop.time or "")[11:23]
    ws.console.say(hop.detail, lead=f"  {hop.hop:<9}{clock:<12} {took:>7}  ")
