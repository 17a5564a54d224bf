"""What comes in at the API: good orders are stored and notified as they are, bad ones never reach the queue."""

import json
import subprocess
import uuid

import boto3
import pytest
from replay import build
from support import SPEC_ORDER, census, eventually, item, mails, messages, post, row, rows

from workshop.commands.clean import cleanup
from workshop.orders.api import api_url
from workshop.orders.mail import listen_to_mail

#: Texts that have a meaning somewhere on the way: form encoding, JSON, templates, mail, DynamoDB.
TEXTS = [
    "a&Action=DeleteQueue",
    "x&MessageBody=%7B%7D&DelaySeconds=900",
    "quotes \" and ' and `",
    "back\\slash \\n \\u0041 \\\\",
    "emoji 🧽🫧 and 漢字 and ẞ and é",
    "100 % and %41 and %2B and + and %",
    "$input.body $util.urlEncode('x') $context.requestId #set($x = 1) #if(true) ## ${x} $!x",
    "</MessageBody><script>alert(1)</script>&amp;&lt;",
    "{{productId}} ${jndi:ldap://x} {0} %s",
    "\u00a0\ufeff\u200b\u200d\u200f",
    "null",
    "  spaces  at  both  ends  ",
]
#: What could drive the terminal of whoever reads an order, or show it as another one; and half a character.
UNSAFE = {
    "a line break": "\n", "a tab": "\t", "NUL": "\0", "an escape sequence": "\x1b]52;c;eA==\x07", "DEL": "\x7f",
    "a C1 control": "\x9b2J", "a line separator": "\u2028", "an override": "\u202e", "an isolate": "\u2066",
    "half a character": "\ud83e", "the other half": "\udd7d",
}  # fmt: skip

GOOD = {"productId": "12345", "quantity": 2}


def body(**fields) -> str:
    return json.dumps(GOOD | fields)


#: name: what is sent
BAD = {
    "no productId": json.dumps({"quantity": 2}),
    "no quantity": json.dumps({"productId": "12345"}),
    "nothing in it": "{}",
    "empty productId": body(productId=""),
    "productId a number": body(productId=12345),
    "productId null": body(productId=None),
    "productId too long": body(productId="x" * 257),
    "productName too long": body(productName="x" * 1025),
    "productName a list": body(productName=["x"]),
    "quantity 0": body(quantity=0),
    "quantity negative": body(quantity=-1),
    "quantity a text": body(quantity="2"),
    "quantity 1.5": body(quantity=1.5),
    "quantity true": body(quantity=True),
    "quantity null": body(quantity=None),
    "quantity a billion": body(quantity=10**9),
    "quantity beyond all numbers": '{"productId": "1", "quantity": 1e400}',
    "quantity NaN": '{"productId": "1", "quantity": NaN}',
    "unknown field": body(note="please"),
    "field in capitals": body(ProductId="1"),
    "e-mail without at": body(customerEmail="nobody"),
    "e-mail without dot": body(customerEmail="a@b"),
    "e-mail with a space": body(customerEmail="a b@example.com"),
    "e-mail with a line break": body(customerEmail="a@example.com\n"),
    "e-mail with two at": body(customerEmail="a@b@example.com"),
    "e-mail empty": body(customerEmail=""),
    "e-mail too long": body(customerEmail="a" * 250 + "@b.de"),
    **{
        f"{field} with {what}": body(**{field: f"a{text}b@c.d"})
        for what, text in UNSAFE.items()
        for field in ("productId", "productName", "customerEmail")
    },
    "orderId with a space": body(orderId="a b"),
    "orderId of 65 characters": body(orderId="a" * 65),
    "orderId empty": body(orderId=""),
    "orderId with a line break at its end": body(orderId="abc\n"),
    "orderId with a dot": body(orderId="a.b"),
    "orderId in other digits": body(orderId="١٢٣"),
    "orderId a number": body(orderId=7),
    "null": "null",
    "a list": "[]",
    "a list with an order": f"[{body()}]",
    "a text": '"order"',
    "a number": "2",
    "not JSON": "productId=12345&quantity=2",
    "cut off": body()[:-1],
    "two orders": body() + body(),
    "empty": "",
    "only spaces": "   ",
    "binary": b"\xff\xfe\x00\x01",
    "2 MB of text": body(productName="x" * 2_000_000),
    "2 MB of spaces": body() + " " * 2_000_000,
}


@pytest.fixture
def taken(built):
    """The built participant, whose inbox is listened to."""
    listen_to_mail(built)
    return built


@pytest.fixture(scope="module")
def front(open_ws):
    """Only the queue and the API: what gets into the queue stays there, to be counted."""
    opened = open_ws(f"f{uuid.uuid4().hex[:10]}")
    for number in (1, 2, 3, 8):
        opened.steps[number - 1].run(opened)
    yield opened
    cleanup(opened)


def test_the_call_of_the_specification(taken, cli):
    curl = ["curl", "--silent", "--max-time", "60", "-X", "POST", "-H", "Content-Type: application/json"]
    curl += ["--cacert", taken.client.ca_bundle]
    data = (
        '{"productId": "12345", "productName": "Eco-Friendly Cleaner", "quantity": 2, '
        '"customerEmail": "customer@example.com"}'
    )
    command = [*curl, "-w", "\n%{http_code}", "-d", data, api_url(taken)]
    answer, code = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rsplit("\n", 1)
    assert code == "202"
    order_id = json.loads(answer)["messageId"]
    assert row(taken, order_id) == item(SPEC_ORDER | {"orderId": order_id})

    def arrived():
        inbox = cli("inbox", "--json", "--prefix", taken.settings.prefix).json
        return [mail for mail in inbox if order_id in mail["orderIds"]]

    mail = eventually(arrived)
    assert len(mail) == 1
    assert mail[0]["to"] == "trainee@example.com"
    assert mail[0]["subject"]
    assert all(str(value) in mail[0]["body"] for value in SPEC_ORDER.values())


def test_order_and_inbox_of_the_command_line(ws, cli):
    build(ws)
    placed = cli("order", "--product-id", "777", "--quantity", "3", "--json")
    assert placed.code == 0, placed.err
    assert placed.json["statusCode"] == 202
    order_id = placed.json["orderId"]
    inbox = cli("inbox", "--wait", "5", "--json")
    assert [set(mail) >= {"to", "subject", "body", "orderIds"} for mail in inbox.json] == [True]
    assert inbox.json[0]["orderIds"] == [order_id]
    stored = row(ws, order_id)
    assert (stored["productId"], stored["quantity"]) == ({"S": "777"}, {"N": "3"})
    # Reading takes nothing away, and a person can read it as well.
    read = cli("inbox")
    assert "To:      trainee@example.com" in read.out
    assert order_id in read.out


@pytest.mark.slow
def test_the_inbox_shows_the_newest_e_mails(ws, cli):
    build(ws)
    ids = []
    for number in range(1, 4):
        ids.append(cli("order", "--product-id", str(number), "--quantity", "1", "--json").json["orderId"])
        eventually(lambda: len(mails(ws)) >= number)  # noqa: B023
    assert [mail["orderIds"] for mail in cli("inbox", "--last", "2", "--json").json] == [[one] for one in ids[1:]]
    assert len(cli("inbox", "--last", "9", "--json").json) == 3
    read = cli("inbox", "--last", "1")
    assert ids[2] in read.out
    assert ids[1] not in read.out


@pytest.mark.parametrize(
    "order",
    [
        GOOD,
        GOOD | {"productName": ""},
        GOOD | {"productName": "only a name"},
        GOOD | {"customerEmail": "a@b.c"},
        {"productId": "x" * 256, "quantity": 999_999_999, "productName": "ẞ" * 1024},
        {"productId": " ", "quantity": 1},
    ],
    ids=["least", "empty name", "name", "e-mail", "longest", "space"],
)
def test_the_row_holds_exactly_what_was_sent(taken, order):
    status, answer = post(api_url(taken), json.dumps(order))
    assert (status, set(answer)) == (202, {"messageId"})
    assert row(taken, answer["messageId"]) == item(order | {"orderId": answer["messageId"]})


@pytest.mark.parametrize("escaped", [True, False], ids=["as escapes", "as they are"])
def test_texts_arrive_byte_for_byte(taken, escaped):
    sent = {}
    for text in TEXTS:
        order = GOOD | {"productName": text, "productId": text}
        status, answer = post(api_url(taken), json.dumps(order, ensure_ascii=escaped))
        assert status == 202, text
        sent[answer["messageId"]] = order
    for order_id, order in sent.items():
        assert row(taken, order_id) == item(order | {"orderId": order_id})
    # And the queue still stands, with nothing of its own changed.
    assert {r.result for r in taken.steps[2].examine(taken)} == {"present"}
    mailed = eventually(lambda: (text := str(mails(taken))) and all(i in text for i in sent) and text)
    assert mailed


def test_a_valid_order_in_a_large_body_arrives(taken):
    # Up to SQS's limit a body is a body: what counts is what it says.
    status, answer = post(api_url(taken), " " * 200_000 + body())
    assert status == 202
    assert row(taken, answer["messageId"]) == item(GOOD | {"orderId": answer["messageId"]})


@pytest.mark.parametrize("order_id", ["order-1", "A", "0", "a" * 64, "----"])
def test_an_order_keeps_the_id_that_its_client_chose(taken, order_id):
    order = GOOD | {"orderId": order_id}
    assert post(api_url(taken), json.dumps(order))[0] == 202
    assert row(taken, order_id) == item(order)


def test_the_same_id_again_changes_nothing_and_tells_nobody(taken):
    order = GOOD | {"orderId": f"retry-{uuid.uuid4().hex}", "productName": "first"}
    assert post(api_url(taken), json.dumps(order))[0] == 202
    assert row(taken, order["orderId"]) == item(order)
    for again in (order, order | {"productName": "second", "quantity": 9}):
        assert post(api_url(taken), json.dumps(again))[0] == 202
    assert eventually(lambda: messages(taken) == 0)
    # Whoever comes after them was notified, so they would have been.
    last = post(api_url(taken), json.dumps(GOOD))[1]["messageId"]
    assert eventually(lambda: last in str(mails(taken)))
    assert row(taken, order["orderId"]) == item(order)
    assert str(mails(taken)).count(order["orderId"]) == 1


def test_the_command_says_the_id_that_the_client_chose(cli, taken):
    whose = ["--prefix", taken.settings.prefix, "--json"]
    own = f"mine-{uuid.uuid4().hex}"
    assert cli("order", "--order-id", own, *whose).json == {"orderId": own, "statusCode": 202}
    own = f"mine-{uuid.uuid4().hex}"
    assert cli("order", "--body", body(orderId=own), *whose).json["orderId"] == own
    assert row(taken, own)


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_bad_order_is_refused_and_never_reaches_the_queue(front, text):
    status, _ = post(api_url(front), text)
    assert 400 <= status < 500
    assert messages(front) == 0


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_another_content_type_is_refused_and_never_reaches_the_queue(front, content_type):
    status, _ = post(api_url(front), body(), content_type)
    assert 400 <= status < 500
    assert messages(front) == 0


def test_without_a_content_type_a_body_is_checked_as_json(front):
    assert post(api_url(front), body(quantity=0), None)[0] == 400
    assert messages(front) == 0


@pytest.mark.parametrize("text", [body(), body(quantity=0)], ids=["good", "bad"])
def test_a_form_of_sqs_is_not_passed_through(front, text):
    form = f"Action=SendMessage&MessageBody={text}"
    assert 400 <= post(api_url(front), form, "application/x-www-form-urlencoded")[0] < 500
    assert messages(front) == 0


def test_what_the_counting_would_see(front):
    # The tests above would see a message: a good order is one.
    url = front.client("sqs").get_queue_url(QueueName=front.name("ecommerce-orders-queue"))["QueueUrl"]
    assert post(api_url(front), body(), "application/json; charset=utf-8")[0] == 202
    assert eventually(lambda: messages(front) == 1)
    front.client("sqs").purge_queue(QueueUrl=url)
    assert eventually(lambda: messages(front) == 0)
    assert rows(front) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_post_is_there(front, method):
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "60", "-X", method, api_url(front)]
    command += ["--cacert", front.client.ca_bundle]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout[0] == "4"


def test_a_bad_order_of_the_command_line_is_one_clear_line(cli, front):
    ran = cli("order", "--body", '{"quantity": 0}', "--json", "--prefix", front.settings.prefix)
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.splitlines()) == 1
    assert " 400" in ran.err


def test_nobody_but_the_apis_role_puts_anything_into_the_queue(built):
    iam, name = built.client("iam"), f"{built.settings.prefix}-intruder"
    iam.create_user(UserName=name)
    right = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [right]})
    iam.put_user_policy(UserName=name, PolicyName="everything", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    own = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
    there = {"endpoint_url": built.client.endpoint, "verify": built.client.ca_bundle}
    url = built.client("sqs").get_queue_url(QueueName=built.name("ecommerce-orders-queue"))["QueueUrl"]
    try:
        with pytest.raises(Exception, match="AccessDenied"):
            own.client("sqs", **there).send_message(QueueUrl=url, MessageBody=body())
        topic = built.arn("sns", built.name("ecommerce-orders-topic"))
        with pytest.raises(Exception, match=r"AccessDenied|AuthorizationError"):
            own.client("sns", **there).publish(TopicArn=topic, Message="x")
    finally:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName=name, PolicyName="everything")
        iam.delete_user(UserName=name)
    assert census(built)
