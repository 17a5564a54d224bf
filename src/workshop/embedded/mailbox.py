"""The e-mails of the embedded AWS. ministack sends none, it logs a line; so a queue collects what would be sent."""

import json
from typing import Any

from workshop.embedded.credentials import POST_OFFICE_ACCOUNT
from workshop.embedded.instance import Instance

#: The queue's name.
MAILBOX = "mailbox"


class Mailbox:
    """What the topics of an embedded AWS send by e-mail.

    A topic gets a second subscriber, a queue that stands in another account of the embedded AWS, where no step, check
    or clean-up comes across it.

    Args:
        instance: the embedded AWS.
    """

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    def listen(self, topic_arn: str) -> None:
        """Collect what a topic sends from now on. Doing it again changes nothing."""
        _, partition, _, region, _, _ = topic_arn.split(":", 5)
        queue_arn = f"arn:{partition}:sqs:{region}:{POST_OFFICE_ACCOUNT}:{MAILBOX}"
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.instance.clients(region, POST_OFFICE_ACCOUNT)("sqs").create_queue(
            QueueName=MAILBOX, Attributes={"MessageRetentionPeriod": "1209600", "Policy": policy}
        )
        self.instance.clients(region)("sns").subscribe(
            TopicArn=topic_arn, Protocol="sqs", Endpoint=queue_arn, ReturnSubscriptionArn=True
        )

    def hear(self, call: Any) -> None:
        """Listen to every topic to which an e-mail address is subscribed; takes a `workshop.aws.clients.Call`."""
        if (call.service, call.operation) == ("sns", "Subscribe") and call.parameters["Protocol"] == "email":
            self.listen(call.parameters["TopicArn"])

    def read(self, topic_arn: str) -> list[dict[str, Any]]:
        """The notifications of a topic, oldest first; reading them takes nothing away.

        Returns:
            For each: `Subject`, `Message`, `Timestamp`, as SNS delivers them.

        Raises:
            OSError: the embedded AWS is gone.
        """
        region = topic_arn.split(":")[3]
        found = self.instance.get(f"/_ministack/sqs/messages?account={POST_OFFICE_ACCOUNT}&region={region}")
        queues = found["messages"].get(POST_OFFICE_ACCOUNT, {}).get(region, {})
        bodies = [json.loads(message["Body"]) for messages in queues.values() for message in messages]
        return sorted((body for body in bodies if body["TopicArn"] == topic_arn), key=lambda body: body["Timestamp"])
