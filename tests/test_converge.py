"""A setting that somebody changed by hand is found by `status`, named, and put right by the step again."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import replay
from support import build, eventually, looked_at, mails, not_present, post, row, sample, snapshot

from workshop.build.function_code import packed
from workshop.build.opening import load_steps
from workshop.commands import build as building
from workshop.kinds import KINDS, PART_OF
from workshop.orders.api import api_url
from workshop.orders.mail import listen_to_mail

READ_S3 = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}


@dataclass(frozen=True)
class Change:
    """What somebody did by hand: with which resource of which step, to which setting."""

    step: int
    kind: str
    base: str
    setting: str
    make: Callable


CHANGES: list[Change] = []


def by_hand(step: int, kind: str, base: str, setting: str):
    def note(make):
        CHANGES.append(pytest.param(Change(step, kind, base, setting, make), id=make.__name__.replace("_", " ")))
        return make

    return note


def url_of(ws, base="ecommerce-orders-queue"):
    return ws.client("sqs").get_queue_url(QueueName=ws.name(base))["QueueUrl"]


def api_of(ws):
    return next(
        api["id"]
        for api in ws.client("apigateway").get_rest_apis(limit=500)["items"]
        if api["name"] == ws.name("ecommerce-orders-api")
    )


def method_of(ws):
    api = api_of(ws)
    resources = ws.client("apigateway").get_resources(restApiId=api)["items"]
    resource = next(one["id"] for one in resources if one["path"] == "/orders")
    return {"restApiId": api, "resourceId": resource, "httpMethod": "POST"}


def mapping_of(ws, base):
    mappings = ws.client("lambda").list_event_source_mappings(FunctionName=ws.name(base))["EventSourceMappings"]
    return mappings[0]["UUID"]


def patch(path, value):
    return [{"op": "replace", "path": path, "value": value}]


@by_hand(1, "policy", "Lambda-Put-DynamoDB", "Document")
def policy_allows_something_else(ws):
    ws.client("iam").create_policy_version(
        PolicyArn=ws.policy_arn("Lambda-Put-DynamoDB"), PolicyDocument=json.dumps(READ_S3), SetAsDefault=True
    )


@by_hand(1, "policy", "APIGateway-Send-SQS", "Document")
def policy_has_all_its_five_versions(ws):
    iam, arn = ws.client("iam"), ws.policy_arn("APIGateway-Send-SQS")
    while len(iam.list_policy_versions(PolicyArn=arn)["Versions"]) < 5:
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(READ_S3), SetAsDefault=True)


@by_hand(1, "role", "Lambda-SQS-DynamoDB", "AssumeRolePolicyDocument")
def role_trusts_somebody_else(ws):
    statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ws.client("iam").update_assume_role_policy(
        RoleName=ws.name("Lambda-SQS-DynamoDB"),
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


@by_hand(1, "role", "Lambda-SQS-DynamoDB", "AttachedPolicies")
def role_lost_a_policy(ws):
    ws.client("iam").detach_role_policy(
        RoleName=ws.name("Lambda-SQS-DynamoDB"), PolicyArn=ws.policy_arn("Lambda-Put-DynamoDB")
    )


@by_hand(1, "role", "APIGateway-SQS", "AttachedPolicies")
def role_got_a_policy_more(ws):
    ws.client("iam").attach_role_policy(
        RoleName=ws.name("APIGateway-SQS"), PolicyArn=ws.policy_arn("Lambda-Publish-SNS")
    )


@by_hand(1, "role", "Lambda-DynamoDB-SNS", "InlinePolicies")
def role_got_an_inline_policy(ws):
    ws.client("iam").put_role_policy(
        RoleName=ws.name("Lambda-DynamoDB-SNS"), PolicyName="by-hand", PolicyDocument=json.dumps(READ_S3)
    )


@by_hand(2, "table", "ecommerce-orders", "BillingMode")
def table_is_paid_by_capacity(ws):
    ws.client("dynamodb").update_table(
        TableName=ws.name("ecommerce-orders"),
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )


def queue_attribute(name: str, value: str, base: str = "ecommerce-orders-queue"):
    return lambda ws: ws.client("sqs").set_queue_attributes(QueueUrl=url_of(ws, base), Attributes={name: value})


for _base, _name, _value in (
    ("ecommerce-orders-queue", "VisibilityTimeout", "5"),
    ("ecommerce-orders-queue", "MessageRetentionPeriod", "60"),
    ("ecommerce-orders-queue", "SqsManagedSseEnabled", "false"),
    ("ecommerce-orders-dlq", "MessageRetentionPeriod", "60"),
    ("ecommerce-orders-dlq", "Policy", ""),
    ("ecommerce-orders-dlq", "RedriveAllowPolicy", '{"redrivePermission": "allowAll"}'),
    ("ecommerce-orders-queue", "RedriveAllowPolicy", '{"redrivePermission": "allowAll"}'),
):
    CHANGES.append(
        pytest.param(
            Change(3, "queue", _base, _name, queue_attribute(_name, _value, _base)), id=f"{_base} has another {_name}"
        )
    )


@by_hand(3, "queue", "ecommerce-orders-queue", "Policy")
def queue_policy_lets_everybody_send(ws):
    url = url_of(ws)
    policy = json.loads(
        ws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    )
    policy["Statement"] = [
        {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "sqs:SendMessage",
            "Resource": ws.arn("sqs", url.split("/")[-1]),
        }
    ]
    queue_attribute("Policy", json.dumps(policy))(ws)


@by_hand(3, "queue", "ecommerce-orders-queue", "RedrivePolicy")
def queue_gives_up_after_one_try(ws):
    dead_letters = ws.arn("sqs", ws.name("ecommerce-orders-dlq"))
    queue_attribute("RedrivePolicy", json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": 1}))(ws)


@by_hand(3, "queue", "ecommerce-orders-queue", "RedrivePolicy")
def queue_has_no_dead_letter_queue(ws):
    queue_attribute("RedrivePolicy", "")(ws)


@by_hand(3, "queue", "ecommerce-orders-dlq", "tag Environment")
def queue_lost_its_environment_tag(ws):
    ws.client("sqs").untag_queue(QueueUrl=url_of(ws, "ecommerce-orders-dlq"), TagKeys=["Environment"])


for _step, _function in ((4, "POC-Lambda-1"), (7, "POC-Lambda-2")):
    for _key, _value in (
        ("Environment", {"Variables": {"SOMETHING": "else"}}),
        # The second function's other settings are put right by the same lines.
        *(
            [("Timeout", 3), ("MemorySize", 128), ("Handler", "index.main"), ("Runtime", "python3.12")][
                : 4 * (_step == 4)
            ]
        ),
    ):

        def _configure(ws, name=_function, changed={_key: _value}):  # noqa: B006 (binds the loop's values)
            ws.client("lambda").update_function_configuration(FunctionName=ws.name(name), **changed)

        CHANGES.append(
            pytest.param(Change(_step, "function", _function, _key, _configure), id=f"{_function} has another {_key}")
        )

    def _code(ws, name=_function):
        code = packed("def handler(event, context):\n    return None\n")
        ws.client("lambda").update_function_code(FunctionName=ws.name(name), ZipFile=code, Architectures=["arm64"])

    CHANGES.append(pytest.param(Change(_step, "function", _function, "Code", _code), id=f"{_function} has other code"))

    def _retention(ws, name=f"/aws/lambda/{_function}"):
        ws.client("logs").put_retention_policy(logGroupName=ws.name(name), retentionInDays=1)

    CHANGES.append(
        pytest.param(
            Change(_step, "log-group", f"/aws/lambda/{_function}", "retentionInDays", _retention),
            id=f"log of {_function} is kept for another time",
        )
    )

    for _key, _setting, _value in (("BatchSize", "BatchSize", 2), ("Enabled", "Enabled", False)):

        def _map(ws, name=_function, changed={_key: _value}):  # noqa: B006
            ws.client("lambda").update_event_source_mapping(UUID=mapping_of(ws, name), **changed)

        CHANGES.append(
            pytest.param(
                Change(_step, "event-source-mapping", _function, _setting, _map), id=f"trigger of {_function}: {_key}"
            )
        )


@by_hand(4, "function", "POC-Lambda-1", "Role")
def function_has_another_role(ws):
    role = ws.arn("iam", f"role/{ws.name('Lambda-DynamoDB-SNS')}")
    ws.client("lambda").update_function_configuration(FunctionName=ws.name("POC-Lambda-1"), Role=role)


@by_hand(4, "log-group", "/aws/lambda/POC-Lambda-1", "retentionInDays")
def log_is_kept_for_ever(ws):
    ws.client("logs").delete_retention_policy(logGroupName=ws.name("/aws/lambda/POC-Lambda-1"))


@by_hand(4, "event-source-mapping", "POC-Lambda-1", "FunctionResponseTypes")
def trigger_takes_no_partial_answer(ws):
    ws.client("lambda").update_event_source_mapping(UUID=mapping_of(ws, "POC-Lambda-1"), FunctionResponseTypes=[])


@by_hand(7, "event-source-mapping", "POC-Lambda-2", "FilterCriteria")
def trigger_passes_on_what_was_removed(ws):
    pattern = {"Filters": [{"Pattern": json.dumps({"eventName": ["REMOVE"]})}]}
    ws.client("lambda").update_event_source_mapping(UUID=mapping_of(ws, "POC-Lambda-2"), FilterCriteria=pattern)


@by_hand(7, "event-source-mapping", "POC-Lambda-2", "MaximumRetryAttempts")
def trigger_tries_once_only(ws):
    ws.client("lambda").update_event_source_mapping(UUID=mapping_of(ws, "POC-Lambda-2"), MaximumRetryAttempts=0)


@by_hand(6, "topic", "ecommerce-orders-topic", "Policy")
def topic_policy_lets_everybody_publish(ws):
    arn = ws.arn("sns", ws.name("ecommerce-orders-topic"))
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": arn}
    ws.client("sns").set_topic_attributes(
        TopicArn=arn,
        AttributeName="Policy",
        AttributeValue=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


@by_hand(8, "rest-api", "ecommerce-orders-api", "description")
def api_has_another_description(ws):
    ws.client("apigateway").update_rest_api(restApiId=api_of(ws), patchOperations=patch("/description", "mine"))


@by_hand(8, "request-model", "Order", "schema")
def model_lets_everything_in(ws):
    ws.client("apigateway").update_model(
        restApiId=api_of(ws), modelName="Order", patchOperations=patch("/schema", '{"type": "object"}')
    )


@by_hand(8, "request-validator", "order-body", "validateRequestBody")
def validator_looks_away(ws):
    apigateway, api = ws.client("apigateway"), api_of(ws)
    validator = apigateway.get_request_validators(restApiId=api)["items"][0]["id"]
    apigateway.update_request_validator(
        restApiId=api, requestValidatorId=validator, patchOperations=patch("/validateRequestBody", "false")
    )


@by_hand(8, "method", "POST /orders", "requestTemplates")
def template_does_not_escape(ws):
    here = method_of(ws)
    integration = ws.client("apigateway").get_integration(**here)
    kept = {key: integration[key] for key in ("type", "uri", "credentials", "requestParameters", "passthroughBehavior")}
    template = integration["requestTemplates"]["application/json"]
    assert "$util.urlEncode($input.body)" in template
    ws.client("apigateway").put_integration(
        **here,
        **kept,
        integrationHttpMethod="POST",
        requestTemplates={"application/json": template.replace("$util.urlEncode($input.body)", "$input.body")},
    )


@by_hand(8, "method", "POST /orders", "passthroughBehavior")
def integration_passes_other_content_types_through(ws):
    here = method_of(ws)
    integration = ws.client("apigateway").get_integration(**here)
    kept = {key: integration[key] for key in ("type", "uri", "credentials", "requestParameters", "requestTemplates")}
    ws.client("apigateway").put_integration(
        **here, **kept, integrationHttpMethod="POST", passthroughBehavior="WHEN_NO_MATCH"
    )


@by_hand(8, "method", "POST /orders", "responses")
def response_template_says_something_else(ws):
    ws.client("apigateway").put_integration_response(
        **method_of(ws),
        statusCode="202",
        selectionPattern=r"2\d{2}",
        responseTemplates={"application/json": '{"thanks": true}'},
    )


@by_hand(8, "stage", "dev", "deployment")
def somebody_deployed_by_hand(ws):
    ws.client("apigateway").create_deployment(restApiId=api_of(ws), stageName="dev", description="quick fix")


def throttle(limit: str, value: str):
    return lambda ws: ws.client("apigateway").update_stage(
        restApiId=api_of(ws), stageName="dev", patchOperations=patch(f"/*/*/throttling/{limit}", value)
    )


for _limit in ("rateLimit", "burstLimit"):
    CHANGES.append(
        pytest.param(Change(8, "stage", "dev", _limit, throttle(_limit, "7")), id=f"stage has another {_limit}")
    )


def environment_tag(kind: str, base: str):
    return lambda ws: KINDS[kind].tag(ws, ws.need(kind, base), {"Environment": "prod"})


TAGGED = {kind for kind, one in KINDS.items() if one.tag} - PART_OF.keys()
for _part in (part for step in load_steps() for part in step.parts if part.kind in TAGGED):
    CHANGES.append(
        pytest.param(
            Change(_part.step, _part.kind, _part.base, "tag Environment", environment_tag(_part.kind, _part.base)),
            id=f"{_part.kind} {_part.base} has another environment tag",
        )
    )


class Right:
    """A participant for whom everything is right, and how that looks. A test that fails leaves it `dirty`."""

    def __init__(self, ws):
        self.ws, self.dirty, self.before = ws, True, {}


@pytest.fixture(scope="module")
def kept(built):
    return Right(built)


@pytest.fixture
def right(kept):
    """Everything is built and right, whatever the test before left."""
    if kept.dirty:
        build(kept.ws)
        assert not_present(kept.ws) == {}
        kept.before = snapshot(kept.ws)
    kept.dirty = True
    return kept


def one_of_each() -> list[Any]:
    """All changes; in every run the first of each kind of resource."""
    ids: dict[str, list[str]] = {}
    for one in CHANGES:
        ids.setdefault(one.values[0].kind, []).append(one.id)
    return sample(CHANGES, {of_kind[0] for of_kind in ids.values()})


@pytest.mark.parametrize("change", one_of_each())
def test_a_change_by_hand_is_found_and_put_right(right, change):
    ws = right.ws
    name = change.base if change.step == 8 and change.kind != "rest-api" else ws.name(change.base)
    change.make(ws)

    drifted = [one for one in building.status(ws)["resources"] if one["state"] != "present"]
    assert [(one["kind"], one["name"], one["state"]) for one in drifted] == [(change.kind, name, "drifted")]
    assert change.setting in [difference["setting"] for difference in drifted[0]["differences"]]

    results = {(r.kind, r.name): r.result for step in ws.steps for r in step.run(ws)}
    assert {key: result for key, result in results.items() if result != "unchanged"} == {(change.kind, name): "updated"}
    assert snapshot(ws) == right.before
    right.dirty = False


def test_what_was_put_right_is_shown(right, cli):
    queue_attribute("VisibilityTimeout", "5")(right.ws)
    whose = ["--prefix", right.ws.settings.prefix]
    shown = cli("status", *whose)
    line = next(line for line in shown.out.splitlines() if "VisibilityTimeout" in line)
    assert "drifted" in line
    assert "5" in line.partition("VisibilityTimeout")[2]
    assert "60" in line.partition("VisibilityTimeout")[2]
    done = cli("03_sqs", *whose)
    assert "0 created, 1 updated, 1 unchanged" in done.out
    assert "VisibilityTimeout" in done.out


def switch_stream(ws, **specification):
    dynamodb, table = ws.client("dynamodb"), ws.name("ecommerce-orders")
    dynamodb.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})
    if specification:
        dynamodb.update_table(TableName=table, StreamSpecification={"StreamEnabled": True, **specification})


@pytest.mark.parametrize(
    ("specification", "state"),
    [
        pytest.param({}, "missing", id="off", marks=pytest.mark.slow),
        pytest.param({"StreamViewType": "KEYS_ONLY"}, "drifted", id="with another view"),
    ],
)
def test_a_stream_changed_by_hand_is_switched_on_again_and_read_again(ws, specification, state):
    replay.build(ws)
    switch_stream(ws, **specification)
    assert {r.kind: r.result for r in ws.steps[4].examine(ws)} == {"stream": state}
    assert [r.result for r in ws.steps[4].run(ws)] != ["unchanged"]
    # The stream is a new one. The trigger of the old one points to nothing, which step 7 has to notice.
    assert ("event-source-mapping", ws.name("POC-Lambda-2")) in not_present(ws)
    ws.steps[6].run(ws)
    assert {r.result for r in looked_at(ws)} == {"present"}
    mappings = ws.client("lambda").list_event_source_mappings(FunctionName=ws.name("POC-Lambda-2"))
    table = ws.client("dynamodb").describe_table(TableName=ws.name("ecommerce-orders"))["Table"]
    assert [m["EventSourceArn"] for m in mappings["EventSourceMappings"]] == [table["LatestStreamArn"]]
    status, answer = post(api_url(ws), json.dumps({"productId": "1", "quantity": 1}))
    assert status == 202
    assert eventually(lambda: [mail for mail in mails(ws) if answer["messageId"] in mail["Message"]])


def test_a_template_changed_and_deployed_by_hand_no_longer_serves(ws):
    replay.build(ws)
    template_does_not_escape(ws)
    somebody_deployed_by_hand(ws)
    assert set(not_present(ws)) == {("method", "POST /orders"), ("stage", "dev")}
    ws.steps[7].run(ws)
    text = "a&MessageBody=b"
    status, answer = post(api_url(ws), json.dumps({"productId": text, "quantity": 1}))
    assert status == 202
    assert row(ws, answer["messageId"])["productId"] == {"S": text}


def delete_policy(ws):
    arn = ws.policy_arn("Lambda-Put-DynamoDB")
    ws.client("iam").detach_role_policy(RoleName=ws.name("Lambda-SQS-DynamoDB"), PolicyArn=arn)
    ws.client("iam").delete_policy(PolicyArn=arn)


def delete_role(ws):
    iam, name = ws.client("iam"), ws.name("Lambda-DynamoDB-SNS")
    for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    iam.delete_role(RoleName=name)


DELETIONS = {
    "policy": delete_policy,
    "role": delete_role,
    "table": lambda ws: ws.client("dynamodb").delete_table(TableName=ws.name("ecommerce-orders")),
    "queue": lambda ws: ws.client("sqs").delete_queue(QueueUrl=url_of(ws)),
    "dead-letter queue": lambda ws: ws.client("sqs").delete_queue(QueueUrl=url_of(ws, "ecommerce-orders-dlq")),
    "log group": lambda ws: ws.client("logs").delete_log_group(logGroupName=ws.name("/aws/lambda/POC-Lambda-2")),
    "first function": lambda ws: ws.client("lambda").delete_function(FunctionName=ws.name("POC-Lambda-1")),
    "second function": lambda ws: ws.client("lambda").delete_function(FunctionName=ws.name("POC-Lambda-2")),
    "trigger": lambda ws: ws.client("lambda").delete_event_source_mapping(UUID=mapping_of(ws, "POC-Lambda-1")),
    "topic": lambda ws: ws.client("sns").delete_topic(TopicArn=ws.arn("sns", ws.name("ecommerce-orders-topic"))),
    "API": lambda ws: ws.client("apigateway").delete_rest_api(restApiId=api_of(ws)),
    "stage": lambda ws: ws.client("apigateway").delete_stage(restApiId=api_of(ws), stageName="dev"),
    "method": lambda ws: ws.client("apigateway").delete_method(**method_of(ws)),
}


@pytest.mark.parametrize("name", sample(DELETIONS, ("API",)))
def test_what_was_deleted_by_hand_is_made_again_and_orders_flow(right, name):
    ws = right.ws
    DELETIONS[name](ws)
    assert not_present(ws)
    build(ws)
    assert not_present(ws) == {}
    listen_to_mail(ws)
    status, answer = post(api_url(ws), json.dumps({"productId": "1", "quantity": 1}))
    assert status == 202
    assert row(ws, answer["messageId"])
    assert eventually(lambda: [mail for mail in mails(ws) if answer["messageId"] in mail["Message"]])


def test_a_table_with_another_key_is_refused_and_kept(ws):
    dynamodb, name = ws.client("dynamodb"), ws.name("ecommerce-orders")
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        Tags=ws.tag_list,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    dynamodb.put_item(TableName=name, Item={"id": {"S": "kept"}})
    with pytest.raises(Exception, match="has a different primary key"):
        ws.steps[1].run(ws)
    assert dynamodb.scan(TableName=name)["Items"] == [{"id": {"S": "kept"}}]
