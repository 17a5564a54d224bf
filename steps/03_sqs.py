"""Step 3: the queue that takes the spikes, and the one beside it for messages that nobody could process.

A **queue** lets the front work at its own speed and the back at its own. API Gateway puts an order in within
milliseconds, at any rate; POC-Lambda-1 takes orders out as fast as it can. A spike only makes the queue longer.

SQS delivers *at least once*. A received message is hidden for the **visibility timeout**; if it is not deleted
meanwhile, it comes back. One that came back five times is given up and moved to the **dead-letter queue**, where
it waits two weeks for somebody to look at it.
"""

import json

from workshop.policies import allow_role, document, nobody_but, only_tls
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
        "Policy": json.dumps(document(only_tls("sqs:*", ws.arn("sqs", queue.name)))),
        # Only our own queue may use it as its dead-letter queue.
        "RedriveAllowPolicy": json.dumps(
            {
                "redrivePermission": "byQueue",
                "sourceQueueArns": [ws.arn("sqs", ws.name("ecommerce-orders-queue"))],
            }
        ),
    }
    queue.ensure(lambda: sqs.create_queue(QueueName=queue.name, Attributes=attributes, tags=ws.tags))
    queue.converge(
        attributes, lambda changed: sqs.set_queue_attributes(QueueUrl=queue["QueueUrl"], Attributes=changed)
    )


@step.resource("queue", "ecommerce-orders-queue")
def orders_queue(ws: Workshop, queue: Resource) -> None:
    """The orders queue: encrypted, reachable by TLS only, filled by the API's role alone."""
    sqs = ws.client("sqs")
    dead_letters = ws.need("queue", "ecommerce-orders-dlq")
    api_role, arn = ws.need("role", "APIGateway-SQS")["Arn"], ws.arn("sqs", queue.name)
    policy = document(
        allow_role("sqs:SendMessage", arn, api_role),
        nobody_but("sqs:SendMessage", arn, api_role),
        only_tls("sqs:*", arn),
    )
    attributes = {
        "VisibilityTimeout": VISIBILITY_TIMEOUT,
        "MessageRetentionPeriod": FOUR_DAYS,
        "SqsManagedSseEnabled": "true",
        "Policy": json.dumps(policy),
        "RedrivePolicy": json.dumps(
            {"deadLetterTargetArn": dead_letters["Arn"], "maxReceiveCount": MAX_RECEIVE_COUNT}
        ),
    }
    queue.ensure(lambda: sqs.create_queue(QueueName=queue.name, Attributes=attributes, tags=ws.tags))
    queue.converge(
        attributes, lambda changed: sqs.set_queue_attributes(QueueUrl=queue["QueueUrl"], Attributes=changed)
    )


if __name__ == "__main__":
    step.main()
