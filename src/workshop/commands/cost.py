"""`workshop cost`: estimate what a number of orders costs, and compare it with a naive design."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from workshop.base.console import Console
from workshop.base.settings import Settings

PRICES = Path(__file__).parents[1] / "prices.json"
#: Measurements of a spike of 2,000 orders. Your own `workshop spike --orders 2000` replaces them.
MEASURED = Path(__file__).parents[1] / "measured.json"

#: Of both functions: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
MEMORY_GB = 0.25
#: The trigger receives and deletes up to ten messages per request.
MESSAGES_PER_REQUEST = 10
#: A transaction uses two write units per item: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
UNITS_PER_TRANSACTED_ITEM = 2
#: The batching window of both triggers in seconds, and their batch sizes.
WINDOW, ORDERS_PER_WRITE, ORDERS_PER_EMAIL = 1.0, 25, 1_000
#: Lambda polls a queue with five pollers, and a new on-demand table's stream has four shards. Each fills its own
#: batches. With a maximum concurrency on the trigger, the five pollers also run while the queue is empty.
#: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
POLLERS, SHARDS = 5, 4
#: Seconds of long polling. An empty receive is billed too:
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
LONG_POLL_SECONDS = 20
#: A smaller spike is no measure of how well orders share writes and e-mails.
ENOUGH_ORDERS = 1_000
SECONDS_A_MONTH = 30 * 24 * 3600
#: The empty receives of a month without orders. Spikes last only minutes, so they don't change it.
IDLE_RECEIVES = POLLERS * SECONDS_A_MONTH / LONG_POLL_SECONDS
#: The bytes that Lambda logs per invocation (START, END, REPORT), and the estimated duration of a naive function.
LAMBDA_LOG_BYTES, NAIVE_MILLISECONDS = 360, 15

#: The designs to compare, with their labels; and the line width from which the table also shows quantities.
DESIGNS, WIDE = {"spikes": "In spikes", "spread": "Evenly", "naive": "Naive"}, 120


def cost(
    settings: Settings,
    console: Console,
    orders: Annotated[int, Option(min=1, max=10**12, help="Orders a month.")] = 1_000_000,
) -> dict[str, Any]:
    """Estimate what a month of orders costs.

    Example: workshop cost --orders 1000000
    """
    book = json.loads(PRICES.read_text(encoding="utf-8"))
    measured, source = latest_measurement(settings)
    if measured.get("embedded"):
        measured |= batches_of(measured["orders"], measured["ordersPerSecond"])
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
    show_lines(
        console,
        lines,
        totals,
        f"{orders:,} orders a month in {book['region']}, in {book['currency']} (prices of {book['as_of']})",
    )
    console.say(f"In spikes: {per_write:.0f} orders per write and {per_email:.0f} per e-mail, from {source}.")
    if measured.get("embedded"):
        rate = f"{measured['ordersPerSecond']:.0f} orders a second"
        console.say(f"  Duration and logs: measured on an embedded AWS. Batches: calculated for AWS at {rate}.")
    console.say("Evenly: too few orders arrive per second to share e-mails. A longer batching window would help.")
    console.say("Naive: each order has its own invocations, write and e-mail.")
    for name, title in list(DESIGNS.items())[:2]:
        parts = " + ".join(f"{number:,.0f} {what}" for what, number in requests[name].items())
        console.say(f"SQS requests, {title.lower()}: {parts}.")
    idle = IDLE_RECEIVES * book["prices"]["sqs_request"]["price"]
    pollers = f"{POLLERS} pollers, one every {LONG_POLL_SECONDS} seconds"
    console.say(f"Idle: {IDLE_RECEIVES:,.0f} empty receives a month ({pollers}), ${idle:.2f}.")
    console.say("  The first million SQS requests of a month are free.")
    return {"orders": orders, "currency": book["currency"], "asOf": book["as_of"], "measured": source,
            "sqsRequests": requests, "idleCost": round(idle, 4),
            "ordersPerWrite": round(per_write, 1), "ordersPerEmail": round(per_email, 1),
            "total": round(totals["spikes"], 4), "totals": {k: round(v, 4) for k, v in totals.items()},
            "lines": lines}  # fmt: skip


def show_lines(console: Console, lines: list[dict[str, Any]], totals: dict[str, float], title: str) -> None:
    """Print the cost of each item in each design, and its quantity if the terminal is wide enough."""
    wide = console.width is None or console.width >= WIDE
    headings = [text for name in DESIGNS.values() for text in ((name, "USD") if wide else (name,))]
    rows = [
        (
            line["per"],
            price(line["price"]),
            *(
                text
                for name in DESIGNS
                for text in (amount(line[name]["quantity"]), f"{line[name]['cost']:,.2f}")[0 if wide else 1 :]
            ),
        )
        for line in lines
    ]
    total = [text for name in DESIGNS for text in ("", f"{totals[name]:,.2f}")[0 if wide else 1 :]]
    console.table(title, ("Item", "Price", *headings), [*rows, ("total", "", *total)])


def price(one: float) -> str:
    """Format a price, small ones per million."""
    return f"{one:.2f}" if one > 0.01 else f"{one * 1e6:.4g} /M"


def amount(quantity: float) -> str:
    """Format a quantity, small ones with decimals."""
    return f"{quantity:,.0f}" if quantity >= 100 else f"{quantity:.2f}"


def latest_measurement(settings: Settings) -> tuple[dict[str, Any], str]:
    """Return the measurements of the last large spike in this state folder, or the built-in ones.

    Returns:
        The measurements for `orders` orders, and their source.
    """
    runs = sorted((settings.state_dir / "spikes").glob("*.json"), key=lambda path: path.stat().st_mtime)
    for path in reversed(runs):
        measured = json.loads(path.read_text(encoding="utf-8")).get("measured", {})
        known = all(measured.get(key) for key in ("publishes", "writerCalls", "ordersPerSecond"))
        if known and measured["orders"] >= ENOUGH_ORDERS:
            return measured, path.name
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    return measured, f"a spike of {measured['orders']:,} orders"


def batches_of(orders: int, rate: float) -> dict[str, float]:
    """Calculate how many batches AWS makes of orders at a constant rate.

    A batch starts with one order, and collects what arrives at its poller or shard until its window ends or it's full.

    Args:
        orders: the number of orders.
        rate: orders a second.
    """
    writes = orders / min(ORDERS_PER_WRITE, 1 + rate * WINDOW / POLLERS)
    emails = orders / min(ORDERS_PER_EMAIL, 1 + rate * WINDOW / SHARDS)
    return {"writerCalls": writes, "notifierCalls": emails, "publishes": emails}


def sqs_requests(orders: int, batches: float, empty: float) -> dict[str, float]:
    """Calculate the billed SQS requests: one send per order, receives and deletes for up to ten.

    Args:
        orders: the number of orders.
        batches: the number of batches.
        empty: the number of empty receives.
    """
    tens = batches * math.ceil(round(orders / batches, 6) / MESSAGES_PER_REQUEST)
    return {"sends": orders, "receives": tens, "deletes": tens, "empty receives": empty}


def empty_receives(batches: float) -> float:
    """Calculate the empty receives of a month, if batches arrive at random at a constant rate.

    A poller waits for its next batch in receives of 20 seconds; all but the last one are empty.
    """
    pause = POLLERS * SECONDS_A_MONTH / batches
    longer = math.exp(-LONG_POLL_SECONDS / pause)
    return batches * longer / (1 - longer)


def usage(orders: int, measured: dict[str, Any]) -> dict[str, float]:
    """Return what the design uses for a number of orders: `{item of the price file: quantity}`."""
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
    """Return the measurements of the same design if orders arrive evenly over the month."""
    calls = batches_of(orders, orders / SECONDS_A_MONTH)
    functions = calls["writerCalls"] + calls["notifierCalls"]
    return {
        **calls,
        "orders": orders,
        "billedMilliseconds": NAIVE_MILLISECONDS * functions,
        "logBytes": LAMBDA_LOG_BYTES * functions + 500 * orders,
    }


def naive(orders: int) -> dict[str, float]:
    """Return what a design uses that handles each order by itself."""
    return {
        "api_request": orders,
        "lambda_request": orders * 2,
        "lambda_gb_second": orders * 2 * NAIVE_MILLISECONDS / 1000 * MEMORY_GB,
        "dynamodb_write_unit": orders,
        "sns_publish": orders,
        "sns_email": orders,
        "logs_gb": orders * (2 * LAMBDA_LOG_BYTES + 500) / 1e9,
    }
