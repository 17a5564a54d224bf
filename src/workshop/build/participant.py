"""What a participant needs to be allowed, for one prefix: from `doctor` to `cleanup`.

The actions come from the kinds of resources, and the resources from the steps' own declarations, so that the
policy names what the steps make. Where AWS knows no resource for an action, or gives a thing its id only when it is
made, the policy says `*` or narrows by what the thing belongs to.

Two dangers decide the rest. Who may write policies and hand them to a function could do whatever a policy can say:
so a participant makes roles only within a *permissions boundary* (`workshop.build.boundary`), which no policy of theirs
outweighs. And tags say whose a thing is: so nobody may put another participant's name on anything, or touch what
carries one.
"""

from collections.abc import Callable, Sequence
from typing import Any

from workshop.aws.policies import Statement, document
from workshop.build.boundary import boundary_arn
from workshop.build.context import Workshop
from workshop.kinds import KINDS
from workshop.kinds.iam import IAM

#: What can make a role more powerful: allowed only for roles within the boundary.
MAKE_POWERFUL = ["iam:CreateRole", "iam:UpdateAssumeRolePolicy", "iam:AttachRolePolicy"]
#: How names begin that become one with a star behind a prefix. Small letters alone could belong to another prefix.
COMMON = ("POC-Lambda-", "/aws/lambda/POC-Lambda-")
#: What belongs to no kind, and for which AWS knows no resource, or only all of them; or what they look for may be
#: anywhere.
ANYWHERE = [
    "lambda:GetAccountSettings", "tag:GetResources",
    "cloudformation:DescribeStackResources", "cloudformation:DescribeStacks",
]  # fmt: skip


def participant_policy(ws: Workshop, part: str = "") -> dict[str, Any]:
    """The IAM policy that lets somebody run the whole workshop with this prefix, and nothing else.

    Args:
        ws: the context.
        part: a key of `PARTS`, for one of the documents that together say the same; by default all in one.

    Returns:
        The policy document. A customer-managed policy holds at most 6,144 characters without white space.
    """
    parts = [PARTS[part]] if part else PARTS.values()
    return document(*(statement for allow in parts for statement in allow(ws)), *_other_peoples_tags(ws))


def _iam(ws: Workshop) -> list[Statement]:
    """Roles, policies, and what may be done with them."""
    roles, own_policies = arns_of(ws, "role"), arns_of(ws, "policy")
    return [
        _allow(KINDS["role"].actions, roles),
        _allow(KINDS["policy"].actions, own_policies),
        # Only attaching is about a policy: hence "if exists".
        _allow(
            MAKE_POWERFUL,
            roles,
            StringEquals={"iam:PermissionsBoundary": boundary_arn(ws)},
            ArnLikeIfExists={"iam:PolicyARN": own_policies},
        ),
        _allow("iam:DetachRolePolicy", roles, ArnLike={"iam:PolicyARN": own_policies}),
        _allow(
            "iam:PassRole",
            roles,
            StringEquals={"iam:PassedToService": ["lambda.amazonaws.com", "apigateway.amazonaws.com"]},
        ),
        # Whether somebody else has a policy of our name, in no path.
        _allow(
            "iam:GetPolicy",
            [
                ws.arn("iam", f"policy/{ws.name(name)}")
                for name in (["*"] if ws.settings.prefix else ["Lambda-*", "APIGateway-*"])
            ],
        ),
        # The doctor asks what the caller himself may do.
        _allow("iam:SimulatePrincipalPolicy", ws.arn("iam", "user/${aws:username}")),
    ]


def _services(ws: Workshop) -> list[Statement]:
    """Everything that orders go through."""
    named = [
        _allow(kind.actions, arns_of(ws, name))
        for name, kind in KINDS.items()
        if kind.actions and name not in IAM and ws.bases(name)
    ]
    anywhere = [*ANYWHERE, *(action for kind in KINDS.values() for action in kind.actions_anywhere)]
    streams = [f"{arn}/stream/*" for arn in arns_of(ws, "table")]
    mappings, me = ws.arn("lambda", "event-source-mapping:*"), ws.settings.participant
    apis = f"arn:{ws.partition}:apigateway:{ws.region}::"
    return [
        *named,
        _allow(["dynamodb:GetShardIterator", "dynamodb:GetRecords"], streams),
        # A mapping's id is AWS's choice; it belongs to its function.
        _allow(
            [f"lambda:{verb}EventSourceMapping" for verb in ("Create", "Update", "Delete")],
            "*",
            ArnEquals={"lambda:FunctionArn": arns_of(ws, "function")},
        ),
        _allow("lambda:TagResource", mappings, StringEquals={"aws:RequestTag/Participant": me}),
        _allow("lambda:ListTags", mappings),
        # APIs are looked for in the list of all, and tags are read and written under a path of their own.
        # An API's id is AWS's choice as well, but its tags say whose it is, and all that is in it inherits them:
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
        _allow(["apigateway:GET", "apigateway:PUT"], [f"{apis}/restapis", f"{apis}/tags/*"]),
        _allow("apigateway:POST", f"{apis}/restapis", StringEquals={"aws:RequestTag/Participant": me}),
        _allow(
            [f"apigateway:{verb}" for verb in ("GET", "POST", "PUT", "PATCH", "DELETE")],
            f"{apis}/restapis/*",
            StringEquals={"aws:ResourceTag/Participant": me},
        ),
        _allow(anywhere, "*"),
    ]


def _other_peoples_tags(ws: Workshop) -> list[Statement]:
    """Nobody puts another participant's name on anything, nor touches what carries one.

    It is denied, so that no other policy of the same user helps. Each document says it, so that each is safe alone.
    """
    return [
        {
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"Null": {key: "false"}, "StringNotEquals": {key: ws.settings.participant}},
        }
        for key in ("aws:RequestTag/Participant", "aws:ResourceTag/Participant")
    ]


#: The two documents into which the policy can be split, so that there is room in each.
PARTS: dict[str, Callable[[Workshop], list[Statement]]] = {"iam": _iam, "services": _services}


def _allow(actions: str | Sequence[str], resources: str | list[str], **condition: dict[str, Any]) -> Statement:
    several = actions if isinstance(actions, str) else list(actions)
    statement = {"Effect": "Allow", "Action": several, "Resource": resources}
    return statement | {"Condition": condition} if condition else statement


def arns_of(ws: Workshop, kind: str) -> list[str]:
    """The ARNs of all resources of a kind that the steps declare."""
    arn = KINDS[kind].arn
    assert arn is not None, f"the name of a {kind} does not tell its ARN"
    # What lies in our path, or behind our prefix, is the participant's own; all names would be more than IAM takes.
    if kind == "policy":
        return [arn(ws, "*")]
    bases = ws.bases(kind)
    for common in COMMON if ws.settings.prefix else ():
        if all(base.startswith(common) for base in bases):
            return [arn(ws, ws.name(f"{common}*"))]
    arns = [arn(ws, ws.name(base)) for base in bases]
    # Some calls take a log group's ARN with a star for its streams, some without.
    return [*arns, *(f"{one}:*" for one in arns)] if kind == "log-group" else arns
