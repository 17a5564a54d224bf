"""Step 5: DynamoDB Streams. The stream captures every write to the table, in order for each item.

A **stream** keeps each change for 24 hours. It contains an order only after the order is stored, and it contains
every stored order, so POC-Lambda-1 doesn't have to send a message as well. Our stream records contain the *new
image*: the item after the write, which is all that a notification needs.

Each time you enable a stream, you get a new stream with a new ARN. A trigger of the old stream reads nothing any
more. If this step has to enable the stream again, run step 7 again, too.
"""

from typing import Any

from workshop.base.services import Parameters
from workshop.build.checks import Finding, equal
from workshop.build.step import Resource, Step, Workshop

step = Step(5, "streams", "Enable DynamoDB Streams", needs=(2,))

SPECIFICATION: Parameters = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}


@step.resource("stream", "ecommerce-orders")
def orders_stream(ws: Workshop, stream: Resource) -> None:
    """The stream. It has no name of its own: you find it by its table."""
    dynamodb = ws.client("dynamodb")
    table = ws.need("table", "ecommerce-orders")["TableName"]

    def active() -> bool:
        return dynamodb.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE"

    def switch(specification: Any) -> None:
        dynamodb.update_table(TableName=table, StreamSpecification=specification)
        stream.wait(active, "DynamoDB is updating the stream", 600)

    def renew(_: Parameters) -> None:
        # You can't change the view type of an enabled stream: disable it, then enable a new one.
        switch({"StreamEnabled": False})
        stream.ensure(lambda: switch(SPECIFICATION))

    stream.ensure(lambda: switch(SPECIFICATION))
    stream.converge(SPECIFICATION, renew)


@step.check("the table has a stream")
def streaming(ws: Workshop) -> Finding:
    return equal(ws.need("stream", "ecommerce-orders")["StreamEnabled"], True)


@step.check("stream records contain the new image")
def new_image(ws: Workshop) -> Finding:
    return equal(ws.need("stream", "ecommerce-orders")["StreamViewType"], "NEW_IMAGE")


if __name__ == "__main__":
    step.main()
