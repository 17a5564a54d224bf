"""`workshop spike`: a burst of orders, watched live, and then the account of what became of each.

The account is counted where it matters, in the table and in the mail (on AWS, where mail goes to people, in what
POC-Lambda-2 says that it published), and not from what was sent.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from rich.live import Live
from rich.table import Table
from typer import Option

from workshop.errors import WorkshopError
from workshop.mail import read_mail
from workshop.measure import measure
from workshop.plot import draw_spike
from workshop.step import Workshop
from workshop.web import post

#: How often one order is sent again after "too many requests" or a fault; its id makes that harmless.
TRIES = 10
#: Seconds between two looks, and without any progress after which the rest counts as lost.
LOOK_EVERY, LOST_AFTER = 0.5, 90.0


@dataclass
class Sending:
    """What the senders have done so far."""

    sent: int = 0
    accepted: set[str] = field(default_factory=set)
    refused: Counter[int] = field(default_factory=Counter)
    accepted_last: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


def spike(
    ws: Workshop,
    orders: Annotated[int, Option(min=1, max=20_000, help="How many orders.")] = 200,
    concurrency: Annotated[int, Option(min=1, max=200, help="How many clients at once.")] = 20,
) -> dict[str, Any]:
    """Place many orders at once, watch the queue take them, and account for each.

    Example: workshop spike --orders 2000 --concurrency 50
    """
    url = ws.api_url()
    ws.listen_to_mail()
    run = f"spike-{datetime.now(UTC):%Y%m%d%H%M%S}-"
    sending = Sending()
    samples = [look(ws, run, sending, time.time()) | {"at": 0.0}]
    began = time.time()
    senders = ThreadPoolExecutor(concurrency)
    for number in range(orders):
        senders.submit(send, url, f"{run}{number:05d}", sending, ws.client.ca_bundle)
    try:
        watch(ws, run, orders, sending, samples, began)
    except KeyboardInterrupt:
        ws.console.note("Interrupted: no more orders are sent. What was accepted goes its way; the account so far:")
    finally:
        sending.stop.set()
        senders.shutdown(wait=True, cancel_futures=True)
    document = account(ws, run, sending, samples, began)
    save(ws, run, document)
    for key in ("sent", "accepted", "stored", "notified", "lost", "duplicates", "drainSeconds", "ordersPerSecond"):
        ws.console.say(f"  {key + ':':<17}{document[key]}")
    return document


def send(url: str, order_id: str, sending: Sending, ca_bundle: str | None) -> None:
    """Place one order; when the API asks for patience, with the same id again."""
    order = {"orderId": order_id, "productId": "spike", "productName": "Spike", "quantity": 1}
    with sending.lock:
        sending.sent += 1
    for tries in range(TRIES):
        if sending.stop.is_set():
            return
        try:
            status, _ = post(url, json.dumps(order).encode(), ca_bundle=ca_bundle)
        except WorkshopError:
            status = 0
        with sending.lock:
            if status == 202:
                sending.accepted.add(order_id)
                sending.accepted_last = time.time()
                return
            sending.refused[status] += 1
        if 400 <= status < 429:
            return
        sending.stop.wait(min(0.1 * 2**tries, 3.0))


def watch(ws: Workshop, run: str, orders: int, sending: Sending, samples: list[dict[str, Any]], began: float) -> None:
    """Look at everything twice a second, until every order has arrived or nothing moves any more."""
    last_change, before = time.monotonic(), None
    with Live(console=ws.console.err, transient=True, refresh_per_second=4) as live:
        while True:
            looked = time.monotonic()
            sample = look(ws, run, sending, began)
            samples.append(sample)
            live.update(view(sample, samples, orders))
            if not ws.console.err.is_terminal and len(samples) % 4 == 1:
                ws.console.note(", ".join(f"{key} {value}" for key, value in sample.items() if key != "at"))
            state = {key: value for key, value in sample.items() if key != "at"}
            if state != before:
                before, last_change = state, time.monotonic()
            finished = sample["accepted"] + sum(sending.refused.values()) >= orders and sending.sent >= orders
            arrived = sample["stored"] >= sample["accepted"] and sample["notified"] >= sample["accepted"]
            if (finished and arrived) or time.monotonic() - last_change > LOST_AFTER:
                return
            # Looking at a large table takes time; it must not become the load that it measures.
            took = time.monotonic() - looked
            time.sleep(max(LOOK_EVERY, 2 * took))


def look(ws: Workshop, run: str, sending: Sending, began: float) -> dict[str, Any]:
    """One sample: where the orders are now."""
    queue, dead = ws.find("queue", "ecommerce-orders-queue") or {}, ws.find("queue", "ecommerce-orders-dlq") or {}
    # The last hop first, so that no sample shows more orders there than before it.
    notified = len(told_of(notifications(ws, run, began)))
    stored = count_stored(ws, run)
    with sending.lock:
        accepted = len(sending.accepted)
    return {
        "at": round(time.time() - began, 2),
        "accepted": accepted,
        "waiting": int(queue.get("ApproximateNumberOfMessages", 0)),
        "inFlight": int(queue.get("ApproximateNumberOfMessagesNotVisible", 0)),
        "stored": stored,
        "notified": notified,
        "deadLetters": int(dead.get("ApproximateNumberOfMessages", 0)),
    }


def count_stored(ws: Workshop, run: str) -> int:
    """How many orders of this run are in the table."""
    pages = ws.client("dynamodb").get_paginator("scan").paginate(
        TableName=ws.name("ecommerce-orders"),
        Select="COUNT",
        FilterExpression="begins_with(orderId, :run)",
        ExpressionAttributeValues={":run": {"S": run}},
        ConsistentRead=True,
    )  # fmt: skip
    return sum(page["Count"] for page in pages)


def notifications(ws: Workshop, run: str, since: float) -> list[tuple[float, list[str]]]:
    """The notifications with orders of this run: when each was sent, in seconds since 1970, and of which orders."""
    if ws.mailbox:
        mails = read_mail(ws)
        # With several readers each e-mail is there several times.
        reader = min((mail["to"] for mail in mails), default="")
        sent = [
            (datetime.fromisoformat(mail["at"]).timestamp(), mail["orderIds"]) for mail in mails if mail["to"] == reader
        ]
    else:
        lines = ws.find_in_log("POC-Lambda-2", run, since, whole=False)
        sent = [(line["time"] / 1000, line["orderIds"]) for line in lines if line["event"] == "notified"]
    ours = [(at, [order for order in orders if order.startswith(run)]) for at, orders in sent]
    return [(at, orders) for at, orders in ours if orders]


def told_of(sent: list[tuple[float, list[str]]]) -> Counter[str]:
    """How often each order was told of."""
    return Counter(order for _, orders in sent for order in orders)


def account(ws: Workshop, run: str, sending: Sending, samples: list[dict[str, Any]], began: float) -> dict[str, Any]:
    """What became of the orders: the document that `--json` prints."""
    stored, sent = count_stored(ws, run), notifications(ws, run, began)
    accepted, notified = len(sending.accepted), told_of(sent)
    # An order is told of last of all.
    done_at = max((at for at, _ in sent), default=sending.accepted_last)
    rate = round(len(notified) / (done_at - began), 1) if done_at > began else 0.0
    return {
        "sent": sending.sent,
        "accepted": accepted,
        "stored": stored,
        "notified": len(notified),
        "lost": max(0, accepted - min(stored, len(notified))),
        "duplicates": sum(times - 1 for times in notified.values()),
        "drainSeconds": round(max(0.0, done_at - sending.accepted_last), 2),
        "ordersPerSecond": rate,
        "refused": {str(status): times for status, times in sending.refused.items()},
        "measured": measure(ws, began) | {"orders": accepted, "ordersPerSecond": rate, "embedded": ws.is_embedded},
        "samples": samples,
    }


def save(ws: Workshop, run: str, document: dict[str, Any]) -> None:
    """Keep the run as JSON and, if matplotlib is there, as a picture."""
    folder = ws.settings.state_dir / "spikes"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{ws.settings.participant}-{run.strip('-')}.json"
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise WorkshopError(f"The run cannot be saved in {folder}: {error.strerror}.", "Check its rights.") from None
    document["saved"] = str(path)
    ws.console.say(f"Saved: {path}")
    picture = draw_spike(document, path.with_suffix(".png"))
    ws.console.say(f"Picture: {picture}" if picture else "For a picture of the run: pip install matplotlib")


def view(sample: dict[str, Any], samples: list[dict[str, Any]], orders: int) -> Table:
    """The live table: how many orders are where, and how fast they move."""
    table = Table.grid(padding=(0, 2))
    earlier = samples[max(0, len(samples) - 5)]
    seconds = max(sample["at"] - earlier["at"], 0.001)
    rows: list[tuple[str, Callable[[], Any]]] = [
        ("accepted", lambda: f"{sample['accepted']} of {orders}"),
        ("waiting in the queue", lambda: sample["waiting"]),
        ("in flight", lambda: sample["inFlight"]),
        ("stored", lambda: sample["stored"]),
        ("notified", lambda: sample["notified"]),
        ("dead letters", lambda: sample["deadLetters"]),
        ("stored a second", lambda: round((sample["stored"] - earlier["stored"]) / seconds)),
    ]
    for name, value in rows:
        table.add_row(name, str(value()))
    return table


def failed(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """What the command ends with when the account does not come out even."""
    if document["lost"] or document["duplicates"]:
        return WorkshopError(
            f"{document['lost']} orders are lost and {document['duplicates']} were told of twice.",
            "Look where they are: workshop redrive --dry-run, workshop verify",
        )
    if document["accepted"] < document["sent"]:
        return WorkshopError(f"The API accepted {document['accepted']} of {document['sent']} orders.",
                             "See what refuses them: workshop order --trace")  # fmt: skip
    return None
