"""Step 4: POC-Lambda-1, which takes orders out of the queue and writes them into the table.

Lambda runs a function when something happens. What happens here is "there are messages in the queue", and what
watches the queue is an **event source mapping**: it receives messages in batches, calls the function with each
batch, and deletes the messages when the function returns.

Two settings carry the weight. *Batching*: up to 25 messages, or what came within a second, go into one call,
and the function writes them with one transaction. *Partial batch response*: the function names the messages
that failed, and only those come back. Without it, one bad message would make 24 good ones repeat.
"""

from workshop.checking import Finding, at_least, equal, holds
from workshop.package import deployed, packed, settled
from workshop.step import Resource, Step, Workshop

step = Step(4, "lambda_1", "Implement POC-Lambda-1 and connect it to the queue", needs=(1, 2, 3))

SOURCE = "src/lambda/poc-lambda-1/index.py"
WATCHING = ("Enabled", "Enabling", "Creating", "Updating")


@step.resource("log-group", "/aws/lambda/POC-Lambda-1")
def log_group(ws: Workshop, group: Resource) -> None:
    """Lambda would make the log group itself, and keep everything in it for ever."""
    logs = ws.client("logs")
    group.ensure(lambda: logs.create_log_group(logGroupName=group.name, tags=ws.tags))
    group.converge({"retentionInDays": 14}, lambda change: logs.put_retention_policy(logGroupName=group.name, **change))


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
        # A function takes no second change, and no call, while Lambda is still busy with the first.
        now = lambda: lambda_.get_function(FunctionName=function.name)["Configuration"]  # noqa: E731
        ws.patience.until(lambda: settled(now()), f"Lambda is setting up {function.name}", 300)

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
        read=lambda: {
            "Code": deployed(function.found, source, ws.client.ca_bundle),
            "Architectures": function["Architectures"],
        },
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
        # Five executions write what a new on-demand table takes: 2,000 orders a second. More would only be
        # throttled, and the account's other functions need executions as well.
        "ScalingConfig": {"MaximumConcurrency": 5},
    }

    def of_this_queue() -> dict | None:
        mappings = ws.find_anybodys("event-source-mapping", "POC-Lambda-1")
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


@step.check("the log is kept for two weeks, and not for ever")
def log_ends(ws: Workshop) -> Finding:
    days = ws.need("log-group", "/aws/lambda/POC-Lambda-1").get("retentionInDays")
    return equal(days, 14)


@step.check("POC-Lambda-1 is ready")
def ready(ws: Workshop) -> Finding:
    return equal(ws.need("function", "POC-Lambda-1")["State"], "Active")


@step.check("POC-Lambda-1 runs python3.13 on arm64")
def runtime(ws: Workshop) -> Finding:
    function = ws.need("function", "POC-Lambda-1")
    return equal([function["Runtime"], *function["Architectures"]], ["python3.13", "arm64"])


@step.check("POC-Lambda-1 runs the code of this repository")
def code(ws: Workshop) -> Finding:
    found = deployed(ws.need("function", "POC-Lambda-1"), ws.source(SOURCE), ws.client.ca_bundle)
    return holds(found == ws.source(SOURCE), "the same" if found == ws.source(SOURCE) else "another text", SOURCE)


@step.check("POC-Lambda-1 starts at index.handler")
def handler(ws: Workshop) -> Finding:
    return equal(ws.need("function", "POC-Lambda-1")["Handler"], "index.handler")


@step.check("POC-Lambda-1 has its own role")
def role(ws: Workshop) -> Finding:
    return equal(ws.need("function", "POC-Lambda-1")["Role"], ws.arn("iam", f"role/{ws.name('Lambda-SQS-DynamoDB')}"))


@step.check("POC-Lambda-1 has time and memory enough")
def sized(ws: Workshop) -> Finding:
    function = ws.need("function", "POC-Lambda-1")
    found = {key: function[key] for key in ("Timeout", "MemorySize")}
    return holds(function["Timeout"] >= 10 and function["MemorySize"] >= 256, found, "10 seconds, 256 MB or more")


@step.check("POC-Lambda-1 knows its table")
def environment(ws: Workshop) -> Finding:
    found = ws.need("function", "POC-Lambda-1").get("Environment", {}).get("Variables", {})
    return equal(found.get("TABLE_NAME"), ws.name("ecommerce-orders"))


def trigger_of(ws: Workshop) -> dict:
    """The trigger between the queue and the function; an empty one if there is none."""
    queue = ws.arn("sqs", ws.name("ecommerce-orders-queue"))
    mappings = ws.find_all("event-source-mapping", "POC-Lambda-1")
    return next((one for one in mappings if one["EventSourceArn"] == queue), {})


@step.check("the queue triggers POC-Lambda-1")
def triggered(ws: Workshop) -> Finding:
    return holds(trigger_of(ws).get("State") in WATCHING, trigger_of(ws).get("State", "no trigger"), "Enabled")


@step.check("messages come in batches")
def batched(ws: Workshop) -> Finding:
    return at_least(trigger_of(ws).get("BatchSize"), 10, " messages")


@step.check("one bad message does not repeat its whole batch")
def partial_failures(ws: Workshop) -> Finding:
    return equal(trigger_of(ws).get("FunctionResponseTypes"), ["ReportBatchItemFailures"])


@step.check("a spike leaves room for the other functions of the account")
def bounded(ws: Workshop) -> Finding:
    concurrency = trigger_of(ws).get("ScalingConfig", {}).get("MaximumConcurrency")
    return holds(concurrency and concurrency <= 100, concurrency or "no limit", "a limit of at most 100")


if __name__ == "__main__":
    step.main()
