"""What the checkers share: rows, calls of the learner's code, and shared resources that are always deleted again."""

import contextlib
import difflib
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, ParamValidationError

from workshop.base.services import Parameters
from workshop.build.step import Workshop

#: The key of the orders table, and of every table that stands in for it.
KEY: Parameters = {
    "KeySchema": [{"AttributeName": "orderId", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "orderId", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


class Row(NamedTuple):
    """One thing that an exercise asks for: whether it holds, and a hint for when it doesn't."""

    asked: str
    holds: bool
    hint: str


Rows = Iterator[Row]


@dataclass(frozen=True)
class Outcome:
    """What came of a call: a value, or an error."""

    value: Any = None
    error: Exception | None = None

    @property
    def said(self) -> str:
        """The outcome in words, such as: It returned None."""
        return f"It raised {self.error!r}." if self.error else f"It returned {self.value!r}."


def attempt(function: Callable[..., Any], *arguments: Any) -> Outcome:
    """Call a function of the learner, which may do anything."""
    try:
        return Outcome(function(*arguments))
    except Exception as error:
        return Outcome(error=error)


def refusal(error: ClientError | ParamValidationError) -> str:
    """What AWS (or boto3, before it sends anything) says against a call."""
    if isinstance(error, ClientError):
        return f"AWS refuses it: {error.response['Error'].get('Message') or error.response['Error']['Code']}"
    return f"boto3 refuses it: {' '.join(str(error.kwargs['report']).split())}"


def unknown_names(given: Iterable[str], known: Iterable[str]) -> str:
    """A hint for names that AWS does not know, with the closest that it does know; empty if it knows them all."""
    known, hints = list(known), []
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hints.append(f"AWS knows no {name!r}{f'; do you mean {near[0]!r}?' if near else '.'}")
    return " ".join(hints)


def scratch_name(ws: Workshop, number: int) -> str:
    """A name that nothing has yet, for something that an exercise makes and deletes."""
    return ws.name(f"exercise-{number}-{uuid.uuid4().hex[:8]}")


@contextlib.contextmanager
def scratch_queue(ws: Workshop, number: int, attributes: Parameters) -> Iterator[str]:
    """A queue for as long as the block takes; gives its URL."""
    sqs, name, url = ws.client("sqs"), scratch_name(ws, number), ""
    try:
        url = sqs.create_queue(QueueName=name, Attributes=attributes, tags=ws.tags)["QueueUrl"]
        yield url
    finally:
        with contextlib.suppress(sqs.exceptions.QueueDoesNotExist):
            # It may have been made although nobody said so.
            sqs.delete_queue(QueueUrl=url or sqs.get_queue_url(QueueName=name)["QueueUrl"])


@contextlib.contextmanager
def scratch_table(ws: Workshop, number: int, **more: Any) -> Iterator[dict[str, Any]]:
    """A table like the orders table for as long as the block takes; gives its description."""
    dynamodb, name = ws.client("dynamodb"), scratch_name(ws, number)

    def ready() -> dict[str, Any] | None:
        table = dynamodb.describe_table(TableName=name)["Table"]
        return {**table} if table["TableStatus"] == "ACTIVE" else None

    try:
        dynamodb.create_table(TableName=name, Tags=ws.tag_list, **KEY, **more)
        yield ws.waiter.until(ready, "a table to try your answer on is being made", 120)
    finally:
        with contextlib.suppress(dynamodb.exceptions.ResourceNotFoundException):
            dynamodb.delete_table(TableName=name)


@contextlib.contextmanager
def scratch_topic(ws: Workshop, number: int) -> Iterator[str]:
    """A topic for as long as the block takes; gives its ARN."""
    sns, name = ws.client("sns"), scratch_name(ws, number)
    try:
        yield sns.create_topic(Name=name, Tags=ws.tag_list)["TopicArn"]
    finally:
        sns.delete_topic(TopicArn=ws.arn("sns", name))


@contextlib.contextmanager
def scratch_policy(ws: Workshop, number: int, document: str) -> Iterator[str]:
    """A policy that is attached to nobody, for as long as the block takes; gives its ARN."""
    iam, name = ws.client("iam"), scratch_name(ws, number)
    try:
        yield iam.create_policy(PolicyName=name, Path=ws.settings.path, PolicyDocument=document)["Policy"]["Arn"]
    finally:
        with contextlib.suppress(iam.exceptions.NoSuchEntityException):
            iam.delete_policy(PolicyArn=ws.arn("iam", f"policy{ws.settings.path}{name}"))
