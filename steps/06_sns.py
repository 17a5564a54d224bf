"""Step 6: the SNS topic. POC-Lambda-2 publishes to it, and every subscriber gets an e-mail.

A **topic** decouples the publisher from its subscribers: the function doesn't know who they are. SNS sends a new
subscriber one e-mail with a confirmation link, and nothing more until somebody clicks it. Until then, the
subscription is *pending confirmation*. That's expected, not an error.
"""

import json

from botocore.exceptions import ClientError

from workshop.aws.owner import Description
from workshop.aws.policies import Document, document, nobody_but
from workshop.base.errors import UsageError
from workshop.base.settings import LOCAL_EMAIL
from workshop.build.checks import (
    Finding,
    holds,
    lets_through,
    refuses_plain_http,
    refuses_strangers,
    somebody_to_notify,
    typed,
)
from workshop.build.step import Resource, Step, Workshop

step = Step(6, "sns", "Create the SNS topic and its e-mail subscription", needs=(1,))


@step.resource("topic", "ecommerce-orders-topic")
def orders_topic(ws: Workshop, topic: Resource) -> None:
    """The topic, and its policy: only the role of POC-Lambda-2 can publish."""
    sns = ws.client("sns")
    publisher, arn = ws.need("role", "Lambda-DynamoDB-SNS")["Arn"], ws.arn("sns", topic.name)
    policy = json.dumps(
        document(
            nobody_but("sns:Publish", arn, publisher),
            ws.only_tls("sns:Publish", arn),
        )
    )
    topic.ensure(lambda: sns.create_topic(Name=topic.name, Attributes={"Policy": policy}, Tags=ws.tag_list))
    topic.converge(
        {"Policy": policy},
        lambda _: sns.set_topic_attributes(TopicArn=topic.arn, AttributeName="Policy", AttributeValue=policy),
    )


@step.resource("subscription", "ecommerce-orders-topic")
def email_subscription(ws: Workshop, subscription: Resource) -> None:
    """The e-mail subscription. If you run this again with another --email, you add a second subscriber."""
    sns = ws.client("sns")
    topic = ws.need("topic", "ecommerce-orders-topic")["Arn"]

    def subscribed() -> Description | None:
        # This excludes addresses that unsubscribed: they have to confirm again.
        everyone = ws.find_all("subscription", "ecommerce-orders-topic")
        return next((one for one in everyone if ws.settings.email in (None, one["Endpoint"])), None)

    def subscribe() -> None:
        address = ws.settings.email or (LOCAL_EMAIL if ws.settings.target == "local" else None)
        if address is None:
            raise UsageError("There is no e-mail address to notify.", "Add --email you@example.com.")
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=address, ReturnSubscriptionArn=True)

    subscription.ensure(subscribe, find=subscribed)
    if subscription.arn.lower().replace(" ", "") == "pendingconfirmation":
        subscription.note(f"AWS sent {subscription['Endpoint']} an e-mail: click its link to get notifications.")


def policy_of(topic: Description) -> Document:
    """Return a topic's policy."""
    policy: Document = json.loads(topic["Policy"])
    return policy


@step.check("the topic policy lets the role of POC-Lambda-2 publish")
def function_publishes(ws: Workshop) -> Finding:
    topic, role = ws.need("topic", "ecommerce-orders-topic"), ws.arn("iam", f"role/{ws.name('Lambda-DynamoDB-SNS')}")
    return lets_through(ws, policy_of(topic), topic["Arn"], "sns:Publish", role)


@step.check("only the role of POC-Lambda-2 can publish")
def nobody_else_publishes(ws: Workshop) -> Finding:
    topic, role = ws.need("topic", "ecommerce-orders-topic"), ws.arn("iam", f"role/{ws.name('Lambda-DynamoDB-SNS')}")
    return refuses_strangers(ws, policy_of(topic), topic["Arn"], "sns:Publish", role)


@step.check("a publisher without credentials is rejected", sends=True)
def anonymous_refused(ws: Workshop) -> Finding:
    topic = ws.need("topic", "ecommerce-orders-topic")["Arn"]
    try:
        ws.client.unsigned("sns").publish(TopicArn=topic, Message="a check of the workshop, no order")
    except ClientError as error:
        code = error.response["Error"]["Code"]
        denied = error.response["ResponseMetadata"]["HTTPStatusCode"] == 403 or "Auth" in code or "Denied" in code
        return holds(denied, code, "denied")
    return holds(False, "accepted", "denied")


@step.check("the topic rejects plain HTTP")
def by_tls(ws: Workshop) -> Finding:
    topic = ws.need("topic", "ecommerce-orders-topic")
    return refuses_plain_http(ws, policy_of(topic), topic["Arn"], "sns:Publish")


@step.check("the topic has an e-mail subscription")
def somebody_reads(ws: Workshop) -> Finding:
    readers = ws.find_all("subscription", "ecommerce-orders-topic")
    waiting = [one["Endpoint"] for one in readers if not one["Arn"].startswith("arn:")]
    found = ", ".join(one["Endpoint"] for one in readers) or "nobody"
    found = f"{found}; pending confirmation: {waiting}" if waiting else found
    return holds(bool(readers), found, "a subscriber").cured_by(typed(ws, f"{step.command}{somebody_to_notify(ws)}"))


if __name__ == "__main__":
    step.main()
