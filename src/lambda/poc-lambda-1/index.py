"""POC-Lambda-1: takes a batch of orders from the queue and writes them into the table with one call.

Every message is accounted for by itself. What was written, or had been written before, is done: SQS deletes it.
What could not be written comes back by itself after the queue's visibility timeout. What is no order at all comes
back as well, and after its fifth time SQS moves it to the dead-letter queue; the good ones do not wait for it.
Here nobody sleeps and nobody tries again: that is what the queue is for.

Environment: TABLE_NAME, the name of the orders table.
"""

import json
import os
import re
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# Made once for each execution environment, while it starts: a warm call finds the connection open.
dynamodb = boto3.client(
    "dynamodb", config=Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 1})
)

# DynamoDB takes this many items in one transaction.
ITEMS = 100
# A transaction that was cancelled for some of its items is written again without them, so many times at most.
ROUNDS = 3

# The same rules as in src/api/order.schema.json: not every order comes in through the API.
ORDER_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
RULES = {
    "orderId": lambda value: isinstance(value, str) and ORDER_ID.fullmatch(value),
    "productId": lambda value: isinstance(value, str) and 1 <= len(value) <= 256,
    "productName": lambda value: isinstance(value, str) and len(value) <= 1024,
    "quantity": lambda value: type(value) is int and 1 <= value <= 999_999_999,
    "customerEmail": lambda value: isinstance(value, str) and len(value) <= 254 and EMAIL.fullmatch(value),
}
REQUIRED = ("productId", "quantity")


class NotAnOrder(Exception):
    """A message that no repetition will turn into an order."""


def handler(event, context):
    """Write the orders of one batch; name the messages that must come back.

    Args:
        event: an SQS event: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
        context: not used.

    Returns:
        `{"batchItemFailures": [{"itemIdentifier": message id}]}`, as `ReportBatchItemFailures` asks for.
    """
    failed, orders = [], {}
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
        failed += write(batch[start : start + ITEMS])
    return {"batchItemFailures": [{"itemIdentifier": message["messageId"]} for message in failed]}


def read(message):
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
    try:
        json.dumps(order, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NotAnOrder("the text is not valid Unicode") from None
    return {"orderId": message["messageId"], **order}


def write(batch):
    """Write orders with one call: a transaction of puts, each on the condition that its order is not there yet.

    A transaction is cancelled as a whole, but it tells the reason for each item. An order that is there already
    is as good as written: a repeated message changes nothing, and the stream tells nobody again. One that was
    refused comes back through the queue. The rest goes into a second transaction.

    Args:
        batch: for each order, the messages that carry it: `[[(message, order), …], …]`.

    Returns:
        The messages that must come back.
    """
    failed = []
    for _ in range(ROUNDS):
        if not batch:
            return failed
        verdicts, reason = put([copies[0][1] for copies in batch])
        for copies, verdict in zip(batch, verdicts, strict=True):
            if verdict in ("stored", "repeated"):
                report(copies, verdict)
            elif verdict != "again":
                failed += refuse(copies, verdict, reason)
        batch = [copies for copies, verdict in zip(batch, verdicts, strict=True) if verdict == "again"]
    for copies in batch:
        failed += refuse(copies, "again", "other orders of its batch were refused each time")
    return failed


def put(orders):
    """Try one transaction.

    Returns:
        A verdict for each order (`stored`, `repeated`, `again`, or AWS's code for why not), and AWS's message.
    """
    items = [
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
        return [verdicts.get(code, code) for code in codes], str(cancelled)
    except (ClientError, BotoCoreError) as error:
        return [type(error).__name__] * len(orders), str(error)
    return ["stored"] * len(orders), ""


def report(copies, verdict):
    """Log that an order is in the table; of several messages with the same order, the first one brought it."""
    for number, (message, order) in enumerate(copies):
        log("INFO", verdict if number == 0 else "repeated", message, orderId=order["orderId"])


def refuse(copies, code, reason):
    """Log why an order could not be written, and return its messages."""
    for message, order in copies:
        log("ERROR", "not stored", message, orderId=order["orderId"], code=code, reason=reason)
    return [message for message, _ in copies]


def log(level, event, message, **facts):
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
