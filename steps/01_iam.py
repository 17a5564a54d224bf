"""Step 1: permissions. You create three IAM roles, and one policy for each permission that a role needs.

Nothing in this architecture logs in with a password. Each service *assumes a role*: API Gateway when it sends an
order to the queue, Lambda while it runs a function. A role has two kinds of policies:

* The **trust policy** says which service can assume the role.
* The **permissions policies** say which actions the role can perform, and on which resources.

*Least privilege* means that each policy allows only the actions that are needed, on the one resource that needs
them. The resources don't exist yet, but that doesn't matter: an ARN consists of account, region and name, so you can
write a policy before you create the resource.
"""

import json
from typing import Any

from workshop.aws.policies import Document, document, rights
from workshop.base.services import Parameters
from workshop.build.checks import Finding, equal, holds, simulate
from workshop.build.step import Resource, Step, Workshop
from workshop.kinds.regions import mark

step = Step(1, "iam", "Set up IAM policies and roles")

#: The resource of a permission: (service in the ARN, prefix, resource name, suffix); None stands for `*`.
Where = tuple[str, str, str, str] | None
#: {policy: (actions, where)}
Policies = dict[str, tuple[list[str], Where]]
#: {role: (the service that assumes it, policies)}
ROLES: dict[str, tuple[str, Policies]] = {
    "Lambda-SQS-DynamoDB": (
        "lambda.amazonaws.com",
        {
            # The event source mapping polls the queue with the function's role; the function itself never calls SQS.
            "Lambda-Receive-SQS": (
                ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
                ("sqs", "", "ecommerce-orders-queue", ""),
            ),
            # A transaction needs the permissions of its operations: here, PutItem. GetItem, Query, UpdateItem and
            # DeleteItem stay denied. A put without the function's condition could still replace an item, or return
            # the old one: IAM has no condition key that allows only conditional puts.
            "Lambda-Put-DynamoDB": (["dynamodb:PutItem"], ("dynamodb", "table/", "ecommerce-orders", "")),
            "Lambda-1-Write-Logs": (
                ["logs:CreateLogStream", "logs:PutLogEvents"],
                ("logs", "log-group:", "/aws/lambda/POC-Lambda-1", ":*"),
            ),
        },
    ),
    "Lambda-DynamoDB-SNS": (
        "lambda.amazonaws.com",
        {
            # A stream is named after the time at which step 5 enables it, so the ARN ends in a wildcard.
            "Lambda-Read-DynamoDBStreams": (
                ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
                ("dynamodb", "table/", "ecommerce-orders", "/stream/*"),
            ),
            # Lambda needs this permission, too. ListStreams supports no resource-level permissions: only "*" works.
            "Lambda-List-DynamoDBStreams": (["dynamodb:ListStreams"], None),
            "Lambda-Publish-SNS": (["sns:Publish"], ("sns", "", "ecommerce-orders-topic", "")),
            # The event source mapping sends discarded batches to this queue.
            "Lambda-Send-StreamDLQ": (["sqs:SendMessage"], ("sqs", "", "ecommerce-orders-stream-dlq", "")),
            "Lambda-2-Write-Logs": (
                ["logs:CreateLogStream", "logs:PutLogEvents"],
                ("logs", "log-group:", "/aws/lambda/POC-Lambda-2", ":*"),
            ),
        },
    ),
    "APIGateway-SQS": (
        "apigateway.amazonaws.com",
        {"APIGateway-Send-SQS": (["sqs:SendMessage"], ("sqs", "", "ecommerce-orders-queue", ""))},
    ),
}
POLICIES: Policies = {name: right for _, policies in ROLES.values() for name, right in policies.items()}
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
VERSIONS_KEPT = 5


def policy_document(ws: Workshop, base: str) -> Document:
    """Return the policy document: some actions on one resource."""
    actions, place = POLICIES[base]
    return document({"Effect": "Allow", "Action": actions, "Resource": arn_of(ws, place)})


def arn_of(ws: Workshop, place: Where) -> str:
    """Return the ARN of a permission's resource; `*` for None."""
    if place is None:
        return "*"
    service, before, resource, after = place
    return ws.arn(service, f"{before}{ws.name(resource)}{after}")


def trust_document(service: str) -> Document:
    """Return the trust policy that lets only one AWS service assume a role."""
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def declare_policy(base: str) -> None:
    """A customer managed policy: a resource of its own that you attach to the role that needs it."""

    @step.resource("policy", base)
    def policy(ws: Workshop, policy: Resource) -> None:
        iam, document = ws.client("iam"), policy_document(ws, base)
        # The path identifies the owner, because CloudFormation can't tag policies. The description names the region,
        # because IAM is global: an account has one policy of this name for all regions.
        policy.ensure(
            lambda: iam.create_policy(
                PolicyName=policy.name,
                Path=ws.settings.path,
                Description=mark(ws.region),
                PolicyDocument=json.dumps(document),
            )
        )

        def write_new_version(_: Parameters) -> None:
            # You can't edit a policy: you create a new default version, and IAM keeps at most five versions.
            versions = iam.list_policy_versions(PolicyArn=policy.arn)["Versions"]
            if len(versions) >= VERSIONS_KEPT:
                oldest = min((v for v in versions if not v["IsDefaultVersion"]), key=lambda v: v["CreateDate"])
                iam.delete_policy_version(PolicyArn=policy.arn, VersionId=oldest["VersionId"])
            iam.create_policy_version(PolicyArn=policy.arn, PolicyDocument=json.dumps(document), SetAsDefault=True)

        policy.converge({"Document": document}, write_new_version)


def declare_role(base: str, service: str, policies: list[str]) -> None:
    """A role with its trust policy and exactly the permissions policies that it needs."""

    @step.resource("role", base)
    def role(ws: Workshop, role: Resource) -> None:
        iam, trust = ws.client("iam"), trust_document(service)
        # A permissions boundary limits what the role can do, whatever its policies allow.
        boundary: Parameters = {"PermissionsBoundary": ws.settings.boundary} if ws.settings.boundary else {}
        role.ensure(
            lambda: iam.create_role(
                RoleName=role.name,
                AssumeRolePolicyDocument=json.dumps(trust),
                Description=f"Orders workshop: assumed by {service}",
                # IAM is global, so a fourth tag says which region the role belongs to.
                Tags=[*ws.tag_list, {"Key": "Region", "Value": ws.region}],
                **boundary,
            )
        )
        # A boundary that somebody else set stays in place.
        role.converge(
            boundary,
            lambda changed: iam.put_role_permissions_boundary(RoleName=role.name, **changed),
            read=lambda: {
                key: value.get("PermissionsBoundaryArn") for key, value in role.found.items() if key in boundary
            },
        )
        role.converge(
            {"AssumeRolePolicyDocument": trust},
            lambda _: iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=json.dumps(trust)),
        )
        needed = {ws.policy_arn(policy) for policy in policies}

        def attach_exactly_these(_: Parameters) -> None:
            attached = set(role["AttachedPolicies"])
            for arn in sorted(needed - attached):
                iam.attach_role_policy(RoleName=role.name, PolicyArn=arn)
            for arn in sorted(attached - needed):
                iam.detach_role_policy(RoleName=role.name, PolicyArn=arn)

        role.converge({"AttachedPolicies": sorted(needed)}, attach_exactly_these)

        def delete_inline_policies(_: Parameters) -> None:
            for name in role["InlinePolicies"]:
                iam.delete_role_policy(RoleName=role.name, PolicyName=name)

        role.converge({"InlinePolicies": []}, delete_inline_policies)


for _policy in POLICIES:
    declare_policy(_policy)
for _role, (_service, _policies) in ROLES.items():
    declare_role(_role, _service, list(_policies))


#: What none of these roles may do, on our own resources or on somebody else's.
FORBIDDEN: list[tuple[str, Where]] = [
    ("dynamodb:PutItem", ("dynamodb", "table/", "somebody-elses-table", "")),
    *[
        (f"dynamodb:{action}", ("dynamodb", "table/", "ecommerce-orders", ""))
        for action in ("DeleteTable", "DeleteItem", "UpdateItem", "Scan", "GetItem")
    ],
    *[
        (f"sqs:{action}", ("sqs", "", "ecommerce-orders-queue", ""))
        for action in ("PurgeQueue", "DeleteQueue", "SetQueueAttributes")
    ],
    *[(f"sqs:{action}", ("sqs", "", "somebody-elses-queue", "")) for action in ("SendMessage", "ReceiveMessage")],
    ("sns:Publish", ("sns", "", "somebody-elses-topic", "")),
    *[(f"sns:{action}", ("sns", "", "ecommerce-orders-topic", "")) for action in ("DeleteTopic", "Subscribe")],
    ("lambda:UpdateFunctionCode", ("lambda", "function:", "POC-Lambda-1", "")),
    ("iam:CreateAccessKey", None),
    ("iam:AttachRolePolicy", None),
    ("s3:GetObject", None),
    ("sts:AssumeRole", None),
]


def target(ws: Workshop, place: Where) -> str:
    """Return the ARN to simulate. A permission on all streams of the table must hold for any of them."""
    return arn_of(ws, place).replace("/stream/*", "/stream/2026-01-01T00:00:00.000")


def declare_checks(role: str, service: str, policies: Policies) -> None:
    """Declare the checks of a role: who can assume it, what it allows, what it denies, and nothing beyond that."""

    @step.check(f"{role}: only {service} can assume it")
    def trusted(ws: Workshop) -> Finding:
        return equal(ws.need("role", role)["AssumeRolePolicyDocument"], trust_document(service))

    for policy, (actions, place) in policies.items():

        @step.check(f"{role}: has the permissions of {policy}")
        def able(ws: Workshop, actions: list[str] = actions, place: Where = place) -> Finding:
            arn = target(ws, place)
            allowed = simulate(ws, ws.need("role", role)["Arn"], [(action, arn) for action in actions])
            denied = [action for (action, _), yes in allowed.items() if not yes]
            return holds(not denied, f"denied: {', '.join(denied)}" if denied else "allowed", f"{actions} on {arn}")

    @step.check(f"{role}: is denied what it doesn't need")
    def unable(ws: Workshop) -> Finding:
        forbidden = [(action, target(ws, place)) for action, place in FORBIDDEN]
        allowed = simulate(ws, ws.need("role", role)["Arn"], forbidden)
        surplus = [f"{action} on {arn}" for (action, arn), yes in allowed.items() if yes]
        return holds(not surplus, ", ".join(surplus) or f"{len(forbidden)} actions denied", "denied")

    @step.check(f"{role}: has no other permissions")
    def exact(ws: Workshop) -> Finding:
        needed = rights(policy_document(ws, policy) for policy in policies)
        surplus = rights(documents_of(ws, role)) - needed
        return holds(not surplus, sorted(map(" on ".join, surplus)) or "exactly what it needs", "nothing more")


def documents_of(ws: Workshop, role: str) -> list[Document]:
    """Return the documents of a role's attached and inline policies."""
    iam, found = ws.client("iam"), ws.need("role", role)
    documents: list[Any] = []
    for arn in found["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        documents.append(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])
    for name in found["InlinePolicies"]:
        documents.append(iam.get_role_policy(RoleName=found["RoleName"], PolicyName=name)["PolicyDocument"])
    return documents


for _role, (_service, _policies) in ROLES.items():
    declare_checks(_role, _service, _policies)


if __name__ == "__main__":
    step.main()
