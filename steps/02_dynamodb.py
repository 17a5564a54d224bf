"""Step 2: the orders table. POC-Lambda-1 writes each order here; step 5 turns its stream on.

A DynamoDB table needs no columns, only a **key**. Ours is `orderId`, a string, the *partition key*: DynamoDB
decides by it on which machine an order lies, so random ids spread a spike over many machines. It also makes
orders unique, and that is what a repeated message will run into.

The table is paid *on demand*: nothing while nobody orders, and no capacity to guess before a spike.
"""

from workshop.checking import Finding, equal, rebuild
from workshop.errors import WorkshopError
from workshop.step import Resource, Step, Workshop

step = Step(2, "dynamodb", "Create the orders table")

KEY = {
    "AttributeDefinitions": [{"AttributeName": "orderId", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "orderId", "KeyType": "HASH"}],
}


@step.resource("table", "ecommerce-orders")
def orders_table(ws: Workshop, table: Resource) -> None:
    """One item for each order, under its id."""
    dynamodb = ws.client("dynamodb")
    table.ensure(
        lambda: dynamodb.create_table(TableName=table.name, BillingMode="PAY_PER_REQUEST", Tags=ws.tag_list, **KEY)
    )
    if not ws.looking:
        status = lambda: dynamodb.describe_table(TableName=table.name)["Table"]["TableStatus"]  # noqa: E731
        ws.patience.until(lambda: status() == "ACTIVE", "DynamoDB is setting up the table", 600)

    def refuse(_: dict) -> None:
        raise WorkshopError(
            f"The table {table.name} has another key, and a table's key cannot be changed.",
            f"Save what it holds, then run: workshop cleanup{ws.settings.options}",
        )

    table.converge(KEY, refuse)
    table.converge(
        {"BillingMode": "PAY_PER_REQUEST"},
        lambda change: dynamodb.update_table(TableName=table.name, **change),
        # AWS leaves the summary out for a table that never was on demand.
        read=lambda: table.found.get("BillingModeSummary", {"BillingMode": "PROVISIONED"}),
    )


@step.check("the table is there and takes writes")
def active(ws: Workshop) -> Finding:
    return equal(ws.need("table", "ecommerce-orders")["TableStatus"], "ACTIVE")


@step.check("its key is orderId, a string")
def keyed(ws: Workshop) -> Finding:
    table = ws.need("table", "ecommerce-orders")
    # The key of a table cannot be changed.
    return equal({key: table[key] for key in KEY}, KEY).cured_by(rebuild(ws))


@step.check("it is paid on demand")
def on_demand(ws: Workshop) -> Finding:
    summary = ws.need("table", "ecommerce-orders").get("BillingModeSummary", {})
    return equal(summary.get("BillingMode", "PROVISIONED"), "PAY_PER_REQUEST")


if __name__ == "__main__":
    step.main()
