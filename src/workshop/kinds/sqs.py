"""Queues."""

from collections.abc import Iterator

from workshop.aws.owner import Description
from workshop.aws.place import Place
from workshop.kinds.kind import Kind


def _queue(place: Place, name: str) -> Iterator[Description]:
    sqs = place.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    yield attributes | {"Arn": attributes["QueueArn"], "QueueUrl": url}


def _tags(place: Place, queue: Description) -> dict[str, str]:
    return dict(place.client("sqs").list_queue_tags(QueueUrl=queue["QueueUrl"]).get("Tags", {}))


def _tag(place: Place, queue: Description, tags: dict[str, str]) -> None:
    place.client("sqs").tag_queue(QueueUrl=queue["QueueUrl"], Tags=tags)


def delete_queue(place: Place, queue: Description) -> None:
    """The messages in it are lost. Its name is free again after 60 seconds."""
    place.client("sqs").delete_queue(QueueUrl=queue["QueueUrl"])


SQS = {
    "queue": Kind(
        _queue,
        _tags,
        _tag,
        delete_queue,
        arn=lambda place, name: place.arn("sqs", name),
        actions=(
            "sqs:CreateQueue", "sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes",
            "sqs:DeleteQueue", "sqs:TagQueue", "sqs:ListQueueTags", "sqs:ReceiveMessage", "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
        ),
    ),
}  # fmt: skip
