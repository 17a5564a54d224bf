"""Answers to the exercise of `overview`: the numbers of a spike."""

from answers import value

QUEUE = {"longest_queue": 4000, "empty_after": 60, "longest_wait": 40}


def queue(**more):
    return lambda ws: QUEUE | more


blank = value(dict.fromkeys(QUEUE))
RIGHT = [queue(), value({name: float(number) for name, number in QUEUE.items()})]
WRONG = {
    "all orders": (queue(longest_queue=6000), "the queue grows by the difference"),
    "one second": (queue(longest_queue=200), "the queue grows by the difference"),
    "the spike only": (queue(empty_after=20), "6,000 orders came in all"),
    "from the end of the spike": (queue(empty_after=40), "6,000 orders came in all"),
    "as long as it all takes": (queue(longest_wait=60), "The last order comes at second 20"),
    "text": (queue(longest_wait="40"), "'40' is not a number: write it without quotes"),
    "half an answer": (queue(longest_wait=None), "The last order comes at second 20"),
}
