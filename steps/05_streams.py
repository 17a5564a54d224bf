"""Step 5: the stream of the table's changes. Whatever is written to the table can be read here, in order.

A **stream** keeps each change for 24 hours. It tells of an order only after the order was stored, and it tells
of every stored order: nobody has to remember to send a message. Our stream carries the *new image*, that is the
item as it was written, which is all that a notification needs.

Each time a stream is switched on it is a new stream with a new ARN. A trigger that points to the old one points
to nothing, which is why step 7 must run again after this one had to switch the stream on again.
"""

from workshop.checking import Finding, equal
from workshop.step import Resource, Step, Workshop

step = Step(5, "streams", "Enable DynamoDB Streams", needs=(2,))

SPECIFICATION = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}


@step.resource("stream", "ecommerce-orders")
def orders_stream(ws: Workshop, stream: Resource) -> None:
    """The stream has no name of its own: it goes by the table's."""
    dynamodb = ws.client("dynamodb")
    table = ws.need("table", "ecommerce-orders")["TableName"]

    def switch(specification: dict) -> None:
        dynamodb.update_table(TableName=table, StreamSpecification=specification)
        status = lambda: dynamodb.describe_table(TableName=table)["Table"]["TableStatus"]  # noqa: E731
        ws.patience.until(lambda: status() == "ACTIVE", "DynamoDB is switching the stream", 600)

    def renew(_: dict) -> None:
        # A running stream cannot change what it carries: off, and on again as a new one.
        switch({"StreamEnabled": False})
        stream.ensure(lambda: switch(SPECIFICATION))

    stream.ensure(lambda: switch(SPECIFICATION))
    stream.converge(SPECIFICATION, renew)


@step.check("the table has a stream")
def streaming(ws: Workshop) -> Finding:
    return equal(ws.need("stream", "ecommerce-orders")["StreamEnabled"], True)


@step.check("the stream carries each item as it was written")
def new_image(ws: Workshop) -> Finding:
    return equal(ws.need("stream", "ecommerce-orders")["StreamViewType"], "NEW_IMAGE")


if __name__ == "__main__":
    step.main()
