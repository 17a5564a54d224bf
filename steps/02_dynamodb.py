"""Step 2: the orders table. POC-Lambda-1 writes each order here, and step 5 enables the table's stream.

A DynamoDB table needs no columns, only a **primary key**. Ours is a *partition key*: `orderId`, a string. DynamoDB
hashes it to choose the partition that stores the order, so random ids spread a spike over many partitions. The key
also makes orders unique, so a message that SQS delivers twice can't store an order twice.

The table uses *on-demand* capacity: you pay for each request, and you don't have to plan capacity for a spike.
"""

from workshop.base.errors import WorkshopError
from workshop.base.services import Parameters
from workshop.build.checks import Finding, equal, rebuild
from workshop.build.step import Resource, Step, Workshop

step = Step(2, "dynamodb", "Create the orders table")

KEY: Parameters = {
    "AttributeDefinitions": [{"AttributeName": "orderId", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "orderId", "KeyType": "HASH"}],
}


@step.resource("table", "ecommerce-orders")
def orders_table(ws: Workshop, table: Resource) -> None:
    """The table: one item for each order."""
    dynamodb = ws.client("dynamodb")
    table.ensure(
        lambda: dynamodb.create_table(TableName=table.name, BillingMode="PAY_PER_REQUEST", Tags=ws.tag_list, **KEY)
    )

    def active() -> bool:
        return dynamodb.describe_table(TableName=table.name)["Table"]["TableStatus"] == "ACTIVE"

    table.wait(active, "DynamoDB is setting up the table", 600)

    def refuse(_: Parameters) -> None:
        raise WorkshopError(
            f"The table {table.name} has a different primary key, and DynamoDB can't change a table's key.",
            f"Save the items you need, then run: workshop cleanup{ws.settings.options}",
        )

    table.converge(KEY, refuse)
    table.converge(
        {"BillingMode": "PAY_PER_REQUEST"},
        lambda change: dynamodb.update_table(TableName=table.name, **change),
        # DynamoDB omits the summary for a table that never used on-demand capacity.
        read=lambda: table.found.get("BillingModeSummary", {"BillingMode": "PROVISIONED"}),
    )


@step.check("the table is active")
def takes_writes(ws: Workshop) -> Finding:
    return equal(ws.need("table", "ecommerce-orders")["TableStatus"], "ACTIVE")


@step.check("the partition key is orderId, a string")
def keyed(ws: Workshop) -> Finding:
    table = ws.need("table", "ecommerce-orders")
    # DynamoDB can't change a table's key.
    return equal({key: table[key] for key in KEY}, KEY).cured_by(rebuild(ws))


@step.check("the table uses on-demand capacity")
def on_demand(ws: Workshop) -> Finding:
    summary = ws.need("table", "ecommerce-orders").get("BillingModeSummary", {})
    return equal(summary.get("BillingMode", "PROVISIONED"), "PAY_PER_REQUEST")


if __name__ == "__main__":
    step.main()
