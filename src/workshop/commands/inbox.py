"""`workshop inbox`: the e-mails that SNS delivered. Local only: on AWS they are in people's mailboxes."""

from typing import Annotated, Any

from typer import Option

from workshop.errors import NotBuilt, WorkshopError
from workshop.mail import read_mail
from workshop.step import Workshop


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
    while not (mails := read_mail(ws)) and ws.patience.clock() - began < wait:
        ws.patience.sleep(0.1)
    for mail in mails:
        ws.console.say(f"To:      {mail['to']}", "bold")
        ws.console.say(f"Subject: {mail['subject']}", "bold")
        ws.console.say()
        ws.console.say(mail["body"])
    if not mails:
        ws.console.say(f"No e-mail yet. Place an order: workshop order{ws.settings.options}")
    return mails
