"""The clients of a burst: send each order until the API accepts or rejects it."""

import contextlib
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from workshop.base.errors import WorkshopError
from workshop.base.http import post

#: Attempts per order, if the API throttles or fails. The order's id makes retries safe.
ATTEMPTS = 10


@dataclass
class Sending:
    """The orders to place, and the progress of the clients. Every order that was sent ends as accepted or refused.

    Attributes:
        order_ids: the orders that nobody has sent yet.
        sent: the number of orders with at least one request.
        accepted: the orders with a 202 response.
        refused: the other finished orders, with the status of their last response; 0 stands for none.
        retries: the number of repeated requests.
        last_accepted: when the last order was accepted, in seconds since 1970.
        stop: set to send nothing more.
    """

    order_ids: Iterator[str] = field(default_factory=lambda: iter(()))
    sent: int = 0
    accepted: set[str] = field(default_factory=set)
    refused: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    last_accepted: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_order(self) -> str | None:
        """Return the id of the next order to send; None if there is none, or if nothing more is to be sent."""
        with self.lock:
            order_id = None if self.stop.is_set() else next(self.order_ids, None)
            self.sent += order_id is not None
            return order_id

    def unconfirmed(self) -> set[str]:
        """Return the orders that may have been accepted: those without a response, or with a server error."""
        with self.lock:
            return {order for order, status in self.refused.items() if status == 0 or status >= 500}

    @property
    def ended(self) -> int:
        """The number of finished orders."""
        return len(self.accepted) + len(self.refused)


@contextlib.contextmanager
def clients(count: int, url: str, sending: Sending, ca_bundle: str | None) -> Iterator[None]:
    """Place the orders from several threads. In the end, wait until no thread sends any more.

    Args:
        count: how many clients there are.
        url: where orders go.
        sending: the orders, and where the clients note their progress.
        ca_bundle: as for `post`.
    """

    def work() -> None:
        while (order_id := sending.next_order()) is not None:
            send(url, order_id, sending, ca_bundle)

    # Daemons, so that a second Ctrl-C doesn't wait for responses.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        sending.stop.set()
        for thread in threads:
            if thread.ident:
                thread.join()


def send(url: str, order_id: str, sending: Sending, ca_bundle: str | None) -> None:
    """Place one order. If the API throttles or fails, retry with the same id."""
    order = {"orderId": order_id, "productId": "spike", "productName": "Spike", "quantity": 1}
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
