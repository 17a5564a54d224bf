"""Break the built architecture in every way that a trainee does, one at a time: each fault is found and repaired.

For each fault: `status` shows the resource, `verify` names the step and the fault, an order placed through the API
is traced to the hop where its way ends and the fault is its cause, `up` repairs, and `verify` is green again.

What was seen is written as a table, fault → failing check → hop, to `break-and-repair.md` in pytest's base folder
(with -s it is printed as well).
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import new_prefix
from support import SPEC_ORDER, build, eventually, not_present, rows, sample, teardown

from workshop.aws.waiter import Waiter
from workshop.base.errors import NotBuilt
from workshop.base.http import post
from workshop.build.function_code import packed
from workshop.build.opening import load_steps
from workshop.commands.build import run_steps, status
from workshop.commands.verify import grade
from workshop.orders.api import api_url
from workshop.orders.tracing import HOPS, follow, hops_of

QUEUE, DLQ, STREAM_DLQ = "ecommerce-orders-queue", "ecommerce-orders-dlq", "ecommerce-orders-stream-dlq"
TABLE, TOPIC, API = "ecommerce-orders", "ecommerce-orders-topic", "ecommerce-orders-api"
ONE, TWO = "POC-Lambda-1", "POC-Lambda-2"
ROLE_1, ROLE_2, ROLE_API = "Lambda-SQS-DynamoDB", "Lambda-DynamoDB-SNS", "APIGateway-SQS"
JSON = "application/json"
#: The order of the specification, with a text that only an escaping template lets through.
ORDER = SPEC_ORDER | {"productName": "Soap & water=1 +%"}


# The breaks. Each takes the context and does what a person does in the console, with plain boto3.


def url(ws, base):
    return ws.client("sqs").get_queue_url(QueueName=ws.name(base))["QueueUrl"]


def queue_deleted(base):
    return lambda ws: ws.client("sqs").delete_queue(QueueUrl=url(ws, base))


def queue_set(base, **attributes):
    return lambda ws: ws.client("sqs").set_queue_attributes(QueueUrl=url(ws, base), Attributes=attributes)


def table_deleted(ws):
    ws.client("dynamodb").delete_table(TableName=ws.name(TABLE))


def table_provisioned(ws):
    ws.client("dynamodb").update_table(
        TableName=ws.name(TABLE),
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )


def streamed(ws, *specifications):
    for specification in specifications:
        ws.client("dynamodb").update_table(TableName=ws.name(TABLE), StreamSpecification=specification)


def stream_off(ws):
    streamed(ws, {"StreamEnabled": False})


def stream_renewed(view="NEW_IMAGE"):
    return lambda ws: streamed(ws, {"StreamEnabled": False}, {"StreamEnabled": True, "StreamViewType": view})


def stream_of_keys_only(ws):
    """As a person would who knows that a new stream needs a new trigger."""
    (old,) = mappings(ws, TWO)
    stream_renewed("KEYS_ONLY")(ws)
    lambda_ = ws.client("lambda")
    lambda_.delete_event_source_mapping(UUID=old["UUID"])
    stream = ws.client("dynamodb").describe_table(TableName=ws.name(TABLE))["Table"]["LatestStreamArn"]
    kept = ("BatchSize", "MaximumBatchingWindowInSeconds", "BisectBatchOnFunctionError", "MaximumRetryAttempts")
    kept += ("MaximumRecordAgeInSeconds", "DestinationConfig", "FilterCriteria")
    lambda_.create_event_source_mapping(
        FunctionName=ws.name(TWO),
        EventSourceArn=stream,
        StartingPosition="TRIM_HORIZON",
        Tags=ws.tags,
        **{key: old[key] for key in kept},
    )


def topic_deleted(ws):
    ws.client("sns").delete_topic(TopicArn=ws.arn("sns", ws.name(TOPIC)))


def topic_open_to_everybody(ws):
    arn = ws.arn("sns", ws.name(TOPIC))
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    ws.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)


def unsubscribed(ws):
    sns = ws.client("sns")
    for one in sns.list_subscriptions_by_topic(TopicArn=ws.arn("sns", ws.name(TOPIC)))["Subscriptions"]:
        if one["Protocol"] == "email":
            sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])


def function_deleted(base):
    return lambda ws: ws.client("lambda").delete_function(FunctionName=ws.name(base))


def function_set(base, **configuration):
    def change(ws):
        ws.client("lambda").update_function_configuration(FunctionName=ws.name(base), **configuration)
        settle(ws, base)

    return change


def function_raises(base):
    def change(ws):
        code = packed("def handler(event, context):\n    raise RuntimeError('broken by a test')\n")
        ws.client("lambda").update_function_code(FunctionName=ws.name(base), ZipFile=code)
        settle(ws, base)

    return change


def settle(ws, base):
    """Wait until a changed function is the one that runs."""

    def active():
        found = ws.client("lambda").get_function_configuration(FunctionName=ws.name(base))
        return (found["State"], found["LastUpdateStatus"]) == ("Active", "Successful")

    assert eventually(active)


def mappings(ws, base):
    found = ws.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    return [one for one in found if one["FunctionArn"].split(":")[6] == ws.name(base)]


def mapping_set(base, **settings):
    def change(ws):
        (one,) = mappings(ws, base)
        ws.client("lambda").update_event_source_mapping(UUID=one["UUID"], **settings)

    return change


def mapping_deleted(base):
    def change(ws):
        (one,) = mappings(ws, base)
        ws.client("lambda").delete_event_source_mapping(UUID=one["UUID"])

    return change


def log_group_deleted(base):
    return lambda ws: ws.client("logs").delete_log_group(logGroupName=ws.name(f"/aws/lambda/{base}"))


def log_group_for_ever(base):
    return lambda ws: ws.client("logs").delete_retention_policy(logGroupName=ws.name(f"/aws/lambda/{base}"))


def role_deleted(base):
    def change(ws):
        iam, role = ws.client("iam"), ws.name(base)
        for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=role)

    return change


def detached(role, policy):
    return lambda ws: ws.client("iam").detach_role_policy(RoleName=ws.name(role), PolicyArn=ws.policy_arn(policy))


def policy_deleted(role, policy):
    def change(ws):
        detached(role, policy)(ws)
        ws.client("iam").delete_policy(PolicyArn=ws.policy_arn(policy))

    return change


def trusting(role, service):
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return lambda ws: ws.client("iam").update_assume_role_policy(RoleName=ws.name(role), PolicyDocument=document)


def api_id(ws):
    apis = ws.client("apigateway").get_rest_apis(limit=500)["items"]
    return next(one["id"] for one in apis if one["name"] == ws.name(API))


def api_deleted(ws):
    ws.client("apigateway").delete_rest_api(restApiId=api_id(ws))


def stage_deleted(ws):
    ws.client("apigateway").delete_stage(restApiId=api_id(ws), stageName="dev")


def deploy(ws):
    """What the console's button does; without it, the stage would go on showing what was right."""
    ws.client("apigateway").create_deployment(restApiId=api_id(ws), stageName="dev")


def post_orders(ws):
    """Where the method is: `{restApiId, resourceId, httpMethod}`."""
    resources = ws.client("apigateway").get_resources(restApiId=api_id(ws), limit=500)["items"]
    orders = next(one["id"] for one in resources if one["path"] == "/orders")
    return {"restApiId": api_id(ws), "resourceId": orders, "httpMethod": "POST"}


def method_deleted(ws):
    ws.client("apigateway").delete_method(**post_orders(ws))
    deploy(ws)


def integration_set(**changes):
    """Put the integration again with other settings, as the console does."""

    def change(ws):
        apigateway, here = ws.client("apigateway"), post_orders(ws)
        old = apigateway.get_integration(**here)
        answers = old.get("integrationResponses", {})
        kept = ("type", "uri", "credentials", "requestParameters", "requestTemplates", "passthroughBehavior")
        new = {key: old[key] for key in kept} | {k: v(ws) if callable(v) else v for k, v in changes.items()}
        apigateway.put_integration(**here, integrationHttpMethod="POST", **new)
        for status_code, answer in answers.items():
            pattern, templates = answer.get("selectionPattern") or "", answer["responseTemplates"]
            apigateway.put_integration_response(
                **here, statusCode=status_code, selectionPattern=pattern, responseTemplates=templates
            )
        deploy(ws)

    return change


def unescaped(ws):
    return {JSON: ws.source("src/api/request.vtl").strip().replace("$util.urlEncode($input.body)", "$input.body")}


def validator_off(ws):
    (validator,) = ws.client("apigateway").get_request_validators(restApiId=api_id(ws))["items"]
    off = {"op": "replace", "path": "/validateRequestBody", "value": "false"}
    ws.client("apigateway").update_request_validator(
        restApiId=api_id(ws), requestValidatorId=validator["id"], patchOperations=[off]
    )
    deploy(ws)


def model_loosened(ws):
    schema = json.loads(ws.source("src/api/order.schema.json"))
    del schema["required"], schema["additionalProperties"]
    loose = {"op": "replace", "path": "/schema", "value": json.dumps(schema)}
    ws.client("apigateway").update_model(restApiId=api_id(ws), modelName="Order", patchOperations=[loose])
    deploy(ws)


def throttle_removed(ws):
    without = [{"op": "remove", "path": "/*/*"}]
    ws.client("apigateway").update_stage(restApiId=api_id(ws), stageName="dev", patchOperations=without)


# The table.


@dataclass(frozen=True)
class Fault:
    """One way to break it, and what must be seen of it.

    Attributes:
        what: in a person's words.
        do: breaks it.
        step: the step whose check goes red before any other.
        check: a part of that check's name.
        resource: what `status` shows, as (kind, name before the prefix).
        state: how `status` shows it.
        hop: the first hop that an order does not reach; None where it gets through.
        refused: the API takes no order, so there is none to follow.
    """

    what: str
    do: Callable
    step: int
    check: str
    resource: tuple[str, str]
    state: str
    hop: str | None = None
    refused: bool = False


M, D = "missing", "drifted"
FAULTS = [
    # Step 1. The embedded AWS checks the rights of what the functions call, and of nothing else: neither whether
    # Lambda may assume the role, nor what the pollers and API Gateway do with it. There an order gets through.
    Fault("role of POC-Lambda-1 deleted", role_deleted(ROLE_1), 1, f"{ROLE_1}: only", ("role", ROLE_1), M, "table"),
    Fault("role of POC-Lambda-2 deleted", role_deleted(ROLE_2), 1, f"{ROLE_2}: only", ("role", ROLE_2), M, "topic"),
    Fault("role of the API deleted", role_deleted(ROLE_API), 1, f"{ROLE_API}: only", ("role", ROLE_API), M),
    Fault("right to write orders detached", detached(ROLE_1, "Lambda-Put-DynamoDB"), 1, "Lambda-Put-DynamoDB",
          ("role", ROLE_1), D, "table"),
    Fault("right to receive messages detached", detached(ROLE_1, "Lambda-Receive-SQS"), 1, "Lambda-Receive-SQS",
          ("role", ROLE_1), D),
    Fault("right to publish detached", detached(ROLE_2, "Lambda-Publish-SNS"), 1, "Lambda-Publish-SNS",
          ("role", ROLE_2), D, "topic"),
    Fault("right to publish deleted", policy_deleted(ROLE_2, "Lambda-Publish-SNS"), 1, "Lambda-Publish-SNS",
          ("policy", "Lambda-Publish-SNS"), M, "topic"),
    Fault("right to read the stream detached", detached(ROLE_2, "Lambda-Read-DynamoDBStreams"), 1,
          "Lambda-Read-DynamoDBStreams", ("role", ROLE_2), D),
    Fault("right of the API to send detached", detached(ROLE_API, "APIGateway-Send-SQS"), 1, "APIGateway-Send-SQS",
          ("role", ROLE_API), D),
    Fault("trust policy of POC-Lambda-1 replaced", trusting(ROLE_1, "ec2.amazonaws.com"), 1, f"{ROLE_1}: only",
          ("role", ROLE_1), D),
    Fault("trust policy of POC-Lambda-2 replaced", trusting(ROLE_2, "ec2.amazonaws.com"), 1, f"{ROLE_2}: only",
          ("role", ROLE_2), D),
    Fault("trust policy of the API replaced", trusting(ROLE_API, "lambda.amazonaws.com"), 1, f"{ROLE_API}: only",
          ("role", ROLE_API), D),
    # Step 2
    Fault("table deleted", table_deleted, 2, "the table is active", ("table", TABLE), M, "table"),
    Fault("table no longer on demand", table_provisioned, 2, "uses on-demand capacity", ("table", TABLE), D),
    # Step 3
    Fault("orders queue deleted", queue_deleted(QUEUE), 3, "the visibility timeout", ("queue", QUEUE), M, refused=True),
    Fault("dead-letter queue deleted", queue_deleted(DLQ), 3, "queue keeps messages for two weeks", ("queue", DLQ), M),
    Fault("dead-letter queue unlinked", queue_set(QUEUE, RedrivePolicy=""), 3, "move to the dead-letter queue",
          ("queue", QUEUE), D),
    Fault("visibility below the function's timeout", queue_set(QUEUE, VisibilityTimeout="5"), 3,
          "the visibility timeout", ("queue", QUEUE), D),
    # ministack does not ask the queue's policy when API Gateway sends.
    Fault("queue policy removed", queue_set(QUEUE, Policy=""), 3, "only the API's role can send", ("queue", QUEUE), D),
    Fault("encryption of the queue off", queue_set(QUEUE, SqsManagedSseEnabled="false"), 3, "is encrypted",
          ("queue", QUEUE), D),
    Fault("dead letters kept for a minute", queue_set(DLQ, MessageRetentionPeriod="60"), 3, "messages for two weeks",
          ("queue", DLQ), D),
    Fault("given up after the first failure",
          lambda ws: queue_set(QUEUE, RedrivePolicy=json.dumps(
              {"deadLetterTargetArn": ws.arn("sqs", ws.name(DLQ)), "maxReceiveCount": 1}))(ws),
          3, "at least five attempts", ("queue", QUEUE), D),
    # Step 4
    Fault("POC-Lambda-1 deleted", function_deleted(ONE), 4, f"{ONE} is ready", ("function", ONE), M, "lambda-1"),
    Fault("mapping 1 disabled", mapping_set(ONE, Enabled=False), 4, f"the queue triggers {ONE}",
          ("event-source-mapping", ONE), D, "lambda-1"),
    Fault("mapping 1 deleted", mapping_deleted(ONE), 4, f"the queue triggers {ONE}", ("event-source-mapping", ONE), M,
          "lambda-1"),
    Fault("environment variable of POC-Lambda-1 gone", function_set(ONE, Environment={"Variables": {}}), 4,
          "is the orders table", ("function", ONE), D, "lambda-1"),
    Fault("handler of POC-Lambda-1 renamed", function_set(ONE, Handler="index.main"), 4, "is index.handler",
          ("function", ONE), D, "lambda-1"),
    Fault("code of POC-Lambda-1 replaced", function_raises(ONE), 4, "the code of this repository", ("function", ONE),
          D, "lambda-1"),
    # ministack's warm function keeps the credentials with which it started.
    Fault("POC-Lambda-1 with another role",
          lambda ws: function_set(ONE, Role=ws.arn("iam", f"role/{ws.name(ROLE_2)}"))(ws),
          4, f"{ONE} has its own role", ("function", ONE), D),
    Fault("partial failure reporting off", mapping_set(ONE, FunctionResponseTypes=[]), 4,
          "only the failed messages", ("event-source-mapping", ONE), D),
    Fault("log group of POC-Lambda-1 kept for ever", log_group_for_ever(ONE), 4, "keeps events for two weeks",
          ("log-group", f"/aws/lambda/{ONE}"), D),
    # ministack makes the log group again when the function prints; on AWS the role may not, and the trace is silent.
    Fault("log group of POC-Lambda-1 deleted", log_group_deleted(ONE), 4, "keeps events for two weeks",
          ("log-group", f"/aws/lambda/{ONE}"), M),
    # Step 5
    Fault("stream off", stream_off, 5, "the table has a stream", ("stream", TABLE), M, "stream"),
    Fault("stream carries keys only", stream_of_keys_only, 5, "the new image", ("stream", TABLE), D, "lambda-2"),
    # Step 6
    Fault("topic deleted", topic_deleted, 6, f"the role of {TWO} publish", ("topic", TOPIC), M, "topic"),
    Fault("topic open to everybody", topic_open_to_everybody, 6, "can publish", ("topic", TOPIC), D),
    Fault("subscription removed", unsubscribed, 6, "has an e-mail subscription", ("subscription", TOPIC), M, "inbox"),
    # Step 7
    Fault("POC-Lambda-2 deleted", function_deleted(TWO), 7, f"{TWO} is ready", ("function", TWO), M, "lambda-2"),
    Fault("mapping 2 disabled", mapping_set(TWO, Enabled=False), 7, f"the stream triggers {TWO}",
          ("event-source-mapping", TWO), D, "lambda-2"),
    Fault("mapping 2 deleted", mapping_deleted(TWO), 7, f"the stream triggers {TWO}", ("event-source-mapping", TWO), M,
          "lambda-2"),
    Fault("stream off and on again", stream_renewed(), 7, f"the stream triggers {TWO}", ("event-source-mapping", TWO),
          D, "lambda-2"),
    Fault("environment variable of POC-Lambda-2 gone", function_set(TWO, Environment={"Variables": {}}), 7,
          "is the orders topic", ("function", TWO), D, "lambda-2"),
    Fault("handler of POC-Lambda-2 renamed", function_set(TWO, Handler="index.main"), 7, "is index.handler",
          ("function", TWO), D, "lambda-2"),
    Fault("code of POC-Lambda-2 replaced", function_raises(TWO), 7, "the code of this repository", ("function", TWO),
          D, "lambda-2"),
    Fault("mapping filter removed", mapping_set(TWO, FilterCriteria={}), 7, "only inserts",
          ("event-source-mapping", TWO), D),
    Fault("failure destination removed", mapping_set(TWO, DestinationConfig={"OnFailure": {}}), 7,
          "reported to the failure queue", ("event-source-mapping", TWO), D),
    Fault("failure queue deleted", queue_deleted(STREAM_DLQ), 7, "reported to the failure queue",
          ("queue", STREAM_DLQ), M),
    Fault("endless retries of the stream",
          mapping_set(TWO, MaximumRetryAttempts=-1, MaximumRecordAgeInSeconds=-1), 7, "can't block the stream",
          ("event-source-mapping", TWO), D),
    Fault("log group of POC-Lambda-2 kept for ever", log_group_for_ever(TWO), 7, "keeps events for two weeks",
          ("log-group", f"/aws/lambda/{TWO}"), D),
    Fault("log group of POC-Lambda-2 deleted", log_group_deleted(TWO), 7, "keeps events for two weeks",
          ("log-group", f"/aws/lambda/{TWO}"), M),
    # Step 8
    Fault("REST API deleted", api_deleted, 8, "the API is regional", ("rest-api", API), M, refused=True),
    Fault("stage deleted", stage_deleted, 8, "the stage serves", ("stage", "dev"), M, refused=True),
    Fault("method deleted", method_deleted, 8, "sends to the queue", ("method", "POST /orders"), M,
          refused=True),
    Fault("$util.urlEncode removed", integration_set(requestTemplates=unescaped), 8, "can't add parameters",
          ("method", "POST /orders"), D, "table"),
    # An API whose stage sends with another role may be anyone's: no order goes there.
    Fault("integration with another role",
          integration_set(credentials=lambda ws: ws.arn("iam", f"role/{ws.name(ROLE_1)}")),
          8, "with the API's role", ("method", "POST /orders"), D, refused=True),
    Fault("passthrough changed", integration_set(passthroughBehavior="WHEN_NO_MATCH"), 8, "without a template",
          ("method", "POST /orders"), D),
    Fault("validator off", validator_off, 8, "without a product is rejected", ("request-validator", "order-body"), D),
    Fault("model loosened", model_loosened, 8, "is the order schema", ("request-model", "Order"), D),
    Fault("throttle removed", throttle_removed, 8, "the stage is throttled", ("stage", "dev"), D),
]  # fmt: skip


def test_the_table_covers_what_the_issue_asks_for():
    assert len(FAULTS) >= 28
    assert len({fault.what for fault in FAULTS}) == len(FAULTS)
    assert {fault.step for fault in FAULTS} == {step.number for step in load_steps()}
    # An order can end before every hop but the first two: there the API refuses it.
    assert {fault.hop for fault in FAULTS} - {None} == set(list(HOPS)[2:])


@dataclass
class Built:
    """A participant for whom everything is built, and whether it is known that nothing of it is broken."""

    ws: Any
    whole: bool = True


@pytest.fixture(scope="module")
def shared(open_ws):
    """A participant for whom everything is built, and built anew where a fault could not be repaired."""
    opened = open_ws(new_prefix())
    build(opened)
    yield Built(opened)
    teardown().delete_ours(opened)


@pytest.fixture
def broken(shared):
    """The participant of this file; afterwards all is well again, and nothing lies about."""
    shared.whole = False
    yield shared
    ws = shared.ws
    with contextlib.suppress(Exception):
        for base in (QUEUE, DLQ, STREAM_DLQ):
            ws.client("sqs").purge_queue(QueueUrl=url(ws, base))
        for one in rows(ws):
            ws.client("dynamodb").delete_item(TableName=ws.name(TABLE), Key={"orderId": one["orderId"]})
    if not shared.whole:
        # A log group without our tags is left by the clean-up as somebody else's.
        for base in (ONE, TWO):
            with contextlib.suppress(ws.client("logs").exceptions.ResourceNotFoundException):
                log_group_deleted(base)(ws)
        teardown().delete_ours(ws)
        build(ws)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Collects the table, also over the workers of pytest-xdist: each line is written at once and in one piece."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if base.name.startswith("popen-") else base
    path = folder / "break-and-repair.md"
    with contextlib.suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
        file.write("| fault | status | failing check | order ends before | cause |\n|---|---|---|---|---|\n")

    def note(*cells: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"| {' | '.join(cells)} |\n")

    yield note
    print(f"\n{path}:\n{path.read_text(encoding='utf-8')}")


#: Tried in every run: a setting of a resource, of a trigger and of what the API serves.
OFTEN = ("encryption of the queue off", "partial failure reporting off", "throttle removed")


@pytest.mark.parametrize(
    "fault", sample([pytest.param(fault, id=fault.what) for fault in FAULTS], OFTEN, rest=pytest.mark.slow)
)
def test_each_fault_is_shown_named_traced_and_repaired(broken, fault, seen):
    ws, (kind, base) = broken.ws, fault.resource
    row = {"fault": fault.what, "status": "?", "check": "NOT CAUGHT", "hop": "?", "cause": ""}
    name = base if kind in ("method", "stage", "request-model", "request-validator") else ws.name(base)
    try:
        fault.do(ws)

        # `status` shows it, …
        states = {(one["kind"], one["name"]): one for one in status(ws)["resources"]}
        row["status"] = f"{states[kind, name]['state']} {kind}"
        assert states[kind, name]["state"] == fault.state
        if fault.state == "drifted":
            assert states[kind, name]["differences"]

        # … an order goes as far as it can, …
        order_id = place(ws)
        assert (order_id is None) == fault.refused

        # … `verify` names the step and the fault before anything that follows from it, …
        verdicts = grade(hasty(ws, 8), ws.steps)
        failed = [verdict for verdict in verdicts if not verdict.passed]
        assert failed, "no check sees this fault"
        row["check"] = f"{failed[0].step}: {failed[0].name}"
        assert failed[0].step == fault.step
        assert [v for v in failed if v.step == fault.step and fault.check in v.name]
        assert all(verdict.detail and verdict.remedy.startswith("workshop ") for verdict in failed)

        # … and `trace` names the hop, and the fault as its cause.
        if order_id is None:
            row["hop"] = "api (refused)"
        else:
            reached = [hop for hop in HOPS if fault.hop is None or list(HOPS).index(hop) < list(HOPS).index(fault.hop)]
            assert eventually(lambda: [one.hop for one in hops_of(ws, order_id)] == reached)
            document = follow(ws, order_id, wait=0)
            end = document["deadEnd"]
            row["hop"] = end["hop"] if end else "none, it gets through"
            row["cause"] = end["cause"] if end else ""
            assert (end and end["hop"]) == fault.hop, end
            assert document["complete"] == (fault.hop is None)
            if end:
                assert [hop["hop"] for hop in document["hops"]] == list(HOPS)[: list(HOPS).index(fault.hop)]
                assert fault.check in end["cause"]
                assert end["remedy"].startswith("workshop ")
    finally:
        seen(*(cell.replace("|", "/") for cell in row.values()))

    # `up` repairs it, and says what it put right; then all is as it was.
    repaired = {(one["kind"], one["name"]): one for one in run_steps(ws, ws.steps, "up")["resources"]}
    # A missing log group may be there again by now, made by the embedded AWS for the function's next line.
    anew = fault.state == "missing" and kind != "log-group"
    assert repaired[kind, name]["result"] in (("created",) if anew else ("created", "updated"))
    assert not_present(ws) == {}
    assert [verdict for verdict in grade(ws, ws.steps) if not verdict.passed] == []
    broken.whole = True


def hasty(ws, times: float):
    """The same context with a clock that goes so many times as fast.

    `verify` waits seconds for its own order, and where something is broken, most of them never come.
    """
    waiter = Waiter(
        ws.console.note,
        sleep=lambda seconds: time.sleep(seconds / times),
        clock=lambda: time.monotonic() * times,
    )
    return dataclasses.replace(ws, waiter=waiter)


def place(ws) -> str | None:
    """Place an order as every client does; None if the API takes none."""
    try:
        code, answer = post(api_url(ws), json.dumps(ORDER).encode(), ca_bundle=ws.client.ca_bundle)
    except NotBuilt:
        return None
    return answer["messageId"] if code == 202 else None
