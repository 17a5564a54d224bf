"""The state folder: what somebody planted there is not followed, not believed, and not waited for."""

import contextlib
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import time

import pytest
from support import LONGEST_COMMAND, eventually, sample
from test_embedded import alive, answers

from workshop.embedded import Embedded
from workshop.embedded.instance import started

#: What is written anew each time, whatever stands in its place.
REPLACED = ("embedded.json", "embedded.log", "embedded.ca.pem", "aws.config", "bin/aws", "bin/curl")
#: What is opened as it is: it has to be ours. With it, a command that opens it.
OPENED = {
    "embedded.lock": ("local", "start"),
    "embedded.gate": ("local", "start"),
    "local-000000000000-us-east-1-default.json": ("status",),
    "local-000000000000-us-east-1-default.lock": ("02_dynamodb",),
}
PLANTS = {"symbolic link": lambda path, target: path.symlink_to(target),
          "second name": lambda path, target: path.hardlink_to(target),
          "pipe": lambda path, _: os.mkfifo(path)}  # fmt: skip
SECRET = "somebody's private key\n"


@pytest.fixture
def embedded(own_state_dir):
    return Embedded(own_state_dir)


@pytest.fixture
def victim(tmp_path):
    """A file that has nothing to do with the workshop."""
    path = tmp_path / "id_ed25519"
    path.write_text(SECRET)
    path.chmod(0o600)
    yield path
    assert path.read_text() == SECRET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.fixture
def write_all(own_cli):
    """Run what writes everything that the folder ever holds."""

    def run_all() -> None:
        for words in (("02_dynamodb",), ("local", "env")):
            ran = own_cli(*words)
            assert ran.code == 0, ran.err

    return run_all


@pytest.mark.parametrize("kind", sample(PLANTS, ("symbolic link",)))
def test_what_stands_in_the_place_of_a_file_is_replaced(own_state_dir, victim, write_all, kind):
    (own_state_dir / "bin").mkdir(mode=0o700, parents=True)
    for name in REPLACED:
        PLANTS[kind](own_state_dir / name, victim)
    write_all()
    for name in REPLACED:
        status = (own_state_dir / name).lstat()
        assert stat.S_ISREG(status.st_mode)
        assert status.st_nlink == 1


@pytest.mark.parametrize("name", sample(OPENED, (next(iter(OPENED)),)))
@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_a_file_that_is_none_of_ours_is_refused(own_state_dir, victim, own_cli, name, plant):
    own_state_dir.mkdir(mode=0o700)
    plant(own_state_dir / name, victim)
    try:
        ran = own_cli(*OPENED[name])
        assert ran.code == 1
        assert len(ran.errors) == 1
        assert name in ran.errors[0]
    finally:
        (own_state_dir / name).unlink()


@pytest.mark.parametrize("name", sample(("embedded.tmp", "bin"), ("bin",)))
def test_a_folder_that_is_a_link_is_not_filled(own_state_dir, tmp_path, write_all, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text(SECRET)
    own_state_dir.mkdir(mode=0o700)
    (own_state_dir / name).symlink_to(elsewhere)
    write_all()
    assert [path.name for path in elsewhere.iterdir()] == ["mine"]


@pytest.mark.parametrize("mode", [0o777, 0o702, 0o720])
@pytest.mark.parametrize("command", [("local", "env"), ("local", "stop"), ("01_iam",)])
def test_a_folder_that_others_can_write_to(own_state_dir, own_cli, mode, command):
    own_state_dir.mkdir()
    own_state_dir.chmod(mode)
    try:
        ran = own_cli(*command)
        assert ran.code == 1
        assert len(ran.err.splitlines()) == 1
        assert f"chmod go-w {own_state_dir}" in ran.err
        assert list(own_state_dir.iterdir()) == []
    finally:
        own_state_dir.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("command", [("local", "start"), ("local", "env"), ("status",)])
def test_a_folder_of_another_user(own_state_dir, own_cli, command):
    own_state_dir.mkdir(mode=0o755)
    os.chown(own_state_dir, 65534, 65534)
    try:
        ran = own_cli(*command)
        assert ran.code == 1
        assert "belongs to another user" in ran.err
        assert len(ran.err.splitlines()) == 1
        assert list(own_state_dir.iterdir()) == []
    finally:
        os.chown(own_state_dir, 0, 0)


def test_what_it_holds_is_private_whatever_the_umask_says(own_state_dir, write_all):
    before = os.umask(0)
    try:
        write_all()
    finally:
        os.umask(before)
    assert stat.S_IMODE(own_state_dir.stat().st_mode) == 0o700
    for path in own_state_dir.rglob("*"):
        if "embedded.tmp" not in path.parts:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE((own_state_dir / "embedded.tmp").stat().st_mode) == 0o700


@pytest.fixture
def bystander():
    """A process with a group of its own that is none of the workshop's."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("command", [("local", "stop"), ("local", "start")])
@pytest.mark.parametrize("when", sample(("another time", "", None), ("another time", "None")))
@pytest.mark.parametrize("held", [True, False])
def test_a_process_of_somebody_else_is_not_ended(own_state_dir, embedded, own_cli, bystander, command, when, held):
    own_state_dir.mkdir(mode=0o700)
    record = {"id": "x", "pid": bystander.pid, "started": when, "port": 65000, "secret": "00" * 32}
    text = json.dumps({name: value for name, value in record.items() if value is not None})
    embedded.record_path.write_text(text)
    embedded.lock_path.write_text(text)
    with embedded.lock_path.open() as lock:
        if held:
            fcntl.flock(lock, fcntl.LOCK_EX)
        own_cli(*command)
        assert bystander.poll() is None


def test_who_deletes_the_lock_gets_no_second_one(own_cli, embedded):
    first, _ = embedded.start()
    embedded.lock_path.unlink()
    ran = own_cli("local", "start")
    assert ran.out.startswith("Already running")
    assert embedded.running() == first
    # Even with an empty lock in its place, it is found and can be ended.
    embedded.lock_path.touch(0o600)
    assert own_cli("local", "stop").out.startswith("Stopped")
    assert not alive(first.pid)


def test_it_ends_when_its_folder_is_gone(own_state_dir, embedded):
    instance, _ = embedded.start()
    shutil.rmtree(own_state_dir)
    assert eventually(lambda: not alive(instance.pid) and not answers(instance.port))
    with contextlib.suppress(ChildProcessError):
        os.waitpid(instance.pid, 0)


def test_a_process_is_told_from_a_later_one_of_its_number():
    own, child = started(os.getpid()), subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert own == started(os.getpid()) != ""
        time.sleep(0.02)
        assert started(child.pid) not in ("", own)
    finally:
        child.kill()
        # It has ended, but nobody has asked for it yet.
        assert eventually(lambda: started(child.pid) == "")
        child.wait()
    assert started(child.pid) == ""
    assert started(4194303) == ""


@pytest.mark.parametrize("folder", ["a:b", "a:b/c"])
@pytest.mark.parametrize("command", [("local", "env"), ("local", "start"), ("status",), ("demo",)])
def test_a_colon_would_split_the_path(tmp_path, own_cli, folder, command):
    ran = own_cli(*command, env={"WORKSHOP_STATE_DIR": str(tmp_path / folder)})
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert "colon" in ran.err
    assert not (tmp_path / folder).exists()


def test_a_planted_program_is_not_run(tmp_path, own_cli):
    planted = tmp_path / "b/bin/aws"
    planted.parent.mkdir(parents=True)
    planted.write_text(f"#!/bin/sh\ntouch {tmp_path}/caught\n")
    planted.chmod(0o755)
    ran = own_cli("local", "env", env={"WORKSHOP_STATE_DIR": "a:b"}, cwd=tmp_path)
    script = f"{ran.out}\naws sts get-caller-identity"
    env = os.environ | {"PATH": "/usr/bin:/bin"}
    subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, timeout=LONGEST_COMMAND, check=False, capture_output=True
    )
    assert not (tmp_path / "caught").exists()


@pytest.mark.parametrize(
    "path",
    [
        "",
        pytest.param("/usr/bin::/bin", marks=pytest.mark.exhaustive),
        ":/usr/bin:/bin",
        pytest.param("/usr/bin:/bin:", marks=pytest.mark.exhaustive),
    ],
)
def test_the_current_folder_does_not_get_into_path(own_cli, path):
    ran = own_cli("local", "env", env={"PATH": path})
    (line,) = (line for line in ran.out.splitlines() if line.startswith("export PATH="))
    assert "" not in line.removeprefix("export PATH=").strip("'").split(":")
