"""Whatever somebody types or breaks: one clear line on standard error, the right exit code, and nothing lost."""

import json
import os
import re
import signal
import subprocess
import sys

import faults
import pytest
from faults import Faults
from replay import build
from support import BIN, LONGEST_COMMAND, census, run, type_here

from workshop import cli as cli_module
from workshop.base.errors import UsageError, WorkshopError
from workshop.base.settings import PREFIX_LIMIT, Settings
from workshop.base.state import State

ACCOUNT = "000000000000"

#: What the settings refuse: (setting, value)
WRONG_SETTINGS = [
    *(
        ("prefix", value)
        for value in ("Alice", "al ice", " alice", "alice\n", "al_ice", "älice", "1alice", "alice-", "-")
    ),
    *(("prefix", value) for value in ("../alice", "default", "a" * (PREFIX_LIMIT + 1), "*", "a\u0661")),
    *(("region", value) for value in ("us-east-9", "", "US-EAST-1", "us-east-1\n", "global")),
    *(("target", value) for value in ("gcp", "AWS", "", "local ")),
    *(("environment", value) for value in ("d ev", "dev/../prod", "d" * 33, "", "dév", "dev\n")),
    *(("email", value) for value in ("nobody", "nobody@example", "no body@example.com", "nobody@example.com\n")),
    *(
        ("email", value)
        for value in ("no@body@example.com", "@example.com", "nobody@", "", "a@b.", "a" * 250 + "@b.de")
    ),
]
#: What the command line refuses.
WRONG = {
    "prefix with capitals": ["01_iam", "--prefix", "Alice"],
    "prefix with a space": ["up", "--prefix", "al ice"],
    "prefix too long for a role": ["status", "--prefix", "a" * (PREFIX_LIMIT + 1)],
    "region that is none": ["cleanup", "--region", "us-east-9"],
    "target that is none": ["order", "--target", "gcp"],
    "profile that is none": ["01_iam", "--profile", "nosuch"],
    "profile that is none, on AWS": ["01_iam", "--target", "aws", "--profile", "nosuch"],
    "environment with a space": ["08_api", "--environment", "d ev"],
    "e-mail that is none": ["06_sns", "--email", "nobody"],
    "option that is none": ["01_iam", "--colour"],
    "option without its value": ["01_iam", "--prefix"],
    "argument too many": ["01_iam", "alice"],
    "command that is none": ["buidl"],
    "command of local that is none": ["local", "restart"],
    "quantity that is no number": ["order", "--quantity", "two"],
    "wait that is too long": ["inbox", "--wait", "301"],
    "last of no e-mails": ["inbox", "--last", "0"],
    "json where there is none": ["policy", "--json"],
}


def one_line(ran, code: int) -> str:
    """Check that a command failed with one line and said nothing else; returns the line."""
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1, ran.err
    assert ran.err.startswith("Error: ")
    return ran.err


@pytest.mark.parametrize(("setting", "value"), WRONG_SETTINGS)
def test_a_setting_that_nobody_can_have_meant(setting, value):
    with pytest.raises(UsageError, match=f"--{setting}"):
        Settings(**{setting: value})


@pytest.mark.parametrize("typed", WRONG.values(), ids=WRONG)
def test_wrong_usage(own_state_dir, typed):
    one_line(type_here(*typed, env={"WORKSHOP_STATE_DIR": str(own_state_dir)}), 2)
    assert not own_state_dir.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKSHOP_PREFIX", "Alice"),
        ("AWS_REGION", "nowhere"),
        ("WORKSHOP_EMAIL", "nobody"),
    ],
)
def test_a_variable_is_an_option(own_cli, own_state_dir, name, value):
    assert value in one_line(own_cli("up", env={name: value}), 2)
    assert not own_state_dir.exists()


def test_the_limit_of_a_prefix_is_exact():
    assert len(Settings(prefix="a" * PREFIX_LIMIT).name("Lambda-SQS-DynamoDB")) == 64


@pytest.mark.parametrize(
    "command", [["--help"], ["-h"], [], ["up", "-h"], ["local"], ["local", "--help"], ["cleanup", "--help"]]
)
def test_help_helps_and_starts_nothing(own_state_dir, command):
    ran = type_here(*command, env={"WORKSHOP_STATE_DIR": str(own_state_dir)})
    assert (ran.code, ran.err) == (0, "")
    assert "Usage: workshop" in ran.out
    assert not own_state_dir.exists()


#: A command line that is wrong, and how its message ends.
MEANT = {
    "a command": (["staus"], "There is no command 'staus'. Did you mean workshop status?"),
    "a command of a group": (["local", "stat"], "There is no command 'stat'. Did you mean workshop local status?"),
    "a step": (["sqss"], "There is no command 'sqss'. Did you mean workshop 03_sqs?"),
    "one of two steps": (["lambda"], "Did you mean workshop 04_lambda_1 or workshop 07_lambda_2?"),
    "a step to verify": (["verify", "03_sq"], "There is no step '03_sq'. Did you mean 03_sqs?"),
    "an option": (["up", "--prefx", "alice"], "There is no option --prefx. Did you mean --prefix?"),
    "nothing close": (["xyzzy"], "There is no command 'xyzzy'. See: workshop --help"),
    "a number": (["order", "--quantity", "two"], "--quantity takes a whole number. See: workshop order --help"),
    "a range": (["inbox", "--wait", "301"], "--wait takes a number from 0 to 300. See: workshop inbox --help"),
    "an argument": (["trace"], "ORDER_ID is missing. See: workshop trace --help"),
    "an argument too many": (["01_iam", "alice"], "workshop 01_iam doesn't take 'alice'. See: workshop 01_iam --help"),
    "a value": (["up", "--prefix"], "--prefix needs a value. See: workshop --help"),
    "no value": (["up", "--json=1"], "--json takes no value. See: workshop --help"),
}


@pytest.mark.parametrize(("typed", "end"), MEANT.values(), ids=MEANT)
def test_wrong_usage_says_what_may_have_been_meant(own_state_dir, typed, end):
    env = {"WORKSHOP_STATE_DIR": str(own_state_dir)}
    assert one_line(type_here(*typed, env=env), 2).endswith(f"{end}\n")


@pytest.mark.parametrize("name", ["2", "02", "dynamodb", "DynamoDB"])
def test_a_step_runs_by_its_number_and_by_its_name(cli, ws, name):
    ran = cli(name, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert [one["name"] for one in ran.json["resources"]] == [ws.name("ecommerce-orders")]
    assert ws.find("table", "ecommerce-orders")


def commands() -> list[list[str]]:
    """Every command, as it is typed."""
    names = re.findall(r"^│ (\w[\w-]*) ", run("workshop", "--help").out, re.MULTILINE)
    local = re.findall(r"^│ (\w[\w-]*) ", run("workshop", "local", "--help").out, re.MULTILINE)
    return [[name] for name in names if name != "local"] + [["local", name] for name in local]


def test_every_help_fits_80_columns_and_has_an_example():
    overview = run("workshop", "--help", env={"COLUMNS": "80"}).out
    for group in ("Build", "Use", "Look", "Clean up", "Embedded AWS"):
        assert f"─ {group} ─" in overview
    # No summary is cut, and each stands on one line.
    assert not re.search("…|\\.\\.\\.(?! *$)", overview.partition("ARGS]...")[2])
    assert not re.search(r"^│ {8,}\w", overview, re.MULTILINE)
    every = commands()
    assert len(every) > 25
    for command in every:
        text = type_here(*command, "--help", env={"COLUMNS": "80"}).out
        assert "Example: " in text, command
        assert max(map(len, text.splitlines())) <= 80, command


def test_help_shows_the_options_that_matter_and_every_command_takes_all(own_cli, cli):
    for command, shown, hidden in (
        (["cost"], ["--orders", "--state-dir"], ["--prefix", "--yes", "--target"]),
        (["trace"], ["--prefix", "--target"], ["--email", "--yes", "--boundary"]),
        (["up"], ["--email", "--boundary", "--yes"], []),
        (["local", "stop"], ["--state-dir"], ["--prefix", "--email"]),
    ):
        text = own_cli(*command, "--help").out
        assert [option for option in shown if option not in text] == []
        assert [option for option in hidden if option in text] == []
    common = [
        "--target",
        "local",
        "--region",
        "us-east-1",
        "--environment",
        "dev",
        "--email",
        "me@example.com",
        "--yes",
    ]
    assert cli("cost", *common).code == 0


# --- JSON and pipes -------------------------------------------------------------------------------------------

JSON = [
    ["up"],
    ["03_sqs"],
    ["status"],
    ["verify", "2"],
    ["url"],
    ["order", "--trace", "--wait", "60"],
    ["inbox"],
    ["spike", "--orders", "5"],
    ["redrive", "--dry-run"],
    ["cost"],
    ["doctor"],
    ["diff"],
    ["cleanup", "--yes"],
]


@pytest.mark.slow
def test_json_is_the_only_thing_printed(own_cli):
    for command in JSON:
        # The first one starts the embedded AWS, which is nothing to speak of either.
        ran = own_cli(*command, "--json")
        assert (ran.code, ran.err) == (0, ""), command
        assert ran.json, command


def test_json_of_up_counts_and_says_where_orders_go(cli, ws):
    build(ws, 7)
    made, again = cli("up", "--json").json, cli("up", "--json").json
    every, last = sum(len(step.declarations) for step in ws.steps), len(ws.steps[7].declarations)
    assert [made[key] for key in ("created", "updated", "unchanged")] == [last, 0, every - last]
    assert [again[key] for key in ("created", "updated", "unchanged")] == [0, 0, every]
    assert made["seconds"] > 0
    assert [one["result"] for one in made["resources"]] == ["unchanged"] * (every - last) + ["created"] * last
    assert all(one["arn"].startswith("arn:") for one in made["resources"])
    assert made["url"] == again["url"] == cli("url", "--json").json["url"] == cli("url").out.strip()


def test_json_holds_whole_values(cli, ws):
    build(ws, 1)
    checks = cli("verify", "1", "--json").json["checks"]
    assert max(len(check["detail"]) for check in checks) > 110
    assert not any("…" in check["detail"] for check in checks)


def test_in_a_pipe_nothing_drives_a_terminal(cli, ws):
    build(ws)
    for command in (
        ["up"],
        ["status", "--verbose"],
        ["verify", "3", "--verbose"],
        ["03_sqs", "--show-cli", "--verbose"],
    ):
        ran = cli(*command, env={"NO_COLOR": "", "TERM": "xterm-256color", "COLUMNS": "40"})
        assert ran.code == 0, ran.err
        assert "\x1b" not in ran.out + ran.err
        assert "…" not in ran.out


def test_settings_of_real_aws_have_no_say_on_the_embedded_one(cli, ws):
    hostile = {
        "AWS_PROFILE": "nosuch",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wrong",
        "AWS_SESSION_TOKEN": "wrong",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": "/nosuch/config",
    }
    ran = cli("02_dynamodb", env=hostile)
    assert ran.code == 0, ran.err
    assert ws.find("table", "ecommerce-orders")


# --- the state file -------------------------------------------------------------------------------------------

OWNER = {
    "project": "ecommerce-serverless-poc",
    "target": "local",
    "account": ACCOUNT,
    "region": "us-east-1",
    "prefix": "{prefix}",
}


def document(**changes) -> str:
    return json.dumps({"version": 1, **OWNER, "embedded": None, "resources": []} | changes)


BROKEN = {
    "empty": b"",
    "cut off": b'{"version": 1, "proj',
    "binary": b"\x89PNG\r\n\x1a\n\xff\xfe\x00\x00",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"state"',
    "nested too deep": b"[" * 100_000,
    "an object of somebody else": b'{"version": 4, "serial": 3, "resources": []}',
    "of a newer version": document(version=2).encode(),
    "without a version": document(version=None).encode(),
    "of another project": document(project="other").encode(),
    "of another participant": document(prefix="bob").encode(),
    "of another account": document(account="123456789012").encode(),
    "of another region": document(region="eu-west-1").encode(),
    "of the other target": document(target="aws").encode(),
    "resources not a list": document(resources={"a": 1}).encode(),
    "resources without names": document(resources=[{"step": 1}]).encode(),
    "resources of texts": document(resources=["table"]).encode(),
    "no resources": document(resources=None).encode(),
}


@pytest.fixture
def state_file(state_dir, prefix):
    return state_dir / f"local-{ACCOUNT}-us-east-1-{prefix}.json"


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_state_file_that_cannot_be_used_is_kept(tmp_path, content):
    content = content.replace(b"{prefix}", b"alice")
    settings = Settings(prefix="alice", state_dir=tmp_path)
    file = tmp_path / f"local-{ACCOUNT}-us-east-1-alice.json"
    file.write_bytes(content)
    with pytest.raises(WorkshopError, match=str(file)):
        State.load(settings, ACCOUNT)
    assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("command", [["up"], ["status", "--json"], ["cleanup", "--yes"], ["order"], ["inbox"]])
def test_every_command_keeps_a_state_file_that_it_cannot_use(cli, ws, state_file, command):
    content = document(version=2).encode()
    state_file.write_bytes(content)
    assert "version 2" in one_line(cli(*command), 1)
    assert state_file.read_bytes() == content


def test_a_state_file_that_is_a_folder(cli, state_file):
    state_file.mkdir()
    one_line(cli("02_dynamodb"), 1)
    assert state_file.is_dir()


def test_a_damaged_state_file_moved_away_loses_nothing(cli, ws, state_file):
    build(ws, 3)
    state_file.write_text("{")
    one_line(cli("status"), 1)
    state_file.unlink()
    status = cli("status", "--json").json["resources"]
    assert {one["state"] for one in status if one["step"] <= 3} == {"present"}


# --- the state folder -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "below"),
    [
        (["up"], ""),
        (["up"], "/state"),
        (["up"], "/a/b"),
        (["status"], "/state"),
        (["local", "start"], ""),
        (["local", "env"], "/state"),
        (["cleanup", "--yes"], ""),
    ],
)
def test_a_state_folder_that_cannot_be(tmp_path, command, below):
    # Root may write everywhere, but not below a file.
    (tmp_path / "file").write_text("mine")
    one_line(run("workshop", *command, "--state-dir", f"{tmp_path}/file{below}"), 1)
    assert (tmp_path / "file").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


#: A process that may write no file longer than this many bytes, which is how a full disk looks.
LIMITED = (
    "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    "size = int(sys.argv.pop(1)); resource.setrlimit(resource.RLIMIT_FSIZE, (size, size));"
    "sys.argv[0] = 'workshop'; from workshop.cli import main; main()"
)


@pytest.mark.parametrize("size", [0, 150], ids=["no byte", "a few bytes"])
def test_a_full_disk_is_one_line_and_keeps_the_old_record(ws, state_dir, prefix, size):
    build(ws, 1)
    before, files = ws.state.path.read_bytes(), set(state_dir.iterdir())
    command = [
        sys.executable,
        "-c",
        LIMITED,
        str(size),
        "02_dynamodb",
        "--prefix",
        prefix,
        "--state-dir",
        str(state_dir),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_COMMAND, check=False)
    assert "Traceback" not in ran.stderr, ran.stderr
    assert ran.returncode == 1
    assert [line for line in ran.stderr.splitlines() if line.startswith("Error: ")]
    assert ws.state.path.read_bytes() == before
    assert {path for path in state_dir.iterdir() if path.suffix != ".lock"} <= files


# --- two commands at once -------------------------------------------------------------------------------------


def test_a_second_command_is_refused_and_told_who_is_at_work(cli, ws):
    with ws.state.lock("up"):
        for command in (["01_iam"], ["up"], ["cleanup", "--yes"]):
            ran = cli(*command)
            assert ran.code == 1
            assert len(ran.err.splitlines()) == 1
            assert f"up (process {os.getpid()}" in ran.err
        # Who only looks may look.
        assert cli("status").code == 0
    assert census(ws) == []
    assert cli("02_dynamodb").code == 0


def test_another_participant_is_not_held_up(cli, ws, prefix):
    with ws.state.lock("up"):
        assert cli("02_dynamodb", "--prefix", f"{prefix}-b").code == 0
        assert cli("cleanup", "--yes", "--prefix", f"{prefix}-b").code == 0


HOLD = """
import sys, time
from pathlib import Path
from workshop.base.settings import Settings
from workshop.base.state import State
with State.load(Settings(prefix=sys.argv[1], state_dir=Path(sys.argv[2])), "000000000000").lock("up"):
    print("holding", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_command_is_free(cli, state_dir, prefix):
    holder = subprocess.Popen([BIN / "python", "-c", HOLD, prefix, str(state_dir)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"holding\n"
        assert "up (process" in cli("02_dynamodb").err
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate(timeout=LONGEST_COMMAND)
    assert cli("02_dynamodb").code == 0


def test_ctrl_c_is_one_line_and_loses_nothing(state_dir, prefix, ws, tmp_path):
    env = {"WORKSHOP_STATE_DIR": str(state_dir), "WORKSHOP_PREFIX": prefix}

    def interrupted_with_the_second_queue() -> None:
        os.environ.update(env)
        layer = Faults()

        def interrupt(sending):
            if sending.operation == "CreateQueue" and layer.count("CreateQueue") == 2:
                os.kill(os.getpid(), signal.SIGINT)

        layer.rules.append(interrupt)
        faults.attach_to_all_that_come(layer)
        sys.argv = ["workshop", "up"]
        cli_module.main()

    ended = faults.in_child(tmp_path, interrupted_with_the_second_queue)
    assert ended.code == 130, ended
    assert "Traceback" not in ended.err
    assert ended.err.strip().splitlines()[-1].startswith("Error: Interrupted")
    state = State.load(Settings(prefix=prefix, state_dir=state_dir), ACCOUNT, ws.state.embedded)
    recorded = json.loads(state.path.read_text())["resources"]
    assert [one["kind"] for one in recorded][-2:] == ["table", "queue"]
    again = run("workshop", "up", env=env)
    assert again.code == 0, again.err
    assert "unchanged" in again.out
