"""The record: private, whole at every moment, written after each resource, one file for each participant."""

import contextlib
import json
import os
import stat
import subprocess
import sys
import threading

import pytest
from support import LONGEST_COMMAND, build, census, hurry, snapshot

from workshop.base import folder
from workshop.base.errors import ForeignResource, WorkshopError
from workshop.base.settings import Settings
from workshop.base.state import State
from workshop.commands.build import run_steps

ACCOUNT = "000000000000"


@pytest.fixture
def state(tmp_path):
    return State.load(Settings(prefix="alice", state_dir=tmp_path / "state"), ACCOUNT, "one")


def test_the_file_is_private_whatever_the_umask_says(state):
    before = os.umask(0)
    try:
        state.record(1, "role", "alice-APIGateway-SQS", "arn:aws:iam::000000000000:role/alice-APIGateway-SQS")
    finally:
        os.umask(before)
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o600
    # And stays so when it is written again, whatever somebody made of it.
    state.path.chmod(0o644)
    state.record(1, "role", "alice-another", "arn:aws:iam::000000000000:role/alice-another")
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o600


def test_it_says_whose_it_is(state):
    state.record(2, "table", "alice-ecommerce-orders", "arn:x")
    document = json.loads(state.path.read_text())
    assert document["version"] == 1
    assert {key: document[key] for key in ("project", "target", "account", "region", "prefix")} == {
        "project": "ecommerce-serverless-poc",
        "target": "local",
        "account": ACCOUNT,
        "region": "us-east-1",
        "prefix": "alice",
    }
    assert document["resources"] == [{"step": 2, "kind": "table", "name": "alice-ecommerce-orders", "arn": "arn:x"}]


def test_one_file_for_each_target_account_region_and_participant(tmp_path):
    everybody = [
        State.load(Settings(target=target, region=region, prefix=prefix, state_dir=tmp_path), account)
        for target in ("local", "aws")
        for account in (ACCOUNT, "123456789012")
        for region in ("us-east-1", "eu-central-1")
        for prefix in ("", "alice", "alice-b")
    ]
    for number, one in enumerate(everybody):
        one.record(1, "role", f"role-{number}", "arn:x")
    assert len({one.path for one in everybody}) == len(everybody) == len(list(tmp_path.glob("*.json")))
    for number, one in enumerate(everybody):
        assert [r["name"] for r in json.loads(one.path.read_text())["resources"]] == [f"role-{number}"]


def test_a_reader_never_sees_half_a_file_and_nothing_temporary_stays(state):
    state.record(1, "role", "first", "arn:x")
    done, faults = threading.Event(), []

    def read():
        while not done.is_set():
            try:
                json.loads(state.path.read_text())
            except (ValueError, OSError) as fault:
                faults.append(fault)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        state.record(1, "role", f"role-{number}", "arn:" + "x" * 100)
    done.set()
    reader.join()
    assert faults == []
    assert [path.name for path in state.path.parent.iterdir()] == [state.path.name]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(state):
    state.record(1, "role", "first", "arn:x")
    before = state.path.read_bytes()
    with pytest.raises(TypeError):
        state.record(1, "role", "second", object())
    assert state.path.read_bytes() == before
    assert [path.name for path in state.path.parent.iterdir()] == [state.path.name]


def test_recording_the_same_again_writes_nothing(state):
    state.record(1, "role", "first", "arn:x")
    before = state.path.stat().st_ino
    state.record(1, "role", "first", "arn:x")
    state.forget("role", "nobody")
    assert state.path.stat().st_ino == before
    state.record(1, "role", "first", "arn:y")
    assert [r["arn"] for r in json.loads(state.path.read_text())["resources"]] == ["arn:y"]


def test_records_of_an_embedded_aws_that_is_gone_are_let_go(state):
    state.record(1, "role", "first", "arn:x")
    settings = Settings(prefix="alice", state_dir=state.path.parent)
    same, other = State.load(settings, ACCOUNT, "one"), State.load(settings, ACCOUNT, "two")
    assert (same.forgotten, len(same.resources)) == (False, 1)
    assert (other.forgotten, other.resources) == (True, [])


def test_the_lock_keeps_out_and_lets_in_again(state):
    with state.lock("up"), pytest.raises(WorkshopError, match=r"up \(process \d+"), state.lock("cleanup"):
        pass
    with pytest.raises(ZeroDivisionError), state.lock("up"):
        raise ZeroDivisionError
    with state.lock("cleanup"):
        pass


#: A command that holds the lock, and records a resource for each line that it reads.
HOLDER = """
import pathlib, sys
from workshop.base.errors import WorkshopError
from workshop.base.settings import Settings
from workshop.base.state import State
from workshop.commands.build import run_steps
state = State.load(Settings(prefix="alice", state_dir=pathlib.Path(sys.argv[1])), sys.argv[2], "one")
try:
    with state.lock(sys.argv[3]):
        print("in", flush=True)
        for name in sys.stdin:
            state.record(1, "role", name.strip(), "arn:x")
            print("recorded", flush=True)
except WorkshopError as error:
    print(error, flush=True)
"""


@pytest.fixture
def holder(state):
    """Start a process that takes the lock, and return it with its first word."""
    with contextlib.ExitStack() as stack:

        def start(command):
            words = [sys.executable, "-c", HOLDER, str(state.path.parent), ACCOUNT, command]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            process = stack.enter_context(subprocess.Popen(words, **pipes))
            stack.callback(process.kill)
            return process, process.stdout.readline().strip()

        yield start


def said(process, name):
    process.stdin.write(f"{name}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_who_deletes_the_lock_while_a_command_runs_lets_nobody_in(state, holder):
    lock = state.path.with_suffix(".lock")
    first, word = holder("up")
    assert word == "in"
    assert f"up (process {first.pid}" in holder("cleanup")[1]
    lock.unlink()
    # Also where there is nothing new to record.
    assert [said(first, "one"), said(first, "one")] == ["recorded", "recorded"]
    lock.unlink()
    assert said(first, "one") == "recorded"
    assert f"up (process {first.pid}" in holder("cleanup")[1]


def test_a_command_stops_beside_another_one_that_got_in(state, holder):
    lock = state.path.with_suffix(".lock")
    first, _ = holder("up")
    assert said(first, "one") == "recorded"
    lock.unlink()
    second, word = holder("cleanup")
    assert word == "in"
    stopped = said(first, "two")
    assert f"cleanup (process {second.pid}" in stopped
    assert str(lock) in stopped
    assert first.wait(timeout=LONGEST_COMMAND) == 0
    # The one that goes on keeps its lock and its record.
    assert said(second, "three") == "recorded"
    assert [one["name"] for one in json.loads(state.path.read_text())["resources"]] == ["one", "three"]
    assert "cleanup (process" in holder("up")[1]


def test_a_lock_on_a_file_that_was_deleted_a_moment_ago_is_none(state, monkeypatch):
    """Between opening and locking, the file is deleted: the next command would find another one."""
    opened, lock = [], state.path.with_suffix(".lock")
    open_file = folder.open_file

    def deleted_once(path, flags):
        descriptor = open_file(path, flags)
        opened.append(path)
        if opened == [lock]:
            path.unlink()
        return descriptor

    monkeypatch.setattr(folder, "open_file", deleted_once)
    other = State.load(Settings(prefix="alice", state_dir=state.path.parent), ACCOUNT, "one")
    with state.lock("up"), pytest.raises(WorkshopError, match=r"up \(process"), other.lock("cleanup"):
        pass
    assert opened.count(lock) == 3


def test_every_resource_is_recorded_as_soon_as_it_stands(ws):
    recorded = []

    def listen(call):
        if not call.is_read and call.operation.startswith("Create"):
            path = ws.state.path
            recorded.append(len(json.loads(path.read_text())["resources"]) if path.exists() else 0)

    ws.client.listeners.append(listen)
    ws.steps[0].run(ws)
    # At each creation, everything that was created before is in the file.
    assert recorded == list(range(len(recorded)))
    assert len(recorded) == len(ws.steps[0].declarations)


def test_a_step_that_fails_midway_has_recorded_what_it_made(ws, capsys):
    somebodys = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [somebodys]})
    ws.client("iam").create_role(RoleName=ws.name("Lambda-DynamoDB-SNS"), AssumeRolePolicyDocument=document)
    # What is new and has no tags is given time to show them.
    hurry(ws)
    with pytest.raises(ForeignResource):
        ws.steps[0].run(ws)
    recorded = {one["name"] for one in json.loads(ws.state.path.read_text())["resources"]}
    standing = {one.partition(" ")[2] for one in snapshot(ws)} - {ws.name("Lambda-DynamoDB-SNS")}
    assert recorded == standing
    assert len(recorded) == 10
    # What was made before it is shown as well.
    capsys.readouterr()
    with pytest.raises(ForeignResource):
        run_steps(ws, ws.steps[:1], "01_iam")
    assert capsys.readouterr().out.count("unchanged") == 10


def test_all_that_stands_is_in_the_file(ws):
    build(ws)
    document = json.loads(ws.state.path.read_text())
    made = [(declaration.kind, declaration.named(ws)) for step in ws.steps for declaration in step.declarations]
    assert [(one["kind"], one["name"]) for one in document["resources"]] == made
    assert all(one["arn"].startswith("arn:aws:") for one in document["resources"])
    assert census(ws)


def test_a_lost_file_is_written_again(ws):
    build(ws, 3)
    before = json.loads(ws.state.path.read_text())["resources"]
    ws.state.path.unlink()
    ws.state.resources = []
    for step in ws.steps[:3]:
        assert {resource.result for resource in step.run(ws)} == {"unchanged"}
    assert json.loads(ws.state.path.read_text())["resources"] == before
