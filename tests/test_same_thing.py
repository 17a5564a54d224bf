"""Four ways to build the same thing: the steps, CloudFormation as one stack and as six, and a script of AWS CLI calls.

Each way builds on a fresh embedded AWS, with the real `aws` command and the commands of the specification as they
stand there. What AWS then tells of every resource has to be the same as after the steps.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from support import BIN, ROOT, SPEC_ORDER, build, listings, post, run, teardown

from workshop.base.console import Console
from workshop.base.errors import WorkshopError
from workshop.base.settings import Settings
from workshop.build.describe import compare, describe
from workshop.build.opening import open_workshop
from workshop.commands.clean import cleanup
from workshop.commands.diff import diff, differs
from workshop.commands.verify import grade
from workshop.embedded import Embedded, environment
from workshop.orders.api import api_url, find_order
from workshop.orders.mail import listen_to_mail
from workshop.orders.tracing import follow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
EMAIL = "your-email@example.com"

#: The specification's commands, as they stand there.
MAIN_STACK = r"""
aws s3 mb s3://ecommerce-serverless-poc-templates

aws cloudformation package \
  --template-file infrastructure/cloudformation/main.yaml \
  --s3-bucket ecommerce-serverless-poc-templates \
  --output-template-file packaged-main.yaml

aws cloudformation deploy \
  --template-file packaged-main.yaml \
  --stack-name ecommerce-serverless-poc \
  --parameter-overrides \
      Environment=dev \
      EmailAddress=your-email@example.com \
  --capabilities CAPABILITY_NAMED_IAM
"""
SINGLE_STACKS = r"""
   aws cloudformation deploy \
     --template-file infrastructure/cloudformation/iam.yaml \
     --stack-name ecommerce-serverless-poc-iam \
     --capabilities CAPABILITY_NAMED_IAM
   aws cloudformation deploy \
     --template-file infrastructure/cloudformation/dynamodb.yaml \
     --stack-name ecommerce-serverless-poc-dynamodb
   aws cloudformation deploy \
     --template-file infrastructure/cloudformation/sqs.yaml \
     --stack-name ecommerce-serverless-poc-sqs
   aws cloudformation deploy \
     --template-file infrastructure/cloudformation/lambda.yaml \
     --stack-name ecommerce-serverless-poc-lambda \
     --capabilities CAPABILITY_IAM
   aws cloudformation deploy \
     --template-file infrastructure/cloudformation/sns.yaml \
     --stack-name ecommerce-serverless-poc-sns \
     --parameter-overrides EmailAddress=your-email@example.com
   aws cloudformation deploy \
     --template-file infrastructure/cloudformation/api-gateway.yaml \
     --stack-name ecommerce-serverless-poc-api
"""
API_ENDPOINT = r"""
aws cloudformation describe-stacks \
  --stack-name STACK \
  --query "Stacks[0].Outputs[?OutputKey=='ApiEndpoint'].OutputValue" \
  --output text
"""
DELETE = (
    "aws cloudformation delete-stack --stack-name $1 && aws cloudformation wait stack-delete-complete --stack-name $1"
)
SINGLE = [f"ecommerce-serverless-poc-{part}" for part in ("api", "sns", "lambda", "sqs", "dynamodb", "iam")]


@pytest.fixture
def place(tmp_path, own_state_dir):
    """A folder with a copy of the templates, and an embedded AWS of its own."""
    shutil.copytree(ROOT / "infrastructure", tmp_path / "infrastructure")
    # Other than that, botocore's waiters look once in 5, or in 30, seconds.
    (tmp_path / "hurry").mkdir()
    (tmp_path / "hurry/sitecustomize.py").write_text(
        "import time, types, botocore.waiter as waiter\n"
        "waiter.time = types.SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, 0.1)))\n"
    )
    Embedded(own_state_dir).start()
    return tmp_path


@pytest.fixture
def bash(place, own_state_dir):
    """Run bash there, in a shell that did `eval "$(workshop local env)"`: `bash("aws s3 ls")`."""
    embedded = Embedded(own_state_dir)
    exported = environment(embedded, embedded.running(), "us-east-1")
    path = f"{own_state_dir / 'bin'}:{BIN}:{os.environ['PATH']}"
    python_path = os.pathsep.join(filter(None, [str(place / "hurry"), os.environ.get("PYTHONPATH")]))
    env = os.environ | exported | {"PATH": path, "PYTHONPATH": python_path}

    def typed(script: str, *arguments: str) -> subprocess.CompletedProcess:
        command = ["bash", "-euo", "pipefail", "-c", script, "bash", *arguments]
        return subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, check=False)

    return typed


@pytest.fixture
def ok(bash):
    """Run bash there, and expect that it goes well; returns what it prints."""

    def typed(script: str, *arguments: str) -> str:
        done = bash(script, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return typed


@pytest.fixture
def opened(place, own_state_dir):
    """Open the workshop of a participant there."""

    def opened(**settings):
        own = {"email": EMAIL, "yes": True} | settings
        return open_workshop(Settings(state_dir=own_state_dir, **own), Console())

    return opened


@functools.cache
def built_by_the_steps(prefix: str, environment: str, email: str) -> dict:
    """What the steps build for a participant, built once."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(prefix=prefix, environment=environment, email=email, state_dir=Path(folder), yes=True)
        try:
            ws = open_workshop(settings, Console())
            build(ws)
            return describe(ws)
        finally:
            Embedded(settings.state_dir).stop()


def differences(ws) -> dict[str, list[str]]:
    """What differs from what the steps build: `{"kind name": settings}`."""
    own = ws.settings
    found = compare(describe(ws), built_by_the_steps(own.prefix, own.environment, own.email))
    return {name: [difference.setting for difference in differences] for name, differences in found.items()}


def everything(ws) -> dict:
    """Whatever stands in the region."""
    return {kind: found for kind, found in listings(ws).items() if found}


def works(ws) -> None:
    """All checks are green, and the order of the specification goes all the way."""
    assert [(v.name, v.detail) for v in grade(ws, ws.steps) if not v.passed] == []
    listen_to_mail(ws)
    status, answer = post(api_url(ws), json.dumps(SPEC_ORDER))
    assert status == 202
    trace = follow(ws, answer["messageId"], 20)
    assert trace["complete"], trace


def stage_of(ws) -> dict:
    """The API's stage, as AWS describes it."""
    api = ws.need("rest-api", "ecommerce-orders-api")["id"]
    return ws.client("apigateway").get_stage(restApiId=api, stageName=ws.settings.environment)


def test_the_steps(opened):
    ws = opened()
    build(ws)
    assert differences(ws) == {}
    works(ws)
    # Neither orders nor mail are settings.
    assert differences(ws) == {}
    assert teardown().delete_ours(ws)
    assert everything(ws) == {}


#: Settings all over the templates: what is written there, what is written instead, which setting has to be named.
CHANGES = [
    ("iam", "dynamodb:PutItem", "dynamodb:UpdateItem", "policy Lambda-Put-DynamoDB", "Document"),
    ("dynamodb", "Value: ecommerce-serverless-poc", "Value: other", "table ecommerce-orders", "tag Project"),
    ("sqs", "VisibilityTimeout: 60", "VisibilityTimeout: 61", "queue ecommerce-orders-queue", "VisibilityTimeout"),
    ("lambda", "MaximumConcurrency: 5", "MaximumConcurrency: 6",
     "event-source-mapping POC-Lambda-1 ecommerce-orders-queue", "ScalingConfig.MaximumConcurrency"),
    ("lambda", '"New order: ', '"Another order: ', "function POC-Lambda-2", "code"),
    ("sns", "Sid: OnlyTLS", "Sid: Only", "topic ecommerce-orders-topic", "Policy"),
    ("api-gateway", "ThrottlingRateLimit: 500", "ThrottlingRateLimit: 400",
     "stage ecommerce-orders-api dev", "methodSettings.*/*.throttlingRateLimit"),
    ("api-gateway", '"minimum": 1,', '"minimum": 2,', "request-model ecommerce-orders-api Order", "schema"),
    # These the embedded AWS's CloudFormation drops; they come from the template all the same.
    ("api-gateway", r"\[REGIONAL\]", "[EDGE]", "rest-api ecommerce-orders-api", "endpointConfiguration.types"),
    ("api-gateway", "ValidateRequestParameters: false", "ValidateRequestParameters: true",
     "request-validator ecommerce-orders-api order-body", "validateRequestParameters"),
    ("api-gateway", r"[0-9a-f]{16}", "0123456789abcdef", "stage ecommerce-orders-api dev", "deployment"),
]  # fmt: skip


def test_the_main_stack(opened, ok):
    ok(MAIN_STACK)
    ws = opened()
    assert differences(ws) == {}
    works(ws)
    with pytest.raises(WorkshopError, match="in the stack ecommerce-serverless-poc, and nothing was deleted"):
        cleanup(ws)
    assert differences(ws) == {}
    endpoint = ok(API_ENDPOINT.replace("STACK", "ecommerce-serverless-poc"))
    api = ws.need("rest-api", "ecommerce-orders-api")["id"]
    assert endpoint == f"https://{api}.execute-api.us-east-1.amazonaws.com/dev/orders\n"

    ok(DELETE, "ecommerce-serverless-poc")
    assert everything(ws) == {}


def refuses_to_clean_up(ws, stacks: list[str]) -> None:
    """The clean-up stops, and names these stacks and what deletes them."""
    with pytest.raises(WorkshopError) as refused:
        cleanup(ws)
    assert f"in the stacks {', '.join(sorted(stacks))}," in refused.value.problem
    assert refused.value.remedy == "Run: bash infrastructure/scripts/delete.sh"


def test_the_single_stacks(opened, ok, place):
    ok(SINGLE_STACKS)
    ws = opened()
    assert differences(ws) == {}
    works(ws)
    endpoint = ok(API_ENDPOINT.replace("STACK", "ecommerce-serverless-poc-api"))
    assert re.fullmatch(r"https://[a-z0-9]+\.execute-api\.us-east-1\.amazonaws\.com/dev/orders\n", endpoint)

    # The specification's curl reaches it.
    curl = "curl -sS -H 'Content-Type: application/json' -d \"$1\" $2"
    assert "messageId" in ok(curl, json.dumps(SPEC_ORDER), endpoint.strip())

    # The clean-up knows who made this.
    refuses_to_clean_up(ws, SINGLE)

    # An update changes what the templates change, and the comparison names every setting of it, and no other. (Of a
    # nested stack, the embedded AWS forgets the attributes of resources that an update leaves as they are.)
    before, expected = stage_of(ws), {}
    for template, old, new, name, setting in CHANGES:
        path = place / f"infrastructure/cloudformation/{template}.yaml"
        changed, times = re.subn(old, new, path.read_text())
        assert times
        path.write_text(changed)
        expected.setdefault(name, []).append(setting)
    # The AWS CLI names its change sets by the second.
    ok("sleep 1\n" + SINGLE_STACKS)
    assert differences(ws) == {name: sorted(settings) for name, settings in expected.items()}
    # The stage shows a new snapshot, and orders are checked against the new model.
    assert stage_of(ws)["deploymentId"] != before["deploymentId"]
    assert post(api_url(ws), '{"productId": "1", "quantity": 1}')[0] == 400
    assert post(api_url(ws), '{"productId": "1", "quantity": 2}')[0] == 202

    # The table's tag says another project now, so it is nothing to the clean-up; all else it knows as before.
    refuses_to_clean_up(ws, sorted(set(SINGLE) - {"ecommerce-serverless-poc-dynamodb"}))
    for stack in SINGLE:
        ok(DELETE, stack)
    assert everything(ws) == {}
    assert cleanup(ws) == {"deleted": [], "remaining": []}


def test_the_script_of_aws_cli_calls(opened, ok, own_state_dir):
    script = run("workshop", "cli-script", "--email", EMAIL, env={"WORKSHOP_STATE_DIR": str(own_state_dir)})
    if "No such command" in script.err:
        pytest.skip("the command cli-script is not there yet")
    assert script.code == 0, script.err
    ok(script.out)
    ws = opened()
    assert differences(ws) == {}
    works(ws)
    assert teardown().delete_ours(ws)
    assert everything(ws) == {}


#: As an instructor makes it; the guide has the same.
MAKE_BOUNDARY = """
workshop policy --boundary > boundary.json
aws iam create-policy --policy-name ecommerce-serverless-poc-boundary --policy-document file://boundary.json
"""
BOUNDARY = "arn:aws:iam::000000000000:policy/ecommerce-serverless-poc-boundary"


def test_roles_within_a_boundary(opened, ok, own_state_dir):
    ok(f"export WORKSHOP_STATE_DIR={own_state_dir}\n{MAKE_BOUNDARY}")
    ws = opened(prefix="alice", environment="prod", email="boss@example.org", boundary=BOUNDARY)
    ok(f"infrastructure/scripts/deploy-single-stacks.sh {ALICE} --boundary {BOUNDARY}")
    assert {r.result for r in ws.steps[0].run(ws)} == {"unchanged"}
    assert diff(ws)["differences"] == []
    # The functions do their work within it.
    works(ws)
    # And who asks for no boundary would build something else.
    (first, *_) = diff(opened(prefix="alice", environment="prod", email="boss@example.org"))["differences"]
    assert first["setting"].startswith("PermissionsBoundary.")
    ok("infrastructure/scripts/delete.sh --prefix alice")
    ws.client("iam").delete_policy(PolicyArn=BOUNDARY)
    assert everything(ws) == {}


ALICE = "--prefix alice --environment prod --email boss@example.org"


@pytest.mark.parametrize("deploy", ["deploy.sh", pytest.param("deploy-single-stacks.sh", marks=pytest.mark.exhaustive)])
def test_our_scripts(opened, ok, deploy):
    endpoint = ok(f"infrastructure/scripts/{deploy} {ALICE}").splitlines()[-1]
    ws = opened(prefix="alice", environment="prod", email="boss@example.org")
    assert differences(ws) == {}
    assert endpoint.endswith("/prod/orders")
    ok("infrastructure/scripts/delete.sh --prefix alice")
    assert everything(ws) == {}
    assert ok("aws s3 ls") == ""


@pytest.mark.exhaustive
@pytest.mark.parametrize("deploy", ["deploy.sh", "deploy-single-stacks.sh"])
def test_our_scripts_can_be_run_again(opened, ok, deploy):
    ok(f"infrastructure/scripts/{deploy} {ALICE}")
    ws = opened(prefix="alice", environment="prod", email="boss@example.org")
    before = describe(ws)
    ok(f"sleep 1; infrastructure/scripts/{deploy} {ALICE}")
    assert describe(ws) == before
    # What they made is the workshop's own: its clean-up leaves nothing either.
    assert teardown().delete_ours(ws)
    assert everything(ws) == {}


def test_an_update_that_would_replace_the_table_keeps_the_orders(opened, bash, ok, place):
    deploy = (
        "aws cloudformation deploy --template-file infrastructure/cloudformation/dynamodb.yaml"
        " --stack-name ecommerce-serverless-poc-dynamodb"
    )
    ok(deploy)
    ws, path = opened(), place / "infrastructure/cloudformation/dynamodb.yaml"
    dynamodb, good = ws.client("dynamodb"), path.read_text()
    dynamodb.put_item(TableName="ecommerce-orders", Item={"orderId": {"S": "1"}})
    before = describe(ws)
    path.write_text(good.replace("orderId", "customerId"))
    # The change is refused, and the stack goes back to what it was.
    assert bash(deploy).returncode != 0
    assert describe(ws) == before
    # Another prefix is another table; the old one stays, and belongs to nobody's stack.
    path.write_text(good)
    # The AWS CLI names its change sets by the second.
    ok(f"sleep 1; {deploy} --parameter-overrides Prefix=alice")
    assert sorted(dynamodb.list_tables()["TableNames"]) == ["alice-ecommerce-orders", "ecommerce-orders"]
    assert find_order(ws, "1") == {"orderId": "1"}
    ok(DELETE, "ecommerce-serverless-poc-dynamodb")
    assert dynamodb.list_tables()["TableNames"] == ["ecommerce-orders"]


def test_diff_says_what_a_hand_has_changed(ws, capsys):
    build(ws)
    same = diff(ws)
    assert same["differences"] == []
    assert differs(same) is None
    url = ws.need("queue", "ecommerce-orders-queue")["QueueUrl"]
    ws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "61"})
    ws.client("sqs").tag_queue(QueueUrl=url, Tags={"Owner": "me"})
    ws.client("lambda").delete_function(FunctionName=ws.name("POC-Lambda-2"))
    before = describe(ws)
    capsys.readouterr()
    other = diff(ws)
    queue = {"kind": "queue", "name": ws.name("ecommerce-orders-queue")}
    assert other["differences"] == [
        {"kind": "function", "name": ws.name("POC-Lambda-2"), "setting": "it", "is": "missing", "should": "there"},
        {**queue, "setting": "VisibilityTimeout", "is": "61", "should": "60"},
        {**queue, "setting": "tag Owner", "is": "me", "should": None},
    ]
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert ["queue", queue["name"], "VisibilityTimeout is 61, should be 60"] in lines
    assert ["queue", queue["name"], "tag Owner is me, should be not set"] in lines
    assert "it is missing, should be there" in str(differs(other))
    # It only looked.
    assert describe(ws) == before
