"""Answers to the exercise of `cleanup`: an order of deletion."""

from answers import value

ORDER = ["rest-api", "event-source-mapping", "function", "topic", "queue", "table", "role", "policy", "log-group"]
OTHER = ["event-source-mapping", "rest-api", "function", "log-group", "role", "policy", "table", "queue", "topic"]


def order_of(change):
    def build(ws):
        order = list(ORDER)
        change(order)
        return order

    return build


def swapped(one, other):
    def change(order):
        i, j = order.index(one), order.index(other)
        order[i], order[j] = order[j], order[i]

    return order_of(change)


blank = value(["policy", "role", "function"])
RIGHT = [order_of(lambda order: None), value(OTHER)]
WRONG = {
    "queue first": (swapped("queue", "rest-api"), "the API would accept orders that no queue takes"),
    "function before trigger": (
        swapped("function", "event-source-mapping"),
        "a trigger would outlive its function",
    ),
    "policy before role": (swapped("policy", "role"), "IAM deletes no policy that is attached to a role"),
    "table before function": (swapped("table", "function"), "the function would write into a table that is gone"),
    "log first": (swapped("log-group", "rest-api"), "a last call would make the log group anew"),
    "one forgotten": (order_of(lambda order: order.remove("topic")), "Missing: topic."),
    "one twice": (order_of(lambda order: order.append("queue")), "queue cannot go twice"),
    "a misspelt kind": (order_of(lambda order: order.append("functions")), "do you mean 'function'?"),
    "text": (value("rest-api, queue"), "A list of kinds"),
}
