"""Step 8: the front door. A REST API that checks an order and puts it into the queue, without any code of ours.

API Gateway can call AWS services by itself; that is a *direct integration*. Four parts make one:

* a **model** (JSON Schema) and a **validator**: what is no order gets a 400 and never reaches the queue;
* a **mapping template** turns the HTTP body into the form that SQS takes. It escapes the body: without
  `$util.urlEncode` an order with an `&` in its text could add parameters of its own to the call;
* a **role** that API Gateway assumes for the call (step 1 made it);
* **responses** that turn the answer of SQS into ours: 202, "accepted", since nothing is stored yet.

What is configured becomes visible only with a **deployment** to a **stage**. A deployment is a snapshot, so the
API can be changed in peace. Ours carries a fingerprint of the files it was made from.
"""

import contextlib
import hashlib
import json
import time
import uuid
from collections.abc import Callable

from workshop.checking import Finding, equal, holds
from workshop.context import PROBE, RECENT
from workshop.errors import GaveUp
from workshop.step import Resource, Step, Workshop
from workshop.web import post

step = Step(8, "api", "Create the API Gateway REST API", needs=(1, 3))

DESCRIPTION = "Takes orders and puts them into a queue"
JSON = "application/json"
#: `{status: (pattern of the status of SQS, file with the response's template)}`; no pattern: everything else.
RESPONSES = {
    "202": (r"2\d{2}", "src/api/response-202.vtl"),
    "400": ("400", "src/api/response-400.vtl"),
    "500": ("", "src/api/response-500.vtl"),
}
#: Requests a second, and how many may come at once. A limit on what a runaway client can cost.
THROTTLE = {"rateLimit": 500, "burstLimit": 1000}


def fingerprint(ws: Workshop) -> str:
    """What a deployment is made from: the schema and the templates."""
    files = ["src/api/order.schema.json", "src/api/request.vtl", *(file for _, file in RESPONSES.values())]
    return hashlib.sha256("".join(ws.source(file) for file in files).encode()).hexdigest()[:16]


def replace(**values: object) -> list[dict]:
    """A patch, the form in which API Gateway takes changes: one operation for each value."""
    return [{"op": "replace", "path": f"/{key}", "value": str(value)} for key, value in values.items()]


def types_of(api: dict) -> list[str]:
    """Where an API answers: in its region (REGIONAL), at the edge (EDGE), or in a network of one's own (PRIVATE)."""
    return api.get("endpointConfiguration", {}).get("types", [])


@step.resource("rest-api", "ecommerce-orders-api")
def rest_api(ws: Workshop, api: Resource) -> None:
    """The API itself. AWS would make a second one of the same name without a word, so it is looked for first."""
    apigateway = ws.client("apigateway")
    api.ensure(
        lambda: apigateway.create_rest_api(
            name=api.name,
            description=DESCRIPTION,
            endpointConfiguration={"types": ["REGIONAL"]},
            tags=ws.tags,
        )
    )
    api.converge(
        {"description": DESCRIPTION},
        lambda changed: apigateway.update_rest_api(restApiId=api["id"], patchOperations=replace(**changed)),
    )
    # An API whose own URL is switched off answers 403, as if it did not exist.
    api.converge(
        {"disableExecuteApiEndpoint": "false"},
        lambda changed: apigateway.update_rest_api(restApiId=api["id"], patchOperations=replace(**changed)),
        read=lambda: {"disableExecuteApiEndpoint": str(api.found.get("disableExecuteApiEndpoint", False)).lower()},
    )

    def move(_: dict) -> None:
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-api-migration.html
        kind = f"endpointConfiguration/types/{types_of(api.found)[0]}"
        apigateway.update_rest_api(restApiId=api["id"], patchOperations=replace(**{kind: "REGIONAL"}))
        now = lambda: types_of(apigateway.get_rest_api(restApiId=api["id"]))  # noqa: E731
        ws.patience.until(lambda: now() == ["REGIONAL"], "API Gateway is moving the API (up to 60 seconds)", 180)

    api.converge({"types": ["REGIONAL"]}, move, read=lambda: {"types": types_of(api.found)})


@step.resource("request-model", "Order", named=lambda ws: "Order")
def model(ws: Workshop, model: Resource) -> None:
    """What an order looks like: one JSON Schema, the same for the API, the templates and the documentation."""
    apigateway, api = ws.client("apigateway"), ws.need("rest-api", "ecommerce-orders-api")
    schema = ws.source("src/api/order.schema.json")

    def find() -> dict | None:
        models = apigateway.get_models(restApiId=api["id"], limit=500)["items"]
        arn = ws.apigateway_arn(api["id"], f"/models/{model.name}")
        return next((one | {"Arn": arn} for one in models if one["name"] == model.name), None)

    model.ensure(
        lambda: apigateway.create_model(restApiId=api["id"], name=model.name, contentType=JSON, schema=schema), find
    )
    model.converge(
        {"schema": schema},
        lambda changed: apigateway.update_model(
            restApiId=api["id"], modelName=model.name, patchOperations=replace(**changed)
        ),
    )


@step.resource("request-validator", "order-body", named=lambda ws: "order-body")
def validator(ws: Workshop, validator: Resource) -> None:
    """A validator says what of a request is checked against the model: here the body."""
    apigateway, api = ws.client("apigateway"), ws.need("rest-api", "ecommerce-orders-api")
    checks = {"validateRequestBody": True, "validateRequestParameters": False}

    def find() -> dict | None:
        validators = apigateway.get_request_validators(restApiId=api["id"], limit=500)["items"]
        found = next((one for one in validators if one.get("name") == validator.name), None)
        return found and found | {"Arn": ws.apigateway_arn(api["id"], f"/requestvalidators/{found['id']}")}

    validator.ensure(
        lambda: apigateway.create_request_validator(restApiId=api["id"], name=validator.name, **checks), find
    )
    validator.converge(
        checks,
        lambda changed: apigateway.update_request_validator(
            restApiId=api["id"],
            requestValidatorId=validator["id"],
            patchOperations=replace(**{check: str(value).lower() for check, value in changed.items()}),
        ),
    )


def find_orders_resource(ws: Workshop, api: dict, path: str) -> dict | None:
    """A resource of the API by its path, with its methods and their integrations: one call tells it all."""
    resources = ws.client("apigateway").get_resources(restApiId=api["id"], embed=["methods"], limit=500)["items"]
    found = next((one for one in resources if one["path"] == path), None)
    return found and found | {"Arn": ws.apigateway_arn(api["id"], f"/resources/{found['id']}")}


@step.resource("api-resource", "/orders", named=lambda ws: "/orders")
def orders_resource(ws: Workshop, resource: Resource) -> None:
    """The path under which orders are placed."""
    apigateway, api = ws.client("apigateway"), ws.need("rest-api", "ecommerce-orders-api")

    def create() -> None:
        root = find_orders_resource(ws, api, "/")
        apigateway.create_resource(restApiId=api["id"], parentId=root["id"], pathPart="orders")

    resource.ensure(create, find=lambda: find_orders_resource(ws, api, "/orders"))


@step.resource("method", "POST /orders", named=lambda ws: "POST /orders")
def post_orders(ws: Workshop, method: Resource) -> None:
    """POST /orders: what comes in, what SQS gets, what goes out."""
    apigateway, api = ws.client("apigateway"), ws.need("rest-api", "ecommerce-orders-api")
    queue, role = ws.need("queue", "ecommerce-orders-queue"), ws.need("role", "APIGateway-SQS")
    resource = find_orders_resource(ws, api, "/orders")
    validators = apigateway.get_request_validators(restApiId=api["id"], limit=500)["items"]
    validator = next((one["id"] for one in validators if one.get("name") == "order-body"), None)
    here = {"restApiId": api["id"], "resourceId": (resource or {}).get("id"), "httpMethod": "POST"}

    request = {
        "authorizationType": "NONE",
        "apiKeyRequired": False,
        "requestValidatorId": validator,
        "requestModels": {JSON: "Order"},
    }
    integration = {
        "type": "AWS",
        "uri": f"arn:{ws.partition}:apigateway:{ws.region}:sqs:path/{ws.account}/{queue['Arn'].split(':')[-1]}",
        "credentials": role["Arn"],
        "requestParameters": {"integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"},
        "requestTemplates": {JSON: ws.source("src/api/request.vtl").strip()},
        # A body of another content type is refused with 415 instead of being passed through unseen.
        "passthroughBehavior": "NEVER",
    }
    responses = {
        status: {"selectionPattern": pattern, "responseTemplates": {JSON: ws.source(file).strip()}}
        for status, (pattern, file) in RESPONSES.items()
    }

    def put() -> None:
        apigateway.put_method(**here, **request)
        apigateway.put_integration(**here, integrationHttpMethod="POST", **integration)
        for status, response in responses.items():
            apigateway.put_method_response(**here, statusCode=status, responseModels={JSON: "Empty"})
            apigateway.put_integration_response(**here, statusCode=status, **response)

    def find() -> dict | None:
        current = find_orders_resource(ws, api, "/orders") or {}
        found = current.get("resourceMethods", {}).get("POST")
        return found and found | {"Arn": ws.apigateway_arn(api["id"], f"/resources/{current['id']}/methods/POST")}

    def actual() -> dict:
        """The same settings, from where API Gateway keeps them."""
        found = method.found.get("methodIntegration", {})
        answers = found.get("integrationResponses", {})
        return {
            **{key: method.found.get(key) for key in request},
            **{key: found.get(key) for key in integration},
            "integrationHttpMethod": found.get("httpMethod"),
            "statusCodes": sorted(method.found.get("methodResponses", {})),
            "responses": {
                status: {
                    "selectionPattern": answer.get("selectionPattern") or "",
                    "responseTemplates": answer.get("responseTemplates"),
                }
                for status, answer in answers.items()
            },
        }

    def put_again(_: dict) -> None:
        # A method cannot be put twice. Nobody notices the gap: the stage shows the last deployment.
        apigateway.delete_method(**here)
        put()

    method.ensure(put, find)
    method.converge(
        {
            **request,
            **integration,
            "integrationHttpMethod": "POST",
            "statusCodes": sorted(RESPONSES),
            "responses": responses,
        },
        put_again,
        read=actual,
    )


@step.resource("stage", "stage", named=lambda ws: ws.settings.environment)
def stage(ws: Workshop, stage: Resource) -> None:
    """The stage: a deployment that the world sees, and how much of it the world may ask for."""
    apigateway, api = ws.client("apigateway"), ws.need("rest-api", "ecommerce-orders-api")

    def deploy() -> None:
        apigateway.create_deployment(restApiId=api["id"], stageName=stage.name, description=fingerprint(ws))

    stage.ensure(deploy)
    stage.converge(
        {"deployment": fingerprint(ws)},
        lambda _: deploy(),
        read=lambda: {
            "deployment": apigateway.get_deployment(restApiId=api["id"], deploymentId=stage["deploymentId"]).get(
                "description"
            )
        },
    )

    def throttle() -> dict:
        settings = stage.found.get("methodSettings", {}).get("*/*", {})
        return {"rateLimit": settings.get("throttlingRateLimit"), "burstLimit": settings.get("throttlingBurstLimit")}

    stage.converge(
        THROTTLE,
        lambda changed: apigateway.update_stage(
            restApiId=api["id"],
            stageName=stage.name,
            # "*/*" means every method; a slash within a path is written ~1, but not here.
            patchOperations=replace(**{f"*/*/throttling/{limit}": value for limit, value in changed.items()}),
        ),
        read=throttle,
    )


GOOD = {
    "productId": "workshop-check",
    "productName": 'A check of the workshop, no order: &Action=x "=%\\n\u00e9\U0001f9fd',
    "quantity": 1,
}
#: What API Gateway answers where it does not know a stage yet, and where it never will.
NOT_YET = {403, 404}
#: Seconds until a new stage is known, by a wide margin.
SPREAD_WITHIN = 30
BAD = {
    "an order without a product": {"quantity": 1},
    "an order of nothing": {"productId": "x", "quantity": 0},
    "half an order": {"productId": "x", "quantity": 1.5},
    "a quantity in quotes": {"productId": "x", "quantity": "2"},
    "an unknown field": {"productId": "x", "quantity": 1, "price": 0},
    "no object": None,
}


def integration_of(ws: Workshop) -> dict:
    """How POST /orders reaches the queue."""
    api = ws.need("rest-api", "ecommerce-orders-api")
    resource = find_orders_resource(ws, api, "/orders") or {}
    return resource.get("resourceMethods", {}).get("POST", {}).get("methodIntegration", {})


@step.check("the API is regional, and ours")
def regional(ws: Workshop) -> Finding:
    return equal(types_of(ws.need("rest-api", "ecommerce-orders-api")), ["REGIONAL"])


@step.check("it checks orders against the schema of this repository")
def modelled(ws: Workshop) -> Finding:
    api = ws.need("rest-api", "ecommerce-orders-api")
    models = ws.client("apigateway").get_models(restApiId=api["id"], limit=500)["items"]
    found = next((one["schema"] for one in models if one["name"] == "Order"), "no model Order")
    return equal(found, ws.source("src/api/order.schema.json"))


@step.check("it puts orders into the queue, with its own role")
def integrated(ws: Workshop) -> Finding:
    found, queue = integration_of(ws), ws.name("ecommerce-orders-queue")
    expected = [f":sqs:path/{ws.account}/{queue}", ws.arn("iam", f"role/{ws.name('APIGateway-SQS')}")]
    return holds(
        found.get("uri", "").endswith(expected[0]) and found.get("credentials") == expected[1],
        [found.get("uri"), found.get("credentials")],
        expected,
    )


@step.check("an order cannot add parameters to the call")
def escaped(ws: Workshop) -> Finding:
    template = integration_of(ws).get("requestTemplates", {}).get(JSON, "")
    return holds("MessageBody=$util.urlEncode($input.body)" in template, template or "no template", "$util.urlEncode")


@step.check("it lets nothing pass that has no template")
def nothing_unseen(ws: Workshop) -> Finding:
    return equal(integration_of(ws).get("passthroughBehavior"), "NEVER")


@step.check("the stage shows what is configured")
def current(ws: Workshop) -> Finding:
    api = ws.need("rest-api", "ecommerce-orders-api")
    stage = ws.client("apigateway").get_stage(restApiId=api["id"], stageName=ws.settings.environment)
    deployment = ws.client("apigateway").get_deployment(restApiId=api["id"], deploymentId=stage["deploymentId"])
    return equal(deployment.get("description"), fingerprint(ws))


@step.check("the stage is throttled")
def throttled(ws: Workshop) -> Finding:
    api = ws.need("rest-api", "ecommerce-orders-api")
    stage = ws.client("apigateway").get_stage(restApiId=api["id"], stageName=ws.settings.environment)
    limits = stage.get("methodSettings", {}).get("*/*", {})
    found = [limits.get("throttlingRateLimit", 10_000), limits.get("throttlingBurstLimit", 5_000)]
    return holds(0 < found[0] <= 1_000 and 0 < found[1] <= 2_000, found, "at most 1,000 a second, 2,000 at once")


def answer(ws: Workshop, body: bytes, content_type: str = JSON) -> tuple[int, dict]:
    """What the API answers. A stage that was made a moment ago may not be known everywhere: it is waited for, once."""

    def known() -> tuple[int, dict] | None:
        nonlocal found
        found = post(ws.scratch["url"], body, content_type, ws.client.ca_bundle)
        return None if found[0] in NOT_YET else found

    # API Gateway takes ten calls a second from an account; the URL stays the same.
    if "url" not in ws.scratch:
        ws.scratch["url"] = ws.api_url()
    found: tuple[int, dict] = (0, {})
    seconds = 0 if ws.scratch.get("answered") else SPREAD_WITHIN
    with contextlib.suppress(GaveUp):
        ws.patience.until(known, "API Gateway is making the stage known", seconds)
    ws.scratch["answered"] = True
    return found


def declare_bad_order(what: str, order: dict | None) -> None:
    """A check that the API refuses something that is no order."""

    @step.check(f"{what} is refused", sends=True)
    def refused(ws: Workshop) -> Finding:
        return equal(answer(ws, json.dumps(order).encode())[0], 400)


for _what, _order in BAD.items():
    declare_bad_order(_what, _order)


@step.check("what is no JSON is refused", sends=True)
def no_json(ws: Workshop) -> Finding:
    return equal(answer(ws, b"no JSON at all")[0], 400)


@step.check("another content type is refused", sends=True)
def other_type(ws: Workshop) -> Finding:
    return equal(answer(ws, json.dumps(GOOD).encode(), content_type="text/plain")[0], 415)


@step.check("a good order is accepted", sends=True)
def accepted(ws: Workshop) -> Finding:
    ws.listen_to_mail()
    probe = f"{PROBE}{uuid.uuid4().hex[:12]}"
    status, said = answer(ws, json.dumps({"orderId": probe, **GOOD}).encode())
    if status == 202:
        ws.scratch["probe"] = probe
    return holds(status == 202 and "messageId" in said, [status, said], "202 and a messageId")


@step.check("and is stored byte for byte", sends=True)
def stored(ws: Workshop) -> Finding:
    probe = ws.scratch.get("probe", "")
    found = wait_for(ws, lambda: ws.find_order(probe))
    return equal(found or "nothing", {"orderId": probe, **GOOD})


@step.check("and is told of", sends=True)
def told(ws: Workshop) -> Finding:
    probe = ws.scratch.get("probe", "")
    found = wait_for(ws, lambda: ws.find_in_log("POC-Lambda-2", probe, time.time() - RECENT))
    return holds(found, "notified" if found else "nothing in the log of POC-Lambda-2", "notified")


def wait_for(ws: Workshop, look: Callable[[], object]) -> object:
    """Wait for the probe, if there is one; not for long where earlier checks say already that it will not come."""
    if "probe" not in ws.scratch:
        return None
    with contextlib.suppress(GaveUp):
        seconds = 3 if ws.scratch.get("failed") else 20
        return ws.patience.until(look, "the order of this check is on its way", seconds, quiet=True)
    return None


if __name__ == "__main__":
    step.main()
