"""Orders go to an API that is proven ours: a name and tags are no proof, anybody can write them on an API."""

import pytest
from support import build

from workshop.errors import NotBuilt


def forged_api(ws, integration: dict) -> str:
    """An API with our name, tags and stage that sends orders elsewhere; returns its id."""
    apigateway = ws.client("apigateway")
    api = apigateway.create_rest_api(name=ws.name("ecommerce-orders-api"), tags=ws.tags)["id"]
    (root,) = apigateway.get_resources(restApiId=api)["items"]
    orders = apigateway.create_resource(restApiId=api, parentId=root["id"], pathPart="orders")["id"]
    here = {"restApiId": api, "resourceId": orders, "httpMethod": "POST"}
    apigateway.put_method(**here, authorizationType="NONE")
    apigateway.put_integration(**here, integrationHttpMethod="POST", **integration)
    apigateway.create_deployment(restApiId=api, stageName=ws.settings.environment)
    return api


def integrations(ws) -> dict[str, dict]:
    queue = f"arn:aws:apigateway:{ws.region}:sqs:path/{ws.account}/{ws.name('ecommerce-orders-queue')}"
    return {
        "to a server": {"type": "HTTP", "uri": "https://example.com/"},
        "to another queue": {"type": "AWS", "uri": queue.replace("queue", "other"),
                             "credentials": ws.arn("iam", "role/mallory-APIGateway-SQS")},
        "to our queue with another role": {"type": "AWS", "uri": queue,
                                           "credentials": ws.arn("iam", "role/mallory-APIGateway-SQS")},
        "without a role": {"type": "AWS", "uri": queue},
    }  # fmt: skip


@pytest.mark.parametrize("way", ["to a server", "to another queue", "to our queue with another role", "without a role"])
def test_no_order_goes_to_an_api_that_only_bears_our_name_and_tags(ws, cli, way):
    build(ws, 3)
    api = forged_api(ws, integrations(ws)[way])
    # It counts as ours for all that looks for tags; but that is not enough to send it an order.
    assert ws.find("rest-api", "ecommerce-orders-api")["id"] == api
    with pytest.raises(NotBuilt, match=api):
        ws.api_url()
    ran = cli("order")
    assert (ran.code, len(ran.errors)) == (1, 1)
    assert "workshop 08_api" in ran.errors[0]
    ws.client("apigateway").delete_rest_api(restApiId=api)


def test_of_two_the_one_that_is_proven_gets_the_order(ws):
    build(ws, 3)
    forged = [forged_api(ws, integrations(ws)["to a server"])]
    with pytest.raises(NotBuilt):
        ws.api_url()
    for api in forged:
        ws.client("apigateway").delete_rest_api(restApiId=api)
    build(ws)
    ours = ws.find("rest-api", "ecommerce-orders-api")["id"]
    forged = [forged_api(ws, one) for one in integrations(ws).values()]
    assert len(ws.find_all("rest-api", "ecommerce-orders-api")) == 1 + len(forged)
    assert f"/{ours}/" in ws.api_url()
    for api in forged:
        ws.client("apigateway").delete_rest_api(restApiId=api)


def test_an_api_without_a_method_gets_no_order(ws):
    build(ws)
    api = ws.find("rest-api", "ecommerce-orders-api")["id"]
    resources = ws.client("apigateway").get_resources(restApiId=api, limit=500)["items"]
    orders = next(one["id"] for one in resources if one["path"] == "/orders")
    ws.client("apigateway").delete_method(restApiId=api, resourceId=orders, httpMethod="POST")
    with pytest.raises(NotBuilt, match="not finished"):
        ws.api_url()
    ws.steps[7].run(ws)
    assert f"/{api}/" in ws.api_url()
