"""Step 3: the queue that absorbs spikes, and a dead-letter queue for messages that can't be processed.

A **queue** decouples the API from the table. API Gateway sends an order within milliseconds, at any rate;
POC-Lambda-1 receives orders as fast as it can write them. During a spike, only the backlog grows.

SQS delivers *at least once*. A received message is in flight, hidden from other consumers, for the **visibility
timeout**. If the consumer doesn't delete it in that time, SQS delivers it again. After five failed attempts, SQS
moves the message to the **dead-letter queue**. You can inspect it there until two weeks after it was first sent.
"""

import json

from botocore.exceptions import ClientError

from workshop.aws.owner import Description
from workshop.aws.policies import Document, as_attribute, nobody_but
from workshop.base.services import Parameters
from workshop.build.checks import Finding, at_least, equal, holds, lets_through, refuses_plain_http, refuses_strangers
from workshop.build.step import Resource, Step, Workshop

step = Step(3, "sqs", "Set up the SQS queues", needs=(1,))

#: AWS recommends six times the timeout of the function that reads the queue (10 seconds, see step 4):
#: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_TIMEOUT = "60"
MAX_RECEIVE_COUNT = 5
FOUR_DAYS, TWO_WEEKS = "345600", "1209600"


@step.resource("queue", "ecommerce-orders-dlq")
def dead_letter_queue(ws: Workshop, queue: Resource) -> None:
    """The dead-letter queue. It comes first, because the orders queue refers to it."""
    sqs = ws.client("sqs")
    attributes: Parameters = {
        "MessageRetentionPeriod": TWO_WEEKS,
        "SqsManagedSseEnabled": "true",
        **as_attribute(ws.only_tls("sqs:*", ws.arn("sqs", queue.name))),
        # Only the orders queue can use this queue as its dead-letter queue.
        "RedriveAllowPolicy": json.dumps(
            {
                "redrivePermission": "byQueue",
                "sourceQueueArns": [ws.arn("sqs", ws.name("ecommerce-orders-queue"))],
            }
        ),
    }
    queue.ensure(lambda: sqs.create_queue(QueueName=queue.name, Attributes=attributes, tags=ws.tags))
    queue.converge(attributes, lambda changed: sqs.set_queue_attributes(QueueUrl=queue["QueueUrl"], Attributes=changed))


@step.resource("queue", "ecommerce-orders-queue")
def orders_queue(ws: Workshop, queue: Resource) -> None:
    """The orders queue: encrypted, TLS only, and only the API's role can send."""
    sqs = ws.client("sqs")
    dead_letters = ws.need("queue", "ecommerce-orders-dlq")
    api_role, arn = ws.need("role", "APIGateway-SQS")["Arn"], ws.arn("sqs", queue.name)
    policy = as_attribute(
        nobody_but("sqs:SendMessage", arn, api_role),
        ws.only_tls("sqs:*", arn),
    )
    attributes: Parameters = {
        "VisibilityTimeout": VISIBILITY_TIMEOUT,
        "MessageRetentionPeriod": FOUR_DAYS,
        "SqsManagedSseEnabled": "true",
        **policy,
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_letters["Arn"], "maxReceiveCount": MAX_RECEIVE_COUNT}),
        # By default, any queue in the account can use this one as its dead-letter queue, and so move messages here.
        "RedriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"}),
    }
    queue.ensure(lambda: sqs.create_queue(QueueName=queue.name, Attributes=attributes, tags=ws.tags))
    queue.converge(attributes, lambda changed: sqs.set_queue_attributes(QueueUrl=queue["QueueUrl"], Attributes=changed))


def policy_of(queue: Description) -> Document:
    """Return a queue's policy; an empty one, which denies nothing, if it has none."""
    policy: Document = json.loads(queue.get("Policy") or '{"Statement": []}')
    return policy


@step.check("the visibility timeout is at least six times the timeout of POC-Lambda-1")
def hidden_long_enough(ws: Workshop) -> Finding:
    function = ws.find("function", "POC-Lambda-1")
    timeout = function["Timeout"] if function else int(VISIBILITY_TIMEOUT) / 6
    return at_least(ws.need("queue", "ecommerce-orders-queue")["VisibilityTimeout"], 6 * timeout, " seconds")


@step.check("the orders queue keeps messages for at least four days")
def kept_for_days(ws: Workshop) -> Finding:
    return at_least(ws.need("queue", "ecommerce-orders-queue")["MessageRetentionPeriod"], int(FOUR_DAYS), " seconds")


@step.check("messages that keep failing move to the dead-letter queue")
def dead_letters_linked(ws: Workshop) -> Finding:
    redrive = json.loads(ws.need("queue", "ecommerce-orders-queue").get("RedrivePolicy") or "{}")
    return equal(redrive.get("deadLetterTargetArn"), ws.arn("sqs", ws.name("ecommerce-orders-dlq")))


@step.check("a message gets at least five attempts")
def tried_five_times(ws: Workshop) -> Finding:
    redrive = json.loads(ws.need("queue", "ecommerce-orders-queue").get("RedrivePolicy") or "{}")
    return at_least(redrive.get("maxReceiveCount"), MAX_RECEIVE_COUNT, " times")


@step.check("the orders queue is encrypted")
def orders_encrypted(ws: Workshop) -> Finding:
    return equal(ws.need("queue", "ecommerce-orders-queue").get("SqsManagedSseEnabled"), "true")


@step.check("the queue policy lets the API's role send")
def api_sends(ws: Workshop) -> Finding:
    queue, role = ws.need("queue", "ecommerce-orders-queue"), ws.arn("iam", f"role/{ws.name('APIGateway-SQS')}")
    return lets_through(ws, policy_of(queue), queue["Arn"], "sqs:SendMessage", role)


@step.check("only the API's role can send")
def nobody_else_sends(ws: Workshop) -> Finding:
    queue, role = ws.need("queue", "ecommerce-orders-queue"), ws.arn("iam", f"role/{ws.name('APIGateway-SQS')}")
    return refuses_strangers(ws, policy_of(queue), queue["Arn"], "sqs:SendMessage", role)


@step.check("a sender without credentials is rejected", sends=True)
def anonymous_refused(ws: Workshop) -> Finding:
    url = ws.need("queue", "ecommerce-orders-queue")["QueueUrl"]
    try:
        ws.client.unsigned("sqs").send_message(QueueUrl=url, MessageBody="a check of the workshop, no order")
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return holds("Denied" in code or error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, code, "denied")
    return holds(False, "accepted", "denied")


@step.check("the orders queue rejects plain HTTP")
def orders_by_tls(ws: Workshop) -> Finding:
    queue = ws.need("queue", "ecommerce-orders-queue")
    return refuses_plain_http(ws, policy_of(queue), queue["Arn"], "sqs:SendMessage", "sqs:ReceiveMessage")


@step.check("the dead-letter queue keeps messages for two weeks")
def dead_letters_kept(ws: Workshop) -> Finding:
    return at_least(ws.need("queue", "ecommerce-orders-dlq")["MessageRetentionPeriod"], int(TWO_WEEKS), " seconds")


@step.check("the dead-letter queue is encrypted")
def dead_letters_encrypted(ws: Workshop) -> Finding:
    return equal(ws.need("queue", "ecommerce-orders-dlq").get("SqsManagedSseEnabled"), "true")


@step.check("the dead-letter queue rejects plain HTTP")
def dead_letters_by_tls(ws: Workshop) -> Finding:
    queue = ws.need("queue", "ecommerce-orders-dlq")
    return refuses_plain_http(ws, policy_of(queue), queue["Arn"], "sqs:SendMessage", "sqs:ReceiveMessage")


@step.check("only the orders queue can use the dead-letter queue")
def dead_letters_ours(ws: Workshop) -> Finding:
    allowed = json.loads(ws.need("queue", "ecommerce-orders-dlq").get("RedriveAllowPolicy") or "{}")
    ours = ws.arn("sqs", ws.name("ecommerce-orders-queue"))
    return equal(allowed, {"redrivePermission": "byQueue", "sourceQueueArns": [ours]})


if __name__ == "__main__":
    step.main()
