"""`workshop cleanup`: runs the last lesson, `cleanup/teardown.py`, and prints its two accounts."""

from typing import Annotated, Any

from typer import Option

from workshop.errors import WorkshopError
from workshop.opening import load
from workshop.step import Workshop


def cleanup(
    ws: Workshop,
    dry_run: Annotated[bool, Option("--dry-run", help="Only show what would be deleted.")] = False,
) -> dict[str, Any]:
    """Delete everything of this participant, and prove that nothing is left.

    Example: workshop cleanup --dry-run
    """
    teardown = load("cleanup/teardown.py")
    found = [{"kind": kind, "name": name} for kind, name, _ in teardown.find_ours(ws)]
    if dry_run:
        for entry in found:
            ws.console.result("to delete", entry["kind"], entry["name"])
        ws.console.say(f"{len(found)} resources would be deleted.")
        return {"deleted": [], "remaining": found}
    for stack in stacks_of(ws):
        ws.console.note(
            f"The CloudFormation stack {stack} made some of this, and will not know that it is gone."
            f" Better: aws cloudformation delete-stack --stack-name {stack}"
        )
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
    ws.console.say(f"{len(deleted)} deleted, {len(remaining)} remaining.")
    if not remaining:
        ws.console.say("Nothing is left: looked for every name, and for every tag.")
    return {"deleted": deleted, "remaining": remaining}


def stacks_of(ws: Workshop) -> list[str]:
    """The names of the CloudFormation stacks that made our functions, or our API, by the tags that these leave."""
    made = [*ws.find_all("rest-api", "ecommerce-orders-api")]
    made += [one for function in ("POC-Lambda-1", "POC-Lambda-2") for one in ws.find_all("function", function)]
    tags = [one.get("Tags") or one.get("tags") or {} for one in made]
    return sorted({one["aws:cloudformation:stack-name"] for one in tags if "aws:cloudformation:stack-name" in one})


def remaining_is_failure(document: dict[str, Any], dry_run: bool = False) -> WorkshopError | None:
    """What the command ends with when something is left."""
    if dry_run or not document["remaining"]:
        return None
    names = ", ".join(f"{entry['kind']} {entry['name']}" for entry in document["remaining"])
    return WorkshopError(f"Still there: {names}.", "Run the clean-up again; what stays needs a look by hand.")
