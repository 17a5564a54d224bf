"""Answers to the exercise of `streams`: the new orders among the records of a stream."""

from boto3.dynamodb.types import TypeDeserializer

from answers import value


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


blank = value(lambda records: None)
RIGHT = [value(new_orders), value(deserialized)]
WRONG = {
    "no filter": (value(no_filter), "look at eventName"),
    "changes too": (value(with_changes), "look at eventName"),
    "every image": (value(every_image), "KeyError('NewImage')"),
    "values with their types": (value(typed), 'a value is inside {"S": "o-1"}'),
    "ids only": (value(ids_only), 'It should return a dictionary with "orderId"'),
    "text for a number": (value(text_quantity), "make an int of it"),
    "backwards": (value(backwards), "for each of"),
    "remembers": (lambda ws: remembering_orders(), "Make the list inside of the function"),
    "crashes on nothing": (value(lambda records: new_orders([records[0], *records[1:]])), "IndexError"),
}
