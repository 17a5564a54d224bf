"""`workshop trace`: an order's way, hop by hop."""

import contextlib
import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from support import LONGEST_WAIT, SPEC_ORDER, eventually, messages, row, run, sample

from workshop.base.http import post
from workshop.commands.order import order
from workshop.orders.api import api_url
from workshop.orders.logs import read_log
from workshop.orders.rate import RateLimiter, log_reads
from workshop.orders.tracing import dead_end, follow, hops_of

HOPS = ["api", "queue", "lambda-1", "table", "stream", "lambda-2", "topic", "inbox"]


@pytest.fixture
def typed(state_dir, built):
    """Run `workshop` for the participant that everything is built for."""
    env = {"WORKSHOP_STATE_DIR": str(state_dir), "WORKSHOP_PREFIX": built.settings.prefix}
    return lambda *arguments: run("workshop", *arguments, env=env)


@pytest.fixture
def quiet_queue(built):
    """What a test put into the queue does not come back in the next one."""
    sqs = built.client("sqs")
    url = sqs.get_queue_url(QueueName=built.name("ecommerce-orders-queue"))["QueueUrl"]
    yield url
    sqs.purge_queue(QueueUrl=url)


def place(ws, **fields) -> str:
    """Place an order, and return its id."""
    status, answer = post(api_url(ws), json.dumps(SPEC_ORDER | fields).encode(), ca_bundle=ws.client.ca_bundle)
    assert status == 202
    return fields.get("orderId") or answer["messageId"]


def complete(document: dict) -> None:
    """Expect a way that an order has gone to its end."""
    assert document["complete"] is True
    assert document["deadEnd"] is None
    assert [hop["hop"] for hop in document["hops"]] == HOPS
    assert all(set(hop) >= {"hop", "at", "detail"} for hop in document["hops"])
    assert all(hop["detail"] for hop in document["hops"])
    times = [datetime.fromisoformat(hop["at"]) for hop in document["hops"]]
    assert all(time.tzinfo is not None for time in times)
    assert times == sorted(times)


@pytest.mark.slow
@pytest.mark.parametrize("number", [4, 20])
def test_orders_placed_at_once_are_all_complete_and_in_order(built, number):
    gate = threading.Barrier(number)

    def one(product: int) -> str:
        gate.wait(timeout=LONGEST_WAIT)
        return place(built, productId=str(product))

    with ThreadPoolExecutor(number) as pool:
        ids = list(pool.map(one, range(number)))
    assert len(set(ids)) == number
    # Under load, the embedded AWS shows a function's last line with its next invocation.
    assert all(row(built, one) for one in ids)
    assert row(built, place(built))
    for order_id in ids:
        document = follow(built, order_id, wait=LONGEST_WAIT)
        assert document["orderId"] == order_id
        complete(document)


def test_an_order_with_an_id_of_its_own(built):
    place(built, orderId="of-the-client")
    complete(follow(built, "of-the-client", wait=LONGEST_WAIT))
    # A repetition of it changes nothing of what is told.
    before = hops_of(built, "of-the-client")
    place(built, orderId="of-the-client")
    assert eventually(lambda: messages(built) == 0)
    after = hops_of(built, "of-the-client")
    assert [hop.hop for hop in after] == HOPS
    assert [hop.at for hop in after] == [hop.at for hop in before]


def test_hops_are_told_while_they_happen(built, capsys):
    follow(built, place(built), wait=LONGEST_WAIT)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[-9:-1]] == HOPS
    assert lines[-1][:3] == ["The", "order", "passed"]


def test_order_with_trace_prints_one_document(typed):
    ran = typed("order", "--trace", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["statusCode"] == 202
    complete(ran.json)


def test_trace_prints_one_document(typed, built):
    order_id = place(built)
    ran = typed("trace", order_id, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["orderId"] == order_id
    complete(ran.json)


def test_trace_after_the_fact_and_for_a_person(typed, built):
    order_id = place(built)
    assert row(built, order_id)
    ran = typed("trace", order_id)
    assert (ran.code, ran.err) == (0, "")
    assert [line.split()[0] for line in ran.out.splitlines()[:8]] == HOPS


def test_an_unknown_order_ends_in_one_line(typed):
    ran = typed("trace", "nobody-knows-me", "--wait", "0", "--json")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == len(ran.errors) == 1
    assert "nobody-knows-me" in ran.err
    assert "Try: workshop order" in ran.err
    assert (ran.json["complete"], ran.json["hops"]) == (False, [])


@pytest.mark.parametrize("order_id", ['a"b', "", " "])
def test_what_cannot_be_an_id_is_wrong_usage(typed, order_id):
    ran = typed("trace", order_id, "--wait", "0")
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("order_id", sample(("twin-1", "twin", "1", "stored", "notified", "INFO"), ("twin-1", "INFO")))
def test_an_id_that_is_part_of_another_line_is_still_unknown(built, order_id):
    """Clients choose their ids: `twin-1` is another order than `twin-10`."""
    place(built, orderId="twin-10")
    assert row(built, "twin-10")
    assert eventually(lambda: len(hops_of(built, "twin-10")) == len(HOPS))
    # A message of another test may still wait in the queue; beyond it, nothing knows this id.
    assert [hop for hop in hops_of(built, order_id) if hop.at is not None] == []


def test_two_ids_of_which_one_begins_like_the_other(built):
    place(built, orderId="pair-10")
    assert eventually(lambda: len(hops_of(built, "pair-10")) == len(HOPS))
    place(built, orderId="pair-1")
    complete(follow(built, "pair-1", wait=LONGEST_WAIT))
    for order_id in ("pair-1", "pair-10"):
        mail = hops_of(built, order_id)[-1]
        assert mail.hop == "inbox"
    first, second = hops_of(built, "pair-10"), hops_of(built, "pair-1")
    assert first[1].detail != second[1].detail


def test_a_message_that_is_no_json_says_who_refused_it_and_why(built, typed, quiet_queue):
    message = built.client("sqs").send_message(QueueUrl=quiet_queue, MessageBody="no JSON at all")["MessageId"]
    assert eventually(lambda: len(hops_of(built, message)) == 3)
    ran = typed("trace", message, "--wait", "0", "--json")
    assert ran.code == 1
    assert [hop["hop"] for hop in ran.json["hops"]] == HOPS[:3]
    end = ran.json["deadEnd"]
    assert end["hop"] == "table"
    assert "POC-Lambda-1 logged: refused" in end["cause"]
    assert "the message is not JSON" in end["cause"]
    assert end["remedy"].startswith("workshop ")
    assert len(ran.errors) == 1
    assert "the message is not JSON" in ran.err


def test_an_order_that_breaks_the_rules_names_the_field(built, quiet_queue):
    order = {"productId": "1", "quantity": 0}
    message = built.client("sqs").send_message(QueueUrl=quiet_queue, MessageBody=json.dumps(order))["MessageId"]
    assert eventually(lambda: len(hops_of(built, message)) == 3)
    end = follow(built, message, wait=0)["deadEnd"]
    assert (end["hop"], "quantity is not valid" in end["cause"]) == ("table", True)


def test_a_message_in_the_dead_letter_queue_says_so(built, quiet_queue):
    sqs = built.client("sqs")
    # Five times within seconds instead of minutes.
    sqs.set_queue_attributes(QueueUrl=quiet_queue, Attributes={"VisibilityTimeout": "0"})
    try:
        message = sqs.send_message(QueueUrl=quiet_queue, MessageBody="no JSON at all")["MessageId"]
        assert eventually(lambda: messages(built, "ecommerce-orders-dlq") == 1)
    finally:
        sqs.set_queue_attributes(QueueUrl=quiet_queue, Attributes={"VisibilityTimeout": "60"})
    dead = sqs.get_queue_url(QueueName=built.name("ecommerce-orders-dlq"))["QueueUrl"]
    try:
        end = follow(built, message, wait=0)["deadEnd"]
        assert end["hop"] == "table"
        # Where it is, and the error that brought it there.
        assert "dead-letter queue" in end["cause"]
        assert "the message is not JSON" in end["cause"]
        # Looking took nothing away.
        assert messages(built, "ecommerce-orders-dlq") == 1
        assert hops_of(built, message)[2].detail.startswith("received ")  # a function's last lines may come late
    finally:
        sqs.purge_queue(QueueUrl=dead)


def test_looking_changes_nothing(built):
    order_id = place(built)
    complete(follow(built, order_id, wait=LONGEST_WAIT))
    calls = []
    built.client.listeners.append(calls.append)
    try:
        follow(built, order_id, wait=0)
        follow(built, "nobody-knows-me", wait=0)
    finally:
        built.client.listeners.remove(calls.append)
    # Looking into the dead-letter queue is a receive with a visibility timeout of 0.
    assert {call.operation for call in calls if not call.is_read} <= {"ReceiveMessage"}
    assert all(call.parameters["VisibilityTimeout"] == 0 for call in calls if call.operation == "ReceiveMessage")


@pytest.mark.slow
def test_every_remedy_can_be_typed_as_it_stands(built):
    order_id = place(built)
    complete(follow(built, order_id, wait=LONGEST_WAIT))
    for reached in range(len(HOPS)):
        end = dead_end(built, order_id, hops_of(built, order_id)[:reached])
        assert end.hop == HOPS[reached]
        assert end.remedy.startswith("workshop ")
        assert f"--prefix {built.settings.prefix}" in end.remedy


# --- reading logs -------------------------------------------------------------------------------------------------


class Tick:
    """A clock that moves when somebody sleeps."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.slept.append(seconds)


@contextlib.contextmanager
def log_reads_of(ws, clock=lambda: 0.0):
    """The FilterLogEvents calls of a workshop: when each was answered, and from when on it read."""
    heard = []

    def hear(call):
        if call.operation == "FilterLogEvents":
            heard.append((clock(), call.parameters["startTime"] / 1000))

    ws.client.listeners.append(hear)
    try:
        yield heard
    finally:
        ws.client.listeners.remove(hear)


def test_an_unknown_order_is_looked_for_seldom_and_in_what_is_recent(built, monkeypatch):
    clock, limiter = Tick(), log_reads(built.account, built.region)
    for paced in (limiter, built.waiter):
        monkeypatch.setattr(paced, "clock", clock)
        monkeypatch.setattr(paced, "sleep", clock.sleep)
    monkeypatch.setattr(limiter, "_next", float("-inf"))
    with log_reads_of(built, clock) as calls:
        follow(built, "nobody-knows-me", wait=20)
    # AWS takes five a second from all who read logs in an account and a region.
    assert max(sum(at <= other < at + 1 for other, _ in calls) for at, _ in calls) <= 5
    since = time.time() - 2 * 3600
    assert sum(start < since for _, start in calls) <= 2
    assert 20 < len(calls) < 20 * 5


def test_all_readers_of_a_process_share_one_limiter(built, open_ws, monkeypatch):
    readers, waited = (built, open_ws(built.settings.prefix)), []
    monkeypatch.setattr(log_reads(built.account, built.region), "wait", lambda: waited.append(1))
    for reader in readers:
        with log_reads_of(reader) as calls:
            read_log(reader, "POC-Lambda-1", "nobody", since=time.time() - 60)
        assert len(calls) == len(waited) == 1
        waited.clear()


def test_what_has_arrived_is_not_read_again(built):
    order_id = place(built)
    complete(follow(built, order_id, wait=LONGEST_WAIT))
    with log_reads_of(built) as calls:
        complete(follow(built, order_id, wait=LONGEST_WAIT))
    assert len(calls) == 2


def test_an_old_order_is_found_by_looking_further_back(built):
    order_id, at = "two-days-old", round(time.time() - 2 * 86400) * 1000
    lines = {
        "POC-Lambda-1": {"event": "stored", "orderId": order_id, "messageId": "m", "sentTime": str(at),
                         "receivedTime": str(at + 1), "apiRequestTime": str(at), "time": at + 2},
        "POC-Lambda-2": {"event": "notified", "orderIds": [order_id], "storedTimes": [at + 2], "receivedTime": at + 3,
                         "snsMessageId": "s", "time": at + 4},
    }  # fmt: skip
    for function, line in lines.items():
        where = {"logGroupName": built.name(f"/aws/lambda/{function}"), "logStreamName": "two days ago"}
        built.client("logs").create_log_stream(**where)
        event = {"timestamp": line["time"], "message": json.dumps(line)}
        built.client("logs").put_log_events(**where, logEvents=[event])
    item = {"orderId": {"S": order_id}, "productId": {"S": "1"}, "quantity": {"N": "1"}}
    built.client("dynamodb").put_item(TableName=built.name("ecommerce-orders"), Item=item)
    hops = follow(built, order_id, wait=0)["hops"]
    assert [hop["hop"] for hop in hops][:7] == HOPS[:7]
    assert datetime.fromisoformat(hops[3]["at"]).timestamp() * 1000 == at + 2


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({}, id="none"),
        pytest.param({"SentTimestamp": "soon"}, id="no number", marks=pytest.mark.slow),
        pytest.param({"SentTimestamp": "1523232000000"}, id="past", marks=pytest.mark.slow),
    ],
)
def test_a_test_event_typed_into_the_console_can_be_traced(built, attributes):
    """Such an event has no times, or those of the template that it was made from."""
    order_id = f"typed-{uuid.uuid4().hex[:8]}"
    body = json.dumps({"orderId": order_id, "productId": "1", "quantity": 1})
    event = {"Records": [{"messageId": "19dd0b57-b21e-4ac1-bd88-01bbb068cb78", "body": body, "attributes": attributes}]}
    name = built.name("POC-Lambda-1")
    answer = built.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
    assert "FunctionError" not in answer
    assert eventually(lambda: len(hops_of(built, order_id)) == len(HOPS))
    document = follow(built, order_id, wait=0.5)
    assert document["complete"]
    assert document["hops"][3]["at"] is not None


# --- what is said -------------------------------------------------------------------------------------------------


def test_nonsense_is_not_said_to_have_reached_anything(typed):
    ran = typed("trace", "nonsense", "--wait", "0")
    assert ran.code == 1
    assert "no trace of order nonsense" in ran.errors[0]
    assert "reached" not in ran.errors[0]


def test_a_repeated_order_is_said_to_be_a_duplicate(built, capsys):
    order_id = f"twice-{uuid.uuid4().hex[:8]}"
    first = order(built, order_id=order_id, trace=True, wait=LONGEST_WAIT)
    assert first["duplicate"] is False
    assert "uplicate" not in capsys.readouterr().out
    again = order(built, order_id=order_id, trace=True, wait=LONGEST_WAIT)
    assert (again["duplicate"], again["complete"]) == (True, True)
    said = capsys.readouterr().out
    assert f"Duplicate: order {order_id} was already stored" in said
    assert "passed every hop" not in said


@pytest.mark.parametrize(("burst", "rate"), [(2, 3), (1, 5), (4, 0.5)])
def test_a_pace_is_never_exceeded_in_any_second(burst, rate):
    clock = Tick()
    pace = RateLimiter(burst, rate, clock, clock.sleep)
    passed = []
    for pause in [0, 0, 0, 0, 0, 5, 0, 0, 0.1, 0.4, 0, 0, 30, 0, 0, 0]:
        clock.now += pause
        pace.wait()
        passed.append(clock.now)
    for at in passed:
        assert sum(at <= other < at + 1 for other in passed) <= burst + rate
    # After a rest, some pass at once.
    assert passed[-4] == passed[-4 + burst - 1]
