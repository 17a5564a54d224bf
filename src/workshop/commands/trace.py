"""`workshop trace`: an order's way, hop by hop, live."""

from typing import Annotated, Any

from typer import Argument, Option

from workshop.errors import UsageError
from workshop.step import Workshop
from workshop.tracing import follow


def trace(
    ws: Workshop,
    order_id: Annotated[str, Argument(help="The order's id, as `workshop order` printed it.")],
    wait: Annotated[float, Option(min=0, max=600, help="Seconds to wait for the next hop.")] = 10,
) -> dict[str, Any]:
    """Follow an order hop by hop; at a dead end, name the hop and the likely cause.

    Example: workshop trace 3f0c9a52-9a54-4f0e-b1de-2d6f4c1f8f3e
    """
    if '"' in order_id or not order_id.strip():
        raise UsageError(f"{order_id!r} is no order's id.", "Use the id that `workshop order` printed.")
    ws.listen_to_mail()
    return follow(ws, order_id, wait)
