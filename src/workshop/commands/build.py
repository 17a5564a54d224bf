"""`workshop 01_iam` … `08_api`, `up` and `status`: build, and compare what is built with the steps."""

import time
from collections import Counter
from typing import Annotated, Any

from typer import Option

from workshop.aws.clients import Call
from workshop.aws.values import in_a_line
from workshop.awscli.render import render
from workshop.base.errors import UsageError
from workshop.build.opening import OpenWorkshop
from workshop.build.step import Difference, Resource, Step, Workshop
from workshop.kinds import KINDS
from workshop.kinds.foreign import refuse_foreign
from workshop.orders.api import api_url

#: The results of a resource, in the order of the summary.
RESULTS = ("created", "updated", "unchanged")


def run_steps(
    ws: OpenWorkshop,
    steps: list[Step],
    command: str,
    show_cli: bool | None = None,
    verbose: bool = False,
    each: bool = True,
) -> dict[str, Any]:
    """Run steps in order, and print the next command.

    Args:
        ws: the context.
        steps: the steps.
        command: the command that holds the lock.
        show_cli: print each call as an AWS CLI command; by default for a single step on a terminal.
        verbose: print ARNs, unchanged resources, and all calls in full, including reads.
        each: print a line for each resource, not for each step.

    Returns:
        `{"created", "updated", "unchanged", "seconds", "url", "resources": [{"step", "kind", "name", "arn", "result",
        "differences"}]}`: counts, seconds, the URL that accepts orders (None if no step made the API), and each
        resource.
    """
    confirm_target(ws, steps)
    if show_cli is None:
        show_cli = len(steps) == 1 and ws.console.is_terminal
    report = Report(ws, len(steps) == 1, show_cli, verbose, each)
    began = time.monotonic()
    with ws.state.lock(command):
        for step in steps:
            report.begin(step)
            step.run(ws, report.add)
            report.end()
    seconds = round(time.monotonic() - began, 1)
    counts = report.counts(report.resources)
    ws.console.say(", ".join(f"{counts[word]} {word}" for word in RESULTS) + f" in {seconds:.1f} s")
    following = next((step for step in ws.steps if step.number == steps[-1].number + 1), None)
    url = api_url(ws) if any(step.makes("rest-api", "ecommerce-orders-api") for step in steps) else None
    if each and url:
        ws.console.say(f"API: {url}")
    if following:
        ws.console.say(f"Next: workshop {following.command}{ws.settings.options}  ({following.title})")
    elif each:
        ws.console.say(f"Next: workshop {'order --trace' if url else 'verify'}{ws.settings.options}")
    return {
        **{word: counts[word] for word in RESULTS},
        "seconds": seconds,
        "url": url,
        "resources": [
            {
                **{key: getattr(resource, key) for key in ("step", "kind", "name", "arn", "result")},
                "differences": as_documents(resource.differences),
            }
            for resource in report.resources
        ],
    }


def as_documents(differences: list[Difference]) -> list[dict[str, Any]]:
    """Return differences as `--json` prints them."""
    return [{"setting": one.setting, "is": one.is_, "should": one.should} for one in differences]


class Report:
    """Prints each resource's result while steps run.

    Args:
        ws: the context.
        alone: this is the only step, so list unchanged resources too.
        show_cli: print the equivalent AWS CLI commands under each resource.
        verbose: print ARNs, unchanged resources, and all calls in full, including reads.
        each: print a line for each resource, not for each step.
    """

    def __init__(self, ws: OpenWorkshop, alone: bool, show_cli: bool, verbose: bool, each: bool) -> None:
        self.ws, self.alone, self.verbose, self.each = ws, alone, verbose, each
        self.resources: list[Resource] = []
        self._calls: list[Call] = []
        if show_cli:
            ws.client.listeners.append(self._calls.append)

    def begin(self, step: Step) -> None:
        """Start a step. Print its title now if its resources are listed anyway."""
        self._step, self._first, self._headed = step, len(self.resources), False
        if self.each and (self.alone or self.verbose):
            self._head()

    def add(self, resource: Resource) -> None:
        """Print the result of one resource."""
        self.resources.append(resource)
        calls = [call for call in self._calls if self.verbose or not call.is_read]
        self._calls.clear()
        if not self.each or (resource.result == "unchanged" and not (self.alone or self.verbose or calls)):
            return
        if not self._headed:
            self._head()
        console = self.ws.console
        console.result(resource.result, resource.kind, resource.name, resource.arn if self.verbose else "")
        for difference in resource.differences:
            console.say(f"    fixed: {as_text(self.ws, difference)}")
        for call in calls:
            command = render(call.service, call.operation, call.parameters, f"{resource.name}.zip")
            console.command(command, whole=self.verbose or not console.is_terminal)

    def end(self) -> None:
        """Print the summary of a step whose resources weren't all listed."""
        if self.alone and self.each:
            return
        counts = self.counts(self.resources[self._first :])
        words = ", ".join(f"{counts[word]} {word}" for word in RESULTS if counts[word])
        if not self._headed:
            self.ws.console.mark("pass", f"{self._step.label}  {words}", "" if self.each else self._step.title)
        elif counts["unchanged"] and not self.verbose:
            self.ws.console.say(f"  {counts['unchanged']} unchanged", "dim")

    def counts(self, resources: list[Resource]) -> Counter[str]:
        """Count the resources by result."""
        return Counter(resource.result for resource in resources)

    def _head(self) -> None:
        self._headed = True
        self.ws.console.say(f"Step {self._step.number}: {self._step.title}", "bold")


def as_text(ws: Workshop, difference: Difference) -> str:
    """Return a difference as text. In a pipe, long values aren't shortened."""
    if ws.console.is_terminal:
        return str(difference)
    is_, should = in_a_line(difference.is_), in_a_line(difference.should)
    return f"{difference.setting} is {is_}, should be {should}"


def confirm_target(ws: OpenWorkshop, steps: list[Step]) -> None:
    """On real AWS, show account, identity, region and cost, and ask for confirmation.

    Raises:
        UsageError: the steps need an e-mail address.
        ForeignResource: there is no prefix, and a resource of someone else's has one of the names.
        WorkshopError: the answer is no.
    """
    if ws.settings.target != "aws":
        return
    needs_email = any(step.makes("subscription", "ecommerce-orders-topic") for step in steps)
    if needs_email and not ws.settings.email and not ws.find_all("subscription", "ecommerce-orders-topic"):
        raise UsageError("There is no e-mail address to notify.", "Add --email you@example.com.")
    if not ws.settings.prefix:
        refuse_foreign_names(ws)
    where = {
        "Account": ws.account,
        "Identity": ws.identity,
        "Region": ws.region,
        "Prefix": ws.settings.prefix or "none",
        "Cost": "up to $0.26 a month when idle, about $6 per million orders (see workshop cost)",
    }
    for key, value in where.items():
        ws.console.say(f"  {key + ':':<10}{value}")
    ws.console.confirm(f"Build in account {ws.account}, {ws.region}?", ws.settings.yes)


def refuse_foreign_names(ws: OpenWorkshop) -> None:
    """Refuse to start if someone else uses the same names, rather than stop halfway."""
    for step in ws.steps:
        for declaration in step.declarations:
            kind = KINDS.get(declaration.kind)
            found = kind and kind.find(ws, declaration.named(ws))
            if found:
                refuse_foreign(ws, declaration.kind, declaration.named(ws), found)


def status(
    ws: OpenWorkshop,
    verbose: Annotated[bool, Option("--verbose", help="List every resource with its ARN.")] = False,
) -> dict[str, Any]:
    """Show which resources are present, missing or drifted.

    A resource has drifted if a setting differs from its step. Recorded means that the state file lists it.

    Example: workshop status
    """
    rows: list[dict[str, Any]] = []
    shown: list[tuple[str, ...]] = []
    for step in ws.steps:
        with ws.console.working(f"checking step {step.label}"):
            resources = step.examine(ws)
        for resource in resources:
            record = ws.state.find(resource.kind, resource.name)
            arn = resource.arn or (record or {}).get("arn", "")
            rows.append(
                {
                    "step": step.number,
                    "kind": resource.kind,
                    "name": resource.name,
                    "arn": arn,
                    "state": resource.result,
                    "recorded": record is not None,
                    "differences": as_documents(resource.differences),
                }
            )
            if verbose or resource.result != "present" or record is None:
                details = "; ".join(as_text(ws, one) for one in resource.differences)
                recorded = "yes" if record else "no"
                where = (arn,) if verbose else ()
                shown.append(
                    (str(step.number), resource.result, recorded, resource.kind, resource.name, *where, details)
                )
    counts = Counter(row["state"] for row in rows)
    counted = [f"{counts[word]} {word}" for word in ("present", "missing", "drifted")]
    ws.console.say(", ".join([*counted, f"{sum(row['recorded'] for row in rows)} recorded"]))
    # If nothing is built, the counts say enough.
    begun = counts["missing"] < len(rows) or any(row["recorded"] for row in rows)
    if shown and (begun or verbose):
        arns = ("ARN",) if verbose else ()
        title = f"Resources of {ws.settings.participant} in {ws.account}, {ws.region}"
        ws.console.table(title, ("Step", "State", "Recorded", "Kind", "Name", *arns, "Differences"), shown)
    if not all(row["state"] == "present" and row["recorded"] for row in rows):
        ws.console.say(f"Next: workshop up{ws.settings.options}")
    return {"resources": rows}
