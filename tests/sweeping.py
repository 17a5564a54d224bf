"""Remove what a test made, without the many looks of the product's own clean-up, which has tests of its own."""

from collections.abc import Callable
from typing import Any

from support import census


def sweep(ws) -> None:
    """Delete everything that mentions the prefix, in an order in which nothing points to what is gone."""
    assert ws.settings.prefix, "what has no prefix cannot be told from what others have"
    standing: dict[str, list[Any]] = {}
    for kind, one in census(ws, whole=True):
        standing.setdefault(kind, []).append(one)
    for kind, delete in DELETE.items():
        for one in standing.get(kind, []):
            delete(ws.client, one)
    ws.state.path.unlink(missing_ok=True)


def _role(client: Callable[[str], Any], role: dict[str, Any]) -> None:
    iam, name = client("iam"), {"RoleName": role["RoleName"]}
    for policy in iam.list_attached_role_policies(**name)["AttachedPolicies"]:
        iam.detach_role_policy(**name, PolicyArn=policy["PolicyArn"])
    for policy in iam.list_role_policies(**name)["PolicyNames"]:
        iam.delete_role_policy(**name, PolicyName=policy)
    iam.delete_role(**name)


def _policy(client: Callable[[str], Any], policy: dict[str, Any]) -> None:
    iam, arn = client("iam"), {"PolicyArn": policy["Arn"]}
    # Policies begin with their first version; whatever else there is was added.
    if policy["DefaultVersionId"] != "v1":
        for version in iam.list_policy_versions(**arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(**arn, VersionId=version["VersionId"])
    iam.delete_policy(**arn)


#: How each kind of `census` is deleted; a subscription goes with its topic.
DELETE = {
    "rest-api": lambda client, one: client("apigateway").delete_rest_api(restApiId=one["id"]),
    "mapping": lambda client, one: client("lambda").delete_event_source_mapping(UUID=one["UUID"]),
    "function": lambda client, one: client("lambda").delete_function(FunctionName=one["FunctionName"]),
    "subscription": lambda client, one: client("sns").unsubscribe(SubscriptionArn=one["SubscriptionArn"]),
    "topic": lambda client, one: client("sns").delete_topic(TopicArn=one["TopicArn"]),
    "queue": lambda client, one: client("sqs").delete_queue(QueueUrl=one["name"]),
    "table": lambda client, one: client("dynamodb").delete_table(TableName=one["name"]),
    "role": _role,
    "policy": _policy,
    "log-group": lambda client, one: client("logs").delete_log_group(logGroupName=one["logGroupName"]),
}
