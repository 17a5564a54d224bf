"""One account, many people: they build at the same time, and see nothing of each other."""

import json
import os
import re
import signal
import subprocess
import threading

import pytest
from conftest import new_prefix
from faults import in_child
from support import BIN, LONGEST_COMMAND, ROOT, build, census, eventually, run, snapshot, teardown

from workshop.base.errors import WorkshopError
from workshop.commands.build import run_steps
from workshop.commands.clean import cleanup
from workshop.commands.verify import grade

pytestmark = pytest.mark.slow


def start(state_dir, prefix, *arguments):
    """Start `workshop` and do not wait for it."""
    env = os.environ | {"WORKSHOP_STATE_DIR": str(state_dir), "WORKSHOP_PREFIX": prefix}
    return subprocess.Popen(
        [str(BIN / "workshop"), *arguments],
        env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def is_green(ws):
    return [vars(verdict) for verdict in grade(ws, ws.steps) if not verdict.passed] == []


def test_three_people_at_once(state_dir, open_ws):
    # One's name begins like the other's.
    first = new_prefix()
    prefixes = [first, f"{first}-two", new_prefix()]
    try:
        processes = [start(state_dir, prefix, "up") for prefix in prefixes]
        ended = [(process.communicate(timeout=LONGEST_COMMAND), process.returncode) for process in processes]
        assert [code for _, code in ended] == [0, 0, 0], ended
        people = [open_ws(prefix) for prefix in prefixes]
        assert [is_green(ws) for ws in people] == [True] * 3
        others = [snapshot(ws) for ws in people[1:]]

        # The name of the first is in the names of the second.
        gone = run("workshop", "cleanup", "--yes", "--json",
                   env={"WORKSHOP_STATE_DIR": str(state_dir), "WORKSHOP_PREFIX": first})  # fmt: skip
        assert gone.code == 0, gone.err
        assert gone.json["remaining"] == []
        assert [one for one in census(people[0]) if f"{first}-two" not in one[1]] == []
        assert [snapshot(ws) for ws in people[1:]] == others
        assert [is_green(ws) for ws in people[1:]] == [True] * 2
    finally:
        for prefix in prefixes:
            teardown().delete_ours(open_ws(prefix))


def test_the_second_of_the_same_name_is_told_who_is_at_work(state_dir, open_ws, prefix, cli):
    build(open_ws(prefix), 2)
    at_work, enough = threading.Event(), threading.Event()

    def hold():
        with open_ws(prefix).state.lock("up"):
            at_work.set()
            enough.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert at_work.wait(30)
        before = snapshot(open_ws(prefix))
        for command in (("up",), ("03_sqs",), ("cleanup", "--yes")):
            ran = cli(*command)
            assert ran.code == 1
            assert len(ran.errors) == 1
            assert re.search(rf"up \(process {os.getpid()}, since \d\d:\d\d:\d\d\) is running", ran.errors[0])
            assert "--prefix" in ran.errors[0]
        # Who only looks is not in the way.
        assert cli("status", "--json").code == 0
        assert snapshot(open_ws(prefix)) == before
    finally:
        enough.set()
        thread.join()
        teardown().delete_ours(open_ws(prefix))


def test_two_at_once_of_the_same_name_build_everything_once(state_dir, open_ws, prefix):
    try:
        processes = [start(state_dir, prefix, "up") for _ in range(2)]
        ended = [(process.communicate(timeout=LONGEST_COMMAND)[1], process.returncode) for process in processes]
        refusals = [err for err, code in ended if code]
        # One of them got the lock first; the other was told so, unless it came when the first had ended.
        assert len(refusals) <= 1, ended
        pids = [str(process.pid) for process in processes]
        assert all(re.search(rf"up \(process ({'|'.join(pids)}),", err) for err in refusals)
        ws = open_ws(prefix)
        assert is_green(ws)
        kinds = [kind for kind, _ in census(ws)]
        assert (kinds.count("rest-api"), kinds.count("mapping"), kinds.count("role")) == (1, 2, 3)
    finally:
        teardown().delete_ours(open_ws(prefix))


def test_the_lock_of_a_killed_process_is_free(state_dir, open_ws, prefix, tmp_path):
    def work():
        ws = open_ws(prefix)
        ws.client.listeners.append(lambda call: os.kill(os.getpid(), signal.SIGKILL) if not call.is_read else None)
        run_steps(ws, ws.steps, "up")

    assert in_child(tmp_path, work).code == -signal.SIGKILL
    ws = open_ws(prefix)
    try:
        assert ws.state.path.with_suffix(".lock").exists()
        run_steps(ws, ws.steps[:2], "up")
    finally:
        assert cleanup(ws)["remaining"] == []


def test_the_lock_is_free_while_somebody_still_waits_for_it(open_ws, prefix):
    # Within one process as well: the lock belongs to the command, and goes with it.
    first, second = open_ws(prefix), open_ws(prefix)
    with (
        first.state.lock("up"),
        pytest.raises(WorkshopError, match="is running for the same participant"),
        second.state.lock("cleanup"),
    ):
        pass
    with second.state.lock("cleanup"), pytest.raises(WorkshopError, match=r"cleanup \(process"), first.state.lock("up"):
        pass


def test_prefixes_have_locks_of_their_own(open_ws, prefix):
    with open_ws(prefix).state.lock("up"), open_ws(f"{prefix}-two").state.lock("up"):
        pass


def test_records_of_many_are_many_files(state_dir, open_ws, prefix):
    names = [prefix, f"{prefix}-two"]
    people = [open_ws(name) for name in names]
    try:
        for ws in people:
            ws.steps[1].run(ws)
        for ws, name in zip(people, names, strict=True):
            document = json.loads(ws.state.path.read_text())
            assert document["prefix"] == name
            assert [entry["name"] for entry in document["resources"]] == [f"{name}-ecommerce-orders"]
        assert len({ws.state.path for ws in people}) == 2
    finally:
        for ws in people:
            assert cleanup(ws)["remaining"] == []
    assert eventually(lambda: not people[0].state.path.exists())
