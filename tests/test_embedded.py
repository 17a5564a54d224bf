"""The embedded AWS as a process: found again, stopped, killed, hung, misrecorded, and never in anybody's way."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import short_sleep
from support import BIN, LONGEST_COMMAND, ROOT, build, eventually, post, row, run, sample

from workshop.base.console import Console
from workshop.base.settings import Settings
from workshop.build.opening import open_workshop
from workshop.embedded import Embedded
from workshop.orders.api import api_url


@pytest.fixture
def embedded(own_state_dir):
    """An embedded AWS of this test's own; not started yet."""
    return Embedded(own_state_dir)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def kill(instance) -> None:
    """End an embedded AWS as a machine that runs out of memory would."""
    os.killpg(instance.pid, signal.SIGKILL)
    # It is a child of this test or of a command that has ended.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(instance.pid, 0)
    eventually(lambda: not answers(instance.port))


def test_a_second_start_finds_the_first(own_cli, embedded):
    first, second = own_cli("local", "start"), own_cli("local", "start")
    assert first.code == second.code == 0
    assert first.out.startswith("Started at https://127.0.0.1:")
    assert second.out.startswith("Already running at https://127.0.0.1:")
    assert first.out.split(" at ")[1].splitlines()[0] == second.out.split(" at ")[1].splitlines()[0]
    assert str(embedded.running().pid) in second.out


def test_two_starts_at_once_are_one(own_cli, embedded):
    with ThreadPoolExecutor() as pool:
        ran = list(pool.map(lambda _: own_cli("local", "start"), range(3)))
    assert [one.code for one in ran] == [0, 0, 0]
    assert sorted(one.out.split()[0] for one in ran) == ["Already", "Already", "Started"]
    assert len({re.search(r"process (\d+)", one.out)[1] for one in ran}) == 1


def test_stop_and_status(own_cli, embedded):
    not_yet = own_cli("local", "status")
    assert (not_yet.code, not_yet.out) == (1, "")
    assert len(not_yet.err.splitlines()) == 1
    assert "workshop local start" in not_yet.err
    assert own_cli("local", "start").code == 0
    running = own_cli("local", "status")
    assert running.code == 0
    instance = embedded.running()
    assert f"{instance.endpoint} (process {instance.pid})" in running.out
    assert own_cli("local", "stop").code == 0
    assert not alive(instance.pid)
    assert not answers(instance.port)
    assert own_cli("local", "status").code == 1
    # Stopping what is stopped is no failure.
    assert own_cli("local", "stop").code == 0


def test_reset_empties_it_and_keeps_the_address(own_cli, embedded):
    assert own_cli("02_dynamodb").code == 0
    before = embedded.running()
    assert own_cli("local", "reset").code == 0
    after = embedded.running()
    assert after.id != before.id
    assert after.port == before.port
    assert {one["state"] for one in own_cli("status", "--json").json["resources"]} == {"missing"}


def test_nobody_needs_to_start_it(own_cli, embedded):
    ran = own_cli("02_dynamodb")
    assert ran.code == 0
    assert embedded.running().endpoint in ran.err
    assert "started" not in own_cli("status", "--json").err


@pytest.mark.slow
def test_env_is_exports_and_reaches_it(own_cli, own_state_dir, embedded):
    assert own_cli("03_sqs").code == 1
    assert own_cli("01_iam").code == own_cli("03_sqs").code == 0
    ran = own_cli("local", "env")
    assert ran.code == 0
    assert all(re.fullmatch(r"export [A-Z_]+=.*", line) for line in ran.out.splitlines())
    assert f"export AWS_ENDPOINT_URL={embedded.running().endpoint}" in ran.out.splitlines()
    # What was exported for real AWS before must not shine through.
    script = """
        export AWS_SESSION_TOKEN=other AWS_DEFAULT_REGION=eu-west-1 PATH="$BIN:$PATH"
        eval "$(workshop local env)"
        aws sqs list-queues --output text
        aws sts get-caller-identity --query Arn --output text
        aws dynamodb list-tables --query 'length(TableNames)'
        curl --silent "$AWS_ENDPOINT_URL/_ministack/health" | head -c 1
    """
    env = os.environ | {"WORKSHOP_STATE_DIR": str(own_state_dir), "BIN": str(BIN)}
    typed = subprocess.run(
        ["bash", "-euc", script], env=env, capture_output=True, text=True, timeout=LONGEST_COMMAND, check=False
    )
    assert typed.returncode == 0, typed.stderr
    assert "ecommerce-orders-queue" in typed.stdout
    assert "ecommerce-orders-dlq" in typed.stdout
    assert "arn:aws:iam::000000000000:root" in typed.stdout
    assert typed.stdout.splitlines()[-2:] == ["0", "{"]


@pytest.mark.slow
def test_env_can_be_evaluated_twice_and_from_folders_with_spaces(tmp_path):
    folder = tmp_path / "my state's folder"
    try:
        first = run("workshop", "local", "env", "--state-dir", str(folder))
        variables = dict(shlex.split(line)[1].split("=", 1) for line in first.out.splitlines())
        assert str(folder) in variables["PATH"]
        second = run("workshop", "local", "env", "--state-dir", str(folder), env=variables)
        assert second.out == first.out
        assert "MessageId" not in run("aws", "sqs", "list-queues", env=variables).err
        assert run(str(folder / "bin/aws"), "sqs", "list-queues", env=variables).code == 0
    finally:
        Embedded(folder).stop()


@pytest.mark.slow
def test_two_folders_have_two(tmp_path):
    one, other = Embedded(tmp_path / "one"), Embedded(tmp_path / "other")
    try:
        first, second = one.start()[0], other.start()[0]
        assert first.port != second.port
        assert run("workshop", "02_dynamodb", "--state-dir", str(one.folder)).code == 0
        seen = run("workshop", "status", "--json", "--state-dir", str(other.folder)).json["resources"]
        assert {resource["state"] for resource in seen} == {"missing"}
        assert one.stop()
        assert other.running() == second
        assert answers(second.port)
    finally:
        one.stop()
        other.stop()


def test_it_listens_on_the_loopback_interface_only(embedded):
    instance, _ = embedded.start()
    links = set()
    for file in Path("/proc").glob("[0-9]*/fd/*"):
        # Processes and files come and go.
        with contextlib.suppress(OSError):
            if os.getpgid(int(file.parts[2])) == instance.pid:
                links.add(os.readlink(file))
    ours = {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in ours:
                listening.append(fields[1])
    # 127.0.0.1 in the kernel's spelling.
    assert listening == [f"0100007F:{instance.port:04X}"]


def test_after_a_kill_the_next_command_says_so_in_one_line_and_goes_on_from_empty(own_cli, embedded):
    assert own_cli("01_iam").code == 0
    kill(embedded.running())
    ran = own_cli("02_dynamodb")
    assert ran.code == 0, ran.err
    said = [line for line in ran.err.splitlines() if "gone" in line]
    assert len(said) == 1
    assert len(ran.err.splitlines()) == 2  # the other one says that it was started
    states = {one["step"]: one["state"] for one in own_cli("status", "--json").json["resources"]}
    assert states == {1: "missing", 2: "present"} | dict.fromkeys(range(3, 9), "missing")
    # It was said; now the records are those of the new one.
    again = own_cli("02_dynamodb")
    assert again.err == ""
    assert "unchanged" in again.out


@pytest.mark.slow
def test_only_the_records_of_the_gone_one_are_let_go(own_cli, embedded, own_state_dir):
    assert own_cli("02_dynamodb").code == 0
    file = own_state_dir / "local-000000000000-us-east-1-default.json"
    before = file.read_bytes()
    kill(embedded.running())
    # Looking changes no record.
    assert own_cli("status").code == 0
    assert file.read_bytes() == before
    assert own_cli("02_dynamodb").code == 0
    assert [one["kind"] for one in json.loads(file.read_text())["resources"]] == ["table"]


def test_a_killed_leader_leaves_nothing_running(own_cli, own_state_dir, embedded):
    ws = open_workshop(Settings(state_dir=own_state_dir), Console(), short_sleep)
    build(ws)
    order = post(api_url(ws), json.dumps({"productId": "1", "quantity": 1}))[1]["messageId"]
    assert row(ws, order)
    instance = embedded.running()
    group = [int(p.name) for p in Path("/proc").glob("[0-9]*") if group_of(int(p.name)) == instance.pid]
    # The function runs in a process of its own by now.
    assert len(group) > 1
    os.kill(instance.pid, signal.SIGKILL)
    assert eventually(lambda: not alive(instance.pid))
    try:
        assert own_cli("02_dynamodb").code == 0
        assert embedded.running().id != instance.id
        assert eventually(lambda: not any(alive(pid) for pid in group))
    finally:
        for pid in group:
            with contextlib.suppress(ProcessLookupError):
                if group_of(pid) == instance.pid:
                    os.kill(pid, signal.SIGKILL)


def group_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return os.getpgid(pid)
    return 0


@pytest.mark.slow
def test_one_that_hangs_is_replaced(own_cli, embedded):
    instance, _ = embedded.start()
    os.kill(instance.pid, signal.SIGSTOP)
    ran = own_cli("02_dynamodb")
    assert ran.code == 0, ran.err
    assert embedded.running().id != instance.id
    assert not alive(instance.pid)


GARBAGE = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "null": b"null",
    "binary": b"\xff\xfe\x00",
    "keys missing": b'{"id": "x"}',
    "texts for numbers": b'{"id": "x", "pid": "one", "port": "two"}',
    "null for numbers": b'{"id": "x", "pid": null, "port": null}',
    "the process of somebody else": b'{"id": "x", "pid": %d, "port": 65000}' % os.getpid(),
    "no such process": b'{"id": "x", "pid": 4194303, "port": 65000}',
    "a port beyond all ports": b'{"id": "x", "pid": 4194303, "port": 99999}',
    "a negative port": b'{"id": "x", "pid": 4194303, "port": -1}',
}


@pytest.mark.parametrize("garbage", sample(GARBAGE, ("no JSON", "texts for numbers", "the process of somebody else")))
def test_a_record_that_is_stale_or_garbage_does_no_harm(own_state_dir, embedded, garbage):
    own_state_dir.mkdir()
    embedded.record_path.write_bytes(GARBAGE[garbage])
    assert embedded.running() is None
    assert embedded.stop() is False
    instance, started = embedded.start()
    assert started
    assert embedded.running() == instance
    assert answers(instance.port)


@pytest.mark.parametrize("content", [b"{", None], ids=["no JSON", "gone"])
def test_a_record_that_got_lost_while_it_runs(own_cli, own_state_dir, embedded, content):
    instance, _ = embedded.start()
    try:
        if content is None:
            embedded.record_path.unlink()
        else:
            embedded.record_path.write_bytes(content)
        # No hanging, and not a second one beside it: it is found again, or one line says what stands in the way.
        ran = own_cli("local", "start")
        if ran.code == 0:
            assert answers(embedded.running().port)
            assert embedded.running().pid == instance.pid or not alive(instance.pid)
        else:
            assert ran.code == 1
            assert len(ran.err.splitlines()) == 1
            assert str(own_state_dir) in ran.err
            assert answers(instance.port)
    finally:
        if alive(instance.pid):
            kill(instance)


def test_a_port_taken_meanwhile_is_left_to_whoever_took_it(own_cli, embedded):
    first, _ = embedded.start()
    embedded.stop()
    with socket.socket() as somebody:
        somebody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        somebody.bind(("127.0.0.1", first.port))
        somebody.listen()
        ran = own_cli("02_dynamodb")
        assert ran.code == 0, ran.err
        assert embedded.running().port != first.port


@pytest.mark.slow
def test_a_proxy_is_not_asked_for_the_loopback_interface(own_cli, embedded):
    proxy = {
        "http_proxy": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    instance, _ = embedded.start()
    ran = own_cli("local", "start", env=proxy)
    assert ran.code == 0, ran.err
    assert embedded.running() == instance
    assert own_cli("02_dynamodb", env=proxy).code == 0


def test_the_log_is_in_a_file_and_nothing_on_the_terminal(own_cli, embedded):
    ran = own_cli("local", "start")
    assert ran.err == ""
    assert len(ran.out.splitlines()) == 2
    assert embedded.log_path.exists()


def test_the_functions_get_nothing_of_the_users_own_aws(own_cli, embedded):
    secret = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SESSION_TOKEN": "secret",
        "WORKSHOP_EMAIL": "me@example.com",
    }
    assert own_cli("local", "start", env=secret).code == 0
    environment = Path(f"/proc/{embedded.running().pid}/environ").read_bytes()
    assert not [value for value in secret.values() if value.encode() in environment]


@pytest.mark.slow
def test_the_demo_shows_everything_and_leaves_a_running_one_alone(own_cli, own_state_dir, tmp_path, embedded):
    assert own_cli("02_dynamodb").code == 0
    before, files = embedded.running(), sorted(own_state_dir.iterdir())
    ran = own_cli("demo", env={"TMPDIR": str(tmp_path)})
    assert ran.code == 0, ran.err
    for said in ("POC-Lambda-1", "202", "Eco-Friendly Cleaner", "Subject:", "Nothing is left"):
        assert said in ran.out
    assert embedded.running() == before
    assert list(tmp_path.iterdir()) == [own_state_dir]
    assert sorted(own_state_dir.iterdir()) == files
    states = {one["step"]: one["state"] for one in own_cli("status", "--json").json["resources"]}
    assert states[2] == "present"


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_demo_leaves_nothing(tmp_path, how):
    demo = subprocess.Popen(
        [BIN / "workshop", "demo"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    record = eventually(lambda: list(tmp_path.glob("workshop-demo-*/embedded.json")))
    pid = eventually(lambda: record[0].read_text() and json.loads(record[0].read_text())["pid"])
    # It is at work: the embedded AWS has made its certificate.
    assert eventually(lambda: (record[0].parent / "embedded.ca.pem").exists())
    demo.send_signal(how)
    _, err = demo.communicate(timeout=LONGEST_COMMAND)
    assert demo.returncode == 130
    assert b"Traceback" not in err
    assert not alive(pid)
    assert list(tmp_path.iterdir()) == []


#: The commands of the specification's "Testing" and "Verifying the Flow"; what is `your-…` there, a person puts in.
PLACE_AN_ORDER = r"""
curl -X POST \
  -H "Content-Type: application/json" \
  -d '{"productId": "12345", "productName": "Eco-Friendly Cleaner", "quantity": 2, "customerEmail": "customer@example.com"}' \
  https://your-api-id.execute-api.us-east-1.amazonaws.com/dev/orders
"""  # noqa: E501
COUNT_MESSAGES = r"""
aws sqs get-queue-attributes \
  --queue-url https://sqs.us-east-1.amazonaws.com/your-account-id/ecommerce-orders-queue \
  --attribute-names ApproximateNumberOfMessages
"""
LIST_ORDERS = r"""
aws dynamodb scan \
  --table-name ecommerce-orders
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_commands_of_the_specification(own_cli, own_state_dir):
    assert own_cli("up").code == 0

    def typed(command: str) -> dict:
        exports = own_cli("local", "env").out
        done = subprocess.run(
            ["bash", "-euc", f"{exports}{command}"],
            capture_output=True,
            text=True,
            timeout=LONGEST_COMMAND,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    (api,) = typed("aws apigateway get-rest-apis")["items"]
    answer = typed(PLACE_AN_ORDER.replace("your-api-id", api["id"]))
    assert typed(COUNT_MESSAGES.replace("your-account-id", "000000000000"))["Attributes"].keys() == {
        "ApproximateNumberOfMessages"
    }
    (order,) = eventually(lambda: typed(LIST_ORDERS)["Items"])
    assert order["orderId"] == {"S": answer["messageId"]}
    assert order["productName"] == {"S": "Eco-Friendly Cleaner"}
    told = own_cli("inbox", "--json").json
    assert [mail["orderIds"] for mail in told] == [[answer["messageId"]]]
