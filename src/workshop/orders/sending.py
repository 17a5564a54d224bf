"""The clients of a burst: send each order until the API accepts or rejects it."""

import contextlib
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType

from workshop.base.errors import WorkshopError
from workshop.base.http import post

#: Attempts per order, if the API throttles or fails. The order's id makes retries safe.
ATTEMPTS = 10


@dataclass
class Sending:
    """The progress of the senders. Every order that was sent ends as accepted or refused.

    Attributes:
        sent: the number of orders with at least one request.
        accepted: the orders with a 202 response.
        refused: the other finished orders, with the status of their last response; 0 stands for none.
        retries: the number of repeated requests.
        last_accepted: when the last order was accepted, in seconds since 1970.
        stop: set to send nothing more.
    """

    sent: int = 0
    accepted: set[str] = field(default_factory=set)
    refused: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    last_accepted: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def unconfirmed(self) -> set[str]:
        """Return the orders that may have been accepted: those without a response, or with a server error."""
        with self.lock:
            return {order for order, status in self.refused.items() if status == 0 or status >= 500}

    @property
    def ended(self) -> int:
        """The number of finished orders."""
        return len(self.accepted) + len(self.refused)


@contextlib.contextmanager
def ctrl_c_sets(stop: threading.Event) -> Iterator[None]:
    """Make Ctrl-C set an event. A second Ctrl-C raises KeyboardInterrupt as usual.

    KeyboardInterrupt can be raised anywhere in the main thread. In a callback or an error handler, it may be lost.

    Args:
        stop: the event.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        # Only the main thread receives signals, and the parent process may have disabled this one.
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            before(number, frame)
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def send(url: str, order_id: str, sending: Sending, ca_bundle: str | None) -> None:
    """Place one order. If the API throttles or fails, retry with the same id."""
    if sending.stop.is_set():
        return
    order = {"orderId": order_id, "productId": "spike", "productName": "Spike", "quantity": 1}
    with sending.lock:
        sending.sent += 1
    status = 0
    for attempt in range(ATTEMPTS):
        try:
            status, _ = post(url, json.dumps(order).encode(), ca_bundle=ca_bundle)
        except WorkshopError:
            status = 0
        if status == 202:
            with sending.lock:
                sending.accepted.add(order_id)
                sending.last_accepted = time.time()
            return
        if 400 <= status < 429 or attempt == ATTEMPTS - 1:
            break
        # Jitter: clients that were throttled together shouldn't retry together.
        if sending.stop.wait(min(0.1 * 2**attempt, 3.0) * random.uniform(0.5, 1.0)):
            break
        with sending.lock:
            sending.retries += 1
    with sending.lock:
        sending.refused[order_id] = status
