"""`workshop redrive`: what lies in the dead-letter queues, and back with it into the flow.

Orders go back through the front door, the API: nobody but its role may send to the queue, and what was no order
then is refused there once more and stays where it is. An order without an id of its own gets the id of its first
message, so that one which was stored after all is not stored twice.

The stream's failure queue holds no records, only their place in the stream. They are fetched from there while
they live (24 hours) and handed to POC-Lambda-2.
"""

import json
import time
from dataclasses import dataclass
from typing import Annotated, Any

from botocore.exceptions import ClientError, ParamValidationError
from typer import Option

from workshop.errors import WorkshopError
from workshop.step import Workshop
from workshop.web import json_object, post

ORDERS, RECORDS = "ecommerce-orders-dlq", "ecommerce-orders-stream-dlq"
#: Seconds for which a message is hidden from others while it is looked at and sent back.
HIDDEN = 120
#: More than this are left for the next run.
MOST = 1_000
SILENCE = "POC-Lambda-1 said nothing of it: it failed, or never got it"


@dataclass(frozen=True)
class DeadLetter:
    """A message of a dead-letter queue.

    Attributes:
        queue: the queue's name before the prefix.
        id: the message's id.
        body: its text.
        handle: what SQS wants for deleting it.
        age: seconds since it was sent first.
        reason: why it is here.
        hopeless: POC-Lambda-1 found that it is no order, which no repetition changes.
    """

    queue: str
    id: str
    body: str
    handle: str
    age: int
    reason: str
    hopeless: bool = False


def redrive(
    ws: Workshop,
    id: Annotated[str | None, Option(help="Only the message with this id.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Only show what lies there.")] = False,
    discard: Annotated[bool, Option("--discard", help="Delete what is no order, instead of sending it back.")] = False,
) -> dict[str, Any]:
    """Show what lies in the dead-letter queues, with reason and age, and send it back.

    Example: workshop redrive --dry-run
    """
    ws.need("rest-api", "ecommerce-orders-api")
    letters = [letter for queue in (ORDERS, RECORDS) for letter in receive(ws, queue)]
    chosen = [letter for letter in letters if id in (None, letter.id)]
    outcome: dict[str, list[dict[str, Any]]] = {"sent": [], "refused": [], "discarded": []}
    try:
        if id is not None and not chosen:
            raise WorkshopError(f"There is no dead letter {id}.", "See: workshop redrive --dry-run")
        if not letters:
            ws.console.say("There are no dead letters.")
            return {"letters": [], **outcome}
        ws.console.table(
            "Dead letters",
            ("Queue", "Message", "Age", "Reason"),
            [(one.queue, one.id, f"{one.age} s", one.reason) for one in chosen],
        )
        if chosen and not dry_run:
            ws.console.confirm(f"Send {len(chosen)} back?", ws.settings.yes)
            for letter in chosen:
                verdict, detail = send_back(ws, letter, discard)
                if verdict != "refused":
                    delete(ws, letter)
                outcome[verdict].append({"id": letter.id, "queue": letter.queue, "detail": detail})
                ws.console.say(f"  {verdict:<10}{letter.id}  {detail}")
    finally:
        settled = {entry["id"] for verdict in ("sent", "discarded") for entry in outcome[verdict]}
        for letter in letters:
            if letter.id not in settled:
                show_again(ws, letter)
    if dry_run:
        ws.console.say(f"{len(chosen)} would be sent back.")
    else:
        ws.console.say(", ".join(f"{len(entries)} {verdict}" for verdict, entries in outcome.items()))
    return {"letters": [{k: v for k, v in vars(one).items() if k != "handle"} for one in chosen], **outcome}


def receive(ws: Workshop, base: str) -> list[DeadLetter]:
    """Take everything out of a dead-letter queue for a while; what is not deleted comes back."""
    queue = ws.find("queue", base)
    messages: dict[str, dict[str, Any]] = {}
    while queue and len(messages) < MOST:
        # Without waiting, only some of SQS's servers are asked, and messages overlooked:
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
        answer = ws.client("sqs").receive_message(
            QueueUrl=queue["QueueUrl"], MaxNumberOfMessages=10, VisibilityTimeout=HIDDEN, AttributeNames=["All"],
            WaitTimeSeconds=1,
        )  # fmt: skip
        if not answer.get("Messages"):
            break
        messages |= {message["MessageId"]: message for message in answer["Messages"]}
    sent = {one: int(message["Attributes"]["SentTimestamp"]) / 1000 for one, message in messages.items()}
    said = last_words(ws, min(sent.values())) if sent and base == ORDERS else {}
    return [
        DeadLetter(
            base, one, message["Body"], message["ReceiptHandle"], round(time.time() - sent[one]),
            reason_for_record(message) if base == RECORDS else said.get(one, {}).get("reason", SILENCE),
            hopeless=said.get(one, {}).get("event") == "refused",
        )
        for one, message in messages.items()
    ]  # fmt: skip


def last_words(ws: Workshop, since: float) -> dict[str, dict[str, Any]]:
    """What POC-Lambda-1 said at last of every message that it could not do: `{message id: line of its log}`.

    Args:
        ws: the context.
        since: seconds since 1970.
    """
    lines = ws.read_log("POC-Lambda-1", "ERROR", since)
    return {line["messageId"]: line for line in lines if line.get("level") == "ERROR" and "messageId" in line}


def reason_for_record(message: dict[str, Any]) -> str:
    """Why the trigger of POC-Lambda-2 gave up, and on how many records."""
    batch, context = part(message["Body"], "DDBStreamBatchInfo"), part(message["Body"], "requestContext")
    return f"{batch.get('batchSize', '?')} record(s): {context.get('condition', 'unknown')}"


def part(report: str, name: str) -> dict[str, Any]:
    """A part of what the trigger reported; empty if somebody put something else into the queue."""
    found = json_object(report).get(name)
    return found if isinstance(found, dict) else {}


def send_back(ws: Workshop, letter: DeadLetter, discard: bool) -> tuple[str, str]:
    """Send one dead letter back into the flow.

    Args:
        ws: the context.
        letter: the letter.
        discard: give up what is no order, or cannot be told of any more.

    Returns:
        `sent`, `refused` or `discarded`, and what there is to say of it.
    """
    if letter.hopeless and discard:
        # The API would let some of these in again: text that is JSON, but no Unicode, for one.
        return "discarded", letter.reason
    verdict, detail = tell_again(ws, letter) if letter.queue == RECORDS else order_again(ws, letter)
    return ("discarded" if discard and verdict == "refused" else verdict), detail


def order_again(ws: Workshop, letter: DeadLetter) -> tuple[str, str]:
    """Place the order once more, under the id that it had."""
    order = json_object(letter.body)
    body = json.dumps({"orderId": letter.id, **order}) if order else letter.body
    status, answer = post(ws.api_url(), body.encode(), ca_bundle=ws.client.ca_bundle)
    if status == 202:
        return "sent", f"as order {json_object(body)['orderId']}"
    return "refused", f"the API answered {status}: {answer.get('message', letter.reason)}"


def tell_again(ws: Workshop, letter: DeadLetter) -> tuple[str, str]:
    """Fetch records from the stream, and let POC-Lambda-2 have them once more."""
    records = records_of(ws, part(letter.body, "DDBStreamBatchInfo"))
    if not records:
        return "refused", "its records have left the stream, which keeps them for 24 hours; the orders are in the table"
    answer = ws.client("lambda").invoke(
        FunctionName=ws.name("POC-Lambda-2"), Payload=json.dumps({"Records": records}).encode()
    )
    if answer.get("FunctionError"):
        return "refused", f"POC-Lambda-2 failed again: {json_object(answer['Payload'].read()).get('errorMessage')}"
    return "sent", f"{len(records)} order(s) told of"


def records_of(ws: Workshop, batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a batch, in the form in which Lambda gets them; none if they are gone.

    Args:
        ws: the context.
        batch: `streamArn`, `shardId`, `startSequenceNumber` and `endSequenceNumber`, as the trigger reported them.
    """
    streams = ws.client("dynamodbstreams")
    try:
        iterator = streams.get_shard_iterator(
            StreamArn=batch["streamArn"], ShardId=batch["shardId"], ShardIteratorType="AT_SEQUENCE_NUMBER",
            SequenceNumber=batch["startSequenceNumber"],
        )["ShardIterator"]  # fmt: skip
        records: list[dict[str, Any]] = []
        while iterator:
            page = streams.get_records(ShardIterator=iterator)
            for record in page["Records"]:
                if int(record["dynamodb"]["SequenceNumber"]) > int(batch["endSequenceNumber"]):
                    return records
                records.append(as_lambda_gets_it(record))
            iterator = page.get("NextShardIterator") if page["Records"] else None
        return records
    except (KeyError, ValueError, ClientError, ParamValidationError):
        return []


def as_lambda_gets_it(record: dict[str, Any]) -> dict[str, Any]:
    """A record as the stream's API gives it, with its time as a number, which JSON can carry."""
    change = dict(record["dynamodb"])
    if "ApproximateCreationDateTime" in change:
        change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
    return {"eventName": record["eventName"], "dynamodb": change}


def delete(ws: Workshop, letter: DeadLetter) -> None:
    """Take a letter out of its queue for good."""
    url = ws.need("queue", letter.queue)["QueueUrl"]
    ws.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=letter.handle)


def show_again(ws: Workshop, letter: DeadLetter) -> None:
    """Let others see a letter again at once."""
    url = ws.need("queue", letter.queue)["QueueUrl"]
    ws.client("sqs").change_message_visibility(QueueUrl=url, ReceiptHandle=letter.handle, VisibilityTimeout=0)


def refused(document: dict[str, Any], dry_run: bool = False, **_: Any) -> WorkshopError | None:
    """What the command ends with when something could not be sent back."""
    if dry_run or not document["refused"]:
        return None
    return WorkshopError(
        f"{len(document['refused'])} dead letter(s) were refused again and stay where they are.",
        "What is no order cannot become one; delete it with: workshop redrive --discard",
    )
