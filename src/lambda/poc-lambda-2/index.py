"""POC-Lambda-2: tells people of new orders. One call of this function publishes one e-mail, for up to 1,000 orders.

An error is raised, never swallowed: the trigger then repeats the batch, halves it, and at last reports it to the
failure queue. So an order may be notified twice, and is never forgotten.

Environment: TOPIC_ARN, the topic to publish to.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# A record of the stream, and an order, its values as text.
Record = dict[str, Any]
Order = dict[str, str]

# Made once for each execution environment, while it starts: a warm call finds the connection open.
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 2, 4, 2
sns = boto3.client(
    "sns",
    config=Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    ),
)
# A call that nobody answers takes so long: boto3 waits up to a second between two attempts. Half a second is left to
# say so. No call begins with less time left.
LONGEST_CALL_MILLISECONDS = 1000 * (ATTEMPTS * (CONNECT_SECONDS + READ_SECONDS) + ATTEMPTS - 1) + 500

# SNS takes 256 KiB; the rest is left for what it adds.
LIMIT = 240 * 1024
# What an order's fields are called in the mail.
NAMES = {"productId": "Product", "productName": "Name", "quantity": "Quantity", "customerEmail": "Customer"}
# Control characters, line separators, characters that turn the direction of writing, halves of surrogate pairs.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# An e-mail's subject: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
SUBJECT_LENGTH = 99


class NotNotified(Exception):
    """An e-mail that was not sent. The text names AWS's answer, and never what a customer wrote."""


def handler(event: dict[str, Any], context: Any) -> None:
    """Publish the new orders of one batch.

    Args:
        event: a DynamoDB stream event: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
        context: tells how much time is left:
            https://docs.aws.amazon.com/lambda/latest/dg/python-context.html

    Raises:
        NotNotified: SNS refuses, or is out of reach, or there is no time left. The batch comes again.
    """
    began = now()
    records = [record for record in event["Records"] if record["eventName"] == "INSERT"]
    for group in split(records):
        orders = [read(record) for record in group]
        ids = [order["orderId"] for order in orders]
        try:
            answer = publish(orders, context)
        except NotNotified as reason:
            log("ERROR", "not notified", orderIds=ids, reason=str(reason), receivedTime=began)
            raise
        stored = [created(record) for record in group]
        log("INFO", "notified", orderIds=ids, storedTimes=stored, receivedTime=began, snsMessageId=answer["MessageId"])


def publish(orders: list[Order], context: Any) -> Mapping[str, Any]:
    """Send one e-mail.

    Raises:
        NotNotified: with AWS's code. AWS's text stays out: it may quote an order, and Lambda logs what is raised.
    """
    if context.get_remaining_time_in_millis() < LONGEST_CALL_MILLISECONDS:
        raise NotNotified("no time left for another e-mail")
    try:
        return sns.publish(TopicArn=os.environ["TOPIC_ARN"], Subject=subject(orders), Message=body(orders))
    except ClientError as error:
        request = error.response.get("ResponseMetadata", {}).get("RequestId", "none")
        raise NotNotified(f"{error.response['Error']['Code']}, request {request}") from None
    except BotoCoreError as error:
        raise NotNotified(type(error).__name__) from None


def split(records: list[Record]) -> Iterator[list[Record]]:
    """Cut a batch into groups that fit into one message each; nearly always there is one."""
    group: list[Record] = []
    size = 0
    for record in records:
        length = len(describe(read(record)).encode()) + 1
        if group and size + length > LIMIT - 1024:
            yield group
            group, size = [], 0
        group.append(record)
        size += length
    if group:
        yield group


def read(record: Record) -> Order:
    """The order of a record, its values as text. Whatever else somebody put into the item is left out."""
    image = record["dynamodb"]["NewImage"]
    fields = ("orderId", *NAMES)
    return {field: str(next(iter(image[field].values()))) for field in fields if field in image}


def subject(orders: list[Order]) -> str:
    """What stands in the list of mails: the order itself, or how many there are."""
    if len(orders) == 1:
        text = f"New order: {orders[0].get('quantity', '?')} x {orders[0].get('productId', '?')}"
    else:
        text = f"{len(orders)} new orders, {units(orders)} units"
    # SNS takes printable ASCII, and nothing else, in a subject.
    printable = "".join(character if " " <= character <= "~" else "?" for character in text)
    return printable[:SUBJECT_LENGTH].strip()


def body(orders: list[Order]) -> str:
    """The mail: first the totals if there are many, then every order."""
    lines: list[str] = []
    if len(orders) > 1:
        lines += [f"{len(orders)} new orders, {units(orders)} units.", ""]
    lines += [describe(order) for order in orders]
    return "\n".join(lines)


def describe(order: Order) -> str:
    """One order, as a paragraph. An item that somebody put in by hand may lack anything but its key."""
    # A customer's line break must not look like a line of ours, and nothing may drive the reader's terminal.
    order = {field: UNSAFE.sub("\ufffd", " ".join(str(value).split()))[:2000] for field, value in order.items()}
    lines = [f"Order {order['orderId']}"]
    lines += [f"  {name + ':':<10}{order[field]}" for field, name in NAMES.items() if field in order]
    return "\n".join(lines) + "\n"


def units(orders: list[Order]) -> int:
    """How many units were ordered, over all orders."""
    return sum(
        int(order["quantity"]) for order in orders if re.fullmatch("[0-9]{1,38}", str(order.get("quantity", "")))
    )


def created(record: Record) -> int:
    """When the table took the order, in milliseconds since 1970."""
    return round(float(record["dynamodb"].get("ApproximateCreationDateTime", 0)) * 1000)


def now() -> int:
    """The time in milliseconds since 1970."""
    return round(time.time() * 1000)


def log(level: str, event: str, **facts: Any) -> None:
    """Print one line of JSON; whatever is printed goes to CloudWatch Logs. Ids and times, never customer data."""
    print(json.dumps({"level": level, "event": event, **facts, "time": now()}))
