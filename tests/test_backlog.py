"""A backlog after an outage meets a new table: no order becomes a dead letter because the table was full."""

import itertools

import pytest
from backlog import ORDERS_A_SECOND, drain
from handlers import load_function

BACKLOG = 100_000
#: How long a throttled answer takes, how long a write takes, whether the whole call is throttled or single items.
LATENCIES = list(itertools.product((0.002, 0.01, 0.05), (0.005, 0.03, 0.05), (False, True)))
#: Where most calls are throttled.
WORST = [(0.002, 0.005, False), (0.002, 0.005, True)]


@pytest.fixture(scope="module")
def settings(built):
    """What the steps really set."""
    (trigger,) = built.find_all("event-source-mapping", "POC-Lambda-1")
    queue = built.find("queue", "ecommerce-orders-queue")
    assert queue["RedrivePolicy"].endswith('"maxReceiveCount": 5}')
    return {
        "concurrency": trigger["ScalingConfig"]["MaximumConcurrency"],
        "batch": trigger["BatchSize"],
        "timeout": built.find("function", "POC-Lambda-1")["Timeout"],
        "visibility": int(queue["VisibilityTimeout"]),
        "receives": 5,
    }


def check(settings, **table):
    """Drain a whole backlog: nothing dies, nothing is cut off, and the table is kept busy."""
    outcome = drain(settings, BACKLOG, **table)
    assert (outcome.stored, outcome.dead) == (BACKLOG, 0)
    assert outcome.throttled > 0, "the table was never full, so this proves nothing"
    # Nowhere near its timeout, so no order even goes back to the queue.
    assert outcome.longest < settings["timeout"] / 2
    assert outcome.seconds < 1.4 * BACKLOG / ORDERS_A_SECOND
    return outcome


@pytest.mark.parametrize(("refuse", "write", "whole"), [WORST[0], pytest.param(*WORST[1], marks=pytest.mark.slow)])
def test_a_backlog_drains_at_the_pace_of_the_table(settings, refuse, write, whole):
    check(settings, refuse=refuse, write=write, whole=whole)


@pytest.mark.slow
@pytest.mark.parametrize(("refuse", "write", "whole"), LATENCIES)
@pytest.mark.parametrize("seed", [1, 2])
def test_however_fast_the_table_answers(settings, refuse, write, whole, seed):
    check(settings, refuse=refuse, write=write, whole=whole, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [2, 5, 10, 20])
@pytest.mark.parametrize("table", [{}, {"burst": 0.1}, {"write": 0.2}, {"whole": True}], ids=str)
def test_nothing_dies_with_other_numbers_either(settings, concurrency, table):
    outcome = drain(settings | {"concurrency": concurrency}, 40_000, **{"refuse": 0.002, "write": 0.005} | table)
    assert (outcome.stored, outcome.dead) == (40_000, 0)


def test_a_table_that_grew_is_used(settings):
    # On demand, a table that had the traffic before takes more than a new one.
    assert drain(settings, 20_000, burst=300, write=0.03).seconds < 0.7 * 20_000 / ORDERS_A_SECOND


@pytest.mark.slow
def test_without_pauses_orders_would_die(settings):
    impatient = load_function("poc-lambda-1")
    # One call for each invocation: there is never time for another one.
    impatient.LONGEST_CALL_MILLISECONDS, impatient.FIRST_PAUSE = 1000 * settings["timeout"], 0
    many = settings | {"concurrency": 10}
    outcome = drain(many, 40_000, refuse=0.002, write=0.005, function=impatient)
    assert outcome.dead > 0.2 * outcome.orders
    assert outcome.stored + outcome.dead == outcome.orders
