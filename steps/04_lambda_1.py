"""Step 4: POC-Lambda-1, which takes orders out of the queue and writes them into the table.

Lambda runs a function when something happens. What happens here is "there are messages in the queue", and what
watches the queue is an **event source mapping**: it receives messages in batches, calls the function with each
batch, and deletes the messages when the function returns.

Two settings carry the weight. *Batching*: up to 25 messages, or what came within a second, go into one call,
and the function writes them with one transaction. *Partial batch response*: the function names the messages
that failed, and only those come back. Without it, one bad message would make 24 good ones repeat.
"""

from workshop.package import deployed, packed
from workshop.step import Resource, Step, Workshop

step = Step(4, "lambda_1", "Implement POC-Lambda-1 and connect it to the queue", needs=(1, 2, 3))

SOURCE = "src/lambda/poc-lambda-1/index.py"
WATCHING = ("Enabled", "Enabling", "Creating", "Updating")


@step.resource("log-group", "/aws/lambda/POC-Lambda-1")
def log_group(ws: Workshop, group: Resource) -> None:
    """Lambda would make the log group itself, and keep everything in it for ever."""
    logs = ws.client("logs")
    group.ensure(lambda: logs.create_log_group(logGroupName=group.name, tags=ws.tags))
    group.converge(
        {"retentionInDays": 14}, lambda change: logs.put_retention_policy(logGroupName=group.name, **change)
    )


@step.resource("function", "POC-Lambda-1")
def function(ws: Workshop, function: Resource) -> None:
    """The function: one file of Python, and what it may use."""
    lambda_, source = ws.client("lambda"), ws.source(SOURCE)
    configuration = {
        "Role": ws.need("role", "Lambda-SQS-DynamoDB")["Arn"],
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Timeout": 10,
        "MemorySize": 256,
        "Environment": {"Variables": {"TABLE_NAME": ws.need("table", "ecommerce-orders")["TableName"]}},
    }
    function.ensure(
        lambda: lambda_.create_function(
            FunctionName=function.name,
            Architectures=["arm64"],
            Code={"ZipFile": packed(source)},
            Tags=ws.tags,
            **configuration,
        )
    )

    def wait() -> None:
        patience = {"Delay": 1, "MaxAttempts": 300}
        lambda_.get_waiter("function_active_v2").wait(FunctionName=function.name, WaiterConfig=patience)
        lambda_.get_waiter("function_updated_v2").wait(FunctionName=function.name, WaiterConfig=patience)

    def update_configuration(changed: dict) -> None:
        lambda_.update_function_configuration(FunctionName=function.name, **changed)
        wait()

    def update_code(_: dict) -> None:
        lambda_.update_function_code(FunctionName=function.name, ZipFile=packed(source), Architectures=["arm64"])
        wait()

    if function.result == "created":
        wait()
    function.converge(configuration, update_configuration)
    function.converge(
        {"Code": source, "Architectures": ["arm64"]},
        update_code,
        read=lambda: {"Code": deployed(function.found, source), "Architectures": function["Architectures"]},
    )


@step.resource("event-source-mapping", "POC-Lambda-1")
def trigger(ws: Workshop, mapping: Resource) -> None:
    """The trigger: it watches the queue and calls the function."""
    lambda_ = ws.client("lambda")
    queue = ws.need("queue", "ecommerce-orders-queue")["Arn"]
    function = ws.need("function", "POC-Lambda-1")["FunctionName"]
    settings = {
        "BatchSize": 25,
        "MaximumBatchingWindowInSeconds": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        # Thirty people share an account's 1,000 concurrent executions.
        "ScalingConfig": {"MaximumConcurrency": 10},
    }

    def of_this_queue() -> dict | None:
        mappings = ws.find_all("event-source-mapping", "POC-Lambda-1")
        return next((one for one in mappings if one["EventSourceArn"] == queue), None)

    mapping.ensure(
        lambda: lambda_.create_event_source_mapping(
            FunctionName=function, EventSourceArn=queue, Tags=ws.tags, **settings
        ),
        find=of_this_queue,
    )
    mapping.converge(
        settings | {"Enabled": True},
        lambda changed: lambda_.update_event_source_mapping(UUID=mapping["UUID"], **changed),
        read=lambda: mapping.found | {"Enabled": mapping["State"] in WATCHING},
    )
    if mapping.result in ("created", "updated"):
        reason = f"the trigger of {function} is being set up"
        ws.patience.until(lambda: (of_this_queue() or {}).get("State") == "Enabled", reason, 300)


if __name__ == "__main__":
    step.main()
