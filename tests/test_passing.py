"""Commands with an embedded AWS of their own: whatever happens to them, no process and no file stays behind."""

import contextlib
import json
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from support import BIN, ROOT, eventually, run
from test_embedded import alive, group_of

from workshop.embedded import Embedded, passing
from workshop.embedded.passing import sweep


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder of this test's own, here and for what it starts."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def start(*command: str) -> subprocess.Popen:
    return subprocess.Popen([BIN / "workshop", *command], cwd=ROOT, env=os.environ, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)  # fmt: skip


def recorded(temporary: Path) -> dict:
    """The record of the one embedded AWS in there."""
    for path in temporary.glob("workshop-*/embedded.json"):
        with contextlib.suppress(OSError, ValueError):
            return json.loads(path.read_text())
    return {}


def group(leader: int) -> list[int]:
    """The processes of a group that run."""
    numbers = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return [pid for pid in numbers if group_of(pid) == leader and alive(pid)]


@pytest.mark.parametrize(
    ("command", "workers"),
    [
        pytest.param("demo", 0, id="demo, early"),
        pytest.param("cli-script", 0, id="cli-script, early"),
        pytest.param("demo", 1, id="demo, with a function at work", marks=pytest.mark.slow),
    ],
)
def test_a_killed_command_takes_its_embedded_aws_along(temporary, command, workers):
    process = start(command)
    try:
        leader = eventually(lambda: recorded(temporary).get("pid"))
        assert leader
        assert eventually(lambda: len(group(leader)) > workers)
    finally:
        process.kill()
        process.wait()
    assert eventually(lambda: group(leader) == [])
    assert eventually(lambda: list(temporary.iterdir()) == [])


def test_it_ends_with_who_wanted_it(temporary):
    with passing("test") as folder:
        instance = Embedded(folder).running()
        assert alive(instance.pid)
        # Whoever comes by meanwhile leaves it alone.
        sweep()
        assert run("workshop", "--help").code == 0
        assert Embedded(folder).running() == instance
    assert not alive(instance.pid)
    assert list(temporary.iterdir()) == []


def test_what_is_left_is_swept_if_it_is_ours(temporary, tmp_path):
    with subprocess.Popen(["true"]) as gone:
        pass
    dead, living = gone.pid, os.getpid()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    (temporary / f"workshop-demo-{dead}-1234-link").symlink_to(tmp_path / "precious")
    (temporary / f"workshop-demo-{dead}-1234-abcd").mkdir()
    (temporary / f"workshop-demo-{dead}-1234-abcd/embedded.json").write_text("{")
    # This process's number, but of another one that had it before.
    (temporary / f"workshop-diff-{living}-1-abcd").mkdir()
    (temporary / f"workshop-demo-{dead}-1234").mkdir()
    (temporary / f"my-workshop-demo-{dead}-1234-abcd").mkdir()
    (temporary / "workshop-demo-of-mine-2026-june").mkdir()
    (temporary / f"workshop-demo-{dead}-1234-file").touch()
    kept = {path.name for path in temporary.iterdir()} - {
        f"workshop-demo-{dead}-1234-abcd", f"workshop-diff-{living}-1-abcd",
    }  # fmt: skip
    sweep()
    assert {path.name for path in temporary.iterdir()} == kept
    assert (tmp_path / "precious/file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_what_another_user_left_is_not_touched(temporary):
    folder = temporary / "workshop-demo-4194303-1234-abcd"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    sweep()
    assert folder.exists()


def test_one_that_still_runs_in_a_folder_of_the_dead_is_ended(temporary):
    folder = temporary / "workshop-demo-4194303-1234-abcd"
    instance, _ = Embedded(folder).start()
    sweep()
    assert not alive(instance.pid)
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_demos_three_at_once_each_third_one_killed(temporary):
    dice, started, running, killed = random.Random(7), 0, {}, 0
    leaders = set()
    while started < 20 or running:
        while started < 20 and len(running) < 3:
            started += 1
            # Between its first moment and its last.
            doomed = time.monotonic() + dice.uniform(0.1, 25) if started % 3 == 0 else None
            running[start("demo")] = doomed
        for path in temporary.glob("workshop-*/embedded.json"):
            with contextlib.suppress(OSError, ValueError):
                leaders.add(json.loads(path.read_text())["pid"])
        for process, doomed in list(running.items()):
            if process.poll() is not None:
                assert process.returncode == 0 or doomed
                del running[process]
            elif doomed and time.monotonic() > doomed:
                process.kill()
                process.wait()
                killed += 1
                del running[process]
        time.sleep(0.05)
    assert killed >= 4
    assert len(leaders) >= 14
    assert eventually(lambda: [pid for leader in leaders for pid in group(leader)] == [])
    # One that was killed before it had started anything leaves an empty folder to the next run.
    assert eventually(lambda: [path for path in temporary.iterdir() if any(path.iterdir())] == [])
    sweep()
    assert list(temporary.iterdir()) == []
