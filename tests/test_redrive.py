"""`workshop redrive`: both dead-letter queues are read, understood, and emptied into the flow."""

import json

import pytest
from replay import build
from support import (
    eventually,
    mails,
    messages,
    post,
    refused_by_the_function,
    report_failure,
    row,
    rows,
    sample,
    send,
    type_here,
)  # fmt: skip

from workshop.orders import dead_letters
from workshop.orders.api import api_url
from workshop.orders.mail import listen_to_mail

ORDERS, RECORDS = "ecommerce-orders-dlq", "ecommerce-orders-stream-dlq"
ORDER = {"productId": "12345", "quantity": 2}
REPORT = {"DDBStreamBatchInfo": {"streamArn": "x", "shardId": "1", "startSequenceNumber": "1", "endSequenceNumber": []}}


@pytest.fixture(scope="module")
def flowing(built):
    listen_to_mail(built)
    return built


@pytest.fixture
def whole(flowing):
    """Everything is built, and both dead-letter queues are empty."""
    for base in (ORDERS, RECORDS):
        flowing.client("sqs").purge_queue(QueueUrl=flowing.find("queue", base)["QueueUrl"])
    return flowing


@pytest.fixture
def redriving(whole, monkeypatch):
    """Run `workshop redrive` for the participant that everything is built for."""
    # The embedded AWS is one server: nothing is overlooked.
    monkeypatch.setattr(dead_letters, "WAIT", 0)
    env = {"WORKSHOP_STATE_DIR": str(whole.settings.state_dir), "WORKSHOP_PREFIX": whole.settings.prefix}
    return lambda *arguments: type_here("redrive", "--yes", *arguments, env=env)


def told_of(ws, order_id: str) -> int:
    """In how many e-mails an order stands."""
    return sum(order_id in mail["Message"] for mail in mails(ws))


def placed(ws, **fields) -> str:
    """Place an order, and wait until somebody is told of it."""
    status, answer = post(api_url(ws), json.dumps(ORDER | fields))
    assert status == 202
    order_id = fields.get("orderId", answer["messageId"])
    assert eventually(lambda: told_of(ws, order_id))
    return order_id


def test_there_is_nothing_to_send_back(redriving):
    ran = redriving("--json")
    assert (ran.code, ran.json) == (0, {"messages": [], "sent": [], "refused": [], "discarded": [], "later": []})


def test_a_dry_run_shows_reason_and_age_and_changes_nothing(redriving, whole):
    message = refused_by_the_function(whole, json.dumps({"quantity": 1}))
    ran = redriving("--dry-run", "--json")
    assert ran.code == 0
    ((letter,), age) = (ran.json["messages"], ran.json["messages"][0]["age"])
    assert (letter["id"], letter["queue"], letter["reason"]) == (message, ORDERS, "productId is missing")
    assert 0 <= age < 60
    assert "productId is missing" in redriving("--dry-run").out
    assert messages(whole, ORDERS) == 1


def test_an_order_goes_back_under_its_old_id(redriving, whole):
    first, second = send(whole, ORDERS, json.dumps(ORDER)), send(whole, ORDERS, json.dumps(ORDER | {"orderId": "own"}))
    ran = redriving("--json")
    assert ran.code == 0, ran.err
    assert {entry["id"] for entry in ran.json["sent"]} == {first, second}
    assert row(whole, first)["productId"] == {"S": "12345"}
    assert row(whole, "own")
    assert messages(whole, ORDERS) == 0


def test_an_order_that_was_stored_after_all_is_not_stored_or_told_of_twice(redriving, whole):
    order_id = placed(whole)
    before = len(rows(whole))
    send(whole, ORDERS, json.dumps(ORDER | {"orderId": order_id}))
    assert redriving("--json").code == 0
    after = placed(whole)
    assert len(rows(whole)) == before + 1
    assert (told_of(whole, order_id), told_of(whole, after)) == (1, 1)


def test_only_one_of_them(redriving, whole):
    first, second = send(whole, ORDERS, json.dumps(ORDER)), send(whole, ORDERS, json.dumps(ORDER))
    ran = redriving("--id", second, "--json")
    assert [entry["id"] for entry in ran.json["sent"]] == [second]
    # The other one can be seen again at once.
    assert [entry["id"] for entry in redriving("--dry-run", "--json").json["messages"]] == [first]


def test_an_id_that_is_not_there(redriving, whole):
    send(whole, ORDERS, json.dumps(ORDER))
    ran = redriving("--id", "no-such-message")
    assert ran.code == 1
    assert "no-such-message" in ran.errors[0]
    assert messages(whole, ORDERS) == 1


#: Messages that are no orders.
NO_ORDERS = {"no JSON": "no JSON", "no product": '{"quantity": 1}', "too deep": "[" * 2000}


@pytest.mark.parametrize("case", sample(NO_ORDERS, ("no product",)))
def test_what_is_no_order_stays_until_it_is_discarded(redriving, whole, case):
    send(whole, ORDERS, NO_ORDERS[case])
    ran = redriving("--json")
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert "--discard" in ran.errors[0]
    assert len(ran.json["refused"]) == messages(whole, ORDERS) == 1
    ran = redriving("--discard", "--json")
    assert (ran.code, len(ran.json["discarded"]), messages(whole, ORDERS)) == (0, 1, 0)


def test_records_are_fetched_from_the_stream_and_told_of(redriving, whole):
    order_id, other = placed(whole), placed(whole)
    message = report_failure(whole, order_id)
    ran = redriving("--dry-run", "--json")
    assert [one["reason"] for one in ran.json["messages"]] == ["1 record(s): RetryAttemptsExhausted"]
    ran = redriving("--json")
    assert ran.code == 0, ran.err
    assert [(one["id"], one["queue"]) for one in ran.json["sent"]] == [(message, RECORDS)]
    assert eventually(lambda: told_of(whole, order_id) == 2)
    assert (told_of(whole, other), messages(whole, RECORDS)) == (1, 0)


def test_records_that_have_left_the_stream(redriving, whole):
    stream = whole.find("stream", "ecommerce-orders")["Arn"]
    report_failure(whole, placed(whole), stream.replace("/stream/2", "/stream/1"))
    ran = redriving("--json")
    assert ran.code == 1, ran.err
    assert "24 hours" in ran.json["refused"][0]["detail"]
    assert messages(whole, RECORDS) == 1
    assert redriving("--discard").code == 0
    assert messages(whole, RECORDS) == 0


@pytest.mark.parametrize(
    "body",
    sample(
        ("no JSON", "{}", "[]", '{"DDBStreamBatchInfo": {}}', '{"DDBStreamBatchInfo": []}', json.dumps(REPORT)),
        ("no JSON", json.dumps(REPORT)),
    ),
)
def test_a_report_that_is_none(redriving, whole, body):
    send(whole, RECORDS, body)
    ran = redriving("--json")
    assert (ran.code, len(ran.json["refused"])) == (1, 1)


def test_the_second_function_fails_again(redriving, whole):
    order_id = placed(whole)
    report_failure(whole, order_id)
    iam = whole.client("iam")
    right = {"RoleName": whole.name("Lambda-DynamoDB-SNS"), "PolicyArn": whole.policy_arn("Lambda-Publish-SNS")}
    iam.detach_role_policy(**right)
    try:
        ran = redriving("--json")
    finally:
        iam.attach_role_policy(**right)
    assert ran.code == 1
    assert "POC-Lambda-2 failed again" in ran.json["later"][0]["detail"]
    assert (told_of(whole, order_id), messages(whole, RECORDS)) == (1, 1)
    assert redriving().code == 0
    assert eventually(lambda: told_of(whole, order_id) == 2)


def test_nothing_is_built(cli):
    ran = cli("redrive", "--yes")
    assert ran.code == 1
    assert "workshop 08_api" in ran.errors[0]


def test_without_a_yes_nothing_is_sent(cli, ws):
    build(ws)
    send(ws, ORDERS, json.dumps(ORDER))
    ran = cli("redrive")
    assert ran.code == 1
    assert "--yes" in ran.errors[0]
    assert messages(ws, ORDERS) == 1
    assert rows(ws) == []
