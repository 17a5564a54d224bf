"""What `workshop redrive --discard` must never do: delete what could still become right. And that it moves much."""

import json
import os
import signal
import time

import pytest
from faults import Clock, Faults
from front import standing_before
from support import eventually, messages, report_failure, row, sample, send

from workshop.base.errors import NotBuilt, WorkshopError
from workshop.commands.redrive import redrive, refused
from workshop.orders import dead_letters, resend
from workshop.orders.mail import listen_to_mail

ORDERS, RECORDS = "ecommerce-orders-dlq", "ecommerce-orders-stream-dlq"
ORDER = {"productId": "12345", "quantity": 2}
DENIED = "User is not authorized to perform this action"


@pytest.fixture
def flowing(built, open_ws, monkeypatch):
    """Everything is built, both dead-letter queues are empty, and nobody waits long for an API that is closed."""
    monkeypatch.setattr(resend, "GIVE_UP_AFTER", 0.3)
    # The embedded AWS is one server: nothing is overlooked.
    monkeypatch.setattr(dead_letters, "WAIT", 0)
    ws = open_ws(built.settings.prefix)
    listen_to_mail(ws)
    for base in (ORDERS, RECORDS):
        ws.client("sqs").purge_queue(QueueUrl=ws.find("queue", base)["QueueUrl"])
    return ws


@pytest.fixture
def layer(flowing):
    """The fault layer between the workshop and AWS; its time is a clock that only waiting moves."""
    clock = Clock()
    flowing.waiter.clock, flowing.waiter.sleep = clock, clock.sleep
    faults = Faults(clock).attach(flowing.client)
    faults.attach_to("dynamodbstreams", flowing.client("dynamodbstreams"))
    return faults


def behind(ws, monkeypatch, url: str) -> None:
    """Let the workshop place its orders somewhere else."""
    monkeypatch.setattr(resend, "api_url", lambda _: url)


def ids(document: dict, word: str) -> set[str]:
    return {entry["id"] for entry in document[word]}


def only(document: dict, word: str) -> str:
    """The one dead letter has had one outcome; returns the detail."""
    assert {key: len(document[key]) for key in ("sent", "refused", "discarded", "later")} == {
        key: int(key == word) for key in ("sent", "refused", "discarded", "later")
    }
    return document[word][0]["detail"]


# --- orders -----------------------------------------------------------------------------------------------------

CLOSED = {
    "throttled": (429, "Too Many Requests"),
    "forbidden": (403, "Missing Authentication Token"),
    "fault": (500, "The order could not be queued; try again later."),
    "bad gateway": (502, "Internal server error"),
    "no stage": (404, "Not Found"),
    "too slow": (504, "Endpoint request timed out"),
    # The queue is missing or takes nothing: SQS's own 400, which the API passes on in these words.
    "no queue": (400, "The queue did not take this order; it may be too large."),
    "empty yes": (202, ""),
}


@pytest.mark.parametrize("name", sample(CLOSED, ("throttled", "no queue")))
def test_a_good_order_stays_while_the_api_is_closed(flowing, monkeypatch, name):
    answer = CLOSED[name]
    sent = {send(flowing, ORDERS, json.dumps(ORDER)) for _ in range(3)}
    with standing_before(flowing, lambda order: answer) as url:
        behind(flowing, monkeypatch, url)
        document = redrive(flowing, discard=True)
    assert ids(document, "later") == sent
    assert document["sent"] == document["refused"] == document["discarded"] == []
    problem = refused(document)
    assert problem.exit_code == 1
    assert "3 messages" in str(problem)
    # They can be seen again at once, and are still good.
    monkeypatch.undo()
    assert ids(redrive(flowing, discard=True), "sent") == sent
    assert all(row(flowing, one) for one in sent)


def test_a_good_order_stays_while_nobody_answers(flowing, monkeypatch):
    message = send(flowing, ORDERS, json.dumps(ORDER))
    behind(flowing, monkeypatch, "http://127.0.0.1:9/orders")
    document = redrive(flowing, discard=True)
    assert "No response from" in only(document, "later")
    assert messages(flowing, ORDERS) == 1
    assert ids(document, "later") == {message}


def test_a_stage_that_sends_elsewhere_makes_no_order_bad(flowing):
    """A stage that sends elsewhere gets no order, and its answers count for nothing, whatever its deployment says."""
    send(flowing, ORDERS, json.dumps(ORDER))
    api, apigateway = flowing.find("rest-api", "ecommerce-orders-api"), flowing.client("apigateway")
    resources = apigateway.get_resources(restApiId=api["id"], limit=500)["items"]
    place = next(one["id"] for one in resources if one["path"] == "/orders")
    uri = apigateway.get_integration(restApiId=api["id"], resourceId=place, httpMethod="POST")["uri"]
    stage = apigateway.get_stage(restApiId=api["id"], stageName="dev")
    # The model and the validator are the workshop's own, and the deployment says so.
    said = apigateway.get_deployment(restApiId=api["id"], deploymentId=stage["deploymentId"])["description"]
    deploy = lambda: apigateway.create_deployment(restApiId=api["id"], stageName="dev", description=said)  # noqa: E731
    try:
        apigateway.update_integration(
            restApiId=api["id"], resourceId=place, httpMethod="POST",
            patchOperations=[{"op": "replace", "path": "/uri", "value": f"{uri}-gone"}],
        )  # fmt: skip
        deploy()
        with pytest.raises(WorkshopError, match="Nothing is discarded: the stage"):
            redrive(flowing, discard=True)
        with pytest.raises(NotBuilt, match="doesn't send"):
            redrive(flowing)
        assert messages(flowing, ORDERS) == 1
    finally:
        flowing.steps[7].run(flowing)
    assert messages(flowing, ORDERS) == 1
    only(redrive(flowing), "sent")


def test_a_throttle_that_opens_again_is_waited_for(flowing, monkeypatch):
    sent = {send(flowing, ORDERS, json.dumps(ORDER)) for _ in range(12)}
    monkeypatch.setattr(resend, "GIVE_UP_AFTER", 5.0)
    seen = []

    def every_third(order):
        seen.append(order["orderId"])
        return None if len(seen) % 3 == 0 else (429, "Too Many Requests")

    with standing_before(flowing, every_third) as url:
        behind(flowing, monkeypatch, url)
        document = redrive(flowing, discard=True)
    assert ids(document, "sent") == sent
    assert len(seen) > len(sent)
    assert refused(document) is None


def test_of_many_only_those_go_that_were_taken_or_are_hopeless(flowing, monkeypatch):
    good = [send(flowing, ORDERS, json.dumps(ORDER | {"productId": "good"})) for _ in range(4)]
    closed = [send(flowing, ORDERS, json.dumps(ORDER | {"productId": "closed"})) for _ in range(4)]
    bad = [send(flowing, ORDERS, json.dumps(ORDER | {"quantity": 0})) for _ in range(4)]
    rule = lambda order: (429, "Too Many Requests") if order["productId"] == "closed" else None  # noqa: E731
    with standing_before(flowing, rule) as url:
        behind(flowing, monkeypatch, url)
        document = redrive(flowing, discard=True)
    assert (ids(document, "sent"), ids(document, "later"), ids(document, "discarded")) == (
        set(good),
        set(closed),
        set(bad),
    )
    assert messages(flowing, ORDERS) == len(closed)


# --- reports of the stream -----------------------------------------------------------------------------------------


def placed(ws) -> str:
    """Place an order straight into the table, whose stream then has it."""
    order_id = f"o{time.time_ns()}"
    item = {"orderId": {"S": order_id}, "productId": {"S": "12345"}, "quantity": {"N": "2"}}
    ws.client("dynamodb").put_item(TableName=ws.name("ecommerce-orders"), Item=item)
    return order_id


def told_of(ws, order_id: str) -> int:
    topic = ws.arn("sns", ws.name("ecommerce-orders-topic"))
    return sum(order_id in mail["Message"] for mail in ws.mailbox.read(topic))


#: What comes between a report and its mail: (operation, code, status).
TROUBLE = {
    "get_records throttled": ("GetRecords", "ProvisionedThroughputExceededException", 400),
    "get_records limited": ("GetRecords", "LimitExceededException", 400),
    "get_records denied": ("GetRecords", "AccessDeniedException", 400),
    "get_records at fault": ("GetRecords", "InternalServerError", 500),
    "iterator expired": ("GetRecords", "ExpiredIteratorException", 400),
    "trimmed while reading": ("GetRecords", "TrimmedDataAccessException", 400),
    "iterator throttled": ("GetShardIterator", "ThrottlingException", 400),
    "iterator denied": ("GetShardIterator", "AccessDeniedException", 400),
    "iterator at fault": ("GetShardIterator", "InternalServerError", 500),
    "credentials expired": ("GetShardIterator", "ExpiredTokenException", 400),
    "invoke throttled": ("Invoke", "TooManyRequestsException", 429),
    "invoke denied": ("Invoke", "AccessDeniedException", 403),
    "invoke at fault": ("Invoke", "ServiceException", 500),
    "function gone": ("Invoke", "ResourceNotFoundException", 404),
}


@pytest.mark.parametrize(
    "trouble", sample(TROUBLE, ("iterator expired", "trimmed while reading", "iterator denied", "invoke throttled"))
)
def test_a_report_stays_while_aws_does_not_say_that_its_records_are_gone(flowing, layer, trouble):
    operation, code, status = TROUBLE[trouble]
    report_failure(flowing, placed(flowing))
    watch = layer.refuse(operation, code, "not now", status)
    document = redrive(flowing, discard=True)
    assert watch.hits
    only(document, "later")
    assert refused(document).exit_code == 1
    assert messages(flowing, RECORDS) == 1


@pytest.mark.parametrize("operation", sample(("GetShardIterator", "GetRecords", "Invoke"), ("Invoke",)))
def test_a_report_stays_while_aws_is_out_of_reach(flowing, layer, operation):
    report_failure(flowing, placed(flowing))
    layer.unreachable(operation, float("inf"))
    only(redrive(flowing, discard=True), "later")
    assert messages(flowing, RECORDS) == 1


def test_after_one_throttle_that_did_not_pass_nobody_waits_for_the_next(flowing, layer):
    for _ in range(3):
        report_failure(flowing, placed(flowing))
    layer.refuse("GetRecords", "ThrottlingException", "Rate exceeded")
    began = layer.clock()
    assert len(redrive(flowing, discard=True)["later"]) == 3
    assert layer.clock() - began < 300


def test_a_function_that_fails_keeps_its_report(flowing, layer):
    order_id = placed(flowing)
    report_failure(flowing, order_id)
    iam = flowing.client("iam")
    right = {"RoleName": flowing.name("Lambda-DynamoDB-SNS"), "PolicyArn": flowing.policy_arn("Lambda-Publish-SNS")}
    iam.detach_role_policy(**right)
    try:
        document = redrive(flowing, discard=True)
    finally:
        iam.attach_role_policy(**right)
    assert "POC-Lambda-2 failed again" in only(document, "later")
    assert messages(flowing, RECORDS) == 1


def test_another_regions_stream_has_not_expired(flowing):
    stream = flowing.find("stream", "ecommerce-orders")["Arn"]
    report_failure(flowing, placed(flowing), stream.replace(":us-east-1:", ":eu-central-1:"))
    assert "belongs to another table" in only(redrive(flowing, discard=True), "later")
    assert messages(flowing, RECORDS) == 1


def test_trimmed_records_have_expired(flowing, layer):
    report_failure(flowing, placed(flowing))
    layer.refuse("GetShardIterator", "TrimmedDataAccessException", "The data you are trying to access has been trimmed")
    assert "24 hours" in only(redrive(flowing), "refused")
    assert "24 hours" in only(redrive(flowing, discard=True), "discarded")
    assert messages(flowing, RECORDS) == 0


def test_of_a_report_whose_first_records_have_expired_the_others_are_told_of(flowing, layer):
    first, second = placed(flowing), placed(flowing)
    for order_id in (first, second):
        assert eventually(lambda order_id=order_id: told_of(flowing, order_id) == 1)
        report_failure(flowing, order_id)
    url = flowing.find("queue", RECORDS)["QueueUrl"]
    sqs = flowing.client("sqs")
    reports = {}
    while len(reports) < 2:
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            reports[message["MessageId"]] = json.loads(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    batches = [report["DDBStreamBatchInfo"] for report in reports.values()]
    numbers = sorted((batch["startSequenceNumber"] for batch in batches), key=int)
    whole = next(iter(reports.values()))
    whole["DDBStreamBatchInfo"] |= {"startSequenceNumber": numbers[0], "endSequenceNumber": numbers[1], "batchSize": 2}
    send(flowing, RECORDS, json.dumps(whole))
    asked_for_first = lambda sending: numbers[0] in sending.body  # noqa: E731
    layer.refuse("GetShardIterator", "TrimmedDataAccessException", "trimmed", when=asked_for_first)
    only(redrive(flowing, discard=True), "sent")
    assert eventually(lambda: told_of(flowing, second) == 2)


def test_many_reports_make_one_mail_and_a_poisoned_one_does_not_stop_the_others(flowing, layer):
    orders = [placed(flowing) for _ in range(12)]
    assert eventually(lambda: all(told_of(flowing, one) for one in orders))
    sent = {report_failure(flowing, one): one for one in orders}
    poison = orders[5]
    layer.refuse("Invoke", "InvalidRequestContentException", "no", when=lambda sending: poison in sending.body)
    before = len(flowing.mailbox.read(flowing.arn("sns", flowing.name("ecommerce-orders-topic"))))
    document = redrive(flowing, discard=True)
    assert {sent[one] for one in ids(document, "later")} == {poison}
    assert ids(document, "sent") == {message for message, order in sent.items() if order != poison}
    assert eventually(lambda: all(told_of(flowing, one) == 2 for one in orders if one != poison))
    assert len(flowing.mailbox.read(flowing.arn("sns", flowing.name("ecommerce-orders-topic")))) - before <= 4


# --- the queue itself ----------------------------------------------------------------------------------------------


def test_the_outcome_is_told_when_sqs_shows_nothing_again(flowing, layer):
    """The last act, showing what stays at once, fails after two minutes at the question."""
    good, bad = send(flowing, ORDERS, json.dumps(ORDER)), send(flowing, ORDERS, "no order")
    watch = layer.refuse("ChangeMessageVisibility", "ReceiptHandleIsInvalid", "The receipt handle has expired", 404)
    document = redrive(flowing)
    assert watch.hits
    assert (ids(document, "sent"), ids(document, "refused")) == ({good}, {bad})


def test_what_was_sent_and_not_deleted_is_said_and_not_lost(flowing, layer):
    message = send(flowing, ORDERS, json.dumps(ORDER))
    layer.refuse("DeleteMessage", "ReceiptHandleIsInvalid", "The receipt handle has expired", 404)
    document = redrive(flowing)
    detail = only(document, "later")
    assert f"sent as order {message}" in detail
    assert "didn't delete" in detail
    assert refused(document).exit_code == 1
    layer.rules.clear()
    only(redrive(flowing), "sent")
    assert row(flowing, message)
    assert messages(flowing, ORDERS) == 0


def test_after_a_long_time_at_the_question_messages_are_taken_anew(flowing, monkeypatch):
    """While somebody thinks, the messages are visible again, and another reader takes them."""
    sent = {send(flowing, ORDERS, json.dumps(ORDER)) for _ in range(3)}
    url, sqs = flowing.find("queue", ORDERS)["QueueUrl"], flowing.client("sqs")
    now = [0.0]
    monkeypatch.setattr(flowing.waiter, "clock", lambda: now[0])
    monkeypatch.setattr(dead_letters, "VISIBILITY_TIMEOUT", 0)

    def think(question, yes):
        now[0] += 150
        for _ in range(3):
            sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        monkeypatch.setattr(dead_letters, "VISIBILITY_TIMEOUT", 60)

    monkeypatch.setattr(flowing.console, "confirm", think)
    document = redrive(flowing)
    assert ids(document, "sent") == sent
    assert messages(flowing, ORDERS) == 0


@pytest.mark.slow
def test_no_message_has_two_turns(flowing, monkeypatch):
    """What stays comes back while the run goes on: it ends all the same, and each message is judged once."""
    monkeypatch.setattr(dead_letters, "VISIBILITY_TIMEOUT", 1)
    monkeypatch.setattr(dead_letters, "WAIT", 2)
    sent = {send(flowing, ORDERS, "no order") for _ in range(12)}
    document = redrive(flowing)
    assert ids(document, "refused") == sent
    assert len(document["refused"]) == len(sent)


def test_an_api_that_stays_closed_ends_the_run(flowing, monkeypatch):
    fill(flowing, 450, ORDER)
    asked = []

    def closed(order):
        asked.append(order["orderId"])
        return 403, "Forbidden"

    monkeypatch.setattr("workshop.commands.redrive.MAX_PREVIEWED", 100)
    with standing_before(flowing, closed) as url:
        behind(flowing, monkeypatch, url)
        document = redrive(flowing, discard=True)
    assert 200 <= len(document["later"]) == len(asked) < 450
    assert document["untried"] == 450 - len(asked)
    problem = refused(document)
    assert problem.exit_code == 1
    assert "not tried" in str(problem)
    assert messages(flowing, ORDERS) == 450


def test_one_that_lies_behind_many_is_found_and_the_others_are_left_alone(flowing, monkeypatch):
    monkeypatch.setattr("workshop.commands.redrive.MAX_PREVIEWED", 20)
    fill(flowing, 60, ORDER)
    last = send(flowing, ORDERS, json.dumps(ORDER | {"productId": "last"}))
    document = redrive(flowing, id=last)
    assert ids(document, "sent") == {last}
    assert [one["id"] for one in document["messages"]] == [last]
    assert messages(flowing, ORDERS) == 60
    # They can be seen at once.
    assert len(redrive(flowing, dry_run=True)["messages"]) >= 20


def test_a_right_that_is_missing_to_delete_ends_the_run(flowing, layer, monkeypatch):
    """Otherwise 100,000 orders would be sent that all stay."""
    monkeypatch.setattr("workshop.commands.redrive.MAX_PREVIEWED", 100)
    monkeypatch.setattr("workshop.commands.redrive.MAX_FAILURES", 100)
    fill(flowing, 450, ORDER)
    layer.refuse("DeleteMessage", "AccessDenied", DENIED, 403)
    document = redrive(flowing)
    assert document["sent"] == []
    assert 100 <= len(document["later"]) < 450
    assert len(document["later"]) + document["untried"] == 450
    assert messages(flowing, ORDERS) == 450
    assert refused(document).exit_code == 1


def fill(ws, number: int, order: dict) -> None:
    """Put many messages into the dead-letter queue."""
    sqs, url = ws.client("sqs"), ws.find("queue", ORDERS)["QueueUrl"]
    for start in range(0, number, 10):
        entries = [{"Id": str(n), "MessageBody": json.dumps(order)} for n in range(min(10, number - start))]
        assert not sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")


@pytest.fixture
def front(ws):
    """Only the queues and the API: what is sent back stays in the queue, to be counted."""
    for number in (1, 2, 3, 8):
        ws.steps[number - 1].run(ws)
    return ws


@pytest.mark.slow
@pytest.mark.parametrize("number", [450, 1_000])
def test_many_are_moved_in_one_run_and_little_is_in_hand(front, monkeypatch, capsys, number):
    monkeypatch.setattr("workshop.commands.redrive.MAX_PREVIEWED", 200)
    fill(front, number, ORDER)
    most = []
    judged = resend.Orders.send
    monkeypatch.setattr(
        resend.Orders, "send", lambda self, some, judge: (most.append(len(some)), judged(self, some, judge))
    )
    document = redrive(front)
    assert len(ids(document, "sent")) == number
    assert (messages(front, ORDERS), messages(front)) == (0, number)
    # Some are shown before the question; after that it is some hundred at a time.
    assert max(most[1:]) <= dead_letters.BATCH * dead_letters.RECEIVERS
    assert len(capsys.readouterr().out.splitlines()) < 300


def test_ctrl_c_says_what_was_done(front, monkeypatch):
    """Ctrl-C comes with the 40th order; what the API has accepted until then is deleted, and nothing else."""
    number, asked = 300, []
    monkeypatch.setattr("workshop.commands.redrive.MAX_PREVIEWED", 10)
    fill(front, number, ORDER)

    def interrupt(order):
        asked.append(order["orderId"])
        if len(asked) == 40:
            os.kill(os.getpid(), signal.SIGINT)

    with standing_before(front, interrupt) as url:
        behind(front, monkeypatch, url)
        document = redrive(front)
    problem = refused(document)
    assert problem.exit_code == 130
    assert problem.problem.startswith("Interrupted")
    # What was deleted was sent; what was not is still there.
    assert 40 <= len(asked) == len(document["sent"]) == messages(front) < number
    assert messages(front, ORDERS) == number - len(document["sent"])


def test_an_error_in_the_middle_keeps_the_account(flowing, layer, monkeypatch):
    fill(flowing, 60, ORDER)
    monkeypatch.setattr("workshop.commands.redrive.MAX_PREVIEWED", 10)
    received = []

    def third(sending):
        received.append(sending)
        return len(received) > 2

    layer.refuse("ReceiveMessage", "AccessDenied", DENIED, 403, when=third)
    document = redrive(flowing)
    assert len(document["sent"]) >= 10
    assert "AccessDenied" in document["stopped"]
    assert refused(document).exit_code == 1
    assert messages(flowing, ORDERS) == 60 - len(document["sent"])


def test_nothing_at_all_is_an_error_as_before(flowing, layer):
    layer.refuse("ReceiveMessage", "AccessDenied", DENIED, 403)
    with pytest.raises(Exception, match="AccessDenied"):
        redrive(flowing)


def test_an_unreadable_log_hides_no_dead_letter(flowing, layer, capsys):
    send(flowing, ORDERS, json.dumps(ORDER))
    layer.refuse("FilterLogEvents", "AccessDeniedException", DENIED)
    only(redrive(flowing), "sent")
    assert "Reasons are missing" in capsys.readouterr().err
