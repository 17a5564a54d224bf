"""The clean-up: everything of one participant goes, nothing of anybody else, and what is left is told."""

import json
import os
import pty
import re
import runpy
import subprocess

import pytest
from replay import build
from support import (
    BIN,
    LONGEST_COMMAND,
    ROOT,
    census,
    eventually,
    hurry,
    looked_at,
    messages,
    post,
    row,
    run,
    sample,
    snapshot,
    teardown,
)

from workshop.build.step import Resource, Step
from workshop.commands.build import run_steps
from workshop.commands.clean import cleanup, remaining_is_failure
from workshop.kinds import KINDS, PART_OF, Kind
from workshop.orders.api import api_url

#: The command line, without the minute that AWS's index of tags is given.
IMPATIENT = (
    "import sys; from workshop.build.opening import load; load('cleanup/teardown.py').INDEX_LAGS = 0.0;"
    "sys.argv[0] = 'workshop'; from workshop.cli import main; main()"
)


def test_everything_goes_and_it_says_what(cli, ws):
    build(ws)
    assert ws.state.path.exists()
    ran = cli("cleanup", "--yes", "--json")
    assert ran.code == 0, ran.err
    assert set(ran.json) == {"deleted", "remaining"}
    assert ran.json["remaining"] == []
    assert all(set(entry) == {"kind", "name"} for entry in ran.json["deleted"])
    assert len(ran.json["deleted"]) == len(teardown().declared(ws))
    assert census(ws) == []
    assert not ws.state.path.exists()


@pytest.mark.parametrize("command", ["workshop", pytest.param("cleanup/teardown.py", marks=pytest.mark.slow)])
def test_a_second_time_there_is_nothing_to_do(ws, state_dir, prefix, command):
    made = [resource for step in ws.steps[:3] for resource in step.run(ws)]
    options = ["--prefix", prefix, "--state-dir", str(state_dir), "--yes", "--json"]
    typed = [command, "cleanup", *options] if command == "workshop" else [command, *options]
    first, second = run(*typed), run(*typed)
    assert first.code == second.code == 0, second.err
    assert len(first.json["deleted"]) == sum(one.result == "created" for one in made)
    assert second.json == {"deleted": [], "remaining": []}
    assert census(ws) == []


@pytest.mark.parametrize("upto", sample(range(9), ("1", "7")))
def test_half_built(ws, upto):
    build(ws, upto)
    made = len(census(ws))
    done = cleanup(ws)
    # The mailbox's own subscription is the embedded AWS's, and goes with the topic.
    assert len(done["deleted"]) == made - (1 if upto >= 6 else 0)
    assert done["remaining"] == []
    assert census(ws) == []


def test_without_the_state_file(ws, cli):
    build(ws)
    ws.state.path.unlink()
    ran = cli("cleanup", "--yes")
    assert ran.code == 0, ran.err
    assert f"{len(teardown().declared(ws))} deleted, 0 remaining" in ran.out
    assert census(ws) == []


def test_a_state_file_that_speaks_of_too_little_or_too_much(ws):
    build(ws, 3)
    ws.state.resources = [one for one in ws.state.resources if one["kind"] == "role"]
    ws.state.record(8, "rest-api", ws.name("ecommerce-orders-api"), "arn:aws:apigateway:us-east-1::/restapis/gone")
    assert cleanup(ws)["remaining"] == []
    assert census(ws) == []
    assert not ws.state.path.exists()


@pytest.fixture
def neighbours(open_ws, ws, prefix, request):
    """Participants whose names begin like ours, or have none: the worst neighbours."""
    others = [open_ws(f"{prefix}-b"), open_ws(prefix[:-1]), open_ws("")][: request.param]
    yield others
    for other in others:
        teardown().delete_ours(other)


@pytest.mark.parametrize("neighbours", [1, pytest.param(3, marks=pytest.mark.slow)], indirect=True)
def test_neighbours_stay_as_they_are(ws, neighbours):
    build(ws)
    for other in neighbours:
        # Who has no prefix builds as everybody does.
        build(other) if other.settings.prefix else run_steps(other, other.steps, "up")
    theirs = [(looked_at(other), other.state.path.read_bytes()) for other in neighbours]
    before = snapshot(neighbours[0])
    # The shortest name, and the one without a prefix, match most.
    for one in (ws, *neighbours[1:]):
        assert cleanup(one)["remaining"] == []
        assert {r.result for r in looked_at(one)} == {"missing"}
    stays = neighbours[0]
    assert snapshot(stays) == before
    assert {r.result for r in looked_at(stays)} == {"present"}
    assert stays.state.path.read_bytes() == theirs[0][1]
    status, answer = post(api_url(stays), json.dumps({"productId": "1", "quantity": 1}))
    assert status == 202
    assert row(stays, answer["messageId"])


def test_dry_run_changes_nothing(ws, cli):
    build(ws, 3)
    before, recorded = snapshot(ws), ws.state.path.read_bytes()
    ran = cli("cleanup", "--dry-run", "--json")
    assert ran.code == 0
    assert ran.json["deleted"] == []
    assert len(ran.json["remaining"]) == len(before) == 15
    assert {"kind": "table", "name": ws.name("ecommerce-orders")} in ran.json["remaining"]
    assert snapshot(ws) == before
    assert ws.state.path.read_bytes() == recorded


def test_without_a_terminal_and_without_yes_it_refuses(ws, cli):
    build(ws, 3)
    before, recorded = snapshot(ws), ws.state.path.read_bytes()
    ran = cli("cleanup", "--json")
    assert ran.code == 1
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert "--yes" in ran.err
    assert snapshot(ws) == before
    assert ws.state.path.read_bytes() == recorded


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 15), ("\n", 1, 15)])
def test_at_a_terminal_it_asks(ws, state_dir, prefix, answer, code, left):
    build(ws, 3)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        ran = run("workshop", "cleanup", "--prefix", prefix, "--state-dir", str(state_dir), stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert ran.code == code, ran.err
    assert "15 resources" in ran.err
    assert len(census(ws)) == left


def test_what_only_a_tag_gives_away_is_told(ws):
    build(ws, 3)
    url = ws.client("sqs").create_queue(QueueName=f"by-hand-{ws.settings.prefix}", tags=ws.tags)["QueueUrl"]
    hurry(ws)
    document = cleanup(ws)
    assert len(document["deleted"]) == 15
    arn = f"arn:aws:sqs:us-east-1:{ws.account}:by-hand-{ws.settings.prefix}"
    assert [entry["name"] for entry in document["remaining"]] == [arn]
    assert arn in str(remaining_is_failure(document))
    ws.client("sqs").delete_queue(QueueUrl=url)
    assert cleanup(ws) == {"deleted": [], "remaining": []}


def test_what_is_left_makes_it_fail(ws, prefix, state_dir):
    build(ws, 2)
    url = ws.client("sqs").create_queue(QueueName=f"by-hand-{prefix}", tags=ws.tags)["QueueUrl"]
    options = ["cleanup", "--yes", "--json", "--prefix", prefix, "--state-dir", str(state_dir)]
    ran = subprocess.run(
        [BIN / "python", "-c", IMPATIENT, *options],
        capture_output=True,
        text=True,
        timeout=LONGEST_COMMAND,
        check=False,
        cwd=ROOT,
    )
    assert ran.returncode == 1, ran.stderr
    assert len(json.loads(ran.stdout)["remaining"]) == 1
    assert [line for line in ran.stderr.splitlines() if line.startswith("Error: ")] != []
    assert f"by-hand-{prefix}" in ran.stderr
    # The record stays as long as something does.
    assert ws.state.path.exists()
    ws.client("sqs").delete_queue(QueueUrl=url)


def test_roles_and_policies_that_were_changed_by_hand_go_too(ws):
    build(ws, 1)
    iam, role = ws.client("iam"), ws.name("APIGateway-SQS")
    arn = ws.policy_arn("APIGateway-Send-SQS")
    right = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [right]})
    iam.attach_role_policy(RoleName=role, PolicyArn=ws.policy_arn("Lambda-Publish-SNS"))
    iam.put_role_policy(RoleName=role, PolicyName="by-hand", PolicyDocument=document)
    for _ in range(4):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
    assert cleanup(ws)["remaining"] == []
    assert census(ws) == []


def test_a_policy_that_somebody_elses_role_uses_goes_too(ws):
    build(ws, 1)
    iam, prefix = ws.client("iam"), ws.settings.prefix
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName=f"{prefix}-theirs", AssumeRolePolicyDocument=document)
    arn = ws.policy_arn("Lambda-Publish-SNS")
    iam.attach_role_policy(RoleName=f"{prefix}-theirs", PolicyArn=arn)
    assert cleanup(ws)["remaining"] == []
    assert [kind for kind, _ in census(ws)] == ["role"]
    iam.delete_role(RoleName=f"{prefix}-theirs")


@pytest.mark.slow
def test_while_orders_are_on_their_way(ws):
    build(ws)
    url, order = api_url(ws), json.dumps({"productId": "1", "quantity": 1})
    assert {post(url, order)[0] for _ in range(12)} == {202}
    assert cleanup(ws)["remaining"] == []
    assert census(ws) == []


def test_orders_that_nobody_took_go_with_their_queue(ws):
    build(ws, 3)
    ws.steps[7].run(ws)
    assert post(api_url(ws), json.dumps({"productId": "1", "quantity": 1}))[0] == 202
    assert eventually(lambda: messages(ws)) == 1
    assert cleanup(ws)["remaining"] == []
    assert census(ws) == []


def test_a_killed_build_is_cleaned_up(ws, state_dir, prefix):
    for seconds in (0.7, 1.3):
        env = os.environ | {"WORKSHOP_STATE_DIR": str(state_dir), "WORKSHOP_PREFIX": prefix}
        with subprocess.Popen([BIN / "workshop", "up"], env=env, stdout=subprocess.DEVNULL) as building:
            try:
                building.wait(seconds)
            except subprocess.TimeoutExpired:
                building.kill()
        made = len(census(ws))
        ran = run("workshop", "cleanup", "--yes", env={"WORKSHOP_STATE_DIR": str(state_dir), "WORKSHOP_PREFIX": prefix})
        assert ran.code == 0, ran.err
        assert int(re.search(r"(\d+) deleted", ran.out)[1]) <= made
        assert census(ws) == []


def test_everything_that_is_declared_can_be_deleted(ws):
    declared = {declaration.kind for step in ws.steps for declaration in step.declarations}
    # What is deleted last in such a chain is deleted by a call of its own.
    assert {PART_OF.get(kind, kind) for kind in declared} <= set(teardown().ORDER)


def test_a_step_declares_no_unknown_kind():
    step = Step(9, "s3", "Create a bucket")
    with pytest.raises(LookupError, match="bucket"):
        step.resource("bucket", "ecommerce-orders-reports")
    assert step.declarations == []


def test_a_kind_that_nobody_deletes_is_no_kind(monkeypatch):
    monkeypatch.setitem(KINDS, "bucket", Kind(lambda ws, name: iter(())))
    with pytest.raises(LookupError, match="bucket"):
        runpy.run_path(str(ROOT / "cleanup/teardown.py"), run_name="teardown")
    monkeypatch.setitem(PART_OF, "bucket", "table")
    runpy.run_path(str(ROOT / "cleanup/teardown.py"), run_name="teardown")


def test_what_has_no_name_of_its_own_is_not_made_unless_it_can_be_found(ws):
    made = []
    model = Resource(ws, 8, "request-model", "Order", "Order")
    with pytest.raises(LookupError, match="request-model"):
        model.ensure(lambda: made.append(1))
    assert made == []
