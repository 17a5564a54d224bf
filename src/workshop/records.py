"""The records that a report in the stream's failure queue is about, fetched from the stream itself.

A report names their place only: stream, shard, and the first and the last sequence number. They live for 24 hours.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from workshop.context import Workshop
from workshop.errors import WorkshopError
from workshop.web import json_object

#: How DynamoDB says that a record is older than 24 hours, and how many empty pages in a row are worth reading.
TRIMMED, EMPTY_PAGES = "TrimmedDataAccessException", 100


class Expired(Exception):
    """DynamoDB says that the records are gone: they are older than 24 hours, or their stream is."""


def part(report: str, name: str) -> dict[str, Any]:
    """A part of what the trigger reported; empty if somebody put something else into the queue."""
    found = json_object(report).get(name)
    return found if isinstance(found, dict) else {}


def place_of(report: str) -> dict[str, str] | None:
    """Where in the stream the records of a report are; None if it does not say so.

    https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
    """
    batch = part(report, "DDBStreamBatchInfo")
    place = {key: batch.get(key) for key in ("streamArn", "shardId", "startSequenceNumber", "endSequenceNumber")}
    whole = all(isinstance(value, str) and value for value in place.values())
    numbers = whole and all(str(place[key]).isdecimal() for key in ("startSequenceNumber", "endSequenceNumber"))
    in_order = numbers and int(str(place["startSequenceNumber"])) <= int(str(place["endSequenceNumber"]))
    return {key: str(value) for key, value in place.items()} if in_order else None


def records_of(ws: Workshop, place: dict[str, str]) -> list[dict[str, Any]]:
    """The records of a place in the stream that are still there, in the form in which Lambda gets them.

    Raises:
        Expired: none of them is there any more.
        ClientError, BotoCoreError, WorkshopError: DynamoDB does not say for sure.
    """
    streams = ws.client("dynamodbstreams")
    first, last = place["startSequenceNumber"], place["endSequenceNumber"]

    def iterator(kind: str, number: str | None) -> str:
        at = {} if number is None else {"SequenceNumber": number}
        answer = streams.get_shard_iterator(
            StreamArn=place["streamArn"], ShardId=place["shardId"], ShardIteratorType=kind, **at
        )
        return str(answer["ShardIterator"])

    try:
        position: str | None = _start(iterator, first, last)
        found: list[dict[str, Any]] = []
        empty = 0
        # A page may be empty although more follows.
        while position and empty < EMPTY_PAGES:
            page = streams.get_records(ShardIterator=position)
            for record in page["Records"]:
                number = int(record["dynamodb"]["SequenceNumber"])
                if int(first) <= number <= int(last):
                    found.append(as_lambda_gets_it(record))
                if number >= int(last):
                    return found
            empty = 0 if page["Records"] else empty + 1
            position = page.get("NextShardIterator")
    except streams.exceptions.ResourceNotFoundException:
        # AWS deletes a shard with its last record, and a stream 24 hours after it was switched off.
        raise Expired from None
    raise WorkshopError("the last record of this report is not in its shard yet")


def _start(iterator: Callable[[str, str | None], str], first: str, last: str) -> str:
    """Where to read from: the first record, or where the shard begins if that one has expired, but not the last one.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetShardIterator.html
    """
    try:
        return iterator("AT_SEQUENCE_NUMBER", first)
    except ClientError as error:
        if error.response["Error"]["Code"] != TRIMMED:
            raise
    try:
        iterator("AT_SEQUENCE_NUMBER", last)
    except ClientError as error:
        if error.response["Error"]["Code"] == TRIMMED:
            raise Expired from None
        raise
    return iterator("TRIM_HORIZON", None)


def as_lambda_gets_it(record: dict[str, Any]) -> dict[str, Any]:
    """A record as the stream's API gives it, with its time as a number, which JSON can carry."""
    change = dict(record["dynamodb"])
    if "ApproximateCreationDateTime" in change:
        change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
    return {"eventName": record["eventName"], "dynamodb": change}


def as_json(records: list[dict[str, Any]]) -> str:
    """The event that Lambda makes of records; bytes become base64, as they do there."""
    return json.dumps({"Records": records}, default=lambda value: base64.b64encode(value).decode())
