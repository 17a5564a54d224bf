"""A backlog of orders, the real code of POC-Lambda-1, and a table that has its limits, in virtual time.

No call leaves the process and nothing sleeps. Each concurrent execution of the function is a thread, of which one at a
time has the turn: it runs until it waits (for an answer of DynamoDB, for its own pause, for a message), and the clock
jumps to whoever waits the shortest. So the same numbers come out of every run.

What is modelled, and where AWS says so:

* SQS: visibility timeout, receive count, dead-letter queue
  (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html).
* The event source mapping: batches, as many at a time as `MaximumConcurrency`, partial batch responses.
* A new on-demand table: 4,000 write units a second over four partitions of 1,000; a transaction takes two for each
  item of up to 1 KB. (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html)
"""

import contextlib
import heapq
import io
import json
import os
import random
import threading
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

from handlers import Cancelled, load_function, message, refusal

UNITS_A_SECOND, PARTITIONS, UNITS_PER_ITEM = 4_000, 4, 2
#: What the table can store at most.
ORDERS_A_SECOND = UNITS_A_SECOND / UNITS_PER_ITEM


class Clock:
    """Virtual time, and whose turn it is."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, int, threading.Semaphore]] = []
        self._number = 0
        self._back = threading.Semaphore(0)
        self._error: BaseException | None = None

    def start(self, work: Callable[[], None]) -> None:
        """Let some work begin now, in a thread of its own."""
        turn = self._queue_up(0)

        def in_turn() -> None:
            turn.acquire()
            try:
                work()
            except BaseException as error:
                self._error = error
            self._back.release()

        threading.Thread(target=in_turn, daemon=True).start()

    def sleep(self, seconds: float) -> None:
        """Wait, as one of the works."""
        turn = self._queue_up(seconds)
        self._back.release()
        turn.acquire()

    def run(self) -> None:
        """Give one after the other the turn, until all works are done."""
        while self._waiting:
            self.now, _, turn = heapq.heappop(self._waiting)
            turn.release()
            self._back.acquire()
            if self._error:
                raise self._error

    def _queue_up(self, seconds: float) -> threading.Semaphore:
        turn = threading.Semaphore(0)
        self._number += 1
        heapq.heappush(self._waiting, (self.now + seconds, self._number, turn))
        return turn


class Queue:
    """The orders queue, with its messages already in it.

    Args:
        clock: the time.
        orders: how many messages wait.
        visibility: for how many seconds a received message is hidden.
        receives: how often a message is received before it is a dead letter.
    """

    def __init__(self, clock: Clock, orders: int, visibility: float, receives: int) -> None:
        self.clock, self.visibility, self.receives = clock, visibility, receives
        self.waiting = deque(range(orders))
        self.received = [0] * orders
        self.hidden: list[tuple[float, int]] = []
        self.dead: list[int] = []

    def receive(self, most: int) -> list[int]:
        """Take up to so many messages, which are hidden from now on."""
        while self.hidden and self.hidden[0][0] <= self.clock.now:
            self.waiting.append(heapq.heappop(self.hidden)[1])
        batch: list[int] = []
        while self.waiting and len(batch) < most:
            number = self.waiting.popleft()
            if self.received[number] == self.receives:
                self.dead.append(number)
                continue
            self.received[number] += 1
            batch.append(number)
        return batch

    def hide_until(self, numbers: list[int], moment: float) -> None:
        """Let messages that were not deleted come back."""
        for number in numbers:
            heapq.heappush(self.hidden, (moment, number))


class Table:
    """A new on-demand table: transactions of puts, as long as each partition has write units.

    Args:
        clock: the time.
        dice: what is random.
        write: how long a write takes, in seconds; half to one and a half times as long.
        refuse: how long it takes to be throttled, likewise.
        whole: throttle the whole call (ThrottlingException), and not single items (TransactionCanceledException).
        burst: how many seconds' worth of unused units each partition keeps.
    """

    def __init__(
        self, clock: Clock, dice: random.Random, write: float, refuse: float, whole: bool, burst: float
    ) -> None:
        self.clock, self.dice, self.write, self.refuse, self.whole = clock, dice, write, refuse, whole
        self.rate = UNITS_A_SECOND / PARTITIONS
        self.most = self.rate * burst
        self.units, self.filled = [self.most] * PARTITIONS, 0.0
        self.stored: set[str] = set()
        self.last = 0.0
        self.calls = self.throttled = 0
        self.exceptions = SimpleNamespace(TransactionCanceledException=Cancelled)

    def transact_write_items(self, TransactItems: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Store all, or none. What a cancelled transaction has used is gone."""
        ids = [entry["Put"]["Item"]["orderId"]["S"] for entry in TransactItems]
        self.calls += 1
        grown = (self.clock.now - self.filled) * self.rate
        self.units, self.filled = [min(self.most, units + grown) for units in self.units], self.clock.now
        codes = [
            "ConditionalCheckFailed" if key in self.stored else "None" if self._take(key) else "ThrottlingError"
            for key in ids
        ]
        if set(codes) == {"None"}:
            self.clock.sleep(self.write * self.dice.uniform(0.5, 1.5))
            self.stored.update(ids)
            self.last = self.clock.now
            return {}
        self.throttled += "ThrottlingError" in codes
        self.clock.sleep(self.refuse * self.dice.uniform(0.5, 1.5))
        if self.whole and "ThrottlingError" in codes:
            raise refusal(self.dice.choice(["ThrottlingException", "ProvisionedThroughputExceededException"]))
        raise Cancelled(codes)

    def _take(self, key: str) -> bool:
        partition = zlib.crc32(key.encode()) % PARTITIONS
        enough = self.units[partition] >= UNITS_PER_ITEM
        self.units[partition] -= UNITS_PER_ITEM * enough
        return enough


@dataclass(frozen=True)
class Outcome:
    """What became of a backlog.

    Attributes:
        orders, stored, dead: how many.
        seconds: until the last order was stored.
        calls, throttled: of DynamoDB.
        longest: the longest invocation, in seconds.
        billed: how long the function ran in all, in seconds.
    """

    orders: int
    stored: int
    dead: int
    seconds: float
    calls: int
    throttled: int
    longest: float
    billed: float


def drain(
    settings: dict[str, float],
    orders: int = 100_000,
    *,
    write: float = 0.03,
    refuse: float = 0.01,
    whole: bool = False,
    burst: float = 1.0,
    seed: int = 1,
    function: ModuleType | None = None,
) -> Outcome:
    """Let POC-Lambda-1 work a backlog off.

    Args:
        settings: `concurrency`, `batch`, `timeout`, `visibility`, `receives`.
        orders: how many messages wait.
        write, refuse, whole, burst: see `Table`.
        seed: of all that is random.
        function: POC-Lambda-1; by default as it is.
    """
    clock, dice = Clock(), random.Random(seed)
    queue = Queue(clock, orders, settings["visibility"], int(settings["receives"]))
    table = Table(clock, dice, write, refuse, whole, burst)
    function = function or load_function("poc-lambda-1")
    body = json.dumps({"productId": "12345", "quantity": 2})
    runs: list[float] = []

    def execution() -> None:
        """One of the function's executions: it takes batch after batch until nothing is left."""
        while queue.waiting or queue.hidden:
            received = clock.now
            batch = queue.receive(int(settings["batch"]))
            if not batch:
                # A message that another execution works on may still come back.
                clock.sleep(0.1)
                continue
            end = received + settings["timeout"]
            context = SimpleNamespace(get_remaining_time_in_millis=lambda end=end: round(1000 * (end - clock.now)))
            answer = function.handler({"Records": [message(number, body) for number in batch]}, context)
            runs.append(clock.now - received)
            failed = [int(one["itemIdentifier"].removeprefix("message-")) for one in answer["batchItemFailures"]]
            # A function that is cut off has answered nothing.
            back = failed if clock.now <= end else batch
            queue.hide_until(back, received + settings["visibility"])
            # Deleting, and the next call of the function.
            clock.sleep(0.005)

    replaced = {
        "dynamodb": table,
        "time": SimpleNamespace(time=lambda: clock.now, sleep=clock.sleep),
        "random": dice,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, {"TABLE_NAME": "orders"}))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(mock.patch.multiple(function, create=True, **replaced))
        for _ in range(int(settings["concurrency"])):
            clock.start(execution)
        clock.run()
    return Outcome(
        orders, len(table.stored), len(queue.dead), table.last, table.calls, table.throttled, max(runs), sum(runs)
    )
