"""Notebook 00: how long the queue gets, and how long an order waits."""

from typing import Any

from workshop.build.step import Workshop

from .trying import Row, Rows

#: So many orders arrive each second, for so many seconds; so many are stored each second.
ARRIVING, SECONDS, STORED = 300, 20, 100


def simulate_queue() -> dict[str, int]:
    """Run the queue second by second, until it is empty again."""
    queue, seconds, longest = 0, 0, 0
    arrived: list[int] = []
    waits: list[int] = []
    while seconds < SECONDS or queue:
        came = ARRIVING if seconds < SECONDS else 0
        arrived += [seconds + 1] * came
        queue += came
        seconds += 1
        done = min(queue, STORED)
        waits += [seconds - arrived[len(waits) + n] for n in range(done)]
        queue -= done
        longest = max(longest, queue)
    return {"longest_queue": longest, "empty_after": seconds, "longest_wait": max(waits)}


def check(ws: Workshop, answer: Any) -> Rows:
    """Compare three numbers with a simulation of the queue."""
    should = simulate_queue()
    given = isinstance(answer, dict) and any(answer.get(name) is not None for name in should)
    yield Row("there is an answer", given, "Put numbers in the place of None.")
    if not given:
        return
    everything = ARRIVING * SECONDS
    asked = {
        "longest_queue": (
            "how long the queue gets",
            f"Each second {ARRIVING} come and {STORED} go: the queue grows by the difference, for {SECONDS} seconds.",
        ),
        "empty_after": (
            "when the queue is empty again",
            f"{everything:,} orders came in all. How long does it take to store them, at {STORED} a second?",
        ),
        "longest_wait": (
            "how long an order waits at most",
            f"The last order comes at second {SECONDS}, and is the last to be stored. When is that?",
        ),
    }
    for name, (what, hint) in asked.items():
        value = answer.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not number:
            hint = f"{value!r} is not a number: write it without quotes."
        yield Row(what, number and value == should[name], hint)
