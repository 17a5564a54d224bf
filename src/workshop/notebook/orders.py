"""Orders in a notebook: one followed on its way, many at once, and the e-mails that tell of them."""

import contextlib
import io
from typing import Any

from workshop.build.opening import OpenWorkshop
from workshop.commands import inbox as inbox_command
from workshop.commands import spike as spike_command
from workshop.notebook.console import NotebookConsole
from workshop.notebook.page import as_html, display_html, framed, tell
from workshop.notebook.pictures import draw_spike, draw_way
from workshop.orders.mail import listen_to_mail
from workshop.orders.tracing import follow, incomplete

#: The edge of an e-mail; "notified" has the same colour in the picture of a spike.
MAIL_COLOUR = "#d6246e"


def follow_order(ws: OpenWorkshop, order_id: str, wait: float = 30) -> None:
    """Follow an order hop by hop, exactly as `workshop trace` does, and draw its way.

    Args:
        ws: the context.
        order_id: which order.
        wait: seconds to wait for the next hop.

    Raises:
        WorkshopError: its way ended; the message names the hop and the likely cause.
    """
    listen_to_mail(ws)
    document = follow(ws, order_id, wait)
    if document["hops"]:
        draw_way(document["hops"])
    problem = incomplete(document)
    if problem:
        raise problem


def spike(ws: OpenWorkshop, orders: int = 1_000, concurrency: int = 20) -> dict[str, Any]:
    """Place many orders at once, exactly as `workshop spike` does, and draw what became of them.

    Args:
        ws: the context; its console must be a notebook's.
        orders: how many.
        concurrency: how many clients at once.

    Returns:
        The account: `sent`, `accepted`, `stored`, `notified`, `lost`, `duplicates` and more.
    """
    assert isinstance(ws.console, NotebookConsole)
    with ws.console.in_place(), contextlib.redirect_stdout(io.StringIO()):
        document = spike_command.spike(ws, orders=orders, concurrency=concurrency)
    draw_spike(document["samples"])
    return document


def mail(ws: OpenWorkshop, wait: float = 10, last: int = 3) -> None:
    """Show the last e-mails that the subscriber got; on AWS they are in people's mailboxes.

    Args:
        ws: the context.
        wait: seconds to wait for a first one.
        last: how many are shown in full.
    """
    if ws.mailbox is None:
        tell("On AWS, the e-mails are in the mailbox of whoever subscribed. Have a look there.")
        return
    with contextlib.redirect_stdout(io.StringIO()):
        mails = inbox_command.inbox(ws, wait)
    for one in mails[-last:]:
        head = f"To: {as_html(one['to'])}<br>Subject: <b>{as_html(one['subject'])}</b>"
        body = one["body"] if len(one["body"]) < 500 else one["body"][:400].rstrip() + "\n…"
        display_html(framed(f"{head}<pre>{as_html(body)}</pre>", MAIL_COLOUR))
    orders = sum(len(one["orderIds"]) for one in mails)
    tell(f"E-mails so far: {len(mails)}. Orders in them: {orders}.")
