"""`workshop order`: place one order as any client would, with a POST to the API's URL."""

import json
from typing import Annotated, Any

from typer import Option

from workshop.base.errors import WorkshopError
from workshop.base.http import json_object, post
from workshop.build.opening import OpenWorkshop
from workshop.orders.api import api_url
from workshop.orders.mail import listen_to_mail
from workshop.orders.tracing import follow


def order(
    ws: OpenWorkshop,
    product_id: Annotated[str, Option(help="Product id.")] = "12345",
    product_name: Annotated[str | None, Option(help="Product name.")] = "Eco-Friendly Cleaner",
    quantity: Annotated[int, Option(help="How many.")] = 2,
    customer_email: Annotated[str | None, Option(help="The customer's e-mail address.")] = "customer@example.com",
    order_id: Annotated[str | None, Option(help="Your own order id, so that a retry is safe.")] = None,
    body: Annotated[str | None, Option(help="Send this body as it is.")] = None,
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
    url = api_url(ws)
    listen_to_mail(ws)
    status, answer = post(url, text.encode(), ca_bundle=ws.client.ca_bundle)
    if status != 202:
        raise WorkshopError(
            f"The API at {url} answered {status}: {answer.get('message', 'no message')}.",
            remedy(status, ws.settings.options),
            code=f"HTTP {status}",
        )
    placed: dict[str, Any] = {"orderId": order_id or _own_id(text) or answer["messageId"], "statusCode": status}
    ws.console.say(f"202 Accepted: order {placed['orderId']}")
    if trace:
        return placed | follow(ws, placed["orderId"], wait, answer["messageId"])
    ws.console.say(f"Follow it: workshop trace {placed['orderId']}{ws.settings.options}")
    return placed


def url(ws: OpenWorkshop) -> dict[str, str]:
    """Print the URL that accepts orders.

    Example: curl --json '{"productId": "1", "quantity": 2}' "$(workshop url)"
    """
    found = api_url(ws)
    ws.console.say(found)
    return {"url": found}


def _own_id(text: str) -> str | None:
    """Return the order id in the body, if there is one."""
    return json_object(text).get("orderId")


def remedy(status: int, options: str) -> str:
    """Return what to try after an API response other than 202."""
    if status == 429:
        return "The API is throttling. Try again in a second."
    if status >= 500:
        return f"Find the cause: workshop verify{options}"
    return (
        "An order needs a productId and a quantity of at least 1. It has no fields other than those in"
        " src/api/order.schema.json."
    )
