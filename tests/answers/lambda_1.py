"""Answers to the exercise of `lambda_1`: a handler."""

import json

from answers import value


def is_good(body):
    try:
        return isinstance(json.loads(body)["quantity"], int)
    except (ValueError, KeyError, TypeError):
        return False


def named(ids):
    return {"batchItemFailures": [{"itemIdentifier": name} for name in ids]}


def right_handler(event, context):
    return named([one["messageId"] for one in event["Records"] if not is_good(one["body"])])


def other_right_handler(event, context):
    # For a good batch, Lambda takes nothing at all as well.
    failures = []
    for record in reversed(event["Records"]):
        try:
            order = json.loads(record["body"])
        except json.JSONDecodeError:
            order = None
        if not isinstance(order, dict) or type(order.get("quantity")) is not int:
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures} if failures else None


def crashes_without_quantity(event, context):
    bad = []
    for record in event["Records"]:
        try:
            order = json.loads(record["body"])
        except ValueError:
            bad.append(record["messageId"])
            continue
        if not isinstance(order, dict) or not isinstance(order["quantity"], int):
            bad.append(record["messageId"])
    return named(bad)


def stops_at_the_first(event, context):
    for record in event["Records"]:
        if not is_good(record["body"]):
            return named([record["messageId"]])
    return named([])


def names_the_good(event, context):
    return named([one["messageId"] for one in event["Records"] if is_good(one["body"])])


def only_json(event, context):
    bad = []
    for record in event["Records"]:
        try:
            json.loads(record["body"])
        except ValueError:
            bad.append(record["messageId"])
    return named(bad)


def bare_list(event, context):
    return [one["messageId"] for one in event["Records"] if not is_good(one["body"])]


def plain_ids(event, context):
    return {"batchItemFailures": bare_list(event, context)}


def trusts_truth(event, context):
    bad = []
    for record in event["Records"]:
        try:
            if not json.loads(record["body"])["quantity"]:
                bad.append(record["messageId"])
        except (ValueError, KeyError, TypeError):
            bad.append(record["messageId"])
    return named(bad)


def remembering_handler():
    bad = []

    def handler(event, context):
        bad.extend(one["messageId"] for one in event["Records"] if not is_good(one["body"]))
        return named(bad)

    return handler


blank = value(lambda event, context: None)
RIGHT = [value(right_handler), value(other_right_handler)]
WRONG = {
    "crashes without quantity": (value(crashes_without_quantity), "KeyError('quantity')"),
    "stops at the first": (value(stops_at_the_first), "SQS would delete that message as done"),
    "names the good ones": (value(names_the_good), "should name nothing. What is good would be done again"),
    "looks for JSON only": (value(only_json), 'productId": "soap"}: it did not name number 2'),
    "a list for an answer": (value(bare_list), "Lambda could not read the answer"),
    "ids without their key": (value(plain_ids), "Lambda could not read the answer"),
    "anything that is true": (value(trusts_truth), "it did not name number 2"),
    "raises": (value(lambda event, context: 1 / 0), "An error sends the whole batch back"),
    "remembers": (lambda ws: remembering_handler(), "Lambda could not read the answer"),
    "text": (value("handler"), "Write def handler(event, context)"),
}
