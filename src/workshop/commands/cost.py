"""`workshop cost`: what a number of orders costs, line by line, beside the design that one would try first."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from workshop.console import Console
from workshop.settings import Settings

PRICES = Path(__file__).parents[1] / "prices.json"
#: What a spike of 2,000 orders measured (`workshop spike --orders 2000` saves such numbers); a later one replaces it.
MEASURED = Path(__file__).parents[1] / "measured.json"

#: Of both functions: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
MEMORY_GB = 0.25
#: The trigger receives and deletes ten messages with one request at most.
MESSAGES_PER_REQUEST = 10
#: A transaction writes each item twice: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
UNITS_PER_TRANSACTED_ITEM = 2
#: Both triggers wait a second for more, until a batch is full: of orders to write, of records to tell of.
WINDOW, FULL_WRITE, FULL_EMAIL = 1.0, 25, 1_000
#: Lambda reads a queue with five batches at a time, and a new on-demand table's stream has four shards; each batch
#: is filled by itself. Where the trigger has a maximum concurrency, the five stay when nobody orders.
#: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
POLLERS, SHARDS = 5, 4
#: A receive waits so long for a message, and is billed when it finds none:
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
LONG_POLL_SECONDS = 20
#: A smaller spike says nothing of how well orders share writes and e-mails.
ENOUGH_ORDERS = 1_000
SECONDS_A_MONTH = 30 * 24 * 3600
#: What the pollers of one queue do in a month without orders; in one with spikes as well, which last for minutes.
IDLE_RECEIVES = POLLERS * SECONDS_A_MONTH / LONG_POLL_SECONDS
#: What each call of a function writes by itself (START, END, REPORT), and an estimate of how long a naive one runs.
LINES_OF_LAMBDA, NAIVE_MILLISECONDS = 360, 15


def cost(
    settings: Settings,
    console: Console,
    orders: Annotated[int, Option(min=1, max=10**12, help="Orders a month.")] = 1_000_000,
) -> dict[str, Any]:
    """Show what a month of so many orders costs.

    Example: workshop cost --orders 1000000
    """
    book = json.loads(PRICES.read_text(encoding="utf-8"))
    measured, source = latest_measurement(settings)
    if measured.get("embedded"):
        measured |= shared(measured["orders"], measured["ordersPerSecond"])
    evenly = spread(orders)
    requests = {
        "spikes": sqs_requests(orders, orders * measured["writerCalls"] / measured["orders"], IDLE_RECEIVES),
        "spread": sqs_requests(orders, evenly["writerCalls"], empty_receives(evenly["writerCalls"])),
        "naive": sqs_requests(orders, orders, empty_receives(orders)),
    }
    designs = {
        "spikes": usage(orders, measured),
        "spread": usage(orders, evenly),
        "naive": naive(orders),
    }
    for name, used in designs.items():
        used["sqs_request"] = sum(requests[name].values())
    per_write, per_email = (measured["orders"] / measured[calls] for calls in ("writerCalls", "publishes"))
    lines = [
        {
            "item": item,
            "per": entry["per"],
            "price": entry["price"],
            **{name: {"quantity": used[item], "cost": used[item] * entry["price"]} for name, used in designs.items()},
        }
        for item, entry in book["prices"].items()
    ]
    totals = {name: sum(line[name]["cost"] for line in lines) for name in designs}
    console.table(
        f"{orders:,} orders a month in {book['region']}, in {book['currency']} (prices of {book['as_of']})",
        ("Item", "Price", "In spikes", "USD", "Evenly spread", "USD", "Naive design", "USD"),
        [
            (
                line["per"],
                price(line["price"]),
                *(text for name in designs for text in (amount(line[name]["quantity"]), f"{line[name]['cost']:.2f}")),
            )
            for line in lines
        ]
        + [("total", "", *(text for name in designs for text in ("", f"{totals[name]:.2f}")))],
    )
    console.say(f"In spikes: {per_write:.0f} orders share a write and {per_email:.0f} an e-mail, after {source}.")
    if measured.get("embedded"):
        rate = f"{measured['ordersPerSecond']:.0f} orders a second"
        console.say(f"  Time and logs: measured on an embedded AWS. Batches: as AWS makes them of {rate}.")
    console.say("Evenly spread: too few orders come within one second to share an e-mail; a longer window would.")
    console.say("Naive: one put, one publish and one e-mail for each order, each function called for one order.")
    for name, title in (("spikes", "in spikes"), ("spread", "evenly spread")):
        parts = " + ".join(f"{number:,.0f} {what}" for what, number in requests[name].items())
        console.say(f"SQS requests, {title}: {parts}.")
    idle = IDLE_RECEIVES * book["prices"]["sqs_request"]["price"]
    pollers = f"{POLLERS} pollers, one each {LONG_POLL_SECONDS} seconds"
    console.say(f"While nobody orders: {IDLE_RECEIVES:,.0f} empty receives a month ({pollers}), ${idle:.2f}.")
    console.say("  An account's first million requests a month are free.")
    return {"orders": orders, "currency": book["currency"], "asOf": book["as_of"], "measured": source,
            "sqsRequests": requests, "idleCost": round(idle, 4),
            "ordersPerWrite": round(per_write, 1), "ordersPerEmail": round(per_email, 1),
            "total": round(totals["spikes"], 4), "totals": {k: round(v, 4) for k, v in totals.items()},
            "lines": lines}  # fmt: skip


def price(one: float) -> str:
    """What one costs, for a person: most things are counted by the million."""
    return f"{one:.2f}" if one > 0.01 else f"{one * 1e6:.4g} /M"


def amount(quantity: float) -> str:
    """A quantity for a person: of gigabytes, the part counts as well."""
    return f"{quantity:,.0f}" if quantity >= 100 else f"{quantity:.2f}"


def latest_measurement(settings: Settings) -> tuple[dict[str, Any], str]:
    """What the last spike of this state folder measured; else what came with the workshop.

    Returns:
        The numbers, for `orders` orders, and where they come from.
    """
    runs = sorted((settings.state_dir / "spikes").glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in reversed(runs):
        measured = json.loads(path.read_text(encoding="utf-8")).get("measured", {})
        known = all(measured.get(key) for key in ("publishes", "writerCalls", "ordersPerSecond"))
        if known and measured["orders"] >= ENOUGH_ORDERS:
            return measured, path.name
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    return measured, f"a spike of {measured['orders']:,} orders"


def shared(orders: int, rate: float) -> dict[str, float]:
    """How many calls AWS makes for orders that come at a rate, by the settings of the triggers.

    A batch begins with one order, and takes what comes to its poller, or its shard, until its window ends or it is
    full.

    Args:
        orders: how many.
        rate: orders a second.
    """
    writes = orders / min(FULL_WRITE, 1 + rate * WINDOW / POLLERS)
    emails = orders / min(FULL_EMAIL, 1 + rate * WINDOW / SHARDS)
    return {"writerCalls": writes, "notifierCalls": emails, "publishes": emails}


def sqs_requests(orders: int, batches: float, empty: float) -> dict[str, float]:
    """The requests that SQS bills: the API sends each order, the trigger receives and deletes by the ten.

    Args:
        orders: how many.
        batches: how many batches the trigger makes of them.
        empty: how many receives find nothing.
    """
    tens = batches * math.ceil(round(orders / batches, 6) / MESSAGES_PER_REQUEST)
    return {"sends": orders, "receives": tens, "deletes": tens, "empty receives": empty}


def empty_receives(batches: float) -> float:
    """How many receives find nothing in a month, if batches come evenly but at random.

    A poller waits for its next batch in turns of 20 seconds; all but the last one end empty.
    """
    pause = POLLERS * SECONDS_A_MONTH / batches
    longer = math.exp(-LONG_POLL_SECONDS / pause)
    return batches * longer / (1 - longer)


def usage(orders: int, measured: dict[str, Any]) -> dict[str, float]:
    """What the design uses for a number of orders: `{item of the price file: quantity}`."""
    share = orders / measured["orders"]
    return {
        "api_request": orders,
        "lambda_request": share * (measured["writerCalls"] + measured["notifierCalls"]),
        "lambda_gb_second": share * measured["billedMilliseconds"] / 1000 * MEMORY_GB,
        "dynamodb_write_unit": orders * UNITS_PER_TRANSACTED_ITEM,
        "sns_publish": share * measured["publishes"],
        "sns_email": share * measured["publishes"],
        "logs_gb": share * measured["logBytes"] / 1e9,
    }


def spread(orders: int) -> dict[str, Any]:
    """The same design when orders come evenly over the month."""
    calls = shared(orders, orders / SECONDS_A_MONTH)
    functions = calls["writerCalls"] + calls["notifierCalls"]
    return {
        **calls,
        "orders": orders,
        "billedMilliseconds": NAIVE_MILLISECONDS * functions,
        "logBytes": LINES_OF_LAMBDA * functions + 500 * orders,
    }


def naive(orders: int) -> dict[str, float]:
    """One put, one publish and one e-mail for each order."""
    return {
        "api_request": orders,
        "lambda_request": orders * 2,
        "lambda_gb_second": orders * 2 * NAIVE_MILLISECONDS / 1000 * MEMORY_GB,
        "dynamodb_write_unit": orders,
        "sns_publish": orders,
        "sns_email": orders,
        "logs_gb": orders * (2 * LINES_OF_LAMBDA + 500) / 1e9,
    }
