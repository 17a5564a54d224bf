"""`workshop verify`: what it says of a fresh build, of nothing, and that it leaves everything as it was."""

import json
import urllib.request

import pytest
from replay import build
from support import eventually, mails, messages, row, rows, run, settled, snapshot

from workshop.base.http import post
from workshop.build.opening import load_steps
from workshop.commands import verify as verify_command
from workshop.commands.verify import grade
from workshop.orders.api import api_url
from workshop.orders.logs import find_in_log

#: What one entry of `checks` holds, as the design promises.
KEYS = {"step", "name", "passed", "detail", "remedy"}


@pytest.fixture
def verify(state_dir, built):
    """Run `workshop verify` for the participant that everything is built for."""

    def typed(*arguments: str, prefix: str = built.settings.prefix):
        env = {"WORKSHOP_STATE_DIR": str(state_dir), "WORKSHOP_PREFIX": prefix}
        return run("workshop", "verify", *arguments, env=env)

    return typed


def test_a_fresh_build_is_green(verify):
    ran = verify("--json")
    assert ran.code == 0, ran.err
    assert ran.json["failed"] == 0
    assert ran.json["passed"] >= 45
    assert ran.json["passed"] == len(ran.json["checks"])
    for check in ran.json["checks"]:
        assert set(check) >= KEYS
        assert check["passed"] is True
        assert check["detail"]
    # Every step is graded, and no two checks of a step are called the same.
    names = [(check["step"], check["name"]) for check in ran.json["checks"]]
    assert {step for step, _ in names} == {step.number for step in load_steps()}
    assert len(set(names)) == len(names)


@pytest.mark.slow
def test_an_order_that_the_log_only_says_was_not_notified_is_not_told_of(built):
    """POC-Lambda-2 logs the order's id also when SNS refuses."""
    iam, role = built.client("iam"), built.name("Lambda-DynamoDB-SNS")
    right = {"RoleName": role, "PolicyArn": built.policy_arn("Lambda-Publish-SNS")}
    iam.detach_role_policy(**right)
    try:
        verdicts = grade(built, built.steps[7:])
    finally:
        iam.attach_role_policy(**right)
    probe = built.shared["probe"]
    assert [(one.name, one.detail.split(",")[0]) for one in verdicts if not one.passed] == [
        ("a notification is published for the order", "found not notified: AuthorizationError")
    ]
    # Its trigger tries until it is told of.
    assert eventually(lambda: any(line["event"] == "notified" for line in find_in_log(built, "POC-Lambda-2", probe, 0)))


def test_plain_lines_in_a_pipe(verify):
    ran = verify("2")
    assert ran.code == 0, ran.err
    count = len(load_steps()[1].checks)
    assert ran.out.splitlines()[0] == f"✓ 2 DynamoDB {count}/{count}"
    assert f"{count} passed, 0 failed." in ran.out
    every = verify("2", "--verbose").out.splitlines()
    assert [line.startswith("    ✓ ") for line in every].count(True) == count


def test_it_leaves_nothing_behind(built):
    before, told = snapshot(built), len(mails(built))
    assert rows(built) == []
    assert all(verdict.passed for verdict in grade(built, built.steps))
    assert rows(built) == []
    queues = ("ecommerce-orders-queue", "ecommerce-orders-dlq", "ecommerce-orders-stream-dlq")
    assert [eventually(lambda queue=queue: messages(built, queue) == 0) for queue in queues] == [True] * 3
    assert settled(snapshot(built)) == settled(before)
    # The one thing that cannot be taken back is the mail, so it must say what it is.
    assert eventually(lambda: len(mails(built)) > told)
    for mail in mails(built)[told:]:
        assert "check" in mail["Subject"]
        assert "A check of the workshop, no order" in mail["Message"]


def test_a_whole_verification_is_one_mail(built):
    mail_of_an_order(built)
    told = len(mails(built))
    assert all(verdict.passed for verdict in grade(built, built.steps))
    last = mail_of_an_order(built)
    assert last["Subject"] == "New order: 1 x last"
    assert len([one for one in mails(built)[told:] if one != last]) == 1


def mail_of_an_order(ws):
    """Place an order, and wait for its mail. Whatever was stored before it has been told of by then."""
    order = json.dumps({"productId": "last", "quantity": 1}).encode()
    status, answer = post(api_url(ws), order, ca_bundle=ws.client.ca_bundle)
    assert status == 202
    order_id = answer["messageId"]
    mail = eventually(lambda: next((one for one in mails(ws) if order_id in one["Message"]), None))
    ws.client("dynamodb").delete_item(TableName=ws.name("ecommerce-orders"), Key={"orderId": {"S": order_id}})
    return mail


def test_read_only_sends_nothing(built, monkeypatch):
    def nothing(*_, **__):
        raise AssertionError("something was sent")

    calls, told = [], len(mails(built))
    sending = [(step.number, check.name) for step in built.steps for check in step.checks if check.sends]
    # Neither to the API, nor without credentials, nor a call that changes anything.
    monkeypatch.setattr(urllib.request, "urlopen", nothing)
    monkeypatch.setattr(built.client, "unsigned", nothing)
    built.client.listeners.append(calls.append)
    try:
        document = verify_command.verify(built, read_only=True)
    finally:
        built.client.listeners.remove(calls.append)
        monkeypatch.undo()
    assert [call.operation for call in calls if not call.is_read] == []
    every = [(step.number, check.name) for step in built.steps for check in step.checks]
    asked = [(check["step"], check["name"]) for check in document["checks"]]
    assert asked == [one for one in every if one not in sending]
    assert (document["failed"], document["passed"], document["leftOut"]) == (0, len(asked), len(sending))
    assert len(sending) > 8
    assert len(mails(built)) == told
    assert not built.client.read_only


def test_read_only_says_what_it_left_out(verify):
    ran = verify("3", "--read-only")
    assert ran.code == 0, ran.err
    assert "1 skipped" in ran.out
    assert "without credentials" not in ran.out
    assert "skipped" not in verify("2", "--read-only").out
    document = verify("3", "--read-only", "--json").json
    assert document.keys() >= {"passed", "failed", "checks"}
    assert document["leftOut"] == 1


def test_help_says_which_checks_send(verify):
    text = verify("--help").out
    for word in ("--read-only", "one order", "one e-mail"):
        assert word in text


def test_it_takes_away_its_own_orders_only(built):
    status, answer = post(
        api_url(built), json.dumps({"productId": "checked", "quantity": 1}).encode(), ca_bundle=built.client.ca_bundle
    )
    assert status == 202
    assert row(built, answer["messageId"])
    # What an earlier check left, because it came late, goes as well.
    table = built.name("ecommerce-orders")
    built.client("dynamodb").put_item(TableName=table, Item={"orderId": {"S": "check-came-late"}})
    try:
        grade(built, built.steps)
        assert [one["orderId"]["S"] for one in rows(built)] == [answer["messageId"]]
    finally:
        for one in rows(built):
            built.client("dynamodb").delete_item(TableName=table, Key={"orderId": one["orderId"]})


def test_it_changes_nothing_but_its_probes(built):
    calls = []
    built.client.listeners.append(calls.append)
    try:
        grade(built, built.steps)
    finally:
        built.client.listeners.remove(calls.append)
    # The count below would mean nothing if the listener heard nothing.
    assert len([call for call in calls if call.is_read]) > 45
    changes = [(call.operation, call.parameters) for call in calls if not call.is_read]
    assert {operation for operation, _ in changes} == {"DeleteItem"}
    assert {parameters["TableName"] for _, parameters in changes} == {built.name("ecommerce-orders")}
    assert all(parameters["Key"]["orderId"]["S"].startswith("check-") for _, parameters in changes)


def test_the_steps_before_the_api_send_nothing_that_arrives(built):
    calls = []
    built.client.listeners.append(calls.append)
    told = len(mails(built))
    try:
        verdicts = grade(built, built.steps[:7])
    finally:
        built.client.listeners.remove(calls.append)
    assert all(verdict.passed for verdict in verdicts)
    assert [call.operation for call in calls if not call.is_read] == []
    assert messages(built) == 0
    assert len(mails(built)) == told


def test_it_needs_no_state_file(verify, built):
    path = built.state.path
    record = path.read_bytes()
    path.unlink()
    try:
        ran = verify("--json")
        assert ran.code == 0, ran.err
        assert ran.json["failed"] == 0
        assert not path.exists()
    finally:
        path.write_bytes(record)


@pytest.mark.parametrize(
    ("typed", "steps"),
    [
        (["3"], [3]),
        (["03"], [3]),
        (["sqs"], [3]),
        (["03_sqs"], [3]),
        (["3", "04_lambda_1", "sns"], [3, 4, 6]),
        # The same step by two names is still one step.
        (["3", "04_lambda_1", "sqs"], [3, 4]),
    ],
)
def test_steps_are_chosen_by_number_and_name(verify, built, typed, steps):
    ran = verify(*typed, "--json")
    assert ran.code == 0, ran.err
    names = [(check["step"], check["name"]) for check in ran.json["checks"]]
    assert names == [(step.number, check.name) for step in built.steps if step.number in steps for check in step.checks]
    assert ran.json["passed"] == len(names)


@pytest.mark.parametrize("typed", ["9", "0", "sqs2", "03_SQS", ""])
def test_an_unknown_step_is_wrong_usage(own_cli, own_state_dir, typed):
    ran = own_cli("verify", typed, "--json")
    # Nothing was started only to be told that.
    assert not own_state_dir.exists()
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert "03_sqs" in ran.err


def test_nothing_built_fails_every_check_with_a_remedy(cli, ws):
    ran = cli("verify", "--json")
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert ran.json["passed"] == 0
    assert ran.json["failed"] == len(ran.json["checks"]) >= 45
    for check in ran.json["checks"]:
        assert check["detail"]
        assert check["remedy"].startswith("workshop ")
        assert f"--prefix {ws.settings.prefix}" in check["remedy"]
    # The first remedy is the first thing to do.
    assert ran.json["checks"][0]["remedy"].startswith("workshop 01_iam")
    assert "workshop 01_iam" in ran.err


def test_nothing_built_is_a_line_for_each_step(cli, ws):
    lines = cli("verify").out.splitlines()
    assert lines[:8] == [f"✗ {step.label} not built" for step in ws.steps]
    assert lines[-1] == f"Nothing is built yet. Run: workshop up{ws.settings.options}"
    assert len(lines) == 10
    # With --verbose, every check is listed.
    every = cli("verify", "--verbose").out.splitlines()
    assert [line.startswith("    ✗ ") for line in every].count(True) == sum(len(step.checks) for step in ws.steps)


def test_checks_that_fail_alike_are_counted(cli, ws):
    build(ws, 3)
    ws.client("sqs").delete_queue(QueueUrl=ws.find("queue", "ecommerce-orders-queue")["QueueUrl"])
    ran = cli("verify", "3")
    assert ran.code == 1
    missing = f"The queue {ws.name('ecommerce-orders-queue')} is missing"
    alike = [one["detail"] for one in cli("verify", "3", "--json").json["checks"] if missing in one["detail"]]
    assert len(alike) > 5
    assert f"✗ 3 SQS: {len(alike)} checks failed" in ran.out.splitlines()
    assert ran.out.count(missing) == 1


def test_half_built_names_the_first_step_that_is_missing(cli, ws):
    build(ws, 3)
    ran = cli("verify", "--json")
    assert ran.code == 1
    wrong = {check["step"] for check in ran.json["checks"] if not check["passed"]}
    assert wrong == {4, 5, 6, 7, 8}
    assert "step 4" in ran.err
    assert "workshop 04_lambda_1" in ran.err
    assert cli("verify", "1", "2", "3").code == 0


def test_what_is_somebody_elses_is_not_graded_as_ours(cli, ws):
    # All settings are right, only the tags are not: the table of another participant.
    build(ws, 2)
    table = ws.arn("dynamodb", f"table/{ws.name('ecommerce-orders')}")
    ws.client("dynamodb").tag_resource(ResourceArn=table, Tags=[{"Key": "Participant", "Value": "somebody"}])
    try:
        ran = cli("verify", "2", "--json")
        assert ran.code == 1
        assert ran.json["passed"] == 0
    finally:
        ws.client("dynamodb").tag_resource(ResourceArn=table, Tags=ws.tag_list)
