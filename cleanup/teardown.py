"""The last lesson: delete everything, and prove that nothing is left.

Resources are deleted in an order in which nothing refers to a deleted resource: first the API, then the triggers and
functions, then the topic, the queues and the table, then roles and policies. Log groups come last, because a function
that is still running can write another line.

Names and tags identify your resources, so you don't need a state file. A resource with one of our names but
without our tags belongs to somebody else, and stays. So do roles and policies of another region: IAM is global, and
an account has only one role of a name.
"""

import contextlib
import runpy
import sys
import time
from collections.abc import Callable

from workshop.aws.owner import Description, Owner, gone_is_fine
from workshop.base.errors import GaveUp
from workshop.build.step import Workshop
from workshop.build.tagged import known_by_name, tagged
from workshop.kinds import KINDS, PART_OF
from workshop.kinds.regions import name_of

#: Seconds for which AWS may still list deleted resources: by name, and in its tag index.
SHOWS_FOR, INDEX_LAGS = 60.0, 20.0
ROUNDS = 3


#: The kinds to delete, in this order. Everything else that a step creates is deleted with one of these.
ORDER = (
    "rest-api",
    "event-source-mapping",
    "function",
    "subscription",
    "topic",
    "queue",
    "table",
    "role",
    "policy",
    "log-group",
)
# Everything that a step creates must be deleted here, or with the resource that it is part of.
if forgotten := {kind for kind in KINDS | PART_OF if PART_OF.get(kind, kind) not in ORDER}:
    raise LookupError(f"The cleanup can't delete {forgotten}. Add it to ORDER or to PART_OF.")


def declared(ws: Workshop) -> list[tuple[str, str]]:
    """Return what the steps declare and this lesson deletes: kind and name before the prefix, in order of deletion."""
    return [
        (kind, part.base)
        for kind in ORDER
        for part in sorted(ws.parts, key=lambda part: -part.step)
        if part.kind == kind
    ]


def find_ours(ws: Workshop) -> list[tuple[str, str, Description]]:
    """Return this participant's resources: kind, name and description, in the order of deletion."""
    return [(kind, ws.name(base), found) for kind, base in declared(ws) for found in ws.find_all(kind, base)]


def find_elsewhere(ws: Workshop) -> list[tuple[str, Description, str | None]]:
    """Find resources with our names and tags that belong to another region, and so stay.

    Returns:
        Kind, description and region; None for an unknown region.
    """
    elsewhere = []
    for kind, base in declared(ws):
        region_of = KINDS[kind].region
        if region_of is None:
            continue
        for found in KINDS[kind].everything(ws, ws.name(base)):
            with gone_is_fine():
                if KINDS[kind].owner_now(ws, found) is Owner.ELSEWHERE:
                    elsewhere.append((kind, found, region_of(ws, found)))
    return elsewhere


def delete_ours(ws: Workshop, tell: Callable[[str, str], None] = lambda kind, name: None) -> list[dict[str, str]]:
    """Delete this participant's resources.

    Args:
        ws: the context.
        tell: called with the kind and name of each deleted resource.

    Returns:
        What was deleted: `[{"kind", "name"}]`.
    """
    began = time.time()
    deleted: dict[tuple[str, str], None] = {}
    # One round is enough, unless AWS didn't list everything at first.
    for _ in range(ROUNDS):
        for kind, name, found in find_ours(ws):
            if KINDS[kind].going(found):
                continue
            with ws.console.working(f"deleting {kind} {name}"):
                delete(ws, kind, found)
            ws.state.forget(kind, name)
            if (kind, name) not in deleted:
                tell(kind, name)
            deleted[kind, name] = None
            ws.shared.setdefault("deleted", set()).add(found["Arn"])
        delete_revived_log_groups(ws, began)
        with contextlib.suppress(GaveUp):
            # Deleted resources can stay visible for a while: a trigger in state Deleting, a role in a list.
            ws.waiter.until(lambda: not find_ours(ws), "AWS still lists deleted resources", SHOWS_FOR)
            break
    return [{"kind": kind, "name": name} for kind, name in deleted]


def delete(ws: Workshop, kind: str, found: Description) -> None:
    """Delete one resource; do nothing if it is already gone."""
    remove = KINDS[kind].delete
    assert remove is not None, f"nothing says how to delete a {kind}"
    with gone_is_fine():
        remove(ws, found)


def delete_revived_log_groups(ws: Workshop, began: float) -> None:
    """Delete log groups that Lambda created again, without tags, for a function's last log line.

    Args:
        ws: the context.
        began: when the deletion began, in seconds since 1970. An older untagged group is not ours.
    """
    for base in ws.bases("log-group"):
        for group in KINDS["log-group"].everything(ws, ws.name(base)):
            if group["creationTime"] / 1000 >= began:
                delete(ws, "log-group", group)


def find_left_over(ws: Workshop) -> list[dict[str, str]]:
    """Find this participant's remaining resources by name and, for anything unexpected, by tag.

    Returns:
        What is left: `[{"kind", "name"}]`.
    """
    left = [{"kind": kind, "name": name} for kind, name, _ in find_ours(ws)]
    # A resource without a known region could belong to this one.
    left += [{"kind": kind, "name": name_of(kind, one)} for kind, one, region in find_elsewhere(ws) if region is None]
    # The tag index would only list again what is found by name.
    return left or [{"kind": "tagged", "name": arn} for arn in find_tagged(ws)]


def find_tagged(ws: Workshop) -> list[str]:
    """Return the ARNs in this region that have our tags, except those known to be deleted.

    AWS's tag index lags behind, so it is polled until it lists nothing or the wait ends.
    """
    gone = known_by_name(ws) | ws.shared.get("deleted", set()) | {one["Arn"] for _, one, _ in find_elsewhere(ws)}

    def still_tagged() -> list[str]:
        return [arn for arn in tagged(ws) if arn not in gone]

    with contextlib.suppress(GaveUp):
        ws.waiter.until(lambda: not still_tagged(), "AWS's tag index still lists deleted resources", INDEX_LAGS)
    return still_tagged()


if __name__ == "__main__":
    sys.argv[:1] = ["workshop", "cleanup"]
    runpy.run_module("workshop", run_name="__main__")
