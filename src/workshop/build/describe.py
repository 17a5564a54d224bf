"""What stands for a participant, setting by setting, as AWS describes it, and how two such descriptions differ.

A description holds every setting that AWS tells of every resource, whoever made it: the steps, CloudFormation, a
script, a person. Left out is only what says nothing of how a thing is set up: ids that AWS draws, times, what AWS
counts or does of itself at the moment, the numbers of versions and packages. Where one thing points to another by
such an id, the description says the other's name instead.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from workshop.aws.owner import Description
from workshop.aws.values import normalize, same
from workshop.build.context import Workshop
from workshop.build.function_code import deployed
from workshop.build.resource import Difference
from workshop.build.tagged import known_by_name, tagged
from workshop.kinds import KINDS

Described = dict[str, Any]

#: Keys of AWS's answers that are ids, or name a version or a package.
IDS = {
    "RoleId", "PolicyId", "DefaultVersionId", "TableId", "RevisionId", "UUID", "id", "parentId", "rootResourceId",
    "deploymentId", "cacheNamespace", "SubscriptionArn", "CodeSha256", "CodeSize", "Code", "QueueUrl",
}  # fmt: skip
#: Keys that tell a time, a count, or what is going on.
MOMENTS = {
    "CreateDate", "UpdateDate", "CreationDateTime", "LatestStreamLabel", "LastUpdateToPayPerRequestDateTime",
    "CreatedTimestamp", "LastModifiedTimestamp", "LastModified", "creationTime", "createdDate", "lastUpdatedDate",
    "RoleLastUsed", "AttachmentCount", "ItemCount", "TableSizeBytes", "storedBytes", "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed", "SubscriptionsConfirmed",
    "SubscriptionsPending", "SubscriptionsDeleted", "LastProcessingResult", "LastUpdateStatus", "StateReason",
    "StateReasonCode", "StateTransitionReason", "LastUpdateStatusReason", "LastUpdateStatusReasonCode",
    "NumberOfDecreasesToday", "metricFilterCount", "TableStatus", "apiStatus",
}  # fmt: skip
#: What says nothing of how a thing is set up, with what single kinds know of theirs.
NO_SETTINGS = (IDS | MOMENTS).union(*(kind.volatile for kind in KINDS.values()))
#: Ids within ARNs: of a stream (a time), of an API, of a mapping.
WITHIN_ARNS = (
    (re.compile(r"(?<=/stream/)[^*].*"), "<time>"),
    (re.compile(r"(?<=/restapis/)[a-z0-9]+"), "<id>"),
    (re.compile(r"(?<=:event-source-mapping:)[0-9a-f-]+"), "<id>"),
)


def describe(ws: Workshop) -> dict[str, Described]:
    """Read everything that stands under this participant's names or tags.

    Returns:
        `{"kind name": {setting: value}}`; a setting within a setting is called `outer.inner`, a tag `tag name`.

    Raises:
        ClientError: AWS refuses to answer.
    """
    described: dict[str, Described] = {}
    arns: set[str] = set()
    for kind, base in dict.fromkeys((part.kind, part.base) for part in ws.parts):
        if kind not in KINDS or kind in ("stream", "stage"):
            continue
        for found in KINDS[kind].everything(ws, ws.name(base)):
            arns.add(found["Arn"])
            for name, settings in _parts(ws, kind, ws.name(base), found):
                described[name] = comparable(settings)
    arns |= known_by_name(ws)
    described |= {f"tagged {mask(arn)}": {} for arn in tagged(ws) if not _is_of(arn, arns)}
    return described


def comparable(settings: Described) -> Described:
    """The settings of one resource in the form in which they are compared: flat, masked, by what they mean."""
    return {key: normalize(mask(value)) for key, value in _flat(settings) if value is not None}


def mask(value: Any) -> Any:
    """Take ids and moments out of a value, wherever in it they are."""
    if isinstance(value, dict):
        return {key: mask(entry) for key, entry in value.items() if key not in NO_SETTINGS}
    if isinstance(value, list):
        return [mask(entry) for entry in value]
    if isinstance(value, str) and value.startswith("arn:"):
        for pattern, word in WITHIN_ARNS:
            value = pattern.sub(word, value)
    return value


def compare(
    standing: dict[str, Described], should: dict[str, Described], extras_count: bool = True
) -> dict[str, list[Difference]]:
    """Tell how two descriptions differ.

    Args:
        standing: what is there.
        should: what ought to be there.
        extras_count: whether a setting that only `standing` has is a difference.

    Returns:
        `{"kind name": differences}`, for those that differ; a resource that only one side has differs in `itself`.
    """
    found: dict[str, list[Difference]] = {}
    for name in sorted(standing.keys() | should.keys()):
        if name not in standing or name not in should:
            here = name in standing
            found[name] = [Difference("it", *(("there", "absent") if here else ("missing", "there")))]
            continue
        is_, ought = standing[name], should[name]
        keys = is_.keys() | ought.keys() if extras_count else ought.keys()
        differences = [
            Difference(k, is_.get(k), ought.get(k)) for k in sorted(keys) if not same(is_.get(k), ought.get(k))
        ]
        if differences:
            found[name] = differences
    return found


def _flat(settings: Described, before: str = "") -> Iterator[tuple[str, Any]]:
    """Settings within settings as `outer.inner`; policies and other JSON texts stay whole."""
    for key, value in settings.items():
        if key in NO_SETTINGS:
            continue
        if isinstance(value, dict) and value and not key.endswith(("Document", "Policy")):
            yield from _flat(value, f"{before}{key}.")
        elif not (isinstance(value, dict | list | str) and not value):
            yield before + key, value


def _tags(tags: dict[str, str]) -> Described:
    """Tags as settings, without those that CloudFormation puts on what it makes."""
    return {f"tag {key}": value for key, value in tags.items() if not key.startswith("aws:cloudformation:")}


def _parts(ws: Workshop, kind: str, name: str, found: Description) -> Iterator[tuple[str, Described]]:
    """A resource as AWS describes it, and what else hangs on it."""
    read_tags = KINDS[kind].tags
    tags = _tags(read_tags(ws, found)) if read_tags else {}
    plain = {key: value for key, value in found.items() if key not in ("Arn", "Tags", "tags")}
    match kind:
        case "role":
            plain["InlinePolicies"] = found["InlinePolicies"] or "none"
        case "function":
            plain["code"] = deployed(found, "", ws.client.ca_bundle)
            # Active, or on its way to it: nobody sets that.
            del plain["State"]
        case "event-source-mapping":
            name = f"{name} {mask(found['EventSourceArn']).split(':', 5)[-1]}"
            if ":sqs:" in found["EventSourceArn"]:
                # A queue has no positions; an embedded AWS shows one that nobody can set.
                plain.pop("StartingPosition", None)
            plain["Enabled"] = plain.pop("State") in ("Enabled", "Enabling", "Creating", "Updating")
        case "subscription":
            yield f"subscription {name} {found['Endpoint']}", plain
            return
        case "rest-api":
            yield from _inside_api(ws, name, found["id"])
    yield f"{kind} {name}", plain | tags


def _inside_api(ws: Workshop, name: str, api_id: str) -> Iterator[tuple[str, Described]]:
    """Models, validators, resources with their methods, and stages of a REST API."""
    apigateway, api = ws.client("apigateway"), {"restApiId": api_id}
    for model in apigateway.get_models(**api, limit=500)["items"]:
        # Every API of AWS is born with two models, Empty and Error; they are not ours, and not everybody shows them.
        if model["name"] not in ("Empty", "Error"):
            yield f"request-model {name} {model['name']}", {**model}
    validators = apigateway.get_request_validators(**api, limit=500)["items"]
    for validator in validators:
        yield f"request-validator {name} {validator['name']}", {**validator}
    names = {validator["id"]: validator["name"] for validator in validators}
    for resource in apigateway.get_resources(**api, embed=["methods"], limit=500)["items"]:
        methods = resource.pop("resourceMethods", {})
        yield f"api-resource {name} {resource['path']}", {**resource}
        for verb, method in methods.items():
            used = method.get("requestValidatorId", "")
            yield f"method {name} {verb} {resource['path']}", {**method, "requestValidatorId": names.get(used, used)}
    for stage in apigateway.get_stages(**api)["item"]:
        deployment = apigateway.get_deployment(**api, deploymentId=stage["deploymentId"])
        tags = apigateway.get_tags(resourceArn=ws.apigateway_arn(api_id, f"/stages/{stage['stageName']}"))["tags"]
        settings = {key: value for key, value in stage.items() if key != "tags"}
        yield (
            f"stage {name} {stage['stageName']}",
            settings | {"deployment": deployment.get("description")} | _tags(tags),
        )


def _is_of(arn: str, arns: Iterable[str]) -> bool:
    """Whether an ARN is one of these, or lies within one of them (a stage within its API)."""
    return any(arn == one or arn.startswith((f"{one}/", f"{one}:")) for one in arns)
