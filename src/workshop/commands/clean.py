"""`workshop cleanup`: runs the last lesson, `cleanup/teardown.py`, and prints its two accounts."""

import dataclasses
from typing import Annotated, Any

from typer import Option

from workshop.errors import WorkshopError
from workshop.managed import refuse_managed
from workshop.opening import load
from workshop.regions import refusal
from workshop.settings import DEFAULT_REGION
from workshop.step import Workshop


def cleanup(
    ws: Workshop,
    dry_run: Annotated[bool, Option("--dry-run", help="Only show what would be deleted.")] = False,
) -> dict[str, Any]:
    """Delete everything of this participant, and prove that nothing is left.

    Example: workshop cleanup --dry-run
    """
    teardown = load("cleanup/teardown.py")
    ours = teardown.find_ours(ws)
    # Whatever was answered beforehand: it is the stack that has to be deleted.
    refuse_managed(ws, [(kind, one) for kind, _, one in ours])
    found = [{"kind": kind, "name": name} for kind, name, _ in ours]
    if dry_run:
        for entry in found:
            ws.console.result("to delete", entry["kind"], entry["name"])
        tell_elsewhere(ws)
        ws.console.say(f"{len(found)} resources would be deleted.")
        return {"deleted": [], "remaining": found}
    if found:
        whose = f"{len(found)} resources of {ws.settings.participant} in account {ws.account}, {ws.region}"
        ws.console.confirm(f"Delete {whose}, with the orders in them?", ws.settings.yes)
    with ws.state.lock("cleanup"):
        deleted = teardown.delete_ours(ws)
        remaining = teardown.find_left_over(ws)
        for entry in remaining:
            ws.console.result("remaining", entry["kind"], entry["name"])
        if not remaining:
            ws.state.delete()
    tell_elsewhere(ws)
    ws.console.say(f"{len(deleted)} deleted, {len(remaining)} remaining.")
    if not remaining:
        ws.console.say("Nothing is left: looked for every name, and for every tag.")
    return {"deleted": deleted, "remaining": remaining}


def tell_elsewhere(ws: Workshop) -> None:
    """Say which roles and policies stay, because they are another region's or because nothing tells whose they are."""
    stays: dict[str, list[str]] = {}
    for kind, found, region in load("cleanup/teardown.py").find_elsewhere(ws):
        if region is None:
            ws.console.note(str(refusal(ws, kind, found, None)))
        else:
            stays.setdefault(region, []).append(kind)
    same_options = dataclasses.replace(ws.settings, region=DEFAULT_REGION).options
    for region, kinds in stays.items():
        ws.console.say(
            f"Left as they are: {kinds.count('policy')} policies and {kinds.count('role')} roles of region {region}."
            f" To delete them: workshop cleanup{same_options} --region {region}"
        )


def remaining_is_failure(document: dict[str, Any], dry_run: bool = False) -> WorkshopError | None:
    """What the command ends with when something is left."""
    if dry_run or not document["remaining"]:
        return None
    names = ", ".join(f"{entry['kind']} {entry['name']}" for entry in document["remaining"])
    return WorkshopError(f"Still there: {names}.", "Run the clean-up again; what stays needs a look by hand.")
