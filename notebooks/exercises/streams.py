"""Notebook 05: the new orders among the records of a stream, as plain values."""

import copy
from collections.abc import Iterable
from typing import Any

from workshop.build.step import Workshop

from .trying import Outcome, Row, Rows, attempt, scratch_table

#: The orders that are put, by id; one of them is changed and one deleted afterwards.
QUANTITIES = {"o-1": 1, "o-2": 20, "o-3": 300}
CHANGED, DELETED = "o-1", "o-2"


def real_records(ws: Workshop) -> list[dict[str, Any]]:
    """Write orders into a table of our own, change one, delete one, and read what its stream says."""
    dynamodb = ws.client("dynamodb")
    stream = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}}
    with scratch_table(ws, 5, **stream) as table:
        here = {"TableName": table["TableName"]}
        for order_id, quantity in QUANTITIES.items():
            item = {"orderId": {"S": order_id}, "productId": {"S": "soap"}, "quantity": {"N": str(quantity)}}
            dynamodb.put_item(**here, Item=item)
        dynamodb.update_item(
            **here,
            Key={"orderId": {"S": CHANGED}},
            UpdateExpression="SET quantity = :q",
            ExpressionAttributeValues={":q": {"N": "7"}},
        )
        dynamodb.delete_item(**here, Key={"orderId": {"S": DELETED}})
        changes = len(QUANTITIES) + 2
        records: list[dict[str, Any]] = ws.waiter.until(
            lambda: found if len(found := read_stream(ws, table["LatestStreamArn"])) == changes else None,
            "the stream's records are on their way",
            60,
        )
        return records


def read_stream(ws: Workshop, stream: str) -> list[dict[str, Any]]:
    """All records of a stream."""
    streams = ws.client("dynamodbstreams")
    found: list[dict[str, Any]] = []
    for shard in streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]:
        place = streams.get_shard_iterator(
            StreamArn=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        for _ in range(3):  # A page may be empty although the next one is not.
            page = streams.get_records(ShardIterator=place)
            found += [{**record} for record in page["Records"]]
            if not (place := page.get("NextShardIterator")):
                break
    return found


def try_records(new_orders: Any, records: list[dict[str, Any]]) -> tuple[list[Any] | None, Outcome]:
    """Call the learner's function. Returns the list that it gave, None if there was none, and what it did."""
    outcome = attempt(lambda: given(new_orders(copy.deepcopy(records))))
    return (outcome.value if isinstance(outcome.value, list) else None), outcome


def given(value: Any) -> Any:
    """A list, also of whatever can be gone through like one."""
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | dict) else value


def check(ws: Workshop, answer: Any) -> Rows:
    """Call the function with records that DynamoDB wrote."""
    yield Row("new_orders is a function", callable(answer), "Write def new_orders(records).")
    if not callable(answer):
        return
    found, outcome = try_records(answer, [])
    yield Row("no records, no orders", found == [], f"For an empty list it should return []. {outcome.said}")
    if outcome.value is None and not outcome.error:
        return
    records = real_records(ws)
    inserts = [record for record in records if record["eventName"] == "INSERT"]
    found, outcome = try_records(answer, [record for record in records if record not in inserts])
    yield Row(
        "a changed or deleted order is not a new one",
        found == [],
        f"For a MODIFY and a REMOVE it should return []: look at eventName. {outcome.said}",
    )
    found, outcome = try_records(answer, records)
    ids = [record["dynamodb"]["Keys"]["orderId"]["S"] for record in inserts]
    plain = all(isinstance(one, dict) for one in found or []) and found is not None
    yield Row(
        "every new order is there, in order",
        plain and [one.get("orderId") for one in found or []] == ids,
        f'It should return a dictionary with "orderId" for each of {ids}; a value is inside {{"S": "o-1"}}.'
        f" {outcome.said}",
    )
    should = [QUANTITIES[order_id] for order_id in ids]
    quantities = [one.get("quantity") for one in found or []] if plain else []
    numbers = not any(isinstance(one, str | bool) for one in quantities)
    yield Row(
        "the quantities are numbers",
        numbers and quantities == should,
        f'It should say {should}. DynamoDB writes {{"N": "3"}}, text, under "quantity": make an int of it.',
    )
    again, _ = try_records(answer, [])
    yield Row("it remembers nothing of an earlier call", again == [], "Make the list inside of the function.")
