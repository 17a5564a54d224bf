"""`workshop trace`: follow an order hop by hop, live."""

from typing import Annotated, Any

from typer import Argument, Option

from workshop.base.errors import UsageError
from workshop.build.opening import OpenWorkshop
from workshop.orders.mail import listen_to_mail
from workshop.orders.tracing import follow


def trace(
    ws: OpenWorkshop,
    order_id: Annotated[str, Argument(help="The order id that `workshop order` printed.")],
    wait: Annotated[float, Option(min=0, max=600, help="Seconds to wait for the next hop.")] = 10,
) -> dict[str, Any]:
    """Follow an order hop by hop.

    If the order gets stuck, you get the hop where it stopped and the likely cause.

    Example: workshop trace 3f0c9a52-9a54-4f0e-b1de-2d6f4c1f8f3e
    """
    if '"' in order_id or not order_id.strip():
        raise UsageError(f"{order_id!r} isn't an order id.", "Use the id that `workshop order` printed.")
    listen_to_mail(ws)
    return follow(ws, order_id, wait)
