"""The checkers of the notebooks' exercises: blank answers, wrong ones with the hint that helps, and right ones.

Each case is a function of the context that gives an answer, and a part of the hint that the learner must get.
"""

import json
import uuid

import pytest
from boto3.dynamodb.types import TypeDeserializer
from support import listings, messages, rows, snapshot

from workshop.opening import load
from workshop.step import Workshop

CHECKERS = load("notebooks/exercises").CHECKERS
SOAP = {"productId": "soap", "quantity": 1}


def changed(base, **more):
    """A right answer with something changed; None takes an entry out."""
    return lambda ws: {key: value for key, value in (base(ws) | more).items() if value is not None}


# 00: the queue

QUEUE = {"longest_queue": 4000, "empty_after": 60, "longest_wait": 40}


def queue(**more):
    return lambda ws: QUEUE | more


# 01: a policy


def table(ws):
    return ws.arn("dynamodb", f"table/{ws.name('ecommerce-orders')}")


def policy(action="dynamodb:GetItem", resource=table, **more):
    def build(ws):
        on = resource(ws) if callable(resource) else resource
        statement = {"Effect": "Allow", "Action": action, "Resource": on} | more
        statement = {key: value for key, value in statement.items() if value is not None}
        return {"Version": "2012-10-17", "Statement": [statement]}

    return build


def with_denial(ws):
    denial = {"Effect": "Deny", "Action": "dynamodb:DeleteItem", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [*policy()(ws)["Statement"], denial]}


def also(action, on="*"):
    def build(ws):
        more = {"Effect": "Allow", "Action": action, "Resource": on}
        return {"Version": "2012-10-17", "Statement": [*policy()(ws)["Statement"], more]}

    return build


# 02: a put

ITEM = {"orderId": {"S": "exercise-2"}, "productId": {"S": "soap"}, "quantity": {"N": "3"}}


def put(condition="attribute_not_exists(orderId)", item=None, **more):
    def build(ws):
        fields = {key: value for key, value in (ITEM | (item or {})).items() if value}
        answer = {"TableName": ws.name("ecommerce-orders"), "Item": fields, "ConditionExpression": condition}
        return {key: value for key, value in (answer | more).items() if value is not None}

    return build


# 03: a queue's attributes


def attributes(target="invoices-dlq", count=5, **more):
    def build(ws):
        redrive = {"deadLetterTargetArn": ws.arn("sqs", ws.name(target)), "maxReceiveCount": count}
        answer = {
            "VisibilityTimeout": "720",
            "MessageRetentionPeriod": "604800",
            "RedrivePolicy": json.dumps(redrive),
        }
        return {key: value for key, value in (answer | more).items() if value is not None}

    return build


# 04: a handler


def is_good(body):
    try:
        return isinstance(json.loads(body)["quantity"], int)
    except (ValueError, KeyError, TypeError):
        return False


def named(ids):
    return {"batchItemFailures": [{"itemIdentifier": name} for name in ids]}


def right_handler(event, context):
    return named([one["messageId"] for one in event["Records"] if not is_good(one["body"])])


def other_right_handler(event, context):
    # For a good batch, Lambda takes nothing at all as well.
    failures = []
    for record in reversed(event["Records"]):
        try:
            order = json.loads(record["body"])
        except json.JSONDecodeError:
            order = None
        if not isinstance(order, dict) or type(order.get("quantity")) is not int:
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures} if failures else None


def crashes_without_quantity(event, context):
    bad = []
    for record in event["Records"]:
        try:
            order = json.loads(record["body"])
        except ValueError:
            bad.append(record["messageId"])
            continue
        if not isinstance(order, dict) or not isinstance(order["quantity"], int):
            bad.append(record["messageId"])
    return named(bad)


def stops_at_the_first(event, context):
    for record in event["Records"]:
        if not is_good(record["body"]):
            return named([record["messageId"]])
    return named([])


def names_the_good(event, context):
    return named([one["messageId"] for one in event["Records"] if is_good(one["body"])])


def only_json(event, context):
    bad = []
    for record in event["Records"]:
        try:
            json.loads(record["body"])
        except ValueError:
            bad.append(record["messageId"])
    return named(bad)


def bare_list(event, context):
    return [one["messageId"] for one in event["Records"] if not is_good(one["body"])]


def plain_ids(event, context):
    return {"batchItemFailures": bare_list(event, context)}


def trusts_truth(event, context):
    bad = []
    for record in event["Records"]:
        try:
            if not json.loads(record["body"])["quantity"]:
                bad.append(record["messageId"])
        except (ValueError, KeyError, TypeError):
            bad.append(record["messageId"])
    return named(bad)


def remembering_handler():
    bad = []

    def handler(event, context):
        bad.extend(one["messageId"] for one in event["Records"] if not is_good(one["body"]))
        return named(bad)

    return handler


# 05: the records of a stream


def new_orders(records):
    found = []
    for record in records:
        if record["eventName"] == "INSERT":
            image = record["dynamodb"]["NewImage"]
            found.append({"orderId": image["orderId"]["S"], "quantity": int(image["quantity"]["N"])})
    return found


def deserialized(records):
    read = TypeDeserializer().deserialize
    for record in records:
        if record["eventName"] == "INSERT":
            yield {key: read(value) for key, value in record["dynamodb"]["NewImage"].items()}


def no_filter(records):
    return [{"orderId": r["dynamodb"]["Keys"]["orderId"]["S"], "quantity": 1} for r in records]


def with_changes(records):
    images = [record["dynamodb"]["NewImage"] for record in records if record["eventName"] != "REMOVE"]
    return [{"orderId": image["orderId"]["S"], "quantity": int(image["quantity"]["N"])} for image in images]


def every_image(records):
    return [record["dynamodb"]["NewImage"] for record in records]


def typed(records):
    return [record["dynamodb"]["NewImage"] for record in records if record["eventName"] == "INSERT"]


def ids_only(records):
    return [one["orderId"] for one in new_orders(records)]


def text_quantity(records):
    return [one | {"quantity": str(one["quantity"])} for one in new_orders(records)]


def backwards(records):
    return new_orders(records)[::-1]


def remembering_orders():
    found = []

    def collect(records):
        found.extend(new_orders(records))
        return found

    return collect


# 06: a statement


def alarms(ws):
    return ws.arn("sns", ws.name("alarms"))


def alarm(ws, account=None):
    return f"arn:aws:cloudwatch:{ws.region}:{account or ws.account}:alarm:{ws.name('dead-letters')}"


def statement(ws):
    return {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": alarms(ws),
        "Condition": {"StringEquals": {"aws:SourceAccount": ws.account}},
    }


def on_condition(operator, key="aws:SourceAccount", value=lambda ws: ws.account):
    return lambda ws: statement(ws) | {"Condition": {operator: {key: value(ws)}}}


# 07: a trigger's settings


def failures(ws, base="ecommerce-orders-stream-dlq"):
    return {"OnFailure": {"Destination": ws.arn("sqs", ws.name(base))}}


def settings(ws):
    return {
        "BatchSize": 1000,
        "MaximumBatchingWindowInSeconds": 2,
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": 10,
        "MaximumRecordAgeInSeconds": 600,
        "DestinationConfig": failures(ws),
    }


def in_other_words(ws):
    # Retries without end, which the age ends; and a longer window.
    more = {"MaximumBatchingWindowInSeconds": 5, "MaximumRecordAgeInSeconds": 300, "ParallelizationFactor": 2}
    return {key: value for key, value in settings(ws).items() if key != "MaximumRetryAttempts"} | more


# 08: a client


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


# 09: an order of deletion

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


def value(answer):
    return lambda ws: answer


BLANK = {
    0: value(dict.fromkeys(QUEUE)),
    1: value({"Version": "2012-10-17", "Statement": []}),
    2: lambda ws: {"TableName": ws.name("ecommerce-orders"), "Item": {}},
    3: value({}),
    4: value(lambda event, context: None),
    5: value(lambda records: None),
    6: value({}),
    7: value({"BatchSize": 100, "MaximumBatchingWindowInSeconds": 1}),
    8: value(lambda order, send: None),
    9: value(["policy", "role", "function"]),
}
RIGHT = {
    0: [queue(), value({name: float(number) for name, number in QUEUE.items()})],
    1: [
        policy(),
        policy(action=["dynamodb:getitem"], resource=lambda ws: [table(ws)], Sid="LookUp"),
        with_denial,
        policy(Condition={"Bool": {"aws:SecureTransport": "true"}}),
    ],
    2: [
        put(),
        put("attribute_not_exists(#id)", ExpressionAttributeNames={"#id": "orderId"}, ReturnValues="NONE"),
        put("NOT attribute_exists(orderId) AND attribute_not_exists(productId)"),
    ],
    3: [attributes(), attributes(count="5", SqsManagedSseEnabled="true", ReceiveMessageWaitTimeSeconds="20")],
    4: [value(right_handler), value(other_right_handler)],
    5: [value(new_orders), value(deserialized)],
    6: [
        statement,
        on_condition("ArnLike", "aws:SourceArn", alarm),
        on_condition("ArnLike", "AWS:SourceArn", lambda ws: f"arn:aws:cloudwatch:*:{ws.account}:alarm:*"),
        lambda ws: statement(ws) | {"Sid": "Alarm", "Action": ["SNS:Publish"], "Resource": [alarms(ws)]},
    ],
    7: [settings, in_other_words],
    8: [value(client()), value(waiting_client)],
    9: [order_of(lambda order: None), value(OTHER)],
}
WRONG = {
    0: {
        "all orders": (queue(longest_queue=6000), "the queue grows by the difference"),
        "one second": (queue(longest_queue=200), "the queue grows by the difference"),
        "the spike only": (queue(empty_after=20), "6,000 orders came in all"),
        "from the end of the spike": (queue(empty_after=40), "6,000 orders came in all"),
        "as long as it all takes": (queue(longest_wait=60), "The last order comes at second 20"),
        "text": (queue(longest_wait="40"), "'40' is not a number: write it without quotes"),
        "half an answer": (queue(longest_wait=None), "The last order comes at second 20"),
    },
    1: {
        "another action": (policy("dynamodb:Query"), "IAM denies dynamodb:GetItem"),
        "an action too many": (policy(["dynamodb:GetItem", "dynamodb:DeleteTable"]), "dynamodb:DeleteTable. Name one"),
        "every action": (policy("dynamodb:*"), "It also allows dynamodb:BatchExecuteStatement"),
        "all that read": (policy("dynamodb:Get*"), "It also allows dynamodb:GetResourcePolicy"),
        "PartiQL": (policy(["dynamodb:GetItem", "dynamodb:PartiQLSelect"]), "dynamodb:PartiQLSelect. Name one action"),
        "every table": (policy(resource="*"), "on table/somebody-elses-table"),
        "tables that begin so": (policy(resource=lambda ws: f"{table(ws)}*"), "ecommerce-orders-archive"),
        "any region": (
            policy(resource=lambda ws: table(ws).replace(ws.region, "*")),
            "Name one resource, the whole ARN",
        ),
        "users": (also("iam:CreateUser"), "It also allows iam:CreateUser on *"),
        "some action elsewhere": (also("ec2:RunInstances"), "It also allows ec2:RunInstances on *"),
        "a family of actions elsewhere": (also("sns:Set*"), "It also allows sns:SetEndpointAttributes on *"),
        "everything but": (policy(action=None, NotAction="dynamodb:PutItem"), "It also allows"),
        "everywhere but": (
            policy(resource=None, NotResource="arn:aws:dynamodb:us-east-1:111122223333:table/x"),
            "Name one resource",
        ),
        "two tables": (
            policy(resource=lambda ws: [table(ws), ws.arn("dynamodb", "table/customers")]),
            "dynamodb:GetItem on table/customers",
        ),
        "a queue too": (also("sqs:PurgeQueue", "arn:aws:sqs:us-east-1:000000000000:q*"), "sqs:PurgeQueue on qx"),
        "a name for an ARN": (
            policy(resource=lambda ws: ws.name("ecommerce-orders")),
            "IAM denies dynamodb:GetItem on arn:",
        ),
        "a deny": (policy(Effect="Deny"), "IAM denies dynamodb:GetItem"),
        "small letters": (policy(Effect="allow"), "AWS refuses it"),
        "a misspelt element": (policy(action=None, Actions="dynamodb:GetItem"), "AWS refuses it"),
        "a condition that never holds": (
            policy(Condition={"Bool": {"aws:SecureTransport": "false"}}),
            "does any condition hold",
        ),
        "no version": (lambda ws: {"Statement": policy()(ws)["Statement"]}, "reads it by older rules"),
    },
    2: {
        "no condition": (put(None), "The function that you need is attribute_not_exists"),
        "the wrong way round": (put("attribute_exists(orderId)"), "The condition must hold while there is none"),
        "on the quantity": (
            put("quantity <> :q", ExpressionAttributeValues={":q": {"N": "3"}}),
            "Let the condition ask for the key",
        ),
        "on another field": (put("attribute_not_exists(productId)"), "Let the condition ask for the key"),
        "on a field that no order has": (put("attribute_not_exists(id)"), "attribute_not_exists"),
        "no product": (put(item={"productId": None}), 'Add "productId": {"S": "soap"}'),
        "a quantity that is text": (put(item={"quantity": {"S": "3"}}), 'A number is written {"N": "3"}'),
        "a number as it is": (put(item={"quantity": {"N": 3}}), "boto3 refuses it"),
        "another table": (put(TableName="orders"), '"TableName" is'),
        "another id": (put(item={"orderId": {"S": "2"}}), 'The key is "orderId"'),
        "not DynamoDB's language": (put("orderId IS NULL"), "AWS refuses it"),
        "a parameter that there is not": (put(Condition="x"), "boto3 refuses it: Unknown parameter"),
    },
    3: {
        "six times one minute": (attributes(VisibilityTimeout="360"), "SQS hides a message for 360 seconds"),
        "no time": (attributes(VisibilityTimeout=None), "SQS hides a message for 30 seconds"),
        "a number as it is": (attributes(VisibilityTimeout=720), "boto3 refuses it"),
        "four days": (attributes(MessageRetentionPeriod=None), "How many are seven days?"),
        "days for seconds": (attributes(MessageRetentionPeriod="7"), "AWS refuses it"),
        "a thousand times": (attributes(count=1000), "nobody deleted more than five times"),
        "four times": (attributes(count=4), 'nobody deleted 4 times. That is "maxReceiveCount"'),
        "the orders' dead letters": (attributes("ecommerce-orders-dlq"), "byQueue"),
        "no dead letters": (attributes(RedrivePolicy=None), '"RedrivePolicy" is JSON as text'),
        "a dictionary for text": (attributes(RedrivePolicy={"maxReceiveCount": 5}), "boto3 refuses it"),
        "a misspelt attribute": (attributes(VisibilityTimeOut="720"), "do you mean 'VisibilityTimeout'?"),
    },
    4: {
        "crashes without quantity": (value(crashes_without_quantity), "KeyError('quantity')"),
        "stops at the first": (value(stops_at_the_first), "SQS would delete that message as done"),
        "names the good ones": (value(names_the_good), "should name nothing. What is good would be done again"),
        "looks for JSON only": (value(only_json), 'productId": "soap"}: it did not name number 2'),
        "a list for an answer": (value(bare_list), "Lambda could not read the answer"),
        "ids without their key": (value(plain_ids), "Lambda could not read the answer"),
        "anything that is true": (value(trusts_truth), "it did not name number 2"),
        "raises": (value(lambda event, context: 1 / 0), "An error sends the whole batch back"),
        "remembers": (lambda ws: remembering_handler(), "Lambda could not read the answer"),
        "text": (value("handler"), "Write def handler(event, context)"),
    },
    5: {
        "no filter": (value(no_filter), "look at eventName"),
        "changes too": (value(with_changes), "look at eventName"),
        "every image": (value(every_image), "KeyError('NewImage')"),
        "values with their types": (value(typed), 'a value is inside {"S": "o-1"}'),
        "ids only": (value(ids_only), 'It should return a dictionary with "orderId"'),
        "text for a number": (value(text_quantity), "make an int of it"),
        "backwards": (value(backwards), "for each of"),
        "remembers": (lambda ws: remembering_orders(), "Make the list inside of the function"),
        "crashes on nothing": (value(lambda records: new_orders([records[0], *records[1:]])), "IndexError"),
    },
    6: {
        "anybody's alarm": (changed(statement, Condition=None), "It gets in. The condition is"),
        "ours and a friend's": (
            on_condition("StringEquals", value=lambda ws: [ws.account, "444455556666"]),
            "It gets in. The condition is",
        ),
        "a second service": (
            changed(statement, Principal={"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]}),
            'It gets in. Write "Principal"',
        ),
        "not our account": (on_condition("StringNotEquals"), "Does the condition hold for us?"),
        "another account": (
            on_condition("StringEquals", value=lambda ws: "111122223333"),
            "Does the condition hold for us?",
        ),
        "no such operator": (on_condition("Banana"), "IAM cannot read the condition {'Banana':"),
        "if it exists": (on_condition("StringEqualsIfExists"), "also holds where the key is missing"),
        "but for one": (
            on_condition("StringNotEquals", value=lambda ws: "111122223333"),
            "also holds where the key is missing",
        ),
        "any alarm's ARN": (on_condition("ArnLike", "aws:SourceArn", lambda ws: "*"), "Try the operator StringEquals"),
        "everybody": (changed(statement, Principal="*"), 'It gets in. Write "Principal"'),
        "every service of ours": (
            changed(statement, Principal={"Service": ["cloudwatch.amazonaws.com", "s3.amazonaws.com"]}),
            'It gets in. Write "Principal"',
        ),
        "our account for the service": (
            lambda ws: statement(ws) | {"Principal": {"AWS": ws.account}},
            'Write "Principal": {"Service": "cloudwatch.amazonaws.com"}',
        ),
        "every action": (changed(statement, Action="sns:*"), "It also allows sns:AddPermission"),
        "another action": (changed(statement, Action="sns:Subscribe"), 'Write "Action": "sns:Publish"'),
        "every topic": (changed(statement, Resource="*"), "The resource is arn:"),
        "the orders' topic": (
            lambda ws: statement(ws) | {"Resource": ws.arn("sns", ws.name("ecommerce-orders-topic"))},
            'Write "Resource": "arn:',
        ),
        "a deny": (changed(statement, Effect="Deny"), '"Effect" is Allow here'),
        "no principal": (changed(statement, Principal=None), "A topic's policy needs Principal"),
    },
    7: {
        "the step's own": (
            changed(settings, MaximumBatchingWindowInSeconds=1),
            "It would be 16.0. Each of the 16 shards",
        ),
        "no window": (changed(settings, MaximumBatchingWindowInSeconds=None), "It would be 64.0"),
        "small batches": (changed(settings, BatchSize=100), "It would be 20.0"),
        "ten at once for each shard": (changed(settings, ParallelizationFactor=10), "It would be 80.0"),
        "nothing halved": (changed(settings, BisectBatchOnFunctionError=None), "64 were given up"),
        "for ever": (changed(settings, MaximumRecordAgeInSeconds=-1), "MaximumRecordAgeInSeconds, 60 to 600"),
        "an hour": (changed(settings, MaximumRecordAgeInSeconds=3600), "MaximumRecordAgeInSeconds, 60 to 600"),
        "half a minute": (changed(settings, MaximumRecordAgeInSeconds=30), "is -1, or 60 and more"),
        "at once": (changed(settings, MaximumRetryAttempts=0), "gives up at once"),
        "nobody told": (changed(settings, DestinationConfig=None), "Nobody would hear of it"),
        "a queue that is not ours to fill": (
            lambda ws: settings(ws) | {"DestinationConfig": failures(ws, "ecommerce-orders-dlq")},
            "The role of POC-Lambda-2 may not send to",
        ),
        "too many": (changed(settings, BatchSize=20_000), "BatchSize is from 1 to 10,000"),
        "text": (changed(settings, BatchSize="1000"), "BatchSize"),
        "a misspelt setting": (changed(settings, BatchSizes=1000), "do you mean 'BatchSize'?"),
    },
    8: {
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
    },
    9: {
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
    },
}


def cases(answers):
    return [pytest.param(number, *case, id=f"{number}: {name}") for number in answers
            for name, case in answers[number].items()]  # fmt: skip


def judge(ws: Workshop, number: int, answer) -> list:
    """What the checker says; nothing of what it tries may be left."""
    found = list(CHECKERS[number](ws, answer))
    assert left_behind(ws) == []
    return found


def left_behind(ws: Workshop) -> list:
    return [one for kind in listings(ws).values() for one in kind if ws.name("exercise-") in str(one)]


def hints(found) -> str:
    return "\n".join(row.hint for row in found if not row.holds)


@pytest.fixture(scope="module", autouse=True)
def _unharmed(built):
    """What the learner has built stays as it is, and holds nothing of what was tried."""
    before, stored = snapshot(built), rows(built)
    yield
    assert snapshot(built) == before
    assert rows(built) == stored
    assert messages(built) == messages(built, "ecommerce-orders-dlq") == 0


def test_each_exercise_has_its_cases():
    assert all(set(answers) == set(CHECKERS) for answers in (BLANK, RIGHT, WRONG))
    assert min(map(len, WRONG.values())) >= 6
    assert min(map(len, RIGHT.values())) >= 2


@pytest.mark.parametrize("number", BLANK)
def test_a_blank_answer_gets_a_hint(built, number):
    found = judge(built, number, BLANK[number](built))
    assert [row for row in found if not row.holds]
    assert all(row.hint for row in found if not row.holds)


@pytest.mark.parametrize(("number", "answer", "hint"), cases(WRONG))
def test_a_wrong_answer_gets_the_hint_that_helps(built, number, answer, hint):
    found = hints(judge(built, number, answer(built)))
    assert hint in found


@pytest.mark.parametrize(
    ("number", "answer"),
    [pytest.param(number, answer, id=f"{number}: {n}") for number in RIGHT for n, answer in enumerate(RIGHT[number])],
)
def test_a_right_answer_is_right_in_any_words(built, number, answer):
    found = judge(built, number, answer(built))
    assert hints(found) == ""
    assert len(found) >= 3


@pytest.mark.parametrize("number", [1, 2, pytest.param(3, marks=pytest.mark.exhaustive), 5, 6])
def test_an_interrupted_trial_leaves_nothing(open_ws, built, number):
    ws = open_ws(built.settings.prefix)

    def interrupt_after(calls: int) -> bool:
        """Press Ctrl-C once, after so many calls. Returns whether there were so many."""
        left = [calls]

        def interrupt(_):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

        ws.client.listeners[:] = [interrupt]
        try:
            judge(ws, number, RIGHT[number][0](ws))
        except KeyboardInterrupt:
            assert left_behind(ws) == []
            return True
        return False

    calls = 1
    while interrupt_after(calls):
        calls += 1
    assert calls > 2


@pytest.mark.parametrize("number", CHECKERS)
@pytest.mark.parametrize(
    "nonsense",
    [None, 0, "text", [None], {"a": None}, {None: {}}, object()],
    ids=lambda one: "object" if type(one) is object else repr(one),
)
def test_nonsense_breaks_no_checker(built, number, nonsense):
    found = judge(built, number, nonsense)
    assert hints(found)
