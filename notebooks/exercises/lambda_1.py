"""Notebook 04: a handler that names the messages that failed, and nothing else."""

import json
import uuid
from types import SimpleNamespace
from typing import Any

from workshop.build.step import Workshop

from .trying import Row, Rows, attempt

GOOD = '{"productId": "soap", "quantity": 2}'
#: What is asked for, and the bodies of a batch; a body that is not GOOD is bad.
BATCHES: dict[str, list[str]] = {
    "a good batch has no failures": [GOOD, GOOD],
    "a message that is not JSON is named": [GOOD, "not JSON", GOOD],
    "an order without a quantity is named": [GOOD, '{"productId": "soap"}'],
    "a quantity that is text is named": [GOOD, '{"quantity": "2"}', GOOD],
    "a quantity that is not whole is named": ['{"quantity": 2.5}', GOOD, '{"quantity": null}'],
    "JSON that is not an object is named": [GOOD, "[2]", GOOD, "5"],
    "it goes on after a bad one": ["not JSON", GOOD, '{"quantity": "2"}', GOOD, "{}"],
    "a new batch starts from nothing": [GOOD, GOOD, GOOD],
}


def try_handler(handler: Any, bodies: list[str]) -> tuple[list[int], str]:
    """Call the handler with a batch, as Lambda does.

    Returns:
        Which messages come back, counted from 1; and why all of them, if Lambda learns nothing from the handler.
    """
    ids = [str(uuid.uuid4()) for _ in bodies]
    records = [{"messageId": name, "body": body} for name, body in zip(ids, bodies, strict=True)]
    context = SimpleNamespace(function_name="exercise-4", aws_request_id=str(uuid.uuid4()))
    everything = list(range(1, len(ids) + 1))
    outcome = attempt(handler, {"Records": records}, context)
    if outcome.error:
        return everything, f"it raised {outcome.error!r}. An error sends the whole batch back, the good ones too."
    back = coming_back(outcome.value, ids)
    if back is None:
        return everything, f"Lambda could not read the answer, and sends the whole batch back: {outcome.value!r}."
    return [number for number in everything if ids[number - 1] in back], ""


def coming_back(response: Any, ids: list[str]) -> set[str] | None:
    """The messages that come back after a response, by Lambda's rules; None if it cannot be read.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    try:
        response = json.loads(json.dumps(response))
        named = {failure["itemIdentifier"] for failure in (response or {}).get("batchItemFailures") or []}
    except (TypeError, KeyError, AttributeError, ValueError):
        return None
    return named if named <= set(ids) else None


def check(ws: Workshop, answer: Any) -> Rows:
    """Call the handler with good and bad batches."""
    yield Row("handler is a function", callable(answer), "Write def handler(event, context).")
    if not callable(answer):
        return
    for asked, bodies in BATCHES.items():
        back, trouble = try_handler(answer, bodies)
        bad = [number for number, body in enumerate(bodies, 1) if body != GOOD]
        hint = trouble or explained(back, bad)
        yield Row(asked, back == bad and not trouble, f"For the bodies {', '.join(bodies)}: {hint}")


def explained(back: list[int], bad: list[int]) -> str:
    """What would happen to the messages of a batch, and why that is wrong."""
    if missed := sorted(set(bad) - set(back)):
        return f"it did not name number {missed[0]}. SQS would delete that message as done."
    return f"it named {back}, and should name {bad or 'nothing'}. What is good would be done again."
