"""What later calls take from earlier answers: where a script captures the ids that AWS draws, and under which names.

A value is captured where its path in the answer can be told without knowing the value: by the keys that lead to
it, and in lists by a neighbour that is known beforehand (`items[?path=='/'].id`).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from workshop.aws.clients import Call
from workshop.awscli.variables import Variables

#: What tells the entries of a list apart in AWS's answers, best first.
NEIGHBOURS = ("path", "name", "stageName", "Protocol", "FunctionArn", "EventSourceArn", "PolicyArn")
#: What is ours to choose is no value that has to be captured: only what AWS thinks up is.
INVENTED = re.compile(r"[a-z0-9]{6,12}|[0-9a-f]{8}-[0-9a-f-]{27}|https?://\S+|arn:\S+/stream/\S+|arn:\S+:[0-9a-f-]{36}")
#: A trigger takes a while until it works, and the script waits for it by its id.
TRIGGER = "CreateEventSourceMapping"


@dataclass
class Recorded:
    """A call, and where it belongs: the title of its step or resource."""

    call: Call
    part: str


def captures(recorded: list[Recorded], variables: Variables, cleanup: bool) -> dict[int, dict[str, str]]:
    """Find what calls take from earlier answers, and name a variable for each value.

    Args:
        recorded: all calls in order.
        variables: gets the names.
        cleanup: whether the script takes things away.

    Returns:
        `{number of the call that answered: {value: path}}`.
    """
    came_with = _answers(recorded, cleanup)
    found: dict[int, dict[str, str]] = {}
    wanted = [value for one in recorded if not one.call.is_read for value in strings(one.call.parameters)]
    wanted += [one.call.answer["UUID"] for one in recorded if one.call.operation == TRIGGER]
    for value in wanted:
        # One call gives one value; what came with two answers is taken from the second then.
        number = next((n for n in came_with.get(value, []) if n not in found), None)
        if value in variables.names or number is None:
            continue
        call = recorded[number].call
        path = _path(call.answer, value)
        variables.names[value] = _name(call, path, variables.names.values())
        found.setdefault(number, {})[value] = path
        # An id that leads to another one must be captured as well.
        wanted += strings(call.parameters)
    return found


def _answers(recorded: list[Recorded], cleanup: bool) -> dict[str, list[int]]:
    """Which calls' answers brought each of the values that AWS thought up, and not we, oldest first."""
    ours: set[str] = set()
    came_with: dict[str, list[int]] = {}
    for number, one in enumerate(recorded):
        call = one.call
        ours |= {value for value in strings(call.parameters) if value not in came_with}
        for value in strings(call.answer):
            if INVENTED.fullmatch(value) and value not in ours and _path(call.answer, value):
                # Of all APIs, those of our name need not be ours.
                usable = cleanup or call.operation != "GetRestApis"
                came_with.setdefault(value, []).extend([number] if usable else [])
    return came_with


def _name(call: Call, path: str, taken: Iterable[str]) -> str:
    """A variable's name, such as REST_API_ID; numbered if that is taken."""
    thing = re.sub(r"^(Create|Get|List|Describe)", "", call.operation)
    thing = re.sub(r"s$", "", thing) if call.is_read else thing
    last = re.split(r"[.\]]", path.removesuffix(" | [0]"))[-1]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", f"{thing}_{last}").upper()
    # "QUEUE_URL_QUEUE_URL" says it twice.
    words = re.sub(r"^(\w+)_\1$", r"\1", words)
    return next(name for name in [words, *(f"{words}_{n}" for n in range(2, 99))] if name not in taken)


def strings(value: Any) -> Iterator[str]:
    """All texts within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from strings(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from strings(entry)


def _path(answer: Any, value: str) -> str:
    """The JMESPath of a value within an answer; an empty text if it is not there."""
    if isinstance(answer, dict):
        for key, entry in answer.items():
            if key == "ResponseMetadata":
                continue
            if entry == value:
                return str(key)
            below = _path(entry, value)
            if below:
                return f"{key}{below}" if below.startswith("[") else f"{key}.{below}"
    if isinstance(answer, list):
        for entry in answer:
            below = _path(entry, value)
            if below:
                return f"[{_filter(entry, value)}].{below} | [0]".replace(" | [0] | [0]", " | [0]")
    return ""


def _filter(entry: Any, value: str) -> str:
    """What tells an entry of a list from the others."""
    for key in NEIGHBOURS:
        neighbour = entry.get(key) if isinstance(entry, dict) else None
        if isinstance(neighbour, str) and neighbour != value:
            if neighbour.startswith("arn:"):
                # The account in it is another one elsewhere.
                return f"?ends_with({key}, '{neighbour.split(':', 5)[-1]}')"
            return f"?{key}=='{neighbour}'"
    return ""
