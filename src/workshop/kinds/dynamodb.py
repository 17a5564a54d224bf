"""The table and its stream."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from workshop.aws.owner import Description
from workshop.aws.place import Place, from_tag_list, to_tag_list
from workshop.aws.waiter import is_denied
from workshop.kinds.kind import Kind, in_the_way


def _table(place: Place, name: str) -> Iterator[Description]:
    table = place.client("dynamodb").describe_table(TableName=name)["Table"]
    yield table | {"Arn": table["TableArn"]}


def _tags(place: Place, table: Description) -> dict[str, str]:
    dynamodb, arn = place.client("dynamodb"), table["TableArn"]
    try:
        pages = list(dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn))
    except ClientError as error:
        if is_denied(error):
            # DynamoDB may say so of a table that is gone, too; of such a one, this tells it.
            dynamodb.describe_table(TableName=arn.rpartition("/")[2])
        raise
    return from_tag_list([tag for page in pages for tag in page["Tags"]])


def _tag(place: Place, table: Description, tags: dict[str, str]) -> None:
    place.client("dynamodb").tag_resource(ResourceArn=table["Arn"], Tags=to_tag_list(tags))


def delete_table(place: Place, table: Description) -> None:
    """The orders in it are lost, and its stream goes with it."""
    dynamodb, name = place.client("dynamodb"), table["TableName"]
    if table["TableStatus"] != "DELETING":
        try:
            dynamodb.delete_table(TableName=name)
        except ClientError as error:
            if "deletion protection" not in str(error):
                raise
            command = f"aws dynamodb update-table --table-name {name} --no-deletion-protection-enabled"
            raise in_the_way(place, f"Somebody protected the table {name} from deletion", command) from None
    place.waiter.until(lambda: not TABLE.everything(place, name), f"DynamoDB is deleting {name}", 600)


def _stream(place: Place, name: str) -> Iterator[Description]:
    for table in _table(place, name):
        if table.get("StreamSpecification", {}).get("StreamEnabled"):
            yield {
                **table["StreamSpecification"],
                "Arn": table["LatestStreamArn"],
                "TableArn": table["TableArn"],
                "CreationDateTime": table["CreationDateTime"],
            }


TABLE = Kind(
    _table,
    _tags,
    _tag,
    delete_table,
    arn=lambda place, name: place.arn("dynamodb", f"table/{name}"),
    actions=(
        "dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTable", "dynamodb:DeleteTable",
        "dynamodb:TagResource", "dynamodb:ListTagsOfResource", "dynamodb:GetItem", "dynamodb:Scan",
        "dynamodb:DeleteItem",
    ),
    going=lambda table: table["TableStatus"] == "DELETING",
)  # fmt: skip
DYNAMODB = {"table": TABLE, "stream": Kind(_stream, _tags)}
