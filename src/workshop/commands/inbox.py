"""`workshop inbox`: the e-mails that SNS delivered. Local only: on AWS they are in people's mailboxes."""

import re
from typing import Annotated, Any

from typer import Option

from workshop.errors import NotBuilt, WorkshopError
from workshop.step import Workshop

#: How POC-Lambda-2 begins the paragraph of an order.
ORDER_LINE = re.compile(r"^Order (\S+)$", re.MULTILINE)


def inbox(
    ws: Workshop,
    wait: Annotated[float, Option(min=0, max=300, help="Wait up to so many seconds for a first e-mail.")] = 0,
) -> list[dict[str, Any]]:
    """Show the e-mails that the subscriber got, oldest first.

    Example: workshop inbox --wait 5
    """
    if ws.mailbox is None:
        raise WorkshopError("The inbox is there on --target local only.", "On AWS, look into the subscriber's mailbox.")
    if ws.find("topic", "ecommerce-orders-topic") is None:
        raise NotBuilt("There is no topic that could send e-mail.", f"Run: workshop up{ws.settings.options}")
    ws.listen_to_mail()
    began = ws.patience.clock()
    while not (mails := read(ws)) and ws.patience.clock() - began < wait:
        ws.patience.sleep(0.1)
    for mail in mails:
        ws.console.say(f"To:      {mail['to']}", "bold")
        ws.console.say(f"Subject: {mail['subject']}", "bold")
        ws.console.say()
        ws.console.say(mail["body"])
    if not mails:
        ws.console.say(f"No e-mail yet. Place an order: workshop order{ws.settings.options}")
    return mails


def read(ws: Workshop) -> list[dict[str, Any]]:
    """The e-mails so far, oldest first: `[{"to", "subject", "body", "orderIds", "at"}]`, one for each reader."""
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
