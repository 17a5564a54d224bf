"""Statements that resource policies share, and what a policy's ARNs must look like. Pure: returns dictionaries."""

import json
from collections.abc import Iterable
from typing import Any

from workshop.aws.evaluator import Context, as_list, evaluate

Statement = dict[str, Any]
Document = dict[str, Any]


def only_tls(action: str, resource: str) -> Statement:
    """Refuse plain HTTP, whoever it comes from.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-securetransport

    Args:
        action: such as `sqs:*`.
        resource: the ARN of what the policy belongs to.
    """
    return {
        "Sid": "OnlyTLS",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def nobody_but(action: str, resource: str, role: str) -> Statement:
    """Refuse one thing to everybody but one role: rights of one's own do not help against a Deny.

    It allows nothing by itself: what the role may do stands in the role's own policies, and only there.

    The account's root user is left out, as AWS advises, so that nobody is locked out. AWS compares
    `aws:PrincipalArn` with the role's ARN; some see the session's ARN, so that stands there as well:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
    """
    _, partition, _, _, account, _ = role.split(":", 5)
    session = role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/*"
    return {
        "Sid": "DenyEverybodyElse",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resource,
        "Condition": {"ArnNotLike": {"aws:PrincipalArn": [role, session, f"arn:{partition}:iam::{account}:root"]}},
    }


def document(*statements: Statement | None) -> Document:
    """A policy document of these statements; those that are None are left out."""
    return {"Version": "2012-10-17", "Statement": [one for one in statements if one]}


def as_attribute(*statements: Statement | None) -> dict[str, str]:
    """A queue's attribute `Policy` of these statements; no attribute where there is no statement."""
    policy = document(*statements)
    return {"Policy": json.dumps(policy)} if policy["Statement"] else {}


def rights(policies: Iterable[Document]) -> set[tuple[str, str]]:
    """What identity policies allow, as pairs of action (in small letters) and resource.

    Statements with `NotAction` or `NotResource` allow what nobody has listed; they count as `*`.
    """
    return {
        (action.lower(), resource)
        for policy in policies
        for statement in as_list(policy["Statement"])
        if statement["Effect"] == "Allow"
        for action in as_list(statement.get("Action", "*"))
        for resource in as_list(statement.get("Resource", "*"))
    }


def refuses(policy: Document, action: str, resource: str, call: Context) -> bool:
    """Whether a resource policy refuses a call with a Deny, whatever rights the caller has.

    Args:
        policy: the policy document.
        action: such as `sqs:SendMessage`.
        resource: the ARN of what the policy belongs to.
        call: the condition keys of the call, such as `aws:SecureTransport`.
    """
    return evaluate([policy], action, resource, call) == "deny"
