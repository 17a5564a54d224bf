"""`workshop spike`: every order ends somewhere, the account adds up, and its rates are measured."""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from front import standing_before
from support import BIN, LONGEST_COMMAND, eventually

from workshop.commands.spike import drain_and_rate, failed, spike
from workshop.embedded import Embedded
from workshop.orders import sending
from workshop.orders.api import api_url
from workshop.orders.burst import Burst
from workshop.orders.mail import listen_to_mail

KEYS = {"sent", "accepted", "stored", "notified", "lost", "duplicates", "drainSeconds", "ordersPerSecond"}


@pytest.fixture(scope="module")
def flowing(built):
    listen_to_mail(built)
    return built


def adds_up(document: dict) -> None:
    """Every order that was sent is in one place."""
    assert document.keys() >= KEYS
    assert document["sent"] == document["accepted"] + sum(document["refused"].values())
    assert document["accepted"] == document["stored"] + document["onTheirWay"] + document["lost"]
    assert document["stored"] == document["notified"] + document["unnotified"]


@contextlib.contextmanager
def turning_away(ws, monkeypatch, rule):
    """Let a small proxy before the API turn orders away by a rule."""
    with standing_before(ws, rule) as url, monkeypatch.context() as patched:
        patched.setattr("workshop.commands.spike.api_url", lambda _: url)
        yield


def test_refused_attempts_are_no_orders(flowing, monkeypatch):
    """A throttle that each order meets twice: all get there in the end, and are waited for."""
    asked = []

    def throttle(order):
        asked.append(order["orderId"])
        return None if asked.count(order["orderId"]) == 3 else (429, "Too Many Requests")

    with turning_away(flowing, monkeypatch, throttle):
        document = spike(flowing, orders=20, concurrency=20)
    assert len(asked) == 60
    assert [document[key] for key in ("sent", "accepted", "stored", "notified", "lost")] == [20, 20, 20, 20, 0]
    assert document["retries"] == 40
    assert document["refused"] == {}
    adds_up(document)
    assert failed(document) is None


@pytest.mark.parametrize(
    ("status", "requests"),
    [(429, 3), pytest.param(503, 3, marks=pytest.mark.slow), (403, 1), pytest.param(400, 1, marks=pytest.mark.slow)],
)
def test_what_is_refused_for_good_is_counted_once(flowing, monkeypatch, status, requests):
    monkeypatch.setattr(sending, "ATTEMPTS", 3)
    asked = []

    def some(order):
        if int(order["orderId"][-5:]) % 2:
            return None
        asked.append(order["orderId"])
        return status, "no"

    with turning_away(flowing, monkeypatch, some):
        document = spike(flowing, orders=8, concurrency=4)
    assert len(asked) == 4 * requests
    assert document["refused"] == {str(status): 4}
    assert [document[key] for key in ("sent", "accepted", "stored", "lost")] == [8, 4, 4, 0]
    adds_up(document)
    assert failed(document).exit_code == 1


def test_nobody_answers_and_nothing_is_measured(flowing, monkeypatch):
    monkeypatch.setattr(sending, "ATTEMPTS", 2)
    monkeypatch.setattr("workshop.commands.spike.api_url", lambda _: "http://127.0.0.1:9/orders")
    document = spike(flowing, orders=3, concurrency=3)
    assert document["refused"] == {"0": 3}
    assert (document["accepted"], document["drainSeconds"], document["ordersPerSecond"]) == (0, None, None)
    adds_up(document)


def test_an_order_whose_answer_was_lost_counts_as_what_it_is(flowing, monkeypatch):
    """The API takes it, and the connection breaks: it is stored, so it was accepted."""
    monkeypatch.setattr(sending, "ATTEMPTS", 1)
    passed, url = set(), api_url(flowing)

    def breaks(order):
        if order["orderId"] not in passed:
            passed.add(order["orderId"])
            assert sending.post(url, json.dumps(order).encode(), ca_bundle=flowing.client.ca_bundle)[0] == 202
        return 504, "Endpoint request timed out"

    with turning_away(flowing, monkeypatch, breaks):
        document = spike(flowing, orders=5, concurrency=5)
    assert [document[key] for key in ("sent", "accepted", "stored", "notified")] == [5, 5, 5, 5]
    adds_up(document)


def lines(ws, function: str) -> list[dict]:
    """A function's log, as far as it is JSON; asked for without the product."""
    pages = (
        ws.client("logs").get_paginator("filter_log_events").paginate(logGroupName=ws.name(f"/aws/lambda/{function}"))
    )
    messages = [event["message"] for page in pages for event in page["events"]]
    return [json.loads(message) for message in messages if message.startswith("{")]


@pytest.mark.parametrize("orders", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_rates_are_those_of_the_log_lines(flowing, orders):
    document = spike(flowing, orders=orders, concurrency=10)
    run = re.search(r"spike-\d+-\w+", document["saved"])[0]
    # On a slow machine an order may be sent again, or a batch fail once: the first line of each order counts.
    ours = [line for line in lines(flowing, "POC-Lambda-1") if line.get("orderId", "").startswith(run)]
    taken = list({line["orderId"]: line for line in sorted(ours, key=lambda line: line["time"], reverse=True)}.values())
    mails = [
        line for line in lines(flowing, "POC-Lambda-2")
        if line["event"] == "notified" and any(one.startswith(run) for one in line["orderIds"])
    ]  # fmt: skip
    assert len(taken) == orders
    sent, ended = [int(line["sentTime"]) for line in taken], max(line["time"] for line in mails)
    # To the hundredth of a second; when the API took an order, AWS alone tells.
    took = (ended - min(int(line.get("apiRequestTime", line["sentTime"])) for line in taken)) / 1000
    assert document["ordersPerSecond"] == pytest.approx(orders / took, abs=0.06)
    assert document["drainSeconds"] == pytest.approx((ended - max(sent)) / 1000, abs=0.0006)
    # A point every tenth of a second.
    points = [sample["at"] for sample in document["samples"]]
    assert max(after - before for before, after in itertools.pairwise(points)) <= 0.11
    assert len(points) >= took * 10
    last = document["samples"][-1]
    assert (last["accepted"], last["stored"], last["notified"], last["waiting"], last["inFlight"]) == (orders,) * 3 + (
        0,
        0,
    )
    for key in ("accepted", "stored", "notified"):
        curve = [sample[key] for sample in document["samples"]]
        assert curve == sorted(curve)


def test_where_mail_goes_to_people_the_log_tells_who_was_notified(flowing, open_ws, monkeypatch):
    ws = open_ws(flowing.settings.prefix)
    monkeypatch.setattr(ws, "mailbox", None)
    calls = []
    ws.client.listeners.append(lambda call: calls.append(call) if call.operation == "FilterLogEvents" else None)
    document = spike(ws, orders=30, concurrency=10)
    assert [document[key] for key in ("accepted", "stored", "notified", "lost", "duplicates")] == [30, 30, 30, 0, 0]
    adds_up(document)
    # None of them reads from the beginning of time.
    assert all(call.parameters["startTime"] > (time.time() - 2 * 3600) * 1000 for call in calls)


def test_a_rate_that_samples_cannot_tell_is_left_out(flowing):
    """Three samples, a second apart, say that 200 orders took between 0 and 2 seconds."""
    burst = Burst(flowing, "spike-of-nobody-")
    burst.notified.update(f"spike-of-nobody-{n}" for n in range(200))
    samples = [{"at": 0.0, "notified": 0}, {"at": 1.0, "notified": 20}, {"at": 2.0, "notified": 200}]
    drain, rate = drain_and_rate(burst, samples, began=1000.0, last_accepted=1001.0)
    assert (drain, rate) == (1.0, None)
    often = [{"at": n / 10, "notified": 10 * n} for n in range(21)]
    assert drain_and_rate(burst, often, began=1000.0, last_accepted=1001.0)[1] == pytest.approx(100)


def interrupting_at(number: int):
    """A rule that sends Ctrl-C when so many orders were asked for."""
    asked = []

    def interrupt(order):
        asked.append(order["orderId"])
        if len(asked) == number:
            os.kill(os.getpid(), signal.SIGINT)

    return asked, interrupt


@pytest.mark.parametrize("number", [1, pytest.param(40, marks=pytest.mark.slow)])
def test_ctrl_c_sends_nothing_more_and_accounts_for_the_rest(flowing, monkeypatch, number):
    asked, interrupt = interrupting_at(number)
    before = count(flowing)
    with turning_away(flowing, monkeypatch, interrupt):
        document = spike(flowing, orders=20_000, concurrency=5)
    assert document["interrupted"] is True
    assert document["lost"] == 0
    assert number <= len(asked) == document["sent"] < 20_000
    adds_up(document)
    problem = failed(document)
    assert problem.exit_code == 130
    assert f"{document['onTheirWay']} aren't stored yet" in problem.problem
    assert "lost" not in problem.problem
    # And they arrive.
    assert eventually(lambda: count(flowing) - before >= document["accepted"])


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_of_the_command_line(state_dir, flowing, number):
    """The embedded AWS itself stands still when the signal comes, so that some order is surely on its way."""
    env = os.environ | {"WORKSHOP_STATE_DIR": str(state_dir), "WORKSHOP_PREFIX": flowing.settings.prefix}
    command = [str(BIN / "workshop"), "spike", "--orders", "20000", "--concurrency", "20", "--json"]
    before, instance = count(flowing), Embedded(state_dir).running()
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert eventually(lambda: count(flowing) > before)
            os.kill(instance.pid, signal.SIGSTOP)
            running.send_signal(number)
        finally:
            os.kill(instance.pid, signal.SIGCONT)
        out, err = running.communicate(timeout=LONGEST_COMMAND)
    assert running.returncode == 130, err
    document = json.loads(out)
    adds_up(document)
    assert document["sent"] < 20_000
    assert len([line for line in err.splitlines() if line.startswith("Error: Interrupted")]) == 1


def test_ctrl_c_is_not_lost_where_an_interrupt_would_be_swallowed(flowing, monkeypatch):
    """Python swallows what is raised within a destructor: there, a KeyboardInterrupt would come to nothing."""

    class Swallows:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            # The handler runs in the main thread before the next line does.
            time.monotonic()

    before = signal.getsignal(signal.SIGINT)
    asked = []

    def look(burst, accepted=None, original=Burst.look):
        found = original(burst, accepted)
        if accepted is not None and len(asked) >= 5:
            Swallows()
        return found

    monkeypatch.setattr(Burst, "look", look)
    with turning_away(flowing, monkeypatch, lambda order: asked.append(order["orderId"])):
        document = spike(flowing, orders=2_000, concurrency=2)
    assert document["interrupted"] is True
    assert document["sent"] < 1_000
    adds_up(document)
    # Afterwards Ctrl-C means what it meant before.
    assert signal.getsignal(signal.SIGINT) is before


def test_two_runs_of_the_same_moment_do_not_count_each_others_orders(flowing, monkeypatch):
    moment = datetime(2026, 1, 1, 12, 0, 0, 0, UTC)
    monkeypatch.setattr("workshop.commands.spike.datetime", SimpleNamespace(now=lambda _: moment))
    assert spike(flowing, orders=2, concurrency=2)["stored"] == 2
    with turning_away(flowing, monkeypatch, lambda order: (403, "no")):
        document = spike(flowing, orders=3, concurrency=2)
    assert (document["refused"], document["accepted"], document["stored"]) == ({"403": 3}, 0, 0)
    adds_up(document)


def count(ws) -> int:
    """How many orders the table holds."""
    pages = ws.client("dynamodb").get_paginator("scan").paginate(
        TableName=ws.name("ecommerce-orders"), Select="COUNT", ConsistentRead=True
    )  # fmt: skip
    return sum(page["Count"] for page in pages)
