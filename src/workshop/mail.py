"""The e-mails that the topic sent, as their readers see them. An embedded AWS alone lets us read them."""

import re
from typing import Any

from workshop.context import Workshop

#: How POC-Lambda-2 begins the paragraph of an order.
ORDER_LINE = re.compile(r"^Order (\S+)$", re.MULTILINE)


def read_mail(ws: Workshop) -> list[dict[str, Any]]:
    """The e-mails so far, oldest first; none on AWS.

    Returns:
        One for each e-mail and reader: `[{"to", "subject", "body", "orderIds", "at"}]`, `at` in ISO 8601.
    """
    if ws.mailbox is None:
        return []
    topic = ws.arn("sns", ws.name("ecommerce-orders-topic"))
    readers = [one["Endpoint"] for one in ws.find_all("subscription", "ecommerce-orders-topic")]
    return [
        {
            "to": reader,
            "subject": notification.get("Subject", ""),
            "body": notification["Message"],
            "orderIds": ORDER_LINE.findall(notification["Message"]),
            "at": notification["Timestamp"],
        }
        for notification in ws.mailbox.read(topic)
        for reader in readers
    ]
