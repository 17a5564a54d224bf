"""The last lesson: take everything away, and prove that nothing is left.

Things are deleted in an order in which nothing points to what is gone already: first what lets orders in, then
what moves them, then what holds them, then the rights. Log groups go last, because a function that was still
running may have written a last line.

Names and tags say what is ours, so it does not matter whether a state file is there. What carries one of our
names without our tags belongs to somebody else and stays. So does what serves another region: of roles and policies,
IAM keeps one of a name for all regions.
"""

import contextlib
import runpy
import sys
import time

from workshop.errors import GaveUp
from workshop.kinds import KINDS, PART_OF
from workshop.owner import Description, Owner, gone_is_fine
from workshop.regions import name_of
from workshop.step import Workshop
from workshop.tagged import known_by_name, tagged

#: Seconds for which AWS may still show what was deleted: by its name, and in its index of tags.
SHOWS_FOR, INDEX_LAGS = 60.0, 20.0
ROUNDS = 3


def delete_api(ws: Workshop, api: Description) -> None:
    """Its resources, methods, models, deployments and stages go with it. AWS takes one such call in 30 seconds."""
    ws.client("apigateway").delete_rest_api(restApiId=api["id"])


def delete_mapping(ws: Workshop, mapping: Description) -> None:
    """A trigger would outlive its function."""
    if mapping["State"] != "Deleting":
        ws.client("lambda").delete_event_source_mapping(UUID=mapping["UUID"])


def delete_function(ws: Workshop, function: Description) -> None:
    """All its versions go with it."""
    ws.client("lambda").delete_function(FunctionName=function["FunctionName"])


def delete_subscription(ws: Workshop, subscription: Description) -> None:
    """One that was never confirmed has no ARN to unsubscribe; it goes with its topic."""
    if subscription["Arn"].startswith("arn:"):
        ws.client("sns").unsubscribe(SubscriptionArn=subscription["Arn"])


def delete_topic(ws: Workshop, topic: Description) -> None:
    """What is still subscribed goes with it."""
    ws.client("sns").delete_topic(TopicArn=topic["Arn"])


def delete_queue(ws: Workshop, queue: Description) -> None:
    """The messages in it are lost. Its name is free again after 60 seconds."""
    ws.client("sqs").delete_queue(QueueUrl=queue["QueueUrl"])


def delete_table(ws: Workshop, table: Description) -> None:
    """The orders in it are lost, and its stream goes with it."""
    dynamodb, name = ws.client("dynamodb"), table["TableName"]
    if table["TableStatus"] != "DELETING":
        dynamodb.delete_table(TableName=name)
    ws.patience.until(lambda: not KINDS["table"].everything(ws, name), f"DynamoDB is deleting {name}", 600)


def delete_role(ws: Workshop, role: Description) -> None:
    """IAM deletes no role that still has policies. If the answer to a call got lost, its repetition finds nothing."""
    iam, name = ws.client("iam"), role["RoleName"]
    for arn in role["AttachedPolicies"]:
        with gone_is_fine():
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    for policy in role["InlinePolicies"]:
        with gone_is_fine():
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def delete_policy(ws: Workshop, policy: Description) -> None:
    """IAM deletes no policy that is attached somewhere, or that still has older versions."""
    iam, arn = ws.client("iam"), policy["Arn"]
    for page in iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn, EntityFilter="Role"):
        for role in page["PolicyRoles"]:
            with gone_is_fine():
                iam.detach_role_policy(RoleName=role["RoleName"], PolicyArn=arn)
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            with gone_is_fine():
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    iam.delete_policy(PolicyArn=arn)


def delete_log_group(ws: Workshop, group: Description) -> None:
    """What the functions wrote."""
    ws.client("logs").delete_log_group(logGroupName=group["logGroupName"])


#: What is deleted, in this order; everything else that a step makes goes with one of these.
DELETE = {
    "rest-api": delete_api,
    "event-source-mapping": delete_mapping,
    "function": delete_function,
    "subscription": delete_subscription,
    "topic": delete_topic,
    "queue": delete_queue,
    "table": delete_table,
    "role": delete_role,
    "policy": delete_policy,
    "log-group": delete_log_group,
}
# Nothing may be made that could not be taken away: neither here, nor with what holds it.
if forgotten := {kind for kind in KINDS | PART_OF if PART_OF.get(kind, kind) not in DELETE}:
    raise LookupError(f"The clean-up cannot delete {forgotten}: add it to DELETE, or to PART_OF.")


def declared(ws: Workshop) -> list[tuple[str, str]]:
    """What the steps declare and what is deleted by itself: kind, name before the prefix, in the order of deletion."""
    return [
        (kind, declaration.base)
        for kind in DELETE
        for step in reversed(ws.steps)
        for declaration in step.declarations
        if declaration.kind == kind
    ]


def find_ours(ws: Workshop) -> list[tuple[str, str, Description]]:
    """Everything of this participant that stands: kind, name, description, in the order of deletion."""
    return [(kind, ws.name(base), found) for kind, base in declared(ws) for found in ws.find_all(kind, base)]


def find_elsewhere(ws: Workshop) -> list[tuple[str, Description, str | None]]:
    """What carries our names and tags and is not this region's, so that it stays.

    Returns:
        Kind, description, and the region that it belongs to; None if nothing tells.
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


def delete_ours(ws: Workshop) -> list[dict[str, str]]:
    """Delete everything of this participant.

    Returns:
        What was deleted: `[{"kind", "name"}]`.
    """
    began = time.time()
    deleted: dict[tuple[str, str], None] = {}
    # Once is enough, unless AWS did not show everything at first.
    for _ in range(ROUNDS):
        for kind, name, found in find_ours(ws):
            if KINDS[kind].going(found):
                continue
            with ws.console.working(f"deleting {kind} {name}"):
                delete(ws, kind, found)
            ws.state.forget(kind, name)
            if (kind, name) not in deleted:
                ws.console.result("deleted", kind, name)
            deleted[kind, name] = None
            ws.scratch.setdefault("deleted", set()).add(found["Arn"])
        delete_revived_log_groups(ws, began)
        with contextlib.suppress(GaveUp):
            # What was deleted may be seen for a while: a trigger that is being deleted, a role that still shows up.
            ws.patience.until(lambda: not find_ours(ws), "AWS still shows what was deleted", SHOWS_FOR)
            break
    return [{"kind": kind, "name": name} for kind, name in deleted]


def delete(ws: Workshop, kind: str, found: Description) -> None:
    """Delete one resource; if it is gone meanwhile, that is what we wanted."""
    with gone_is_fine():
        DELETE[kind](ws, found)


def delete_revived_log_groups(ws: Workshop, began: float) -> None:
    """Delete log groups that a function's last line made anew meanwhile; those carry no tags.

    Args:
        ws: the context.
        began: when the deletion began, in seconds since 1970. An untagged group from before is not ours.
    """
    for step in ws.steps:
        for declaration in step.declarations:
            if declaration.kind == "log-group":
                for group in KINDS["log-group"].everything(ws, ws.name(declaration.base)):
                    if group["creationTime"] / 1000 >= began:
                        delete(ws, "log-group", group)


def find_left_over(ws: Workshop) -> list[dict[str, str]]:
    """Look for anything of this participant, by name and, for what we would not think of, by tag.

    Returns:
        What is left: `[{"kind", "name"}]`.
    """
    left = [{"kind": kind, "name": name} for kind, name, _ in find_ours(ws)]
    # Whose region nothing tells may be this one's.
    left += [{"kind": kind, "name": name_of(kind, one)} for kind, one, region in find_elsewhere(ws) if region is None]
    # The index is asked last: what is found by name would be found again.
    return left or [{"kind": "tagged", "name": arn} for arn in find_tagged(ws)]


def find_tagged(ws: Workshop) -> list[str]:
    """ARNs of everything in this region that carries our tags, but for what is known to be gone.

    AWS's index of tags lags behind, so what is in it is asked for again before it counts.
    """
    gone = known_by_name(ws) | ws.scratch.get("deleted", set()) | {one["Arn"] for _, one, _ in find_elsewhere(ws)}

    def still_tagged() -> list[str]:
        return [arn for arn in tagged(ws) if arn not in gone]

    with contextlib.suppress(GaveUp):
        ws.patience.until(lambda: not still_tagged(), "AWS's index of tags still shows what was deleted", INDEX_LAGS)
    return still_tagged()


if __name__ == "__main__":
    sys.argv[:1] = ["workshop", "cleanup"]
    runpy.run_module("workshop", run_name="__main__")
