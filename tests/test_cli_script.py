"""The script of AWS CLI calls: what it is made of. That it builds the same is tested beside the templates."""

import re
import shutil
import subprocess
import sys

import pytest
from support import LONGEST_COMMAND

from workshop.aws.clients import READS
from workshop.build.opening import load_steps

pytestmark = pytest.mark.slow


BOUNDARY = "arn:aws:iam::123456789012:policy/limits/boundary"


@pytest.fixture(scope="module", params=["build", "cleanup"])
def script(request):
    """Both scripts, recorded once."""
    options = ["--cleanup"] if request.param == "cleanup" else ["--boundary", BOUNDARY]
    ran = subprocess.run(
        [sys.executable, "-m", "workshop", "cli-script", "--prefix", "carol", *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=LONGEST_COMMAND,
    )
    return request.param, ran.stdout


def test_shellcheck_has_nothing_to_say(script, tmp_path):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    path = tmp_path / "script.sh"
    path.write_text(script[1])
    assert subprocess.run(["shellcheck", path], capture_output=True, text=True, check=False).stdout == ""


def test_nothing_of_the_place_of_the_recording_is_left(script):
    _, text = script
    assert "000000000000" not in text
    assert "127.0.0.1:" not in text
    assert not re.search(r"(rest-api-id|resource-id|uuid|request-validator-id) [^\"$]", text)
    assert text.count("us-east-1") == 1, "the region's default, and nowhere else"


def test_it_is_strict_and_says_where_it_is(script):
    kind, text = script
    assert text.startswith("#!/usr/bin/env bash")
    assert "set -euo pipefail" in text
    titles = re.findall(r"^# (Step \d: .*|Clean up)$", text, re.MULTILINE)
    assert len(titles) == (len(load_steps()) if kind == "build" else 1)


def test_it_only_looks_where_it_needs_an_answer(script):
    _, text = script
    for line in re.findall(r"^aws (\S+) (\S+)", text, re.MULTILINE):
        operation = "".join(word.capitalize() for word in line[1].split("-"))
        assert line[1] == "wait" or not READS.fullmatch(operation), line


def test_roles_get_the_boundary_of_the_account_in_which_it_runs(script):
    kind, text = script
    found = re.findall(r"--permissions-boundary (\S+)", text)
    assert found == ['"arn:aws:iam::${ACCOUNT}:policy/limits/boundary"'] * (3 if kind == "build" else 0)
    assert "create-policy --policy-name boundary" not in text.replace("\\\n    ", "")
