"""Step 7: POC-Lambda-2, which reads new orders from the table's stream and publishes them to the topic.

This is the second event source mapping, and it reads a **stream**. A stream isn't a queue: reading a record doesn't
delete it. The mapping keeps its position in each shard. When the function fails, the mapping retries the same batch,
and everything behind it waits. Three settings keep a record that can never be processed (a *poison record*) from
blocking its shard: the mapping splits the batch until the record is alone, retries it at most ten times within one
hour, and then sends its position to a failure queue.

The *filter* lets only inserts through, because a changed or deleted order is not a new order. The batching limits
the e-mails: SNS delivers at most ten a second to a subscription, and disables one that exceeds it. So up to 1,000
orders, or whatever arrives within one second, share one e-mail. A new table has four shards, each read by one
invocation at a time, and step 4's trigger stores at most about 5,000 orders a second. In the worst case that makes 5
full batches and 4 partial ones: 9 e-mails a second.
"""

import json

from workshop.aws.owner import Description
from workshop.aws.policies import as_attribute
from workshop.base.services import Parameters
from workshop.build.checks import Finding, equal, holds, refuses_plain_http
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

step = Step(7, "lambda_2", "Implement POC-Lambda-2 and connect it to the stream", needs=(1, 5, 6))

SOURCE = "src/lambda/poc-lambda-2/index.py"
TWO_WEEKS = "1209600"


@step.resource("queue", "ecommerce-orders-stream-dlq")
def failure_queue(ws: Workshop, queue: Resource) -> None:
    """The failure queue. For a discarded batch, the trigger sends its position in the stream, not the records."""
    sqs = ws.client("sqs")
    attributes: Parameters = {
        "MessageRetentionPeriod": TWO_WEEKS,
        "SqsManagedSseEnabled": "true",
        **as_attribute(ws.only_tls("sqs:*", ws.arn("sqs", queue.name))),
        # No other queue can use this one as its dead-letter queue.
        "RedriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"}),
    }
    queue.ensure(lambda: sqs.create_queue(QueueName=queue.name, Attributes=attributes, tags=ws.tags))
    queue.converge(attributes, lambda changed: sqs.set_queue_attributes(QueueUrl=queue["QueueUrl"], Attributes=changed))


@step.resource("log-group", "/aws/lambda/POC-Lambda-2")
def log_group(ws: Workshop, group: Resource) -> None:
    """The log group, which keeps events for two weeks."""
    logs = ws.client("logs")
    group.ensure(lambda: logs.create_log_group(logGroupName=group.name, tags=ws.tags))
    group.converge({"retentionInDays": 14}, lambda change: logs.put_retention_policy(logGroupName=group.name, **change))


@step.resource("function", "POC-Lambda-2")
def function(ws: Workshop, function: Resource) -> None:
    """The function: it knows the topic, but not its subscribers."""
    lambda_, source = ws.client("lambda"), ws.source(SOURCE)
    configuration = {
        "Role": ws.need("role", "Lambda-DynamoDB-SNS")["Arn"],
        "Runtime": "python3.13",
        "Handler": "index.handler",
        # Long enough for two publish calls that time out, and for logging that they did.
        "Timeout": 30,
        "MemorySize": 256,
        "Environment": {"Variables": {"TOPIC_ARN": ws.need("topic", "ecommerce-orders-topic")["Arn"]}},
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


@step.resource("event-source-mapping", "POC-Lambda-2")
def trigger(ws: Workshop, mapping: Resource) -> None:
    """The trigger: it reads the stream from its oldest record, so that it misses no order."""
    lambda_ = ws.client("lambda")
    stream = ws.need("stream", "ecommerce-orders")["Arn"]
    function = ws.need("function", "POC-Lambda-2")["FunctionName"]
    failures = ws.need("queue", "ecommerce-orders-stream-dlq")["Arn"]
    settings: Parameters = {
        "BatchSize": 1000,
        "MaximumBatchingWindowInSeconds": 1,
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": 10,
        "MaximumRecordAgeInSeconds": 3600,
        "DestinationConfig": {"OnFailure": {"Destination": failures}},
        "FilterCriteria": {"Filters": [{"Pattern": json.dumps({"eventName": ["INSERT"]})}]},
    }

    # If the stream was enabled again, a trigger of the old stream reads nothing any more.
    mapping.discard(
        [one for one in ws.find_all("event-source-mapping", "POC-Lambda-2") if one["EventSourceArn"] != stream]
    )
    mapping.ensure(
        lambda: lambda_.create_event_source_mapping(
            FunctionName=function, EventSourceArn=stream, StartingPosition="TRIM_HORIZON", Tags=ws.tags, **settings
        ),
        find=lambda: trigger_between(ws, "POC-Lambda-2", stream),
    )
    converge_trigger(ws, mapping, settings)


@step.check("the log group keeps events for two weeks")
def log_ends(ws: Workshop) -> Finding:
    days = ws.need("log-group", "/aws/lambda/POC-Lambda-2").get("retentionInDays")
    return equal(days, 14)


check_function(step, "POC-Lambda-2", role="Lambda-DynamoDB-SNS", source=SOURCE, seconds=30, megabytes=256)


@step.check("TOPIC_ARN of POC-Lambda-2 is the orders topic")
def environment(ws: Workshop) -> Finding:
    found = ws.need("function", "POC-Lambda-2").get("Environment", {}).get("Variables", {})
    return equal(found.get("TOPIC_ARN"), ws.arn("sns", ws.name("ecommerce-orders-topic")))


def trigger_of(ws: Workshop) -> Description:
    """Return the trigger between the stream and the function; empty if there is none."""
    return our_trigger(ws, "POC-Lambda-2", ws.need("stream", "ecommerce-orders")["Arn"])


@step.check("the stream triggers POC-Lambda-2")
def triggered(ws: Workshop) -> Finding:
    return holds(trigger_of(ws).get("State") in WATCHING, trigger_of(ws).get("State", "no trigger"), "Enabled")


@step.check("only inserts trigger a notification")
def filtered(ws: Workshop) -> Finding:
    filters = trigger_of(ws).get("FilterCriteria", {}).get("Filters", [])
    return equal(filters, [{"Pattern": json.dumps({"eventName": ["INSERT"]})}])


@step.check("batching keeps e-mails below ten a second")
def braked(ws: Workshop) -> Finding:
    mapping = trigger_of(ws)
    found = {key: mapping.get(key) for key in ("BatchSize", "MaximumBatchingWindowInSeconds")}
    enough = (found["BatchSize"] or 0) >= 1000 and (found["MaximumBatchingWindowInSeconds"] or 0) >= 1
    return holds(enough, found, "at least 1,000 records and 1 second")


@step.check("a poison record can't block the stream")
def unblocked(ws: Workshop) -> Finding:
    mapping = trigger_of(ws)
    retries, age = mapping.get("MaximumRetryAttempts", -1), mapping.get("MaximumRecordAgeInSeconds", -1)
    found = {"retries": retries, "age": age, "bisect": mapping.get("BisectBatchOnFunctionError")}
    bounded = 0 <= retries <= 100 and 60 <= age <= 6 * 3600 and found["bisect"] is True
    return holds(bounded, found, "at most 100 retries, at most 6 hours of age, and bisecting")


@step.check("discarded records are reported to the failure queue")
def reported(ws: Workshop) -> Finding:
    destination = trigger_of(ws).get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    return equal(destination, ws.need("queue", "ecommerce-orders-stream-dlq")["Arn"])


@step.check("the failure queue is encrypted and keeps messages for two weeks")
def failures_kept(ws: Workshop) -> Finding:
    queue = ws.need("queue", "ecommerce-orders-stream-dlq")
    found = [queue.get("SqsManagedSseEnabled"), queue["MessageRetentionPeriod"]]
    return equal(found, ["true", TWO_WEEKS])


@step.check("the failure queue rejects plain HTTP")
def failures_by_tls(ws: Workshop) -> Finding:
    queue = ws.need("queue", "ecommerce-orders-stream-dlq")
    policy = json.loads(queue.get("Policy") or '{"Statement": []}')
    return refuses_plain_http(ws, policy, queue["Arn"], "sqs:SendMessage", "sqs:ReceiveMessage")


if __name__ == "__main__":
    step.main()
