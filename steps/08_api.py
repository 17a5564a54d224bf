"""Step 8: the REST API. It validates an order and sends it to the queue, without a Lambda function in between.

API Gateway can call other AWS services itself, with an *AWS service integration*. You need four parts:

* A **model** (JSON Schema) and a **request validator**: an invalid order gets a 400 and never reaches the queue.
* A **mapping template** turns the HTTP body into a request to SQS. It escapes the body with `$util.urlEncode`.
  Otherwise, an order with an `&` in its text could add parameters to the request.
* A **role** that API Gateway assumes for the request. You created it in step 1.
* **Integration responses** turn the answer from SQS into ours: 202 Accepted, because the order isn't stored yet.

Clients see your changes only after you create a **deployment**, a snapshot of the API, on a **stage**. Ours has a
fingerprint of the source files as its description.
"""

import hashlib

from workshop.aws.owner import Description
from workshop.base.services import Parameters
from workshop.build.checks import Finding, equal, holds
from workshop.build.step import Resource, Step, Workshop
from workshop.kinds.apigateway import endpoint_types, model_named, replace, resource_at, served, validator_named
from workshop.orders.api import destination
from workshop.orders.probe import check_orders

step = Step(8, "api", "Create the API Gateway REST API", needs=(1, 3))

DESCRIPTION = "Takes orders and puts them into a queue"
JSON = "application/json"
#: `{our status: (pattern of SQS's status, file with the response template)}`; an empty pattern is the default.
RESPONSES = {
    "202": (r"2\d{2}", "src/api/response-202.vtl"),
    "400": ("400", "src/api/response-400.vtl"),
    "500": ("", "src/api/response-500.vtl"),
}
#: Requests a second, and the burst. They limit what a runaway client can cost.
THROTTLE = {"rateLimit": 500, "burstLimit": 1000}


def fingerprint(ws: Workshop) -> str:
    """Return a hash of what a deployment is made from: the schema and the templates."""
    files = ["src/api/order.schema.json", "src/api/request.vtl", *(file for _, file in RESPONSES.values())]
    return hashlib.sha256("".join(ws.source(file) for file in files).encode()).hexdigest()[:16]


@step.resource("rest-api", "ecommerce-orders-api")
def rest_api(ws: Workshop, api: Resource) -> None:
    """The API. Names of APIs aren't unique: AWS would create a second one, so the step looks for it first."""
    apigateway = ws.client("apigateway")
    api.ensure(
        lambda: apigateway.create_rest_api(
            name=api.name,
            description=DESCRIPTION,
            endpointConfiguration={"types": ["REGIONAL"]},
            tags=ws.tags,
        )
    )

    def update(changed: Parameters) -> None:
        apigateway.update_rest_api(restApiId=api["id"], patchOperations=replace(**changed))

    api.converge({"description": DESCRIPTION}, update)
    # An API with a disabled execute-api endpoint answers 403, as if it didn't exist.
    api.converge(
        {"disableExecuteApiEndpoint": "false"},
        update,
        read=lambda: {"disableExecuteApiEndpoint": str(api.found.get("disableExecuteApiEndpoint", False)).lower()},
    )

    def move(_: Parameters) -> None:
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-api-migration.html
        update({f"endpointConfiguration/types/{endpoint_types(api.found)[0]}": "REGIONAL"})
        api.wait(
            lambda: endpoint_types(apigateway.get_rest_api(restApiId=api["id"])) == ["REGIONAL"],
            "API Gateway is moving the API (up to 60 seconds)",
            180,
        )

    api.converge({"types": ["REGIONAL"]}, move, read=lambda: {"types": endpoint_types(api.found)})


@step.resource("request-model", "Order", named=lambda ws: "Order")
def model(ws: Workshop, model: Resource) -> None:
    """The model: one JSON Schema, also used by the CloudFormation templates and the documentation."""
    apigateway, api = ws.client("apigateway"), ws.need("rest-api", "ecommerce-orders-api")
    schema = ws.source("src/api/order.schema.json")

    model.ensure(
        lambda: apigateway.create_model(restApiId=api["id"], name=model.name, contentType=JSON, schema=schema),
        find=lambda: model_named(ws, api, model.name),
    )
    model.converge(
        {"schema": schema},
        lambda changed: apigateway.update_model(
            restApiId=api["id"], modelName=model.name, patchOperations=replace(**changed)
        ),
    )


@step.resource("request-validator", "order-body", named=lambda ws: "order-body")
def validator(ws: Workshop, validator: Resource) -> None:
    """The request validator: it validates the body against the model, and not the parameters."""
    apigateway, api = ws.client("apigateway"), ws.need("rest-api", "ecommerce-orders-api")
    checks = {"validateRequestBody": True, "validateRequestParameters": False}

    validator.ensure(
        lambda: apigateway.create_request_validator(restApiId=api["id"], name=validator.name, **checks),
        find=lambda: validator_named(ws, api, validator.name),
    )
    validator.converge(
        checks,
        lambda changed: apigateway.update_request_validator(
            restApiId=api["id"],
            requestValidatorId=validator["id"],
            patchOperations=replace(**{check: str(value).lower() for check, value in changed.items()}),
        ),
    )


@step.resource("api-resource", "/orders", named=lambda ws: "/orders")
def orders_resource(ws: Workshop, resource: Resource) -> None:
    """The path to which clients post orders."""
    apigateway, api = ws.client("apigateway"), ws.need("rest-api", "ecommerce-orders-api")

    def create() -> None:
        root = resource_at(ws, api, "/") or {}
        apigateway.create_resource(restApiId=api["id"], parentId=root["id"], pathPart="orders")

    resource.ensure(create, find=lambda: resource_at(ws, api, "/orders"))


@step.resource("method", "POST /orders", named=lambda ws: "POST /orders")
def post_orders(ws: Workshop, method: Resource) -> None:
    """POST /orders: the request, its integration with SQS, and the responses."""
    apigateway, api = ws.client("apigateway"), ws.need("rest-api", "ecommerce-orders-api")
    queue, role = ws.need("queue", "ecommerce-orders-queue"), ws.need("role", "APIGateway-SQS")
    resource, validator = resource_at(ws, api, "/orders") or {}, validator_named(ws, api, "order-body") or {}
    here: Parameters = {"restApiId": api["id"], "resourceId": resource.get("id"), "httpMethod": "POST"}

    request: Parameters = {
        "authorizationType": "NONE",
        "apiKeyRequired": False,
        "requestValidatorId": validator.get("id"),
        "requestModels": {JSON: "Order"},
    }
    integration: Parameters = {
        "type": "AWS",
        "uri": f"arn:{ws.partition}:apigateway:{ws.region}:sqs:path/{ws.account}/{queue['Arn'].split(':')[-1]}",
        "credentials": role["Arn"],
        "requestParameters": {"integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"},
        "requestTemplates": {JSON: ws.source("src/api/request.vtl").strip()},
        # Reject other content types with 415 instead of passing the body through unvalidated.
        "passthroughBehavior": "NEVER",
    }
    responses: dict[str, Parameters] = {
        status: {"selectionPattern": pattern, "responseTemplates": {JSON: ws.source(file).strip()}}
        for status, (pattern, file) in RESPONSES.items()
    }

    def put() -> None:
        apigateway.put_method(**here, **request)
        apigateway.put_integration(**here, integrationHttpMethod="POST", **integration)
        for status, response in responses.items():
            apigateway.put_method_response(**here, statusCode=status, responseModels={JSON: "Empty"})
            apigateway.put_integration_response(**here, statusCode=status, **response)

    def find() -> Description | None:
        current = resource_at(ws, api, "/orders") or {}
        found: Description | None = current.get("resourceMethods", {}).get("POST")
        return found and found | {"Arn": f"{current['Arn']}/methods/POST"}

    def actual() -> Description:
        """Read the same settings from where API Gateway keeps them."""
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

    def put_again(_: Parameters) -> None:
        # put_method fails for an existing method. Clients don't notice: the stage serves the last deployment.
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
    """The stage: the deployment that clients reach, and its throttling."""
    apigateway, api = ws.client("apigateway"), ws.need("rest-api", "ecommerce-orders-api")

    here: Parameters = {"restApiId": api["id"], "stageName": stage.name}

    def deploy() -> None:
        apigateway.create_deployment(**here, description=fingerprint(ws))

    stage.ensure(deploy)
    # A description can be copied, so the deployed integration counts as well. A canary could go elsewhere.
    stage.converge(
        {"canarySettings": None},
        lambda _: apigateway.update_stage(**here, patchOperations=[{"op": "remove", "path": "/canarySettings"}]),
    )
    stage.converge(
        {"deployment": fingerprint(ws), **destination(ws)},
        lambda _: deploy(),
        read=lambda: served(ws, stage.found, api, "/orders", "POST"),
    )

    def throttle() -> Description:
        settings = stage.found.get("methodSettings", {}).get("*/*", {})
        return {"rateLimit": settings.get("throttlingRateLimit"), "burstLimit": settings.get("throttlingBurstLimit")}

    # "*/*" means every method. In a resource path, a slash would be written ~1.
    stage.converge(
        THROTTLE,
        lambda changed: apigateway.update_stage(
            **here, patchOperations=replace(**{f"*/*/throttling/{limit}": value for limit, value in changed.items()})
        ),
        read=throttle,
    )


def integration_of(ws: Workshop) -> Description:
    """Return the integration of POST /orders."""
    api = ws.need("rest-api", "ecommerce-orders-api")
    post = (resource_at(ws, api, "/orders") or {}).get("resourceMethods", {}).get("POST", {})
    return dict(post.get("methodIntegration", {}))


@step.check("the API is regional")
def regional(ws: Workshop) -> Finding:
    return equal(endpoint_types(ws.need("rest-api", "ecommerce-orders-api")), ["REGIONAL"])


@step.check("the request model is the order schema")
def modelled(ws: Workshop) -> Finding:
    found = model_named(ws, ws.need("rest-api", "ecommerce-orders-api"), "Order")
    return equal(found["schema"] if found else "no model Order", ws.source("src/api/order.schema.json"))


@step.check("POST /orders sends to the queue with the API's role")
def integrated(ws: Workshop) -> Finding:
    found = integration_of(ws)
    return equal({key: found.get(key) for key in destination(ws)}, destination(ws))


@step.check("an order can't add parameters to the SQS request")
def escaped(ws: Workshop) -> Finding:
    template = integration_of(ws).get("requestTemplates", {}).get(JSON, "")
    return holds("MessageBody=$util.urlEncode($input.body)" in template, template or "no template", "$util.urlEncode")


@step.check("content types without a template are rejected")
def nothing_unseen(ws: Workshop) -> Finding:
    return equal(integration_of(ws).get("passthroughBehavior"), "NEVER")


@step.check("the stage serves the current configuration")
def current(ws: Workshop) -> Finding:
    api = ws.need("rest-api", "ecommerce-orders-api")
    stage = ws.client("apigateway").get_stage(restApiId=api["id"], stageName=ws.settings.environment)
    wanted = {"deployment": fingerprint(ws), "canarySettings": None, **destination(ws)}
    return equal(served(ws, stage, api, "/orders", "POST"), wanted)


@step.check("the stage is throttled")
def throttled(ws: Workshop) -> Finding:
    api = ws.need("rest-api", "ecommerce-orders-api")
    stage = ws.client("apigateway").get_stage(restApiId=api["id"], stageName=ws.settings.environment)
    limits = stage.get("methodSettings", {}).get("*/*", {})
    found = [limits.get("throttlingRateLimit", 10_000), limits.get("throttlingBurstLimit", 5_000)]
    return holds(0 < found[0] <= 1_000 and 0 < found[1] <= 2_000, found, "at most 1,000 a second, 2,000 at once")


check_orders(step)


if __name__ == "__main__":
    step.main()
