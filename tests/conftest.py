"""What all tests share: one embedded AWS for each worker, and a participant of its own for each test.

Nothing here imitates AWS. A participant is a prefix, so tests see nothing of each other although they share one
embedded AWS; tests that stop or kill it have one of their own (`own_state_dir`).
"""

import dataclasses
import os
import signal
import subprocess
import sys
import time
import uuid
from types import SimpleNamespace

import botocore.waiter
import faults
import pytest
import replay
from faults import Clock, Faults
from hypothesis import settings
from prefork import share_models
from support import Ran, run
from sweeping import sweep

from workshop.base.console import Console
from workshop.base.settings import Settings
from workshop.base.state import State
from workshop.build.opening import open_workshop
from workshop.embedded import Embedded

# Nothing of the machine's own AWS configuration may have a say, nor a proxy between us and the loopback interface.
for _name in list(os.environ):
    if _name.startswith(("AWS_", "WORKSHOP_")) or _name.lower().endswith("_proxy"):
        del os.environ[_name]
os.environ |= {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_COLOR": "1",
    # Wide enough that no text is wrapped.
    "COLUMNS": "200",
}
# Every program that a test starts would be compiled again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# What runs in the background of a shell has Ctrl-C switched off, and so has what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def short_sleep(seconds: float) -> None:
    """Sleep as long as the embedded AWS may need between two looks, however long AWS would."""
    time.sleep(min(seconds, 0.05))


# boto3's waiters look at most once a second; here everything is ready within milliseconds.
botocore.waiter.time = SimpleNamespace(sleep=short_sleep)
share_models()
# The same examples in every run, however long one takes on a busy machine.
settings.register_profile("workshop", derandomize=True, deadline=None, database=None)
settings.load_profile("workshop")


#: Reads until the worker is gone, however it went, and stops whatever embedded AWS is left in its folder.
SWEEP = """
import pathlib, sys
from workshop.embedded import Embedded
sys.stdin.read()
for record in pathlib.Path(sys.argv[1]).rglob("embedded.json"):
    Embedded(record.parent).stop()
"""


@pytest.fixture(scope="session", autouse=True)
def _swept(tmp_path_factory):
    """Leave no embedded AWS behind, even if the tests are killed."""
    command = [sys.executable, "-c", SWEEP, str(tmp_path_factory.getbasetemp())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
        yield


@pytest.fixture(scope="session")
def state_dir(tmp_path_factory):
    """The state folder, and with it the embedded AWS, of this worker."""
    folder = tmp_path_factory.mktemp("shared")
    try:
        Embedded(folder).start()
        yield folder
    finally:
        Embedded(folder).stop()


@pytest.fixture
def own_state_dir(tmp_path):
    """A state folder that does not exist yet, for a test with an embedded AWS of its own."""
    folder = tmp_path / "state"
    try:
        yield folder
    finally:
        Embedded(folder).stop()


def new_prefix() -> str:
    """A prefix that nobody has."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def prefix():
    """The participant of this test."""
    return new_prefix()


@pytest.fixture(scope="session")
def open_ws(state_dir):
    """Open the workshop of a participant on the shared embedded AWS: `open_ws(prefix)`."""

    def opened(prefix, **settings):
        own = Settings(prefix=prefix, yes=True, **{"state_dir": state_dir} | settings)
        return open_workshop(own, Console(), short_sleep)

    return opened


@pytest.fixture(scope="session")
def sharing():
    """The context whose clients the tests of this worker share, if there is one."""
    return []


@pytest.fixture
def ws(open_ws, sharing, prefix):
    """The context of this test's participant, for whom nothing is built yet.

    To make clients takes longer than most tests, so tests share them, until one puts a fault layer before them.
    """
    if not sharing:
        sharing.append(open_ws("somebody"))
    opened, layers = as_participant(sharing[0], prefix), len(faults.ATTACHED)
    listeners, waiting = [*opened.client.listeners], dict(vars(opened.waiter))
    yield opened
    if len(faults.ATTACHED) > layers:
        sharing.clear()
    opened.client.listeners[:], opened.client.read_only = listeners, False
    vars(opened.waiter).update(waiting)
    # Its pollers would slow down the tests that follow. Whatever was made has been recorded.
    if opened.state.path.exists():
        sweep(opened)


@pytest.fixture(scope="module")
def built(open_ws):
    """A participant for whom everything is built, shared by a file of tests."""
    opened = open_ws(new_prefix())
    replay.build(opened)
    yield opened
    sweep(opened)


@pytest.fixture
def cli(state_dir, prefix):
    """Run `workshop` for this test's participant: `cli("status", "--json")`."""

    def typed(*arguments: str, **more) -> Ran:
        env = {"WORKSHOP_STATE_DIR": str(state_dir), "WORKSHOP_PREFIX": prefix} | more.pop("env", {})
        return run("workshop", *arguments, env=env, **more)

    return typed


@pytest.fixture
def own_cli(own_state_dir):
    """Run `workshop` on an embedded AWS of this test's own."""

    def typed(*arguments: str, **more) -> Ran:
        return run("workshop", *arguments, env={"WORKSHOP_STATE_DIR": str(own_state_dir)} | more.pop("env", {}), **more)

    return typed


@pytest.fixture(scope="module")
def two_sets_of_clients(open_ws):
    """To make clients takes longer than most tests: one set without, one with a fault layer before AWS."""
    plain, nasty = open_ws("somebody"), open_ws("somebody")
    nasty.clock = Clock()
    nasty.waiter.clock, nasty.waiter.sleep = nasty.clock, nasty.clock.sleep
    nasty.faults = Faults(nasty.clock).attach(nasty.client)
    return plain, nasty


def as_participant(ws, prefix):
    """The context of another participant, with the same clients."""
    settings = dataclasses.replace(ws.settings, prefix=prefix)
    embedded = ws.state.embedded
    state = State.load(settings, ws.account, embedded)
    return dataclasses.replace(ws, settings=settings, state=state, shared={}, untagged_since=None, _needed={})


@pytest.fixture
def calm(two_sets_of_clients, prefix):
    """This test's participant, without faults."""
    opened = as_participant(two_sets_of_clients[0], prefix)
    yield opened
    sweep(opened)


@pytest.fixture
def nasty(calm, two_sets_of_clients):
    """The same participant, behind a fault layer and with a virtual clock."""
    opened = as_participant(two_sets_of_clients[1], calm.settings.prefix)
    opened.faults, opened.clock = two_sets_of_clients[1].faults, two_sets_of_clients[1].clock
    opened.faults.rules.clear()
    opened.faults.sent.clear()
    opened.clock.virtual = False
    with faults.waiters_sleep(opened.clock.sleep):
        yield opened
