"""Step 3: the queue that takes the spikes, and the one beside it for messages that nobody could process.

A **queue** lets the front work at its own speed and the back at its own. API Gateway puts an order in within
milliseconds, at any rate; POC-Lambda-1 takes orders out as fast as it can. A spike only makes the queue longer.

SQS delivers *at least once*. A received message is hidden for the **visibility timeout**; if it is not deleted
meanwhile, it comes back. One that came back five times is given up and moved to the **dead-letter queue**, where
it waits for somebody to look at it, until two weeks after it was first sent.
"""

import json

from botocore.exceptions import ClientError

from workshop.checking import Finding, at_least, equal, holds, lets_through, refuses_plain_http, refuses_strangers
from workshop.policies import as_attribute, nobody_but
from workshop.step import Resource, Step, Workshop

step = Step(3, "sqs", "Set up the SQS queues", needs=(1,))

#: AWS advises six times the timeout of the function that reads the queue (10 seconds, see step 4):
#: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_TIMEOUT = "60"
MAX_RECEIVE_COUNT = 5
FOUR_DAYS, TWO_WEEKS = "345600", "1209600"


@step.resource("queue", "ecommerce-orders-dlq")
def dead_letter_queue(ws: Workshop, queue: Resource) -> None:
    """The dead-letter queue comes first: the orders queue points to it."""
    sqs = ws.client("sqs")
    attributes = {
        "MessageRetentionPeriod": TWO_WEEKS,
        "SqsManagedSseEnabled": "true",
        **as_attribute(ws.only_tls("sqs:*", ws.arn("sqs", queue.name))),
        # Only our own queue may use it as its dead-letter queue.
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
    """The orders queue: encrypted, reachable by TLS only, filled by the API's role alone."""
    sqs = ws.client("sqs")
    dead_letters = ws.need("queue", "ecommerce-orders-dlq")
    api_role, arn = ws.need("role", "APIGateway-SQS")["Arn"], ws.arn("sqs", queue.name)
    policy = as_attribute(
        nobody_but("sqs:SendMessage", arn, api_role),
        ws.only_tls("sqs:*", arn),
    )
    attributes = {
        "VisibilityTimeout": VISIBILITY_TIMEOUT,
        "MessageRetentionPeriod": FOUR_DAYS,
        "SqsManagedSseEnabled": "true",
        **policy,
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_letters["Arn"], "maxReceiveCount": MAX_RECEIVE_COUNT}),
        # By default, any queue of the account may name this one as its dead-letter queue, and so bring messages in.
        "RedriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"}),
    }
    queue.ensure(lambda: sqs.create_queue(QueueName=queue.name, Attributes=attributes, tags=ws.tags))
    queue.converge(attributes, lambda changed: sqs.set_queue_attributes(QueueUrl=queue["QueueUrl"], Attributes=changed))


def policy_of(queue: dict) -> dict:
    """A queue's policy; one without any lets its account do what it likes, and refuses nothing."""
    return json.loads(queue.get("Policy") or '{"Statement": []}')


@step.check("a message stays hidden six times as long as POC-Lambda-1 may run")
def hidden_long_enough(ws: Workshop) -> Finding:
    function = ws.find("function", "POC-Lambda-1")
    timeout = function["Timeout"] if function else int(VISIBILITY_TIMEOUT) / 6
    return at_least(ws.need("queue", "ecommerce-orders-queue")["VisibilityTimeout"], 6 * timeout, " seconds")


@step.check("an order waits for days, not for hours")
def kept_for_days(ws: Workshop) -> Finding:
    return at_least(ws.need("queue", "ecommerce-orders-queue")["MessageRetentionPeriod"], int(FOUR_DAYS), " seconds")


@step.check("what fails again and again goes to the dead-letter queue")
def dead_letters_linked(ws: Workshop) -> Finding:
    redrive = json.loads(ws.need("queue", "ecommerce-orders-queue").get("RedrivePolicy") or "{}")
    return equal(redrive.get("deadLetterTargetArn"), ws.arn("sqs", ws.name("ecommerce-orders-dlq")))


@step.check("but not before it was tried five times")
def tried_five_times(ws: Workshop) -> Finding:
    redrive = json.loads(ws.need("queue", "ecommerce-orders-queue").get("RedrivePolicy") or "{}")
    return at_least(redrive.get("maxReceiveCount"), MAX_RECEIVE_COUNT, " times")


@step.check("the orders queue is encrypted")
def orders_encrypted(ws: Workshop) -> Finding:
    return equal(ws.need("queue", "ecommerce-orders-queue").get("SqsManagedSseEnabled"), "true")


@step.check("the API's role is not kept from sending")
def api_sends(ws: Workshop) -> Finding:
    queue, role = ws.need("queue", "ecommerce-orders-queue"), ws.arn("iam", f"role/{ws.name('APIGateway-SQS')}")
    return lets_through(ws, policy_of(queue), queue["Arn"], "sqs:SendMessage", role)


@step.check("nobody else may, whatever rights he has")
def nobody_else_sends(ws: Workshop) -> Finding:
    queue, role = ws.need("queue", "ecommerce-orders-queue"), ws.arn("iam", f"role/{ws.name('APIGateway-SQS')}")
    return refuses_strangers(ws, policy_of(queue), queue["Arn"], "sqs:SendMessage", role)


@step.check("a sender without credentials is refused", sends=True)
def anonymous_refused(ws: Workshop) -> Finding:
    url = ws.need("queue", "ecommerce-orders-queue")["QueueUrl"]
    try:
        ws.client.unsigned("sqs").send_message(QueueUrl=url, MessageBody="a check of the workshop, no order")
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return holds("Denied" in code or error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, code, "denied")
    return holds(False, "accepted", "denied")


@step.check("plain HTTP is refused")
def orders_by_tls(ws: Workshop) -> Finding:
    queue = ws.need("queue", "ecommerce-orders-queue")
    return refuses_plain_http(ws, policy_of(queue), queue["Arn"], "sqs:SendMessage", "sqs:ReceiveMessage")


@step.check("dead letters are kept for two weeks")
def dead_letters_kept(ws: Workshop) -> Finding:
    return at_least(ws.need("queue", "ecommerce-orders-dlq")["MessageRetentionPeriod"], int(TWO_WEEKS), " seconds")


@step.check("the dead-letter queue is encrypted")
def dead_letters_encrypted(ws: Workshop) -> Finding:
    return equal(ws.need("queue", "ecommerce-orders-dlq").get("SqsManagedSseEnabled"), "true")


@step.check("the dead-letter queue refuses plain HTTP")
def dead_letters_by_tls(ws: Workshop) -> Finding:
    queue = ws.need("queue", "ecommerce-orders-dlq")
    return refuses_plain_http(ws, policy_of(queue), queue["Arn"], "sqs:SendMessage", "sqs:ReceiveMessage")


@step.check("only the orders queue may use the dead-letter queue")
def dead_letters_ours(ws: Workshop) -> Finding:
    allowed = json.loads(ws.need("queue", "ecommerce-orders-dlq").get("RedriveAllowPolicy") or "{}")
    ours = ws.arn("sqs", ws.name("ecommerce-orders-queue"))
    return equal(allowed, {"redrivePermission": "byQueue", "sourceQueueArns": [ours]})


if __name__ == "__main__":
    step.main()
