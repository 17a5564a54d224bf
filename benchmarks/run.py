"""What the design gains: our functions and triggers beside the textbook's, on one embedded AWS, in turns.

Both sides are built by the same steps, for two participants: the same table, queue, topic, roles and rights. Only
what is compared differs: the code of the functions, and the settings of the triggers. While one side is measured
the other one's triggers are off. Every round drains a queue that was filled while nobody read it; rounds take
turns in who goes first, and the median of the rounds counts.

What is counted is counted inside the functions: both run in the same wrapper, which hears of every HTTP request
that their AWS client sends, repeated ones too, and writes a line to a file at the end of an invocation.

On the loopback interface a call is nearly free, and on AWS it is not. So everything is measured twice: as it is, and
with each call of either side held up by some milliseconds, as the way to a service and back takes them.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import startup

from workshop.base.console import Console
from workshop.base.files import ROOT
from workshop.base.settings import Settings
from workshop.build.function_code import packed
from workshop.build.opening import OpenWorkshop, open_workshop
from workshop.build.step import Workshop
from workshop.embedded import Mailbox, passing
from workshop.embedded.credentials import POST_OFFICE_ACCOUNT
from workshop.embedded.mailbox import MAILBOX
from workshop.orders.mail import ORDER_LINE

DESIGN, TEXTBOOK = "design", "textbook"
TIMES = "\N{MULTIPLICATION SIGN}"
SIDES = (DESIGN, TEXTBOOK)
FUNCTIONS = {"POC-Lambda-1": "poc-lambda-1", "POC-Lambda-2": "poc-lambda-2"}
FOLDERS = {DESIGN: ROOT / "src/lambda", TEXTBOOK: ROOT / "benchmarks/textbook"}
#: Seconds that filling or draining a queue may take, per 1,000 orders and at least.
LONGEST_PER_1000, LONGEST = 120, 120
#: Orders that go through before the first round, so that no round pays for starting the functions' processes.
WARM_UP = 100
#: Fresh processes in which each handler is imported.
IMPORTS = 9
#: Seconds that each call is held up: not at all, and as a service that answers in single-digit milliseconds would
#: (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Introduction.html).
LATENCIES = (0.0, 0.005)
#: The targets: how many times the textbook's rate, and calls per 1,000 orders.
TIMES_FASTER, MOST_CALLS = 4.0, 250
#: Appended to the source of each function, ours and the textbook's. What it counts goes to a file: under load, the
#: embedded AWS shows a function's last log line only with the next invocation.
METER = """

import json as _json
import os as _os
import time as _time

_calls = 0


def _count(**_):
    global _calls
    _calls += 1
    _time.sleep(LATENCY)


(globals().get("dynamodb") or sns).meta.events.register("before-send", _count)
_work = handler


def handler(event, context):
    global _calls
    _calls, began = 0, _time.process_time()
    try:
        return _work(event, context)
    finally:
        cpu = _time.process_time() - began
        facts = {"calls": _calls, "cpu": cpu, "records": len(event["Records"]), "ended": _time.time()}
        file = _os.open(METER_FILE, _os.O_WRONLY | _os.O_CREAT | _os.O_APPEND)
        _os.write(file, (_json.dumps(facts) + "\\n").encode())
        _os.close(file)
"""
IMPORT = """
import sys, time
began = time.perf_counter()
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"__name__": "index"})
print(time.perf_counter() - began)
"""


class TookTooLong(Exception):
    """A round did not end in its time."""


@dataclass(frozen=True)
class Round:
    """What one side did in one round.

    Attributes:
        seconds: from switching the trigger on to the end of the last invocation that notified.
        calls: HTTP requests that the functions sent.
        mails: notifications, each of which is one e-mail to the subscriber.
        cpu: seconds of CPU time inside the handlers.
        invocations: of both functions.
        orders: how many there were.
    """

    seconds: float
    calls: int
    mails: int
    cpu: float
    invocations: int
    orders: int

    @property
    def rate(self) -> float:
        """Orders per second."""
        return self.orders / self.seconds


Rounds = dict[str, list[Round]]


def embedded(ws: Workshop) -> Mailbox:
    """The mailbox of a workshop's embedded AWS; benchmarks run on no other."""
    assert ws.mailbox is not None, "no embedded AWS"
    return ws.mailbox


class Side:
    """One of the two that are compared, built and ready.

    Args:
        name: `design` or `textbook`.
        ws: its participant.
    """

    def __init__(self, name: str, ws: OpenWorkshop) -> None:
        self.name, self.ws = name, ws
        with contextlib.redirect_stdout(io.StringIO()):
            for step in ws.steps:
                step.run(ws)
        if name == TEXTBOOK:
            self._use_default_triggers()
        self.triggers = {f: ws.find_all("event-source-mapping", f)[0] for f in FUNCTIONS}
        self.queue = ws.need("queue", "ecommerce-orders-queue")["QueueUrl"]
        self.office = embedded(ws).instance.clients(ws.region, POST_OFFICE_ACCOUNT)("sqs")
        self.mailbox = self.office.get_queue_url(QueueName=MAILBOX)["QueueUrl"]
        self.switch(on=False)

    def deploy(self, latency: float) -> None:
        """Put the functions in place, each in the wrapper that counts.

        Args:
            latency: seconds that each of their calls is held up.
        """
        for function, folder in FUNCTIONS.items():
            source = (FOLDERS[self.name] / folder / "index.py").read_text(encoding="utf-8")
            source += f"\nMETER_FILE, LATENCY = {str(self._meter_file(function))!r}, {latency!r}\n{METER}"
            self.ws.client("lambda").update_function_code(
                FunctionName=self.ws.name(function), ZipFile=packed(source), Architectures=["arm64"]
            )

    def _use_default_triggers(self) -> None:
        """Make the triggers anew with nothing but what AWS asks for, and AWS's default sizes of batches."""
        lambda_, of_a_stream = self.ws.client("lambda"), {"BatchSize": 100, "StartingPosition": "TRIM_HORIZON"}
        for function, more in (("POC-Lambda-1", {"BatchSize": 10}), ("POC-Lambda-2", of_a_stream)):
            (old,) = self.ws.find_all("event-source-mapping", function)
            lambda_.delete_event_source_mapping(UUID=old["UUID"])
            lambda_.create_event_source_mapping(
                FunctionName=self.ws.name(function), EventSourceArn=old["EventSourceArn"], Tags=self.ws.tags, **more
            )

    def switch(self, on: bool) -> None:
        """Let both triggers run, or let them rest."""
        for trigger in self.triggers.values():
            self.ws.client("lambda").update_event_source_mapping(UUID=trigger["UUID"], Enabled=on)

    def fill(self, orders: int, batch: str) -> set[str]:
        """Put orders straight into the queue.

        Returns:
            Their ids.
        """
        sqs, ids = self.ws.client("sqs"), [f"{batch}-{number}" for number in range(orders)]
        for start in range(0, orders, 10):
            entries: list[Any] = [
                {
                    "Id": order_id,
                    "MessageBody": json.dumps(
                        {
                            "orderId": order_id,
                            "productId": "12345",
                            "productName": "Eco-Friendly Cleaner",
                            "quantity": 2,
                            "customerEmail": "customer@example.com",
                        }
                    ),
                }
                for order_id in ids[start : start + 10]
            ]
            failed = sqs.send_message_batch(QueueUrl=self.queue, Entries=entries).get("Failed")
            assert not failed, failed
        return set(ids)

    def drain(self, orders: int, batch: str) -> Round:
        """Fill the queue, switch the triggers on, and wait until every order is stored and notified.

        Raises:
            TookTooLong: not all arrived.
        """
        self._empty_mailbox()
        ids = self.fill(orders, batch)
        before, limit = self._stored(), max(LONGEST, orders / 1000 * LONGEST_PER_1000)
        began = time.time()
        self.switch(on=True)
        try:
            # Looking costs the embedded AWS time: so first at numbers that it has at hand, and at the mail only when
            # no more of it comes. When it was over is not told by looking, but by the functions.
            _wait(lambda: self._stored() - before >= orders, limit, f"{self.name}: storing {orders} orders")
            _wait(lambda: self._mail_rests() and ids <= self._told(), limit, f"{self.name}: notifying of {orders}")
        finally:
            self.switch(on=False)
        lines: dict[str, list[dict[str, Any]]] = {}

        def counted() -> bool:
            lines.update({function: self._meter(function, began) for function in FUNCTIONS})
            return all(sum(line["records"] for line in some) >= orders for some in lines.values())

        # The last e-mail is there before the function that sent it has ended, and written what it did.
        _wait(counted, LONGEST, f"{self.name}: counting what was done")
        every = [line for some in lines.values() for line in some]
        return Round(
            seconds=max(line["ended"] for line in lines["POC-Lambda-2"]) - began,
            calls=sum(line["calls"] for line in every),
            mails=sum(line["calls"] for line in lines["POC-Lambda-2"]),
            cpu=sum(line["cpu"] for line in every),
            invocations=len(every),
            orders=orders,
        )

    def _empty_mailbox(self) -> None:
        """Throw away the mail of earlier rounds, which the textbook has much of: reading it would hold up the next."""
        self.office.purge_queue(QueueUrl=self.mailbox)

    def _mail_rests(self) -> bool:
        """Whether no mail came for a second."""

        def count() -> str:
            answer = self.office.get_queue_attributes(
                QueueUrl=self.mailbox, AttributeNames=["ApproximateNumberOfMessages"]
            )
            return answer["Attributes"]["ApproximateNumberOfMessages"]

        before = count()
        time.sleep(1)
        return count() == before

    def _stored(self) -> int:
        table = self.ws.client("dynamodb").describe_table(TableName=self.ws.name("ecommerce-orders"))["Table"]
        return int(table["ItemCount"])

    def _told(self) -> set[str]:
        topic = self.ws.need("topic", "ecommerce-orders-topic")["Arn"]
        texts = [mail["Message"] for mail in embedded(self.ws).read(topic)]
        if self.name == TEXTBOOK:
            return {json.loads(text)["orderId"]["S"] for text in texts}
        return {order_id for text in texts for order_id in ORDER_LINE.findall(text)}

    def _meter_file(self, function: str) -> Path:
        return self.ws.settings.state_dir.resolve() / f"meter-{self.name}-{function}.jsonl"

    def _meter(self, function: str, since: float) -> list[dict[str, Any]]:
        lines = map(json.loads, self._meter_file(function).read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line["ended"] >= since]


def _wait(done: Callable[[], bool], limit: float, what: str) -> None:
    end = time.monotonic() + limit
    while not done():
        if time.monotonic() > end:
            raise TookTooLong(f"{what} took longer than {limit:.0f} seconds")
        time.sleep(0.3)


@contextlib.contextmanager
def both_sides() -> Iterator[dict[str, Side]]:
    """Build both on an embedded AWS of their own, which is gone afterwards."""
    with passing("benchmark") as folder:
        yield {
            name: Side(name, open_workshop(Settings(state_dir=folder, prefix=name, yes=True), Console()))
            for name in SIDES
        }


def measure(orders: int, rounds: int) -> tuple[dict[float, Rounds], dict[str, dict[str, Any]]]:
    """Let both sides drain their queues, in turns.

    Returns:
        For each latency, the rounds of each side; and the settings of its triggers.
    """
    found: dict[float, Rounds] = {latency: {name: [] for name in SIDES} for latency in LATENCIES}
    with both_sides() as sides:
        triggers = {name: side.triggers for name, side in sides.items()}
        for latency in LATENCIES:
            for name in SIDES:
                say(f"warming up: {name}, {latency * 1000:.0f} ms added to each call")
                sides[name].deploy(latency)
                sides[name].drain(WARM_UP, f"warm-up-{latency * 1000:.0f}")
            for number in range(rounds):
                for name in SIDES if number % 2 == 0 else reversed(SIDES):
                    done = sides[name].drain(orders, f"round-{latency * 1000:.0f}-{number}")
                    found[latency][name].append(done)
                    say(
                        f"round {number + 1} of {rounds}, {name}: {done.rate:.0f} orders/s, {done.calls} calls,"
                        f" {done.mails} e-mails, {done.cpu / orders * 1000:.2f} ms CPU per order,"
                        f" {done.invocations} invocations"
                    )
    return found, triggers


def import_times() -> dict[str, dict[str, float]]:
    """Seconds that importing each handler takes in a fresh process: `{side: {function: median}}`."""
    environment = os.environ | {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "-",
        "AWS_SECRET_ACCESS_KEY": "-",
    }
    taken: dict[str, dict[str, list[float]]] = {name: {f: [] for f in FUNCTIONS} for name in SIDES}
    for number in range(IMPORTS):
        for name in SIDES if number % 2 == 0 else reversed(SIDES):
            for function, folder in FUNCTIONS.items():
                done = subprocess.run(
                    [sys.executable, "-c", IMPORT, str(FOLDERS[name] / folder / "index.py")],
                    env=environment, capture_output=True, text=True, check=True, timeout=60,
                )  # fmt: skip
                taken[name][function].append(float(done.stdout))
    return {name: {f: statistics.median(times) for f, times in some.items()} for name, some in taken.items()}


def page(
    measured: dict[float, Rounds],
    triggers: dict[str, dict[str, Any]],
    imports: dict[str, dict[str, float]],
    command: str,
) -> tuple[str, bool]:
    """The page of figures, and whether the targets are met."""
    as_it_is, held_up = LATENCIES
    orders = measured[as_it_is][DESIGN][0].orders

    def median(name: str, of: Callable[[Round], float], latency: float = as_it_is) -> float:
        return statistics.median(of(one) for one in measured[latency][name])

    def per_1000(name: str, of: Callable[[Round], float]) -> float:
        return median(name, of) / orders * 1000

    def rates(name: str, latency: float) -> str:
        return ", ".join(f"{rate:.0f}" for rate in sorted(one.rate for one in measured[latency][name]))

    def cold_import(function: str) -> Callable[[str], float]:
        return lambda name: imports[name][function] * 1000

    def row(title: str, of: Callable[[str], float], form: str) -> str:
        ours, theirs = of(DESIGN), of(TEXTBOOK)
        times = f"{max(ours, theirs) / min(ours, theirs):.1f} {TIMES}" if min(ours, theirs) else ""
        return f"| {title} | {ours:{form}} | {theirs:{form}} | {times} |"

    faster = {
        latency: median(DESIGN, lambda one: one.rate, latency) / median(TEXTBOOK, lambda one: one.rate, latency)
        for latency in LATENCIES
    }
    calls = per_1000(DESIGN, lambda one: one.calls)
    met = {
        "verdict_as_it_is": faster[as_it_is] >= TIMES_FASTER,
        "verdict_held_up": faster[held_up] >= TIMES_FASTER,
        "verdict_calls": calls <= MOST_CALLS,
    }
    rows = [
        row("Drain rate, orders per second", lambda name: median(name, lambda one: one.rate), ".0f"),
        row(
            f"Drain rate with {held_up * 1000:.0f} ms added to each call",
            lambda name: median(name, lambda one: one.rate, held_up),
            ".0f",
        ),
        row("Calls by the functions per 1,000 orders", lambda name: per_1000(name, lambda one: one.calls), ",.0f"),
        row("E-mails per 1,000 orders", lambda name: per_1000(name, lambda one: one.mails), ",.0f"),
        row("Invocations per 1,000 orders", lambda name: per_1000(name, lambda one: one.invocations), ",.0f"),
        row("Handler CPU per order, ms", lambda name: per_1000(name, lambda one: one.cpu), ".2f"),
        *[row(f"Cold import of {f}, ms", cold_import(f), ".0f") for f in FUNCTIONS],
    ]
    text = (Path(__file__).parent / "page.md").read_text(encoding="utf-8").format(
        command=command, rows="\n".join(rows), rounds=len(measured[as_it_is][DESIGN]), orders=orders,
        our_rates=rates(DESIGN, as_it_is), their_rates=rates(TEXTBOOK, as_it_is),
        our_rates_held_up=rates(DESIGN, held_up), their_rates_held_up=rates(TEXTBOOK, held_up),
        target_faster=TIMES_FASTER, target_calls=MOST_CALLS, calls=calls, milliseconds=held_up * 1000,
        faster=faster[as_it_is], faster_held_up=faster[held_up],
        **{name: "met" if yes else "**missed**" for name, yes in met.items()},
        our_queue_trigger=described(triggers[DESIGN]["POC-Lambda-1"]),
        their_queue_trigger=described(triggers[TEXTBOOK]["POC-Lambda-1"]),
        our_stream_trigger=described(triggers[DESIGN]["POC-Lambda-2"]),
        their_stream_trigger=described(triggers[TEXTBOOK]["POC-Lambda-2"]),
        warm_up=WARM_UP, imports=IMPORTS, machine=machine(),
    )  # fmt: skip
    return text, all(met.values())


def described(trigger: dict[str, Any]) -> str:
    """The settings of a trigger, for a person."""
    window, limit = trigger.get("MaximumBatchingWindowInSeconds"), trigger.get("ScalingConfig")
    said = [
        f"up to {trigger['BatchSize']:,} in a batch",
        f"or what comes within {window} s" if window else "no window",
    ]
    if limit:
        said.append(f"at most {limit['MaximumConcurrency']} batches at a time")
    if trigger.get("FunctionResponseTypes"):
        said.append("partial batch response")
    if trigger.get("FilterCriteria", {}).get("Filters"):
        said.append("inserts only")
    return ", ".join(said)


def machine() -> str:
    """This machine, in general words."""
    cores, load = os.cpu_count() or 1, os.getloadavg()[1]
    # One core's worth of work is our own.
    busy = f", busy with other work as well (load {load:.0f})" if load > cores + 1 else ""
    return f"{cores} cores{busy}, {platform.system()}, Python {platform.python_version()}"


def say(text: str) -> None:
    """Tell of the progress."""
    print(text, file=sys.stderr, flush=True)


def at_least(least: int) -> Callable[[str], int]:
    """A number on the command line."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is not a number of at least {least}")
        return int(text)

    return read


def main() -> int:
    """Measure, and write the page.

    Returns:
        0 if everything was measured, whatever it says of the targets; else 1.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--orders", type=at_least(10), default=2000, help="orders in a round")
    parser.add_argument("--rounds", type=at_least(1), default=5, help="rounds of each side")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/benchmarks.md", help="the page to write")
    options = parser.parse_args()
    # A signal ends the embedded AWS as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    command = "python benchmarks/run.py"
    for option in ("orders", "rounds"):
        if getattr(options, option) != parser.get_default(option):
            command += f" --{option} {getattr(options, option)}"
    try:
        say("starting the command line")
        starts = startup.measure()
        say("importing the handlers")
        imports = import_times()
        found, triggers = measure(options.orders, options.rounds)
    except TookTooLong as error:
        say(f"Error: {error}.")
        return 1
    text, met = page(found, triggers, imports, command)
    text += "\n" + startup.section(starts, machine())
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    say(f"written: {options.output}; {'all targets are met' if met else 'not all targets are met'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
