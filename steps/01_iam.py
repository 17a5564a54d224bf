"""Step 1: who may do what. Three roles, and a policy for every single right that they have.

Nothing in this architecture logs in with a password. Each piece *assumes a role*: API Gateway, when it puts an
order into the queue; each function, while it runs. A role has two sides:

* its **trust policy** says which service may assume it,
* its **permission policies** say what may be done with it, on which resource.

*Least privilege* means that every action below is needed, and named with the one resource that it is needed on.
The resources do not exist yet. That is no obstacle: an ARN follows from account, region and name, so a policy
can be written before the thing that it speaks of.
"""

import json

from workshop.checking import Finding, equal, holds, simulate
from workshop.policies import document, rights
from workshop.regions import mark
from workshop.step import Resource, Step, Workshop

step = Step(1, "iam", "Set up IAM policies and roles")

#: role: (the service that assumes it, {policy: (actions, (ARN's service, its beginning, resource, its end))}).
#: No resource stands for `*`.
ROLES = {
    "Lambda-SQS-DynamoDB": (
        "lambda.amazonaws.com",
        {
            # The trigger polls the queue with the function's role; the function itself never calls SQS.
            "Lambda-Receive-SQS": (
                ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
                ("sqs", "", "ecommerce-orders-queue", ""),
            ),
            # A transaction needs the permissions of what it does: here, to put items. GetItem, Query, UpdateItem and
            # DeleteItem are denied. But a put without the function's condition replaces an item, and a put can return
            # the item that it found; IAM has no condition key that allows conditional puts only.
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
            # A stream's name is the moment in which it was switched on, which step 5 will decide: hence the star.
            "Lambda-Read-DynamoDBStreams": (
                ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
                ("dynamodb", "table/", "ecommerce-orders", "/stream/*"),
            ),
            # Lambda asks for this one, too. IAM knows no resource for it: on the stream's ARN it would allow nothing.
            "Lambda-List-DynamoDBStreams": (["dynamodb:ListStreams"], None),
            "Lambda-Publish-SNS": (["sns:Publish"], ("sns", "", "ecommerce-orders-topic", "")),
            # Where the trigger reports records that POC-Lambda-2 finally could not pass on.
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
POLICIES = {name: right for _, policies in ROLES.values() for name, right in policies.items()}
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
VERSIONS_KEPT = 5


def policy_document(ws: Workshop, base: str) -> dict:
    """What a policy allows: a list of actions on one resource."""
    actions, place = POLICIES[base]
    return document({"Effect": "Allow", "Action": actions, "Resource": arn_of(ws, place)})


def arn_of(ws: Workshop, place: tuple | None) -> str:
    """The ARN of where a right is needed, or forbidden; None stands for anywhere."""
    if place is None:
        return "*"
    service, before, resource, after = place
    return ws.arn(service, f"{before}{ws.name(resource)}{after}")


def trust_document(service: str) -> dict:
    """Who may assume a role: one AWS service, and nobody else."""
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def declare_policy(base: str) -> None:
    """A customer-managed policy: it stands by itself, and is attached to the role that needs it."""

    @step.resource("policy", base)
    def policy(ws: Workshop, policy: Resource) -> None:
        iam, document = ws.client("iam"), policy_document(ws, base)
        # Its path says whose it is, and not its tags: CloudFormation, which builds the same, cannot tag policies. Its
        # description says which region it serves: IAM keeps one policy of this name for all regions of the account.
        policy.ensure(
            lambda: iam.create_policy(
                PolicyName=policy.name,
                Path=ws.settings.path,
                Description=mark(ws.region),
                PolicyDocument=json.dumps(document),
            )
        )

        def write_new_version(_: dict) -> None:
            # A policy is never edited: a new version takes the place of the old one, and IAM keeps five of them.
            versions = iam.list_policy_versions(PolicyArn=policy.arn)["Versions"]
            if len(versions) >= VERSIONS_KEPT:
                oldest = min((v for v in versions if not v["IsDefaultVersion"]), key=lambda v: v["CreateDate"])
                iam.delete_policy_version(PolicyArn=policy.arn, VersionId=oldest["VersionId"])
            iam.create_policy_version(PolicyArn=policy.arn, PolicyDocument=json.dumps(document), SetAsDefault=True)

        policy.converge({"Document": document}, write_new_version)


def declare_role(base: str, service: str, policies: list[str]) -> None:
    """A role, with its trust policy and with exactly the policies that it needs."""

    @step.resource("role", base)
    def role(ws: Workshop, role: Resource) -> None:
        iam, trust = ws.client("iam"), trust_document(service)
        # Where there is a permissions boundary, the role can do no more than that allows, whatever its policies say.
        boundary = {"PermissionsBoundary": ws.settings.boundary} if ws.settings.boundary else {}
        role.ensure(
            lambda: iam.create_role(
                RoleName=role.name,
                AssumeRolePolicyDocument=json.dumps(trust),
                Description=f"Orders workshop: assumed by {service}",
                # IAM keeps one role of this name for all regions, so a fourth tag says which region it serves.
                Tags=[*ws.tag_list, {"Key": "Region", "Value": ws.region}],
                **boundary,
            )
        )
        # One that nobody asked for stays: whoever set it knew why.
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

        def attach_exactly_these(_: dict) -> None:
            attached = set(role["AttachedPolicies"])
            for arn in sorted(needed - attached):
                iam.attach_role_policy(RoleName=role.name, PolicyArn=arn)
            for arn in sorted(attached - needed):
                iam.detach_role_policy(RoleName=role.name, PolicyArn=arn)

        role.converge({"AttachedPolicies": sorted(needed)}, attach_exactly_these)

        def delete_inline_policies(_: dict) -> None:
            for name in role["InlinePolicies"]:
                iam.delete_role_policy(RoleName=role.name, PolicyName=name)

        role.converge({"InlinePolicies": []}, delete_inline_policies)


for _policy in POLICIES:
    declare_policy(_policy)
for _role, (_service, _policies) in ROLES.items():
    declare_role(_role, _service, list(_policies))


#: What none of these roles may do, whatever it is named after: on resources of others, and on our own.
FORBIDDEN = [
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


def target(ws: Workshop, place: tuple | None) -> str:
    """What to ask IAM about. Any stream will do: a right on all streams of the table must hold for each."""
    return arn_of(ws, place).replace("/stream/*", "/stream/2026-01-01T00:00:00.000")


def declare_checks(role: str, service: str, policies: dict) -> None:
    """What must hold for a role: who assumes it, what it may do, what it may not, and that there is nothing more."""

    @step.check(f"{role}: only {service} assumes it")
    def trusted(ws: Workshop) -> Finding:
        return equal(ws.need("role", role)["AssumeRolePolicyDocument"], trust_document(service))

    for policy, (actions, place) in policies.items():

        @step.check(f"{role}: may do what {policy} is for")
        def able(ws: Workshop, actions: list[str] = actions, place: tuple | None = place) -> Finding:
            arn = target(ws, place)
            allowed = simulate(ws, ws.need("role", role)["Arn"], [(action, arn) for action in actions])
            denied = [action for (action, _), yes in allowed.items() if not yes]
            return holds(not denied, f"denied: {', '.join(denied)}" if denied else "allowed", f"{actions} on {arn}")

    @step.check(f"{role}: may not do what it does not need")
    def unable(ws: Workshop) -> Finding:
        forbidden = [(action, target(ws, place)) for action, place in FORBIDDEN]
        allowed = simulate(ws, ws.need("role", role)["Arn"], forbidden)
        surplus = [f"{action} on {arn}" for (action, arn), yes in allowed.items() if yes]
        return holds(not surplus, ", ".join(surplus) or f"{len(forbidden)} rights denied", "denied")

    @step.check(f"{role}: has no right beyond these")
    def exact(ws: Workshop) -> Finding:
        needed = rights(policy_document(ws, policy) for policy in policies)
        surplus = rights(documents_of(ws, role)) - needed
        return holds(not surplus, sorted(map(" on ".join, surplus)) or "exactly what it needs", "nothing more")


def documents_of(ws: Workshop, role: str) -> list[dict]:
    """Every policy document that counts for a role: of its attached policies and of its inline ones."""
    iam, found, documents = ws.client("iam"), ws.need("role", role), []
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
