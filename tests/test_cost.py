"""`workshop cost`: its lines add up, and how many orders share a call is what the triggers say."""

import json
import random

import pytest
from support import run

from workshop.commands.cost import (
    ORDERS_PER_EMAIL,
    ORDERS_PER_WRITE,
    POLLERS,
    SECONDS_A_MONTH,
    WINDOW,
    batches_of,
    empty_receives,
)

ON_AWS = {
    "orders": 2_000, "ordersPerSecond": 400.0, "writerCalls": 100, "notifierCalls": 20, "publishes": 20,
    "billedMilliseconds": 10_000, "logBytes": 800_000, "embedded": False,
}  # fmt: skip


@pytest.fixture
def cost(tmp_path):
    """Run `workshop cost` after a spike that measured something: `cost({...}, "--orders", "1000")`."""

    def typed(measured: dict | None, *arguments: str) -> dict:
        if measured:
            (tmp_path / "spikes").mkdir(exist_ok=True)
            (tmp_path / "spikes/one.json").write_text(json.dumps({"measured": measured}))
        ran = run("workshop", "cost", "--json", *arguments, env={"WORKSHOP_STATE_DIR": str(tmp_path)})
        assert ran.code == 0, ran.err
        return ran.json

    return typed


def quantities(document: dict, design: str) -> dict[str, float]:
    return {line["item"]: line[design]["quantity"] for line in document["lines"]}


def test_a_million_orders(cost):
    document = cost(None)
    assert document["orders"] == 1_000_000
    for design, total in document["totals"].items():
        assert total == pytest.approx(sum(line[design]["cost"] for line in document["lines"]), abs=0.001)
    for line in document["lines"]:
        assert line["spikes"]["cost"] == pytest.approx(line["spikes"]["quantity"] * line["price"])
    # The targets of the design.
    assert document["total"] == document["totals"]["spikes"] < 6
    assert 25 < document["totals"]["naive"] < 30


def test_a_spike_on_aws_is_counted_as_it_was(cost):
    used = quantities(cost(ON_AWS, "--orders", "1000000"), "spikes")
    assert used["sns_email"] == used["sns_publish"] == 10_000
    assert used["lambda_request"] == 60_000
    assert used["lambda_gb_second"] == pytest.approx(5_000_000 / 1000 * 0.25)
    assert used["logs_gb"] == pytest.approx(0.4)


def test_a_spike_on_the_embedded_aws_is_batched_as_aws_would(cost):
    document = cost(ON_AWS | {"embedded": True, "writerCalls": 200, "publishes": 200}, "--orders", "1000000")
    # 400 a second: 80 more come to each of five pollers while it waits, and 100 to each of four shards.
    assert (document["ordersPerWrite"], document["ordersPerEmail"]) == (25, 101)
    assert quantities(document, "spikes")["sns_email"] == pytest.approx(1_000_000 / 101)


def test_a_small_spike_says_nothing(cost):
    assert cost(ON_AWS | {"orders": 500}) == cost(None)


@pytest.mark.parametrize("rate", [0.001, 1.0, 40.0, 1e6])
def test_no_batch_is_more_than_full(rate):
    calls = batches_of(1_000, rate)
    assert 1_000 / ORDERS_PER_WRITE <= calls["writerCalls"] <= 1_000
    assert 1_000 / ORDERS_PER_EMAIL <= calls["publishes"] == calls["notifierCalls"] <= 1_000


def test_the_triggers_are_those_that_are_built(built):
    found = {}
    for function in ("POC-Lambda-1", "POC-Lambda-2"):
        (trigger,) = built.find_all("event-source-mapping", function)
        found[function] = (trigger["BatchSize"], trigger["MaximumBatchingWindowInSeconds"])
    assert found == {"POC-Lambda-1": (ORDERS_PER_WRITE, WINDOW), "POC-Lambda-2": (ORDERS_PER_EMAIL, WINDOW)}


def test_what_sqs_bills_adds_up(cost):
    document = cost(None)
    for design, parts in document["sqsRequests"].items():
        assert sum(parts.values()) == pytest.approx(quantities(document, design)["sqs_request"])
    spread = document["sqsRequests"]["spread"]
    assert spread["sends"] == 1_000_000
    # One order for each batch, nearly: each batch is received and deleted.
    assert spread["receives"] == spread["deletes"] == pytest.approx(928_000, rel=0.001)
    # Batches of 25 take three requests of up to ten messages.
    spikes = document["sqsRequests"]["spikes"]
    assert spikes["receives"] == spikes["deletes"] == 1_000_000 / 25 * 3


def test_polling_is_paid_while_nobody_orders(cost):
    document = cost(None, "--orders", "1")
    # Five pollers, three times a minute, for thirty days, at $0.40 a million.
    polls = 5 * 3 * 60 * 24 * 30
    assert document["idleCost"] == pytest.approx(polls * 0.4e-6) == pytest.approx(0.26, abs=0.005)
    for design in document["totals"]:
        assert quantities(document, design)["sqs_request"] == pytest.approx(polls, abs=5)


@pytest.mark.parametrize("batches", [10_000, 1_000_000, 2_000_000])
def test_empty_receives_are_what_pollers_would_see(batches):
    # Each poller waits for its batches, 20 seconds at a time; every wait but the last one ends without a message.
    dice, pause = random.Random(1), POLLERS * SECONDS_A_MONTH / batches
    waits = [dice.expovariate(1 / pause) for _ in range(50_000)]
    seen = sum(wait // 20 for wait in waits) / len(waits) * batches
    assert empty_receives(batches) == pytest.approx(seen, rel=0.05)


def test_who_never_waits_receives_nothing_empty():
    assert empty_receives(10**12) == 0
