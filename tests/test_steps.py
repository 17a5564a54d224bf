"""The steps: alone and in order, twice, out of order, as files, and on the other target."""

import json
import os
import re

import pytest
from support import ROOT, build, census, looked_at, post, row, run, snapshot, teardown

from workshop.base.errors import NotBuilt
from workshop.build.opening import load_steps
from workshop.commands.build import run_steps
from workshop.embedded import Embedded, environment
from workshop.orders.api import api_url

STREAM = "dynamodb:{r}:{a}:table/{p}-ecommerce-orders/stream/2026-01-01T00:00:00.000"
COMMANDS = [step.command for step in load_steps()]


def test_every_step_alone_makes_its_piece_and_nothing_of_the_next(cli, ws):
    for number, command in enumerate(COMMANDS, start=1):
        ran = cli(command)
        assert ran.code == 0, ran.err
        results = re.findall(r"^  ✓ (\w+) ", ran.out, re.MULTILINE)
        assert set(results) == {"created"}
        assert len(results) == len(ws.steps[number - 1].declarations)
        states = {resource.step: resource.result for resource in looked_at(ws)}
        assert states == {n: "present" if n <= number else "missing" for n in range(1, len(COMMANDS) + 1)}
        if number < len(COMMANDS):
            assert f"workshop {COMMANDS[number]} --prefix {ws.settings.prefix}" in ran.out


def test_second_up_says_unchanged_and_makes_no_changing_call(ws, capsys):
    calls = []
    ws.client.listeners.append(calls.append)
    first = run_steps(ws, ws.steps, "up")["resources"]
    assert {resource["result"] for resource in first} == {"created"}
    # The count below would mean nothing if the listener heard nothing.
    assert sum(not call.is_read for call in calls) >= len(first)
    before, recorded = snapshot(ws), ws.state.path.read_bytes()
    calls.clear()
    second = run_steps(ws, ws.steps, "up")["resources"]
    assert {resource["result"] for resource in second} == {"unchanged"}
    assert len(second) == len(first)
    assert calls
    assert [call.operation for call in calls if not re.match("Get|List|Describe", call.operation)] == []
    assert all(call.is_read for call in calls)
    assert snapshot(ws) == before
    assert ws.state.path.read_bytes() == recorded
    assert f"0 created, 0 updated, {len(first)} unchanged" in capsys.readouterr().out


def test_up_prints_where_orders_go(cli, ws):
    first, second = cli("up"), cli("up")
    assert first.code == second.code == 0
    assert "unchanged" in second.out
    assert re.search(r"✓ created ", first.out)
    assert not re.search(r"✓ (created|updated) ", second.out)
    url = re.search(r"^API: (\S+)$", second.out, re.MULTILINE)[1]
    status, answer = post(url, json.dumps({"productId": "1", "quantity": 1}))
    assert status == 202
    assert row(ws, answer["messageId"])


@pytest.mark.parametrize(
    ("ready", "command", "needed"),
    [
        ([], "03_sqs", "01_iam"),
        ([], "04_lambda_1", "01_iam"),
        ([1], "04_lambda_1", "02_dynamodb"),
        ([1, 2], "04_lambda_1", "03_sqs"),
        ([], "05_streams", "02_dynamodb"),
        ([], "06_sns", "01_iam"),
        ([], "07_lambda_2", "01_iam"),
        ([1, 2, 5], "07_lambda_2", "06_sns"),
        ([1, 2, 6], "07_lambda_2", "05_streams"),
        ([1], "08_api", "03_sqs"),
    ],
)
def test_a_step_out_of_order_names_the_step_to_run_and_makes_nothing(ws, ready, command, needed):
    for number in ready:
        ws.steps[number - 1].run(ws)
    before = census(ws)
    with pytest.raises(NotBuilt, match=f"workshop {needed} --prefix {ws.settings.prefix}"):
        run_steps(ws, [step for step in ws.steps if step.command == command], command)
    assert census(ws) == before


def test_a_step_out_of_order_is_one_line(cli):
    ran = cli("04_lambda_1")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert "Run: workshop 01_iam" in ran.err


@pytest.mark.parametrize("command", ["order", "inbox"])
def test_what_uses_the_built_thing_says_what_to_run_when_it_is_not_built(cli, command):
    ran = cli(command, "--json")
    assert ran.code == 1
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert re.search("workshop (08_api|up)", ran.err)


def test_a_step_file_is_its_command(ws, state_dir, prefix, tmp_path):
    options = ["--prefix", prefix, "--state-dir", str(state_dir)]
    # From anywhere: a trainee may stand in the folder of the steps.
    ran = run(str(ROOT / "steps/02_dynamodb.py"), *options, cwd=tmp_path, fresh=True)
    assert ran.code == 0, ran.err
    assert re.search(rf"^  ✓ created\s+table\s+{prefix}-ecommerce-orders$", ran.out, re.MULTILINE)
    again = run("workshop", "02_dynamodb", "--verbose", *options, cwd=tmp_path, fresh=True)
    assert re.search(rf"^  ✓ unchanged\s+table\s+{prefix}-ecommerce-orders\s+arn:", again.out, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_a_step_file_fails_like_its_command(state_dir, prefix):
    missing = run("steps/03_sqs.py", "--prefix", prefix, "--state-dir", str(state_dir))
    assert missing.code == 1
    assert len(missing.errors) == 1
    wrong = run("steps/03_sqs.py", "--prefix", "Alice", "--state-dir", str(state_dir))
    assert wrong.code == 2
    assert len(wrong.err.splitlines()) == 1


def test_a_table_in_a_pipe_is_separated_by_tabs(cli):
    # What `cut` and `awk -F` of a script rely on.
    assert cli("02_dynamodb").code == 0
    lines = cli("status", "--verbose").out.splitlines()
    assert [line.split("\t")[:4] for line in lines if line.startswith("2\t")] == [["2", "present", "yes", "table"]]


def test_everything_that_takes_tags_carries_ours(built):
    client, account, found = built.client, built.account, []
    tagged = client("resourcegroupstaggingapi").get_resources(
        TagFilters=[{"Key": "Participant", "Values": [built.settings.prefix]}]
    )["ResourceTagMappingList"]
    found += [{tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in tagged]
    # The embedded AWS does not list these there.
    for kind, one in census(built, whole=True):
        match kind:
            case "role":
                tags = client("iam").list_role_tags(RoleName=one["RoleName"])["Tags"]
                # IAM keeps one role of a name for all regions, so it says which one it serves.
                tags.remove({"Key": "Region", "Value": built.region})
            case "policy":
                # CloudFormation could not tag it, so its path says whose it is.
                assert one["Path"] == f"/ecommerce-serverless-poc/{built.settings.prefix}/"
                continue
            case "log-group":
                tags = client("logs").list_tags_for_resource(resourceArn=one["arn"].removesuffix(":*"))["tags"]
            case "mapping":
                arn = f"arn:aws:lambda:{built.region}:{account}:event-source-mapping:{one['UUID']}"
                tags = client("lambda").list_tags(Resource=arn)["Tags"]
            case "rest-api":
                tags = one["tags"]
            case _:
                continue
        found.append(tags if isinstance(tags, dict) else {tag["Key"]: tag["Value"] for tag in tags})
    ours = {"Project": "ecommerce-serverless-poc", "Environment": "dev", "Participant": built.settings.prefix}
    assert found == [ours] * (7 + 3 + 2 + 2 + 1)


def test_settings_are_those_of_the_design(built):
    table = built.client("dynamodb").describe_table(TableName=built.name("ecommerce-orders"))["Table"]
    assert table["KeySchema"] == [{"AttributeName": "orderId", "KeyType": "HASH"}]
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    found = snapshot(built)
    for name in ("POC-Lambda-1", "POC-Lambda-2"):
        function = found[f"function {built.name(name)}"]["Configuration"]
        assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
        assert function["Handler"] == "index.handler"
        assert found[f"log-group {built.name('/aws/lambda/' + name)}"][0]["retentionInDays"] == 14
    # AWS advises that the queue hides a message six times as long as the function may work on it.
    reader = found[f"function {built.name('POC-Lambda-1')}"]["Configuration"]
    assert reader["Timeout"] * 6 <= int(found[f"queue {built.name('ecommerce-orders-queue')}"][0]["VisibilityTimeout"])
    for name in ("ecommerce-orders-queue", "ecommerce-orders-dlq", "ecommerce-orders-stream-dlq"):
        queue = found[f"queue {built.name(name)}"][0]
        assert queue["SqsManagedSseEnabled"] == "true"
        assert "aws:SecureTransport" in str(queue["Policy"])


def test_rights_are_named_one_by_one(built):
    for name, text in snapshot(built).items():
        if not name.startswith("policy "):
            continue
        for statement in text[1]["PolicyVersion"]["Document"]["Statement"]:
            assert not [action for action in statement["Action"] if "*" in action], name
            if statement["Action"] == ["dynamodb:ListStreams"]:
                # AWS knows no resource for it: on any ARN it would have no effect (test_authorization.py).
                assert statement["Resource"] == "*"
                continue
            # The stream's name is not known before it is switched on, and a log group's streams never are.
            assert re.fullmatch(r"[^*]+|[^*]+/stream/\*|[^*]+:log-group:[^*]+:\*", statement["Resource"]), name
            assert built.settings.prefix in statement["Resource"]


@pytest.mark.parametrize(
    ("role", "action", "resource", "decision"),
    [
        ("Lambda-SQS-DynamoDB", "sqs:ReceiveMessage", "sqs:{r}:{a}:{p}-ecommerce-orders-queue", "allowed"),
        ("Lambda-SQS-DynamoDB", "dynamodb:PutItem", "dynamodb:{r}:{a}:table/{p}-ecommerce-orders", "allowed"),
        ("Lambda-SQS-DynamoDB", "dynamodb:DeleteItem", "dynamodb:{r}:{a}:table/{p}-ecommerce-orders", "implicitDeny"),
        ("Lambda-SQS-DynamoDB", "dynamodb:PutItem", "dynamodb:{r}:{a}:table/ecommerce-orders", "implicitDeny"),
        ("Lambda-DynamoDB-SNS", "sns:Publish", "sns:{r}:{a}:{p}-ecommerce-orders-topic", "allowed"),
        ("Lambda-DynamoDB-SNS", "dynamodb:GetRecords", STREAM, "allowed"),
        ("Lambda-DynamoDB-SNS", "dynamodb:PutItem", "dynamodb:{r}:{a}:table/{p}-ecommerce-orders", "implicitDeny"),
        ("APIGateway-SQS", "sqs:SendMessage", "sqs:{r}:{a}:{p}-ecommerce-orders-queue", "allowed"),
        ("APIGateway-SQS", "sqs:SendMessage", "sqs:{r}:{a}:{p}-ecommerce-orders-dlq", "implicitDeny"),
        ("APIGateway-SQS", "sqs:ReceiveMessage", "sqs:{r}:{a}:{p}-ecommerce-orders-queue", "implicitDeny"),
    ],
)  # fmt: skip
def test_a_role_may_do_its_work_and_no_more(built, role, action, resource, decision):
    arn = "arn:aws:" + resource.format(r=built.region, a=built.account, p=built.settings.prefix)
    answer = built.client("iam").simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{built.account}:role/{built.name(role)}",
        ActionNames=[action],
        ResourceArns=[arn],
    )
    assert answer["EvaluationResults"][0]["EvalDecision"] == decision


@pytest.mark.slow
def test_every_setting_has_its_participant_environment_region_and_email(ws, open_ws, prefix):
    other = open_ws(prefix, region="eu-central-1", environment="prod", email="boss@example.org")
    try:
        build(other)
        assert "/prod/orders" in api_url(other)
        assert ":eu-central-1:" in other.arn("sqs", "x")
        assert {r.result for r in looked_at(other)} == {"present"}
        queues = other.client("sqs").list_queue_tags(
            QueueUrl=other.client("sqs").get_queue_url(QueueName=other.name("ecommerce-orders-queue"))["QueueUrl"]
        )
        assert queues["Tags"]["Environment"] == "prod"
        topic = other.arn("sns", other.name("ecommerce-orders-topic"))
        readers = other.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        assert [one["Endpoint"] for one in readers if one["Protocol"] == "email"] == ["boss@example.org"]
        # The same participant in another region has nothing there yet.
        assert [r.kind for r in looked_at(ws) if r.result == "present" and r.kind not in ("role", "policy")] == []
    finally:
        teardown().delete_ours(other)


@pytest.mark.slow
def test_longest_prefix_that_is_let_in_works(open_ws, prefix):
    opened = open_ws(prefix.ljust(44, "x"))
    try:
        build(opened)
        status, answer = post(api_url(opened), json.dumps({"productId": "1", "quantity": 1}))
        assert status == 202
        assert row(opened, answer["messageId"])
    finally:
        teardown().delete_ours(opened)


@pytest.fixture
def local_env(state_dir):
    """What `workshop local env` exports."""
    embedded = Embedded(state_dir)
    return environment(embedded, embedded.running(), "us-east-1")


@pytest.fixture
def aws_env(local_env):
    """What reaches the embedded AWS the way `--target aws` reaches AWS: keys and an endpoint, no profile."""
    return {name: value for name, value in local_env.items() if name not in ("AWS_PROFILE", "PATH")}


def test_the_other_target_takes_what_local_env_exports(cli, local_env):
    ran = cli("status", "--target", "aws", "--json", env=local_env)
    assert ran.code == 0, ran.err
    assert {one["state"] for one in ran.json["resources"]} == {"missing"}


def test_the_other_target_is_plain_boto3(cli, ws, aws_env):
    built = cli("up", "--target", "aws", "--email", "me@example.com", "--yes", env=aws_env)
    assert built.code == 0, built.err
    assert {r.result for r in looked_at(ws)} == {"present"}
    status = cli("status", "--target", "aws", "--json", env=aws_env)
    assert {one["state"] for one in status.json["resources"]} == {"present"}
    # On AWS nobody collects mail for us.
    inbox = cli("inbox", "--target", "aws", env=aws_env)
    assert (inbox.code, len(inbox.err.splitlines())) == (1, 1)
    gone = cli("cleanup", "--target", "aws", "--yes", "--json", env=aws_env)
    assert gone.code == 0, gone.err
    assert census(ws) == []


def test_the_other_target_shows_whose_account_it_is_before_its_first_change(cli, aws_env):
    ran = cli("02_dynamodb", "--target", "aws", "--yes", env=aws_env)
    shown = (ran.out + ran.err).partition("created")[0]
    assert ran.code == 0, ran.err
    assert "000000000000" in shown
    assert "us-east-1" in shown
    assert "arn:aws:iam::000000000000:root" in shown


def test_the_other_target_without_credentials_is_one_clear_line(cli, ws):
    ran = cli("up", "--target", "aws", "--email", "me@example.com", "--yes", env={"HOME": os.devnull})
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert "credentials" in ran.err


def test_the_other_target_does_not_guess_who_is_notified(cli, ws, aws_env):
    build(ws, 5)
    ran = cli("06_sns", "--target", "aws", "--yes", env=aws_env)
    assert ran.code == 2
    assert "--email" in ran.err


def test_a_key_without_rights_is_refused_in_one_line(cli, ws, aws_env, prefix):
    iam = ws.client("iam")
    iam.create_user(UserName=prefix)
    key = iam.create_access_key(UserName=prefix)["AccessKey"]
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    ran = cli("02_dynamodb", "--target", "aws", "--yes", env=aws_env | keys)
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert "AccessDenied" in ran.err
    assert [one for one in census(ws) if "table" in one[0]] == []
