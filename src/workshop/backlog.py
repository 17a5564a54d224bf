"""A dead-letter queue, gone through once: 100,000 messages as well as three, some hundred in hand at a time."""

from collections.abc import Collection
from concurrent.futures import Executor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from workshop.context import Workshop
from workshop.errors import WorkshopError

#: Seconds for which a message is hidden from others while it is looked at and sent back.
HIDDEN = 120
#: SQS gives ten messages in a call at most; so many calls run at once when a queue is full.
BATCH, RECEIVERS = 10, 20
#: Seconds. Without waiting, only some of SQS's servers are asked, and messages overlooked:
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
WAIT = 1
#: What a call ends with that AWS refuses, or that does not get there. Much of it passes: nothing is decided by it.
FAILURES = (WorkshopError, ClientError, BotoCoreError)

Message = dict[str, Any]


class Backlog:
    """The messages of one dead-letter queue. Each is handed out once, however often it comes back.

    Args:
        ws: the context.
        base: the queue's name before the prefix.
        pool: carries out several calls at once.
    """

    def __init__(self, ws: Workshop, base: str, pool: Executor) -> None:
        self.ws, self.base, self.pool = ws, base, pool
        self.url = (ws.find("queue", base) or {}).get("QueueUrl")
        #: The latest receipt handle of each message in hand: SQS wants the latest one.
        self.handles: dict[str, str] = {}
        self.seen: set[str] = set()
        self._calls = 1

    def take(self) -> list[Message]:
        """Receive messages that have not been handed out, up to 200; none when there are no more."""
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
            # What stays in the queue comes back after a while. Whoever has seen all of it again has seen all.
            repeated += len(messages)
            if repeated > len(self.handles):
                return []
        return []

    def _receive(self, _: int) -> list[Message]:
        received = self.ws.client("sqs").receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=BATCH, VisibilityTimeout=HIDDEN, WaitTimeSeconds=WAIT,
            MessageSystemAttributeNames=["SentTimestamp"],
        )  # fmt: skip
        messages: list[Message] = received.get("Messages", [])
        return messages

    def waiting(self) -> int:
        """How many messages are left in the queue, about: those that are hidden now do not count."""
        queue = self.ws.find("queue", self.base)
        return int(queue["ApproximateNumberOfMessages"]) if queue else 0

    def delete(self, ids: Collection[str]) -> dict[str, str]:
        """Delete messages for good.

        Returns:
            Those that are still there, with SQS's reason: `{id: reason}`. A receipt handle may have expired.
        """
        failed = self._each(ids, "delete_message")
        for one in set(ids) - failed.keys():
            self.handles.pop(one, None)
        return failed

    def hold(self, ids: Collection[str]) -> set[str]:
        """Keep messages hidden for another while; returns those that are not in hand any more, to be taken again."""
        lost = self._each(ids, "change_message_visibility", VisibilityTimeout=HIDDEN)
        for one in lost:
            self.handles.pop(one, None)
        self.seen -= lost.keys()
        return set(lost)

    def release(self) -> None:
        """Let others see at once what is still in hand. Where that fails, the time that it is hidden ends by itself."""
        self._each(list(self.handles), "change_message_visibility", VisibilityTimeout=0)
        self.handles.clear()

    def _each(self, ids: Collection[str], call: str, **parameters: Any) -> dict[str, str]:
        """Do something with messages; returns those for which it failed, and why.

        Each has a call of its own, and its own answer; twenty at once make hundreds a second.
        """
        act = getattr(self.ws.client("sqs"), call)

        def one_call(one: str) -> str:
            try:
                act(QueueUrl=self.url, ReceiptHandle=self.handles[one], **parameters)
            except FAILURES as error:
                return str(error)
            return ""

        return {one: reason for one, reason in zip(ids, self.pool.map(one_call, ids), strict=True) if reason}
