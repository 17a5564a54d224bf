"""The clients of a burst: each order is sent until it has been accepted, or has been refused for good."""

import json
import random
import threading
import time
from dataclasses import dataclass, field

from workshop.errors import WorkshopError
from workshop.web import post

#: How often one order is sent again after "too many requests" or a fault; its id makes that harmless.
TRIES = 10


@dataclass
class Sending:
    """What the senders have done so far. Every order that was sent ends as accepted or as refused.

    Attributes:
        sent: the orders for which at least one request was made.
        accepted: those with an answer of 202.
        refused: the others that have ended, with their last answer's status; 0 stands for none.
        retries: requests that were made because an earlier one came back with something that passes.
        accepted_last: when the last one was accepted, in seconds since 1970.
        stop: set when nothing more shall be sent.
    """

    sent: int = 0
    accepted: set[str] = field(default_factory=set)
    refused: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    accepted_last: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def doubtful(self) -> set[str]:
        """The orders of which nobody knows whether they were accepted: no answer came, or an error of the server."""
        with self.lock:
            return {order for order, status in self.refused.items() if status == 0 or status >= 500}

    @property
    def ended(self) -> int:
        """How many orders nothing more is sent for."""
        return len(self.accepted) + len(self.refused)


def send(url: str, order_id: str, sending: Sending, ca_bundle: str | None) -> None:
    """Place one order; when the API asks for patience, with the same id again."""
    if sending.stop.is_set():
        return
    order = {"orderId": order_id, "productId": "spike", "productName": "Spike", "quantity": 1}
    with sending.lock:
        sending.sent += 1
    status = 0
    for tries in range(TRIES):
        try:
            status, _ = post(url, json.dumps(order).encode(), ca_bundle=ca_bundle)
        except WorkshopError:
            status = 0
        if status == 202:
            with sending.lock:
                sending.accepted.add(order_id)
                sending.accepted_last = time.time()
            return
        if 400 <= status < 429 or tries == TRIES - 1:
            break
        # Clients that were refused together should not come back together.
        if sending.stop.wait(min(0.1 * 2**tries, 3.0) * random.uniform(0.5, 1.0)):
            break
        with sending.lock:
            sending.retries += 1
    with sending.lock:
        sending.refused[order_id] = status
