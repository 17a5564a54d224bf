"""Both functions, against whatever the queue and the stream may hold: nothing is lost, overwritten or left untold."""

import base64
import hashlib
import json
import os
import re
import traceback
import uuid
from decimal import Decimal
from itertools import pairwise
from unittest import mock

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
)
from handlers import (
    REGION,
    SECRET,
    Invocation,
    RecordingTable,
    RecordingTopic,
    event_of,
    load_function,
    message,
    printed,
    refusal,
    stream_record,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import item

from workshop.embedded import Embedded

LARGE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
MANY = settings(max_examples=75, suppress_health_check=LARGE)
SOME = settings(max_examples=40, suppress_health_check=LARGE)

# --- Orders and what only looks like one -------------------------------------------------------------------------

ORDER_IDS = st.from_regex(r"[A-Za-z0-9-]{1,64}", fullmatch=True)
#: Line separators, and what turns the direction of writing; they and control characters are in no order.
TURNING = "".join(map(chr, [*range(0x2028, 0x202F), *range(0x2066, 0x206A)]))
CHARACTERS = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=TURNING)
ORDERS = st.fixed_dictionaries(
    {
        "productId": st.text(CHARACTERS, min_size=1, max_size=256 - len(SECRET)).map(lambda text: text + SECRET),
        "quantity": st.integers(1, 999_999_999),
    },
    optional={
        "productName": st.text(CHARACTERS, max_size=1024 - len(SECRET)).map(lambda text: SECRET + text),
        "customerEmail": st.from_regex(r"[a-z0-9.+é漢]{1,60}@[a-z0-9]{1,60}\.[a-z]{2,10}", fullmatch=True).map(
            lambda text: SECRET + text
        ),
    },
)
#: Texts that are no order for reasons of their own.
POISON = st.one_of(
    st.sampled_from(
        [
            "", " ", "null", "[]", "{}", '"order"', "NaN", "productId=12345&quantity=2", '{"productId": "1", "quant',
            '{"productId": "1", "quantity": NaN}', '{"productId": "1", "quantity": 1e999}', "\ufeff{}", "\x00", "{}{}",
            '{"productId": "\\ud83e", "quantity": 2}', '{"productId": "1", "quantity": ' + "9" * 5000 + "}",
            '{"productId": {}, "quantity": []}', '{"\\ud800": 1, "productId": "1", "quantity": 2}',
        ]
    ),
    st.text(max_size=40).map(lambda text: SECRET + text),
    ORDERS.map(lambda order: json.dumps(order)[:-1]),
    ORDERS.map(lambda order: json.dumps(order | {"quantity": 0})),
    ORDERS.map(lambda order: json.dumps(order | {"note": SECRET})),
    ORDERS.map(lambda order: json.dumps([order])),
    st.builds(
        lambda order, field, character: json.dumps(order | {field: f"{SECRET}{character}@x.y"}),
        ORDERS,
        st.sampled_from(["productId", "productName", "customerEmail"]),
        st.characters(categories=["Cc", "Cs"]) | st.sampled_from(TURNING),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def taker():
    """POC-Lambda-1, with a client that each test replaces."""
    with mock.patch.dict(os.environ, {"TABLE_NAME": "orders"}):
        yield load_function("poc-lambda-1")


@pytest.fixture(scope="module")
def teller():
    """POC-Lambda-2, with a client that each test replaces."""
    with mock.patch.dict(os.environ, {"TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:orders"}):
        yield load_function("poc-lambda-2")


def take(taker, table, messages, invocation=None):
    """Let POC-Lambda-1 handle a batch, and check what holds for every batch.

    Returns:
        The ids of the messages that come back, and of those said to be stored and repeated.
    """
    invocation = invocation or Invocation()
    with mock.patch.multiple(taker, dynamodb=table, time=invocation), printed() as lines:
        answer = taker.handler({"Records": messages}, invocation)
    assert invocation.left > 0
    # The documented form, or else Lambda fails the whole batch:
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    assert json.loads(json.dumps(answer)) == answer
    assert list(answer) == ["batchItemFailures"]
    assert all(list(entry) == ["itemIdentifier"] for entry in answer["batchItemFailures"])
    failed = [entry["itemIdentifier"] for entry in answer["batchItemFailures"]]
    assert len(set(failed)) == len(failed)

    log = [json.loads(line) for line in lines]
    assert SECRET not in "".join(lines)
    allowed = {"level", "event", "messageId", "orderId", "code", "reason", "apiRequestId", "apiRequestTime",
               "sentTime", "receivedTime", "receiveCount", "time"}  # fmt: skip
    assert all(line.keys() <= allowed for line in log)
    said = {"stored": [], "repeated": []}
    complained = []
    for line in log:
        said.get(line["event"], complained).append(line["messageId"])
    # Every message is accounted for, once: in the log and in the answer.
    assert sorted([*said["stored"], *said["repeated"], *failed]) == sorted(one["messageId"] for one in messages)
    assert sorted(complained) == sorted(failed)
    return failed, said["stored"], said["repeated"]


def order_id_of(one):
    """The id under which a good message's order is stored."""
    return json.loads(one["body"]).get("orderId", one["messageId"])


def as_item(one):
    """How the table has to hold a good message's order."""
    return item({"orderId": one["messageId"], **json.loads(one["body"])})


@st.composite
def batches(draw, most=14):
    """A batch: good orders, of which several may carry the same id; poison; ids that the table knows already."""
    ids = draw(st.lists(ORDER_IDS, max_size=4, unique=True))
    known = draw(st.sets(st.sampled_from(ids))) if ids else set()
    good, bad = set(), set()
    messages = []
    for number in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(["new", "chosen", "chosen", "poison"] if ids else ["new", "poison"]))
        if kind == "poison":
            body = draw(POISON)
        else:
            order = draw(ORDERS) | ({"orderId": draw(st.sampled_from(ids))} if kind == "chosen" else {})
            body = json.dumps(order, ensure_ascii=draw(st.booleans()))
        messages.append(message(number, body))
        (bad if kind == "poison" else good).add(f"message-{number}")
    return messages, good, bad, known


@MANY
@given(batches())
def test_every_message_is_accounted_for_and_nothing_is_overwritten(taker, batch):
    messages, good, bad, known = batch
    before = {order_id: {"orderId": {"S": order_id}, "old": {"S": "untouched"}} for order_id in known}
    table = RecordingTable(before)
    failed, stored, repeated = take(taker, table, messages)
    # Poison comes back, and makes no good one come back.
    assert set(failed) == bad
    assert {*stored, *repeated} == good
    expected = dict(before)
    for one in messages:
        if one["messageId"] in good:
            expected.setdefault(order_id_of(one), as_item(one))
    assert table.items == expected
    # One call for the ordinary batch; a second one where some orders were there already, and others not.
    fresh = expected.keys() - before.keys()
    there = {order_id_of(one) for one in messages if one["messageId"] in good} & known
    assert len(table.calls) == bool(fresh or there) + bool(fresh and there)


@MANY
@given(batches(), st.data())
def test_whatever_is_refused_comes_back_and_the_rest_is_stored(taker, batch, data):
    messages, good, bad, known = batch
    refused = set()
    codes = st.sampled_from(
        ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "ValidationError", "ItemTooLarge"]
    )
    whole = st.sampled_from(
        [
            refusal("ProvisionedThroughputExceededException"), refusal("ThrottlingException"),
            refusal("RequestLimitExceeded"), refusal("AccessDeniedException"), refusal("InternalServerError"),
            refusal("TransactionInProgressException"), refusal("ResourceNotFoundException"),
            EndpointConnectionError(endpoint_url="https://dynamodb.example.com"),
            ConnectionClosedError(endpoint_url="https://dynamodb.example.com"),
            ReadTimeoutError(endpoint_url="https://dynamodb.example.com"),
            ParamValidationError(report=f"Invalid type for parameter Item.productId, value: {SECRET}"),
        ]
    )  # fmt: skip

    invocation = Invocation()

    def fault(_, ids):
        # Whatever becomes of this call, the function can still say so.
        assert invocation.get_remaining_time_in_millis() >= taker.LONGEST_CALL_MILLISECONDS
        error = data.draw(st.none() | whole) if data.draw(st.integers(0, 3)) == 0 else None
        if error is not None:
            refused.update(ids)
            raise error
        places = st.sampled_from(range(len(ids)))
        some = data.draw(st.dictionaries(places, codes, max_size=3)) if data.draw(st.booleans()) else {}
        refused.update(ids[place] for place in some)
        return some

    before = {order_id: {"orderId": {"S": order_id}, "old": {"S": "untouched"}} for order_id in known}
    table = RecordingTable(before, fault)
    failed, stored, repeated = take(taker, table, messages, invocation)
    assert bad <= set(failed)
    out_of_time = invocation.get_remaining_time_in_millis() < taker.LONGEST_CALL_MILLISECONDS
    for one in messages:
        if one["messageId"] in good:
            order_id = order_id_of(one)
            if one["messageId"] not in failed:
                assert order_id in table.items
            else:
                # It comes back because of a refusal: its own, or the others' until the time was over.
                assert order_id in refused or out_of_time
                assert order_id in known or order_id not in table.items
    for order_id in known:
        assert table.items[order_id] == before[order_id]
    assert all(one in good for one in (*stored, *repeated))

    # The queue brings back what failed. When nothing is refused any more, all good orders are there.
    table.fault = lambda number, ids: {}
    failed, _, _ = take(taker, table, [one for one in messages if one["messageId"] in failed] or messages)
    assert set(failed) <= bad
    assert {order_id_of(one) for one in messages if one["messageId"] in good} <= table.items.keys()


@SOME
@given(batches(), st.sampled_from([ReadTimeoutError, ConnectionClosedError]))
def test_an_answer_that_got_lost_stores_nothing_twice(taker, batch, error):
    messages, good, bad, known = batch
    before = {order_id: {"orderId": {"S": order_id}, "old": {"S": "untouched"}} for order_id in known}
    table = RecordingTable(before)
    carry_out = table.transact_write_items

    def and_lose_the_answer(**transaction):
        carry_out(**transaction)
        raise error(endpoint_url="https://dynamodb.example.com")

    table.transact_write_items = and_lose_the_answer
    take(taker, table, messages)
    first = dict(table.items)
    del table.transact_write_items
    failed, _, _ = take(taker, table, messages)
    assert set(failed) == bad
    assert {key: table.items[key] for key in first} == first
    assert {order_id_of(one) for one in messages if one["messageId"] in good} | known == table.items.keys()


@SOME
@given(st.lists(st.sampled_from(["new", "known", "copy", "poison"]), min_size=90, max_size=330))
def test_calls_are_bounded_however_large_the_batch(taker, kinds):
    messages = []
    for number, kind in enumerate(kinds):
        order = {"productId": SECRET, "quantity": 1, "orderId": f"{kind}-{number // 2 if kind == 'copy' else number}"}
        messages.append(message(number, "no order" if kind == "poison" else json.dumps(order)))
    known = {f"known-{number}" for number, kind in enumerate(kinds) if kind == "known"}
    table = RecordingTable({order_id: {} for order_id in known})
    failed, _, _ = take(taker, table, messages)
    assert len(failed) == kinds.count("poison")
    distinct = {order_id_of(one) for one, kind in zip(messages, kinds, strict=True) if kind != "poison"}
    hundreds = -(-len(distinct) // 100)
    assert len(table.calls) <= min(hundreds * 2, hundreds + sum(1 for ids in table.calls if known & {*ids}))


@pytest.mark.parametrize(
    "body",
    ["[" * 100_000, '{"a":' * 100_000, '{"productId": ' + "[" * 5_000 + "]" * 5_000 + "}"],
    ids=["brackets", "braces", "closed again"],
)
def test_a_deeply_nested_poison_makes_no_good_order_come_back(taker, body):
    good = [message(number, json.dumps({"productId": "1", "quantity": 1})) for number in (1, 2)]
    table = RecordingTable({})
    failed, stored, _ = take(taker, table, [good[0], message(0, body), good[1]])
    assert failed == ["message-0"]
    assert stored == ["message-1", "message-2"]


def test_the_documented_event_of_the_queue(taker):
    records = event_of("sqs.json")["Records"]
    assert all(hashlib.md5(one["body"].encode()).hexdigest() == one["md5OfBody"] for one in records)
    table = RecordingTable({})
    with mock.patch.object(taker, "dynamodb", table), printed() as lines:
        answer = taker.handler({"Records": records}, Invocation())
    assert [entry["itemIdentifier"][:8] for entry in answer["batchItemFailures"]] == ["00000004", "00000006"]
    assert table.items.keys() == {records[0]["messageId"], "client-chose-this-0002", records[4]["messageId"]}
    # Of two with one id the first one counts.
    assert table.items["client-chose-this-0002"]["quantity"] == {"N": "40"}
    assert table.items[records[4]["messageId"]]["productId"] == {"S": "洗剤 🧽"}
    log = {line["messageId"][:8]: line for line in map(json.loads, lines)}
    assert [log[f"0000000{n}"]["event"] for n in range(1, 7)] == [
        "stored", "stored", "repeated", "refused", "stored", "refused",
    ]  # fmt: skip
    assert log["00000001"] | {"time": 0} == {
        "level": "INFO",
        "event": "stored",
        "messageId": records[0]["messageId"],
        "orderId": records[0]["messageId"],
        "apiRequestId": "00000001-0000-4000-8000-000000000000",
        "apiRequestTime": "1767261599997",
        "sentTime": "1767261600007",
        "receivedTime": "1767261600457",
        "receiveCount": "1",
        "time": 0,
    }
    assert "example.com" not in "".join(lines)


# --- POC-Lambda-1 and a real table -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(state_dir):
    """A table of the embedded AWS: its client and its name."""
    client = Embedded(state_dir).start()[0].clients(REGION["AWS_DEFAULT_REGION"])("dynamodb")
    name = f"handlers-{uuid.uuid4().hex[:10]}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "orderId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "orderId", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    yield client, name
    client.delete_table(TableName=name)


@SOME
@given(batches(most=10))
def test_with_a_real_table(taker, table, batch):
    messages, good, bad, known = batch
    client, name = table
    # Examples share the table, so each has ids of its own.
    own = uuid.uuid4().hex[:12]
    for one in messages:
        one["messageId"] = f"{own}-{one['messageId']}"
        if one["messageId"].removeprefix(f"{own}-") in good:
            order = json.loads(one["body"])
            if "orderId" in order:
                one["body"] = json.dumps(order | {"orderId": f"{own}-{order_id_of(one)[:40]}"})
    good, bad = ({f"{own}-{one}" for one in some} for some in (good, bad))
    expected = {f"{own}-{one[:40]}": {"orderId": {"S": f"{own}-{one[:40]}"}, "old": {"S": "-"}} for one in known}
    for old in expected.values():
        client.put_item(TableName=name, Item=old)
    calls = []
    client.meta.events.register("before-send.dynamodb.TransactWriteItems", lambda **_: calls.append(1), unique_id=own)
    with mock.patch.dict(os.environ, {"TABLE_NAME": name}):
        failed, _, _ = take(taker, client, messages)
        bound = len(calls)
        # Everything again, as when SQS delivers a batch a second time: nothing changes.
        failed_again, stored_again, _ = take(taker, client, messages)
    client.meta.events.unregister("before-send.dynamodb.TransactWriteItems", unique_id=own)
    assert set(failed) == set(failed_again) == bad
    assert not stored_again
    assert bound <= 2
    for one in messages:
        if one["messageId"] in good:
            expected.setdefault(order_id_of(one), as_item(one))
    found = client.scan(
        TableName=name, ConsistentRead=True, FilterExpression="begins_with(orderId, :own)",
        ExpressionAttributeValues={":own": {"S": own}},
    )["Items"]  # fmt: skip
    assert {one["orderId"]["S"]: one for one in found} == expected


# --- POC-Lambda-2 ------------------------------------------------------------------------------------------------

BINARY = st.binary(max_size=12).map(lambda value: base64.b64encode(value).decode())
#: DynamoDB's numbers: 38 digits.
NUMBERS = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000, places=5).map(str),
    st.sampled_from(["0", "1E+10", "1E-130", "9.9999999999999999999999999999999999999E+125", "-0"]),
)
SCALARS = st.one_of(
    st.fixed_dictionaries({"S": st.text(max_size=60)}),
    st.fixed_dictionaries({"N": NUMBERS}),
    st.fixed_dictionaries({"B": BINARY}),
    st.fixed_dictionaries({"BOOL": st.booleans()}),
    st.just({"NULL": True}),
    st.fixed_dictionaries({"SS": st.lists(st.text(max_size=9), min_size=1, max_size=3, unique=True)}),
    st.fixed_dictionaries({"NS": st.lists(NUMBERS, min_size=1, max_size=3, unique=True)}),
    st.fixed_dictionaries({"BS": st.lists(BINARY, min_size=1, max_size=3, unique=True)}),
)
ATTRIBUTES = st.recursive(
    SCALARS,
    lambda values: st.one_of(
        st.fixed_dictionaries({"L": st.lists(values, max_size=3)}),
        st.fixed_dictionaries({"M": st.dictionaries(st.text(max_size=9), values, max_size=3)}),
    ),
    max_leaves=6,
)
IMAGES = st.dictionaries(
    st.sampled_from(["productId", "productName", "quantity", "customerEmail"]) | st.text(min_size=1, max_size=9),
    ATTRIBUTES,
    max_size=6,
)
RECORDS = st.lists(
    st.tuples(st.sampled_from(["INSERT", "INSERT", "MODIFY", "REMOVE"]), ORDER_IDS, IMAGES),
    max_size=12,
    unique_by=lambda record: record[1],
)
ORDER_LINE = re.compile(r"^Order (.*)$", re.MULTILINE)
#: 256 KiB: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
SNS_LIMIT = 256 * 1024


def tell(teller, records, failing=None, error=None):
    """Let POC-Lambda-2 handle a batch, and check what holds for every batch.

    Returns:
        What was published.
    """
    topic = RecordingTopic(failing)
    with mock.patch.object(teller, "sns", topic), printed() as lines:
        if error is None:
            teller.handler({"Records": records}, Invocation(30))
        else:
            with pytest.raises(error) as raised:
                teller.handler({"Records": records}, Invocation(30))
            # Lambda logs what a function raises.
            assert SECRET not in "".join(traceback.format_exception(raised.value))
    log = [json.loads(line) for line in lines]
    allowed = {"level", "event", "orderIds", "storedTimes", "receivedTime", "snsMessageId", "reason", "time"}
    assert all(line.keys() <= allowed for line in log)
    assert SECRET not in "".join(lines)
    told = [order_id for line in log if line["event"] == "notified" for order_id in line["orderIds"]]
    for one in topic.published:
        assert set(one) == {"TopicArn", "Subject", "Message"}
        assert re.fullmatch(r"[ -~]{1,100}", one["Subject"])
        # AWS: a subject begins with a letter, number or punctuation mark.
        assert one["Subject"][0] != " "
        assert 0 < len(one["Message"].encode()) < SNS_LIMIT
    assert told == [order_id for one in topic.published for order_id in ORDER_LINE.findall(one["Message"])]
    return topic.published


def ids_in(published):
    """The order ids of all messages."""
    return [order_id for one in published for order_id in ORDER_LINE.findall(one["Message"])]


def inserted(records):
    """The order ids that have to be told of, in their order."""
    return [one["dynamodb"]["Keys"]["orderId"]["S"] for one in records if one["eventName"] == "INSERT"]


@MANY
@given(RECORDS)
@example([("INSERT", "bytes", {"label": {"B": "AAE="}})])
@example([("INSERT", "sets-of-bytes", {"productId": {"BS": ["AAE="]}})])
@example([("INSERT", "a-digit-that-is-no-number", {"quantity": {"S": "²"}}), ("INSERT", "another", {})])
@example([("INSERT", "a-long-number", {"quantity": {"S": "9" * 5000}}), ("INSERT", "another", {})])
@example([("INSERT", "forged", {"productName": {"S": "x\nOrder forged\r\n\u2028Order too\x85Order three"}})])
def test_every_new_order_is_told_of_once_and_nothing_else(teller, entries):
    records = [stream_record(name, order_id, None if name == "REMOVE" else image) for name, order_id, image in entries]
    published = tell(teller, records)
    assert ids_in(published) == inserted(records)
    assert len(published) == bool(inserted(records))


@SOME
@given(
    st.lists(st.tuples(st.integers(0, 1024), st.sampled_from(["a", "é", "漢", "🧽"])), min_size=1, max_size=60),
    st.integers(1, 17),
)
def test_mails_stay_below_the_limit_of_sns(teller, names, times):
    # As much text as the rules let in, up to a full batch of 1,000 records.
    records = [
        stream_record(
            "INSERT",
            f"order-{number}",
            {
                "productId": {"S": character * 256},
                "productName": {"S": character * length},
                "quantity": {"N": "999999999"},
                "customerEmail": {"S": SECRET + character * 200 + "@example.com"},
            },
        )
        for number, (length, character) in enumerate((names * times)[:1000])
    ]
    published = tell(teller, records)
    assert ids_in(published) == inserted(records)
    # No more mails than their size asks for: two that follow each other do not fit into one.
    sizes = [len(one["Message"].encode()) for one in published]
    assert all(one + next_one > 220 * 1024 for one, next_one in pairwise(sizes))


@pytest.mark.parametrize("size", [10_000, 400_000])
def test_a_huge_item_put_in_by_hand_is_told_of(teller, size):
    # DynamoDB takes items of 400 KB.
    image = {"productName": {"S": SECRET + "🧽" * (size // 4)}, "note": {"S": "x" * size}}
    records = [stream_record("INSERT", f"order-{number}", image) for number in range(40)]
    assert ids_in(tell(teller, records)) == inserted(records)


@SOME
@given(st.integers(1, 120), st.data())
def test_an_error_of_sns_is_raised_so_that_the_batch_comes_again(teller, count, data):
    image = {"productName": {"S": SECRET + "🧽" * 1000}, "productId": {"S": "1"}, "quantity": {"N": "2"}}
    records = [stream_record("INSERT", f"order-{number}", image) for number in range(count)]
    whole = tell(teller, records)
    failing = data.draw(st.integers(0, len(whole) - 1))
    published = tell(teller, records, failing, teller.NotNotified)
    assert published == whole[:failing]


def test_the_documented_event_of_the_stream(teller):
    records = event_of("dynamodb-stream.json")["Records"]
    kinds = {kind for one in records for value in one["dynamodb"].get("NewImage", {}).values() for kind in value}
    assert kinds == {"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}
    published = tell(teller, records)
    assert ids_in(published) == inserted(records)
    assert len(published) == 1
    assert published[0]["Subject"] == "4 new orders, 4 units"
    assert "  Quantity: 2\n" in published[0]["Message"]
    assert "\nOrder forged" not in published[0]["Message"]


@MANY
@given(st.lists(st.integers(1, 999_999_999), min_size=2, max_size=30))
def test_units_add_up(teller, quantities):
    records = [stream_record("INSERT", f"o-{n}", {"quantity": {"N": str(q)}}) for n, q in enumerate(quantities)]
    (mail,) = tell(teller, records)
    assert mail["Subject"] == f"{len(quantities)} new orders, {sum(map(Decimal, quantities))} units"
