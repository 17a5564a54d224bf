"""What the embedded AWS's IAM sees otherwise than AWS's, and a policy that fits both."""

import json
from typing import Any

#: Actions of which ministack, unlike AWS, does not see what they are about.
UNNARROWED = (
    "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListTagsOfResource", "dynamodb:TagResource",
    "iam:CreatePolicy", "iam:SimulatePrincipalPolicy",
    "lambda:CreateFunction", "lambda:ListTags", "lambda:TagResource",
    "sns:ListTagsForResource", "sns:TagResource", "sns:Unsubscribe",
)  # fmt: skip


def adapt(policy: dict[str, Any]) -> dict[str, Any]:
    """A policy that lets on an embedded AWS what the given one lets on AWS.

    ministack asks for some actions on `*` where AWS asks for them on the one resource, and knows none of the
    condition keys that IAM, Lambda and API Gateway bring along (`iam:PolicyARN`, `lambda:FunctionArn`). It takes a
    variable in a resource as it is written.
    """
    # Names begin with the variable, so that this is what it stands for at most.
    policy = json.loads(json.dumps(policy).replace("${aws:PrincipalTag/Participant}", "*"))
    statements = [
        {key: value for key, value in statement.items() if key != "Condition" or statement["Effect"] == "Deny"}
        for statement in policy["Statement"]
    ]
    allowed = [one["Action"] for one in statements if one["Effect"] == "Allow"]
    listed = [[actions] if isinstance(actions, str) else actions for actions in allowed]
    actions = {action for several in listed for action in several}
    unnarrowed = sorted(actions & set(UNNARROWED))
    return {**policy, "Statement": [*statements, {"Effect": "Allow", "Action": unnarrowed, "Resource": "*"}]}
