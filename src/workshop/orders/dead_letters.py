"""Read a dead-letter queue once, a few hundred messages at a time, whether it holds three or 100,000."""

from collections.abc import Collection
from concurrent.futures import Executor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from workshop.base.errors import WorkshopError
from workshop.build.context import Workshop
from workshop.build.opening import OpenWorkshop
from workshop.orders.logs import read_log

#: Seconds for which a message is hidden from other consumers while it's sent back.
VISIBILITY_TIMEOUT = 120
#: The messages in one call, SQS's maximum, and the concurrent calls while a queue is full.
BATCH, RECEIVERS = 10, 20
#: Seconds of long polling. Short polling asks only some of SQS's servers and misses messages:
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
WAIT = 1
#: The errors of a call that fails. Many are temporary, so they decide nothing about a message.
FAILURES = (WorkshopError, ClientError, BotoCoreError)

Message = dict[str, Any]


class DeadLetterQueue:
    """The messages of one dead-letter queue. Each is returned once, however often SQS delivers it.

    Args:
        ws: the context.
        base: the queue's name before the prefix.
        pool: runs calls concurrently.
    """

    def __init__(self, ws: Workshop, base: str, pool: Executor) -> None:
        self.ws, self.base, self.pool = ws, base, pool
        self.url: str = (ws.find("queue", base) or {}).get("QueueUrl", "")
        #: The latest receipt handle of each received message: SQS accepts no other.
        self.handles: dict[str, str] = {}
        self.seen: set[str] = set()
        self._calls = 1

    def receive(self) -> list[Message]:
        """Receive up to 200 messages that weren't returned before; none if there are no more."""
        repeated = 0
        while self.url:
            messages = [one for several in self.pool.map(self._receive, range(self._calls)) for one in several]
            if not messages:
                return []
            self._calls = RECEIVERS if len(messages) == BATCH * self._calls else 1
            self.handles |= {one["MessageId"]: one["ReceiptHandle"] for one in messages}
            new = {one["MessageId"]: one for one in messages if one["MessageId"] not in self.seen}
            self.seen |= new.keys()
            if new:
                return list(new.values())
            # Messages that stay in the queue are delivered again. Once all have been, there is nothing new.
            repeated += len(messages)
            if repeated > len(self.handles):
                return []
        return []

    def _receive(self, _: int) -> list[Message]:
        received = self.ws.client("sqs").receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=BATCH, VisibilityTimeout=VISIBILITY_TIMEOUT, WaitTimeSeconds=WAIT,
            MessageSystemAttributeNames=["SentTimestamp"],
        )  # fmt: skip
        return [{**one} for one in received.get("Messages", [])]

    def waiting(self) -> int:
        """Return about how many messages are visible in the queue."""
        queue = self.ws.find("queue", self.base)
        return int(queue["ApproximateNumberOfMessages"]) if queue else 0

    def delete(self, ids: Collection[str]) -> dict[str, str]:
        """Delete messages.

        Returns:
            The messages that SQS failed to delete, for example because a receipt handle expired: `{id: reason}`.
        """
        failed = self._each(ids, "delete_message")
        for one in set(ids) - failed.keys():
            self.handles.pop(one, None)
        return failed

    def hide_again(self, ids: Collection[str]) -> set[str]:
        """Extend the visibility timeout of messages. Return those that expired and have to be received again."""
        lost = self._each(ids, "change_message_visibility", VisibilityTimeout=VISIBILITY_TIMEOUT)
        for one in lost:
            self.handles.pop(one, None)
        self.seen -= lost.keys()
        return set(lost)

    def release(self) -> None:
        """Make the received messages visible at once. If that fails, their visibility timeout does it."""
        self._each(list(self.handles), "change_message_visibility", VisibilityTimeout=0)
        self.handles.clear()

    def _each(self, ids: Collection[str], call: str, **parameters: Any) -> dict[str, str]:
        """Call SQS once for each message. Return those for which it failed, and why.

        Twenty calls at once make hundreds a second.
        """
        act = getattr(self.ws.client("sqs"), call)

        def one_call(one: str) -> str:
            try:
                act(QueueUrl=self.url, ReceiptHandle=self.handles[one], **parameters)
            except FAILURES as error:
                return str(error)
            return ""

        return {one: reason for one, reason in zip(ids, self.pool.map(one_call, ids), strict=True) if reason}


def sent_at(message: Message) -> float:
    """Return when a message was first sent, in seconds since 1970. Moving it to another queue doesn't change that."""
    return int(message["Attributes"]["SentTimestamp"]) / 1000


def last_errors(ws: OpenWorkshop, since: float, everything: bool) -> dict[str, dict[str, Any]]:
    """Return the last error that POC-Lambda-1 logged about each message: `{message id: log line}`.

    Args:
        ws: the context.
        since: seconds since 1970.
        everything: all errors, not only rejected orders. For 100,000 messages, that's too much to read.
    """
    try:
        lines = read_log(ws, "POC-Lambda-1", "ERROR", *([] if everything else ["refused"]), since=since)
    except FAILURES as error:
        ws.console.note(f"Reasons are missing because the log of POC-Lambda-1 can't be read: {error}")
        return {}
    return {line["messageId"]: line for line in lines if line.get("level") == "ERROR" and "messageId" in line}
