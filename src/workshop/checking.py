"""Checks: what was expected, what was found, and what to type when the two differ.

A check looks its resource up by name and tag. It reads no state file, so it also grades what CloudFormation, a
script or a person's own hands built.
"""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from workshop.errors import WorkshopError
from workshop.evaluator import Decision, evaluate
from workshop.meaning import brief, same

if TYPE_CHECKING:
    from workshop.context import Workshop

#: A policy document.
Document = dict[str, Any]
#: What a report says of a decision.
DECISIONS: dict[Decision, str] = {
    "allow": "not refused",
    "implicit": "not refused",
    "deny": "refused",
    "unknown": "cannot be told: the policy has a condition that IAM does not know, or that nobody can fulfil",
}


@dataclass(frozen=True)
class Finding:
    """What a check found, beside what it expected.

    Attributes:
        passed: whether that is good enough.
        found, expected: for the person who reads.
        remedy: what to type if it does not hold, where it is known that no step puts it right.
    """

    passed: bool
    found: Any
    expected: Any
    remedy: str = ""

    @property
    def detail(self) -> str:
        """One sentence for the report."""
        if self.passed:
            return brief(self.found)
        return f"found {brief(self.found)}, expected {brief(self.expected)}"

    def cured_by(self, remedy: str) -> "Finding":
        """The same, with what to type if it does not hold."""
        return replace(self, remedy=remedy)


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


def refuses_plain_http(ws: "Workshop", policy: Document, resource: str, *actions: str) -> Finding:
    """Expect that a resource policy refuses each of some actions to everybody who does not use TLS.

    Where AWS itself is reached over plain HTTP, as an emulator may be, such a policy would refuse everybody.
    """
    if not ws.uses_tls:
        return holds(True, "not expected: this AWS is reached over plain HTTP itself", "")
    everybody = [ws.identity, *_strangers(ws, policy, ws.identity)]
    decisions = [
        evaluate([policy], action, resource, _call(one, tls="false")) for one in everybody for action in actions
    ]
    return _all_are("deny", decisions, "an explicit Deny without TLS")


def refuses_strangers(ws: "Workshop", policy: Document, resource: str, action: str, role: str) -> Finding:
    """Expect that a resource policy refuses an action to everybody but a role, whatever rights they have."""
    decisions = [evaluate([policy], action, resource, _call(one)) for one in _strangers(ws, policy, role)]
    return _all_are("deny", decisions, "an explicit Deny")


def lets_through(ws: "Workshop", policy: Document, resource: str, action: str, role: str) -> Finding:
    """Expect that a resource policy does not keep a role from what it may do by its own policies."""
    decision = evaluate([policy], action, resource, _call(role))
    return holds(decision in ("allow", "implicit"), DECISIONS[decision], f"{role} is not refused")


def _all_are(expected: Decision, decisions: list[Decision], in_words: str) -> Finding:
    wrong = next((one for one in decisions if one != expected), expected)
    return holds(wrong == expected, DECISIONS[wrong], in_words)


def _call(principal: str | None, tls: str = "true") -> dict[str, str]:
    """The condition keys of a call from somewhere in the internet; without a principal, an anonymous one."""
    call = {"aws:SecureTransport": tls, "aws:SourceIp": "203.0.113.1", "aws:ViaAWSService": "false"}
    if principal is None:
        return call
    account = principal.split(":")[4]
    return call | {"aws:PrincipalArn": principal, "aws:PrincipalAccount": account, "aws:PrincipalIsAWSService": "false"}


def _strangers(ws: "Workshop", policy: Document, role: str) -> list[str | None]:
    """Principals that are not a role: nobody, others here and elsewhere, and whoever the policy itself speaks of."""
    own = [role, role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/", ws.arn("iam", "root")]
    named = re.findall(r'"(arn:[^":]*:(?:iam|sts):[^"]*)"', json.dumps(policy))
    others = [ws.arn("iam", "role/somebody-else"), ws.arn("iam", "user/somebody-else"), f"{role}-2"]
    elsewhere = [re.sub(r":\d{12}:", ":210987654321:", one) for one in (role, ws.arn("iam", "root"))]
    # A wildcard is somebody: `role/*` is also the role `x`.
    candidates = [re.sub(r"[*?]", "x", one) for one in [*named, *others, *elsewhere]]
    return [None, *(one for one in candidates if one not in own and not one.startswith(own[1]))]


@dataclass(frozen=True)
class Check:
    """One check of a step.

    Attributes:
        name: what holds if it passes, as a sentence.
        run: looks, and says what it found.
        sends: it places orders or messages, so it is of no use to who only wants to look.
    """

    name: str
    run: Callable[["Workshop"], Finding]
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
    """Run a check. What is missing, or what AWS refuses to say, fails it; the remedy is then the step's command."""
    remedy = ""
    try:
        finding = check.run(ws)
        passed, detail, remedy = finding.passed, finding.detail, finding.remedy
    except WorkshopError as error:
        passed, detail = False, error.problem
    except (ClientError, BotoCoreError) as error:
        passed, detail = False, " ".join(str(error).split())
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        # Somebody else's hands may have built something that looks quite different.
        passed, detail = False, f"found something that cannot be judged: {error!r}"
    return Verdict(step_number, check.name, passed, detail, "" if passed else remedy or typed(ws, step_command))


def typed(ws: "Workshop", *commands: str) -> str:
    """A line for the shell: commands that mean this participant, one after the other if all goes well."""
    return " && ".join(f"workshop {command}{ws.settings.options}" for command in commands)


def rebuild(ws: "Workshop") -> str:
    """The line that cures what no step can change, at the price of the orders in the table."""
    return typed(ws, "cleanup", f"up{somebody_to_notify(ws)}")


def somebody_to_notify(ws: "Workshop") -> str:
    """The option that step 6 needs where nobody is subscribed yet, with a leading space."""
    if ws.settings.email is None:
        return "" if ws.settings.target == "local" else " --email you@example.com"
    return f" --email {shlex.quote(ws.settings.email)}"


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
