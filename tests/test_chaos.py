"""Chaos: orders on their way through the whole architecture while nearly everything fails. The account must be zeros.

All faults come from outside. The functions are wrapped, so that they fail or are killed before or after their work;
the table and the topic refuse while the right to use them is taken away. What is random follows from a seed: the
orders, which of them are sent twice, the poison, and what becomes of the n-th invocation. Who comes n-th is up to
the machine, as it is up to AWS.

Two settings of the queue are changed by hand. A message that failed comes back after two seconds and not after
sixty. And while faults last, it may come back a thousand times and not five: a function that fails every third
time would bring good orders into the dead-letter queue. The five hold again before the account is made.
"""

import contextlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import ROOT, build, eventually, mails, messages, post

from workshop.base.console import Console
from workshop.base.settings import Settings
from workshop.build.function_code import packed
from workshop.build.opening import open_workshop
from workshop.commands.redrive import redrive
from workshop.orders.api import api_url
from workshop.orders.mail import ORDER_LINE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SEED = 20260101
#: What becomes of an invocation, and how often of a hundred.
FATES = {"works": 72, "fails first": 8, "fails at the end": 8, "is killed first": 6, "is killed at the end": 6}
FUNCTIONS = {"POC-Lambda-1": "src/lambda/poc-lambda-1/index.py", "POC-Lambda-2": "src/lambda/poc-lambda-2/index.py"}
#: Appended to a function's source. One byte in a file for each invocation tells which it is, across all processes.
WRAPPER = """

import os as _os
import random as _random

_work = handler


def _fate():
    file = _os.open({path!r}, _os.O_WRONLY | _os.O_CREAT | _os.O_APPEND)
    _os.write(file, b".")
    number = _os.lseek(file, 0, _os.SEEK_CUR)
    _os.close(file)
    return _random.Random({seed!r} + str(number)).choices({fates!r}, {weights!r})[0]


def handler(event, context):
    fate = _fate()
    if fate == "fails first":
        raise RuntimeError("chaos, before the work")
    if fate == "is killed first":
        _os._exit(1)
    answer = _work(event, context)
    if fate == "fails at the end":
        raise RuntimeError("chaos, after the work")
    if fate == "is killed at the end":
        _os._exit(1)
    return answer
"""
#: No orders, each in its own way; the API would have refused them.
POISON = [
    lambda n: f"no JSON {n}",
    lambda n: json.dumps({"productId": f"poison-{n}", "quantity": 0}),
    lambda n: json.dumps({"quantity": n + 1}),
    lambda n: json.dumps([{"productId": f"poison-{n}", "quantity": 1}]),
    lambda n: json.dumps({"productId": f"poison-{n}", "quantity": 1, "note": "x"}),
    lambda n: json.dumps({"orderId": f"poison {n}", "productId": "1", "quantity": 1}),
    lambda n: "[" * (20_000 + n),
    lambda n: json.dumps({"productId": f"poison-{n}", "quantity": 1, "customerEmail": "nobody"}),
]


def order_bodies(orders: int, dice: random.Random) -> list[dict]:
    """So many orders in any sequence, a fifth of them a second time: with the same id and another content."""
    bodies = []
    for number in range(orders):
        body = {"productId": f"product-{number}", "quantity": dice.randint(1, 99), "customerEmail": "a@example.com"}
        if number % 5 == 0:
            body["orderId"] = f"twice-{number}"
            bodies.append(body | {"productId": f"product-{number}-again", "quantity": body["quantity"] + 100})
        elif number % 2:
            body["orderId"] = f"once-{number}"
        bodies.append(body)
    dice.shuffle(bodies)
    return bodies


class Chaos:
    """A built workshop that things are done to.

    Args:
        ws: the context.
        folder: where invocations are counted.
    """

    def __init__(self, ws, folder) -> None:
        self.ws, self.folder = ws, folder
        self.url, self.queue = api_url(ws), ws.find("queue", "ecommerce-orders-queue")["QueueUrl"]
        #: What was sent, and accepted, under each order id.
        self.accepted: dict[str, list[dict]] = {}

    def counter(self, function: str):
        """The file with one byte for each invocation of a function."""
        return self.folder / function

    def deploy(self, function: str, wrapper: str = "") -> None:
        """Put a function's own source in place, with something behind it."""
        source = (ROOT / FUNCTIONS[function]).read_text(encoding="utf-8") + wrapper
        name = self.ws.name(function)
        self.ws.client("lambda").update_function_code(
            FunctionName=name, ZipFile=packed(source), Architectures=["arm64"]
        )

    def make_unreliable(self) -> None:
        """Let both functions fail and die at random."""
        for function in FUNCTIONS:
            wrapper = WRAPPER.format(
                path=str(self.counter(function)), seed=f"{SEED} {function} ", fates=[*FATES], weights=[*FATES.values()]
            )
            self.deploy(function, wrapper)

    def fates(self) -> Counter:
        """What became of the invocations so far."""
        met = Counter()
        for function in FUNCTIONS:
            for number in range(1, os.path.getsize(self.counter(function)) + 1):
                dice = random.Random(f"{SEED} {function} {number}")
                met[dice.choices([*FATES], [*FATES.values()])[0]] += 1
        return met

    def set_queue(self, receives: int) -> None:
        """Say how often a message is received before it is a dead letter; retries come quickly."""
        redrive_policy = {
            "deadLetterTargetArn": self.ws.arn("sqs", self.ws.name("ecommerce-orders-dlq")),
            "maxReceiveCount": receives,
        }
        self.ws.client("sqs").set_queue_attributes(
            QueueUrl=self.queue,
            Attributes={"VisibilityTimeout": "2", "RedrivePolicy": json.dumps(redrive_policy)},
        )

    @contextlib.contextmanager
    def refusing(self, role: str, policy: str):
        """Take a right away from a function's role, and give it back."""
        iam = self.ws.client("iam")
        right = {
            "RoleName": self.ws.name(role),
            "PolicyArn": self.ws.policy_arn(policy),
        }
        iam.detach_role_policy(**right)
        try:
            yield
        finally:
            iam.attach_role_policy(**right)

    def place(self, body: dict) -> None:
        """Place an order as a client does, who tries again when he is told to."""
        for _ in range(20):
            status, answer = post(self.url, json.dumps(body))
            if status == 202:
                self.accepted.setdefault(body.get("orderId") or answer["messageId"], []).append(body)
                return
            assert status in (429, 500, 502, 503, 504), status
            time.sleep(0.2)
        pytest.fail(f"the API answered {status} twenty times")

    def send_poison(self, bodies: list[str]) -> None:
        """Put messages straight into the queue, past the API and its rules."""
        sqs = self.ws.client("sqs")
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
            assert not sqs.send_message_batch(QueueUrl=self.queue, Entries=entries).get("Failed")

    def stored(self) -> int:
        """How many orders the table holds; a scan of all would slow down what is measured."""
        table = self.ws.client("dynamodb").describe_table(TableName=self.ws.name("ecommerce-orders"))["Table"]
        return table["ItemCount"]

    def refused(self, function: str, event: str) -> list[dict]:
        """The lines in which a function says that something was refused to it."""
        logs, group = self.ws.client("logs"), self.ws.name(f"/aws/lambda/{function}")
        return logs.filter_log_events(logGroupName=group, filterPattern=f'"{event}"')["events"]

    def wait_while_it_moves(self, unfinished: Callable[[], bool]) -> None:
        """Wait as long as orders are stored; not longer than a minute for the next one."""
        while unfinished():
            before = self.stored()
            if not eventually(lambda before=before: self.stored() > before or not unfinished()):
                return

    def table(self) -> dict[str, dict]:
        """The whole table, by order id."""
        pages = self.ws.client("dynamodb").get_paginator("scan").paginate(
            TableName=self.ws.name("ecommerce-orders"), ConsistentRead=True
        )  # fmt: skip
        return {item["orderId"]["S"]: item for page in pages for item in page["Items"]}

    def changes(self) -> Counter:
        """What ever happened in the table, from its stream: `(event, order id)` and how often."""
        streams = self.ws.client("dynamodbstreams")
        arn = self.ws.find("stream", "ecommerce-orders")["Arn"]
        seen = Counter()
        for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            iterator = streams.get_shard_iterator(
                StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while iterator:
                page = streams.get_records(ShardIterator=iterator)
                seen.update((one["eventName"], one["dynamodb"]["Keys"]["orderId"]["S"]) for one in page["Records"])
                iterator = page.get("NextShardIterator") if page["Records"] else None
        return seen

    def told(self) -> Counter:
        """The order ids of all e-mails, and how often."""
        return Counter(order_id for mail in mails(self.ws) for order_id in ORDER_LINE.findall(mail["Message"]))

    def dead_letters(self) -> list[str]:
        """What lies in the dead-letter queue; it stays there, to be seen by others."""
        sqs, url = self.ws.client("sqs"), self.ws.find("queue", "ecommerce-orders-dlq")["QueueUrl"]
        found = {}
        while page := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60).get("Messages"):
            found |= {one["MessageId"]: one for one in page}
        for one in found.values():
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"], VisibilityTimeout=0)
        return [one["Body"] for one in found.values()]


@pytest.fixture
def chaos(own_state_dir, tmp_path):
    """Everything is built on an embedded AWS of its own."""
    ws = open_workshop(Settings(state_dir=own_state_dir, prefix="chaos", yes=True), Console(), time.sleep)
    build(ws)
    return Chaos(ws, tmp_path)


@pytest.mark.parametrize(
    "orders", [pytest.param(500, id="500"), pytest.param(10_000, id="10000", marks=pytest.mark.exhaustive)]
)
def test_nothing_is_lost_nothing_is_stored_twice(chaos, capsys, orders):
    began, ws = time.monotonic(), chaos.ws
    dice = random.Random(SEED)
    bodies = order_bodies(orders, dice)
    poison = [POISON[number % len(POISON)](number) for number in range(orders // 50)]
    chaos.make_unreliable()
    chaos.set_queue(receives=1000)

    # 1. Everything at once: orders and poison come in, functions fail and die, the table and the topic refuse.
    with ThreadPoolExecutor(8) as clients:
        sending = [clients.submit(chaos.place, body) for body in bodies]

        def wait_until_sent(share: float) -> None:
            while sum(one.done() for one in sending) < share * len(sending):
                time.sleep(0.05)

        wait_until_sent(0.2)
        chaos.send_poison(poison[: len(poison) // 2])
        with chaos.refusing("Lambda-SQS-DynamoDB", "Lambda-Put-DynamoDB"):
            wait_until_sent(0.5)
            assert eventually(lambda: chaos.refused("POC-Lambda-1", "not stored"))
        with chaos.refusing("Lambda-DynamoDB-SNS", "Lambda-Publish-SNS"):
            wait_until_sent(0.8)
            assert eventually(lambda: chaos.refused("POC-Lambda-2", "not notified"))
        chaos.send_poison(poison[len(poison) // 2 :])
        for one in sending:
            one.result()
    assert len(chaos.accepted) == orders
    assert sum(map(len, chaos.accepted.values())) == len(bodies)
    sent_after = time.monotonic() - began

    # 2. The faults last while the backlog is worked off, all but its last part.
    chaos.wait_while_it_moves(lambda: chaos.stored() < orders * 0.95)
    fates = chaos.fates()
    for function in FUNCTIONS:
        chaos.deploy(function)

    # 3. They end: now everything has to arrive. In the queue there is only poison left.
    chaos.wait_while_it_moves(lambda: chaos.stored() < orders)
    assert chaos.stored() == orders
    assert eventually(lambda: messages(ws) <= len(poison))
    chaos.set_queue(receives=5)
    assert eventually(lambda: not messages(ws))
    assert eventually(lambda: chaos.told().keys() >= chaos.accepted.keys())
    drained_after = time.monotonic() - began

    # The account, from the table, its stream, the mail and the dead-letter queue.
    table, told, dead = chaos.table(), chaos.told(), chaos.dead_letters()
    changes = chaos.changes()
    first_ones = {("INSERT", order_id): 1 for order_id in chaos.accepted}
    intact = {
        order_id for order_id, sent in chaos.accepted.items()
        if table.get(order_id) in [as_item(order_id, body) for body in sent]
    }  # fmt: skip
    with capsys.disabled():
        print(
            f"\nchaos, seed {SEED}: {len(bodies)} accepted of {orders} orders, {len(poison)} poison;"
            f" sent in {sent_after:.0f} s, drained after {drained_after:.0f} s"
            f"\n  invocations: {', '.join(f'{fate} {count}' for fate, count in fates.most_common())}"
            f"\n  lost {len(chaos.accepted.keys() - (table.keys() & told.keys()))},"
            f" stored twice or overwritten {sum(changes.values()) - len(table)},"
            f" poison in the dead-letter queue {len(dead)} of {len(poison)},"
            f" notified more than once {sum(count > 1 for count in told.values())}"
        )
    assert set(fates) == set(FATES), "some fault never happened: this proves nothing"
    assert table.keys() == chaos.accepted.keys() == told.keys()
    assert intact == chaos.accepted.keys()
    assert changes == first_ones
    assert sorted(dead) == sorted(poison)
    assert messages(ws, "ecommerce-orders-stream-dlq") == 0

    # 4. The table refuses for so long that good orders become dead letters, beside the poison.
    chaos.set_queue(receives=1)
    late = [{"productId": "late", "quantity": 1}, {"orderId": "late-with-an-id", "productId": "late", "quantity": 2}]
    with chaos.refusing("Lambda-SQS-DynamoDB", "Lambda-Put-DynamoDB"):
        for body in late:
            chaos.place(body)
        assert eventually(lambda: messages(ws, "ecommerce-orders-dlq") == len(poison) + len(late))
    assert chaos.stored() == orders

    # 5. Sent back, they arrive under their old ids; the poison is thrown away.
    chaos.set_queue(receives=5)
    outcome = redrive(ws, id=None, dry_run=False, discard=True)
    assert (len(outcome["sent"]), len(outcome["discarded"])) == (len(late), len(poison))
    assert eventually(lambda: chaos.told().keys() == chaos.accepted.keys())
    assert chaos.table().keys() == chaos.accepted.keys()
    for queue in ("ecommerce-orders-queue", "ecommerce-orders-dlq", "ecommerce-orders-stream-dlq"):
        assert eventually(lambda queue=queue: not messages(ws, queue))
    with capsys.disabled():
        print(f"  redriven: {len(late)} good orders stored and notified, dead-letter queue empty;"
              f" {time.monotonic() - began:.0f} s in all")  # fmt: skip


def as_item(order_id: str, body: dict) -> dict:
    """An order as the table has to hold it."""
    return {
        key: {"N": str(value)} if key == "quantity" else {"S": value}
        for key, value in (body | {"orderId": order_id}).items()
    }
