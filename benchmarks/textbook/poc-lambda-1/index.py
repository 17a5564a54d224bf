"""POC-Lambda-1 as the specification's flow reads naively: one put for each record.

What our own function is measured against; nobody deploys it. It takes what comes, writes it over what is there,
and one message that is no order makes its whole batch come again.
"""

import json
import os

import boto3

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    """Put the order of each record into the table.

    Args:
        event: an SQS event.
        context: not used.
    """
    for record in event["Records"]:
        order = {"orderId": record["messageId"], **json.loads(record["body"])}
        print(f"storing order {order['orderId']}")
        dynamodb.put_item(
            TableName=os.environ["TABLE_NAME"],
            Item={name: {"N" if name == "quantity" else "S": str(value)} for name, value in order.items()},
        )
