"""Orders go to an API that is proven ours: a name and tags are no proof, anybody can write them on an API."""

import json

import pytest
from faults import Faults
from replay import build
from support import sample

from workshop.base.errors import NotBuilt
from workshop.build.checks import Finding
from workshop.orders.api import api_url


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
        "to another queue with our role": {"type": "AWS", "uri": queue.replace("queue", "other"),
                                           "credentials": ws.arn("iam", f"role/{ws.name('APIGateway-SQS')}")},
    }  # fmt: skip


WAYS = (
    "to a server", "to another queue", "to our queue with another role", "without a role",
    "to another queue with our role",
)  # fmt: skip


@pytest.mark.parametrize("way", sample(WAYS, ("to another queue", "without a role")))
def test_no_order_goes_to_an_api_that_only_bears_our_name_and_tags(ws, cli, way):
    build(ws, 3)
    api = forged_api(ws, integrations(ws)[way])
    # It counts as ours for all that looks for tags; but that is not enough to send it an order.
    assert ws.find("rest-api", "ecommerce-orders-api")["id"] == api
    with pytest.raises(NotBuilt, match=api):
        api_url(ws)
    ran = cli("order")
    assert (ran.code, len(ran.errors)) == (1, 1)
    assert "workshop 08_api" in ran.errors[0]
    ws.client("apigateway").delete_rest_api(restApiId=api)


def test_of_two_the_one_that_is_proven_gets_the_order(ws):
    build(ws, 3)
    forged = [forged_api(ws, integrations(ws)["to a server"])]
    with pytest.raises(NotBuilt):
        api_url(ws)
    for api in forged:
        ws.client("apigateway").delete_rest_api(restApiId=api)
    for step in ws.steps:
        step.run(ws)
    ours = ws.find("rest-api", "ecommerce-orders-api")["id"]
    forged = [forged_api(ws, one) for one in integrations(ws).values()]
    assert len(ws.find_all("rest-api", "ecommerce-orders-api")) == 1 + len(forged)
    assert f"/{ours}/" in api_url(ws)
    for api in forged:
        ws.client("apigateway").delete_rest_api(restApiId=api)


def test_an_api_without_a_method_gets_no_order(ws):
    build(ws)
    api = ws.find("rest-api", "ecommerce-orders-api")["id"]
    resources = ws.client("apigateway").get_resources(restApiId=api, limit=500)["items"]
    orders = next(one["id"] for one in resources if one["path"] == "/orders")
    ws.client("apigateway").delete_method(restApiId=api, resourceId=orders, httpMethod="POST")
    with pytest.raises(NotBuilt, match="unfinished"):
        api_url(ws)
    ws.steps[7].run(ws)
    assert f"/{api}/" in api_url(ws)


# A stage serves a snapshot. The embedded AWS serves what is configured, so the snapshot is put before it.


def serve(ws, faults: Faults, **changes) -> None:
    """Let the stage serve something else than what is configured: a snapshot from another moment."""

    def edit(export: dict) -> None:
        integration = export["paths"]["/orders"]["post"]["x-amazon-apigateway-integration"]
        integration |= changes

    faults.rewrite("GetExport", edit)


@pytest.mark.parametrize(
    "snapshot",
    [
        {"type": "http", "uri": "https://example.com/", "credentials": None},
        {"credentials": "arn:aws:iam::000000000000:role/mallory-APIGateway-SQS"},
        {"uri": "arn:aws:apigateway:us-east-1:sqs:path/000000000000/mallory-ecommerce-orders-queue"},
    ],
    ids=["to a server", "with another role", "to another queue"],
)
def test_what_counts_is_what_the_stage_serves_and_not_what_is_configured(ws, snapshot):
    build(ws)
    assert "/dev/orders" in api_url(ws)
    # The method is as we made it, the deployment bears the fingerprint of ours, and yet it serves something else.
    serve(ws, Faults().attach(ws.client), **snapshot)
    with pytest.raises(NotBuilt, match="stage dev doesn't send"):
        api_url(ws)


def test_what_is_configured_and_not_yet_served_keeps_no_order_back(ws):
    build(ws)
    faults = Faults().attach(ws.client)
    post = ws.client("apigateway").get_resources
    api = ws.find("rest-api", "ecommerce-orders-api")["id"]
    orders = next(one for one in post(restApiId=api, embed=["methods"])["items"] if one["path"] == "/orders")
    served = orders["resourceMethods"]["POST"]["methodIntegration"]
    change = [{"op": "replace", "path": "/uri", "value": "https://example.com/"}]
    here = {"restApiId": api, "resourceId": orders["id"], "httpMethod": "POST"}
    ws.client("apigateway").update_integration(**here, patchOperations=change)
    serve(ws, faults, uri=served["uri"], credentials=served["credentials"])
    assert f"/{api}/" in api_url(ws)


def test_a_stage_with_a_canary_gets_no_order(ws):
    # It serves a part of the orders from another deployment.
    build(ws)

    def canary(stages: dict) -> None:
        for stage in stages["item"]:
            stage["canarySettings"] = {"percentTraffic": 10, "deploymentId": "abcdef"}

    Faults().attach(ws.client).rewrite("GetStages", canary)
    with pytest.raises(NotBuilt, match="someone else"):
        api_url(ws)


# The steps see the same, and put it right.


def shown(ws) -> Finding:
    """What the check says that looks at what the stage serves."""
    return next(one for one in ws.steps[7].checks if one.name == "the stage serves the current configuration").run(ws)


def test_a_stage_that_serves_something_else_is_deployed_again(ws):
    build(ws)
    faults = Faults().attach(ws.client)
    api = ws.steps[7]
    # A deployment of somebody else's that copies the description of ours.
    serve(ws, faults, uri="https://example.com/")
    verdict = shown(ws)
    assert not verdict.passed
    assert "https://example.com/" in verdict.detail
    (drifted,) = [one for one in api.examine(ws) if one.result == "drifted"]
    assert (drifted.kind, [difference.setting for difference in drifted.differences]) == ("stage", ["uri"])
    before = faults.count("CreateDeployment")
    assert {one.name for one in api.run(ws) if one.result == "updated"} == {"dev"}
    assert faults.count("CreateDeployment") == before + 1


def test_a_canary_is_ended_before_anything_is_deployed(ws):
    # While a stage has one, a deployment to it goes to the canary:
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/canary-release.html
    build(ws)
    faults = Faults().attach(ws.client)
    canary = {"percentTraffic": 10, "deploymentId": "abcdef"}
    faults.rewrite("GetStages", lambda stages: [one.update(canarySettings=canary) for one in stages["item"]] and None)
    faults.rewrite("GetStage", lambda stage: stage.update(canarySettings=canary))
    serve(ws, faults, uri="https://example.com/")
    assert not shown(ws).passed
    assert "percentTraffic" in shown(ws).detail
    ws.steps[7].run(ws)
    changes = [one for one in faults.sent if one.operation in ("UpdateStage", "CreateDeployment")]
    assert [one.operation for one in changes] == ["UpdateStage", "CreateDeployment"]
    assert json.loads(changes[0].body)["patchOperations"] == [{"op": "remove", "path": "/canarySettings"}]
