"""What a participant needs to be allowed, for one prefix: from `doctor` to `cleanup`.

The actions stand here by kind of resource, and the resources come from the steps' own declarations, so that the
policy names exactly what the steps make. Where AWS knows no resource for an action, or gives a thing its id only
when it is made, the policy says `*` or narrows by what the thing belongs to.

Two dangers decide the rest. Who may write policies and hand them to a function could do whatever a policy can say:
so a participant makes roles only within a *permissions boundary* (`workshop.boundary`), which no policy of theirs
outweighs. And tags say whose a thing is: so nobody may put another participant's name on anything, or touch what
carries one.
"""

from collections.abc import Callable
from typing import Any

from workshop.boundary import boundary_arn
from workshop.context import Workshop
from workshop.policies import Statement, document

#: `{kind: actions}`, for what has an ARN that can be known beforehand.
ACTIONS: dict[str, list[str]] = {
    "role": [
        "iam:GetRole", "iam:TagRole", "iam:DeleteRole", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies",
        "iam:GetRolePolicy", "iam:DeleteRolePolicy", "iam:SimulatePrincipalPolicy",
    ],
    "policy": [
        "iam:CreatePolicy", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:CreatePolicyVersion",
        "iam:DeletePolicyVersion", "iam:ListPolicyVersions", "iam:ListEntitiesForPolicy", "iam:DeletePolicy",
    ],
    "table": [
        "dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTable", "dynamodb:DeleteTable",
        "dynamodb:TagResource", "dynamodb:ListTagsOfResource", "dynamodb:GetItem", "dynamodb:Scan",
        "dynamodb:DeleteItem",
    ],
    "queue": [
        "sqs:CreateQueue", "sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes", "sqs:DeleteQueue",
        "sqs:TagQueue", "sqs:ListQueueTags", "sqs:ReceiveMessage", "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
    ],
    "log-group": [
        "logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogGroup", "logs:TagResource",
        "logs:ListTagsForResource", "logs:FilterLogEvents",
    ],
    "function": [
        "lambda:CreateFunction", "lambda:GetFunction", "lambda:UpdateFunctionConfiguration",
        "lambda:UpdateFunctionCode", "lambda:DeleteFunction", "lambda:TagResource", "lambda:InvokeFunction",
    ],
    "topic": [
        "sns:CreateTopic", "sns:GetTopicAttributes", "sns:SetTopicAttributes", "sns:DeleteTopic", "sns:TagResource",
        "sns:ListTagsForResource", "sns:Subscribe", "sns:ListSubscriptionsByTopic",
    ],
}  # fmt: skip
#: What can make a role more powerful: allowed only for roles within the boundary.
MAKE_POWERFUL = ["iam:CreateRole", "iam:UpdateAssumeRolePolicy", "iam:AttachRolePolicy"]
#: For these, AWS knows no resource, or only all of them.
ANYWHERE = [
    "lambda:ListEventSourceMappings", "lambda:GetAccountSettings", "logs:DescribeLogGroups", "tag:GetResources",
    "sns:Unsubscribe",
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
        _allow(ACTIONS["role"], roles),
        _allow(ACTIONS["policy"], own_policies),
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
    named = [_allow(actions, arns_of(ws, kind)) for kind, actions in ACTIONS.items() if kind not in ("role", "policy")]
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
        # An API's id is AWS's choice as well, but its tags say whose it is, and all that is in it inherits them:
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
        _allow("apigateway:GET", f"{apis}/restapis"),
        _allow("apigateway:POST", f"{apis}/restapis", StringEquals={"aws:RequestTag/Participant": me}),
        _allow(
            [f"apigateway:{verb}" for verb in ("GET", "POST", "PUT", "PATCH", "DELETE")],
            f"{apis}/restapis/*",
            StringEquals={"aws:ResourceTag/Participant": me},
        ),
        # Who tags an API also needs PATCH on the API itself.
        _allow(["apigateway:GET", "apigateway:PUT"], f"{apis}/tags/*"),
        _allow(ANYWHERE, "*"),
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


def _allow(actions: str | list[str], resources: str | list[str], **condition: dict[str, Any]) -> Statement:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return statement | {"Condition": condition} if condition else statement


def arns_of(ws: Workshop, kind: str) -> list[str]:
    """The ARNs of all resources of a kind that the steps declare."""
    form = {
        "role": ("iam", "role/{}"),
        "policy": ("iam", f"policy{ws.settings.path}{{}}"),
        "table": ("dynamodb", "table/{}"),
        "queue": ("sqs", "{}"),
        "log-group": ("logs", "log-group:{}"),
        "function": ("lambda", "function:{}"),
        "topic": ("sns", "{}"),
    }
    service, resource = form[kind]
    names = [ws.name(d.base) for step in ws.steps for d in step.declarations if d.kind == kind]
    # What lies in our path, or behind our prefix, is the participant's own; all names would be more than IAM takes.
    if kind == "policy":
        names = ["*"]
    if kind == "log-group" and ws.settings.prefix:
        return [ws.arn(service, resource.format(ws.name("/aws/lambda/POC-Lambda-*")))]
    arns = [ws.arn(service, resource.format(name)) for name in names]
    # Some calls take a log group's ARN with a star for its streams, some without.
    return [*arns, *(f"{arn}:*" for arn in arns)] if kind == "log-group" else arns
