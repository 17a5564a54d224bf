"""Answers to the exercise of `sqs`: a queue's attributes."""

import json

from answers import value


def attributes(target="invoices-dlq", count=5, **more):
    def build(ws):
        redrive = {"deadLetterTargetArn": ws.arn("sqs", ws.name(target)), "maxReceiveCount": count}
        answer = {
            "VisibilityTimeout": "720",
            "MessageRetentionPeriod": "604800",
            "RedrivePolicy": json.dumps(redrive),
        }
        return {key: value for key, value in (answer | more).items() if value is not None}

    return build


blank = value({})
RIGHT = [attributes(), attributes(count="5", SqsManagedSseEnabled="true", ReceiveMessageWaitTimeSeconds="20")]
WRONG = {
    "six times one minute": (attributes(VisibilityTimeout="360"), "SQS hides a message for 360 seconds"),
    "no time": (attributes(VisibilityTimeout=None), "SQS hides a message for 30 seconds"),
    "a number as it is": (attributes(VisibilityTimeout=720), "boto3 refuses it"),
    "four days": (attributes(MessageRetentionPeriod=None), "How many are seven days?"),
    "days for seconds": (attributes(MessageRetentionPeriod="7"), "AWS refuses it"),
    "a thousand times": (attributes(count=1000), "nobody deleted more than five times"),
    "four times": (attributes(count=4), 'nobody deleted 4 times. That is "maxReceiveCount"'),
    "the orders' dead letters": (attributes("ecommerce-orders-dlq"), "byQueue"),
    "no dead letters": (attributes(RedrivePolicy=None), '"RedrivePolicy" is JSON as text'),
    "a dictionary for text": (attributes(RedrivePolicy={"maxReceiveCount": 5}), "boto3 refuses it"),
    "a misspelt attribute": (attributes(VisibilityTimeOut="720"), "do you mean 'VisibilityTimeout'?"),
}
