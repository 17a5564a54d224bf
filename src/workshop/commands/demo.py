"""`workshop demo`: everything once, on an embedded AWS of its own that is gone afterwards."""

import dataclasses

from workshop.boundary import bring_boundary
from workshop.commands.build import run_steps
from workshop.commands.clean import cleanup, remaining_is_failure
from workshop.commands.inbox import inbox
from workshop.commands.order import order
from workshop.commands.verify import failed, verify
from workshop.console import Console
from workshop.embedded import passing
from workshop.errors import WorkshopError
from workshop.opening import open_workshop
from workshop.settings import Settings
from workshop.tracing import way_ended


def demo(settings: Settings, console: Console) -> None:
    """Build, verify, order, trace, read the mail, clean up: on a fresh embedded AWS of its own.

    Example: workshop demo

    Raises:
        WorkshopError: something of it does not hold.
    """
    with passing("demo") as folder:
        _tour(dataclasses.replace(settings, target="local", state_dir=folder, yes=True), console)
    console.say("The embedded AWS of this demo is gone.", "bold")


def _tour(settings: Settings, console: Console) -> None:
    ws = open_workshop(settings, console)
    bring_boundary(ws)

    console.say("\nBuild", "bold underline")
    run_steps(ws, ws.steps, "demo")

    console.say("\nVerify", "bold underline")
    _demand(failed(verify(ws)))

    console.say("\nPlace an order, and follow it", "bold underline")
    placed = order(ws, trace=True, wait=30)
    _demand(way_ended(placed))
    console.say(f"In the table: {ws.find_order(placed['orderId'])}")

    console.say("\nRead the mail", "bold underline")
    inbox(ws)

    console.say("\nClean up", "bold underline")
    _demand(remaining_is_failure(cleanup(ws)))


def _demand(problem: WorkshopError | None) -> None:
    """Stop the tour at the first thing that does not hold."""
    if problem:
        raise problem
