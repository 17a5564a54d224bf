"""`workshop inbox`: the e-mails that SNS delivered, on the embedded AWS only."""

from typing import Annotated, Any

from typer import Option

from workshop.base.console import Console
from workshop.base.errors import NotBuilt, WorkshopError
from workshop.build.step import Workshop
from workshop.orders.mail import listen_to_mail, read_mail


def inbox(
    ws: Workshop,
    wait: Annotated[float, Option(min=0, max=300, help="Seconds to wait for a first e-mail.")] = 0,
    last: Annotated[int | None, Option(min=1, help="Number of newest e-mails to show.")] = None,
) -> list[dict[str, Any]]:
    """Show the e-mails that the subscriber received.

    The oldest comes first.

    Example: workshop inbox --last 1
    """
    if ws.mailbox is None:
        raise WorkshopError("There is an inbox only with --target local.", "On AWS, look in the subscriber's mailbox.")
    if ws.find("topic", "ecommerce-orders-topic") is None:
        raise NotBuilt("There is no topic yet to send e-mail.", f"Run: workshop up{ws.settings.options}")
    listen_to_mail(ws)
    began = ws.waiter.clock()
    while not (mails := read_mail(ws)) and ws.waiter.clock() - began < wait:
        ws.waiter.sleep(0.1)
    if last is not None:
        mails = mails[-last:]
    for number, mail in enumerate(mails):
        if number:
            ws.console.say()
        show_mail(ws.console, mail)
    if not mails:
        ws.console.say(f"No e-mail yet. Place an order: workshop order{ws.settings.options}")
    return mails


def show_mail(console: Console, mail: dict[str, Any]) -> None:
    """Print one e-mail: recipient, subject and body."""
    console.say(f"To:      {mail['to']}", "bold")
    console.say(f"Subject: {mail['subject']}", "bold")
    console.say()
    console.say(mail["body"].rstrip("\n"))
