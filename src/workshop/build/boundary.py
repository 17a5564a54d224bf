"""The permissions boundary: the most that a role may do which a participant makes, whatever its policies say.

An instructor makes it once in an account, for all participants and all regions. Where `workshop policy` lets a
participant make and change roles, it lets only roles of this boundary, so a policy that says more has no effect.

Whose role it is, its own tag `Participant` says; participants can put no other name on one. The boundary allows
what the workshop's three roles need, on the resources named after that participant. The rest it *denies*: a
resource's own policy could let a role's session in past a boundary that is merely silent:
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-eval-logic
"""

import dataclasses
import json
from typing import Any

from workshop.aws.policies import Statement, document
from workshop.base.settings import NO_PREFIX, PROJECT
from workshop.build.context import Workshop
from workshop.embedded import adapt

#: It lies in no path: those in `/ecommerce-serverless-poc/…/` are the participants' own.
NAME = f"{PROJECT}-boundary"
#: Whose role is calling.
WHOSE = "aws:PrincipalTag/Participant"
#: What the workshop's roles may do: `{resource: actions}`, each by its ARN's service, its name's beginning and end.
RIGHTS = {
    ("sqs", "", "ecommerce-orders-queue"): [
        "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:SendMessage",
    ],
    ("sqs", "", "ecommerce-orders-stream-dlq"): ["sqs:SendMessage"],
    ("dynamodb", "table/", "ecommerce-orders"): ["dynamodb:PutItem"],
    ("dynamodb", "table/", "ecommerce-orders/stream/*"): [
        "dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator",
    ],
    ("sns", "", "ecommerce-orders-topic"): ["sns:Publish"],
    ("logs", "log-group:/aws/lambda/", "POC-Lambda-*"): ["logs:CreateLogStream", "logs:PutLogEvents"],
}  # fmt: skip
#: AWS knows no resource for it.
ANYWHERE = ["dynamodb:ListStreams"]


def boundary_arn(ws: Workshop) -> str:
    """The ARN of the boundary for this participant's roles: of the one that was asked for, or of the account's."""
    return ws.settings.boundary or ws.arn("iam", f"policy/{NAME}")


def boundary_policy(ws: Workshop) -> dict[str, Any]:
    """The boundary's document: the same for everybody in the account."""

    def allow(names: str, operator: str) -> list[Statement]:
        who = {operator: {WHOSE: NO_PREFIX}}
        return [
            {"Effect": "Allow", "Action": actions, "Resource": _anywhere(ws, service, f"{before}{names}{name}"),
             "Condition": who}
            for (service, before, name), actions in RIGHTS.items()
        ]  # fmt: skip

    allowed = sorted({action for actions in RIGHTS.values() for action in actions} | {*ANYWHERE})
    return document(
        *allow(f"${{{WHOSE}}}-", "StringNotEquals"),
        # Without a prefix, names are those of the specification.
        *allow("", "StringEquals"),
        {"Effect": "Allow", "Action": ANYWHERE, "Resource": "*"},
        {"Effect": "Deny", "NotAction": allowed, "Resource": "*"},
    )


def bring_boundary(ws: Workshop) -> None:
    """Make the boundary that was asked for in an empty embedded AWS as well, where roles shall have the same.

    It gets the same name and path; the account is the embedded one's, and so is the boundary of `ws` from now on.
    """
    asked_for = ws.settings.boundary
    if asked_for is None or ":iam::aws:" in asked_for:
        return
    path, _, name = asked_for.partition(":policy")[2].rpartition("/")
    document = json.dumps(adapt(boundary_policy(ws)))
    made = ws.client("iam").create_policy(PolicyName=name, Path=f"{path}/", PolicyDocument=document)
    ws.settings = dataclasses.replace(ws.settings, boundary=made["Policy"]["Arn"])


def _anywhere(ws: Workshop, service: str, resource: str) -> str:
    """The ARN of a resource in whatever region: IAM's policies are the same in all."""
    return f"arn:{ws.partition}:{service}:*:{ws.account}:{resource}"
