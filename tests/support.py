"""What the tests need beside fixtures: the command line, an independent look at the AWS, and waiting."""

import atexit
import contextlib
import functools
import io
import json
import os
import pty
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import prefork
import pytest

from workshop.__main__ import main
from workshop.build.opening import load
from workshop.embedded import Instance
from workshop.embedded.credentials import root_key

ROOT = Path(__file__).parents[1]
#: Where `workshop` and `aws` of the virtual environment are.
BIN = Path(sys.executable).parent
#: Seconds that a test waits for something to happen: far longer than a busy machine needs.
LONGEST_WAIT = 60
#: Seconds that a command may run: less than a test may (pyproject.toml), so that the command is named.
LONGEST_COMMAND = 240
#: The folders of programs that are the workshop.
LESSONS = (ROOT / "steps", ROOT / "cleanup")
#: Takes whoever answers: that the product does not is tested for itself (`test_gate`).
WHOEVER = ssl.create_default_context()
WHOEVER.check_hostname, WHOEVER.verify_mode = False, ssl.CERT_NONE
#: The order of the specification's curl call.
SPEC_ORDER = {
    "productId": "12345",
    "productName": "Eco-Friendly Cleaner",
    "quantity": 2,
    "customerEmail": "customer@example.com",
}


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)

    @property
    def errors(self) -> list[str]:
        """The lines on standard error that say why the command failed."""
        return [line for line in self.err.splitlines() if line.startswith("Error: ")]


def reach(instance: Instance) -> dict[str, str]:
    """The standard variables with which plain boto3 reaches an embedded AWS as its root user."""
    key = root_key(instance.secret)
    return {
        "AWS_ENDPOINT_URL": instance.endpoint,
        "AWS_CA_BUNDLE": str(instance.ca_bundle),
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
    }


@functools.cache
def workshop_server() -> prefork.Server:
    """What runs the workshop's commands, as long as the tests of this process."""
    folder = tempfile.mkdtemp(prefix="prefork-")
    server = prefork.Server("workshop", Path(folder))
    atexit.register(shutil.rmtree, folder)
    atexit.register(server.stop)
    return server


def loaded(program: str) -> prefork.Server | None:
    """The server that has a program loaded, if there is one."""
    path = Path(program)
    if program != "workshop" and (path if path.is_absolute() else ROOT / path).parent not in LESSONS:
        return None
    workshop_server().wait()
    return workshop_server()


def run(
    *command: str, env: dict[str, str] | None = None, timeout: float = LONGEST_COMMAND, fresh: bool = False, **more: Any
) -> Ran:
    """Run a program of the virtual environment as a person would, in a process of its own, without a terminal.

    Args:
        command: the program (`workshop`, `aws`, a `.py` file) and its arguments.
        env: variables beside those of the test.
        timeout: seconds.
        fresh: start the Python interpreter, too, even if there is a process that has the program loaded (`prefork`).
        more: for `subprocess.run`; without `fresh`, only `stdin` and `cwd`.
    """
    program, *arguments = command
    path = ROOT / program if program.endswith(".py") else BIN / program
    environment, more = os.environ | (env or {}), {"stdin": subprocess.DEVNULL, "cwd": ROOT} | more
    server = None if fresh else loaded(program)
    if server is None:
        start = [sys.executable] if program.endswith(".py") else []
        done = subprocess.run(
            [*start, path, *arguments], env=environment, capture_output=True, timeout=timeout, check=False, **more
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    else:
        code, out, err = server.run([str(path), *arguments], environment, timeout=timeout, **more)
    ran = Ran(code, out.decode(), err.decode())
    # Whatever happens, nobody wants to see this.
    assert "Traceback" not in ran.err, ran.err
    return ran


def type_here(*arguments: str, env: dict[str, str]) -> Ran:
    """Type a command of `workshop` in this process, for tests that change something of it.

    Args:
        arguments: what follows `workshop`.
        env: variables beside those of the test.
    """
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGPIPE, signal.SIGTERM)}
    try:
        with (
            mock.patch.dict(os.environ, env),
            mock.patch.object(sys, "argv", ["workshop", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Ran(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def sample(
    cases: Iterable[Any], often: Container[Any], rest: pytest.MarkDecorator = pytest.mark.exhaustive
) -> list[Any]:
    """Parameters of a test: some in every run, those that are much like them only in `make test-exhaustive`.

    Which ones are tried in every run is chosen by hand: one of each class.

    Args:
        cases: values, or parameters of pytest.
        often: what is tried in every run: such values, or ids of such parameters.
        rest: the mark of the others.
    """
    parameters = [case if hasattr(case, "marks") else pytest.param(case, id=str(case)) for case in cases]
    return [
        one if one.id in often else pytest.param(*one.values, id=one.id, marks=(*one.marks, rest)) for one in parameters
    ]


def eventually(ask: Callable[[], Any]) -> Any:
    """Ask until the answer is true, and return it; the last answer when the time is over."""
    end = time.monotonic() + LONGEST_WAIT
    while not (answer := ask()) and time.monotonic() < end:
        time.sleep(0.05)
    return answer


def hurry(ws) -> None:
    """Let the clock of a context run ahead whenever it would sleep."""
    ahead = [0.0]

    def sleep(seconds: float) -> None:
        # What the embedded AWS itself takes its time for takes it.
        time.sleep(0.01)
        ahead[0] += max(seconds, 1.0)

    ws.waiter.clock, ws.waiter.sleep = lambda: ahead[0], sleep


def build(ws, upto: int | None = None) -> None:
    """Run the steps up to a number; all of them without one."""
    for step in ws.steps[:upto]:
        step.run(ws)


def teardown():
    """The last lesson, as a module."""
    return load("cleanup/teardown.py")


def looked_at(ws) -> list:
    """All resources of all steps, as `status` sees them."""
    return [resource for step in ws.steps for resource in step.examine(ws)]


def not_present(ws) -> dict[tuple[str, str], list[str]]:
    """What `status` finds wrong: `{(kind, name): settings}`."""
    return {(r.kind, r.name): [d.setting for d in r.differences] for r in looked_at(ws) if r.result != "present"}


def post(url: str, body: bytes | str, content_type: str | None = "application/json") -> tuple[int, dict]:
    """Send a body to the API, without anything of the product between."""
    data = body.encode() if isinstance(body, str) else body
    # urllib sends a content type of its own where there is none, so an empty one stands for none.
    request = urllib.request.Request(url, data=data, headers={"Content-Type": content_type or ""}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=LONGEST_WAIT, context=WHOEVER) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, {}


def type_line(line: str, env: dict[str, str]) -> Ran:
    """Type a line into a shell as it stands there, and answer every question with yes.

    Args:
        line: one or more commands.
        env: variables beside those of the test.
    """
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, b"y\n" * 3)
        environment = os.environ | env | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-c", line],
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=LONGEST_COMMAND,
            check=False,
            cwd=ROOT,
            env=environment,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    return Ran(done.returncode, done.stdout, done.stderr)


def rows(ws) -> list[dict[str, Any]]:
    """Everything in the orders table, in DynamoDB's own form."""
    return ws.client("dynamodb").scan(TableName=ws.name("ecommerce-orders"), ConsistentRead=True)["Items"]


def row(ws, order_id: str) -> dict[str, Any]:
    """The row of one order, in DynamoDB's own form; waits for it."""
    table, key = ws.name("ecommerce-orders"), {"orderId": {"S": order_id}}
    return eventually(lambda: ws.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item"))


def item(order: dict[str, Any]) -> dict[str, Any]:
    """An order as DynamoDB has to hold it."""
    return {key: {"N": str(value)} if key == "quantity" else {"S": value} for key, value in order.items()}


def messages(ws, base: str = "ecommerce-orders-queue") -> int:
    """How many messages a queue holds, waiting or in flight."""
    sqs = ws.client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = sqs.get_queue_url(QueueName=ws.name(base))["QueueUrl"]
    return sum(int(n) for n in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())


def refused_by_the_function(ws, body: str) -> str:
    """Let POC-Lambda-1 refuse a message as often as it takes; returns its id."""
    dead = "ecommerce-orders-dlq"
    sqs, url = ws.client("sqs"), ws.find("queue", "ecommerce-orders-queue")["QueueUrl"]
    dead_letters = {"deadLetterTargetArn": ws.arn("sqs", ws.name(dead)), "maxReceiveCount": 1}
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(dead_letters), "VisibilityTimeout": "1"}
    )
    try:
        message = send(ws, "ecommerce-orders-queue", body)
        assert eventually(lambda: messages(ws, dead) == 1)
    finally:
        ws.steps[2].run(ws)
    return message


def report_failure(ws, order_id: str, lost_stream: str = "") -> str:
    """Say in the stream's failure queue that POC-Lambda-2 gave up on an order, as its trigger would.

    Where the order is in the stream is looked up there.
    https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html

    Args:
        ws: the context.
        order_id: the order.
        lost_stream: a stream that is gone, to be named instead.

    Returns:
        The message's id.
    """
    streams, stream = ws.client("dynamodbstreams"), ws.find("stream", "ecommerce-orders")["Arn"]
    places = [
        (shard["ShardId"], record["dynamodb"]["SequenceNumber"])
        for shard in streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]
        for record in streams.get_records(
            ShardIterator=streams.get_shard_iterator(
                StreamArn=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
        )["Records"]
        if record["dynamodb"]["Keys"]["orderId"]["S"] == order_id
    ]
    ((shard, number),) = places
    report = {
        "requestContext": {
            "requestId": "316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
            "functionArn": ws.arn("lambda", f"function:{ws.name('POC-Lambda-2')}"),
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 11,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2026-01-01T00:13:49.717Z",
        "DDBStreamBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": number,
            "endSequenceNumber": number,
            "approximateArrivalOfFirstRecord": "2026-01-01T00:13:19Z",
            "approximateArrivalOfLastRecord": "2026-01-01T00:13:19Z",
            "batchSize": 1,
            "streamArn": lost_stream or stream,
        },
    }
    return send(ws, "ecommerce-orders-stream-dlq", json.dumps(report))


def send(ws, base: str, body: str) -> str:
    """Put a message straight into a queue; returns its id."""
    sqs = ws.client("sqs")
    url = sqs.get_queue_url(QueueName=ws.name(base))["QueueUrl"]
    return sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"]


def mails(ws) -> list[dict[str, Any]]:
    """The notifications of the topic."""
    return ws.mailbox.read(ws.arn("sns", ws.name("ecommerce-orders-topic")))


def listings(ws) -> dict[str, list[dict[str, Any]]]:
    """Everything that stands in the region, by service: asked for without the product's own searching."""
    client = ws.client
    return {
        "role": client("iam").list_roles(MaxItems=1000)["Roles"],
        "policy": client("iam").list_policies(Scope="Local", MaxItems=1000)["Policies"],
        "table": [{"name": name} for name in client("dynamodb").list_tables()["TableNames"]],
        "queue": [{"name": url} for url in client("sqs").list_queues(MaxResults=1000).get("QueueUrls", [])],
        "function": client("lambda").list_functions()["Functions"],
        "mapping": client("lambda").list_event_source_mappings()["EventSourceMappings"],
        "topic": client("sns").list_topics()["Topics"],
        "subscription": client("sns").list_subscriptions()["Subscriptions"],
        "rest-api": client("apigateway").get_rest_apis(limit=500)["items"],
        "log-group": client("logs").describe_log_groups()["logGroups"],
    }


def census(ws, whole: bool = False) -> list[tuple[str, Any]]:
    """Everything that mentions this participant's prefix: `[(kind, its description)]`.

    Args:
        ws: the context.
        whole: give the descriptions as they are, not as text.
    """
    return [
        (kind, one if whole else str(one))
        for kind, all_of_it in listings(ws).items()
        for one in all_of_it
        if ws.settings.prefix in str(one)
    ]


#: What changes by itself, or with every change, and says nothing of a setting.
VOLATILE = {
    "ResponseMetadata", "LastModified", "RevisionId", "LastModifiedTimestamp", "LastModifiedDate",
    "DefaultVersionId", "UpdateDate", "CreateDate", "VersionId", "deploymentId", "lastUpdatedDate", "createdDate",
    "LastUpdateStatus", "State", "StateTransitionReason", "StateReason", "StateReasonCode", "LastProcessingResult",
    "Location", "ItemCount", "TableSizeBytes", "storedBytes", "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed", "PolicyVersionList", "LastUsed",
    "RoleLastUsed", "LastUpdateToPayPerRequestDateTime",
}  # fmt: skip


def settled(value: Any) -> Any:
    """A description without what changes by itself, and with JSON texts read."""
    if isinstance(value, dict):
        return {key: settled(entry) for key, entry in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [settled(entry) for entry in value]
    if isinstance(value, str) and value[:1] == "{":
        try:
            return settled(json.loads(value))
        except ValueError:
            return value
    return value


def snapshot(ws) -> dict[str, Any]:
    """Every setting of everything of this participant, read with plain calls."""
    found: dict[str, Any] = {}
    for kind, one in census(ws, whole=True):
        name, description = describe(ws.client, kind, one)
        found[f"{kind} {name}"] = settled(description)
    return found


def describe(client: Callable[[str], Any], kind: str, one: dict[str, Any]) -> tuple[str, Any]:
    """All that a service says of one thing in its list: its name, and the description."""
    return DESCRIBE[kind](client, one)


def _role(client, one):
    iam, name = client("iam"), one["RoleName"]
    return name, [
        iam.get_role(RoleName=name),
        sorted(p["PolicyArn"] for p in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]),
        iam.list_role_policies(RoleName=name)["PolicyNames"],
    ]


def _policy(client, one):
    iam, arn = client("iam"), one["Arn"]
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])
    return policy["PolicyName"], [policy, version]


def _table(client, one):
    dynamodb = client("dynamodb")
    table = dynamodb.describe_table(TableName=one["name"])["Table"]
    return one["name"], [table, dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]]


def _queue(client, one):
    sqs, url = client("sqs"), one["name"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return url.split("/")[-1], [attributes, sqs.list_queue_tags(QueueUrl=url).get("Tags")]


def _function(client, one):
    return one["FunctionName"], client("lambda").get_function(FunctionName=one["FunctionName"])


def _mapping(client, one):
    enabled = one["State"] in ("Enabled", "Enabling", "Creating", "Updating")
    return one["FunctionArn"] + one["EventSourceArn"], [one, enabled]


def _topic(client, one):
    sns, arn = client("sns"), one["TopicArn"]
    attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    return arn, [attributes, sns.list_tags_for_resource(ResourceArn=arn)["Tags"]]


def _subscription(client, one):
    return one["SubscriptionArn"], one


def _rest_api(client, one):
    apigateway, api = client("apigateway"), {"restApiId": one["id"]}
    resources = apigateway.get_resources(**api, embed=["methods"], limit=500)["items"]
    return one["name"], [
        one,
        apigateway.get_tags(resourceArn=f"arn:aws:apigateway:us-east-1::/restapis/{one['id']}")["tags"],
        apigateway.get_models(**api, limit=500)["items"],
        apigateway.get_request_validators(**api, limit=500)["items"],
        sorted(resources, key=lambda resource: resource["path"]),
        apigateway.get_stages(**api)["item"],
    ]


def _log_group(client, one):
    arn = one["arn"].removesuffix(":*")
    return one["logGroupName"], [one, client("logs").list_tags_for_resource(resourceArn=arn)["tags"]]


DESCRIBE = {
    "role": _role,
    "policy": _policy,
    "table": _table,
    "queue": _queue,
    "function": _function,
    "mapping": _mapping,
    "topic": _topic,
    "subscription": _subscription,
    "rest-api": _rest_api,
    "log-group": _log_group,
}
