"""POC-Lambda-1: takes a batch of orders from the queue and writes them into the table with one call.

Every message is accounted for by itself. What was written, or had been written before, is done: SQS deletes it.
What could not be written comes back by itself after the queue's visibility timeout. What is no order at all comes
back as well, and after its fifth time SQS moves it to the dead-letter queue; the good ones do not wait for it.

A table that throttles is waited for here, as long as the function has time. Each return to the queue counts toward
the dead-letter queue, and a full table is no fault of an order. Everything else is left to the queue.

Environment: TABLE_NAME, the name of the orders table.
"""

import json
import os
import random
import re
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# A message of SQS, an order, and the messages that carry one order.
Message = dict[str, Any]
Order = dict[str, Any]
Copies = list[tuple[Message, Order]]

# Made once for each execution environment, while it starts: a warm call finds the connection open.
CONNECT_SECONDS, READ_SECONDS = 2, 3
dynamodb = boto3.client(
    "dynamodb",
    config=Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1},
    ),
)
# A call that nobody answers takes so long, with a little time to say so. No call begins with less time left.
LONGEST_CALL_MILLISECONDS = 1000 * (CONNECT_SECONDS + READ_SECONDS) + 500

# DynamoDB takes this many items in one transaction.
ITEMS = 100
# DynamoDB's codes, for an item or for the whole call, for what passes by itself: the table is at its limit, or
# another transaction holds the item.
BUSY = {
    "ThrottlingError",
    "ThrottlingException",
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "TransactionConflict",
}
# How long to wait for a busy table: longer after each refusal, and never all functions at the same time.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 0.4

# The same rules as in src/api/order.schema.json: not every order comes in through the API.
ORDER_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# What could drive the terminal of whoever reads the order: control characters, line separators, characters that
# turn the direction of writing; and halves of surrogate pairs, which are no text.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
RULES: dict[str, Callable[[Any], Any]] = {
    "orderId": lambda value: isinstance(value, str) and ORDER_ID.fullmatch(value),
    "productId": lambda value: is_line(value, 256) and value,
    "productName": lambda value: is_line(value, 1024),
    "quantity": lambda value: type(value) is int and 1 <= value <= 999_999_999,
    "customerEmail": lambda value: is_line(value, 254) and EMAIL.fullmatch(value),
}
REQUIRED = ("productId", "quantity")


class NotAnOrder(Exception):
    """A message that no repetition will turn into an order."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Write the orders of one batch; name the messages that must come back.

    Args:
        event: an SQS event: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
        context: tells how much time is left:
            https://docs.aws.amazon.com/lambda/latest/dg/python-context.html

    Returns:
        `{"batchItemFailures": [{"itemIdentifier": message id}]}`, as `ReportBatchItemFailures` asks for.
    """
    failed: list[Message] = []
    orders: dict[str, Copies] = {}
    for message in event["Records"]:
        try:
            order = read(message)
        except NotAnOrder as reason:
            log("ERROR", "refused", message, reason=str(reason))
            failed.append(message)
        else:
            # Two messages with one order id are one order; DynamoDB takes a key once in a batch.
            orders.setdefault(order["orderId"], []).append((message, order))
    batch = list(orders.values())
    for start in range(0, len(batch), ITEMS):
        failed += write(batch[start : start + ITEMS], context)
    return {"batchItemFailures": [{"itemIdentifier": message["messageId"]} for message in failed]}


def read(message: Message) -> Order:
    """Get the order out of a message.

    Returns:
        The order's fields, `orderId` among them: the client's, or else the id of the message.

    Raises:
        NotAnOrder: with the reason. It names the field, and never what the customer wrote.
    """
    try:
        order = json.loads(message["body"])
    except (ValueError, RecursionError):
        raise NotAnOrder("the message is not JSON") from None
    if not isinstance(order, dict):
        raise NotAnOrder("the message is not a JSON object")
    unknown = len(order.keys() - RULES.keys())
    if unknown:
        raise NotAnOrder(f"{unknown} field(s) that an order does not have")
    for field in REQUIRED:
        if field not in order:
            raise NotAnOrder(f"{field} is missing")
    for field, value in order.items():
        if not RULES[field](value):
            raise NotAnOrder(f"{field} is not valid")
    return {"orderId": message["messageId"], **order}


def is_line(value: Any, longest: int) -> bool:
    """Whether a value is one line of text that is safe to show."""
    return isinstance(value, str) and len(value) <= longest and not UNSAFE.search(value)


def write(batch: list[Copies], context: Any) -> list[Message]:
    """Write orders with one call: a transaction of puts, each on the condition that its order is not there yet.

    A transaction is cancelled as a whole, but it tells the reason for each item. An order that is there already
    is as good as written: a repeated message changes nothing, and the stream does not report it again. An order that
    DynamoDB rejects comes back through the queue. The rest goes into another transaction, after a pause if the table
    was busy.

    Args:
        batch: for each order, the messages that carry it: `[[(message, order), …], …]`.
        context: tells how much time is left.

    Returns:
        The messages that must come back.
    """
    failed: list[Message] = []
    pause, answer = FIRST_PAUSE, "none"
    while batch and context.get_remaining_time_in_millis() >= LONGEST_CALL_MILLISECONDS:
        verdicts, answer = put([copies[0][1] for copies in batch])
        rest = []
        for copies, verdict in zip(batch, verdicts, strict=True):
            if verdict in ("stored", "repeated"):
                report(copies, verdict)
            elif verdict == "again" or verdict in BUSY:
                rest.append(copies)
            else:
                failed += refuse(copies, verdict, answer)
        if BUSY.intersection(verdicts):
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(2 * pause, LONGEST_PAUSE)
        batch = rest
    for copies in batch:
        failed += refuse(copies, "OutOfTime", f"no time left for another call; DynamoDB's last answer: {answer}")
    return failed


def put(orders: list[Order]) -> tuple[list[str], str]:
    """Try one transaction.

    Returns:
        A verdict for each order (`stored`, `repeated`, `again`, or AWS's code for why not), and AWS's answer.
    """
    items: list[Any] = [
        {
            "Put": {
                "TableName": os.environ["TABLE_NAME"],
                "Item": {f: {"N": str(v)} if f == "quantity" else {"S": v} for f, v in order.items()},
                "ConditionExpression": "attribute_not_exists(orderId)",
            }
        }
        for order in orders
    ]
    try:
        dynamodb.transact_write_items(TransactItems=items)
    except dynamodb.exceptions.TransactionCanceledException as cancelled:
        codes = [reason.get("Code", "None") for reason in cancelled.response["CancellationReasons"]]
        verdicts = {"None": "again", "ConditionalCheckFailed": "repeated"}
        return [verdicts.get(code, code) for code in codes], describe(cancelled)
    except ClientError as error:
        return [error.response["Error"]["Code"]] * len(orders), describe(error)
    except BotoCoreError as error:
        name = type(error).__name__
        return [name] * len(orders), name
    return ["stored"] * len(orders), "stored"


def describe(error: ClientError) -> str:
    """AWS's code for an error, and its request id. AWS's text stays out of the log: it may quote an order."""
    request = error.response.get("ResponseMetadata", {}).get("RequestId", "none")
    return f"{error.response['Error']['Code']}, request {request}"


def report(copies: Copies, verdict: str) -> None:
    """Log that an order is in the table; of several messages with the same order, the first one brought it."""
    for number, (message, order) in enumerate(copies):
        log("INFO", verdict if number == 0 else "repeated", message, orderId=order["orderId"])


def refuse(copies: Copies, code: str, reason: str) -> list[Message]:
    """Log why an order could not be written, and return its messages."""
    for message, order in copies:
        log("ERROR", "not stored", message, orderId=order["orderId"], code=code, reason=reason)
    return [message for message, _ in copies]


def log(level: str, event: str, message: Message, **facts: Any) -> None:
    """Print one line of JSON; whatever is printed goes to CloudWatch Logs. Ids and times, never customer data."""
    attributes, api = message.get("attributes", {}), message.get("messageAttributes", {})
    line = {
        "level": level,
        "event": event,
        "messageId": message["messageId"],
        **facts,
        "apiRequestId": api.get("apiRequestId", {}).get("stringValue"),
        "apiRequestTime": api.get("apiRequestTime", {}).get("stringValue"),
        "sentTime": attributes.get("SentTimestamp"),
        "receivedTime": attributes.get("ApproximateFirstReceiveTimestamp"),
        "receiveCount": attributes.get("ApproximateReceiveCount"),
        "time": round(time.time() * 1000),
    }
    print(json.dumps({key: value for key, value in line.items() if value is not None}))
