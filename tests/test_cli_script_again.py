"""The scripts, stopped and run again: they go on where they stopped, and touch nothing of anybody else."""

import os
import signal
import subprocess

import fastaws
import pytest
from conftest import new_prefix
from support import ROOT, build, census, run, settled, snapshot, teardown
from test_foreign import somebodys_queue, somebodys_table
from test_killed import ONE_OF_EACH, standing

from workshop.build.describe import describe
from workshop.commands.verify import grade
from workshop.embedded import Embedded, environment
from workshop.kinds import KINDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

#: How many changes the scripts make; test_these_are_all_the_points says when these are out of date.
CHANGES_OF_BUILD, CHANGES_OF_CLEANUP = 51, 34
#: Seconds for a test that runs `aws` hundreds of times.


@pytest.fixture(scope="module")
def whose():
    """The participant of this file: its region's name is in the address, which has to stay whole."""
    return new_prefix()


@pytest.fixture(scope="module")
def scripts(whose, tmp_path_factory):
    """The two scripts, recorded once: `{"build": text, "cleanup": text}`."""
    options = ["cli-script", "--prefix", whose, "--email", f"team-us-east-1-{whose}@example.com"]
    env = {"WORKSHOP_STATE_DIR": str(tmp_path_factory.mktemp("recording"))}
    texts = {}
    for name, more in (("build", []), ("cleanup", ["--cleanup"])):
        recorded = run("workshop", *options, *more, env=env)
        assert recorded.code == 0, recorded.err
        texts[name] = recorded.out
    return texts


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """A folder with a quick `aws` in it."""
    with fastaws.install(tmp_path_factory.mktemp("fast") / "bin") as folder:
        yield folder


@pytest.fixture
def bash(scripts, aws, state_dir, tmp_path):
    """Run one of the scripts: `bash("build", kill_after=3)`."""
    embedded = Embedded(state_dir)

    def ran(name: str, kill_after: int = 0, region: str = "us-east-1") -> subprocess.CompletedProcess:
        counted = tmp_path / "changes"
        counted.write_bytes(b"")
        env = ran.env(region) | {"KILL_AFTER": str(kill_after or 999), "KILL_COUNT": str(counted)}
        return subprocess.run(
            ["bash", "-c", scripts[name]],
            env=env, cwd=ROOT, capture_output=True, text=True, check=False,
            start_new_session=True,
        )  # fmt: skip

    ran.changes = lambda: (tmp_path / "changes").stat().st_size
    ran.env = lambda region: (
        os.environ | environment(embedded, embedded.running(), region) | {"PATH": f"{aws}:{os.environ['PATH']}"}
    )
    return ran


@pytest.fixture
def ours(open_ws, whose):
    """The participant's context; whatever a test leaves is taken away."""
    opened = open_ws(whose)
    yield opened
    teardown().delete_ours(opened)
    assert census(opened) == []


@pytest.fixture(scope="module")
def uninterrupted():
    """What an uninterrupted run builds, as AWS describes it; filled by the first test that runs one."""
    return {}


def ok(ran):
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def assert_as_uninterrupted(ws, known, bash):
    """Everything stands once, as after one run, and every check is green."""
    if not known:
        described = describe(ws)
        teardown().delete_ours(ws)
        ok(bash("build"))
        known.update(describe(ws))
        assert described == known
    assert describe(ws) == known
    assert standing(ws) == ONE_OF_EACH
    assert [vars(verdict) for verdict in grade(ws, ws.steps) if not verdict.passed] == []


def points(last, every):
    sample = {*range(1 + every // 2, last + 1, every), last}
    return [pytest.param(n, marks=() if n in sample else pytest.mark.exhaustive) for n in range(1, last + 1)]


@pytest.mark.parametrize("number", points(CHANGES_OF_BUILD, every=17))
def test_build_killed_after_a_change(ours, bash, uninterrupted, number):
    assert bash("build", kill_after=number).returncode == -signal.SIGKILL
    ok(bash("build"))
    assert_as_uninterrupted(ours, uninterrupted, bash)


def test_killed_again_and_again(ours, bash, uninterrupted):
    """Each run gets some changes further than the one before."""
    for number in (13, 20, 25):
        assert bash("build", kill_after=number).returncode == -signal.SIGKILL
    ok(bash("build"))
    assert_as_uninterrupted(ours, uninterrupted, bash)


def test_run_twice_it_makes_no_twin(ours, bash, uninterrupted):
    ok(bash("build"))
    said = ok(bash("build"))
    assert f"exists: table {ours.name('ecommerce-orders')}" in said
    assert_as_uninterrupted(ours, uninterrupted, bash)


@pytest.mark.parametrize("number", points(CHANGES_OF_CLEANUP, every=17))
def test_cleanup_killed_after_a_change(ours, bash, number):
    build(ours)
    assert bash("cleanup", kill_after=number).returncode == -signal.SIGKILL
    ok(bash("cleanup"))
    assert census(ours) == []


def test_these_are_all_the_points(ours, bash):
    ok(bash("build"))
    changes = bash.changes()
    ok(bash("cleanup"))
    assert (changes, bash.changes()) == (CHANGES_OF_BUILD, CHANGES_OF_CLEANUP)
    # A second time there is nothing to do.
    ok(bash("cleanup"))
    assert bash.changes() == 0


def test_another_region_keeps_its_roles(ours, open_ws, whose, bash):
    build(ours)
    here, before = open_ws(whose, region="eu-central-1"), snapshot(ours)
    for name in ("build", "cleanup"):
        ran = bash(name, region="eu-central-1")
        assert "us-east-1" in ran.stderr
        assert "eu-central-1" in ran.stderr
        assert ran.returncode == (1 if name == "build" else 0), ran.stderr
        assert snapshot(ours) == before
    assert {resource.result for step in here.steps for resource in step.examine(here)} == {"missing"}


@pytest.mark.parametrize("script", ["deploy.sh", "deploy-single-stacks.sh", "delete.sh"])
@pytest.mark.parametrize("kept", ["everything", "policies"])
def test_cloudformation_leaves_another_regions_roles(ours, whose, bash, script, kept):
    ours.steps[0].run(ours)
    if kept == "policies":
        for _, found in [(kind, one) for kind, _, one in teardown().find_ours(ours) if kind == "role"]:
            KINDS["role"].delete(ours, found)
    before, buckets = snapshot(ours), buckets_of(ours)
    options = ["--prefix", whose, *(["--email", "you@example.com"] if script != "delete.sh" else [])]
    command = [ROOT / "infrastructure/scripts" / script, *options]
    ran = subprocess.run(
        command,
        env=bash.env("eu-central-1"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if script != "delete.sh":
        assert ran.returncode == 1
        assert "belongs to region us-east-1" in ran.stderr
        assert len(ran.stderr.splitlines()) == 1
    else:
        assert ran.returncode == 0, ran.stderr
    assert snapshot(ours) == before
    assert buckets_of(ours) == buckets
    assert not [one for one in ours.client("cloudformation").describe_stacks()["Stacks"] if whose in one["StackName"]]


def buckets_of(ws):
    """The names of the account's buckets; the tests of other files may have left some."""
    return {one["Name"] for one in ws.client("s3").list_buckets()["Buckets"]}


@pytest.mark.parametrize(("base", "make"), [("ecommerce-orders", somebodys_table),
                                            ("ecommerce-orders-queue", somebodys_queue)])  # fmt: skip
def test_what_is_somebody_elses_stays(ours, bash, base, make):
    make(ours, ours.name(base), {})
    before = settled(snapshot(ours))
    ran = bash("build")
    assert ran.returncode == 1
    assert ours.name(base) in ran.stderr
    assert "Choose another prefix" in ran.stderr
    assert {name: one for name, one in settled(snapshot(ours)).items() if name in before} == before
    ran = bash("cleanup")
    assert ran.returncode == 0, ran.stderr
    assert settled(snapshot(ours)) == before
    take_away(ours, ours.name(base))


def take_away(ws, name):
    """Delete somebody's table or queue, which no clean-up of ours may."""
    for kind, one in census(ws, whole=True):
        if kind == "table":
            ws.client("dynamodb").delete_table(TableName=name)
        elif kind == "queue":
            ws.client("sqs").delete_queue(QueueUrl=one["name"])


def test_addresses_stay_whole(scripts, whose):
    assert f"--notification-endpoint team-us-east-1-{whose}@example.com " in scripts["build"]
