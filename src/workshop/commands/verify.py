"""`workshop verify`: the checks of one step or all, like an instructor would ask them."""

import contextlib
from typing import Annotated, Any

from botocore.exceptions import ClientError
from typer import Argument

from workshop.checking import Verdict, run_check
from workshop.context import PROBE
from workshop.errors import UsageError, WorkshopError
from workshop.step import Step, Workshop


def verify(
    ws: Workshop,
    steps: Annotated[list[str] | None, Argument(metavar="[STEP]...", help="Such as 3, sqs or 03_sqs.")] = None,
) -> dict[str, Any]:
    """Check what was built: pass or fail, why, and what to do.

    Example: workshop verify 3 4
    """
    picked = [choose(ws, name) for name in steps or []]
    chosen = [step for step in ws.steps if not picked or step in picked]
    verdicts = grade(ws, chosen)
    for step in chosen:
        rows = [v for v in verdicts if v.step == step.number]
        ws.console.table(
            f"Step {step.number}: {step.title}",
            ("Check", "Result", "Found", "Remedy"),
            [(v.name, "pass" if v.passed else "fail", v.detail, v.remedy) for v in rows],
        )
    passed = sum(v.passed for v in verdicts)
    ws.console.say(f"{passed} passed, {len(verdicts) - passed} failed.")
    return {
        "passed": passed,
        "failed": len(verdicts) - passed,
        "checks": [vars(v) for v in verdicts],
    }


def grade(ws: Workshop, steps: list[Step]) -> list[Verdict]:
    """Run the checks of some steps, and take away what they placed.

    Returns:
        A verdict for each check, in order.
    """
    ws.forget_needed()
    ws.scratch.clear()
    verdicts: list[Verdict] = []
    try:
        for step in steps:
            for check in step.checks:
                with ws.console.working(f"step {step.number}: {check.name}"):
                    verdicts.append(run_check(ws, step.number, step.command, check))
                ws.scratch["failed"] = ws.scratch.get("failed") or not verdicts[-1].passed
    finally:
        if "probe" in ws.scratch:
            remove_probes(ws)
    return verdicts


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


def choose(ws: Workshop, name: str) -> Step:
    """The step that a person means by a number, a name or both.

    Raises:
        UsageError: there is none.
    """
    for step in ws.steps:
        if name in (str(step.number), f"{step.number:02d}", step.name, step.command):
            return step
    raise UsageError(f"There is no step {name!r}.", f"There are {', '.join(step.command for step in ws.steps)}.")


def failed(document: dict[str, Any], **_: Any) -> WorkshopError | None:
    """What the command ends with when a check failed."""
    if not document["failed"]:
        return None
    first = next(check for check in document["checks"] if not check["passed"])
    return WorkshopError(
        f"Failed checks: {document['failed']}, the first of step {first['step']}: {first['name']} ({first['detail']}).",
        f"Try: {first['remedy']}",
    )
