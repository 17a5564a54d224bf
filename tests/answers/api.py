"""Answers to the exercise of `api`: a client that tries again."""

import uuid

from answers import value


def client(tries=5, fresh=True, again=lambda status: status == 429 or status >= 500):
    def place(order, send):
        order = {"orderId": str(uuid.uuid4()), **order} if fresh else order
        status = None
        for _ in range(tries):
            try:
                status = send(order)
            except ConnectionError:
                continue
            if not again(status):
                break
        return status

    return place


def waiting_client(order, send, left=5, name=None):
    import time

    mine = dict(order)
    mine.setdefault("orderId", name or uuid.uuid4().hex)
    try:
        status = send(mine)
    except OSError:
        status = None
    if left > 1 and (status is None or status == 429 or 500 <= status <= 599):
        time.sleep(2.0 ** (5 - left))
        return waiting_client(mine, send, left - 1)
    return status


def once(order, send):
    return send({"orderId": str(uuid.uuid4()), **order})


def endless(order, send):
    order = {"orderId": str(uuid.uuid4()), **order}
    while True:
        try:
            status = send(order)
        except:  # noqa: E722
            continue
        if status != 429 and status < 500:
            return status


def new_id_each_time(order, send):
    status = None
    for _ in range(5):
        try:
            status = send({**order, "orderId": str(uuid.uuid4())})
        except ConnectionError:
            continue
        if status != 429 and status < 500:
            break
    return status


def writes_into_the_order(order, send):
    order.setdefault("orderId", str(uuid.uuid4()))
    return client(fresh=False)(order, send)


def one_id_for_all(order, send):
    return client(fresh=False)({"orderId": "my-order", **order}, send)


def bad_id(order, send):
    return client(fresh=False)({"orderId": f"order #{uuid.uuid4()}", **order}, send)


def loses_fields(order, send):
    return client()({"productId": order["productId"], "quantity": 1} | {"orderId": str(uuid.uuid4())}, send)


def forgets_the_status(order, send):
    client()(order, send)


blank = value(lambda order, send: None)
RIGHT = [value(client()), value(waiting_client)]
WRONG = {
    "once": (value(once), "catch it, and send again"),
    "without end": (value(endless), "Count your tries"),
    "twice": (value(client(tries=2)), "send it again. Tries: 2."),
    "six times": (value(client(tries=6)), "Count your tries"),
    "no id": (value(client(fresh=False)), "Give it one orderId before the first try"),
    "a new id for each try": (value(new_id_each_time), "Give it one orderId before the first try"),
    "one id for all": (value(one_id_for_all), "Each call needs a new one"),
    "the caller's order": (value(writes_into_the_order), "must leave its order as it was"),
    "an id that the API refuses": (value(bad_id), "an orderId of letters, digits and hyphens"),
    "the caller's id": (value(loses_fields), "an id that the order brings along stays"),
    "a 400 again": (value(client(again=lambda status: status != 202)), "return 400. Tries: 5."),
    "no 429": (value(client(again=lambda status: status >= 500)), "429 asks for patience"),
    "no status": (value(forgets_the_status), "202 says that the order has arrived: return it"),
}
