"""Notebook 02: the parameters of a put that never overwrites."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from workshop.build.step import Workshop

from .trying import Row, Rows, refusal, scratch_table

ORDER = {"orderId": {"S": "exercise-2"}, "productId": {"S": "soap"}, "quantity": {"N": "3"}}
KEY = {"orderId": ORDER["orderId"]}
STORED, REFUSED = "stored", "refused"


@dataclass(frozen=True)
class Puts:
    """What came of putting the answer's item again and again.

    Attributes:
        first: into an empty table.
        item: what was in the table then.
        repeated: the same put again.
        changed: the same put with another quantity.
        bare: the put, where an item of this id has no other attribute.
        beside: the put, where only other orders are in the table.
    """

    first: str
    item: dict[str, Any]
    repeated: str
    changed: str
    bare: str
    beside: str


def try_put(ws: Workshop, answer: dict[str, Any]) -> Puts:
    """Put the answer's item into a table of its own, in every situation that matters."""
    client = ws.client("dynamodb")
    with scratch_table(ws, 2) as table:
        here = {"TableName": table["TableName"]}

        def put(item: dict[str, Any]) -> str:
            try:
                client.put_item(**answer | here | {"Item": item})
            except client.exceptions.ConditionalCheckFailedException:
                return REFUSED
            return STORED

        first = put(answer["Item"])
        item = client.get_item(**here, Key=KEY, ConsistentRead=True).get("Item", {})
        client.put_item(**here, Item=ORDER)
        repeated, changed = put(answer["Item"]), put(answer["Item"] | {"quantity": {"N": "99"}})
        client.put_item(**here, Item=KEY)
        bare = put(answer["Item"])
        client.delete_item(**here, Key=KEY)
        client.put_item(**here, Item=ORDER | {"orderId": {"S": "another"}})
        return Puts(first, item, repeated, changed, bare, put(answer["Item"]))


def check(ws: Workshop, answer: Any) -> Rows:
    """Put the item where there is none, and where there is one already."""
    given = isinstance(answer, dict) and isinstance(answer.get("Item"), dict) and bool(answer["Item"])
    yield Row("there is an item to put", given, 'put_item wants an "Item": {field: {type: value}}.')
    if not given:
        return
    table = ws.name("ecommerce-orders")
    ours = answer.get("TableName") == table
    yield Row("it goes into the orders table", ours, f'"TableName" is {table!r}.')
    keyed = answer["Item"].get("orderId") == ORDER["orderId"]
    yield Row("its id is exercise-2", keyed, 'The key is "orderId": {"S": "exercise-2"}.')
    if not ours or not keyed:
        return
    try:
        puts = try_put(ws, answer)
    except (ParamValidationError, ClientError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] != "ValidationException":
            raise
        yield Row("DynamoDB takes the parameters", False, refusal(error))
        return
    yield Row("DynamoDB takes the parameters", True, "")
    yield Row(
        "the first put is stored",
        puts.first == puts.beside == STORED,
        "It was refused although there was no order of this id. The condition must hold while there is none.",
    )
    if puts.first == STORED:
        item = puts.item
        yield Row("its product is soap", item.get("productId") == ORDER["productId"], 'Add "productId": {"S": "soap"}.')
        quantity = float(item.get("quantity", {}).get("N", "nan"))
        yield Row("its quantity is the number 3", quantity == 3, 'A number is written {"N": "3"}, whatever it counts.')
    yield Row(
        "the same put again is refused",
        puts.repeated == REFUSED,
        'It was stored twice: without a "ConditionExpression", a put overwrites. The function that you need is'
        " attribute_not_exists.",
    )
    yield Row(
        "an order of this id is never overwritten, whatever it holds",
        puts.changed == puts.bare == REFUSED,
        "It overwrote an order of the same id that holds something else. Let the condition ask for the key: orderId.",
    )
