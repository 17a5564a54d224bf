"""`workshop verify`: the checks of one step or all, like an instructor would ask them."""

import contextlib
from dataclasses import replace
from typing import Annotated, Any

from botocore.exceptions import ClientError
from typer import Argument, Option

from workshop.checking import Verdict, run_check
from workshop.context import PROBE
from workshop.errors import UsageError, WorkshopError
from workshop.remedies import Remedies
from workshop.step import Step, Workshop

STEPS = Annotated[list[str] | None, Argument(metavar="[STEP]...", help="Such as 3, sqs or 03_sqs.")]
READ_ONLY = Annotated[bool, Option("--read-only", help="Run only the checks that send nothing.")]


def verify(ws: Workshop, steps: STEPS = None, read_only: READ_ONLY = False) -> dict[str, Any]:
    """Check what was built: pass or fail, why, and what to do.

    The checks of step 8 place one order and take it out of the table again: its subscriber gets one e-mail. Those of
    steps 3 and 6 try to send a message without credentials. --read-only leaves all of these out.

    Example: workshop verify 3 4
    """
    chosen = choose(ws.steps, steps)
    verdicts = grade(ws, chosen, read_only)
    for step in chosen:
        rows = [v for v in verdicts if v.step == step.number]
        ws.console.table(
            f"Step {step.number}: {step.title}",
            ("Check", "Result", "Found", "Remedy"),
            [(v.name, "pass" if v.passed else "fail", v.detail, v.remedy) for v in rows],
        )
    passed, left_out = sum(v.passed for v in verdicts), sum(len(step.checks) for step in chosen) - len(verdicts)
    ws.console.say(
        f"{passed} passed, {len(verdicts) - passed} failed."
        + (f" {left_out} left out, since they send something." if left_out else "")
    )
    return {
        "passed": passed,
        "failed": len(verdicts) - passed,
        "leftOut": left_out,
        "checks": [vars(v) for v in verdicts],
    }


def grade(ws: Workshop, steps: list[Step], read_only: bool = False) -> list[Verdict]:
    """Run the checks of some steps, and take away what they placed.

    Args:
        ws: the context.
        steps: whose checks.
        read_only: only those that send nothing.

    Returns:
        A verdict for each check, in order.
    """
    ws.forget_needed()
    ws.scratch.clear()
    asked = [(step, check) for step in steps for check in step.checks if not (read_only and check.sends)]
    verdicts: list[Verdict] = []
    before = ws.client.read_only
    ws.client.read_only = before or read_only
    try:
        for step, check in asked:
            with ws.console.working(f"step {step.number}: {check.name}"):
                verdicts.append(run_check(ws, step.number, step.command, check))
            ws.scratch["failed"] = ws.scratch.get("failed") or not verdicts[-1].passed
    finally:
        ws.client.read_only = before
        if "probe" in ws.scratch:
            remove_probes(ws)
    remedies = Remedies(ws)
    return [
        replace(verdict, remedy=remedies.of(step, check, verdict))
        for (step, check), verdict in zip(asked, verdicts, strict=True)
    ]


def remove_probes(ws: Workshop) -> None:
    """Take the orders of checks out of the table: this one's, and those that came late after an earlier one."""
    dynamodb, table = ws.client("dynamodb"), ws.name("ecommerce-orders")
    with contextlib.suppress(ClientError):
        # One page is enough to find what is left in a workshop's table, and cheap in a large one.
        found = dynamodb.scan(
            TableName=table,
            ProjectionExpression="orderId",
            FilterExpression="begins_with(orderId, :probe)",
            ExpressionAttributeValues={":probe": {"S": PROBE}},
        )["Items"]
        for key in [{"orderId": {"S": ws.scratch["probe"]}}, *found]:
            dynamodb.delete_item(TableName=table, Key=key)


def choose(steps: list[Step], names: list[str] | None) -> list[Step]:
    """The steps that a person means by their numbers, names or both; all of them if none is named.

    Raises:
        UsageError: there is no such step.
    """
    picked = [_named(steps, name) for name in names or []]
    return [step for step in steps if not picked or step in picked]


def _named(steps: list[Step], name: str) -> Step:
    for step in steps:
        if name in (str(step.number), f"{step.number:02d}", step.name, step.command):
            return step
    raise UsageError(f"There is no step {name!r}.", f"There are {', '.join(step.command for step in steps)}.")


def failed(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """What the command ends with when a check failed."""
    if not document["failed"]:
        return None
    first = next(check for check in document["checks"] if not check["passed"])
    return WorkshopError(
        f"Failed checks: {document['failed']}, the first of step {first['step']}: {first['name']} ({first['detail']}).",
        f"Try: {first['remedy']}",
    )
