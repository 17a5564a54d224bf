"""Notebook 03: the attributes of a queue whose consumer takes two minutes."""

import json
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError
from botocore.model import StringShape

from workshop.base.services import Parameters
from workshop.build.step import Workshop

from .trying import Row, Rows, refusal, scratch_queue, unknown_names

#: Six times the two minutes of the function, and a week, in seconds.
HIDDEN, KEPT = 720, 7 * 24 * 3600
FAILURES = 5
#: What is tried; other attributes may slow the trial down or lock us out.
TRIED = ("VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy")


def dead_letter_arn(ws: Workshop) -> str:
    """The ARN of the dead-letter queue that the exercise names; there is no such queue."""
    return ws.arn("sqs", ws.name("invoices-dlq"))


def redrive_policy(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer's redrive policy; empty if there is none that can be read."""
    try:
        policy = json.loads(answer.get("RedrivePolicy") or "{}")
    except (TypeError, ValueError):
        return {}
    return policy if isinstance(policy, dict) else {}


def try_queue(ws: Workshop, answer: dict[str, Any]) -> tuple[Parameters, int, bool]:
    """Make a queue with the answer's attributes, and let a message fail in it again and again.

    Returns:
        The attributes as SQS has them, how often it delivered the message, and whether it gave it to the dead-letter
        queue then.
    """
    sqs, attributes = ws.client("sqs"), {key: answer[key] for key in TRIED if key in answer}
    redrive = redrive_policy(answer)
    with scratch_queue(ws, 3, {}) as dead_url:
        ours = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        if redrive.get("deadLetterTargetArn") == dead_letter_arn(ws):
            attributes["RedrivePolicy"] = json.dumps(redrive | {"deadLetterTargetArn": ours})
        elif redrive:
            # Another queue may be one that the learner built: no message of ours may end there.
            attributes.pop("RedrivePolicy", None)
        with scratch_queue(ws, 3, attributes) as url:
            found: Parameters = {**sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]}
            return found, *(fail_again_and_again(ws, url, dead_url) if "RedrivePolicy" in found else (0, False))


def fail_again_and_again(ws: Workshop, url: str, dead_url: str) -> tuple[int, bool]:
    """Receive a message without ever deleting it. Returns how often it came, and whether it is a dead letter then."""
    sqs = ws.client("sqs")
    sqs.send_message(QueueUrl=url, MessageBody="a message of exercise 3")
    received = 0
    for times in range(FAILURES + 1):
        # The last time, nothing should come: a short look is enough there.
        wait = 4 if times < FAILURES else 1
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=wait).get("Messages", []):
            received += 1
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        if received <= times:
            break
    dead = received <= FAILURES and sqs.receive_message(QueueUrl=dead_url, WaitTimeSeconds=5).get("Messages")
    return received, bool(dead)


def check(ws: Workshop, answer: Any) -> Rows:
    """Make a queue of the answer, and see what becomes of a message in it."""
    given = isinstance(answer, dict) and bool(answer)
    yield Row("there are attributes", given, "Write a dictionary, such as the one that the step builds.")
    if not given:
        return
    names = ws.client("sqs").meta.service_model.shape_for("QueueAttributeName")
    assert isinstance(names, StringShape), "the names of attributes are an enumeration"
    unknown = unknown_names(answer, names.enum)
    yield Row("SQS knows every attribute", not unknown, unknown)
    if unknown:
        return
    try:
        found, received, dead = try_queue(ws, answer)
    except (ParamValidationError, ClientError) as error:
        if isinstance(error, ClientError) and not error.response["Error"]["Code"].startswith("Invalid"):
            raise
        hint = "SQS takes text, for numbers too ('720'); RedrivePolicy is JSON as text."
        yield Row("SQS takes the values", False, f"{refusal(error)}. {hint}")
        return
    yield Row("SQS takes the values", True, "")
    hidden = int(found["VisibilityTimeout"])
    yield Row(
        "a message stays hidden for six times two minutes",
        hidden == HIDDEN,
        f"SQS hides a message for {hidden} seconds (VisibilityTimeout). AWS advises six times the function's 120.",
    )
    kept = int(found["MessageRetentionPeriod"])
    yield Row(
        "a message is kept for a week",
        kept == KEPT,
        f"SQS keeps a message for {kept} seconds (MessageRetentionPeriod). How many are seven days?",
    )
    target = redrive_policy(answer).get("deadLetterTargetArn")
    yield Row("it has the dead-letter queue of the invoices", target == dead_letter_arn(ws), wrong_target(ws, target))
    if target != dead_letter_arn(ws):
        return
    more = "more than five times" if received > FAILURES else f"{received} time{'s' * (received != 1)}"
    yield Row(
        "a message is tried five times, then it is a dead letter",
        received == FAILURES and dead,
        f'SQS delivered a message that nobody deleted {more}. That is "maxReceiveCount".',
    )


def wrong_target(ws: Workshop, target: Any) -> str:
    """What is wrong with a dead-letter queue."""
    if target == ws.arn("sqs", ws.name("ecommerce-orders-dlq")):
        return (
            "AWS refuses this one: its RedriveAllowPolicy (byQueue) admits the orders queue and no other. Use"
            " `dead_letters`."
        )
    return (
        f'"RedrivePolicy" is JSON as text, with "maxReceiveCount" and "deadLetterTargetArn": {dead_letter_arn(ws)!r}.'
    )
