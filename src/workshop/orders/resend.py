"""Send the messages of dead-letter queues back, and tell what becomes of each.

`refused` means that no retry can ever succeed, so the message may be deleted: the API's validator rejects the order,
or the stream no longer has the record. That needs proof. Every other failure (throttling, a fault, a missing
permission, no connection, a failing function) is `later`: the message stays in the queue.
"""

import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ParamValidationError

from workshop.base.errors import GaveUp, WorkshopError
from workshop.base.http import json_object, post
from workshop.base.spelling import counted
from workshop.build.context import Workshop
from workshop.orders.api import api_url
from workshop.orders.dead_letters import FAILURES
from workshop.orders.rate import RateLimiter
from workshop.orders.records import Expired, as_json, position_of, records_of

ORDERS, RECORDS = "ecommerce-orders-dlq", "ecommerce-orders-stream-dlq"
#: The message of API Gateway's 400 for a body that doesn't match the request model. A 400 from SQS, which may be the
#: queue's fault, has another message.
INVALID_BODY = "Invalid request body"
NO_POSITION = "it names no position in a stream"
EXPIRED = "its records have left the stream, which keeps them for 24 hours; the orders are in the table"
#: Status codes worth a retry; 0 stands for no response.
RETRYABLE = {0, 429, 500, 502, 503, 504}
#: Seconds without progress after which to give up on the API, and the longest pause between two attempts.
GIVE_UP_AFTER, MAX_PAUSE = 5.0, 2.0
#: The limits of one invocation of POC-Lambda-2: its trigger's batch size, and less than Lambda's 6 MB.
MAX_RECORDS, MAX_BYTES = 1_000, 5_000_000
#: Above ten e-mails a second, SNS disables a subscription.
EMAILS_PER_SECOND = 5
#: After this many failures of POC-Lambda-2 in a row, the fault isn't in one record.
MAX_FAILURES_IN_A_ROW = 10


@dataclass(frozen=True)
class DeadLetterMessage:
    """A message of a dead-letter queue.

    Attributes:
        queue: the queue's name before the prefix.
        id: the message's id.
        body: the message body.
        age: seconds since it was first sent.
        reason: why it failed.
        invalid: POC-Lambda-1 found that it isn't a valid order, which no retry changes.
    """

    queue: str
    id: str
    body: str
    age: int
    reason: str
    invalid: bool = False


#: `sent`, `refused` or `later`, and a detail.
Verdict = tuple[str, str]
#: Called with each verdict as soon as it's known.
OnVerdict = Callable[[DeadLetterMessage, Verdict], None]


class Orders:
    """Places orders again through the API, concurrently and with their old ids.

    Args:
        ws: the context.
        pool: runs the requests.
        stop: set to send nothing more.
    """

    def __init__(self, ws: Workshop, pool: Executor, stop: threading.Event) -> None:
        self.ws, self.pool, self.stop, self.url = ws, pool, stop, api_url(ws)
        #: The ids of the new messages. If one of them fails again during this run, it isn't sent again.
        self.resent: set[str] = set()
        self._last_progress = ws.waiter.clock()

    def send(self, messages: list[DeadLetterMessage], on_verdict: OnVerdict) -> None:
        """Send some messages back. There is no verdict on those that weren't sent because of `stop`."""
        for message, verdict in zip(messages, self.pool.map(self._place, messages), strict=True):
            if verdict:
                on_verdict(message, verdict)

    def _place(self, message: DeadLetterMessage) -> Verdict | None:
        if self.stop.is_set():
            return None
        order = json_object(message.body)
        body = json.dumps({"orderId": message.id, **order}) if order else message.body
        attempts = 0
        while True:
            status, answer = self._post(body.encode())
            if status == 202 and answer.get("messageId"):
                self.resent.add(answer["messageId"])
                self._last_progress = self.ws.waiter.clock()
                return "sent", f"as order {json_object(body)['orderId']}"
            detail = answer.get("message") or message.reason
            if status == 400 and answer.get("message") == INVALID_BODY:
                self._last_progress = self.ws.waiter.clock()
                return "refused", f"the API returned 400: {detail}"
            too_late = self.ws.waiter.clock() - self._last_progress >= GIVE_UP_AFTER
            if status not in RETRYABLE or too_late or self.stop.is_set():
                return "later", f"the API returned {status}: {detail}" if status else detail
            # Customers use the same stage, so back off when throttled.
            self.ws.waiter.sleep(min(0.1 * 2**attempts, MAX_PAUSE) * random.uniform(0.5, 1.0))
            attempts += 1

    def _post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            return post(self.url, body, ca_bundle=self.ws.client.ca_bundle)
        except WorkshopError as error:
            return 0, {"message": error.problem}


class Records:
    """Reads the records that POC-Lambda-2 failed on from the stream, and invokes the function with them again.

    A report contains only the records' position in the stream, which keeps them for 24 hours. The records of many
    reports go to the function in one invocation, which sends one e-mail.

    Args:
        ws: the context.
        stop: set to send nothing more.
    """

    def __init__(self, ws: Workshop, stop: threading.Event) -> None:
        self.ws, self.stop = ws, stop
        self._limiter = RateLimiter(1, EMAILS_PER_SECOND, ws.waiter.clock, ws.waiter.sleep)
        self._failures, self._stopped = 0, ""

    def send(self, messages: list[DeadLetterMessage], on_verdict: OnVerdict) -> None:
        """Send some messages back. There is no verdict on those that weren't sent because of `stop`."""
        batch: list[tuple[DeadLetterMessage, list[Any]]] = []
        size = 0
        for message in messages:
            if self.stop.is_set():
                return
            found = self._fetch(message)
            if isinstance(found, tuple):
                on_verdict(message, found)
                continue
            length = len(as_json(found))
            if batch and (sum(len(one) for _, one in batch) + len(found) > MAX_RECORDS or size + length > MAX_BYTES):
                self._notify(batch, on_verdict)
                batch, size = [], 0
            batch.append((message, found))
            size += length
        if batch:
            self._notify(batch, on_verdict)

    def _fetch(self, message: DeadLetterMessage) -> list[Any] | Verdict:
        """Return the records of a report, or a verdict if they can't be read."""
        if self._stopped:
            return "later", self._stopped
        try:
            position = position_of(message.body)
            if position is None:
                return "refused", NO_POSITION
            ours = self.ws.arn("dynamodb", f"table/{self.ws.name('ecommerce-orders')}/stream/")
            if not position["streamArn"].startswith(ours):
                return "later", f"its stream belongs to another table: {position['streamArn']}"
            return records_of(self.ws, position)
        except ParamValidationError:
            return "refused", NO_POSITION
        except Expired:
            return "refused", EXPIRED
        except FAILURES as error:
            return "later", self._reason(error)

    def _notify(self, batch: list[tuple[DeadLetterMessage, list[Any]]], on_verdict: OnVerdict) -> None:
        """Invoke POC-Lambda-2 with a batch. If it fails, bisect the batch as its trigger does."""
        verdict = self._invoke([record for _, records in batch for record in records])
        if verdict[0] == "later" and len(batch) > 1 and not self._stopped:
            half = len(batch) // 2
            self._notify(batch[:half], on_verdict)
            self._notify(batch[half:], on_verdict)
            return
        for message, records in batch:
            sent = "sent", f"{counted(len(records), 'order')} notified"
            on_verdict(message, verdict if verdict[0] == "later" else sent)

    def _invoke(self, records: list[Any]) -> Verdict:
        if self._stopped:
            return "later", self._stopped
        self._limiter.wait()
        try:
            answer = self.ws.client("lambda").invoke(
                FunctionName=self.ws.name("POC-Lambda-2"), Payload=as_json(records).encode()
            )
        except FAILURES as error:
            return "later", self._failed(self._reason(error))
        if answer.get("FunctionError"):
            reason = json_object(answer["Payload"].read()).get("errorMessage")
            return "later", self._failed(f"POC-Lambda-2 failed again: {reason}")
        self._failures = 0
        return "sent", ""

    def _failed(self, reason: str) -> str:
        self._failures += 1
        if self._failures >= MAX_FAILURES_IN_A_ROW:
            self._stopped = reason
        return reason

    def _reason(self, error: Exception) -> str:
        """Return an error as text. After a retry that ran out of time, stop: the next call would only wait again."""
        reason = error.problem if isinstance(error, WorkshopError) else str(error)
        if isinstance(error, GaveUp):
            self._stopped = reason
        return reason
