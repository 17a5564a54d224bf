"""Statements that resource policies share, and what a policy's ARNs must look like. Pure: returns dictionaries."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import Any

Statement = dict[str, Any]


def only_tls(action: str, resource: str) -> Statement:
    """Refuse plain HTTP, whoever it comes from.

    The address is left out that never leaves the machine: it is how an embedded AWS is reached. AWS itself sees
    no caller from 127.0.0.0/8, so there this refuses every call without TLS.

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
        "Condition": {"Bool": {"aws:SecureTransport": "false"}, "NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
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


def document(*statements: Statement) -> dict[str, Any]:
    """A policy document of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def as_list(value: Any) -> list[Any]:
    """IAM writes a list of one as the one; this makes it a list again."""
    return value if isinstance(value, list) else [value]


def rights(policies: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
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


#: How a value of the request compares with a value of the policy, for each of IAM's condition operators in use here.
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "Bool": lambda is_, should: is_.lower() == should.lower(),
    "StringEquals": lambda is_, should: is_ == should,
    "StringLike": fnmatchcase,
    "ArnEquals": fnmatchcase,
    "ArnLike": fnmatchcase,
    "IpAddress": lambda is_, should: ip_address(is_) in ip_network(should),
}


def refuses(policy: dict[str, Any], action: str, request: dict[str, str]) -> bool:
    """Whether a resource policy refuses a call with a Deny, whatever rights the caller has.

    Only what is certain counts: a statement with a condition operator that is not known here refuses nothing.

    Args:
        policy: the policy document.
        action: such as `sqs:SendMessage`.
        request: the condition keys of the call, such as `aws:SecureTransport`.
    """
    return any(
        statement["Effect"] == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and any(fnmatchcase(action.lower(), pattern.lower()) for pattern in as_list(statement.get("Action", [])))
        and _holds(statement.get("Condition", {}), request)
        for statement in as_list(policy["Statement"])
    )


def _holds(conditions: dict[str, dict[str, Any]], request: dict[str, str]) -> bool:
    for operator, keys in conditions.items():
        negated = "Not" in operator
        compare = _COMPARE.get(operator.replace("Not", ""))
        for key, values in keys.items():
            if compare is None:
                return False
            if key not in request:
                # IAM: a missing key fulfils the negated operators, and no other.
                matched = False
            else:
                matched = any(compare(request[key], str(value)) for value in as_list(values))
            if matched == negated:
                return False
    return True
