"""What IAM would decide, worked out from policy documents alone. It imports nothing of ours and asks nobody.

It reads identity policies, permissions boundaries and resource policies. The rules are those of the IAM user guide:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html

A question can stay open: a condition operator that IAM does not have, a variable without a value, a `NotPrincipal`
that names only a part of the caller. Whether the statement applies is then `None`, and a decision that depends on
it is `unknown`: whoever asks says which way to be careful. What documents of several kinds decide together (an
identity policy and its boundary, an account named as principal and that account's own policies) is also theirs to
combine: `evaluate` takes documents of one kind.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import ip_address, ip_network
from operator import eq, ge, gt, le, lt
from typing import Any, Literal

Decision = Literal["allow", "deny", "implicit", "unknown"]
#: The condition keys of a call: a key with several values has a list.
Context = Mapping[str, str | list[str]]
#: True, False, or None where it cannot be told.
Truth = bool | None
#: Compares a value of the call with a value of the policy.
Comparison = Callable[[str, str], bool]

#: A variable: `${aws:username}`, or with a default value `${aws:PrincipalTag/team, 'none'}`.
VARIABLE = re.compile(r"\$\{\s*([^},\s]+)\s*(?:,\s*'([^']*)')?\s*\}")
#: The root user's ARN, which as a principal stands for its account.
ROOT = re.compile(r"arn:[a-z-]+:iam::(\d{12}):root")
#: Variables came with this version. Before it, they are plain text.
VERSION_WITH_VARIABLES = "2012-10-17"
#: Stand for characters that are no wildcards: those of a variable's value, and `${*}`, `${?}`.
PLAIN = {"*": "\ue000", "?": "\ue001"}
#: A wildcard of a pattern, as a regular expression.
WILDCARDS = {"*": ".*", "?": ".", "\ue002": "[^:]*"} | {mark: re.escape(char) for char, mark in PLAIN.items()}


def evaluate(
    documents: Iterable[dict[str, Any]], action: str, resource: str, context: Context | None = None
) -> Decision:
    """Decide on a call.

    Args:
        documents: the policies that count together. An explicit deny in one of them outweighs every allow.
        action: such as `sqs:SendMessage`.
        resource: its ARN; `*` for an action without a resource.
        context: the condition keys of the call. `aws:PrincipalArn` and `aws:PrincipalServiceName` also say who is
            calling, which is what `Principal` and `NotPrincipal` are compared with.

    Returns:
        `allow`; `deny` if a statement says so; `implicit` if nothing allows it; `unknown` if it cannot be told.

    Raises:
        ValueError: a document is not a policy.
    """
    found: dict[str, Truth] = {"Allow": False, "Deny": False}
    for document in documents:
        call = _Call(action, resource, context or {}, document.get("Version") == VERSION_WITH_VARIABLES)
        for statement in as_list(document.get("Statement", [])):
            if not isinstance(statement, dict) or statement.get("Effect") not in found:
                raise ValueError(f"this is not a policy statement: {statement}")
            found[statement["Effect"]] = _any([found[statement["Effect"]], _applies(statement, call)])
    match found:
        case {"Deny": True}:
            return "deny"
        case {"Deny": None} | {"Allow": None}:
            return "unknown"
        case {"Allow": True}:
            return "allow"
    return "implicit"


def as_list(value: Any) -> list[Any]:
    """IAM writes a list of one as the one; this makes it a list again."""
    return value if isinstance(value, list) else [value]


class _Call:
    """The call that a document is asked about, and how its values stand in for the document's variables."""

    def __init__(self, action: str, resource: str, context: Context, variables: bool) -> None:
        self.action, self.resource, self.variables = action, resource, variables
        # The names of keys are not case-sensitive. A key without a value counts as one that is not there.
        self.keys = {key.lower(): [str(one) for one in as_list(value)] for key, value in context.items() if value}

    def values(self, key: str) -> list[str]:
        """The values of a condition key; none if the call does not have it."""
        return self.keys.get(key.lower(), [])

    def pattern(self, text: str) -> str:
        """A text of the policy with its variables resolved.

        Raises:
            LookupError: the call has no single value for one of them.
        """
        return VARIABLE.sub(lambda variable: self._value(*variable.groups()), text) if self.variables else text

    def _value(self, name: str, default: str | None) -> str:
        values: list[str | None] = [name] if name in "*?$" else [*self.values(name)] or [default]
        if len(values) != 1 or values[0] is None:
            raise LookupError(name)
        return "".join(PLAIN.get(char, char) for char in values[0])

    def matches(self, pattern: str, text: str, fold: bool = False) -> Truth:
        """Whether a text is what a pattern with `*` and `?` describes; None if a variable has no value."""
        try:
            return _like(text, self.pattern(pattern), fold)
        except LookupError:
            return None


def _like(text: str, pattern: str, fold: bool = False) -> bool:
    """Whether a text matches a pattern, in which every character but the wildcards stands for itself."""
    expression = "".join(WILDCARDS.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, text, re.DOTALL | (re.IGNORECASE if fold else 0)) is not None


# Three values of truth: what cannot be told matters only where it would make a difference.


def _any(truths: Iterable[Truth]) -> Truth:
    truths = list(truths)
    return True if True in truths else None if None in truths else False


def _not(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _all(truths: Iterable[Truth]) -> Truth:
    return _not(_any(_not(truth) for truth in truths))


# A statement applies if each of its elements does.


def _applies(statement: dict[str, Any], call: _Call) -> Truth:
    elements = [
        _principal(statement, call),
        _element(statement, "Action", lambda pattern: call.matches(pattern, call.action, fold=True)),
        _element(statement, "Resource", lambda pattern: call.matches(_within_parts(pattern), call.resource)),
    ]
    for operator, keys in statement.get("Condition", {}).items():
        elements += [_condition(operator, call.values(key), as_list(values), call) for key, values in keys.items()]
    return _all(elements)


def _element(statement: dict[str, Any], name: str, matches: Callable[[str], Truth]) -> Truth:
    """An element or its opposite, such as `NotAction`; without either, nothing is narrowed down."""
    if name in statement:
        return _any(matches(one) for one in as_list(statement[name]))
    return _not(_any(matches(one) for one in as_list(statement.get(f"Not{name}", []))))


def _within_parts(arn: str) -> str:
    """Keep a wildcard inside its part of an ARN, unless it is the part's end: that one also matches colons.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
    """
    *head, resource = arn.split(":", 5)
    return ":".join([*(re.sub(r"(?<!\$\{)\*(?=.)", "\ue002", part) for part in head), resource])


def _principal(statement: dict[str, Any], call: _Call) -> Truth:
    """Who is calling. A policy of an identity does not say whom it is about."""
    callers = _callers(call)
    if "Principal" in statement:
        return bool(_named(statement["Principal"]) & {"*", *callers})
    if "NotPrincipal" in statement:
        spared = callers & _named(statement["NotPrincipal"])
        # AWS may look at the account first, then the role, then the session: only who is named in full is spared.
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
        return None if spared and spared != callers else not spared
    return True


def _named(principals: Any) -> set[str]:
    """What an element names, whatever its type; an account by its number, everybody as `*`."""
    if not isinstance(principals, dict):
        return set(as_list(principals))
    # Only AWS principals can be everybody: `{"Service": "*"}` is nobody.
    named = ((kind, one) for kind, names in principals.items() for one in as_list(names))
    return {ROOT.sub(r"\1", one) for kind, one in named if one != "*" or kind == "AWS"}


def _callers(call: _Call) -> set[str]:
    """The names under which a policy may speak of who is calling: itself, its role, its account."""
    names = set(call.values("aws:PrincipalServiceName"))
    for arn in call.values("aws:PrincipalArn"):
        _, partition, _, _, account, principal = arn.split(":", 5)
        names |= {ROOT.sub(r"\1", arn), account}
        if principal.startswith("assumed-role/"):
            names.add(f"arn:{partition}:iam::{account}:role/{principal.split('/')[1]}")
    return names


# Conditions: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html


def _arn_like(value: str, pattern: str) -> bool:
    """Compare ARNs part by part; a wildcard stays within its part."""
    parts = pattern.split(":", 5)
    if len(parts) != 6:
        raise ValueError(pattern)
    return len(value.split(":", 5)) == 6 and all(map(_like, value.split(":", 5), parts))


def _date(text: str) -> datetime:
    """A moment, written by ISO 8601 or as seconds since 1970."""
    if re.fullmatch(r"\d+(\.\d+)?", text) and len(text) != 4:
        return datetime.fromtimestamp(float(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ordered(prefix: str, read: Callable[[str], Any]) -> dict[str, Comparison]:
    """The comparisons of numbers, and of dates."""

    def comparison(compare: Callable[[Any, Any], Any]) -> Comparison:
        return lambda value, should: bool(compare(read(value), read(should)))

    names = {"equals": eq, "lessthan": lt, "lessthanequals": le, "greaterthan": gt, "greaterthanequals": ge}
    return {prefix + name: comparison(compare) for name, compare in names.items()}


#: How a value of the call compares with one of the policy, by the operator's name in small letters.
COMPARE: dict[str, Comparison] = {
    "stringequals": lambda value, should: value == should,
    "stringequalsignorecase": lambda value, should: value.lower() == should.lower(),
    "stringlike": _like,
    "arnequals": _arn_like,
    "arnlike": _arn_like,
    "bool": lambda value, should: value.lower() == should.lower(),
    "binaryequals": lambda value, should: base64.b64decode(value) == base64.b64decode(should),
    "ipaddress": lambda value, should: ip_address(value) in ip_network(should, strict=False),
    **_ordered("numeric", Decimal),
    **_ordered("date", _date),
}
#: Operators that hold where their opposite does not.
NEGATED = {
    "stringnotequals": "stringequals", "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike", "arnnotequals": "arnequals", "arnnotlike": "arnlike",
    "notipaddress": "ipaddress", "numericnotequals": "numericequals", "datenotequals": "dateequals",
}  # fmt: skip
#: Of these the policy's value may hold wildcards, so that its plain characters stay marked.
WITH_WILDCARDS = {"stringlike", "arnequals", "arnlike"}


def _condition(operator: str, values: list[str], should: list[Any], call: _Call) -> Truth:
    """Whether one key of a condition holds.

    Several values of the policy are alternatives; of a negated operator, none of them may match.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html
    """
    group, _, name = operator.lower().rpartition(":")
    if name == "null":
        return _any(str(one).lower() == str(not values).lower() for one in should)
    if_exists, name = name.endswith("ifexists"), name.removesuffix("ifexists")
    negated, name = name in NEGATED, NEGATED.get(name, name)
    if name not in COMPARE or group not in ("", "forallvalues", "foranyvalue"):
        return None

    def holds(value: str) -> Truth:
        matched = _any(_compare(name, value, str(one), call) for one in should)
        return _not(matched) if negated else matched

    if not values:
        return _without_values(group, if_exists, negated)
    if group == "forallvalues":
        return _all(map(holds, values))
    if group == "foranyvalue":
        return _any(map(holds, values))
    # Several values need one of the two: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    return holds(values[0]) if len(values) == 1 else None


def _without_values(group: str, if_exists: bool, negated: bool) -> Truth:
    """Whether a condition holds for a call that does not have its key."""
    if group == "foranyvalue":
        # Without a value, none of them can match. What IfExists makes of that is not documented.
        return None if if_exists else False
    return group == "forallvalues" or if_exists or negated


def _compare(name: str, value: str, should: str, call: _Call) -> Truth:
    try:
        should = call.pattern(should)
        if name not in WITH_WILDCARDS:
            should = should.replace("\ue000", "*").replace("\ue001", "?")
        return COMPARE[name](value, should)
    except (LookupError, ValueError, ArithmeticError):
        # A variable without a value, or what is no number, date or address.
        return None
