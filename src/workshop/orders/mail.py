"""Read the e-mails that the topic sent. Only the embedded AWS makes them readable."""

import re
from typing import Any

from workshop.build.context import Workshop

#: The line with which POC-Lambda-2 starts an order's paragraph.
ORDER_LINE = re.compile(r"^Order (\S+)$", re.MULTILINE)


def listen_to_mail(ws: Workshop) -> None:
    """Make the embedded AWS collect the topic's e-mails, whatever created the topic."""
    topic = ws.find("topic", "ecommerce-orders-topic")
    if ws.mailbox and topic:
        ws.mailbox.listen(topic["Arn"])


def read_mail(ws: Workshop) -> list[dict[str, Any]]:
    """Return the e-mails so far, oldest first; none on AWS.

    Returns:
        One entry for each e-mail and subscriber: `[{"to", "subject", "body", "orderIds", "at"}]`, `at` in ISO 8601.
    """
    if ws.mailbox is None:
        return []
    topic = ws.arn("sns", ws.name("ecommerce-orders-topic"))
    subscribers = [one["Endpoint"] for one in ws.find_all("subscription", "ecommerce-orders-topic")]
    return [
        {
            "to": subscriber,
            "subject": notification.get("Subject", ""),
            "body": notification["Message"],
            "orderIds": ORDER_LINE.findall(notification["Message"]),
            "at": notification["Timestamp"],
        }
        for notification in ws.mailbox.read(topic)
        for subscriber in subscribers
    ]
