"""Notebook 07: the settings of a trigger for a table whose stream has sixteen shards."""

from collections.abc import Iterator
from typing import Any

from botocore.validate import ParamValidator

from workshop.build.checks import simulate
from workshop.build.step import Workshop

from .trying import Row, Rows, unknown_names

SHARDS, ORDERS_A_SECOND, MOST_MAILS = 16, 2000, 10
#: Lambda looks for records so often: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
POLLS_A_SECOND = 4
#: Lambda's defaults: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html
DEFAULTS: dict[str, Any] = {
    "BatchSize": 100,
    "MaximumBatchingWindowInSeconds": 0,
    "ParallelizationFactor": 1,
    "BisectBatchOnFunctionError": False,
    "MaximumRetryAttempts": -1,
    "MaximumRecordAgeInSeconds": -1,
}
#: The seconds after which a record that cannot be passed on must have been reported.
OLDEST = 600
#: A failed call of the function, and the pause after it, take about so long.
SECONDS_A_TRY = 1.0


def try_parameters(ws: Workshop, answer: dict[str, Any]) -> str:
    """Hold the settings against AWS's model of the call. Returns what is wrong."""
    model = ws.client("lambda").meta.service_model.operation_model("CreateEventSourceMapping").input_shape
    assert model is not None, "the call has parameters"
    if unknown := unknown_names(answer, model.members):
        return unknown
    report = ParamValidator().validate({"FunctionName": "POC-Lambda-2"} | answer, model)
    if report.has_errors():
        return " ".join(report.generate_report().split())
    for name, value in answer.items():
        limits = model.members[name].metadata
        if model.members[name].type_name in ("integer", "long") and not limits["min"] <= value <= limits["max"]:
            return f"{name} is from {limits['min']} to {limits['max']:,}."
    age = answer.get("MaximumRecordAgeInSeconds", -1)
    # https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
    return "MaximumRecordAgeInSeconds is -1, or 60 and more." if -1 < age < 60 else ""


def mails_a_second(settings: dict[str, Any]) -> float:
    """How many batches the shards close each second: a batch ends when it is full, or when its window ends."""
    queues = SHARDS * settings["ParallelizationFactor"]
    window = settings["MaximumBatchingWindowInSeconds"]
    full = ORDERS_A_SECOND / queues / settings["BatchSize"]
    return float(queues * max(full, 1 / window if window else POLLS_A_SECOND))


def try_poison(settings: dict[str, Any]) -> tuple[set[int], float]:
    """Run a batch of 64 records, one of which always fails, by the rules of the trigger.

    https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html

    Returns:
        The records that the trigger gives up (the bad one is number 20), and the seconds until then.
    """
    bad, seconds = 20, 0.0
    given_up: set[int] = set()
    retries, age = settings["MaximumRetryAttempts"], settings["MaximumRecordAgeInSeconds"]
    longest = 24 * 3600 if age == -1 else age

    def run(batch: range) -> Iterator[int]:
        nonlocal seconds
        tries = 0
        while bad in batch:
            seconds, tries = seconds + SECONDS_A_TRY, tries + 1
            if seconds >= longest or (retries != -1 and tries > retries):
                yield from batch
                return
            # Halving is no retry: it leaves their number as it is.
            if settings["BisectBatchOnFunctionError"] and len(batch) > 1:
                middle = len(batch) // 2
                yield from run(batch[:middle])
                yield from run(batch[middle:])
                return

    given_up.update(run(range(64)))
    return given_up, seconds


def check(ws: Workshop, answer: Any) -> Rows:
    """Hold the settings against AWS's model, count the mails, and run a batch that fails."""
    given = isinstance(answer, dict) and bool(answer)
    yield Row("there are settings", given, "A dictionary, such as the one that the step builds.")
    if not given:
        return
    trouble = try_parameters(ws, answer)
    yield Row("Lambda takes them", not trouble, trouble)
    if trouble:
        return
    settings = DEFAULTS | answer
    mails = mails_a_second(settings)
    yield Row(
        "at most ten e-mails a second",
        mails <= MOST_MAILS,
        f"It would be {mails:.1f}. Each of the {SHARDS} shards closes a batch when it is full or when its window ends.",
    )
    given_up, seconds = try_poison(settings)
    yield Row(
        "a record that never succeeds is given up within ten minutes",
        seconds <= OLDEST and 0 <= settings["MaximumRecordAgeInSeconds"] <= OLDEST,
        "While Lambda cannot call the function at all, only the age of a record ends its wait:"
        " MaximumRecordAgeInSeconds, 60 to 600.",
    )
    yield Row(
        "it takes no other record along",
        len(given_up) == 1,
        f"Of a batch of 64 records with one bad one, {len(given_up)} were given up. BisectBatchOnFunctionError halves"
        " a batch that fails.",
    )
    yield Row(
        "a batch that fails once is tried again",
        settings["MaximumRetryAttempts"] != 0,
        "SNS may be out of reach for a second. MaximumRetryAttempts 0 gives up at once.",
    )
    destination = answer.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
    reported = bool(destination) and may_report(ws, destination)
    yield Row("what is given up is reported", reported, wrong_destination(ws, destination))


def may_report(ws: Workshop, destination: str) -> bool:
    """Whether the function's role may send to this destination. Lambda reports with that role's permissions."""
    role = ws.need("role", "Lambda-DynamoDB-SNS")["Arn"]
    return simulate(ws, role, [("sqs:SendMessage", destination)])["sqs:SendMessage", destination]


def wrong_destination(ws: Workshop, destination: str) -> str:
    """A hint for a failure destination."""
    queue = ws.arn("sqs", ws.name("ecommerce-orders-stream-dlq"))
    if destination:
        return f"The role of POC-Lambda-2 may not send to {destination}. It may send to {queue}."
    return f'Nobody would hear of it. Add "DestinationConfig": {{"OnFailure": {{"Destination": "{queue}"}}}}.'
