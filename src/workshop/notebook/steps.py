"""Running a step, checking it, and checking the answer to an exercise.

Each table of checks carries its account as metadata of the output (`{"workshop": {"passed", "failed"}}`). That
is how a test tells red from green without reading HTML.
"""

from typing import Any

from botocore.exceptions import ClientError

from workshop.aws.values import brief
from workshop.aws.waiter import is_denied
from workshop.base.errors import WorkshopError
from workshop.base.state import State
from workshop.build.opening import OpenWorkshop, load
from workshop.build.resource import Resource
from workshop.commands import build
from workshop.commands.verify import grade
from workshop.notebook.calls import as_cli
from workshop.notebook.errors import in_words
from workshop.notebook.page import display_graded, html_table, tell


def run(ws: OpenWorkshop, number: int) -> None:
    """Run a step, exactly as `workshop 03_sqs` does, and fold its changes away as AWS CLI commands.

    Args:
        ws: the context.
        number: of the step.

    Raises:
        WorkshopError: something stands in the way.
    """
    step = ws.steps[number - 1]
    if ws.settings.target == "aws" and not ws.settings.prefix:
        build.refuse_foreign_names(ws)
    with ws.state.lock(f"the notebook of {step.command}"):
        # A terminal may have written to the record since this notebook opened it.
        ws.state = State.load(ws.settings, ws.account, ws.state.embedded)
        resources: list[Resource] = []
        try:
            step.run(ws, resources.append)
        finally:
            # Also when a resource failed: what was made before it stands.
            columns = ("Result", "Kind", "Name", "ARN")
            rows = [(r.result, r.kind, r.name, r.arn) for r in resources]
            if rows:
                ws.console.table(f"Step {step.number}: {step.title}", columns, rows)
            for resource in resources:
                for difference in resource.differences:
                    ws.console.say(f"  fixed: {resource.kind} {resource.name}: {difference}")
    counts = {word: sum(r.result == word for r in resources) for word in ("created", "updated", "unchanged")}
    tell(", ".join(f"{count} {word}" for word, count in counts.items() if count) + ".")
    as_cli(changes=True)


def verify(ws: OpenWorkshop, *numbers: int, only_failed: bool = False, read_only: bool = False) -> None:
    """Run the checks of some steps, exactly as `workshop verify` does.

    Args:
        ws: the context.
        numbers: of the steps; none stands for all.
        only_failed: leave out what passed.
        read_only: run only the checks that send nothing: no order, no e-mail.
    """
    steps = [ws.steps[number - 1] for number in numbers] or ws.steps
    verdicts = grade(ws, steps, read_only)
    failed = [verdict for verdict in verdicts if not verdict.passed]
    tables = []
    for step in steps:
        rows = [v for v in verdicts if v.step == step.number and not (only_failed and v.passed)]
        if rows:
            columns = ("Check", "Result", "Found", "Remedy") if failed else ("Check", "Result", "Found")
            texts = [(v.name, "pass" if v.passed else "fail", brief(v.detail), v.remedy)[: len(columns)] for v in rows]
            tables.append(html_table(f"Step {step.number}: {step.title}", columns, texts))
    summary = f"{len(verdicts) - len(failed)} of {len(verdicts)} checks pass."
    if failed:
        again = "; ".join(f"nb.run(ws, {number})" for number in dict.fromkeys(verdict.step for verdict in failed))
        summary += f" To put things right, run the step again: {again}"
    display_graded("".join(tables), summary, len(verdicts) - len(failed), len(failed))


def exercise(ws: OpenWorkshop, name: str, answer: Any) -> None:
    """Check the answer to a notebook's exercise, and tell what is still missing.

    Args:
        ws: the context.
        name: of the notebook, without its number, such as `sqs`.
        answer: what the exercise asks for.
    """
    rows: list[tuple[str, bool, str]] = []
    try:
        for row in load("notebooks/exercises").CHECKERS[name](ws, answer):
            rows.append(row)
    except Exception as error:  # whatever a first try does wrong
        if isinstance(error, WorkshopError) or (isinstance(error, ClientError) and is_denied(error)):
            # It is not the answer that is wrong: what it is tried on is missing, or may not be made.
            raise
        reason = in_words(error) if isinstance(error, ClientError) else repr(error)
        rows.append(("your answer can be used", False, f"It led to: {reason}"))
    passed = sum(row[1] for row in rows)
    texts = [(what, "pass" if good else "fail", "" if good else hint) for what, good, hint in rows]
    failed = len(rows) - passed
    end = f"{failed} to go: change the cell above, and run both again." if failed else "Solved. Well done!"
    display_graded(html_table("Your exercise", ("What is asked for", "Result", "Hint"), texts), end, passed, failed)
