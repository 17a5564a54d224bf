"""`workshop demo`: the whole workshop once, on a temporary embedded AWS."""

import dataclasses
import json
import time
from typing import Annotated

from typer import Option

from workshop.base.console import Console
from workshop.base.errors import WorkshopError
from workshop.base.settings import Settings
from workshop.build.boundary import bring_boundary
from workshop.build.opening import open_workshop
from workshop.commands.build import run_steps
from workshop.commands.clean import delete_all, remaining_is_failure
from workshop.commands.inbox import show_mail
from workshop.commands.order import order
from workshop.commands.verify import failed, report
from workshop.embedded import passing
from workshop.orders.api import find_order
from workshop.orders.mail import read_mail
from workshop.orders.tracing import incomplete

#: What to type next, and what it does.
NEXT = {
    "workshop 01_iam": "build it yourself, one step at a time",
    "workshop up": "or all steps at once; it stays until you clean up",
    "workshop order --trace": "place an order and follow it",
    "workshop spike": "place 1,000 orders at once and account for each",
    "workshop --help": "see all commands",
}
PATH = "POST /orders > API Gateway > SQS > POC-Lambda-1 > DynamoDB > Streams > POC-Lambda-2 > SNS > e-mail"


def demo(
    settings: Settings,
    console: Console,
    verbose: Annotated[bool, Option("--verbose", help="Print a line for each resource.")] = False,
) -> None:
    """Build everything, check it, follow one order and clean up.

    It runs on a temporary embedded AWS, so you need no account and nothing you have built is touched.

    Example: workshop demo

    Raises:
        WorkshopError: one of its parts failed.
    """
    began = time.monotonic()
    console.say("The path of an order through AWS, built and tried out on a temporary embedded AWS:")
    console.say(PATH, "cyan", lead="  ")
    with passing("demo") as folder:
        _tour(dataclasses.replace(settings, target="local", state_dir=folder, yes=True), console, verbose)
    console.say(f"\nDone in {time.monotonic() - began:.0f} seconds. The demo's embedded AWS is gone. Next:", "bold")
    for command, what in NEXT.items():
        console.say(what, lead=f"  {command:<25}")


def _tour(settings: Settings, console: Console, verbose: bool) -> None:
    ws = open_workshop(settings, console)
    bring_boundary(ws)

    console.say(f"\n1. Build it in {len(ws.steps)} steps, each a Python file that you can read and run", "bold")
    run_steps(ws, ws.steps, "demo", verbose=verbose, each=verbose)

    console.say("\n2. Check it", "bold")
    _demand(failed(report(ws, ws.steps, verbose=verbose)))

    console.say("\n3. Place an order and follow it", "bold")
    placed = order(ws, trace=True, wait=30)
    _demand(incomplete(placed))
    console.say(f"In DynamoDB: {json.dumps(find_order(ws, placed['orderId']), ensure_ascii=False)}")

    console.say("\n4. Read the subscriber's e-mail", "bold")
    (mail,) = (mail for mail in read_mail(ws) if placed["orderId"] in mail["orderIds"])
    show_mail(console, mail)

    console.say("\n5. Clean up, and check that nothing is left", "bold")
    _demand(remaining_is_failure(delete_all(ws, each=verbose)))


def _demand(problem: WorkshopError | None) -> None:
    """Stop the demo at the first failure."""
    if problem:
        raise problem
