"""Answers to the exercise of `dynamodb`: a put that overwrites nothing."""

ITEM = {"orderId": {"S": "exercise-2"}, "productId": {"S": "soap"}, "quantity": {"N": "3"}}


def put(condition="attribute_not_exists(orderId)", item=None, **more):
    def build(ws):
        fields = {key: value for key, value in (ITEM | (item or {})).items() if value}
        answer = {"TableName": ws.name("ecommerce-orders"), "Item": fields, "ConditionExpression": condition}
        return {key: value for key, value in (answer | more).items() if value is not None}

    return build


def blank(ws):
    return {"TableName": ws.name("ecommerce-orders"), "Item": {}}


RIGHT = [
    put(),
    put("attribute_not_exists(#id)", ExpressionAttributeNames={"#id": "orderId"}, ReturnValues="NONE"),
    put("NOT attribute_exists(orderId) AND attribute_not_exists(productId)"),
]
WRONG = {
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
}
