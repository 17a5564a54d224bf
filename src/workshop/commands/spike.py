"""`workshop spike`: place a burst of orders, watch them live, and report what became of each.

Results are counted at the destination: in the table and in the mailbox (on AWS, in what POC-Lambda-2 logged as
published). Times are AWS's own, from the functions' log lines, in milliseconds. If lines are missing, times come from
the samples and are only as precise as their interval.
"""

import itertools
import json
import secrets
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any

from rich.live import Live
from rich.table import Table
from typer import Option

from workshop.base.errors import Interrupted, WorkshopError
from workshop.base.interrupts import ctrl_c_sets
from workshop.build.step import Workshop
from workshop.orders.api import api_url
from workshop.orders.burst import Burst
from workshop.orders.mail import listen_to_mail
from workshop.orders.measure import measure
from workshop.orders.plot import draw_spike
from workshop.orders.sending import Sending, clients

#: Seconds between two samples, on the embedded AWS and on AWS.
SAMPLE_EVERY, SAMPLE_EVERY_ON_AWS = 0.1, 1.0
#: Seconds without change after which an empty queue counts as drained, and after which to stop waiting.
DRAINED_AFTER, STALLED_AFTER = 3.0, 90.0
#: How the results are printed, in this order: {key of the document: label}.
LABELS = {
    "sent": "Placed",
    "accepted": "Accepted by the API",
    "stored": "Stored in DynamoDB",
    "notified": "Notified by e-mail",
    "lost": "Lost",
    "duplicates": "Duplicates",
    "drainSeconds": "Time to drain",
    "ordersPerSecond": "Throughput",
}
#: How a sample is printed: {key: label}.
SAMPLE_LABELS = {
    "accepted": "accepted",
    "refused": "rejected",
    "waiting": "waiting in the queue",
    "inFlight": "in flight",
    "stored": "stored",
    "notified": "notified",
    "deadLetters": "in the dead-letter queue",
}
UNITS = {"drainSeconds": " s", "ordersPerSecond": " orders/s"}


def spike(
    ws: Workshop,
    orders: Annotated[int, Option(min=1, max=20_000, help="How many orders.")] = 1_000,
    concurrency: Annotated[int, Option(min=1, max=200, help="How many clients at once.")] = 20,
) -> dict[str, Any]:
    """Place many orders at once and account for each.

    Watch the queue absorb the load, then see how many orders were stored, notified, lost or duplicated.

    Example: workshop spike --orders 2000 --concurrency 50
    """
    url = api_url(ws)
    listen_to_mail(ws)
    run = new_run()
    burst, sending = Burst(ws, run), Sending(f"{run}{number:05d}" for number in range(orders))
    samples = [{"at": 0.0, "accepted": 0, "refused": 0} | burst.look(0)]
    began = time.time()
    with ctrl_c_sets(sending.stop), clients(concurrency, url, sending, ws.client.ca_bundle):
        watch(ws, burst, orders, sending, samples, began)
        interrupted = sending.stop.is_set()
    if interrupted:
        ws.console.note("Interrupted. No more orders are sent; accepted orders are still processed. Results so far:")
    document = summarize(ws, burst, sending, samples, began, interrupted)
    for key, label in LABELS.items():
        value = document[key]
        text = "not measured" if value is None else f"{value:,}{UNITS.get(key, '')}"
        ws.console.say(f"  {label:<21}{text}")
    save(ws, run, document)
    return document


def new_run() -> str:
    """Return the beginning of the order ids of a run, which no other run has."""
    return f"spike-{datetime.now(UTC):%Y%m%d%H%M%S}-{secrets.token_hex(4)}-"


def watch(
    ws: Workshop, burst: Burst, orders: int, sending: Sending, samples: list[dict[str, Any]], began: float
) -> None:
    """Take samples until every order has arrived, nothing changes any more, or Ctrl-C."""
    pause = SAMPLE_EVERY if ws.is_embedded else SAMPLE_EVERY_ON_AWS
    changed, before, noted = time.monotonic(), None, time.monotonic()
    with Live(console=ws.console.err, transient=True, refresh_per_second=4) as live:
        while not sending.stop.is_set():
            sampled = time.monotonic()
            sample = take_sample(burst, sending, began)
            state = {key: value for key, value in sample.items() if key != "at"}
            samples.append(sample)
            live.update(view(sample, samples, orders))
            if not (ws.console.err.is_terminal or ws.console.json_only) and sampled - noted >= 2:
                noted = sampled
                ws.console.note(", ".join(f"{state[key]} {label}" for key, label in SAMPLE_LABELS.items()))
            if state != before:
                before, changed = state, sampled
            if sending.ended >= orders and all_arrived(burst, sending):
                # Orders without a response may have been accepted, and may still be in the queue.
                missing = sending.unconfirmed() - burst.stored
                if not missing or (sampled - changed > DRAINED_AFTER and not sample["waiting"] + sample["inFlight"]):
                    return
            if sampled - changed > STALLED_AFTER:
                return
            # Scanning a large table takes time. Don't let sampling become the load.
            took = time.monotonic() - sampled
            sending.stop.wait(max(pause - took, took))


def all_arrived(burst: Burst, sending: Sending) -> bool:
    """Return whether every accepted order is stored and notified."""
    with sending.lock:
        expected = sending.accepted | burst.stored
    return burst.stored >= expected and burst.notified.keys() >= expected


def take_sample(burst: Burst, sending: Sending, began: float, whole: bool = False) -> dict[str, Any]:
    """Count where the orders are now.

    Args:
        burst: queries AWS.
        sending: the progress of the senders.
        began: when the first order was sent, in seconds since 1970.
        whole: query the table even if it already had every order.
    """
    found = burst.look(None if whole else len(sending.accepted) + len(sending.unconfirmed()))
    with sending.lock:
        return {
            "at": round(time.time() - began, 2),
            "accepted": len(sending.accepted),
            "refused": len(sending.refused),
            **found,
        }


def summarize(
    ws: Workshop, burst: Burst, sending: Sending, samples: list[dict[str, Any]], began: float, interrupted: bool
) -> dict[str, Any]:
    """Return what became of the orders: the document that `--json` prints.

    `sent` is the sum of `accepted` and `refused`; `accepted` is the sum of `stored`, `onTheirWay` and `lost`.
    """
    last = take_sample(burst, sending, began, whole=True)
    samples.append(last)
    accepted = sending.accepted | burst.stored
    refused = Counter(status for order, status in sending.refused.items() if order not in accepted)
    missing = len(accepted - burst.stored)
    # A failed message is retried for minutes.
    waiting = missing if interrupted else min(missing, last["waiting"] + last["inFlight"])
    events = burst.finish(patient=not interrupted)
    drain, rate = drain_and_rate(burst, samples, began, sending.last_accepted)
    taken_first = burst.times["accepted"][0] if burst.is_timed else began
    return {
        "sent": sending.sent,
        "accepted": len(accepted),
        "stored": len(burst.stored),
        "notified": len(burst.notified),
        "lost": missing - waiting,
        "onTheirWay": waiting,
        "unnotified": len(burst.stored - burst.notified.keys()),
        "duplicates": sum(times - 1 for times in burst.notified.values()),
        "drainSeconds": drain,
        "ordersPerSecond": rate,
        "refused": {str(status): orders for status, orders in refused.items()},
        "retries": sending.retries,
        "interrupted": interrupted,
        "measured": measure(events, taken_first)
        | {"orders": len(accepted), "ordersPerSecond": rate, "embedded": ws.is_embedded},
        "samples": with_samples(burst.curves(), samples) if burst.is_timed else samples,
    }


def with_samples(curves: list[dict[str, Any]], samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to the curves what only the samples contain."""
    for point in curves:
        sample = max((one for one in samples if one["at"] <= point["at"]), key=lambda one: one["at"])
        point |= {key: value for key, value in sample.items() if key not in point}
    return curves


def drain_and_rate(
    burst: Burst, samples: list[dict[str, Any]], began: float, last_accepted: float
) -> tuple[float | None, float | None]:
    """Measure how long the queue took to drain after the last order, and the throughput.

    Returns:
        Seconds, and orders a second; None for what can't be measured.
    """
    if not burst.notified:
        return None, None
    if burst.is_timed:
        first, last, end = burst.times["accepted"][0], burst.times["sent"][-1], burst.times["notified"][-1]
        step = 0.001
    else:
        at = next(sample["at"] for sample in samples if sample["notified"] >= len(burst.notified))
        first, last, end = began, last_accepted, began + at
        step = max(later["at"] - earlier["at"] for earlier, later in itertools.pairwise(samples))
    # A shorter run would measure the sampling interval.
    rate = round(len(burst.notified) / (end - first), 1) if end - first >= 3 * step else None
    return round(max(0.0, end - last), 3), rate


def save(ws: Workshop, run: str, document: dict[str, Any]) -> None:
    """Save the run as JSON and, if matplotlib is installed, as a chart."""
    folder = ws.settings.state_dir / "spikes"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{ws.settings.participant}-{run.strip('-')}.json"
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise WorkshopError(
            f"The run can't be saved in {folder}: {error.strerror}.", "Check the folder's permissions."
        ) from None
    document["saved"] = str(path)
    ws.console.say(f"Saved: {path}")
    chart = draw_spike(document, path.with_suffix(".png"))
    ws.console.say(f"Chart: {chart}" if chart else "For a chart of the run: pip install matplotlib")


def view(sample: dict[str, Any], samples: list[dict[str, Any]], orders: int) -> Table:
    """Return the live table: where the orders are, and how fast they are stored."""
    table = Table.grid(padding=(0, 2))
    # Over the last two seconds, because a single interval says little.
    earlier = next((one for one in samples if one["at"] >= sample["at"] - 2), samples[0])
    seconds = max(sample["at"] - earlier["at"], 0.001)
    rows: dict[str, Any] = {label: sample[key] for key, label in SAMPLE_LABELS.items()}
    rows["accepted"] = f"{sample['accepted']:,} of {orders:,}"
    rows["stored per second"] = round((sample["stored"] - earlier["stored"]) / seconds)
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def failed(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """Return the error to exit with unless every order was accepted, stored and notified once."""
    count = {key: document[key] for key in ("sent", "accepted", "onTheirWay", "unnotified", "lost", "duplicates")}
    if document["interrupted"]:
        return Interrupted(
            f"Interrupted after {count['sent']} orders. {count['onTheirWay']} aren't stored yet,"
            f" {count['unnotified']} are stored but not notified yet.",
            "They are still processed. After five failed attempts, they are listed by: workshop redrive --dry-run",
        )
    if any(count[key] for key in ("onTheirWay", "unnotified", "lost", "duplicates")):
        return WorkshopError(
            f"{count['lost']} orders lost, {count['onTheirWay']} still queued, {count['unnotified']} stored but not"
            f" notified, {count['duplicates']} notified twice.",
            "Find them: workshop redrive --dry-run, workshop verify",
        )
    if count["accepted"] < count["sent"]:
        return WorkshopError(f"The API accepted {count['accepted']} of {count['sent']} orders.",
                             "Find the cause: workshop order --trace")  # fmt: skip
    return None
