"""The two functions, loaded as Lambda loads them, and the AWS around them where it has to fail."""

import contextlib
import importlib.util
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

from botocore.exceptions import ClientError
from support import ROOT

#: DynamoDB's own limit of a transaction.
ITEMS = 100
#: Stands in everything that a customer wrote, and must stand in no log line. AWS's errors quote it.
SECRET = "QZCUSTOMERQZ"
REGION = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def load_function(name: str, **environment: str) -> ModuleType:
    """Import `src/lambda/<name>/index.py`, which makes its client while it is imported.

    Args:
        name: the function's folder.
        environment: variables beside those that Lambda sets.
    """
    spec = importlib.util.spec_from_file_location(f"function_{name}", ROOT / f"src/lambda/{name}/index.py")
    module = importlib.util.module_from_spec(spec)
    # boto3 keeps the session of its first plain client, with the credentials of then.
    with mock.patch.dict(os.environ, REGION | environment), mock.patch("boto3.DEFAULT_SESSION", None):
        spec.loader.exec_module(module)
    return module


def event_of(name: str) -> dict[str, Any]:
    """An event of `tests/events/`."""
    return json.loads((ROOT / "tests/events" / name).read_text(encoding="utf-8"))


@contextlib.contextmanager
def printed() -> Iterator[list[str]]:
    """What is printed meanwhile, line by line, once it is over."""
    lines: list[str] = []
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            yield lines
        finally:
            lines += out.getvalue().split("\n")[:-1]


def message(number: int, body: str, **attributes: str) -> dict[str, Any]:
    """One message of an SQS event."""
    return {
        "messageId": f"message-{number}",
        "receiptHandle": f"handle-{number}",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1767261600000",
            "SenderId": "AROAEXAMPLEEXAMPLE12:session",
            "ApproximateFirstReceiveTimestamp": "1767261600450",
            **attributes,
        },
        "messageAttributes": {},
        "md5OfBody": "d41d8cd98f00b204e9800998ecf8427e",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:ecommerce-orders-queue",
        "awsRegion": "us-east-1",
    }


def stream_record(name: str, order_id: str, image: dict[str, Any] | None) -> dict[str, Any]:
    """One record of a stream event; `image` is in DynamoDB's own form, without the key."""
    new = {} if image is None else {"NewImage": {**image, "orderId": {"S": order_id}}}
    return {
        "eventID": "0",
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1767261600.0,
            "Keys": {"orderId": {"S": order_id}},
            **new,
            "SequenceNumber": "1",
            "SizeBytes": 1,
            "StreamViewType": "NEW_IMAGE",
        },
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2026-01-01T00:00:00.000",
    }


class Invocation:
    """The time that one invocation has: the context that Lambda passes, and a clock that only pauses move.

    Args:
        seconds: the function's timeout.
    """

    def __init__(self, seconds: float = 10) -> None:
        self.left = seconds

    def get_remaining_time_in_millis(self) -> int:
        """As the context says it."""
        return round(1000 * self.left)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.left -= seconds

    def time(self) -> float:
        """The time of day, which nobody waits for."""
        return time.time()


def refusal(code: str, operation: str = "TransactWriteItems") -> ClientError:
    """An error as AWS answers it, with a text that quotes what was sent."""
    error = {"Code": code, "Message": f"One or more parameter values were invalid: {SECRET}"}
    return ClientError({"Error": error, "ResponseMetadata": {"RequestId": "request-of-the-test"}}, operation)


class Cancelled(ClientError):
    """A cancelled transaction, as boto3 raises it."""

    def __init__(self, codes: list[str]) -> None:
        error = {"Code": "TransactionCanceledException", "Message": f"Transaction cancelled: {SECRET}, {codes}"}
        reasons = [{"Code": code} if code == "None" else {"Code": code, "Message": SECRET} for code in codes]
        super().__init__({"Error": error, "CancellationReasons": reasons}, "TransactWriteItems")


class RecordingTable:
    """DynamoDB's transactions of puts, of which some calls are refused.

    Args:
        items: what the table holds already, by order id.
        fault: asked before each call, with its number and its order ids. It may raise, or return AWS's codes for
            single items by their place.
    """

    def __init__(
        self, items: dict[str, Any], fault: Callable[[int, list[str]], dict[int, str]] = lambda number, ids: {}
    ) -> None:
        self.items, self.fault = dict(items), fault
        self.calls: list[list[str]] = []
        self.exceptions = SimpleNamespace(TransactionCanceledException=Cancelled)

    def transact_write_items(self, TransactItems: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Write all, or none and say why."""
        puts = [entry["Put"] for entry in TransactItems]
        ids = [put["Item"]["orderId"]["S"] for put in puts]
        self.calls.append(ids)
        # What DynamoDB would refuse with a ValidationException.
        assert 1 <= len(ids) <= ITEMS
        assert len(set(ids)) == len(ids)
        assert all(put["ConditionExpression"] == "attribute_not_exists(orderId)" for put in puts)
        codes = self.fault(len(self.calls) - 1, ids)
        reasons = [
            "ConditionalCheckFailed" if order_id in self.items else codes.get(place, "None")
            for place, order_id in enumerate(ids)
        ]
        if set(reasons) != {"None"}:
            raise Cancelled(reasons)
        self.items |= {order_id: put["Item"] for order_id, put in zip(ids, puts, strict=True)}
        return {}


class RecordingTopic:
    """SNS's publish.

    Args:
        failing: the call that fails, counted from 0; None for none.
    """

    def __init__(self, failing: int | None = None) -> None:
        self.failing = failing
        self.published: list[dict[str, str]] = []

    def publish(self, **message: str) -> dict[str, str]:
        """Take a message, or fail."""
        if len(self.published) == self.failing:
            raise refusal("InternalError", "Publish")
        self.published.append(message)
        return {"MessageId": f"sns-{len(self.published)}"}
