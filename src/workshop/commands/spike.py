"""`workshop spike`: a burst of orders, watched live, and then the account of what became of each.

The account is counted where it matters, in the table and in the mail (on AWS, where mail goes to people, in what
POC-Lambda-2 says that it published), and not from what was sent. Times come from the functions' log lines: they are
AWS's own, in milliseconds. Where lines are missing, the samples tell, as finely as they were taken.
"""

import itertools
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Annotated, Any

from rich.live import Live
from rich.table import Table
from typer import Option

from workshop.burst import Burst
from workshop.errors import Interrupted, WorkshopError
from workshop.measure import measure
from workshop.plot import draw_spike
from workshop.sending import Sending, send
from workshop.step import Workshop

#: Seconds between two looks, on the embedded AWS and on AWS.
LOOK_EVERY, LOOK_EVERY_ON_AWS = 0.1, 1.0
#: Seconds without any change after which an empty queue is believed, and after which nothing more is expected at all.
SETTLED, NOTHING_MOVES = 3.0, 90.0
#: What the account says, in this order.
KEYS = ("sent", "accepted", "stored", "notified", "lost", "duplicates", "drainSeconds", "ordersPerSecond")


def spike(
    ws: Workshop,
    orders: Annotated[int, Option(min=1, max=20_000, help="How many orders.")] = 1_000,
    concurrency: Annotated[int, Option(min=1, max=200, help="How many clients at once.")] = 20,
) -> dict[str, Any]:
    """Place many orders at once, watch the queue take them, and account for each.

    Example: workshop spike --orders 2000 --concurrency 50
    """
    url = ws.api_url()
    ws.listen_to_mail()
    run = f"spike-{datetime.now(UTC):%Y%m%d%H%M%S}-"
    burst, sending = Burst(ws, run), Sending()
    samples = [{"at": 0.0, "accepted": 0, "refused": 0} | burst.look(0)]
    began, interrupted = time.time(), False
    senders = ThreadPoolExecutor(concurrency)
    try:
        for number in range(orders):
            senders.submit(send, url, f"{run}{number:05d}", sending, ws.client.ca_bundle)
        watch(ws, burst, orders, sending, samples, began)
    except KeyboardInterrupt:
        interrupted = True
        ws.console.note("Interrupted: no more orders are sent. What was accepted goes its way; the account so far:")
    finally:
        sending.stop.set()
        senders.shutdown(wait=True, cancel_futures=True)
    document = account(ws, burst, sending, samples, began, interrupted)
    save(ws, run, document)
    for key in KEYS:
        value = document[key]
        ws.console.say(f"  {key + ':':<17}{'not measured' if value is None else value}")
    return document


def watch(
    ws: Workshop, burst: Burst, orders: int, sending: Sending, samples: list[dict[str, Any]], began: float
) -> None:
    """Look at everything again and again, until every order has arrived or nothing moves any more."""
    pause = LOOK_EVERY if ws.is_embedded else LOOK_EVERY_ON_AWS
    moved, before, noted = time.monotonic(), None, time.monotonic()
    with Live(console=ws.console.err, transient=True, refresh_per_second=4) as live:
        while True:
            looked = time.monotonic()
            sample = take_sample(burst, sending, began)
            state = {key: value for key, value in sample.items() if key != "at"}
            samples.append(sample)
            live.update(view(sample, samples, orders))
            if not (ws.console.err.is_terminal or ws.console.json_only) and looked - noted >= 2:
                noted = looked
                ws.console.note(", ".join(f"{key} {value}" for key, value in state.items()))
            if state != before:
                before, moved = state, looked
            if sending.ended >= orders and has_arrived(burst, sending):
                # What got no answer may have been accepted all the same, and come out of the queue yet.
                doubts = sending.doubtful() - burst.stored
                if not doubts or (looked - moved > SETTLED and not sample["waiting"] + sample["inFlight"]):
                    return
            if looked - moved > NOTHING_MOVES:
                return
            # Looking at a large table takes time; it must not become the load that it measures.
            took = time.monotonic() - looked
            time.sleep(max(pause - took, took))


def has_arrived(burst: Burst, sending: Sending) -> bool:
    """Whether everything that was accepted is stored and notified."""
    with sending.lock:
        expected = sending.accepted | burst.stored
    return burst.stored >= expected and burst.notified.keys() >= expected


def take_sample(burst: Burst, sending: Sending, began: float, whole: bool = False) -> dict[str, Any]:
    """One sample: where the orders are now.

    Args:
        burst: looks at AWS.
        sending: what the senders have done.
        began: when the first order was sent, in seconds since 1970.
        whole: ask the table even if it has had everything.
    """
    found = burst.look(None if whole else len(sending.accepted) + len(sending.doubtful()))
    with sending.lock:
        return {
            "at": round(time.time() - began, 2),
            "accepted": len(sending.accepted),
            "refused": len(sending.refused),
            **found,
        }


def account(
    ws: Workshop, burst: Burst, sending: Sending, samples: list[dict[str, Any]], began: float, interrupted: bool
) -> dict[str, Any]:
    """What became of the orders: the document that `--json` prints.

    It adds up: `sent` is `accepted` and `refused` together, `accepted` is `stored`, `onTheirWay` and `lost`.
    """
    last = take_sample(burst, sending, began, whole=True)
    samples.append(last)
    accepted = sending.accepted | burst.stored
    refused = Counter(status for order, status in sending.refused.items() if order not in accepted)
    missing = len(accepted - burst.stored)
    # A message that failed comes back for minutes before it is given up.
    waiting = missing if interrupted else min(missing, last["waiting"] + last["inFlight"])
    events = burst.finish(patient=not interrupted)
    drain, rate = pace(burst, samples, began, sending.accepted_last)
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
        "samples": with_rest(burst.curves(), samples) if burst.is_timed else samples,
    }


def with_rest(curves: list[dict[str, Any]], samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The curves that the log tells, with what only the samples know."""
    for point in curves:
        sample = max((one for one in samples if one["at"] <= point["at"]), key=lambda one: one["at"])
        point |= {key: value for key, value in sample.items() if key not in point}
    return curves


def pace(
    burst: Burst, samples: list[dict[str, Any]], began: float, accepted_last: float
) -> tuple[float | None, float | None]:
    """How long the queue took to drain after the last order, and how many orders went through in a second.

    Returns:
        Seconds, and orders a second; None for what cannot be measured.
    """
    if not burst.notified:
        return None, None
    if burst.is_timed:
        first, last, end = burst.times["accepted"][0], burst.times["sent"][-1], burst.times["notified"][-1]
        step = 0.001
    else:
        at = next(sample["at"] for sample in samples if sample["notified"] >= len(burst.notified))
        first, last, end = began, accepted_last, began + at
        step = max(later["at"] - earlier["at"] for earlier, later in itertools.pairwise(samples))
    # Three steps are the least that says more of the orders than of the steps.
    rate = round(len(burst.notified) / (end - first), 1) if end - first >= 3 * step else None
    return round(max(0.0, end - last), 3), rate


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
    # Over the last second or two: a single sample says little.
    earlier = next((one for one in samples if one["at"] >= sample["at"] - 2), samples[0])
    seconds = max(sample["at"] - earlier["at"], 0.001)
    rows: dict[str, Any] = {
        "accepted": f"{sample['accepted']} of {orders}",
        "refused for good": sample["refused"],
        "waiting in the queue": sample["waiting"],
        "in flight": sample["inFlight"],
        "stored": sample["stored"],
        "notified": sample["notified"],
        "dead letters": sample["deadLetters"],
        "stored a second": round((sample["stored"] - earlier["stored"]) / seconds),
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def failed(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """What the command ends with when the account does not come out even."""
    count = {key: document[key] for key in ("sent", "accepted", "onTheirWay", "unnotified", "lost", "duplicates")}
    if document["interrupted"]:
        return Interrupted(
            f"Interrupted: {count['sent']} orders were sent; {count['onTheirWay']} of them are still on their way to"
            f" the table, and {count['unnotified']} to be notified.",
            "Nothing more has to be done for them; what fails five times shows in: workshop redrive --dry-run",
        )
    if any(count[key] for key in ("onTheirWay", "unnotified", "lost", "duplicates")):
        return WorkshopError(
            f"{count['lost']} orders are lost, {count['onTheirWay']} still queued, {count['unnotified']} stored but"
            f" not notified, {count['duplicates']} notified twice.",
            "Look where they are: workshop redrive --dry-run, workshop verify",
        )
    if count["accepted"] < count["sent"]:
        return WorkshopError(f"The API accepted {count['accepted']} of {count['sent']} orders.",
                             "See what refuses them: workshop order --trace")  # fmt: skip
    return None
