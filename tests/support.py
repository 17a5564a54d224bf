"""What the tests need beside fixtures: the command line, an independent look at the AWS, and waiting."""

import json
import os
import pty
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workshop.embedded import Instance
from workshop.embedded.credentials import root_key
from workshop.opening import load

ROOT = Path(__file__).parents[1]
#: Where `workshop` and `aws` of the virtual environment are.
BIN = Path(sys.executable).parent
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


def run(*command: str, env: dict[str, str] | None = None, timeout: float = 60, **more: Any) -> Ran:
    """Run a program of the virtual environment as a person would, without a terminal.

    Args:
        command: the program (`workshop`, `aws`, a `.py` file) and its arguments.
        env: variables beside those of the test.
        timeout: seconds.
        more: for `subprocess.run`.
    """
    program, *arguments = command
    start = [sys.executable, program] if program.endswith(".py") else [str(BIN / program)]
    more = {"stdin": subprocess.DEVNULL, "cwd": ROOT} | more
    done = subprocess.run(
        [*start, *arguments],
        env=os.environ | (env or {}),
        capture_output=True,
        timeout=timeout,
        check=False,
        **more,
    )
    ran = Ran(done.returncode, done.stdout.decode(), done.stderr.decode())
    # Whatever happens, nobody wants to see this.
    assert "Traceback" not in ran.err, ran.err
    return ran


def eventually(ask: Callable[[], Any], seconds: float = 15) -> Any:
    """Ask until the answer is true, and return it; the last answer when the time is over."""
    end = time.monotonic() + seconds
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

    ws.patience.clock, ws.patience.sleep = lambda: ahead[0], sleep


def build(ws, upto: int = 8) -> None:
    """Run the steps up to a number."""
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
        with urllib.request.urlopen(request, timeout=30, context=WHOEVER) as answer:
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
            timeout=120,
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
    iam, apigateway = client("iam"), client("apigateway")
    match kind:
        case "role":
            name = one["RoleName"]
            return name, [
                iam.get_role(RoleName=name),
                sorted(p["PolicyArn"] for p in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]),
                iam.list_role_policies(RoleName=name)["PolicyNames"],
            ]
        case "policy":
            policy = iam.get_policy(PolicyArn=one["Arn"])["Policy"]
            return policy["PolicyName"], [
                policy,
                iam.get_policy_version(PolicyArn=one["Arn"], VersionId=policy["DefaultVersionId"]),
            ]
        case "table":
            table = client("dynamodb").describe_table(TableName=one["name"])["Table"]
            return one["name"], [table, client("dynamodb").list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]]
        case "queue":
            sqs, url = client("sqs"), one["name"]
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            return url.split("/")[-1], [attributes, sqs.list_queue_tags(QueueUrl=url).get("Tags")]
        case "function":
            return one["FunctionName"], client("lambda").get_function(FunctionName=one["FunctionName"])
        case "mapping":
            enabled = one["State"] in ("Enabled", "Enabling", "Creating", "Updating")
            return one["FunctionArn"] + one["EventSourceArn"], [one, enabled]
        case "topic":
            return one["TopicArn"], [
                client("sns").get_topic_attributes(TopicArn=one["TopicArn"])["Attributes"],
                client("sns").list_tags_for_resource(ResourceArn=one["TopicArn"])["Tags"],
            ]
        case "subscription":
            return one["SubscriptionArn"], one
        case "rest-api":
            api = {"restApiId": one["id"]}
            resources = apigateway.get_resources(**api, embed=["methods"], limit=500)["items"]
            return one["name"], [
                one,
                apigateway.get_tags(resourceArn=f"arn:aws:apigateway:us-east-1::/restapis/{one['id']}")["tags"],
                apigateway.get_models(**api, limit=500)["items"],
                apigateway.get_request_validators(**api, limit=500)["items"],
                sorted(resources, key=lambda resource: resource["path"]),
                apigateway.get_stages(**api)["item"],
            ]
        case "log-group":
            arn = one["arn"].removesuffix(":*")
            return one["logGroupName"], [one, client("logs").list_tags_for_resource(resourceArn=arn)["tags"]]
    raise AssertionError(kind)
