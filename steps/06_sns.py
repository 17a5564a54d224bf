"""Step 6: the topic that tells people. POC-Lambda-2 publishes to it, and everybody who subscribed gets an e-mail.

A **topic** parts the one who tells from those who listen: the function does not know who reads. AWS sends a new
subscriber one e-mail with a link, and nothing more until the link was clicked. Until then the subscription is
*pending*; that is a state, not a fault.
"""

import json

from botocore.exceptions import ClientError

from workshop.checking import (
    Finding,
    holds,
    lets_through,
    refuses_plain_http,
    refuses_strangers,
    somebody_to_notify,
    typed,
)
from workshop.errors import UsageError
from workshop.policies import document, nobody_but
from workshop.settings import LOCAL_EMAIL
from workshop.step import Resource, Step, Workshop

step = Step(6, "sns", "Create the SNS topic and its e-mail subscription", needs=(1,))


@step.resource("topic", "ecommerce-orders-topic")
def orders_topic(ws: Workshop, topic: Resource) -> None:
    """The topic, and who may publish to it."""
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
    """Who gets the e-mail. A second run with another --email adds a second reader."""
    sns = ws.client("sns")
    topic = ws.need("topic", "ecommerce-orders-topic")["Arn"]

    def subscribed() -> dict | None:
        # Who unsubscribed is not among them, and has to be asked again.
        everyone = ws.find_all("subscription", "ecommerce-orders-topic")
        return next((one for one in everyone if ws.settings.email in (None, one["Endpoint"])), None)

    def subscribe() -> None:
        address = ws.settings.email or (LOCAL_EMAIL if ws.settings.target == "local" else None)
        if address is None:
            raise UsageError("Nobody is there to be notified.", "Add --email you@example.com.")
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=address, ReturnSubscriptionArn=True)

    subscription.ensure(subscribe, find=subscribed)
    if subscription.arn.lower().replace(" ", "") == "pendingconfirmation" and not ws.looking:
        ws.console.note(f"{subscription['Endpoint']} has mail from AWS: click the link in it to get notifications.")


def policy_of(topic: dict) -> dict:
    """A topic's policy."""
    return json.loads(topic["Policy"])


@step.check("the role of POC-Lambda-2 is not kept from publishing")
def function_publishes(ws: Workshop) -> Finding:
    topic, role = ws.need("topic", "ecommerce-orders-topic"), ws.arn("iam", f"role/{ws.name('Lambda-DynamoDB-SNS')}")
    return lets_through(ws, policy_of(topic), topic["Arn"], "sns:Publish", role)


@step.check("nobody else may, whatever rights he has")
def nobody_else_publishes(ws: Workshop) -> Finding:
    topic, role = ws.need("topic", "ecommerce-orders-topic"), ws.arn("iam", f"role/{ws.name('Lambda-DynamoDB-SNS')}")
    return refuses_strangers(ws, policy_of(topic), topic["Arn"], "sns:Publish", role)


@step.check("a publisher without credentials is refused", sends=True)
def anonymous_refused(ws: Workshop) -> Finding:
    topic = ws.need("topic", "ecommerce-orders-topic")["Arn"]
    try:
        ws.client.unsigned("sns").publish(TopicArn=topic, Message="a check of the workshop, no order")
    except ClientError as error:
        code = error.response["Error"]["Code"]
        denied = error.response["ResponseMetadata"]["HTTPStatusCode"] == 403 or "Auth" in code or "Denied" in code
        return holds(denied, code, "denied")
    return holds(False, "accepted", "denied")


@step.check("plain HTTP is refused")
def by_tls(ws: Workshop) -> Finding:
    topic = ws.need("topic", "ecommerce-orders-topic")
    return refuses_plain_http(ws, policy_of(topic), topic["Arn"], "sns:Publish")


@step.check("somebody is subscribed by e-mail")
def somebody_reads(ws: Workshop) -> Finding:
    readers = ws.find_all("subscription", "ecommerce-orders-topic")
    waiting = [one["Endpoint"] for one in readers if not one["Arn"].startswith("arn:")]
    found = ", ".join(one["Endpoint"] for one in readers) or "nobody"
    found = f"{found}; waiting for a click in their mail: {waiting}" if waiting else found
    return holds(readers, found, "a reader").cured_by(typed(ws, f"{step.command}{somebody_to_notify(ws)}"))


if __name__ == "__main__":
    step.main()
