"""Answers to the exercise of `lambda_2`: a trigger's settings."""

from answers import changed, value


def failures(ws, base="ecommerce-orders-stream-dlq"):
    return {"OnFailure": {"Destination": ws.arn("sqs", ws.name(base))}}


def settings(ws):
    return {
        "BatchSize": 1000,
        "MaximumBatchingWindowInSeconds": 2,
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": 10,
        "MaximumRecordAgeInSeconds": 600,
        "DestinationConfig": failures(ws),
    }


def in_other_words(ws):
    # Retries without end, which the age ends; and a longer window.
    more = {"MaximumBatchingWindowInSeconds": 5, "MaximumRecordAgeInSeconds": 300, "ParallelizationFactor": 2}
    return {key: value for key, value in settings(ws).items() if key != "MaximumRetryAttempts"} | more


blank = value({"BatchSize": 100, "MaximumBatchingWindowInSeconds": 1})
RIGHT = [settings, in_other_words]
WRONG = {
    "the step's own": (
        changed(settings, MaximumBatchingWindowInSeconds=1),
        "It would be 16.0. Each of the 16 shards",
    ),
    "no window": (changed(settings, MaximumBatchingWindowInSeconds=None), "It would be 64.0"),
    "small batches": (changed(settings, BatchSize=100), "It would be 20.0"),
    "ten at once for each shard": (changed(settings, ParallelizationFactor=10), "It would be 80.0"),
    "nothing halved": (changed(settings, BisectBatchOnFunctionError=None), "64 were given up"),
    "for ever": (changed(settings, MaximumRecordAgeInSeconds=-1), "MaximumRecordAgeInSeconds, 60 to 600"),
    "an hour": (changed(settings, MaximumRecordAgeInSeconds=3600), "MaximumRecordAgeInSeconds, 60 to 600"),
    "half a minute": (changed(settings, MaximumRecordAgeInSeconds=30), "is -1, or 60 and more"),
    "at once": (changed(settings, MaximumRetryAttempts=0), "gives up at once"),
    "nobody told": (changed(settings, DestinationConfig=None), "Nobody would hear of it"),
    "a queue that is not ours to fill": (
        lambda ws: settings(ws) | {"DestinationConfig": failures(ws, "ecommerce-orders-dlq")},
        "The role of POC-Lambda-2 may not send to",
    ),
    "too many": (changed(settings, BatchSize=20_000), "BatchSize is from 1 to 10,000"),
    "text": (changed(settings, BatchSize="1000"), "BatchSize"),
    "a misspelt setting": (changed(settings, BatchSizes=1000), "do you mean 'BatchSize'?"),
}
