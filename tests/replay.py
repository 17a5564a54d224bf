"""Build in a third of the processor time: repeat the changing calls of a real build under other names.

A build asks AWS far more often than it changes anything, and waits for each function by itself. Tests whose subject
comes after the build take a replay: the changing calls of one real build on the same embedded AWS, in their order,
with this participant's prefix and with the ids and ARNs that AWS answers this time. What a replay leaves is compared
with what a build leaves (`test_replay`).
"""

import copy
import dataclasses
import functools
import time
from typing import Any

from botocore import xform_name
from support import eventually
from sweeping import sweep

from workshop.aws.clients import Call
from workshop.base.console import Console
from workshop.base.settings import Settings
from workshop.build.opening import open_workshop

#: The participant whose build is recorded.
MODEL = "tmodel-of-all"
#: Strings of fewer characters are settings, such as a number, and no ids.
SHORTEST_ID = 6


@dataclasses.dataclass(frozen=True)
class Recording:
    """The build of one participant.

    Attributes:
        calls: the calls that changed something, by the number of the step.
        resources: what the state file holds in the end.
    """

    calls: dict[int, list[Call]]
    resources: list[dict[str, Any]]


def build(ws, upto: int | None = None) -> None:
    """Run the steps up to a number; all of them without one."""
    steps(ws, *(step.number for step in ws.steps[:upto]))


def steps(ws, *numbers: int) -> None:
    """Run steps for a participant who has none of them yet; what each needs has to be among them."""
    recording = _recording(dataclasses.replace(ws.settings, prefix=MODEL), ws.state.embedded)
    assert ws.settings.prefix, "a recording is repeated under another prefix"
    new: dict[str, str] = {MODEL: ws.settings.prefix}
    for number in numbers:
        for call in recording.calls[number]:
            send = getattr(ws.client(call.service), xform_name(call.operation))
            _learn(call.answer, send(**_renamed(call.parameters, new)), new)
    ws.state.resources += [_renamed(one, new) for one in recording.resources if one["step"] in numbers]
    ws.state.save()
    for function in [one["name"] for one in ws.state.resources if one["kind"] == "function"]:
        assert eventually(functools.partial(_is_active, ws.client("lambda"), function))


def _is_active(client, function: str) -> bool:
    return client.get_function_configuration(FunctionName=function)["State"] == "Active"


@functools.cache
def _recording(settings: Settings, embedded_id: str) -> Recording:
    """Build everything for the model, and take it away again."""
    model = open_workshop(settings, Console(), lambda seconds: time.sleep(min(seconds, 0.05)))
    assert model.state.embedded == embedded_id
    calls: dict[int, list[Call]] = {}
    for step in model.steps:
        changes = calls.setdefault(step.number, [])

        def hear(call: Call, changes: list[Call] = changes) -> None:
            if not call.is_read:
                changes.append(copy.deepcopy(call))

        model.client.listeners.append(hear)
        step.run(model)
        model.client.listeners.remove(hear)
    recording = Recording(calls, copy.deepcopy(model.state.resources))
    sweep(model)
    return recording


def _renamed(value: Any, new: dict[str, str]) -> Any:
    """A parameter with other names in it."""
    if isinstance(value, dict):
        return {key: _renamed(entry, new) for key, entry in value.items()}
    if isinstance(value, list):
        return [_renamed(entry, new) for entry in value]
    if isinstance(value, str):
        for before, now in new.items():
            value = value.replace(before, now)
    return value


def _learn(then: Any, now: Any, new: dict[str, str]) -> None:
    """Note what AWS calls something now, where the prefix alone does not tell."""
    if isinstance(then, dict):
        for key in then.keys() & now.keys() - {"ResponseMetadata"}:
            _learn(then[key], now[key], new)
    elif isinstance(then, list):
        for one, other in zip(then, now, strict=True):
            _learn(one, other, new)
    elif isinstance(then, str) and len(then) >= SHORTEST_ID and (before := _renamed(then, new)) != now:
        new[before] = now
