"""The topic, and who is subscribed to it."""

from collections.abc import Iterator

from workshop.aws.owner import Description
from workshop.aws.place import Place, from_tag_list, to_tag_list
from workshop.kinds.kind import Kind


def _topic(place: Place, name: str) -> Iterator[Description]:
    attributes = place.client("sns").get_topic_attributes(TopicArn=place.arn("sns", name))["Attributes"]
    yield attributes | {"Arn": attributes["TopicArn"]}


def _tags(place: Place, found: Description) -> dict[str, str]:
    """The topic's tags: a subscription has none of its own."""
    return from_tag_list(place.client("sns").list_tags_for_resource(ResourceArn=found["TopicArn"])["Tags"])


def _tag(place: Place, topic: Description, tags: dict[str, str]) -> None:
    place.client("sns").tag_resource(ResourceArn=topic["Arn"], Tags=to_tag_list(tags))


def delete_topic(place: Place, topic: Description) -> None:
    """What is still subscribed goes with it."""
    place.client("sns").delete_topic(TopicArn=topic["Arn"])


def _subscription(place: Place, name: str) -> Iterator[Description]:
    """E-mail subscriptions of a topic. One that waits for its confirmation has no ARN yet, but a word instead."""
    pages = place.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=place.arn("sns", name))
    for page in pages:
        for subscription in page["Subscriptions"]:
            # SNS lists those who unsubscribed for some days more:
            # https://docs.aws.amazon.com/sns/latest/dg/sns-delete-subscription-topic.html
            if subscription["Protocol"] == "email" and subscription["SubscriptionArn"] != "Deleted":
                yield subscription | {"Arn": subscription["SubscriptionArn"]}


def delete_subscription(place: Place, subscription: Description) -> None:
    """One that was never confirmed has no ARN to unsubscribe; it goes with its topic."""
    if subscription["Arn"].startswith("arn:"):
        place.client("sns").unsubscribe(SubscriptionArn=subscription["Arn"])


SNS = {
    "topic": Kind(
        _topic,
        _tags,
        _tag,
        delete_topic,
        arn=lambda place, name: place.arn("sns", name),
        actions=(
            "sns:CreateTopic", "sns:GetTopicAttributes", "sns:SetTopicAttributes", "sns:DeleteTopic",
            "sns:TagResource", "sns:ListTagsForResource", "sns:Subscribe", "sns:ListSubscriptionsByTopic",
        ),
    ),
    # Who unsubscribes names no resource, so far as IAM knows.
    "subscription": Kind(_subscription, _tags, delete=delete_subscription, actions_anywhere=("sns:Unsubscribe",)),
}  # fmt: skip
