"""The requests that checks send: some that the API must reject, and one valid order that is followed to its e-mail."""

import contextlib
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from workshop.base.errors import GaveUp
from workshop.base.http import post
from workshop.build.checks import Finding, equal, holds
from workshop.build.context import Workshop
from workshop.build.step import Step
from workshop.orders.api import PROBE, api_url, find_order
from workshop.orders.logs import RECENT, find_in_log
from workshop.orders.mail import listen_to_mail

JSON = "application/json"
GOOD = {
    "productId": "workshop-check",
    "productName": 'A check of the workshop, no order: &Action=x "=%\\n\u00e9\U0001f9fd',
    "quantity": 1,
}
#: Requests that the API must reject: {what: (body, content type, status)}
BAD = {
    "an order without a product": (b'{"quantity": 1}', JSON, 400),
    "a quantity of zero": (b'{"productId": "x", "quantity": 0}', JSON, 400),
    "a fractional quantity": (b'{"productId": "x", "quantity": 1.5}', JSON, 400),
    "a quantity in quotes": (b'{"productId": "x", "quantity": "2"}', JSON, 400),
    "an unknown field": (b'{"productId": "x", "quantity": 1, "price": 0}', JSON, 400),
    "a body that isn't an object": (b"null", JSON, 400),
    "a body that isn't JSON": (b"no JSON at all", JSON, 400),
    "a content type other than JSON": (json.dumps(GOOD).encode(), "text/plain", 415),
}
#: What API Gateway returns for a stage that is not available yet, or doesn't exist.
NOT_YET = {403, 404}
#: Seconds until a new stage is available, with a wide margin.
SPREAD_WITHIN = 30
#: Seconds until an order arrives. A batch that failed before a repair blocks its shard until Lambda has retried it.
ARRIVES_WITHIN = 60
#: Seconds to wait if an earlier check has failed, so that the order probably won't arrive.
HOPELESS_AFTER = 3


def check_orders(step: Step) -> None:
    """Declare the end-to-end checks: the API rejects invalid orders; a valid one is accepted, stored and published.

    Args:
        step: which step checks it.
    """
    for what, (body, content_type, status) in BAD.items():
        _check_rejection(step, what, body, content_type, status)
    step.check("a valid order is accepted", sends=True)(_accepted)
    step.check("the order is stored byte for byte", sends=True)(_stored)
    step.check("a notification is published for the order", sends=True)(_notified)


def _check_rejection(step: Step, what: str, body: bytes, content_type: str, status: int) -> None:
    @step.check(f"{what} is rejected", sends=True)
    def refused(ws: Workshop) -> Finding:
        return equal(_answer(ws, body, content_type)[0], status)


def _answer(ws: Workshop, body: bytes, content_type: str = JSON) -> tuple[int, dict[str, Any]]:
    """Return the API's answer. Wait once for a new stage, which may not be available everywhere yet."""
    # API Gateway's control plane allows ten requests a second, so look the URL up only once.
    if "url" not in ws.shared:
        ws.shared["url"] = api_url(ws)
    found: tuple[int, dict[str, Any]] = (0, {})

    def known() -> bool:
        nonlocal found
        found = post(ws.shared["url"], body, content_type, ws.client.ca_bundle)
        return found[0] not in NOT_YET

    seconds = 0 if ws.shared.get("answered") else SPREAD_WITHIN
    with contextlib.suppress(GaveUp):
        ws.waiter.until(known, "API Gateway is making the stage available", seconds)
    ws.shared["answered"] = True
    return found


def _accepted(ws: Workshop) -> Finding:
    listen_to_mail(ws)
    probe = f"{PROBE}{uuid.uuid4().hex[:12]}"
    status, answer = _answer(ws, json.dumps({"orderId": probe, **GOOD}).encode())
    if status == 202:
        ws.shared["probe"] = probe
    return holds(status == 202 and "messageId" in answer, [status, answer], "202 and a messageId")


def _stored(ws: Workshop) -> Finding:
    probe = ws.shared.get("probe", "")
    found = _wait_for(ws, lambda: find_order(ws, probe))
    return equal(found or "nothing", {"orderId": probe, **GOOD})


def _notified(ws: Workshop) -> Finding:
    probe = ws.shared.get("probe", "")

    def lines() -> list[dict[str, Any]]:
        return find_in_log(ws, "POC-Lambda-2", probe, time.time() - RECENT)

    # The function also logs failed publishes.
    if _wait_for(ws, lambda: any(line.get("event") == "notified" for line in lines())):
        return holds(True, "notified", "notified")
    last: dict[str, Any] = next(reversed(lines()), {}) if probe else {}
    word = f"{last['event']}: {last.get('reason')}" if last.get("event") else "nothing in POC-Lambda-2's log"
    return holds(False, word, "notified")


def _wait_for(ws: Workshop, look: Callable[[], object]) -> object:
    """Wait for the probe, if there is one; only briefly if an earlier check has failed."""
    if "probe" not in ws.shared:
        return None
    with contextlib.suppress(GaveUp):
        seconds = HOPELESS_AFTER if ws.shared.get("failed") else ARRIVES_WITHIN
        return ws.waiter.until(look, "the order of this check is on its way", seconds, quiet=True)
    return None
