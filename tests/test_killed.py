"""Killed anywhere, or left without an answer anywhere: the same command again always ends well.

A child process runs `up` (or the clean-up) and is killed right after its n-th change was carried out, before it
could note anything. The default run takes a sample of the points; `pytest -m exhaustive` takes all of them.
"""

import json
import os
import signal
import time
from collections import Counter
from typing import Any

import faults
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from delays import slow_aws
from faults import Clock, Faults, in_child
from support import build, census, teardown

from workshop.base.errors import WorkshopError
from workshop.commands.build import run_steps
from workshop.commands.clean import cleanup
from workshop.commands.verify import grade

pytestmark = pytest.mark.slow

#: How many changes `up` and the clean-up make; test_these_are_all_the_points says when these are out of date.
CHANGES_OF_UP, CHANGES_OF_CLEANUP = 51, 34
#: The ways in which an answer gets lost, in turn.
HOWS = ("closed", "timeout", "500", "503")
SEEDS = range(1, 11)

#: What stands, once everything is built.
ONE_OF_EACH = {
    "role": 3, "policy": 9, "versions of a policy": 9, "table": 1, "queue": 3, "function": 2, "mapping": 2, "topic": 1,
    "e-mail subscription": 1, "log-group": 2, "rest-api": 1, "model Order": 1, "validator": 1, "resource /orders": 1,
    "stage": 1, "deployment": 1,
}  # fmt: skip


def points(last: int, every: int) -> list[Any]:
    """All points from 1 to the last; those outside the sample are for the exhaustive run."""
    sample = {*range(1 + every // 2, last + 1, every), last}
    return [pytest.param(n, marks=() if n in sample else pytest.mark.exhaustive) for n in range(1, last + 1)]


def standing(ws: Any) -> Counter[str]:
    """How many there are of everything, asked for without the product's own searching."""
    found: Counter[str] = Counter()
    for kind, one in census(ws, whole=True):
        if kind == "subscription":
            found["e-mail subscription"] += one["Protocol"] == "email"
            continue
        found[kind] += 1
        if kind == "policy":
            found["versions of a policy"] += len(
                ws.client("iam").list_policy_versions(PolicyArn=one["Arn"])["Versions"]
            )
        if kind == "rest-api":
            api = {"restApiId": one["id"]}
            apigateway = ws.client("apigateway")
            found["model Order"] += sum(m["name"] == "Order" for m in apigateway.get_models(**api)["items"])
            found["validator"] += len(apigateway.get_request_validators(**api)["items"])
            found["resource /orders"] += sum(r["path"] == "/orders" for r in apigateway.get_resources(**api)["items"])
            found["stage"] += len(apigateway.get_stages(**api)["item"])
            found["deployment"] += len(apigateway.get_deployments(**api)["items"])
    return found


def assert_state_is_readable(ws: Any) -> None:
    """The record is JSON, whatever happened; before the first resource there is none."""
    if ws.state.path.exists():
        document = json.loads(ws.state.path.read_text())
        assert {"version", "resources"} <= document.keys()
        assert ws.state.path.stat().st_mode & 0o777 == 0o600


def assert_all_is_well(ws: Any) -> None:
    """Everything stands once, and every check is green."""
    assert standing(ws) == ONE_OF_EACH
    assert [vars(verdict) for verdict in grade(ws, ws.steps) if not verdict.passed] == []


def assert_nothing_is_left(ws: Any) -> None:
    assert census(ws) == []
    assert not ws.state.path.exists()


def kill_after(ws: Any, number: int) -> None:
    """Let this process be killed right after its n-th change."""
    changes = [0]

    def count(call: Any) -> None:
        changes[0] += not call.is_read
        if changes[0] == number and not call.is_read:
            os.kill(os.getpid(), signal.SIGKILL)

    # Before the others, so that nothing is done any more.
    ws.client.listeners.insert(0, count)


@pytest.fixture
def anew(open_ws, prefix):
    """Open this test's participant as a new command does; take away what is left in the end."""
    yield lambda: open_ws(prefix)
    teardown().delete_ours(open_ws(prefix))


def up(ws: Any) -> None:
    run_steps(ws, ws.steps, "up")


def killed_after(anew: Any, tmp_path: Any, number: int, command: Any) -> Any:
    """Run a command in a child that is killed right after its n-th change; tells how the child ended."""

    def work() -> None:
        ws = anew()
        kill_after(ws, number)
        command(ws)

    return in_child(tmp_path, work)


@pytest.mark.parametrize("number", points(CHANGES_OF_UP, every=7))
def test_up_killed_after_a_change(anew, tmp_path, number):
    ended = killed_after(anew, tmp_path, number, up)
    assert ended.code == -signal.SIGKILL, ended
    ws = anew()
    assert_state_is_readable(ws)
    up(ws)
    assert_all_is_well(ws)
    assert cleanup(ws)["remaining"] == []
    assert_nothing_is_left(ws)


@pytest.mark.parametrize("number", points(CHANGES_OF_CLEANUP, every=7))
def test_cleanup_killed_after_a_change(anew, tmp_path, number):
    build(anew())
    ended = killed_after(anew, tmp_path, number, cleanup)
    assert ended.code == -signal.SIGKILL, ended
    ws = anew()
    assert_state_is_readable(ws)
    assert cleanup(ws)["remaining"] == []
    assert_nothing_is_left(ws)


@pytest.mark.parametrize("number", [10, pytest.param(25, marks=pytest.mark.exhaustive)])
def test_after_a_killed_cleanup_one_can_build_again(anew, tmp_path, number):
    build(anew())
    assert killed_after(anew, tmp_path, number, cleanup).code == -signal.SIGKILL
    ws = anew()
    up(ws)
    assert_all_is_well(ws)


def test_killed_again_and_again(anew, tmp_path):
    """Each command gets one change further than the one before."""
    kills = 0
    while True:
        ended = killed_after(anew, tmp_path, 13, up)
        assert_state_is_readable(anew())
        if ended.code == 0:
            break
        assert ended.code == -signal.SIGKILL, ended
        kills += 1
        assert kills < 3 * CHANGES_OF_UP
    assert kills >= 3
    assert_all_is_well(anew())


# The same behind an AWS that takes its time (see `delays`): states that pass, reads that lag, names that are kept.


@pytest.fixture
def slowly(anew, tmp_path):
    """Open this test's participant as a new command does, on an AWS that takes its time."""

    def opened(seconds: float = 0.0) -> Any:
        """Open it so many seconds after the command before."""
        ws = anew()
        slow_aws(ws, tmp_path / "slow-aws").clock.now += seconds
        return ws

    return opened


@pytest.mark.parametrize("number", points(CHANGES_OF_UP, every=16))
def test_up_killed_on_a_slow_aws(anew, slowly, tmp_path, number):
    ended = killed_after(slowly, tmp_path, number, up)
    assert ended.code == -signal.SIGKILL, ended
    up(slowly())
    assert_all_is_well(anew())
    assert cleanup(slowly())["remaining"] == []
    assert_nothing_is_left(anew())


@pytest.mark.parametrize("number", points(CHANGES_OF_CLEANUP, every=10))
def test_cleanup_killed_on_a_slow_aws(anew, slowly, tmp_path, number):
    up(slowly())
    ended = killed_after(slowly, tmp_path, number, cleanup)
    assert ended.code == -signal.SIGKILL, ended
    assert cleanup(slowly())["remaining"] == []
    assert_nothing_is_left(anew())


@pytest.mark.parametrize(
    "number", [3, *(pytest.param(n, marks=pytest.mark.exhaustive) for n in range(1, CHANGES_OF_CLEANUP + 1) if n != 3)]
)
def test_after_a_killed_cleanup_on_a_slow_aws_one_can_build_again(anew, slowly, tmp_path, number):
    up(slowly())
    assert killed_after(slowly, tmp_path, number, cleanup).code == -signal.SIGKILL
    # What was deleted a moment ago may still be shown: then this run may end in an error, or notice nothing of it.
    end_well(up, slowly(), lambda: slowly(seconds=3))
    up(slowly(seconds=3))
    assert_all_is_well(anew())


def end_well(command: Any, ws: Any, again: Any) -> int:
    """Run a command; if a lost answer stopped it, run it again.

    Returns:
        How often it had to run.
    """
    try:
        command(ws)
    except (WorkshopError, ClientError, BotoCoreError):
        command(again())
        return 2
    return 1


@pytest.mark.parametrize("number", points(CHANGES_OF_UP, every=7))
def test_up_without_the_answer_to_a_change(anew, number):
    ws = anew()
    watch = Faults().attach(ws.client).lose_nth_change(number, HOWS[number % len(HOWS)])
    runs = end_well(up, ws, anew)
    assert len(watch.hits) == 1
    ws = anew()
    assert_state_is_readable(ws)
    assert_all_is_well(ws)
    assert cleanup(ws)["remaining"] == []
    assert_nothing_is_left(ws)
    assert runs == 1, "the first run should have ended well by itself"


@pytest.mark.parametrize("number", points(CHANGES_OF_CLEANUP, every=7))
def test_cleanup_without_the_answer_to_a_change(anew, number):
    build(anew())
    ws = anew()
    watch = Faults().attach(ws.client).lose_nth_change(number, HOWS[number % len(HOWS)])
    runs = end_well(lambda ws: cleanup(ws), ws, anew)
    assert len(watch.hits) == 1
    assert cleanup(anew())["remaining"] == []
    assert_nothing_is_left(anew())
    assert runs == 1, "the first run should have ended well by itself"


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=() if seed <= 2 else pytest.mark.exhaustive) for seed in SEEDS]
)
def test_in_a_storm(anew, open_ws, prefix, seed, record_property):
    """30 % of the calls are throttled, 5 % of the answers are lost: up, verify and clean-up end well."""
    ws, clock = anew(), Clock()
    ws.waiter.clock, ws.waiter.sleep = clock, clock.sleep
    storm = Faults(clock).attach(ws.client).storm(seed)
    with faults.waiters_sleep(clock.sleep):
        up(ws)
        calm = storm.p_refused, storm.p_lost
        storm.p_refused = storm.p_lost = 0.0
        assert standing(ws) == ONE_OF_EACH
        storm.p_refused, storm.p_lost = calm
        # The checks that wait for an order do so in real time.
        ws.waiter.sleep, ws.waiter.clock = lambda seconds: time.sleep(min(seconds, 0.05)), time.monotonic
        assert [vars(verdict) for verdict in grade(ws, ws.steps) if not verdict.passed] == []
        ws.waiter.sleep, ws.waiter.clock = clock.sleep, clock
        assert cleanup(ws)["remaining"] == []
    assert_nothing_is_left(anew())
    assert storm.refused / storm.calls == pytest.approx(0.30, abs=0.08)
    assert storm.lost > 0
    record_property("calls", storm.calls)
    print(f"seed {seed}: {storm.calls} calls, {storm.refused} refused, {storm.lost} answers lost")


def test_these_are_all_the_points(anew, capsys):
    """The numbers above are those of today's `up` and clean-up."""
    ws, made = anew(), []
    ws.client.listeners.append(lambda call: made.append(call.operation) if not call.is_read else None)
    up(ws)
    changes_of_up = len(made)
    assert_all_is_well(ws)
    made.clear()
    cleanup(ws)
    with capsys.disabled():
        print(f"\nkill points: {changes_of_up} of up, {len(made)} of cleanup")
    assert (changes_of_up, len(made)) == (CHANGES_OF_UP, CHANGES_OF_CLEANUP)
