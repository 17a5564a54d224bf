"""`workshop demo`: everything once, on an embedded AWS of its own that is gone afterwards."""

import dataclasses
import tempfile
from pathlib import Path

from workshop.commands.build import run_steps
from workshop.commands.clean import cleanup, remaining_is_failure
from workshop.commands.inbox import inbox
from workshop.commands.order import order
from workshop.console import Console
from workshop.embedded import Embedded
from workshop.errors import WorkshopError
from workshop.opening import open_workshop
from workshop.settings import Settings


def demo(settings: Settings, console: Console) -> None:
    """Build, verify, order, trace, read the mail, clean up: on a fresh embedded AWS of its own.

    Example: workshop demo

    Raises:
        WorkshopError: something of it does not hold.
    """
    with tempfile.TemporaryDirectory(prefix="workshop-demo-") as folder:
        own = dataclasses.replace(settings, target="local", state_dir=Path(folder), yes=True)
        try:
            _tour(own, console)
        finally:
            Embedded(own.state_dir).stop()
    console.say("The embedded AWS of this demo is gone.", "bold")


def _tour(settings: Settings, console: Console) -> None:
    ws = open_workshop(settings, console)

    console.say("\nBuild", "bold underline")
    run_steps(ws, ws.steps, "demo")

    console.say("\nPlace an order", "bold underline")
    placed = order(ws)
    row = _stored(ws, placed["orderId"])
    console.say(f"In the table: {row}")

    console.say("\nRead the mail", "bold underline")
    if not inbox(ws, wait=30):
        raise WorkshopError("No e-mail came within 30 seconds.", "See: workshop verify")

    console.say("\nClean up", "bold underline")
    problem = remaining_is_failure(cleanup(ws))
    if problem:
        raise problem


def _stored(ws, order_id: str) -> dict:  # type: ignore[no-untyped-def]
    table, key = ws.name("ecommerce-orders"), {"orderId": {"S": order_id}}
    item = ws.patience.until(
        lambda: ws.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item"),
        f"order {order_id} is on its way to the table",
        30,
    )
    return {field: next(iter(value.values())) for field, value in item.items()}
