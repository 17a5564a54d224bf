"""The remedy of a red check cures it: for every check, break what it looks at, type its remedy as printed, green.

Most of these take seconds each and are slow; a sample is always tried.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import test_break_and_repair as breaks
from conftest import new_prefix
from support import build, rows, teardown, type_line
from test_break_and_repair import (
    DLQ,
    FAULTS,
    ONE,
    QUEUE,
    ROLE_1,
    ROLE_2,
    ROLE_API,
    STREAM_DLQ,
    TABLE,
    TOPIC,
    TWO,
    api_id,
    detached,
    function_set,
    hasty,
    integration_set,
    mapping_set,
    method_deleted,
    queue_set,
    settle,
    validator_off,
)  # fmt: skip

from workshop.aws.policies import document, nobody_but, only_tls
from workshop.build.checks import Verdict, rebuild, typed
from workshop.build.opening import load_steps
from workshop.commands.verify import grade

Break = Callable[[Any], object]


# More ways to break it, beside those of test_break_and_repair.


def inline(role: str, action: str) -> Break:
    """Give a role one right more, in a policy of its own."""
    policy = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}}
    return lambda ws: ws.client("iam").put_role_policy(
        RoleName=ws.name(role), PolicyName="more", PolicyDocument=json.dumps(policy)
    )


def another_key(ws: Any) -> None:
    """A table of our name and tags with another key."""
    dynamodb, table = ws.client("dynamodb"), ws.name(TABLE)
    dynamodb.delete_table(TableName=table)
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        Tags=ws.tag_list,
    )


def queue_policy(base: str, *statements: Callable[[Any, str], dict[str, Any]]) -> Break:
    """Give a queue a policy of these statements, each made of the context and the queue's ARN."""
    return lambda ws: queue_set(
        base, Policy=json.dumps(document(*(one(ws, ws.arn("sqs", ws.name(base))) for one in statements)))
    )(ws)


def topic_policy(ws: Any) -> None:
    """Let anybody's plain HTTP in, and nobody but POC-Lambda-2 publish."""
    arn = ws.arn("sns", ws.name(TOPIC))
    policy = document(nobody_but("sns:Publish", arn, ws.arn("iam", f"role/{ws.name(ROLE_2)}")))
    ws.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy))


def only_api(ws: Any, arn: str) -> dict[str, Any]:
    return nobody_but("sqs:SendMessage", arn, ws.arn("iam", f"role/{ws.name(ROLE_API)}"))


def api_denied(ws: Any, arn: str) -> dict[str, Any]:
    role = ws.arn("iam", f"role/{ws.name(ROLE_API)}")
    return {"Effect": "Deny", "Principal": {"AWS": role}, "Action": "sqs:SendMessage", "Resource": arn}


def tls_elsewhere(ws: Any, _: str) -> dict[str, Any]:
    return only_tls("sqs:*", ws.arn("sqs", "another-queue"))


def at_the_edge(ws: Any) -> None:
    move = {"op": "replace", "path": "/endpointConfiguration/types/REGIONAL", "value": "EDGE"}
    ws.client("apigateway").update_rest_api(restApiId=api_id(ws), patchOperations=[move])


def silent(base: str) -> Break:
    """Let a function run never again."""
    return lambda ws: ws.client("lambda").put_function_concurrency(
        FunctionName=ws.name(base), ReservedConcurrentExecutions=0
    )


def takes_any_type(ws: Any) -> None:
    integration_set(passthroughBehavior="WHEN_NO_MATCH")(ws)


@dataclass(frozen=True)
class Case:
    """A check, and a way to make it red.

    Attributes:
        step, check: whose remedy is typed; the beginning of the check's name is enough.
        do: breaks it.
        remedy: what the remedy is, where it is not the step's own command: `up` or `rebuild`.
    """

    step: int
    check: str
    do: Break
    remedy: str = ""


CASES = [
    Case(1, f"{ROLE_1}: has the permissions of Lambda-1-Write", detached(ROLE_1, "Lambda-1-Write-Logs")),
    Case(1, f"{ROLE_2}: has the permissions of Lambda-2-Write", detached(ROLE_2, "Lambda-2-Write-Logs")),
    Case(1, f"{ROLE_2}: has the permissions of Lambda-List", detached(ROLE_2, "Lambda-List-DynamoDBStreams")),
    Case(1, f"{ROLE_2}: has the permissions of Lambda-Send", detached(ROLE_2, "Lambda-Send-StreamDLQ")),
    *(Case(1, f"{role}: is denied", inline(role, "dynamodb:*")) for role in (ROLE_1, ROLE_2, ROLE_API)),
    *(Case(1, f"{role}: has no other", inline(role, "ec2:RunInstances")) for role in (ROLE_1, ROLE_2, ROLE_API)),
    Case(2, "the partition key is orderId", another_key, "rebuild"),
    Case(3, "the visibility timeout", function_set(ONE, Timeout=60), "up"),
    Case(3, "the orders queue keeps messages", queue_set(QUEUE, MessageRetentionPeriod="3600")),
    Case(3, "the queue policy lets the API's role", queue_policy(QUEUE, only_api, api_denied)),
    Case(3, "the orders queue rejects", queue_policy(QUEUE, only_api, tls_elsewhere)),
    Case(3, "the dead-letter queue is encrypted", queue_set(DLQ, SqsManagedSseEnabled="false")),
    Case(3, "the dead-letter queue rejects", queue_policy(DLQ, tls_elsewhere)),
    Case(3, "only the orders queue can use",
         queue_set(DLQ, RedriveAllowPolicy=json.dumps({"redrivePermission": "allowAll"}))),
    Case(4, f"{ONE} runs python3.13", function_set(ONE, Runtime="python3.12")),
    Case(4, f"{ONE} has enough time", function_set(ONE, MemorySize=128)),
    Case(4, "messages arrive in batches", mapping_set(ONE, BatchSize=1, MaximumBatchingWindowInSeconds=0)),
    Case(4, "the trigger's concurrency", mapping_set(ONE, ScalingConfig={})),
    Case(6, "the topic rejects", topic_policy),
    Case(7, f"{TWO} runs python3.13", function_set(TWO, Runtime="python3.12")),
    Case(7, f"{TWO} has its own role",
         lambda ws: function_set(TWO, Role=ws.arn("iam", f"role/{ws.name(ROLE_1)}"))(ws)),
    Case(7, f"{TWO} has enough time", function_set(TWO, Timeout=3)),
    Case(7, "batching keeps e-mails", mapping_set(TWO, BatchSize=10)),
    Case(7, "the failure queue is encrypted", queue_set(STREAM_DLQ, MessageRetentionPeriod="60")),
    Case(7, "the failure queue rejects", queue_policy(STREAM_DLQ, tls_elsewhere)),
    Case(8, "the API is regional", at_the_edge),
    *(Case(8, what, validator_off) for what in (
        "a quantity of zero", "a fractional quantity", "a quantity in quotes", "an unknown field",
        "a body that isn't an object", "a body that isn't JSON")),
    Case(8, "a content type other", takes_any_type),
    Case(8, "a valid order is accepted", method_deleted),
    Case(8, "the order is stored", mapping_set(ONE, Enabled=False), "up"),
    Case(8, "a notification is published for the order", mapping_set(TWO, Enabled=False), "up"),
    # Nothing that a step looks at: it would say "unchanged".
    Case(8, "the order is stored", silent(ONE), "rebuild"),
    *(Case(fault.step, fault.check, fault.do) for fault in FAULTS),
]  # fmt: skip
#: Nothing on the embedded AWS lets anybody in without credentials, whatever a policy says.
NEVER_RED = {(3, "a sender without credentials is rejected"), (6, "a publisher without credentials is rejected")}
#: Always tried: a remedy that is the step's own, and one that is another step's.
SAMPLE = {
    (3, "the orders queue rejects", ""),
}  # fmt: skip


def named(number: int, part: str) -> list[str]:
    """The checks of a step that a case means."""
    return [check.name for check in load_steps()[number - 1].checks if part in check.name]


def test_every_check_is_tried():
    every = {(step.number, check.name) for step in load_steps() for check in step.checks}
    tried = {(case.step, name) for case in CASES for name in named(case.step, case.check)}
    assert every - tried == NEVER_RED


@pytest.fixture(scope="module")
def shared(open_ws) -> Iterator[Any]:
    """A participant for whom everything is built."""
    ws = open_ws(new_prefix())
    build(ws)
    yield ws
    teardown().delete_ours(ws)


@pytest.fixture
def whole(shared) -> Iterator[Any]:
    """The same; afterwards nothing lies about, and what was broken stands again."""
    yield shared
    with contextlib.suppress(Exception):
        for base in (QUEUE, DLQ, STREAM_DLQ):
            shared.client("sqs").purge_queue(QueueUrl=breaks.url(shared, base))
        for one in rows(shared):
            shared.client("dynamodb").delete_item(TableName=shared.name(TABLE), Key={"orderId": one["orderId"]})
    with contextlib.suppress(Exception):
        build(shared)
    if not_green(shared):
        for base in (ONE, TWO):
            with contextlib.suppress(Exception):
                breaks.log_group_deleted(base)(shared)
        teardown().delete_ours(shared)
        build(shared)


def not_green(ws: Any) -> list[Verdict]:
    return [verdict for verdict in grade(ws, ws.steps, read_only=True) if not verdict.passed]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if (case.step, case.check, case.remedy) in SAMPLE else pytest.mark.slow)
        for case in CASES
    ],
    ids=lambda case: f"{case.step} {case.check}" + (f", {case.remedy}" if case.remedy else ""),
)
def test_the_remedy_cures(whole, state_dir, case):
    ws = whole
    case.do(ws)
    red = {verdict.name: verdict for verdict in verdicts_of(ws, case) if not verdict.passed}
    name = next((one for one in named(case.step, case.check) if one in red), None)
    assert name, f"nothing is red: {case.check}"
    remedy = red[name].remedy
    expected = {"": typed(ws, ws.steps[case.step - 1].command), "up": typed(ws, "up"), "rebuild": rebuild(ws)}
    assert remedy.endswith(expected[case.remedy])

    done = type_line(remedy, {"WORKSHOP_STATE_DIR": str(state_dir)})
    assert done.code == 0, (remedy, done.err)
    # The command said that it did something: what is "unchanged" cures nothing.
    assert "created, " in done.out
    assert "0 created, 0 updated" not in done.out
    settle(ws, ONE)
    settle(ws, TWO)
    ws.forget_needed()
    (cured,) = [verdict for verdict in grade(ws, [ws.steps[case.step - 1]]) if verdict.name == name]
    assert cured.passed, cured


def verdicts_of(ws: Any, case: Case) -> list[Verdict]:
    """The verdicts on a step that is broken; what it sent is not waited for as long as on AWS."""
    ws.forget_needed()
    return grade(hasty(ws, 6), [ws.steps[case.step - 1]])
