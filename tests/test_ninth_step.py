"""A step can be added in an hour: the example of `docs/guides/adding-a-step.md`, applied to a copy of the repository.

The copy has everything that git tracks, and what is new. It builds, is verified and is cleaned up by its own commands,
runs those of its own tests that know what a new step must bring along, and goes back to what it was.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from support import ROOT

PATCH = ROOT / "docs/examples/ninth-step.patch"
#: The most files that a step may have to touch, beside its own.
TOUCHED = 8
#: Those of the copy's tests that find a new step by themselves, or in which it has cases.
TESTS = ["tests/test_house.py", "tests/test_exercises.py", "tests/test_break_and_repair.py",
         "tests/test_converge.py", "tests/test_notebooks.py", "tests/test_docs.py"]  # fmt: skip


def files():
    """The files that the patch makes, and those that it changes."""
    parts = re.split(r"^diff --git ", PATCH.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    named = {part.split(" b/")[1].split("\n")[0]: "\nnew file mode" in part for part in parts}
    return {name for name, new in named.items() if new}, {name for name, new in named.items() if not new}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy of this repository with the patch applied."""
    copy = tmp_path_factory.mktemp("ninth") / "copy"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    apply(copy)
    call(copy, "tools/notebooks.py", "--build")
    return copy


def apply(copy, *how):
    # Its own repository, so that git does not look for one above.
    subprocess.run(["git", "init", "-q"], cwd=copy, check=True)
    subprocess.run(["git", "apply", *how, str(PATCH)], cwd=copy, check=True)


def call(copy, *command, code=0):
    """Run the copy's Python with the copy's own package; returns standard output."""
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "WORKSHOP_STATE_DIR": str(copy / "state")}
    ran = subprocess.run(
        [sys.executable, *command], cwd=copy, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == code, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    return ran.stdout


def workshop(copy, *arguments):
    return json.loads(call(copy, "-m", "workshop", *arguments, "--json"))


def test_few_files_are_touched():
    made, touched = files()
    assert len(touched) <= TOUCHED, touched
    assert {"steps/09_alarm.py", "notebooks/source/09_alarm.md"} <= made


def test_it_applies():
    subprocess.run(["git", "apply", "--check", str(PATCH)], cwd=ROOT, check=True)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_it_is_built_verified_and_cleaned_up(repository):
    try:
        call(repository, "-m", "workshop", "up")
        listed = workshop(repository, "status")["resources"]
        assert [one["name"] for one in listed if one["kind"] == "alarm"] == ["ecommerce-orders-dlq-alarm"]
        assert {one["state"] for one in listed} == {"present"}
        judged = workshop(repository, "verify")
        assert judged["failed"] == 0
        assert len([one for one in judged["checks"] if one["step"] == 9]) == 3
        assert "alarm" in [one["kind"] for one in workshop(repository, "cleanup", "--yes")["deleted"]]
        assert {one["state"] for one in workshop(repository, "status")["resources"]} == {"missing"}
    finally:
        call(repository, "-m", "workshop", "local", "stop")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_its_own_tests_pass(repository):
    ran = call(
        repository, "-m", "pytest", "-r", "p", "-m", "not exhaustive", "-p", "no:cacheprovider",
        "-k", "alarm or house or they_are_clean or readme_names or walk_goes", *TESTS,
    )  # fmt: skip
    assert len(re.findall(r"^PASSED ", ran, re.MULTILINE)) > 30


@pytest.mark.slow
def test_it_can_be_taken_out_again(repository):
    made, touched = files()
    apply(repository, "--reverse")
    assert not [name for name in made if (repository / name).exists()]
    assert not [name for name in touched if (repository / name).read_bytes() != (ROOT / name).read_bytes()]
