"""Sends dead letters back into the flow, and judges what became of each.

A verdict of `refused` means that no repetition will ever help, so that the letter may be thrown away: the API's
validator finds that it is no order, or a record has left its stream. It needs a proof. Everything else that goes
wrong (throttling, a fault, a missing permission, no connection, a function that fails) is `later`: the letter stays.
"""

import json
import random
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ParamValidationError

from workshop.backlog import FAILURES
from workshop.context import Workshop
from workshop.errors import GaveUp, WorkshopError
from workshop.pace import Pace
from workshop.records import Expired, as_json, place_of, records_of
from workshop.web import json_object, post

ORDERS, RECORDS = "ecommerce-orders-dlq", "ecommerce-orders-stream-dlq"
#: What API Gateway answers, with status 400, when a body does not match the request model. The integration's own 400
#: (SQS did not take the message, which may be the queue's fault) reads differently.
NO_ORDER = "Invalid request body"
NO_PLACE = "it names no place in a stream"
GONE = "its records have left the stream, which keeps them for 24 hours"
#: Answers that may be different a moment later; 0 stands for none.
PASSING = {0, 429, 500, 502, 503, 504}
#: Seconds without any progress after which the API counts as closed for now, and the longest pause between two tries.
STUCK_AFTER, LONGEST_PAUSE = 5.0, 2.0
#: What one call of POC-Lambda-2 gets: as many records as its trigger gives it at most, and less than Lambda's 6 MB.
MOST_RECORDS, MOST_BYTES = 1_000, 5_000_000
#: E-mails a second. At more than ten, SNS switches a subscription off.
MAIL_PACE = 5
#: So many failures of POC-Lambda-2 in a row are not the fault of one record.
FAILURES_IN_A_ROW = 10


@dataclass(frozen=True)
class DeadLetter:
    """A message of a dead-letter queue.

    Attributes:
        queue: the queue's name before the prefix.
        id: the message's id.
        body: its text.
        age: seconds since it was sent first.
        reason: why it is here.
        hopeless: POC-Lambda-1 found that it is no order, which no repetition changes.
    """

    queue: str
    id: str
    body: str
    age: int
    reason: str
    hopeless: bool = False


#: `sent`, `refused` (for good) or `later`, and what there is to say of it.
Verdict = tuple[str, str]
#: Called with each verdict as soon as it is known.
Judge = Callable[[DeadLetter, Verdict], None]


class Orders:
    """Places orders once more, through the API and under their old ids, many at once.

    Args:
        ws: the context.
        pool: its threads send.
    """

    def __init__(self, ws: Workshop, pool: Executor) -> None:
        self.ws, self.pool, self.url = ws, pool, ws.api_url()
        #: The messages that the API made. When one of them dies again during the run, the run leaves it alone.
        self.made: set[str] = set()
        self._moved = ws.patience.clock()

    def send(self, letters: list[DeadLetter], judge: Judge) -> None:
        """Send some letters back."""
        for letter, verdict in zip(letters, self.pool.map(self._place, letters), strict=True):
            judge(letter, verdict)

    def _place(self, letter: DeadLetter) -> Verdict:
        order = json_object(letter.body)
        body = json.dumps({"orderId": letter.id, **order}) if order else letter.body
        tries = 0
        while True:
            status, answer = self._post(body.encode())
            if status == 202 and answer.get("messageId"):
                self.made.add(answer["messageId"])
                self._moved = self.ws.patience.clock()
                return "sent", f"as order {json_object(body)['orderId']}"
            said = answer.get("message") or letter.reason
            if status == 400 and answer.get("message") == NO_ORDER:
                self._moved = self.ws.patience.clock()
                return "refused", f"the API answered 400: {said}"
            if status not in PASSING or self.ws.patience.clock() - self._moved >= STUCK_AFTER:
                return "later", f"the API answered {status}: {said}" if status else said
            # Customers order through the same stage: who is told to slow down does.
            self.ws.patience.sleep(min(0.1 * 2**tries, LONGEST_PAUSE) * random.uniform(0.5, 1.0))
            tries += 1

    def _post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            return post(self.url, body, ca_bundle=self.ws.client.ca_bundle)
        except WorkshopError as error:
            return 0, {"message": error.problem}


class Records:
    """Fetches from the stream what POC-Lambda-2 gave up on, and hands it to the function once more.

    A report holds no records, only their place in the stream, where they live for 24 hours. The records of many
    reports go to the function in one call, which publishes one e-mail.

    Args:
        ws: the context.
    """

    def __init__(self, ws: Workshop) -> None:
        self.ws = ws
        self._pace = Pace(1, MAIL_PACE, ws.patience.clock, ws.patience.sleep)
        self._failures, self._stopped = 0, ""

    def send(self, letters: list[DeadLetter], judge: Judge) -> None:
        """Send some letters back."""
        batch: list[tuple[DeadLetter, list[Any]]] = []
        size = 0
        for letter in letters:
            found = self._fetch(letter)
            if isinstance(found, tuple):
                judge(letter, found)
                continue
            length = len(as_json(found))
            if batch and (sum(len(one) for _, one in batch) + len(found) > MOST_RECORDS or size + length > MOST_BYTES):
                self._notify(batch, judge)
                batch, size = [], 0
            batch.append((letter, found))
            size += length
        if batch:
            self._notify(batch, judge)

    def _fetch(self, letter: DeadLetter) -> list[Any] | Verdict:
        """The records of a report; a verdict if they are not to be had."""
        if self._stopped:
            return "later", self._stopped
        try:
            place = place_of(letter.body)
            if place is None:
                return "refused", NO_PLACE
            ours = self.ws.arn("dynamodb", f"table/{self.ws.name('ecommerce-orders')}/stream/")
            if not place["streamArn"].startswith(ours):
                return "later", f"its stream is not one of this table: {place['streamArn']}"
            return records_of(self.ws, place)
        except ParamValidationError:
            return "refused", NO_PLACE
        except Expired:
            return (
                "refused",
                "its records have left the stream, which keeps them for 24 hours; the orders are in the table",
            )
        except FAILURES as error:
            return "later", self._said(error)

    def _notify(self, batch: list[tuple[DeadLetter, list[Any]]], judge: Judge) -> None:
        """Let POC-Lambda-2 have records. If it fails, halve them, as its trigger does, to find what it fails with."""
        verdict = self._invoke([record for _, records in batch for record in records])
        if verdict[0] == "later" and len(batch) > 1 and not self._stopped:
            half = len(batch) // 2
            self._notify(batch[:half], judge)
            self._notify(batch[half:], judge)
            return
        for letter, records in batch:
            judge(letter, verdict if verdict[0] == "later" else ("sent", f"{len(records)} order(s) told of"))

    def _invoke(self, records: list[Any]) -> Verdict:
        if self._stopped:
            return "later", self._stopped
        self._pace.wait()
        try:
            answer = self.ws.client("lambda").invoke(
                FunctionName=self.ws.name("POC-Lambda-2"), Payload=as_json(records).encode()
            )
        except FAILURES as error:
            return "later", self._failed(self._said(error))
        if answer.get("FunctionError"):
            said = json_object(answer["Payload"].read()).get("errorMessage")
            return "later", self._failed(f"POC-Lambda-2 failed again: {said}")
        self._failures = 0
        return "sent", ""

    def _failed(self, reason: str) -> str:
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            self._stopped = reason
        return reason

    def _said(self, error: Exception) -> str:
        """An error as text. What was waited out in vain meets the next call as well: nobody waits for it again."""
        reason = error.problem if isinstance(error, WorkshopError) else str(error)
        if isinstance(error, GaveUp):
            self._stopped = reason
        return reason
