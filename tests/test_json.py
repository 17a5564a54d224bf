"""`--json`: one document on standard output, and nothing on standard error where nothing failed."""

import functools
import json

import pytest
import replay
from support import run, sample

from workshop.build.opening import load_steps
from workshop.cli import commands

#: What is typed of each command, for a participant for whom everything is built.
LINES = {
    **{step.command: (step.command,) for step in load_steps()},
    "up": ("up", "--email", "you@example.com"),
    "status": ("status",),
    "diff": ("diff", "--email", "you@example.com"),
    "verify": ("verify", "--read-only"),
    "verify, sending": ("verify", "8"),
    "order": ("order",),
    "order, traced": ("order", "--trace", "--order-id", "traced"),
    "trace": ("trace", "traced"),
    "url": ("url",),
    "inbox": ("inbox", "--wait", "60"),
    "spike": ("spike", "--orders", "30", "--concurrency", "4"),
    "redrive": ("redrive", "--yes"),
    "redrive, dry": ("redrive", "--dry-run"),
    "doctor": ("doctor", "--email", "you@example.com"),
    "cost": ("cost", "--orders", "1000"),
    "cleanup, dry": ("cleanup", "--dry-run"),
}
#: What has to be typed before.
AFTER = {"trace": "order, traced", "diff": "up"}
#: What is typed in every run: of commands that are much alike, one.
OFTEN = {
    "01_iam", "up", "status", "verify", "order, traced", "trace", "url", "inbox", "redrive, dry", "doctor",
    "cost", "cleanup, dry",
}  # fmt: skip
#: Of a participant for whom nothing is built.
OF_NOTHING = {
    "status": ("status",),
    "cost": ("cost",),
    "cleanup": ("cleanup", "--yes"),
    "cleanup, dry": ("cleanup", "--dry-run"),
}


@functools.cache
def with_json() -> set[str]:
    """The commands that have `--json`."""
    group = commands()
    return {name for name, one in group.commands.items() if any("--json" in option.opts for option in one.params)}


def only_json(line: tuple[str, ...], environment: dict[str, str]) -> object:
    """Type a command with `--json`, without a terminal, and return its document."""
    ran = run("workshop", *line, "--json", env=environment)
    assert (ran.code, ran.err) == (0, "")
    # One document, and nothing before or after it.
    return json.loads(ran.out)


def of(ws) -> dict[str, str]:
    return {"WORKSHOP_STATE_DIR": str(ws.settings.state_dir), "WORKSHOP_PREFIX": ws.settings.prefix}


def test_every_command_that_has_it_is_tried():
    assert with_json() == {line[0] for line in [*LINES.values(), *OF_NOTHING.values()]}


@pytest.mark.parametrize("case", sample(LINES, OFTEN))
def test_nothing_but_one_document(built, case):
    if case in AFTER:
        only_json(LINES[AFTER[case]], of(built))
    assert only_json(LINES[case], of(built)) is not None


@pytest.mark.parametrize("case", OF_NOTHING)
def test_nothing_but_one_document_where_nothing_is_built(ws, case):
    assert only_json(OF_NOTHING[case], of(ws)) is not None


def test_taking_everything_away_says_nothing_but_one_document(ws):
    replay.build(ws)
    assert only_json(("cleanup", "--yes"), of(ws))["remaining"] == []


@pytest.mark.parametrize(
    "line", [pytest.param(("status",), id="status"), pytest.param(("cost",), id="cost", marks=pytest.mark.slow)]
)
def test_what_is_started_on_the_way_is_not_told(own_state_dir, line):
    # An embedded AWS that is started, and one that forgot everything.
    environment = {"WORKSHOP_STATE_DIR": str(own_state_dir)}
    only_json(line, environment)
    assert run("workshop", "02_dynamodb", env=environment).code == 0
    assert run("workshop", "local", "stop", env=environment).code == 0
    only_json(line, environment)
