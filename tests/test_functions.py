"""The two functions by themselves, as Lambda imports them, with a real table and a real topic behind them."""

import base64
import functools
import importlib.util
import json
import re
import traceback
import uuid

import boto3
import faults
import pytest
from handlers import Invocation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from replay import build
from support import ROOT, item, mails, reach, row, rows

GOOD = {"productId": "12345", "quantity": 2}
#: What must be in no log line; it stands in every field that a customer fills in.
SECRET = "qzsecretqz"
PERSONAL = {"productName": SECRET, "customerEmail": f"{SECRET}@example.com"}
QUICK = settings(max_examples=75, suppress_health_check=[HealthCheck.function_scoped_fixture])


NOWHERE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}


@functools.cache
def schema():
    """The API's rules for an order."""
    # To import it takes a second, since it reads the grammars of all formats.
    import jsonschema

    return jsonschema.Draft4Validator(json.loads((ROOT / "src/api/order.schema.json").read_text(encoding="utf-8")))


def load_function(folder: str, reached: dict[str, str] = NOWHERE):
    """Import a function's file; its client is made while it is imported, from what the environment says then."""
    with pytest.MonkeyPatch.context() as patch:
        # boto3's own session keeps the credentials that it found first; a function's process is new.
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        for name, value in {**reached, "AWS_DEFAULT_REGION": "us-east-1"}.items():
            patch.setenv(name, value)
        spec = importlib.util.spec_from_file_location(f"f{uuid.uuid4().hex}", ROOT / f"src/lambda/{folder}/index.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def taker(ws, monkeypatch):
    """POC-Lambda-1 with a real, empty table."""
    build(ws, 2)
    monkeypatch.setenv("TABLE_NAME", ws.name("ecommerce-orders"))
    return load_function("poc-lambda-1", reach(ws.mailbox.instance))


@pytest.fixture
def teller(ws, monkeypatch):
    """POC-Lambda-2 with a real topic, whose mail is collected."""
    ws.steps[0].run(ws)
    ws.steps[5].run(ws)
    monkeypatch.setenv("TOPIC_ARN", ws.arn("sns", ws.name("ecommerce-orders-topic")))
    return load_function("poc-lambda-2", reach(ws.mailbox.instance))


@pytest.fixture(scope="module")
def reader():
    """POC-Lambda-1 for what needs no AWS."""
    return load_function("poc-lambda-1")


@pytest.fixture(scope="module")
def writer():
    """POC-Lambda-2 for what needs no AWS."""
    return load_function("poc-lambda-2")


def message(order, message_id: str | None = None) -> dict:
    """A message of an SQS event."""
    body = order if isinstance(order, str) else json.dumps(order)
    return {
        "messageId": message_id or str(uuid.uuid4()),
        "body": body,
        "attributes": {"SentTimestamp": "1", "ApproximateFirstReceiveTimestamp": "2", "ApproximateReceiveCount": "1"},
        "messageAttributes": {"apiRequestId": {"stringValue": "request"}},
    }


def record(image: dict, name: str = "INSERT") -> dict:
    """A record of a stream's event; `image` is in DynamoDB's form."""
    return {"eventName": name, "dynamodb": {"ApproximateCreationDateTime": 1.5, "NewImage": image}}


def failures(answer) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def logged(capsys) -> list[dict]:
    """The log lines so far; each has to be JSON."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# --- POC-Lambda-1 ---------------------------------------------------------------------------------------------

POISON = {
    "not JSON": "productId=1",
    "empty": "",
    "null": "null",
    "a list": "[]",
    "a number": "7",
    "no productId": json.dumps({"quantity": 1}),
    "quantity a text": json.dumps(GOOD | {"quantity": "2"}),
    "quantity true": json.dumps(GOOD | {"quantity": True}),
    "quantity 0": json.dumps(GOOD | {"quantity": 0}),
    "quantity with thousands of digits": '{"productId": "1", "quantity": ' + "9" * 5000 + "}",
    "quantity NaN": '{"productId": "1", "quantity": NaN}',
    "unknown field": json.dumps(GOOD | {"secret": SECRET}),
    "orderId a path": json.dumps(GOOD | {"orderId": "../x"}),
    "half a character": '{"productId": "\\ud83e", "quantity": 1}',
    "nested too deep": '{"productId": ' + "[" * 100_000 + "]" * 100_000 + ', "quantity": 1}',
}


def test_only_the_bad_of_a_batch_come_back(taker, ws, capsys):
    bad = {name: message(body) for name, body in POISON.items()}
    good = [message(GOOD | PERSONAL) for _ in range(5)]
    batch = [*good[:2], *bad.values(), *good[2:]]
    assert sorted(failures(taker.handler({"Records": batch}, Invocation()))) == sorted(
        m["messageId"] for m in bad.values()
    )
    lines = logged(capsys)
    assert sorted(r["orderId"]["S"] for r in rows(ws)) == sorted(m["messageId"] for m in good)
    for one in good:
        assert row(ws, one["messageId"]) == item(GOOD | PERSONAL | {"orderId": one["messageId"]})
    assert len(lines) == len(batch)
    assert {line["messageId"] for line in lines if line["level"] == "ERROR"} == {m["messageId"] for m in bad.values()}
    assert {line["orderId"] for line in lines if line["level"] == "INFO"} == {m["messageId"] for m in good}
    assert SECRET not in json.dumps(lines)


@pytest.mark.parametrize("body", POISON.values(), ids=POISON)
def test_a_poison_message_is_no_error_of_the_function(reader, body):
    one = message(body)
    # An error would bring back the good ones as well.
    assert failures(reader.handler({"Records": [one]}, Invocation())) == [one["messageId"]]


def test_copies_in_a_batch_and_copies_later_are_one_order(taker, ws, capsys):
    first, twin = (
        message(GOOD | {"orderId": "a", "productName": "first"}),
        message(GOOD | {"orderId": "a", "quantity": 9}),
    )
    other = message(GOOD | {"orderId": "b"})
    assert failures(taker.handler({"Records": [first, twin, other, first]}, Invocation())) == []
    before = rows(ws)
    assert row(ws, "a") == item(GOOD | {"orderId": "a", "productName": "first"})
    assert len(before) == 2
    # Repeated, one by one and beside a new one.
    assert failures(taker.handler({"Records": [twin]}, Invocation())) == []
    assert failures(taker.handler({"Records": [twin, message(GOOD | {"orderId": "c"}), other]}, Invocation())) == []
    assert row(ws, "a") == item(GOOD | {"orderId": "a", "productName": "first"})
    assert row(ws, "c")
    assert len(rows(ws)) == 3
    assert [line["event"] for line in logged(capsys)].count("stored") == 3


def test_a_batch_larger_than_a_transaction(taker, ws):
    batch = [message(GOOD) for _ in range(230)]
    assert failures(taker.handler({"Records": batch}, Invocation())) == []
    assert ws.client("dynamodb").scan(TableName=ws.name("ecommerce-orders"), Select="COUNT")["Count"] == 230


def test_without_its_table_all_come_back_and_nothing_is_told_of_the_customer(taker, monkeypatch, capsys):
    monkeypatch.setenv("TABLE_NAME", "nosuch")
    batch = [message(GOOD | PERSONAL), message("{"), message(GOOD | PERSONAL)]
    assert sorted(failures(taker.handler({"Records": batch}, Invocation()))) == sorted(m["messageId"] for m in batch)
    lines = logged(capsys)
    assert {line["level"] for line in lines} == {"ERROR"}
    assert all(line["reason"] for line in lines)
    assert SECRET not in json.dumps(lines)


def test_out_of_reach_of_aws_all_come_back(reader, monkeypatch, capsys):
    monkeypatch.setenv("TABLE_NAME", "any")
    batch = [message(GOOD | PERSONAL) for _ in range(3)]
    assert failures(reader.handler({"Records": batch}, Invocation())) == [m["messageId"] for m in batch]
    assert SECRET not in json.dumps(logged(capsys))


def echo(client, service: str, code: str) -> None:
    """Let AWS refuse each call of a client with a text that quotes all of it."""

    def refuse(request, **_):
        body = request.body if isinstance(request.body, str) else request.body.decode()
        return faults.refusal(service, request.url, 400, code, f"One or more parameter values were invalid: {body}")

    client.meta.events.register("before-send", refuse)


def test_an_error_of_dynamodb_that_quotes_the_order_is_not_logged(monkeypatch, capsys):
    monkeypatch.setenv("TABLE_NAME", "any")
    taker = load_function("poc-lambda-1")
    echo(taker.dynamodb, "dynamodb", "ValidationException")
    one = message(GOOD | PERSONAL)
    assert failures(taker.handler({"Records": [one]}, Invocation())) == [one["messageId"]]
    (line,) = logged(capsys)
    assert line["code"] == "ValidationException"
    assert re.fullmatch(r"ValidationException, request [0-9a-f-]{36}", line["reason"])


def test_an_error_of_sns_that_quotes_the_order_is_neither_logged_nor_raised(monkeypatch, capsys):
    monkeypatch.setenv("TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:any")
    teller = load_function("poc-lambda-2")
    echo(teller.sns, "sns", "InvalidParameter")
    with pytest.raises(teller.NotNotified) as raised:
        teller.handler({"Records": [record(item({"orderId": "new", **GOOD | PERSONAL}))]}, Invocation(30))
    # Lambda logs what a function raises, and what that came from.
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    (line,) = logged(capsys)
    assert re.fullmatch(r"InvalidParameter, request [0-9a-f-]{36}", line["reason"])


text = st.text(max_size=40)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    text,
    st.lists(text, max_size=2),
    st.dictionaries(text, text, max_size=2),
)
good_fields = st.fixed_dictionaries(
    {"productId": st.text(min_size=1, max_size=256), "quantity": st.integers(1, 999_999_999)},
    optional={
        "productName": text,
        "customerEmail": st.from_regex(r"[^@\s]+@[^@\s]+\.[^@\s]+", fullmatch=True),
        "orderId": st.from_regex(r"[A-Za-z0-9-]{1,64}", fullmatch=True),
    },
)
#: A right order with one thing about it changed: the border is where mistakes live.
near = st.builds(
    lambda order, field, value: order | {field: value},
    good_fields,
    st.one_of(st.sampled_from(["orderId", "productId", "productName", "quantity", "customerEmail"]), text),
    st.one_of(
        values,
        st.sampled_from(
            ["a" * 256, "a" * 257, "a" * 1024, "a" * 1025, "a" * 64, "a" * 65, "", "\n", 0, 1, 10**9 - 1, 10**9]
        ),
        st.sampled_from(
            ["a@b.c\n", "a@b.c", "a@b", "a@@b.c", "a\u2028@b.c", "\x1ca@b.c", "٣", "a\n", "a" * 251 + "@b.c"]
        ),
        st.sampled_from(
            [
                "\x1b[2J",
                "a\x9b@b.c",
                "\x7f",
                "a\u202e@b.c",
                "\u2069",
                "\ud83e",
                "a\udd7d@b.c",
                "🧽",
                "🧽\ud83e",
                "🧽@b.c",
            ]
        ),
    ),
)
orders = st.one_of(good_fields, near, st.dictionaries(text, values, max_size=4), values)


@QUICK
@given(orders)
def test_the_function_and_the_api_have_the_same_rules(reader, order):
    body, read, reason = json.dumps(order), None, ""
    try:
        read = reader.read(message(body, "id"))
    except reader.NotAnOrder as refusal:
        reason = str(refusal)
    assert (read is not None) == schema().is_valid(json.loads(body))
    assert read is None or read == {"orderId": "id", **order}
    # The reason is logged, so it must not quote what the customer wrote.
    assert not [word for word in str(order).split() if len(word) > 12 and word in reason]


# --- POC-Lambda-2 ---------------------------------------------------------------------------------------------

images = st.builds(lambda order, key: item({"orderId": key} | order), good_fields, st.uuids().map(str))


@QUICK
@given(st.lists(images, min_size=1, max_size=5))
def test_a_subject_is_what_sns_takes(writer, batch):
    subject = writer.subject([writer.read(record(image)) for image in batch])
    assert re.fullmatch(r"[A-Za-z0-9][ -~]{0,99}", subject)


@QUICK
@given(st.lists(images, max_size=8, unique_by=lambda image: image["orderId"]["S"]))
def test_every_order_is_in_a_mail_once(writer, batch):
    groups = list(writer.split([record(image) for image in batch]))
    mailed = "".join(writer.body([writer.read(one) for one in group]) for group in groups)
    told = re.findall(r"^Order (\S+)$", mailed, re.MULTILINE)
    assert told == [image["orderId"]["S"] for image in batch]


@pytest.mark.parametrize("character", ["x", "ẞ", "🧽"], ids=["1 byte", "3 bytes", "4 bytes"])
def test_a_large_batch_is_split_and_arrives_whole(teller, ws, character, capsys):
    batch = [item({"orderId": f"o{number}", "productName": character * 1024, **GOOD}) for number in range(400)]
    teller.handler({"Records": [record(image) for image in batch]}, Invocation(30))
    mailed = mails(ws)
    assert len(mailed) > 1
    assert max(len(mail["Message"].encode()) + len(mail["Subject"]) for mail in mailed) <= 256 * 1024
    told = re.findall(r"^Order (\S+)$", "\n".join(mail["Message"] for mail in mailed), re.MULTILINE)
    assert sorted(told) == sorted(image["orderId"]["S"] for image in batch)
    lines = logged(capsys)
    assert sorted(i for line in lines for i in line["orderIds"]) == sorted(told)
    assert character * 10 not in json.dumps(lines, ensure_ascii=False)


def test_only_what_is_new_is_told(teller, ws):
    teller.handler(
        {"Records": [record(item({"orderId": "x", **GOOD}), name) for name in ("MODIFY", "REMOVE")]}, Invocation(30)
    )
    removed = {"eventName": "REMOVE", "dynamodb": {"Keys": {"orderId": {"S": "x"}}}}
    teller.handler({"Records": [removed, record(item({"orderId": "new", **GOOD | PERSONAL}))]}, Invocation(30))
    mailed = mails(ws)
    assert len(mailed) == 1
    assert "Order new\n" in mailed[0]["Message"]
    assert SECRET in mailed[0]["Message"]


def test_the_log_says_nothing_of_the_customer(teller, capsys):
    teller.handler({"Records": [record(item({"orderId": "new", **GOOD | PERSONAL}))]}, Invocation(30))
    lines = logged(capsys)
    assert "new" in json.dumps(lines)
    assert SECRET not in json.dumps(lines)


def test_a_refusal_of_sns_is_raised_so_that_the_batch_comes_again(teller, monkeypatch, capsys):
    monkeypatch.setenv("TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:nosuch")
    with pytest.raises(Exception, match="NotFound"):
        teller.handler({"Records": [record(item({"orderId": "new", **GOOD | PERSONAL}))]}, Invocation(30))
    assert SECRET not in json.dumps(logged(capsys))


#: Every type that DynamoDB has, as the event of a stream spells it: binaries come in base64.
TYPES = {
    "S": "text",
    "N": "12345678901234567890123456789012345678",
    "B": base64.b64encode(b"\x00\xff").decode(),
    "BOOL": True,
    "NULL": True,
    "M": {"a": {"L": [{"N": "1"}]}},
    "L": [{"S": "a"}, {"M": {}}],
    "SS": ["a", "b"],
    "NS": ["1", "2.5"],
    "BS": [base64.b64encode(b"\x00").decode()],
}
#: Texts that look like numbers, and numbers that are none to us.
ODD_QUANTITIES = [
    {"S": "²"},
    {"S": "٣"},
    {"S": "9" * 5000},
    {"S": ""},
    {"N": "1E+3"},
    {"N": "-1"},
    {"N": "0.5"},
    {"N": "1E+125"},
]


@pytest.mark.parametrize("kind", TYPES)
def test_an_item_put_in_by_hand_does_not_hold_up_the_stream(writer, kind):
    for field in ("productId", "productName", "quantity", "customerEmail", "else"):
        images = [item({"orderId": "a", **GOOD}), {"orderId": {"S": "b"}, field: {kind: TYPES[kind]}}]
        batch = [writer.read(one) for group in writer.split([record(image) for image in images]) for one in group]
        assert re.findall(r"^Order (\S+)$", writer.body(batch), re.MULTILINE) == ["a", "b"]
        assert all(writer.subject(some) for some in (batch, batch[1:]))


@pytest.mark.parametrize("quantity", ODD_QUANTITIES, ids=lambda quantity: str(quantity)[:20])
def test_an_odd_quantity_does_not_hold_up_the_stream(writer, quantity):
    read = [writer.read(record({"orderId": {"S": one}, "quantity": quantity})) for one in "ab"]
    assert re.fullmatch(r"[ -~]{1,100}", writer.subject(read))
    assert "Order a" in writer.body(read)


def test_a_line_break_of_a_customer_looks_like_no_line_of_ours(writer):
    image = item({"orderId": "a", "quantity": 1, "productId": "x\nOrder fake\n  Product: y"})
    order = writer.read(record(image))
    assert re.findall(r"^Order .*$", writer.body([order]), re.MULTILINE) == ["Order a"]
    assert "\n" not in writer.subject([order])
