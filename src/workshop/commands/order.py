"""`workshop order`: place one order, the way every client does it: a POST to the API's URL."""

import json
from typing import Annotated, Any

from typer import Option

from workshop.errors import WorkshopError
from workshop.step import Workshop
from workshop.tracing import follow
from workshop.web import json_object, post


def order(
    ws: Workshop,
    product_id: Annotated[str, Option(help="What is ordered.")] = "12345",
    product_name: Annotated[str | None, Option(help="What it is called.")] = "Eco-Friendly Cleaner",
    quantity: Annotated[int, Option(help="How many.")] = 2,
    customer_email: Annotated[str | None, Option(help="Who orders.")] = "customer@example.com",
    order_id: Annotated[str | None, Option(help="Your own id, which makes a repeated order harmless.")] = None,
    body: Annotated[str | None, Option(help="Send this text instead, whatever it is.")] = None,
    trace: Annotated[bool, Option("--trace", help="Follow the order hop by hop.")] = False,
    wait: Annotated[float, Option(min=0, max=600, help="With --trace: seconds to wait for the next hop.")] = 10,
) -> dict[str, Any]:
    """Place one order through the API.

    Example: workshop order --product-id 777 --quantity 3 --trace
    """
    fields = {
        "orderId": order_id,
        "productId": product_id,
        "productName": product_name,
        "quantity": quantity,
        "customerEmail": customer_email,
    }
    text = body if body is not None else json.dumps({key: value for key, value in fields.items() if value is not None})
    url = ws.api_url()
    ws.listen_to_mail()
    status, answer = post(url, text.encode(), ca_bundle=ws.client.ca_bundle)
    if status != 202:
        raise WorkshopError(
            f"The API at {url} answered {status}: {answer.get('message', 'nothing')}.",
            remedy(status, ws.settings.options),
            code=f"HTTP {status}",
        )
    placed: dict[str, Any] = {"orderId": order_id or _own_id(text) or answer["messageId"], "statusCode": status}
    ws.console.say(f"202 Accepted: order {placed['orderId']}")
    if trace:
        return placed | follow(ws, placed["orderId"], wait, answer["messageId"])
    ws.console.say(f"Follow it: workshop trace {placed['orderId']}{ws.settings.options}")
    return placed


def _own_id(text: str) -> str | None:
    """The order's id if the client chose it."""
    return json_object(text).get("orderId")


def remedy(status: int, options: str) -> str:
    """What to try after an answer of the API that is not 202."""
    if status == 429:
        return "That were too many at once: try again in a second."
    if status >= 500:
        return f"See what is wrong: workshop verify{options}"
    return (
        "An order needs a productId and a quantity of at least 1, and has no field that src/api/order.schema.json"
        " doesn't name."
    )
