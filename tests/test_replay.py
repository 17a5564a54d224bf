"""The tests' own quick build leaves what a build leaves, and their own clean-up leaves nothing."""

import json

import replay
from support import build, census, not_present
from sweeping import sweep

from workshop.build.describe import describe


def test_a_replay_leaves_what_a_build_leaves(ws, open_ws, prefix):
    other = open_ws(f"{prefix}x")
    build(other)
    expected = json.loads(json.dumps(describe(other)).replace(other.settings.prefix, prefix))
    recorded = [(one["step"], one["kind"]) for one in other.state.resources]
    sweep(other)
    assert census(other) == []
    assert not other.state.path.exists()
    replay.build(ws)
    assert not_present(ws) == {}
    assert describe(ws) == expected
    assert [(one["step"], one["kind"]) for one in ws.state.resources] == recorded


def test_a_replay_of_some_steps_is_those_alone(ws):
    replay.steps(ws, 1, 2, 5, 6)
    standing = {
        number for number, step in enumerate(ws.steps, 1) if {r.result for r in step.examine(ws)} == {"present"}
    }
    assert standing == {1, 2, 5, 6}
