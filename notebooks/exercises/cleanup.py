"""Notebook 09: an order of deletion in which nothing points to what is gone."""

from collections import Counter
from typing import Any

from workshop.build.step import Workshop

from .trying import Row, Rows, unknown_names

#: What must go before what, and why.
BEFORE = {
    ("rest-api", "queue"): "the API would accept orders that no queue takes",
    ("event-source-mapping", "function"): "a trigger would outlive its function",
    ("event-source-mapping", "queue"): "a trigger would poll a queue that is gone",
    ("function", "table"): "the function would write into a table that is gone",
    ("function", "role"): "the function would run without its role",
    ("function", "topic"): "the function would publish to a topic that is gone",
    ("role", "policy"): "IAM deletes no policy that is attached to a role",
    ("function", "log-group"): "a last call would make the log group anew",
}
KINDS = sorted({kind for pair in BEFORE for kind in pair})


def try_order(order: list[str]) -> dict[tuple[str, str], str]:
    """Delete in this order, in thought. Returns what would point to something that is gone, and what follows."""
    gone: set[str] = set()
    dangling: dict[tuple[str, str], str] = {}
    for kind in order:
        gone.add(kind)
        dangling |= {pair: why for pair, why in BEFORE.items() if pair[1] == kind and pair[0] not in gone}
    return dangling


def check(ws: Workshop, answer: Any) -> Rows:
    """See whether every kind is there once, and what would be left pointing to nothing."""
    given = isinstance(answer, list | tuple) and bool(answer) and all(isinstance(kind, str) for kind in answer)
    yield Row("there is an order", given, "A list of kinds, with what goes first at its beginning.")
    if not given:
        return
    order = list(answer)
    unknown = unknown_names(order, KINDS)
    yield Row("it names these kinds and no others", not unknown, unknown)
    missing = [kind for kind in KINDS if kind not in order]
    yield Row("every kind is in it", not missing, f"Missing: {', '.join(missing)}.")
    twice = [kind for kind, times in Counter(order).items() if times > 1]
    yield Row("each is in it once", not twice, f"What is deleted is gone: {', '.join(twice)} cannot go twice.")
    dangling = try_order(order)
    for pair in BEFORE:
        if set(pair) <= set(order):
            yield Row(f"{pair[0]} before {pair[1]}", pair not in dangling, f"Else {BEFORE[pair]}.")
