"""Read the stream records that a report in the failure queue refers to.

A report contains only their position: stream, shard, and first and last sequence number. The stream keeps records for
24 hours.
"""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from botocore.exceptions import ClientError

from workshop.base.errors import WorkshopError
from workshop.base.http import json_object
from workshop.build.context import Workshop

#: DynamoDB's error for a record that is older than 24 hours, and how many empty pages in a row to read.
TRIMMED, MAX_EMPTY_PAGES = "TrimmedDataAccessException", 100

IteratorType = Literal["AT_SEQUENCE_NUMBER", "TRIM_HORIZON"]


class Expired(Exception):
    """The records have expired, or their stream is gone."""


def part(report: str, name: str) -> dict[str, Any]:
    """Return a part of a report. It's empty if the message isn't a report."""
    found = json_object(report).get(name)
    return found if isinstance(found, dict) else {}


def reason_of(report: str) -> str:
    """Return why the trigger of POC-Lambda-2 gave up, and on how many records."""
    batch, context = part(report, "DDBStreamBatchInfo"), part(report, "requestContext")
    return f"{batch.get('batchSize', '?')} record(s): {context.get('condition', 'unknown')}"


def position_of(report: str) -> dict[str, str] | None:
    """Return the position of a report's records in the stream, or None if it has none.

    https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
    """
    batch = part(report, "DDBStreamBatchInfo")
    position = {key: batch.get(key) for key in ("streamArn", "shardId", "startSequenceNumber", "endSequenceNumber")}
    complete = all(isinstance(value, str) and value for value in position.values())
    numeric = complete and all(str(position[key]).isdecimal() for key in ("startSequenceNumber", "endSequenceNumber"))
    in_order = numeric and int(str(position["startSequenceNumber"])) <= int(str(position["endSequenceNumber"]))
    return {key: str(value) for key, value in position.items()} if in_order else None


def records_of(ws: Workshop, position: dict[str, str]) -> list[dict[str, Any]]:
    """Return the records at a position that the stream still has, in the form that Lambda receives.

    Raises:
        Expired: all of them have expired.
        ClientError, BotoCoreError, WorkshopError: it isn't known whether they have.
    """
    streams = ws.client("dynamodbstreams")
    first, last = position["startSequenceNumber"], position["endSequenceNumber"]

    def iterator(kind: IteratorType, number: str | None) -> str:
        at = {} if number is None else {"SequenceNumber": number}
        answer = streams.get_shard_iterator(
            StreamArn=position["streamArn"], ShardId=position["shardId"], ShardIteratorType=kind, **at
        )
        return str(answer["ShardIterator"])

    try:
        next_page: str | None = _start(iterator, first, last)
        found: list[dict[str, Any]] = []
        empty = 0
        # A page may be empty even if more follow.
        while next_page and empty < MAX_EMPTY_PAGES:
            page = streams.get_records(ShardIterator=next_page)
            for record in page["Records"]:
                number = int(record["dynamodb"]["SequenceNumber"])
                if int(first) <= number <= int(last):
                    found.append(as_lambda_record(record))
                if number >= int(last):
                    return found
            empty = 0 if page["Records"] else empty + 1
            next_page = page.get("NextShardIterator")
    except streams.exceptions.ResourceNotFoundException:
        # AWS deletes a shard with its last record, and a stream 24 hours after it's disabled.
        raise Expired from None
    raise WorkshopError("the last record of this report isn't in its shard yet")


def _start(iterator: Callable[[IteratorType, str | None], str], first: str, last: str) -> str:
    """Return an iterator at the first record, or at the start of the shard if the first record has expired.

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


def as_lambda_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a record of the streams API to the form that Lambda receives: its time is a number."""
    change = dict(record["dynamodb"])
    if "ApproximateCreationDateTime" in change:
        change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
    return {"eventName": record["eventName"], "dynamodb": change}


def as_json(records: list[dict[str, Any]]) -> str:
    """Return the event that Lambda makes of records, with bytes in base64."""
    return json.dumps({"Records": records}, default=lambda value: base64.b64encode(value).decode())
