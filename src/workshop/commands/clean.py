"""`workshop cleanup`: run `cleanup/teardown.py`, and print what it deleted and what is left."""

import time
from typing import Annotated, Any

from typer import Option

from workshop.base.errors import WorkshopError
from workshop.build.managed import refuse_managed
from workshop.build.opening import load
from workshop.build.step import Workshop
from workshop.kinds.foreign import cleanup_in, refusal
from workshop.kinds.regions import name_of


def cleanup(
    ws: Workshop,
    dry_run: Annotated[bool, Option("--dry-run", help="Show what would be deleted, and delete nothing.")] = False,
) -> dict[str, Any]:
    """Delete all of this participant's resources and verify it.

    Resources are found by name and tag, without the state file. Afterwards, a search by name and tag proves that
    nothing is left.

    Example: workshop cleanup --dry-run
    """
    teardown = load("cleanup/teardown.py")
    ours = teardown.find_ours(ws)
    # Even with --yes: resources of a CloudFormation stack are deleted with the stack.
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
    document = delete_all(ws)
    if not document["remaining"]:
        ws.console.say(f"Next: workshop up{ws.settings.options}")
    return document


def delete_all(ws: Workshop, each: bool = True) -> dict[str, Any]:
    """Delete all of this participant's resources without asking, and search for anything left.

    Args:
        ws: the context.
        each: print a line for each resource.
    """
    teardown, began = load("cleanup/teardown.py"), time.monotonic()
    with ws.state.lock("cleanup"):
        tell = (lambda kind, name: ws.console.result("deleted", kind, name)) if each else (lambda kind, name: None)
        deleted = teardown.delete_ours(ws, tell)
        with ws.console.working("searching by name and by tag"):
            remaining = teardown.find_left_over(ws)
        for entry in remaining:
            ws.console.result("remaining", entry["kind"], entry["name"])
        if not remaining:
            ws.state.delete()
    tell_elsewhere(ws)
    ws.console.say(f"{len(deleted)} deleted, {len(remaining)} remaining in {time.monotonic() - began:.1f} s.")
    if not remaining:
        ws.console.say("Nothing is left, by name or by tag.")
    return {"deleted": deleted, "remaining": remaining}


def tell_elsewhere(ws: Workshop) -> None:
    """Report roles and policies that are kept: another region's, and those whose owner is unknown."""
    stays: dict[str, list[str]] = {}
    for kind, found, region in load("cleanup/teardown.py").find_elsewhere(ws):
        if region is None:
            ws.console.note(str(refusal(ws, kind, name_of(kind, found), found)))
        else:
            stays.setdefault(region, []).append(kind)
    for region, kinds in stays.items():
        ws.console.say(
            f"Kept: {kinds.count('policy')} policies and {kinds.count('role')} roles of region {region}."
            f" To delete them: {cleanup_in(ws.settings, region)}"
        )


def remaining_is_failure(document: dict[str, Any], dry_run: bool = False) -> WorkshopError | None:
    """Return the error to exit with if something is left."""
    if dry_run or not document["remaining"]:
        return None
    names = ", ".join(f"{entry['kind']} {entry['name']}" for entry in document["remaining"])
    return WorkshopError(f"Not deleted: {names}.", "Run workshop cleanup again, or delete them by hand.")
