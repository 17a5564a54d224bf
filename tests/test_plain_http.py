"""AWS gets its own standard statement against plain HTTP; an emulator that speaks nothing else gets none."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest
from conftest import short_sleep
from support import build, eventually, not_present

from workshop.base.console import Console
from workshop.base.files import ROOT
from workshop.base.settings import Settings
from workshop.build.checks import run_check
from workshop.build.opening import open_workshop
from workshop.embedded.process import _free_port

#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-security-best-practices.html
STANDARD = {"Bool": {"aws:SecureTransport": "false"}}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Another emulator, which is reached over plain HTTP: its endpoint."""
    folder, port = tmp_path_factory.mktemp("plain"), _free_port(None)
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), "GATEWAY_PORT": str(port), "AUTH": "true",
                   "BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1", "LOG_LEVEL": "WARNING"}  # fmt: skip
    emulator = subprocess.Popen([sys.executable, "-m", "ministack.app"], env=environment, cwd=folder,
                                start_new_session=True)  # fmt: skip
    endpoint = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    try:
        assert eventually(answers)
        yield endpoint
    finally:
        os.killpg(emulator.pid, signal.SIGKILL)
        emulator.wait()


@pytest.fixture
def elsewhere(plain, tmp_path, prefix, monkeypatch):
    """The workshop on that emulator, as `--target aws` opens it."""
    for name, value in {
        "AWS_ENDPOINT_URL": plain,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings(target="aws", prefix=prefix, email="me@example.com", yes=True, state_dir=tmp_path / "state")
    return open_workshop(settings, Console(), short_sleep)


def policies_of(ws) -> dict[str, dict]:
    """The policy of each queue and topic, by its name before the prefix."""
    queues = ("ecommerce-orders-queue", "ecommerce-orders-dlq", "ecommerce-orders-stream-dlq")
    found = {name: ws.find("queue", name).get("Policy") for name in queues}
    found["ecommerce-orders-topic"] = ws.find("topic", "ecommerce-orders-topic").get("Policy")
    return {name: json.loads(policy) for name, policy in found.items() if policy}


def verdicts(ws) -> list:
    """What the checks of the statement say, and those of who else gets in."""
    return [
        run_check(ws, step.number, step.command, check)
        for step in ws.steps
        for check in step.checks
        if "plain HTTP" in check.name
    ]


def test_over_tls_plain_http_is_refused_as_aws_advises(built):
    policies = policies_of(built)
    assert len(policies) == 4
    for policy in policies.values():
        conditions = {one["Sid"]: one.get("Condition") for one in policy["Statement"]}
        assert conditions["OnlyTLS"] == STANDARD
    found = verdicts(built)
    assert len(found) == 4
    assert all(verdict.passed and "not expected" not in verdict.detail for verdict in found)


@pytest.mark.slow
def test_over_plain_http_the_statement_is_left_out_and_that_is_said(elsewhere, capsys):
    build(elsewhere)
    said = capsys.readouterr().err
    assert said.count("endpoint of this AWS uses plain HTTP") == 4
    assert "OnlyTLS" not in json.dumps(policies_of(elsewhere))
    # The steps, status and the checks agree.
    build(elsewhere)
    assert not_present(elsewhere) == {}
    found = verdicts(elsewhere)
    assert len(found) == 4
    assert all(verdict.passed and "not expected" in verdict.detail for verdict in found)


def test_nothing_that_aws_gets_speaks_of_this_machine():
    listed = subprocess.run(["git", "ls-files", "infrastructure", "steps", "src/lambda", "src/api"], cwd=ROOT,
                            capture_output=True, text=True, check=True)  # fmt: skip
    for name in listed.stdout.splitlines():
        text = (ROOT / name).read_text(encoding="utf-8")
        for trace in ("127.0.0", "localhost", "ministack", "NotIpAddress"):
            assert trace not in text, f"{name} speaks of {trace}"
