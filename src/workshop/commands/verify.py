"""`workshop verify`: run the checks of some steps or all."""

import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from botocore.exceptions import BotoCoreError, ClientError
from typer import Argument, Option

from workshop.aws.values import brief
from workshop.base.console import Console
from workshop.base.errors import WorkshopError
from workshop.base.spelling import counted
from workshop.build.checks import Check, Verdict, run_check
from workshop.build.opening import OpenWorkshop
from workshop.build.remedies import Remedies
from workshop.build.step import Step, find_step
from workshop.orders.api import PROBE

STEPS = Annotated[list[str] | None, Argument(metavar="STEP", help="Such as 3, sqs or 03_sqs.")]
READ_ONLY = Annotated[bool, Option("--read-only", help="Run only the checks that send nothing.")]

VERBOSE = Annotated[bool, Option("--verbose", help="List every check and what it found.")]


def verify(
    ws: OpenWorkshop, steps: STEPS = None, read_only: READ_ONLY = False, verbose: VERBOSE = False
) -> dict[str, Any]:
    """Check what is built: pass or fail, why, and how to fix it.

    The checks of step 8 place one order and delete it again, so the subscriber gets one e-mail. Those of steps 3 and 6
    try to send a message without credentials. --read-only skips all of these.

    Example: workshop verify 3 4
    """
    chosen = choose(ws.steps, steps)
    document = report(ws, chosen, read_only, verbose)
    if not document["failed"] and len(chosen) == len(ws.steps):
        ws.console.say(f"Next: workshop order --trace{ws.settings.options}")
    return document


def report(ws: OpenWorkshop, chosen: list[Step], read_only: bool = False, verbose: bool = False) -> dict[str, Any]:
    """Run the checks of some steps. Print a line for each step, then the failures.

    Steps of which nothing is built yet get only that line.

    Args:
        ws: the context.
        chosen: the steps.
        read_only: run only the checks that send nothing.
        verbose: print every check.

    Returns:
        The document of `workshop verify --json`.
    """
    began = time.monotonic()
    unbuilt: set[int] = set()

    def show(step: Step, verdicts: list[Verdict]) -> None:
        passed = sum(verdict.passed for verdict in verdicts)
        if verdicts and not passed and not_built(ws, step):
            unbuilt.add(step.number)
        result = "not built" if step.number in unbuilt else f"{passed}/{len(verdicts)}"
        ws.console.mark("pass" if passed == len(verdicts) else "fail", f"{step.label} {result}")
        for verdict in verdicts if verbose else ():
            ws.console.mark("pass" if verdict.passed else "fail", verdict.name, verdict.detail, lead="    ")

    verdicts = grade(ws, chosen, read_only, show)
    failures = [one for one in verdicts if not one.passed and (verbose or one.step not in unbuilt)]
    show_failures(ws.console, failures, ws.steps)
    passed, left_out = sum(v.passed for v in verdicts), sum(len(step.checks) for step in chosen) - len(verdicts)
    ws.console.say(
        f"{passed} passed, {len(verdicts) - passed} failed."
        + (f" {left_out} skipped because they send something." if left_out else "")
        + f" Took {time.monotonic() - began:.1f} s."
    )
    if len(unbuilt) == len(ws.steps):
        ws.console.say(f"Nothing is built yet. Run: workshop up{ws.settings.options}")
    return {
        "passed": passed,
        "failed": len(verdicts) - passed,
        "leftOut": left_out,
        "checks": [vars(v) for v in verdicts],
    }


def not_built(ws: OpenWorkshop, step: Step) -> bool:
    """Return whether all resources of a step are missing, and none of their names is taken by someone else."""
    try:
        return all(one.result == "missing" and not one.foreign for one in step.examine(ws))
    except (WorkshopError, ClientError, BotoCoreError):
        return False


def show_failures(console: Console, failures: list[Verdict], steps: list[Step]) -> None:
    """Print failed checks. Consecutive checks with the same cause and remedy become one line with their number."""
    alike = itertools.groupby(failures, lambda verdict: (verdict.step, verdict.detail, verdict.remedy))
    for (number, detail, remedy), group in alike:
        verdicts = list(group)
        what = verdicts[0].name if len(verdicts) == 1 else f"{len(verdicts)} checks failed"
        console.say()
        console.mark("fail", f"{steps[number - 1].label}: {what}")
        console.say(detail, lead="    ")
        console.say(f"Fix: {remedy}", lead="    ")
    if failures:
        console.say()


def grade(
    ws: OpenWorkshop,
    steps: list[Step],
    read_only: bool = False,
    report_step: Callable[[Step, list[Verdict]], None] = lambda step, verdicts: None,
) -> list[Verdict]:
    """Run the checks of some steps, and delete the orders that they placed.

    Args:
        ws: the context.
        steps: the steps.
        read_only: run only the checks that send nothing.
        report_step: called after each step with its verdicts, whose remedies aren't final yet.

    Returns:
        A verdict for each check, in order.
    """
    ws.forget_needed()
    ws.shared.clear()
    ran: list[tuple[Step, Check]] = []
    verdicts: list[Verdict] = []
    before = ws.client.read_only
    ws.client.read_only = before or read_only
    try:
        for step in steps:
            first = len(verdicts)
            for check in step.checks:
                if read_only and check.sends:
                    continue
                with ws.console.working(f"step {step.label}: {check.name}"):
                    verdicts.append(run_check(ws, step.number, step.command, check))
                ran.append((step, check))
                ws.shared["failed"] = ws.shared.get("failed") or not verdicts[-1].passed
            report_step(step, verdicts[first:])
    finally:
        ws.client.read_only = before
        if "probe" in ws.shared:
            remove_probes(ws)
    with ws.console.working("looking for remedies"):
        remedies = Remedies(ws)
        return [
            replace(verdict, remedy=remedies.of(step, check, verdict))
            for (step, check), verdict in zip(ran, verdicts, strict=True)
        ]


def remove_probes(ws: OpenWorkshop) -> None:
    """Delete the orders of checks from the table: this run's, and any that arrived late in an earlier run."""
    dynamodb, table = ws.client("dynamodb"), ws.name("ecommerce-orders")
    with contextlib.suppress(ClientError):
        # One page covers a workshop's table, and is cheap in a large one.
        found = dynamodb.scan(
            TableName=table,
            ProjectionExpression="orderId",
            FilterExpression="begins_with(orderId, :probe)",
            ExpressionAttributeValues={":probe": {"S": PROBE}},
        )["Items"]
        for order_id in [ws.shared["probe"], *(item["orderId"]["S"] for item in found)]:
            dynamodb.delete_item(TableName=table, Key={"orderId": {"S": order_id}})


def choose(steps: list[Step], names: list[str] | None) -> list[Step]:
    """Return the steps with the given numbers or names; all of them if none is given.

    Raises:
        UsageError: there is no such step.
    """
    picked = [find_step(steps, name) for name in names or []]
    return [step for step in steps if not picked or step in picked]


def failed(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """Return the error to exit with if a check failed."""
    if not document["failed"]:
        return None
    first = next(check for check in document["checks"] if not check["passed"])
    return WorkshopError(
        f"{counted(document['failed'], 'check')} failed, the first in step {first['step']}: {first['name']}"
        f" ({brief(first['detail']).rstrip('.')}).",
        f"Try: {first['remedy']}",
    )
