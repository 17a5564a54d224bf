"""Step 7: POC-Lambda-2, which reads new orders from the table's stream and publishes them to the topic.

A second event source mapping, this time over a **stream**. A stream is not a queue: records are not deleted when
they were read, they pass. The mapping remembers its position, and when the function fails, it stays there and
tries again, which holds up everything behind. So three settings keep a *poison record* from blocking the stream:
the batch is halved until the bad record is alone, it is tried again ten times within an hour at most, and then its
position is reported to a failure queue.

The mapping's *filter* passes on inserts only: an order that was changed or deleted is no new order. And its
batching is the mail's brake: SNS delivers at most ten e-mails a second to a subscriber and switches off one who
would get more. So up to 1,000 orders, or what came within a second, become one e-mail. A new table has four shards,
each read by one function at a time; step 4's trigger moves at most some 5,000 orders a second. That makes 5 full
batches and 4 last ones: 9 e-mails a second at the very worst.
"""

import json

from workshop.checking import Finding, equal, holds, refuses_plain_http
from workshop.package import deployed, packed, settled
from workshop.policies import as_attribute
from workshop.step import Resource, Step, Workshop

step = Step(7, "lambda_2", "Implement POC-Lambda-2 and connect it to the stream", needs=(1, 5, 6))

SOURCE = "src/lambda/poc-lambda-2/index.py"
WATCHING = ("Enabled", "Enabling", "Creating", "Updating")
TWO_WEEKS = "1209600"


@step.resource("queue", "ecommerce-orders-stream-dlq")
def failure_queue(ws: Workshop, queue: Resource) -> None:
    """Where the trigger reports what it gave up: not the records, but their place in the stream."""
    sqs = ws.client("sqs")
    attributes = {
        "MessageRetentionPeriod": TWO_WEEKS,
        "SqsManagedSseEnabled": "true",
        **as_attribute(ws.only_tls("sqs:*", ws.arn("sqs", queue.name))),
        # Not a dead-letter queue of any other queue.
        "RedriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"}),
    }
    queue.ensure(lambda: sqs.create_queue(QueueName=queue.name, Attributes=attributes, tags=ws.tags))
    queue.converge(attributes, lambda changed: sqs.set_queue_attributes(QueueUrl=queue["QueueUrl"], Attributes=changed))


@step.resource("log-group", "/aws/lambda/POC-Lambda-2")
def log_group(ws: Workshop, group: Resource) -> None:
    """The function's log, kept for two weeks."""
    logs = ws.client("logs")
    group.ensure(lambda: logs.create_log_group(logGroupName=group.name, tags=ws.tags))
    group.converge({"retentionInDays": 14}, lambda change: logs.put_retention_policy(logGroupName=group.name, **change))


@step.resource("function", "POC-Lambda-2")
def function(ws: Workshop, function: Resource) -> None:
    """The function: it knows the topic, and nothing of who reads."""
    lambda_, source = ws.client("lambda"), ws.source(SOURCE)
    configuration = {
        "Role": ws.need("role", "Lambda-DynamoDB-SNS")["Arn"],
        "Runtime": "python3.13",
        "Handler": "index.handler",
        # Enough for two e-mails that SNS never answers, and for the line in the log that says so.
        "Timeout": 30,
        "MemorySize": 256,
        "Environment": {"Variables": {"TOPIC_ARN": ws.need("topic", "ecommerce-orders-topic")["Arn"]}},
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


@step.resource("event-source-mapping", "POC-Lambda-2")
def trigger(ws: Workshop, mapping: Resource) -> None:
    """The trigger: it reads the stream from its beginning, so that no order is missed."""
    lambda_ = ws.client("lambda")
    stream = ws.need("stream", "ecommerce-orders")["Arn"]
    function = ws.need("function", "POC-Lambda-2")["FunctionName"]
    failures = ws.need("queue", "ecommerce-orders-stream-dlq")["Arn"]
    settings = {
        "BatchSize": 1000,
        "MaximumBatchingWindowInSeconds": 1,
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": 10,
        "MaximumRecordAgeInSeconds": 3600,
        "DestinationConfig": {"OnFailure": {"Destination": failures}},
        "FilterCriteria": {"Filters": [{"Pattern": json.dumps({"eventName": ["INSERT"]})}]},
    }

    def of_this_stream() -> dict | None:
        mappings = ws.find_anybodys("event-source-mapping", "POC-Lambda-2")
        return next((one for one in mappings if one["EventSourceArn"] == stream), None)

    for stale in ws.find_all("event-source-mapping", "POC-Lambda-2"):
        # The stream was switched on again since: this trigger points to one that is no more.
        if stale["EventSourceArn"] != stream and stale["State"] != "Deleting" and not ws.looking:
            lambda_.delete_event_source_mapping(UUID=stale["UUID"])
    mapping.ensure(
        lambda: lambda_.create_event_source_mapping(
            FunctionName=function, EventSourceArn=stream, StartingPosition="TRIM_HORIZON", Tags=ws.tags, **settings
        ),
        find=of_this_stream,
    )

    def actual() -> dict:
        failure = mapping.found.get("DestinationConfig", {}).get("OnFailure", {})
        return mapping.found | {
            "Enabled": mapping["State"] in WATCHING,
            # AWS shows an empty destination for successes as well.
            "DestinationConfig": {"OnFailure": failure},
        }

    mapping.converge(
        settings | {"Enabled": True},
        lambda changed: lambda_.update_event_source_mapping(UUID=mapping["UUID"], **changed),
        read=actual,
    )
    if mapping.result in ("created", "updated"):
        reason = f"the trigger of {function} is being set up"
        ws.patience.until(lambda: (of_this_stream() or {}).get("State") == "Enabled", reason, 300)


@step.check("the log is kept for two weeks, and not for ever")
def log_ends(ws: Workshop) -> Finding:
    days = ws.need("log-group", "/aws/lambda/POC-Lambda-2").get("retentionInDays")
    return equal(days, 14)


@step.check("POC-Lambda-2 is ready")
def ready(ws: Workshop) -> Finding:
    return equal(ws.need("function", "POC-Lambda-2")["State"], "Active")


@step.check("POC-Lambda-2 runs python3.13 on arm64")
def runtime(ws: Workshop) -> Finding:
    function = ws.need("function", "POC-Lambda-2")
    return equal([function["Runtime"], *function["Architectures"]], ["python3.13", "arm64"])


@step.check("POC-Lambda-2 runs the code of this repository")
def code(ws: Workshop) -> Finding:
    found = deployed(ws.need("function", "POC-Lambda-2"), ws.source(SOURCE), ws.client.ca_bundle)
    return holds(found == ws.source(SOURCE), "the same" if found == ws.source(SOURCE) else "another text", SOURCE)


@step.check("POC-Lambda-2 starts at index.handler")
def handler(ws: Workshop) -> Finding:
    return equal(ws.need("function", "POC-Lambda-2")["Handler"], "index.handler")


@step.check("POC-Lambda-2 has its own role")
def role(ws: Workshop) -> Finding:
    return equal(ws.need("function", "POC-Lambda-2")["Role"], ws.arn("iam", f"role/{ws.name('Lambda-DynamoDB-SNS')}"))


@step.check("POC-Lambda-2 has time and memory enough")
def sized(ws: Workshop) -> Finding:
    function = ws.need("function", "POC-Lambda-2")
    found = {key: function[key] for key in ("Timeout", "MemorySize")}
    return holds(function["Timeout"] >= 30 and function["MemorySize"] >= 256, found, "30 seconds, 256 MB or more")


@step.check("POC-Lambda-2 knows its topic")
def environment(ws: Workshop) -> Finding:
    found = ws.need("function", "POC-Lambda-2").get("Environment", {}).get("Variables", {})
    return equal(found.get("TOPIC_ARN"), ws.arn("sns", ws.name("ecommerce-orders-topic")))


def trigger_of(ws: Workshop) -> dict:
    """The trigger between the stream and the function; an empty one if there is none."""
    stream = ws.need("stream", "ecommerce-orders")["Arn"]
    mappings = ws.find_all("event-source-mapping", "POC-Lambda-2")
    return next((one for one in mappings if one["EventSourceArn"] == stream), {})


@step.check("the stream triggers POC-Lambda-2")
def triggered(ws: Workshop) -> Finding:
    return holds(trigger_of(ws).get("State") in WATCHING, trigger_of(ws).get("State", "no trigger"), "Enabled")


@step.check("only new orders are told of")
def filtered(ws: Workshop) -> Finding:
    filters = trigger_of(ws).get("FilterCriteria", {}).get("Filters", [])
    return equal(filters, [{"Pattern": json.dumps({"eventName": ["INSERT"]})}])


@step.check("orders of a second share an e-mail, since SNS mails ten times a second at most")
def braked(ws: Workshop) -> Finding:
    mapping = trigger_of(ws)
    found = {key: mapping.get(key) for key in ("BatchSize", "MaximumBatchingWindowInSeconds")}
    enough = (found["BatchSize"] or 0) >= 1000 and (found["MaximumBatchingWindowInSeconds"] or 0) >= 1
    return holds(enough, found, "1,000 records and a second, or more")


@step.check("a record that cannot be passed on does not block the stream for a day")
def unblocked(ws: Workshop) -> Finding:
    mapping = trigger_of(ws)
    retries, age = mapping.get("MaximumRetryAttempts", -1), mapping.get("MaximumRecordAgeInSeconds", -1)
    found = {"retries": retries, "age": age, "bisect": mapping.get("BisectBatchOnFunctionError")}
    bounded = 0 <= retries <= 100 and 60 <= age <= 6 * 3600 and found["bisect"] is True
    return holds(bounded, found, "bounded retries, an age of at most 6 hours, and bisecting")


@step.check("and is reported to the failure queue")
def reported(ws: Workshop) -> Finding:
    destination = trigger_of(ws).get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    return equal(destination, ws.need("queue", "ecommerce-orders-stream-dlq")["Arn"])


@step.check("the failure queue is encrypted, and keeps its messages for two weeks")
def failures_kept(ws: Workshop) -> Finding:
    queue = ws.need("queue", "ecommerce-orders-stream-dlq")
    found = [queue.get("SqsManagedSseEnabled"), queue["MessageRetentionPeriod"]]
    return equal(found, ["true", TWO_WEEKS])


@step.check("the failure queue refuses plain HTTP")
def failures_by_tls(ws: Workshop) -> Finding:
    queue = ws.need("queue", "ecommerce-orders-stream-dlq")
    policy = json.loads(queue.get("Policy") or '{"Statement": []}')
    return refuses_plain_http(ws, policy, queue["Arn"], "sqs:SendMessage", "sqs:ReceiveMessage")


if __name__ == "__main__":
    step.main()
