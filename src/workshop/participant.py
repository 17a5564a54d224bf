"""What a participant needs to be allowed, for one prefix: from `doctor` to `cleanup`.

The actions stand here by kind of resource, and the resources come from the steps' own declarations, so that the
policy names exactly what the steps make. Where AWS knows no resource for an action, or gives a thing its id only
when it is made, the policy says `*` or narrows by what the thing belongs to.

Who may write policies and hand them to a function can in the end do whatever a policy can say. Where that is too
much, somebody else runs step 1, and the participant gets this policy without its writes to IAM.
"""

from typing import Any

from workshop.context import Workshop

Statement = dict[str, Any]

#: `{kind: actions}`, for what has an ARN that can be known beforehand.
ACTIONS: dict[str, list[str]] = {
    "role": [
        "iam:CreateRole", "iam:GetRole", "iam:TagRole", "iam:UpdateAssumeRolePolicy", "iam:DeleteRole",
        "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:GetRolePolicy", "iam:DeleteRolePolicy",
        "iam:SimulatePrincipalPolicy",
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


def participant_policy(ws: Workshop) -> dict[str, Any]:
    """The IAM policy that lets somebody run the whole workshop with this prefix, and nothing else.

    Returns:
        The policy document, for a customer-managed policy (at most 6,144 characters without white space).
    """
    arns = {kind: arns_of(ws, kind) for kind in ACTIONS}
    everyone = ws.arn("lambda", "event-source-mapping:*")
    only_our_functions = {"ArnEquals": {"lambda:FunctionArn": arns["function"]}}
    apis = f"arn:{ws.partition}:apigateway:{ws.region}::"
    statements: list[Statement] = [
        {"Effect": "Allow", "Action": actions, "Resource": arns[kind]} for kind, actions in ACTIONS.items()
    ]
    statements += [
        {
            "Effect": "Allow",
            "Action": ["iam:AttachRolePolicy", "iam:DetachRolePolicy"],
            "Resource": arns["role"],
            "Condition": {"ArnLike": {"iam:PolicyARN": arns["policy"]}},
        },
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": arns["role"],
            "Condition": {
                "StringEquals": {"iam:PassedToService": ["lambda.amazonaws.com", "apigateway.amazonaws.com"]}
            },
        },
        {
            "Effect": "Allow",
            "Action": [
                "lambda:CreateEventSourceMapping",
                "lambda:UpdateEventSourceMapping",
                "lambda:DeleteEventSourceMapping",
            ],
            "Resource": "*",
            "Condition": only_our_functions,
        },
        {"Effect": "Allow", "Action": ["lambda:TagResource", "lambda:ListTags"], "Resource": everyone},
        {
            "Effect": "Allow",
            "Action": ["dynamodb:GetShardIterator", "dynamodb:GetRecords"],
            "Resource": [f"{arn}/stream/*" for arn in arns["table"]],
        },
        # Whether somebody else has a policy of our name, in no path.
        {
            "Effect": "Allow",
            "Action": "iam:GetPolicy",
            "Resource": [
                ws.arn("iam", f"policy/{ws.name(name)}")
                for name in (["*"] if ws.settings.prefix else ["Lambda-*", "APIGateway-*"])
            ],
        },
        # The doctor asks what the caller himself may do.
        {
            "Effect": "Allow",
            "Action": "iam:SimulatePrincipalPolicy",
            "Resource": ws.arn("iam", "user/${aws:username}"),
        },
        # A subscription's ARN is the topic's with an id behind it.
        {"Effect": "Allow", "Action": "sns:Unsubscribe", "Resource": [f"{arn}:*" for arn in arns["topic"]]},
        # An API's id is AWS's choice, but its tags say whose it is, and all that is in it inherits them:
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
        {
            "Effect": "Deny",
            "Action": "apigateway:*",
            "Resource": f"{apis}/*",
            "Condition": {
                "Null": {"aws:ResourceTag/Participant": "false"},
                "StringNotEquals": {"aws:ResourceTag/Participant": ws.settings.participant},
            },
        },
        {"Effect": "Allow", "Action": ["apigateway:GET", "apigateway:POST"], "Resource": f"{apis}/restapis"},
        {
            "Effect": "Allow",
            "Action": [f"apigateway:{verb}" for verb in ("GET", "POST", "PUT", "PATCH", "DELETE")],
            "Resource": [f"{apis}/restapis/*", f"{apis}/tags/*"],
        },
        # For these, AWS knows no resource, or only all of them.
        {
            "Effect": "Allow",
            "Action": [
                "lambda:ListEventSourceMappings",
                "lambda:GetAccountSettings",
                "logs:DescribeLogGroups",
                "tag:GetResources",
            ],
            "Resource": "*",
        },
    ]
    return {"Version": "2012-10-17", "Statement": statements}


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
