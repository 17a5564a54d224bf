"""`workshop 01_iam` … `08_api`, `up` and `status`: building, and looking at what was built."""

from typing import Any

from workshop.aws import Call
from workshop.awscli import render
from workshop.errors import ForeignResource, UsageError
from workshop.kinds import KINDS
from workshop.regions import refuse_other_region
from workshop.step import Resource, Step, Workshop


def run_steps(
    ws: Workshop, steps: list[Step], command: str, show_cli: bool | None = None, verbose: bool = False
) -> list[Resource]:
    """Run steps one after the other, and say what comes next.

    Args:
        ws: the context.
        steps: which.
        command: who holds the lock meanwhile.
        show_cli: print each call as an AWS CLI command; by default where a person reads along.
        verbose: the calls that only look as well.

    Returns:
        All their resources.
    """
    resources: list[Resource] = []
    confirm_target(ws, steps)
    if ws.console.is_terminal if show_cli is None else show_cli:
        tell_calls(ws, verbose)
    with ws.state.lock(command):
        for step in steps:
            resources += step.run(ws)
    counts = {word: sum(r.result == word for r in resources) for word in ("created", "updated", "unchanged")}
    ws.console.say(", ".join(f"{count} {word}" for word, count in counts.items()))
    following = next((step for step in ws.steps if step.number == steps[-1].number + 1), None)
    if following:
        ws.console.say(f"Next: workshop {following.command}{ws.settings.options}  ({following.title})")
    else:
        url = ws.api_url()
        ws.console.say(f"Orders go to: {url}")
        ws.console.say(f"Next: workshop order{ws.settings.options}")
    return resources


def tell_calls(ws: Workshop, verbose: bool) -> None:
    """Print, under each resource, the AWS CLI commands that do the same as the calls that were just made."""
    calls: list[Call] = []

    def tell(resource: Resource) -> None:
        told = [call for call in calls if verbose or not call.is_read]
        calls.clear()
        if told:
            ws.console.result(resource.result, resource.kind, resource.name)
        for call in told:
            package = f"{resource.name}.zip"
            command = render(call.service, call.operation, call.parameters, package)
            ws.console.say("    $ " + command.replace("\n", "\n    "), "dim")

    ws.client.listeners.append(calls.append)
    ws.finished = tell


def confirm_target(ws: Workshop, steps: list[Step]) -> None:
    """On real AWS, show where the work would be done, as whom, and at what cost; go on only if that is wanted.

    Raises:
        UsageError: the steps would need an e-mail address in the end.
        ForeignResource: there is no prefix, and something of the specification's names belongs to somebody else.
        WorkshopError: the answer is no.
    """
    if ws.settings.target != "aws":
        return
    tells_people = any(step.makes("subscription", "ecommerce-orders-topic") for step in steps)
    if tells_people and not ws.settings.email and not ws.find_all("subscription", "ecommerce-orders-topic"):
        raise UsageError("Nobody is there to be notified.", "Add --email you@example.com.")
    if not ws.settings.prefix:
        refuse_foreign_names(ws)
    where = {
        "Account": ws.account,
        "Identity": ws.identity,
        "Region": ws.region,
        "Prefix": ws.settings.prefix or "none: the specification's own names",
        "Cost": "up to $0.26 a month while nobody orders; about $6 for a million orders (workshop cost)",
    }
    for key, value in where.items():
        ws.console.say(f"  {key + ':':<10}{value}")
    ws.console.confirm("Build here?", ws.settings.yes)


def refuse_foreign_names(ws: Workshop) -> None:
    """Refuse to begin where somebody else uses the same names: nothing shall be half built beside them."""
    for step in ws.steps:
        for declaration in step.declarations:
            kind = KINDS.get(declaration.kind)
            found = kind and kind.find(ws, declaration.named(ws))
            if kind and found:
                refuse_other_region(ws, declaration.kind, kind, found)
            if kind and found and not kind.is_ours(ws, found):
                raise ForeignResource(
                    f"There is a {declaration.kind} {declaration.named(ws)} in account {ws.account} that is not this"
                    " workshop's, and without a prefix the names would meet. Nothing was changed.",
                    "Choose a prefix, such as: --prefix alice",
                )


def status(ws: Workshop) -> dict[str, Any]:
    """Show what the state records beside what AWS holds: present, missing, drifted.

    Example: workshop status --json
    """
    rows: list[dict[str, Any]] = []
    for step in ws.steps:
        with ws.console.working(f"looking at step {step.number}"):
            resources = step.examine(ws)
        for resource in resources:
            recorded = ws.state.find(resource.kind, resource.name)
            rows.append(
                {
                    "step": step.number,
                    "kind": resource.kind,
                    "name": resource.name,
                    "arn": resource.arn or (recorded or {}).get("arn", ""),
                    "state": resource.result,
                    "recorded": recorded is not None,
                    "differences": [
                        {"setting": d.setting, "is": d.is_, "should": d.should} for d in resource.differences
                    ],
                    "_details": "; ".join(str(d) for d in resource.differences)
                    or ("" if recorded or resource.result == "missing" else "ours, but not recorded"),
                }
            )
    ws.console.table(
        f"Resources of {ws.settings.participant} in {ws.account}, {ws.region}",
        ("Step", "State", "Kind", "Name", "ARN", "Differences"),
        [(str(r["step"]), r["state"], r["kind"], r["name"], r["arn"], r.pop("_details")) for r in rows],
    )
    return {"resources": rows}
