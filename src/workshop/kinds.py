"""The kinds of AWS resources that the workshop makes: how one is found by its name, and who it belongs to.

A kind answers three questions, each in the service's own way: is there one of this name, which tags does it
carry, how is it tagged. Steps, `status`, `cleanup` and the checks all ask here, so that they mean the same thing.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from workshop.errors import GaveUp
from workshop.owner import TAGS_LAG, Description, Owner, gone_is_fine, is_gone, is_new
from workshop.regions import TAG, region_of_policy, region_of_role
from workshop.waiting import is_denied

if TYPE_CHECKING:
    from workshop.context import Workshop


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Attributes:
        find_all: yields the description of everything of that name; more than one where AWS lets names repeat.
        tags: reads the tags of a found resource, `{name: value}`; for what AWS does not tag, those of the
            resource that holds it, or what its path says.
        tag: writes tags, where there are any to write.
        going: whether a found resource is being deleted.
        marked: how one of ours is known, in words.
        untagged_is_ours: where AWS itself makes such a thing, without tags, for something of ours.
        inherits: it is ours if what holds it is ours, and may be tagged later; `find_all` looks nowhere else.
        own_tags: the tags that one of ours gets.
        region: the region that a found resource belongs to, where AWS keeps one of a name for all regions.
    """

    find_all: Callable[["Workshop", str], Iterator[Description]]
    tags: Callable[["Workshop", Description], dict[str, str]] | None = None
    tag: Callable[["Workshop", Description, dict[str, str]], Any] | None = None
    going: Callable[[Description], bool] = lambda found: False
    marked: Callable[["Workshop"], str] = lambda ws: (
        f"tags Project={ws.tags['Project']} and Participant={ws.tags['Participant']}"
    )
    inherits: bool = False
    untagged_is_ours: Callable[["Workshop", Description], bool] | None = None
    own_tags: Callable[["Workshop"], dict[str, str]] = lambda ws: ws.tags
    region: Callable[["Workshop", Description], str | None] | None = None

    def everything(self, ws: "Workshop", name: str) -> list[Description]:
        """Look up all resources of one name, whoever they belong to.

        Returns:
            The service's descriptions, each with `Arn`.

        Raises:
            ClientError: AWS refuses to answer.
        """
        with gone_is_fine():
            return list(self.find_all(ws, name))
        return []

    def find(self, ws: "Workshop", name: str) -> Description | None:
        """Look a resource up by name: of several with the same name, one that is ours; None if there is none.

        Raises:
            ClientError: AWS refuses to answer.
        """
        found = self.everything(ws, name)
        if len(found) == 1:
            return found[0]
        return next((one for one in found if self.is_ours(ws, one)), found[0] if found else None)

    def is_ours(self, ws: "Workshop", found: Description) -> bool:
        """Whether a found resource carries our `Project` and `Participant` tags, and serves this region."""
        return self.owner(ws, found) is Owner.OURS

    def owner(self, ws: "Workshop", found: Description) -> Owner:
        """Who a found resource belongs to; if it is new and shows no tags yet, they are waited for."""
        owner = self.owner_now(ws, found)
        if owner is not Owner.UNTAGGED or not is_new(found):
            return owner
        # Once for each command: what others left untagged should not hold up every look at it.
        if ws.untagged_since is None:
            ws.untagged_since = ws.patience.clock()
        rest = ws.untagged_since + TAGS_LAG - ws.patience.clock()
        with contextlib.suppress(GaveUp):
            ws.patience.until(
                lambda: self.owner_now(ws, found) is not Owner.UNTAGGED, "AWS shows no tags yet", rest, quiet=True
            )
        return self.owner_now(ws, found)

    def owner_now(self, ws: "Workshop", found: Description) -> Owner:
        """Who a found resource belongs to, by the tags that it shows at this moment."""
        if self.tags is None or self.inherits:
            return Owner.OURS
        try:
            tags = self.tags(ws, found)
            marked = all(tags.get(key) == ws.tags[key] for key in ("Project", "Participant"))
            if marked and self.region is not None and self.region(ws, found) != ws.region:
                return Owner.ELSEWHERE
            if not tags and self.untagged_is_ours is not None and self.untagged_is_ours(ws, found):
                return Owner.OURS
        except ClientError as error:
            if not is_gone(error):
                raise
            return Owner.GONE
        if marked:
            return Owner.OURS
        return Owner.SOMEBODY if tags else Owner.UNTAGGED


def as_dict(tags: list[dict[str, str]]) -> dict[str, str]:
    """`[{"Key": …, "Value": …}]` as `{key: value}`."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """`{key: value}` as `[{"Key": …, "Value": …}]`."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _role(ws: "Workshop", name: str) -> Iterator[Description]:
    iam = ws.client("iam")
    role = iam.get_role(RoleName=name)["Role"]
    attached = iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
    inline = iam.get_paginator("list_role_policies").paginate(RoleName=name)
    yield role | {
        "AttachedPolicies": sorted(p["PolicyArn"] for page in attached for p in page["AttachedPolicies"]),
        "InlinePolicies": sorted(name for page in inline for name in page["PolicyNames"]),
    }


def _policy(ws: "Workshop", name: str) -> Iterator[Description]:
    iam, arn = ws.client("iam"), ws.arn("iam", f"policy{ws.settings.path}{name}")
    try:
        policy = iam.get_policy(PolicyArn=arn)["Policy"]
    except iam.exceptions.NoSuchEntityException:
        # A name is taken in all paths at once: somebody else's policy in no path stands in our way.
        yield iam.get_policy(PolicyArn=ws.arn("iam", f"policy/{name}"))["Policy"]
    else:
        version = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        yield policy | {"Document": version["Document"]}


def _tags_of_path(ws: "Workshop", policy: Description) -> dict[str, str]:
    """A policy says by its path whose it is: CloudFormation cannot tag one.

    https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1010
    """
    return ws.tags if policy["Path"] == ws.settings.path else {}


def _table(ws: "Workshop", name: str) -> Iterator[Description]:
    table = ws.client("dynamodb").describe_table(TableName=name)["Table"]
    yield table | {"Arn": table["TableArn"]}


def _table_tags(ws: "Workshop", table: Description) -> dict[str, str]:
    dynamodb, arn = ws.client("dynamodb"), table["TableArn"]
    try:
        pages = list(dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn))
    except ClientError as error:
        if is_denied(error):
            # DynamoDB may say so of a table that is gone, too; of such a one, this tells it.
            dynamodb.describe_table(TableName=arn.rpartition("/")[2])
        raise
    return as_dict([tag for page in pages for tag in page["Tags"]])


def _stream(ws: "Workshop", name: str) -> Iterator[Description]:
    for table in _table(ws, name):
        if table.get("StreamSpecification", {}).get("StreamEnabled"):
            yield {
                **table["StreamSpecification"],
                "Arn": table["LatestStreamArn"],
                "TableArn": table["TableArn"],
                "CreationDateTime": table["CreationDateTime"],
            }


def _queue(ws: "Workshop", name: str) -> Iterator[Description]:
    sqs = ws.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    yield attributes | {"Arn": attributes["QueueArn"], "QueueUrl": url}


def _log_group(ws: "Workshop", name: str) -> Iterator[Description]:
    pages = ws.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    for page in pages:
        for group in page["logGroups"]:
            if group["logGroupName"] == name:
                # `arn` ends in ":*", which the tagging calls do not take.
                yield group | {"Arn": group["arn"].removesuffix(":*")}


def _writer_is_ours(ws: "Workshop", group: Description) -> bool:
    """Lambda makes a missing log group itself, without tags: it belongs to whom the function belongs."""
    name = group["logGroupName"].removeprefix("/aws/lambda/")
    functions = KINDS["function"].everything(ws, name)
    return any(KINDS["function"].is_ours(ws, function) for function in functions)


def _function(ws: "Workshop", name: str) -> Iterator[Description]:
    answer = ws.client("lambda").get_function(FunctionName=name)
    function = answer["Configuration"]
    yield function | {"Arn": function["FunctionArn"], "Tags": answer.get("Tags", {}), "Code": answer.get("Code", {})}


def _mapping(ws: "Workshop", name: str) -> Iterator[Description]:
    """Mappings have no name of their own: ours are called after their function, which may be gone already."""
    for page in ws.client("lambda").get_paginator("list_event_source_mappings").paginate():
        for mapping in page["EventSourceMappings"]:
            if mapping["FunctionArn"].split(":")[6] == name:
                # Older answers lack the ARN; the service authorization reference documents its form.
                arn = ws.arn("lambda", f"event-source-mapping:{mapping['UUID']}")
                yield {"EventSourceMappingArn": arn, **mapping, "Arn": mapping.get("EventSourceMappingArn", arn)}


def _topic(ws: "Workshop", name: str) -> Iterator[Description]:
    attributes = ws.client("sns").get_topic_attributes(TopicArn=ws.arn("sns", name))["Attributes"]
    yield attributes | {"Arn": attributes["TopicArn"]}


def _topic_tags(ws: "Workshop", topic: Description) -> dict[str, str]:
    return as_dict(ws.client("sns").list_tags_for_resource(ResourceArn=topic["TopicArn"])["Tags"])


def _subscription(ws: "Workshop", name: str) -> Iterator[Description]:
    """E-mail subscriptions of a topic. One that waits for its confirmation has no ARN yet, but a word instead."""
    pages = ws.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=ws.arn("sns", name))
    for page in pages:
        for subscription in page["Subscriptions"]:
            # SNS lists those who unsubscribed for some days more:
            # https://docs.aws.amazon.com/sns/latest/dg/sns-delete-subscription-topic.html
            if subscription["Protocol"] == "email" and subscription["SubscriptionArn"] != "Deleted":
                yield subscription | {"Arn": subscription["SubscriptionArn"]}


def _rest_api(ws: "Workshop", name: str) -> Iterator[Description]:
    for page in ws.client("apigateway").get_paginator("get_rest_apis").paginate(limit=500):
        for api in page["items"]:
            if api["name"] == name:
                yield api | {"Arn": ws.apigateway_arn(api["id"])}


def _stage(ws: "Workshop", name: str) -> Iterator[Description]:
    for api in ws.find_all("rest-api", "ecommerce-orders-api"):
        for stage in ws.client("apigateway").get_stages(restApiId=api["id"])["item"]:
            if stage["stageName"] == name:
                yield stage | {"Arn": ws.apigateway_arn(api["id"], f"/stages/{name}"), "restApiId": api["id"]}


def _role_tags(ws: "Workshop", role: Description) -> dict[str, str]:
    """IAM sends the tags along; those that were not there yet are asked for again, and kept in the description."""
    if not role.get("Tags"):
        role["Tags"] = ws.client("iam").get_role(RoleName=role["RoleName"])["Role"].get("Tags", [])
    return as_dict(role["Tags"])


def _function_tags(ws: "Workshop", function: Description) -> dict[str, str]:
    """Lambda sends the tags along; those that were not there yet are asked for again, and kept in the description."""
    if not function.get("Tags"):
        function["Tags"] = ws.client("lambda").get_function(FunctionName=function["FunctionName"]).get("Tags", {})
    return dict(function["Tags"])


KINDS: dict[str, Kind] = {
    "role": Kind(
        _role,
        _role_tags,
        lambda ws, role, tags: ws.client("iam").tag_role(RoleName=role["RoleName"], Tags=as_list(tags)),
        own_tags=lambda ws: ws.tags | {TAG: ws.region},
        region=region_of_role,
    ),
    "policy": Kind(_policy, _tags_of_path, marked=lambda ws: f"path {ws.settings.path}", region=region_of_policy),
    "table": Kind(
        _table,
        _table_tags,
        lambda ws, table, tags: ws.client("dynamodb").tag_resource(ResourceArn=table["Arn"], Tags=as_list(tags)),
        going=lambda table: table["TableStatus"] == "DELETING",
    ),
    "stream": Kind(_stream, _table_tags),
    "queue": Kind(
        _queue,
        lambda ws, queue: ws.client("sqs").list_queue_tags(QueueUrl=queue["QueueUrl"]).get("Tags", {}),
        lambda ws, queue, tags: ws.client("sqs").tag_queue(QueueUrl=queue["QueueUrl"], Tags=tags),
    ),
    "log-group": Kind(
        _log_group,
        lambda ws, group: ws.client("logs").list_tags_for_resource(resourceArn=group["Arn"])["tags"],
        lambda ws, group, tags: ws.client("logs").tag_resource(resourceArn=group["Arn"], tags=tags),
        untagged_is_ours=_writer_is_ours,
    ),
    "function": Kind(
        _function,
        _function_tags,
        lambda ws, function, tags: ws.client("lambda").tag_resource(Resource=function["Arn"], Tags=tags),
        going=lambda function: function["State"] == "Deleting",
    ),
    "event-source-mapping": Kind(
        _mapping,
        lambda ws, mapping: ws.client("lambda").list_tags(Resource=mapping["Arn"])["Tags"],
        lambda ws, mapping, tags: ws.client("lambda").tag_resource(Resource=mapping["Arn"], Tags=tags),
        going=lambda mapping: mapping["State"] == "Deleting",
    ),
    "topic": Kind(
        _topic,
        _topic_tags,
        lambda ws, topic, tags: ws.client("sns").tag_resource(ResourceArn=topic["Arn"], Tags=as_list(tags)),
    ),
    "subscription": Kind(_subscription, _topic_tags),
    "rest-api": Kind(
        _rest_api,
        lambda ws, api: ws.client("apigateway").get_tags(resourceArn=api["Arn"])["tags"],
        lambda ws, api, tags: ws.client("apigateway").tag_resource(resourceArn=api["Arn"], tags=tags),
    ),
    "stage": Kind(
        _stage,
        lambda ws, stage: ws.client("apigateway").get_tags(resourceArn=stage["Arn"])["tags"],
        lambda ws, stage, tags: ws.client("apigateway").tag_resource(resourceArn=stage["Arn"], tags=tags),
        inherits=True,
    ),
}

#: What lies within another resource and is deleted with it: `{kind: the kind that holds it}`. What has no entry in
#: `KINDS` has no name or tags of its own, so the step that makes it looks for it.
PART_OF = {
    "stream": "table",
    "stage": "rest-api",
    "request-model": "rest-api",
    "request-validator": "rest-api",
    "api-resource": "rest-api",
    "method": "rest-api",
}
