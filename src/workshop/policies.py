"""Statements that resource policies share, and what a policy's ARNs must look like. Pure: returns dictionaries."""

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


def allow_role(action: str, resource: str, role: str) -> Statement:
    """Let one role, given by its ARN, do one thing."""
    return {
        "Sid": "AllowTheRole",
        "Effect": "Allow",
        "Principal": {"AWS": role},
        "Action": action,
        "Resource": resource,
    }


def nobody_but(action: str, resource: str, role: str) -> Statement:
    """Refuse one thing to everybody but one role: rights of one's own do not help against a Deny.

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
