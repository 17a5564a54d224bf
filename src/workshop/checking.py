"""Checks: what was expected, what was found, and what to type when the two differ.

A check looks its resource up by name and tag. It reads no state file, so it also grades what CloudFormation, a
script or a person's own hands built.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from workshop.errors import WorkshopError
from workshop.meaning import brief, same
from workshop.policies import refuses

if TYPE_CHECKING:
    from workshop.context import Workshop


@dataclass(frozen=True)
class Finding:
    """What a check found, beside what it expected.

    Attributes:
        passed: whether that is good enough.
        found, expected: for the person who reads.
    """

    passed: bool
    found: Any
    expected: Any

    @property
    def detail(self) -> str:
        """One sentence for the report."""
        if self.passed:
            return brief(self.found)
        return f"found {brief(self.found)}, expected {brief(self.expected)}"


def equal(found: Any, expected: Any) -> Finding:
    """Expect a value, by what it means to AWS: order in lists and the spelling of JSON do not count."""
    return Finding(same(found, expected), found, expected)


def at_least(found: Any, minimum: float, what: str = "") -> Finding:
    """Expect a number, or a text that is one, that is not too small."""
    number = float(found) if found is not None else float("-inf")
    return Finding(number >= minimum, f"{found}{what}", f"at least {minimum:g}{what}")


def holds(passed: bool, found: Any, expected: Any) -> Finding:
    """Expect a condition; `found` and `expected` say it in words."""
    return Finding(bool(passed), found, expected)


def refuses_plain_http(ws: "Workshop", policy: dict[str, Any], *actions: str) -> Finding:
    """Expect that a resource policy refuses each of some actions to everybody who does not use TLS."""
    request = {"aws:SecureTransport": "false", "aws:SourceIp": "203.0.113.1", "aws:PrincipalArn": ws.identity}
    refused = all(refuses(policy, action, request) for action in actions)
    return holds(refused, "refused" if refused else "not refused", "an explicit Deny without TLS")


def refuses_strangers(ws: "Workshop", policy: dict[str, Any], action: str) -> Finding:
    """Expect that a resource policy refuses an action to another role of the account, whatever rights it has."""
    stranger = {"aws:PrincipalArn": ws.arn("iam", "role/somebody-else"), "aws:SecureTransport": "true"}
    refused = refuses(policy, action, stranger)
    return holds(refused, "refused" if refused else "not refused", "an explicit Deny")


@dataclass(frozen=True)
class Check:
    """One check of a step.

    Attributes:
        name: what holds if it passes, as a sentence.
        run: looks, and says what it found.
        remedy: what to type if it does not hold, where that is not the step's own command.
        sends: it places orders or messages, so it is of no use to who only wants to look.
    """

    name: str
    run: Callable[["Workshop"], Finding]
    remedy: str | None = None
    sends: bool = False


@dataclass(frozen=True)
class Verdict:
    """A check that was run."""

    step: int
    name: str
    passed: bool
    detail: str
    remedy: str


def run_check(ws: "Workshop", step_number: int, step_command: str, check: Check) -> Verdict:
    """Run a check. What is missing, or what AWS refuses to say, fails it."""
    remedy = check.remedy or f"workshop {step_command}"
    try:
        finding = check.run(ws)
        passed, detail = finding.passed, finding.detail
    except WorkshopError as error:
        passed, detail = False, error.problem
    except (ClientError, BotoCoreError) as error:
        passed, detail = False, " ".join(str(error).split())
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        # Somebody else's hands may have built something that looks quite different.
        passed, detail = False, f"found something that cannot be judged: {error!r}"
    return Verdict(step_number, check.name, passed, detail, "" if passed else remedy + ws.settings.options)


def simulate(
    ws: "Workshop", principal: str, rights: list[tuple[str, str]], context: dict[str, str] | None = None
) -> dict[tuple[str, str], bool]:
    """Ask IAM what a role or a user may do, without doing it.

    Args:
        ws: the context.
        principal: the ARN of whose rights.
        rights: pairs of action and resource ARN.
        context: the condition keys that the real call would bring along.

    Returns:
        Whether each is allowed, by the role's own policies:
        https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    by_resource: dict[str, list[str]] = {}
    for action, resource in rights:
        by_resource.setdefault(resource, []).append(action)
    allowed: dict[tuple[str, str], bool] = {}
    entries = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in (context or {}).items()
    ]
    simulator = ws.client("iam").get_paginator("simulate_principal_policy")
    for resource, actions in by_resource.items():
        pages = simulator.paginate(
            PolicySourceArn=principal, ActionNames=actions, ResourceArns=[resource], ContextEntries=entries
        )
        for page in pages:
            for result in page["EvaluationResults"]:
                allowed[result["EvalActionName"], resource] = result["EvalDecision"] == "allowed"
    return allowed
