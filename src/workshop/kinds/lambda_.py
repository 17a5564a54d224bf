"""Functions, their event source mappings, and the log groups that they write to."""

from collections.abc import Iterator

from workshop.aws.owner import Description
from workshop.aws.place import Place
from workshop.kinds.kind import Kind


def _function(place: Place, name: str) -> Iterator[Description]:
    answer = place.client("lambda").get_function(FunctionName=name)
    function = answer["Configuration"]
    yield function | {"Arn": function["FunctionArn"], "Tags": answer.get("Tags", {}), "Code": answer.get("Code", {})}


def _function_tags(place: Place, function: Description) -> dict[str, str]:
    """Lambda sends the tags along; those that were not there yet are asked for again, and kept in the description."""
    if not function.get("Tags"):
        function["Tags"] = place.client("lambda").get_function(FunctionName=function["FunctionName"]).get("Tags", {})
    return dict(function["Tags"])


def _tag(place: Place, found: Description, tags: dict[str, str]) -> None:
    place.client("lambda").tag_resource(Resource=found["Arn"], Tags=tags)


def delete_function(place: Place, function: Description) -> None:
    """All its versions go with it."""
    place.client("lambda").delete_function(FunctionName=function["FunctionName"])


def _mapping(place: Place, name: str) -> Iterator[Description]:
    """Mappings have no name of their own: ours are called after their function, which may be gone already."""
    for page in place.client("lambda").get_paginator("list_event_source_mappings").paginate():
        for mapping in page["EventSourceMappings"]:
            if mapping["FunctionArn"].split(":")[6] == name:
                # Older answers lack the ARN; the service authorization reference documents its form.
                arn = place.arn("lambda", f"event-source-mapping:{mapping['UUID']}")
                yield {"EventSourceMappingArn": arn, **mapping, "Arn": mapping.get("EventSourceMappingArn", arn)}


def _mapping_tags(place: Place, mapping: Description) -> dict[str, str]:
    return dict(place.client("lambda").list_tags(Resource=mapping["Arn"])["Tags"])


def delete_mapping(place: Place, mapping: Description) -> None:
    """A trigger would outlive its function."""
    if mapping["State"] != "Deleting":
        place.client("lambda").delete_event_source_mapping(UUID=mapping["UUID"])


def _log_group(place: Place, name: str) -> Iterator[Description]:
    pages = place.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    for page in pages:
        for group in page["logGroups"]:
            if group["logGroupName"] == name:
                # `arn` ends in ":*", which the tagging calls do not take.
                yield group | {"Arn": group["arn"].removesuffix(":*")}


def _log_group_tags(place: Place, group: Description) -> dict[str, str]:
    return dict(place.client("logs").list_tags_for_resource(resourceArn=group["Arn"])["tags"])


def _tag_log_group(place: Place, group: Description, tags: dict[str, str]) -> None:
    place.client("logs").tag_resource(resourceArn=group["Arn"], tags=tags)


def _writer_is_ours(place: Place, group: Description) -> bool:
    """Lambda makes a missing log group itself, without tags: it belongs to whom the function belongs."""
    return bool(FUNCTION.ours(place, group["logGroupName"].removeprefix("/aws/lambda/")))


def delete_log_group(place: Place, group: Description) -> None:
    """What the functions wrote."""
    place.client("logs").delete_log_group(logGroupName=group["logGroupName"])


FUNCTION = Kind(
    _function,
    _function_tags,
    _tag,
    delete_function,
    arn=lambda place, name: place.arn("lambda", f"function:{name}"),
    actions=(
        "lambda:CreateFunction", "lambda:GetFunction", "lambda:UpdateFunctionConfiguration",
        "lambda:UpdateFunctionCode", "lambda:DeleteFunction", "lambda:TagResource", "lambda:InvokeFunction",
    ),
    going=lambda function: function["State"] == "Deleting",
)  # fmt: skip
LAMBDA = {
    "function": FUNCTION,
    "event-source-mapping": Kind(
        _mapping,
        _mapping_tags,
        _tag,
        delete_mapping,
        actions_anywhere=("lambda:ListEventSourceMappings",),
        going=lambda mapping: mapping["State"] == "Deleting",
    ),
    "log-group": Kind(
        _log_group,
        _log_group_tags,
        _tag_log_group,
        delete_log_group,
        arn=lambda place, name: place.arn("logs", f"log-group:{name}"),
        actions=(
            "logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogGroup", "logs:TagResource",
            "logs:ListTagsForResource", "logs:FilterLogEvents",
        ),
        actions_anywhere=("logs:DescribeLogGroups",),
        untagged_is_ours=_writer_is_ours,
    ),
}  # fmt: skip
