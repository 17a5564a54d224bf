"""The API's URL, and the orders in the table."""

from typing import Any

from workshop.aws.clients import invoke_host
from workshop.aws.owner import Description
from workshop.base.errors import NotBuilt
from workshop.build.context import Workshop
from workshop.embedded import invoke_url
from workshop.kinds.apigateway import deployed_integration, stages

#: The prefix of the order ids that checks use. Checks delete these orders again.
PROBE = "check-"


def api_url(ws: Workshop) -> str:
    """Return the URL that accepts orders: `https://….execute-api.….amazonaws.com/dev/orders`.

    Raises:
        NotBuilt: there is no API, or it has no stage.
    """
    api, stage = _own_api(ws), ws.settings.environment
    if ws.is_embedded:
        return f"{invoke_url(ws.client('apigateway').meta.endpoint_url, api['id'], stage)}/orders"
    return f"https://{api['id']}.{invoke_host(ws.region)}/{stage}/orders"


def _own_api(ws: Workshop) -> Description:
    """Return our API. Its name and tags don't prove that, because anyone can put them on their own API.

    The proof is that its stage sends orders to our queue with our role, which takes iam:PassRole on that role. What
    counts is the deployed integration, not the API's current configuration.

    Raises:
        NotBuilt: there is no such API.
    """
    first, stage = ws.need("rest-api", "ecommerce-orders-api"), ws.settings.environment
    apis = ws.find_all("rest-api", "ecommerce-orders-api")
    pairs = [(api, one) for api in apis for one in stages(ws, api, stage)]
    if not pairs:
        raise NotBuilt(f"The API has no stage {stage}.", f"Run: workshop 08_api{ws.settings.options}")
    for api, one in pairs:
        integration = deployed_integration(ws, api, stage, "/orders", "POST")
        # A canary deployment serves some orders from another snapshot, which no API call returns.
        if "canarySettings" not in one and destination(ws).items() <= integration.items():
            return api
    raise NotBuilt(
        f"The API {first['id']} has our name and tags, but its stage {stage} doesn't send POST /orders to our queue"
        " with our role. It's unfinished, or someone else's.",
        f"Inspect it, then run: workshop 08_api{ws.settings.options}",
    )


def destination(ws: Workshop) -> dict[str, str]:
    """Return the `uri` and `credentials` that the integration of POST /orders must have."""
    return {
        "uri": f"arn:{ws.partition}:apigateway:{ws.region}:sqs:path/{ws.account}/{ws.name('ecommerce-orders-queue')}",
        "credentials": ws.arn("iam", f"role/{ws.name('APIGateway-SQS')}"),
    }


def find_order(ws: Workshop, order_id: str) -> dict[str, Any] | None:
    """Return an order's item as plain values, or None if it isn't in the table."""
    item = ws.client("dynamodb").get_item(
        TableName=ws.name("ecommerce-orders"), Key={"orderId": {"S": order_id}}, ConsistentRead=True
    ).get("Item")  # fmt: skip
    if item is None:
        return None
    return {field: int(v["N"]) if "N" in v else next(iter(v.values())) for field, v in item.items()}
