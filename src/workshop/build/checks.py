"""Checks: what was found, what was expected, and what to type if they differ.

A check looks its resource up by name and tag. It reads no state file, so it works the same for a system built by
CloudFormation, by a script or by hand.
"""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from workshop.aws.evaluator import Decision, evaluate
from workshop.aws.policies import Document
from workshop.aws.values import in_a_line, same
from workshop.base.errors import WorkshopError
from workshop.build.context import Workshop

#: How a report words a policy decision.
DECISIONS: dict[Decision, str] = {
    "allow": "not denied",
    "implicit": "not denied",
    "deny": "denied",
    "unknown": "unknown: the policy has a condition that IAM doesn't know, or that no request can meet",
}


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        passed: whether what was found is acceptable.
        found, expected: what the report shows.
        remedy: what to type if the check failed and no step can fix it.
    """

    passed: bool
    found: Any
    expected: Any
    remedy: str = ""

    @property
    def detail(self) -> str:
        """What the report says in one line."""
        if self.passed:
            return in_a_line(self.found)
        return f"found {in_a_line(self.found)}, expected {in_a_line(self.expected)}"

    def cured_by(self, remedy: str) -> "Finding":
        """Return the same finding with a remedy."""
        return replace(self, remedy=remedy)


def equal(found: Any, expected: Any) -> Finding:
    """Expect a value that means the same to AWS: the order of lists and the formatting of JSON don't count."""
    return Finding(same(found, expected), found, expected)


def at_least(found: Any, minimum: float, what: str = "") -> Finding:
    """Expect a minimum of a number or numeric string."""
    number = float(found) if found is not None else float("-inf")
    return Finding(number >= minimum, f"{found}{what}", f"at least {minimum:g}{what}")


def holds(passed: bool, found: Any, expected: Any) -> Finding:
    """Expect a condition, described by `found` and `expected`."""
    return Finding(bool(passed), found, expected)


def refuses_plain_http(ws: Workshop, policy: Document, resource: str, *actions: str) -> Finding:
    """Expect that a resource policy denies each of some actions to every caller without TLS.

    An emulator may use plain HTTP itself; there, such a policy would deny everything.
    """
    if not ws.uses_tls:
        return holds(True, "not expected: the endpoint of this AWS uses plain HTTP", "")
    everybody = [ws.identity, *_strangers(ws, policy, ws.identity)]
    decisions = [
        evaluate([policy], action, resource, _call(one, tls="false")) for one in everybody for action in actions
    ]
    return _all_are("deny", decisions, "an explicit Deny without TLS")


def refuses_strangers(ws: Workshop, policy: Document, resource: str, action: str, role: str) -> Finding:
    """Expect that a resource policy denies an action to every principal except a role, whatever their permissions."""
    decisions = [evaluate([policy], action, resource, _call(one)) for one in _strangers(ws, policy, role)]
    return _all_are("deny", decisions, "an explicit Deny")


def lets_through(ws: Workshop, policy: Document, resource: str, action: str, role: str) -> Finding:
    """Expect that a resource policy doesn't deny an action to a role."""
    decision = evaluate([policy], action, resource, _call(role))
    return holds(decision in ("allow", "implicit"), DECISIONS[decision], f"{role} is not denied")


def _all_are(expected: Decision, decisions: list[Decision], in_words: str) -> Finding:
    wrong = next((one for one in decisions if one != expected), expected)
    return holds(wrong == expected, DECISIONS[wrong], in_words)


def _call(principal: str | None, tls: str = "true") -> dict[str, str]:
    """Return the condition keys of a request from the internet; anonymous without a principal."""
    call = {"aws:SecureTransport": tls, "aws:SourceIp": "203.0.113.1", "aws:ViaAWSService": "false"}
    if principal is None:
        return call
    account = principal.split(":")[4]
    return call | {"aws:PrincipalArn": principal, "aws:PrincipalAccount": account, "aws:PrincipalIsAWSService": "false"}


def _strangers(ws: Workshop, policy: Document, role: str) -> list[str | None]:
    """Return principals other than a role: anonymous, others here and in another account, and those in the policy."""
    own = [role, role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/", ws.arn("iam", "root")]
    named = re.findall(r'"(arn:[^":]*:(?:iam|sts):[^"]*)"', json.dumps(policy))
    others = [ws.arn("iam", "role/somebody-else"), ws.arn("iam", "user/somebody-else"), f"{role}-2"]
    elsewhere = [re.sub(r":\d{12}:", ":210987654321:", one) for one in (role, ws.arn("iam", "root"))]
    # A wildcard matches a concrete principal: `role/*` matches the role `x`.
    candidates = [re.sub(r"[*?]", "x", one) for one in [*named, *others, *elsewhere]]
    return [None, *(one for one in candidates if one not in own and not one.startswith(own[1]))]


@dataclass(frozen=True)
class Check:
    """One check of a step.

    Attributes:
        name: a sentence that is true if the check passes.
        run: returns the finding.
        sends: it sends orders or messages, so `--read-only` leaves it out.
    """

    name: str
    run: Callable[[Workshop], Finding]
    sends: bool = False


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check."""

    step: int
    name: str
    passed: bool
    detail: str
    remedy: str


def run_check(ws: Workshop, step_number: int, step_command: str, check: Check) -> Verdict:
    """Run a check. It fails if a resource is missing or AWS returns an error; the remedy is the step's command."""
    remedy = ""
    try:
        finding = check.run(ws)
        passed, detail, remedy = finding.passed, finding.detail, finding.remedy
    except WorkshopError as error:
        passed, detail = False, error.problem
    except (ClientError, BotoCoreError) as error:
        passed, detail = False, " ".join(str(error).split())
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        # Whoever built this may have built something that looks quite different.
        passed, detail = False, f"found something unexpected: {error!r}"
    return Verdict(step_number, check.name, passed, detail, "" if passed else remedy or typed(ws, step_command))


def typed(ws: Workshop, *commands: str) -> str:
    """Return a shell line: this participant's commands, each run if the one before succeeds."""
    return " && ".join(f"workshop {command}{ws.settings.options}" for command in commands)


def rebuild(ws: Workshop) -> str:
    """Return the shell line that fixes what no step can change. It deletes the orders in the table."""
    return typed(ws, "cleanup", f"up{somebody_to_notify(ws)}")


def somebody_to_notify(ws: Workshop) -> str:
    """Return the option that step 6 needs if there is no subscription yet, with a leading space."""
    if ws.settings.email is None:
        return "" if ws.settings.target == "local" else " --email you@example.com"
    return f" --email {shlex.quote(ws.settings.email)}"


def simulate(
    ws: Workshop, principal: str, rights: list[tuple[str, str]], context: dict[str, str] | None = None
) -> dict[tuple[str, str], bool]:
    """Ask IAM's policy simulator what a role or user is allowed to do.

    Args:
        ws: the context.
        principal: the ARN of the role or user.
        rights: pairs of action and resource ARN.
        context: the condition keys that the real request would have.

    Returns:
        Whether the principal's own policies allow each pair:
        https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    by_resource: dict[str, list[str]] = {}
    for action, resource in rights:
        by_resource.setdefault(resource, []).append(action)
    allowed: dict[tuple[str, str], bool] = {}
    simulator = ws.client("iam").get_paginator("simulate_principal_policy")
    for resource, actions in by_resource.items():
        pages = simulator.paginate(
            PolicySourceArn=principal,
            ActionNames=actions,
            ResourceArns=[resource],
            ContextEntries=[
                {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for key, value in (context or {}).items()
            ],
        )
        for page in pages:
            for result in page["EvaluationResults"]:
                allowed[result["EvalActionName"], resource] = result["EvalDecision"] == "allowed"
    return allowed
