"""`--target aws`, pointed at an embedded AWS: care before the first change, and credentials that expire midway."""

import json
import re
import sys
from typing import Any

import faults
import pytest
from faults import Faults, in_child
from support import census, hurry, listings, reach, run, sample, teardown
from test_foreign import SAME_NAME

from workshop import cli
from workshop.base.console import Console
from workshop.base.errors import ForeignResource
from workshop.base.settings import Settings
from workshop.build.opening import open_workshop
from workshop.commands.build import refuse_foreign_names
from workshop.embedded import Embedded

READER = "trainee@example.com"


@pytest.fixture
def on_aws(state_dir, prefix, tmp_path):
    """Run `workshop … --target aws` for this test's participant."""
    env = reach(Embedded(state_dir).running()) | {
        "WORKSHOP_TARGET": "aws", "WORKSHOP_PREFIX": prefix, "WORKSHOP_STATE_DIR": str(tmp_path / "state"),
        "WORKSHOP_EMAIL": READER,
    }  # fmt: skip

    def typed(*arguments: str, **more: Any):
        return run("workshop", *arguments, env=env | more.pop("env", {}), **more)

    typed.env = env
    return typed


def assert_care(text: str, prefix: str) -> None:
    """Everything that one wants to know stands there before anything was made."""
    before = text[: text.index("created")] if "created" in text else text
    assert re.search(r"Account:\s+\d{12}", before)
    assert re.search(r"Identity:\s+arn:aws:", before)
    assert re.search(r"Region:\s+us-east-1", before)
    assert re.search(rf"Prefix:\s+{prefix}", before)
    assert re.search(r"Cost:.*\$", before)


@pytest.mark.parametrize("command", sample(("up", "01_iam", "08_api"), ("up",)))
def test_without_a_yes_nothing_is_made(on_aws, ws, prefix, command):
    ran = on_aws(command)
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert "--yes" in ran.errors[0]
    assert_care(ran.out + ran.err, prefix)
    assert census(ws) == []


def test_with_a_yes_it_is_shown_first_and_then_made(on_aws, ws, prefix):
    ran = on_aws("01_iam", "--yes")
    assert ran.code == 0, ran.err
    assert_care(ran.out, prefix)
    assert len([kind for kind, _ in census(ws) if kind == "role"]) == 3
    # What is there already is no reason not to be asked.
    assert on_aws("02_dynamodb").code == 1
    gone = on_aws("cleanup")
    assert gone.code == 1
    assert "--yes" in gone.errors[0]
    assert len([kind for kind, _ in census(ws) if kind == "role"]) == 3
    assert on_aws("cleanup", "--yes").code == 0
    assert census(ws) == []


def test_local_never_talks_to_what_the_variables_say(state_dir, prefix):
    # A variable that points elsewhere, and keys of somebody: the embedded AWS is used all the same.
    ran = run("workshop", "status", "--json", env={
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "AKIASOMEBODY", "AWS_SECRET_ACCESS_KEY": "x",
        "WORKSHOP_STATE_DIR": str(state_dir), "WORKSHOP_PREFIX": prefix, "AWS_PROFILE": "nobody"})  # fmt: skip
    assert ran.code == 0, ran.err


def test_nobody_to_be_notified_is_said_in_one_line(on_aws):
    ran = on_aws("up", "--yes", env={"WORKSHOP_EMAIL": ""})
    try:
        assert ran.code in (1, 2)
        assert len(ran.errors) == 1
        assert "--email" in ran.errors[0]
    finally:
        assert on_aws("cleanup", "--yes").code == 0


@pytest.fixture
def alone(own_state_dir, tmp_path, monkeypatch):
    """An embedded AWS of this test's own, reached as real AWS without a prefix."""
    instance, _ = Embedded(own_state_dir).start()
    for name, value in reach(instance).items():
        monkeypatch.setenv(name, value)
    return open_workshop(Settings(target="aws", email=READER, yes=True, state_dir=tmp_path / "real"), Console())


def test_without_a_prefix_nothing_is_built_beside_somebody_else(alone, tmp_path):
    # What is new and has no tags is given time to show them.
    hurry(alone)
    before = {kind: len(found) for kind, found in listings(alone).items()}
    refuse_foreign_names(alone)
    makers = {(base, make): number for number, base, make in SAME_NAME}
    for (base, make), _ in makers.items():
        make(alone, base, {})
        try:
            with pytest.raises(ForeignResource, match=re.escape(base)) as refusal:
                refuse_foreign_names(alone)
            assert "--prefix" in refusal.value.remedy
        finally:
            _remove(alone, make.__name__, base)
    # The command as well; the table is the last thing that the steps would come across of these.
    makers_by_base = dict(makers.keys())
    makers_by_base["ecommerce-orders-api"](alone, "ecommerce-orders-api", {"Owner": "somebody"})
    after = {kind: len(found) for kind, found in listings(alone).items()}
    env = {"WORKSHOP_TARGET": "aws", "WORKSHOP_STATE_DIR": str(tmp_path / "real"), "WORKSHOP_EMAIL": READER}
    for command in ("up", "01_iam"):
        ran = run("workshop", command, "--yes", env=env)
        assert ran.code == 1
        assert len(ran.errors) == 1
        assert "ecommerce-orders-api" in ran.errors[0]
        assert "--prefix" in ran.errors[0]
    assert {kind: len(found) for kind, found in listings(alone).items()} == after
    assert after["role"] - before["role"] <= 1
    # With a prefix the names do not meet.
    ran = run("workshop", "02_dynamodb", "--yes", "--prefix", "alice", env=env)
    assert ran.code == 0, ran.err


def _remove(ws: Any, made: str, base: str) -> None:
    client, account = ws.client, ws.account
    match made:
        case "somebodys_role":
            client("iam").delete_role(RoleName=base)
        case "somebodys_policy":
            client("iam").delete_policy(PolicyArn=f"arn:aws:iam::{account}:policy/{base}")
        case "somebodys_table":
            client("dynamodb").delete_table(TableName=base)
        case "somebodys_queue":
            client("sqs").delete_queue(QueueUrl=client("sqs").get_queue_url(QueueName=base)["QueueUrl"])
        case "somebodys_function":
            client("lambda").delete_function(FunctionName=base)
            client("iam").delete_role(RoleName="-else")
        case "somebodys_log_group":
            client("logs").delete_log_group(logGroupName=base)
        case "somebodys_topic":
            client("sns").delete_topic(TopicArn=ws.arn("sns", base))
        case "somebodys_api":
            for api in client("apigateway").get_rest_apis(limit=500)["items"]:
                client("apigateway").delete_rest_api(restApiId=api["id"])


# Credentials that expire.

#: The older services say it in another way.
EXPIRED = {"iam": "ExpiredToken", "sts": "ExpiredToken", "sns": "ExpiredToken", "sqs": "ExpiredToken"}
MESSAGE = "The security token included in the request is expired"


def expiring(tmp_path, env: dict[str, str], number: int, *arguments: str):
    """Run the command line in a child whose credentials expire at the n-th call."""

    def work() -> None:
        faults.os.environ.update(env)
        layer = Faults()
        layer.refuse_nth(number, lambda service: EXPIRED.get(service, "ExpiredTokenException"), MESSAGE, 403)
        faults.attach_to_all_that_come(layer)
        sys.argv = ["workshop", *arguments]
        cli.main()

    return in_child(tmp_path, work)


@pytest.mark.parametrize("number", sample((1, 30, 60, 90, 120, 150), ()))
def test_credentials_that_expire_midway(on_aws, ws, tmp_path, number):
    ended = expiring(tmp_path, on_aws.env, number, "up", "--yes")
    lines = [line for line in ended.err.splitlines() if line.startswith("Error: ")]
    assert ended.code == 1, ended
    assert len(lines) == 1
    assert "Traceback" not in ended.err
    assert "expired" in lines[0]
    assert "again" in lines[0]
    made = len(census(ws))
    states = list((tmp_path / "state").glob("aws-*.json"))
    if number == 1:
        assert (made, states) == (0, [])
    else:
        # What was made is on record, but for one that was made as the credentials went.
        records = json.loads(states[0].read_text())["resources"]
        assert made > 0
        assert len(records) >= (5 if number >= 60 else 1)
    # Renewed, the same command goes on where it stopped.
    again = on_aws("up", "--yes")
    assert again.code == 0, again.err
    if number > 1:
        said = re.search(r"^\d+ created, \d+ updated, [1-9]\d* unchanged in [\d.]+ s$", again.out, re.MULTILINE)
        assert said, again.out
    assert on_aws("verify", "--json").json["failed"] == 0
    # The same on the way back.
    ended = expiring(tmp_path, on_aws.env, 60, "cleanup", "--yes")
    assert ended.code == 1, ended
    assert len([line for line in ended.err.splitlines() if line.startswith("Error: ") and "expired" in line]) == 1
    assert states == [] or states[0].exists()
    assert on_aws("cleanup", "--yes").code == 0
    assert census(ws) == []
    assert not list((tmp_path / "state").glob("aws-*.json"))


def test_credentials_that_expire_within_verify_are_no_traceback(on_aws, ws, tmp_path):
    assert on_aws("02_dynamodb", "--yes").code == 0
    ended = expiring(tmp_path, on_aws.env, 3, "verify", "2")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "expired" in ended.out + ended.err
    teardown().delete_ours(ws)
