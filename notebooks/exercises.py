"""What the exercises of the notebooks ask for, one checker for each notebook.

A checker gets the context and the answer, and yields rows: what is asked for, whether it holds, and a hint for who
is not there yet. It stops where nothing more can be told. An answer that breaks it is reported by who calls it.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from workshop.evaluator import as_list
from workshop.step import Workshop

Rows = Iterator[tuple[str, bool, str]]


def overview(ws: Workshop, answer: Any) -> Rows:
    """300 orders a second for 20 seconds, against 100 a second."""
    orders, served, seconds = 300, 100, 20
    given = isinstance(answer, dict)
    most = (orders - served) * seconds
    empty = orders * seconds / served
    yield "there is an answer", given and None not in answer.values(), "Put numbers in the place of None."
    yield (
        "how long the queue gets",
        given and answer.get("longest_queue") == most,
        f"Each second {orders} come and {served} go: the queue grows by the difference, for {seconds} seconds.",
    )
    yield (
        "when the queue is empty again",
        given and answer.get("empty_after") == empty,
        f"All in all {orders * seconds:,} orders came. How long do they take at {served} a second?",
    )
    yield (
        "how long an order waits at most",
        given and answer.get("longest_wait") == empty - seconds,
        "The last order of the spike finds the longest queue before it.",
    )


def iam(ws: Workshop, answer: Any) -> Rows:
    """A policy that reads single orders, and no more."""
    given = isinstance(answer, dict) and bool(answer.get("Statement"))
    yield "it is a policy document", given, 'It needs "Version": "2012-10-17" and a list called "Statement".'
    if not given:
        return
    yield "it names its version", answer.get("Version") == "2012-10-17", '"Version": "2012-10-17", always this date.'
    actions = [action for one in as_list(answer["Statement"]) for action in as_list(one.get("Action", []))]
    starred = [action for action in actions if "*" in action]
    yield "every action is named", not starred, f"{starred} grants more than reading one order."
    table, other = (
        ws.arn("dynamodb", f"table/{name}") for name in (ws.name("ecommerce-orders"), "somebody-elses-table")
    )
    wanted = [("dynamodb:GetItem", table, True), ("dynamodb:GetItem", other, False)]
    wanted += [(f"dynamodb:{action}", table, False) for action in ("PutItem", "DeleteItem", "Scan")]
    for action, arn, should in wanted:
        # IAM itself is asked: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
        results = ws.client("iam").simulate_custom_policy(
            PolicyInputList=[json.dumps(answer)], ActionNames=[action], ResourceArns=[arn]
        )["EvaluationResults"]
        allowed = results[0]["EvalDecision"] == "allowed"
        hint = f"Allow the action {action} on the resource {arn}." if should else f"It may not be allowed on {arn}."
        yield f"{action} {'is allowed' if should else 'is denied'} on {arn.split('/')[-1]}", allowed == should, hint


def dynamodb(ws: Workshop, answer: Any) -> Rows:
    """The parameters of a put that never overwrites."""
    given = isinstance(answer, dict) and isinstance(answer.get("Item"), dict)
    yield "there is an item to put", given, 'put_item wants an "Item": {field: {type: value}}.'
    if not given:
        return
    item = answer["Item"]
    yield "it goes into the orders table", answer.get("TableName") == ws.name("ecommerce-orders"), 'Add "TableName".'
    yield (
        "its key is exercise-2",
        item.get("orderId") == {"S": "exercise-2"},
        'The key is "orderId": {"S": "exercise-2"}.',
    )
    yield "its quantity is the number 3", item.get("quantity") == {"N": "3"}, 'A number is written {"N": "3"}.'
    if item.get("orderId") != {"S": "exercise-2"} or answer.get("TableName") != ws.name("ecommerce-orders"):
        return
    client = ws.client("dynamodb")
    key = {"TableName": answer["TableName"], "Key": {"orderId": item["orderId"]}}
    client.delete_item(**key)
    outcome = []
    try:
        for _ in range(2):
            try:
                client.put_item(**answer)
                outcome.append("stored")
            except client.exceptions.ConditionalCheckFailedException:
                outcome.append("refused")
    finally:
        client.delete_item(**key)
    yield "the first put is stored", outcome[0] == "stored", "The condition must hold while there is no such order."
    yield (
        "the same put again is refused",
        outcome[1] == "refused",
        'Without a "ConditionExpression" a put overwrites. The function is called attribute_not_exists.',
    )


def sqs(ws: Workshop, answer: Any) -> Rows:
    """The attributes of a queue whose reader takes two minutes."""
    given = isinstance(answer, dict) and bool(answer)
    yield "there are attributes", given, "A dictionary, such as the one that the step builds."
    if not given:
        return
    texts = all(isinstance(value, str) for value in answer.values())
    yield "every value is a text", texts, "SQS takes texts, numbers among them: '720'."
    hidden = int(answer.get("VisibilityTimeout", 30))
    yield (
        "a message stays hidden long enough",
        hidden >= 720,
        f"It would come back after {hidden} seconds. AWS advises six times the function's 120 seconds.",
    )
    kept = int(answer.get("MessageRetentionPeriod", 345600))
    yield "a message is kept for a week", kept == 604800, "Seven days, in seconds."
    redrive = json.loads(answer.get("RedrivePolicy") or "{}")
    dead = ws.arn("sqs", ws.name("ecommerce-orders-dlq"))
    yield (
        "what fails goes to the dead-letter queue",
        redrive.get("deadLetterTargetArn") == dead,
        f'"RedrivePolicy" is JSON as a text, with "deadLetterTargetArn": {dead}',
    )
    yield "but not before its fifth time", int(redrive.get("maxReceiveCount", 0)) >= 5, 'That is "maxReceiveCount".'


def lambda_1(ws: Workshop, answer: Any) -> Rows:
    """A handler that names what failed, and nothing else."""
    yield "handler is a function", callable(answer), "Write def handler(event, context)."
    if not callable(answer):
        return

    def call(*bodies: str) -> Any:
        return answer({"Records": [{"messageId": f"m{n}", "body": body} for n, body in enumerate(bodies, 1)]}, None)

    def failures(*names: str) -> dict:
        return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}

    good, bad = '{"quantity": 2}', '{"quantity": "two"}'
    found = call(good, good)
    yield "a good batch has no failures", found == failures(), f"For two good messages it returned {found!r}."
    found = call(good, bad, good)
    yield "of three, the bad one is named", found == failures("m2"), f"With the second one bad it returned {found!r}."
    found = call(bad, good, "not JSON")
    yield "it goes on after a bad one", found == failures("m1", "m3"), f"With 1 and 3 bad it returned {found!r}."


def streams(ws: Workshop, answer: Any) -> Rows:
    """The new orders among the records of a stream, as plain values."""
    yield "new_orders is a function", callable(answer), "Write def new_orders(records)."
    if not callable(answer):
        return

    def record(name: str, number: int) -> dict:
        image = {"orderId": {"S": f"o-{number}"}, "quantity": {"N": str(number)}}
        change = {"Keys": {"orderId": image["orderId"]}}
        return {"eventName": name, "dynamodb": change if name == "REMOVE" else change | {"NewImage": image}}

    found = answer([])
    yield "no records, no orders", found == [], f"For an empty list it returned {found!r}."
    found = answer([record("MODIFY", 1), record("REMOVE", 2)])
    yield "changes and deletions are no new orders", found == [], f"It returned {found!r}: look at eventName."
    found = answer([record("INSERT", 1), record("MODIFY", 2), record("INSERT", 3)])
    ids = [one.get("orderId") for one in found or [] if isinstance(one, dict)]
    yield "both new orders are there, in order", ids == ["o-1", "o-3"], f"It returned {found!r}."
    quantities = [one.get("quantity") for one in found or [] if isinstance(one, dict)]
    yield "the quantities are numbers", quantities == [1, 3], 'The value is {"N": "3"}, a text: make an int of it.'


def sns(ws: Workshop, answer: Any) -> Rows:
    """A statement that lets CloudWatch publish for our account, and for no other."""
    given = isinstance(answer, dict) and bool(answer)
    yield "there is a statement", given, "A dictionary with Effect, Principal, Action, Resource and Condition."
    if not given:
        return
    yield "it allows", answer.get("Effect") == "Allow", '"Effect" is Allow or Deny.'
    service = answer.get("Principal")
    right = service == {"Service": "cloudwatch.amazonaws.com"}
    yield "CloudWatch is the principal, and nobody else", right, 'Write {"Service": "cloudwatch.amazonaws.com"}.'
    yield "it may publish", as_list(answer.get("Action", [])) == ["sns:Publish"], 'One action: "sns:Publish".'
    arn = ws.arn("sns", ws.name("ecommerce-orders-topic"))
    yield "to our topic", as_list(answer.get("Resource", [])) == [arn], f"The resource is {arn}."
    accounts = [
        value
        for keys in (answer.get("Condition") or {}).values()
        for key, value in keys.items()
        if key.lower() == "aws:sourceaccount"
    ]
    yield (
        "and only for our account",
        accounts in ([ws.account], [[ws.account]]),
        f'Else anybody\'s alarms could publish here: {{"StringEquals": {{"aws:SourceAccount": "{ws.account}"}}}}.',
    )


def lambda_2(ws: Workshop, answer: Any) -> Rows:
    """The settings of a trigger for a table with sixteen shards."""
    given = isinstance(answer, dict) and bool(answer)
    yield "there are settings", given, "A dictionary, such as the one that the step builds."
    if not given:
        return
    shards, rate = 16, 2000
    batch, window = int(answer.get("BatchSize", 100)), float(answer.get("MaximumBatchingWindowInSeconds", 0))
    # A batch closes when it is full or when its window ends, in each shard by itself.
    mails = shards * max(rate / shards / batch, 1 / window if window else 4)
    yield (
        "at most ten e-mails a second",
        mails <= 10,
        f"It would be {mails:.1f}: {shards} shards, each closing a batch when it is full or when its window ends.",
    )
    yield "AWS takes it", 1 <= batch <= 10_000 and window <= 300, "At most 10,000 records and 300 seconds."
    age = int(answer.get("MaximumRecordAgeInSeconds", -1))
    yield (
        "an order is told of within ten minutes, or reported",
        60 <= age <= 600,
        "MaximumRecordAgeInSeconds, 60 to 600.",
    )
    tries = int(answer.get("MaximumRetryAttempts", -1))
    yield "it tries again, but not for ever", 1 <= tries <= 100, "MaximumRetryAttempts; -1 means for ever."
    halved = answer.get("BisectBatchOnFunctionError") is True
    yield "one bad record does not take its batch along", halved, "BisectBatchOnFunctionError halves a failing batch."


def api(ws: Workshop, answer: Any) -> Rows:
    """A client that loses no order and places none twice, over a bad line."""
    yield "place is a function", callable(answer), "Write def place(order, send)."
    if not callable(answer):
        return
    accepted: list[dict] = []

    def line(*weather: Any) -> Callable[[dict], int]:
        """A way to the API: each item is a status, `lost` (it arrived, the answer did not) or `down`."""
        left = list(weather)

        def send(order: dict) -> int:
            now = left.pop(0) if left else 202
            if now in (202, "lost"):
                accepted.append(dict(order))
            if now in ("lost", "down"):
                raise ConnectionError("the line broke")
            return int(now)

        return send

    def ids() -> set:
        return {one.get("orderId", f"message {number}") for number, one in enumerate(accepted)}

    def attempt(*weather: Any) -> bool:
        """Whether it came back, with its order at the API at last."""
        accepted.clear()
        try:
            answer({"productId": "soap", "quantity": 1}, line(*weather))
        except ConnectionError:
            return False
        return bool(accepted)

    good = attempt()
    yield "on a good line the order arrives", good and len(accepted) == 1, "Call send(order) once; it returns 202."
    good = attempt("down", "down")
    yield "it tries again when the line breaks", good, "send raises ConnectionError: catch it, and send again."
    good = attempt(429, 503)
    yield "it tries again after 429 and 503", good, "The API asks for patience; nothing was accepted yet."
    good = attempt("lost", "lost")
    yield (
        "a lost answer does not make a second order",
        good and len(ids()) == 1,
        "The order had arrived. Give it an orderId of your own, once, before the first attempt.",
    )
    first = ids()
    attempt()
    yield "two orders are two orders", good and first.isdisjoint(ids()), "Each call needs a new id: uuid.uuid4()."
    accepted.clear()
    answer({"productId": "soap"}, line(400, 202))
    yield "what is no order is not sent again", not accepted, "A 400 stays a 400: return it at once."


def cleanup(ws: Workshop, answer: Any) -> Rows:
    """An order of deletion in which nothing points to what is gone."""
    before = {
        ("rest-api", "queue"): "the API would accept orders that no queue takes",
        ("event-source-mapping", "function"): "a trigger would outlive its function",
        ("event-source-mapping", "queue"): "a trigger would poll a queue that is gone",
        ("function", "table"): "the function would write into a table that is gone",
        ("function", "role"): "the function would run without its role",
        ("function", "topic"): "the function would publish to a topic that is gone",
        ("role", "policy"): "IAM deletes no policy that is attached to a role",
        ("function", "log-group"): "a last call would make the log group anew",
    }
    kinds = sorted({kind for pair in before for kind in pair})
    given = isinstance(answer, list) and bool(answer)
    yield "there is an order", given, "A list of kinds, what goes first at its beginning."
    if not given:
        return
    missing = [kind for kind in kinds if kind not in answer]
    yield "every kind is in it", not missing, f"Missing: {', '.join(missing)}."
    for (first, second), reason in before.items():
        if {first, second} <= set(answer):
            yield f"{first} before {second}", answer.index(first) < answer.index(second), f"Else {reason}."


#: `{number of the notebook: its checker}`.
CHECKERS = dict(enumerate((overview, iam, dynamodb, sqs, lambda_1, streams, sns, lambda_2, api, cleanup)))
