"""Anything may be deleted by somebody else between any two of our calls: what is gone is gone.

A thing of each kind vanishes right before the n-th call of a command, for every n. A clean-up ends well, `status` and
`verify` report what is left, and `up` makes it again or says in one line what happened, and ends well the next time.
The default run takes a sample of the calls; `pytest -m exhaustive` takes all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from support import census, teardown

from workshop.base.errors import WorkshopError
from workshop.cli import explain
from workshop.commands.clean import cleanup
from workshop.commands.verify import grade

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Thing:
    """What vanishes: one of our resources, and the steps that make it and what hangs on it.

    Attributes:
        kind, base: what it is, and its name before the prefix.
        steps: their numbers.
    """

    kind: str
    base: str
    steps: tuple[int, ...]


THINGS = {
    "role": Thing("role", "APIGateway-SQS", (1,)),
    "policy": Thing("policy", "APIGateway-Send-SQS", (1,)),
    "table": Thing("table", "ecommerce-orders", (2, 5)),
    "stream": Thing("stream", "ecommerce-orders", (2, 5)),
    "queue": Thing("queue", "ecommerce-orders-dlq", (1, 3)),
    "log-group": Thing("log-group", "/aws/lambda/POC-Lambda-1", (1, 2, 3, 4)),
    "function": Thing("function", "POC-Lambda-1", (1, 2, 3, 4)),
    "event-source-mapping": Thing("event-source-mapping", "POC-Lambda-1", (1, 2, 3, 4)),
    "topic": Thing("topic", "ecommerce-orders-topic", (1, 6)),
    "subscription": Thing("subscription", "ecommerce-orders-topic", (1, 6)),
    "rest-api": Thing("rest-api", "ecommerce-orders-api", (1, 3, 8)),
    "stage": Thing("stage", "dev", (1, 3, 8)),
    "api-resource": Thing("api-resource", "/orders", (1, 3, 8)),
    "method": Thing("method", "POST /orders", (1, 3, 8)),
    "request-validator": Thing("request-validator", "order-body", (1, 3, 8)),
}


def steps_of(ws: Any, thing: Thing) -> list[Any]:
    return [ws.steps[number - 1] for number in thing.steps]


def build(ws: Any, thing: Thing) -> None:
    """Make the thing, and what it needs."""
    for step in steps_of(ws, thing):
        step.run(ws)


def vanish(ws: Any, thing: Thing) -> None:
    """Take the thing away, as somebody would with plain calls."""
    apigateway = ws.client("apigateway")
    for api in ws.find_all("rest-api", "ecommerce-orders-api") if thing.steps[-1] == 8 else []:
        here, resources = {"restApiId": api["id"]}, apigateway.get_resources(restApiId=api["id"])["items"]
        orders = [{**here, "resourceId": one["id"]} for one in resources if one["path"] == "/orders"]
        match thing.kind:
            case "stage":
                apigateway.delete_stage(**here, stageName=thing.base)
            case "api-resource":
                [apigateway.delete_resource(**one) for one in orders]
            case "method":
                [apigateway.delete_method(**one, httpMethod="POST") for one in orders]
            case "request-validator":
                for validator in apigateway.get_request_validators(**here)["items"]:
                    apigateway.delete_request_validator(**here, requestValidatorId=validator["id"])
    if thing.kind == "stream":
        off = {"StreamEnabled": False}
        ws.client("dynamodb").update_table(TableName=ws.name(thing.base), StreamSpecification=off)
    elif thing.kind in teardown().ORDER:
        for found in ws.find_all(thing.kind, thing.base):
            teardown().delete(ws, thing.kind, found)


class Vanishing:
    """A rule of the fault layer: something vanishes right before the n-th call, counted from 1."""

    def __init__(self, ws: Any, thing: Thing, number: int) -> None:
        self.ws, self.thing, self.number = ws, thing, number
        self.calls, self.at = 0, ""

    def __call__(self, sending: Any) -> None:
        self.calls += 1
        if self.calls == self.number:
            self.at = f"{sending.service} {sending.operation}"
            vanish(self.ws, self.thing)


def calls_of(ws: Any, nasty: Any, thing: Thing, command: Callable[[Any, Thing], Any]) -> int:
    """How many calls a command makes when nothing vanishes."""
    build(ws, thing)
    nasty.faults.sent.clear()
    command(nasty, thing)
    return len(nasty.faults.sent)


def while_it_vanishes(
    ws: Any, nasty: Any, thing: Thing, number: int, command: Callable[[Any, Thing], Any]
) -> tuple[Any, str]:
    """Run a command during which a thing vanishes; what the command gave, and before which call it happened."""
    build(ws, thing)
    rule = Vanishing(ws, thing, number)
    nasty.faults.rules[:] = [rule]
    nasty.untagged_since = None
    try:
        return command(nasty, thing), rule.at
    finally:
        nasty.faults.rules.clear()


def sampled(numbers: int, sample: bool) -> list[int]:
    """The calls before which it vanishes: all of them, or three."""
    every = range(1, numbers + 1)
    return [numbers // 4, numbers // 2, numbers * 3 // 4] if sample else list(every)


SAMPLE_OR_ALL = [
    pytest.param(True, id="sample"),
    pytest.param(False, id="all", marks=pytest.mark.exhaustive),
]


def clean(ws: Any, thing: Thing) -> Any:
    return cleanup(ws)


def look(ws: Any, thing: Thing) -> Any:
    return [resource for step in steps_of(ws, thing) for resource in step.examine(ws)]


def verify(ws: Any, thing: Thing) -> Any:
    return grade(ws, steps_of(ws, thing))


def up(ws: Any, thing: Thing) -> Any:
    """Build; what goes wrong is told as the command line would tell it."""
    try:
        build(ws, thing)
    except (WorkshopError, ClientError, BotoCoreError) as error:
        return explain(error)
    return None


@pytest.mark.parametrize("sample", SAMPLE_OR_ALL)
@pytest.mark.parametrize("name", THINGS)
def test_a_clean_up_during_which_something_vanishes(calm, nasty, name, sample):
    thing = THINGS[name]
    for number in sampled(calls_of(calm, nasty, thing, clean), sample):
        done, at = while_it_vanishes(calm, nasty, thing, number, clean)
        assert done["remaining"] == [], at
        assert census(calm) == [], at


@pytest.mark.parametrize("sample", SAMPLE_OR_ALL)
@pytest.mark.parametrize("name", THINGS)
def test_a_look_during_which_something_vanishes(calm, nasty, name, sample):
    thing = THINGS[name]
    for number in sampled(calls_of(calm, nasty, thing, look), sample):
        seen, at = while_it_vanishes(calm, nasty, thing, number, look)
        assert {one.result for one in seen} <= {"present", "missing", "drifted"}, at
        assert len(seen) == sum(len(step.declarations) for step in steps_of(calm, thing)), at


@pytest.mark.parametrize("sample", SAMPLE_OR_ALL)
@pytest.mark.parametrize("name", THINGS)
def test_a_verification_during_which_something_vanishes(calm, nasty, name, sample):
    thing = THINGS[name]
    for number in sampled(calls_of(calm, nasty, thing, verify), sample):
        verdicts, at = while_it_vanishes(calm, nasty, thing, number, verify)
        assert len(verdicts) == sum(len(step.checks) for step in steps_of(calm, thing)), at
        # It cannot be judged, or it is gone: in words, not as an error of ours.
        assert [v.detail for v in verdicts if "something unexpected" in v.detail or "Parameter" in v.detail] == [], at


@pytest.mark.parametrize("sample", SAMPLE_OR_ALL)
@pytest.mark.parametrize("name", THINGS)
def test_an_up_during_which_something_vanishes(calm, nasty, name, sample):
    thing = THINGS[name]
    for number in sampled(calls_of(calm, nasty, thing, up), sample):
        problem, at = while_it_vanishes(calm, nasty, thing, number, up)
        if problem is not None:
            assert problem.exit_code == 1, at
            assert "\n" not in str(problem), at
            assert problem.remedy, at
            assert "fault of the workshop" not in str(problem), at
        assert up(nasty, thing) is None, at
        assert {resource.result for resource in look(calm, thing)} == {"present"}, at
