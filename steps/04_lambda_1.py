"""Step 4: POC-Lambda-1, which receives orders from the queue and writes them to the table.

Lambda runs a function in response to an event. Here, the event is that messages arrive in the queue. An **event
source mapping** polls the queue for you: it receives messages in batches, invokes the function with each batch, and
deletes the messages when the function returns. In the Lambda console, you see it as the function's *trigger*.

Two settings matter most:

* *Batching*: the mapping collects up to 25 messages, or whatever arrives within one second, for one invocation. The
  function writes them in one transaction.
* *Partial batch responses*: the function returns the ids of the messages that failed, and SQS delivers only those
  again. Otherwise, one bad message would send 24 good ones back to the queue.
"""

from workshop.aws.owner import Description
from workshop.base.services import Parameters
from workshop.build.checks import Finding, at_least, equal, holds
from workshop.build.function_code import packed
from workshop.build.functions import (
    ARCHITECTURES,
    WATCHING,
    check_function,
    converge_function,
    converge_trigger,
    our_trigger,
    trigger_between,
)
from workshop.build.step import Resource, Step, Workshop

step = Step(4, "lambda_1", "Implement POC-Lambda-1 and connect it to the queue", needs=(1, 2, 3))

SOURCE = "src/lambda/poc-lambda-1/index.py"


@step.resource("log-group", "/aws/lambda/POC-Lambda-1")
def log_group(ws: Workshop, group: Resource) -> None:
    """The log group. If you leave it to Lambda to create it, the log never expires."""
    logs = ws.client("logs")
    group.ensure(lambda: logs.create_log_group(logGroupName=group.name, tags=ws.tags))
    group.converge({"retentionInDays": 14}, lambda change: logs.put_retention_policy(logGroupName=group.name, **change))


@step.resource("function", "POC-Lambda-1")
def function(ws: Workshop, function: Resource) -> None:
    """The function: one Python file, its role and its configuration."""
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
            Architectures=ARCHITECTURES,
            Code={"ZipFile": packed(source)},
            Tags=ws.tags,
            **configuration,
        )
    )
    converge_function(ws, function, configuration, source)


@step.resource("event-source-mapping", "POC-Lambda-1")
def trigger(ws: Workshop, mapping: Resource) -> None:
    """The trigger: it polls the queue and invokes the function."""
    lambda_ = ws.client("lambda")
    queue = ws.need("queue", "ecommerce-orders-queue")["Arn"]
    function = ws.need("function", "POC-Lambda-1")["FunctionName"]
    settings: Parameters = {
        "BatchSize": 25,
        "MaximumBatchingWindowInSeconds": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        # Five concurrent executions write 2,000 orders a second, as much as a new on-demand table accepts. More would
        # only be throttled, and take concurrency from the account's other functions.
        "ScalingConfig": {"MaximumConcurrency": 5},
    }

    mapping.ensure(
        lambda: lambda_.create_event_source_mapping(
            FunctionName=function, EventSourceArn=queue, Tags=ws.tags, **settings
        ),
        find=lambda: trigger_between(ws, "POC-Lambda-1", queue),
    )
    converge_trigger(ws, mapping, settings)


@step.check("the log group keeps events for two weeks")
def log_ends(ws: Workshop) -> Finding:
    days = ws.need("log-group", "/aws/lambda/POC-Lambda-1").get("retentionInDays")
    return equal(days, 14)


check_function(step, "POC-Lambda-1", role="Lambda-SQS-DynamoDB", source=SOURCE, seconds=10, megabytes=256)


@step.check("TABLE_NAME of POC-Lambda-1 is the orders table")
def environment(ws: Workshop) -> Finding:
    found = ws.need("function", "POC-Lambda-1").get("Environment", {}).get("Variables", {})
    return equal(found.get("TABLE_NAME"), ws.name("ecommerce-orders"))


def trigger_of(ws: Workshop) -> Description:
    """Return the trigger between the queue and the function; empty if there is none."""
    return our_trigger(ws, "POC-Lambda-1", ws.arn("sqs", ws.name("ecommerce-orders-queue")))


@step.check("the queue triggers POC-Lambda-1")
def triggered(ws: Workshop) -> Finding:
    return holds(trigger_of(ws).get("State") in WATCHING, trigger_of(ws).get("State", "no trigger"), "Enabled")


@step.check("messages arrive in batches")
def batched(ws: Workshop) -> Finding:
    return at_least(trigger_of(ws).get("BatchSize"), 10, " messages")


@step.check("only the failed messages of a batch are retried")
def partial_failures(ws: Workshop) -> Finding:
    return equal(trigger_of(ws).get("FunctionResponseTypes"), ["ReportBatchItemFailures"])


@step.check("the trigger's concurrency is limited")
def bounded(ws: Workshop) -> Finding:
    concurrency = trigger_of(ws).get("ScalingConfig", {}).get("MaximumConcurrency")
    return holds(concurrency and concurrency <= 100, concurrency or "no limit", "a limit of at most 100")


if __name__ == "__main__":
    step.main()
