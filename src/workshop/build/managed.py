"""What CloudFormation manages of ours, and which stack a person would delete to take it away.

CloudFormation tags what it creates with the id of the stack, also in nested stacks. Not all roles, policies and tables
carry that tag, so for those CloudFormation itself is asked. What a stack has let go of (it was deleted, or an update
took the resource out of its template, and the resource was retained) keeps the tag, but is nobody's any more.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from workshop.aws.owner import Description, gone_is_fine
from workshop.aws.waiter import is_denied
from workshop.base.errors import WorkshopError
from workshop.base.files import typed
from workshop.base.settings import DEFAULT_REGION, PROJECT
from workshop.build.context import Workshop
from workshop.embedded.stacks import root_of
from workshop.kinds import KINDS

STACK_TAG, LOGICAL_TAG = "aws:cloudformation:stack-id", "aws:cloudformation:logical-id"
#: What may lack the tag, and by which part of its description CloudFormation knows it.
PHYSICAL_ID = {"role": "RoleName", "policy": "Arn", "table": "TableName"}
#: What CloudFormation says of stacks and resources that it no longer manages.
LET_GO = ("DELETE_COMPLETE", "DELETE_SKIPPED")
#: How the single stacks of `deploy-single-stacks.sh` end; `delete.sh` takes the name without it.
PARTS = ("-iam", "-dynamodb", "-sqs", "-lambda", "-sns", "-api")


def refuse_managed(ws: Workshop, found: Iterable[tuple[str, Description]]) -> None:
    """Refuse to delete what a stack manages: the stack would not know, and could be neither updated nor deleted well.

    Args:
        ws: the context.
        found: kind and description of all that would be deleted.

    Raises:
        WorkshopError: a stack manages some of it, and the message names the stack and how it is deleted; or nobody may
            ask CloudFormation whether one does.
    """
    stacks = root_stacks(ws, found)
    if stacks:
        word = "stack" if len(stacks) == 1 else "stacks"
        raise WorkshopError(
            f"CloudFormation manages this, in the {word} {', '.join(stacks)}, and nothing was deleted.",
            f"Run: {' && '.join(_deletions(ws, stacks))}",
        )


def root_stacks(ws: Workshop, found: Iterable[tuple[str, Description]]) -> list[str]:
    """The names of the stacks that manage some of what was found; of nested stacks, the outermost ones.

    Raises:
        WorkshopError: CloudFormation may not be asked about something that carries no tag of a stack.
    """
    places = {place for kind, one in found if (place := _place(ws, kind, one))}
    names = {_root_name(ws, stack_id) for stack_id, logical_id in places if _manages(ws, stack_id, logical_id)}
    return sorted(name for name in names if name)


def _place(ws: Workshop, kind: str, found: Description) -> tuple[str, str] | None:
    """The id of the stack that created a resource, and the resource's name in its template."""
    tags: dict[str, str] = {}
    with gone_is_fine():
        read = KINDS[kind].tags
        tags = read(ws, found) if read else {}
    if STACK_TAG in tags:
        return tags[STACK_TAG], tags.get(LOGICAL_TAG, "")
    if kind not in PHYSICAL_ID:
        return None
    physical_id = found[PHYSICAL_ID[kind]]
    answer = _ask(lambda: ws.client("cloudformation").describe_stack_resources(PhysicalResourceId=physical_id))
    if "Denied" in answer:
        raise WorkshopError(
            f"You may not ask CloudFormation whether a stack manages the {kind} {physical_id}, so nothing was deleted.",
            "Ask for cloudformation:DescribeStackResources and cloudformation:DescribeStacks,"
            f" which this prints: workshop policy{ws.settings.options}",
        )
    mine = [one for one in answer.get("StackResources", []) if one["PhysicalResourceId"] == physical_id]
    return next(((one["StackId"], one["LogicalResourceId"]) for one in mine), None)


def _manages(ws: Workshop, stack_id: str, logical_id: str) -> bool:
    """Whether a stack still manages what it created under a name; where we may not ask, it does."""
    client = ws.client("cloudformation")
    answer = _ask(lambda: client.describe_stack_resources(StackName=stack_id, LogicalResourceId=logical_id))
    resources = answer.get("StackResources", [])
    return "Denied" in answer or any(one["ResourceStatus"] not in LET_GO for one in resources)


def _root_name(ws: Workshop, stack_id: str) -> str | None:
    """The name of the outermost stack around a stack; None if the stack is gone."""
    client = ws.client("cloudformation")
    answer = _ask(lambda: client.describe_stacks(StackName=stack_id))
    if "Denied" in answer:
        return _name(stack_id)
    for stack in answer.get("Stacks", []):
        if stack["StackStatus"] not in LET_GO:
            return root_of(client, stack) if ws.is_embedded else _name(stack.get("RootId", stack_id))
    return None


def _name(stack_id: str) -> str:
    """A stack's name, from its ARN: `arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/UUID`."""
    return stack_id.split("/")[1]


def _ask(call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Ask CloudFormation; nothing if it knows no such stack or resource, `Denied` if we may not ask."""
    try:
        return call()
    except ClientError as error:
        if is_denied(error):
            return {"Denied": True}
        # Its one code for "does not exist".
        if error.response["Error"]["Code"] == "ValidationError":
            return {}
        raise


def _deletions(ws: Workshop, stacks: list[str]) -> list[str]:
    """The commands that delete these stacks, each with all that was deployed beside it."""
    usual = f"{ws.settings.prefix}-{PROJECT}" if ws.settings.prefix else PROJECT
    names = {next((name.removesuffix(part) for part in PARTS if name.endswith(part)), name) for name in stacks}
    region = f"AWS_REGION={ws.region} " if ws.region != DEFAULT_REGION else ""
    prefix = f" --prefix {ws.settings.prefix}" if ws.settings.prefix else ""
    script = typed("infrastructure/scripts/delete.sh")
    return [
        f"{region}bash {script}{prefix}{'' if name == usual else f' --stack-name {name}'}" for name in sorted(names)
    ]
