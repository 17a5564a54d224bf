"""The REST API and its stage. An API's name may repeat, and its id is AWS's choice."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from workshop.aws.owner import Description
from workshop.aws.place import Place
from workshop.kinds.kind import Kind

if TYPE_CHECKING:
    from mypy_boto3_apigateway.type_defs import PatchOperationTypeDef

#: The API that holds the stage, by its name before the prefix.
STAGE_OF = "ecommerce-orders-api"


def _rest_api(place: Place, name: str) -> Iterator[Description]:
    pages = place.client("apigateway").get_paginator("get_rest_apis").paginate(PaginationConfig={"PageSize": 500})
    for page in pages:
        for api in page["items"]:
            if api["name"] == name:
                yield api | {"Arn": place.apigateway_arn(api["id"])}


def _tags(place: Place, found: Description) -> dict[str, str]:
    return dict(place.client("apigateway").get_tags(resourceArn=found["Arn"])["tags"])


def _tag(place: Place, found: Description, tags: dict[str, str]) -> None:
    place.client("apigateway").tag_resource(resourceArn=found["Arn"], tags=tags)


def delete_api(place: Place, api: Description) -> None:
    """Its resources, methods, models, deployments and stages go with it. AWS takes one such call in 30 seconds."""
    place.client("apigateway").delete_rest_api(restApiId=api["id"])


def _stage(place: Place, name: str) -> Iterator[Description]:
    for api in REST_API.ours(place, place.name(STAGE_OF)):
        yield from stages(place, api, name)


def stages(place: Place, api: Description, name: str) -> Iterator[Description]:
    """The stages of one name in an API: one, or none."""
    for stage in place.client("apigateway").get_stages(restApiId=api["id"])["item"]:
        if stage["stageName"] == name:
            yield stage | {"Arn": place.apigateway_arn(api["id"], f"/stages/{name}"), "restApiId": api["id"]}


def deployed_integration(place: Place, api: Description, stage: str, path: str, method: str) -> dict[str, Any]:
    """The integration of a method as a stage serves it, in the form of `x-amazon-apigateway-integration`.

    A stage serves a snapshot, and what is configured may have changed since. A deployment itself tells only the
    methods in it; the stage's export tells their integrations, too:
    https://docs.aws.amazon.com/apigateway/latest/api/API_GetExport.html

    Returns:
        The integration; empty if the stage serves no such method.
    """
    export = place.client("apigateway").get_export(
        restApiId=api["id"],
        stageName=stage,
        exportType="oas30",
        parameters={"extensions": "integrations"},
        accepts="application/json",
    )
    methods = json.loads(export["body"].read()).get("paths", {}).get(path, {})
    found: dict[str, Any] = methods.get(method.lower(), {}).get("x-amazon-apigateway-integration", {})
    return found


def served(place: Place, stage: Mapping[str, Any], api: Description, path: str, method: str) -> dict[str, Any]:
    """What a stage of an API serves: its deployment's description, and where a method's integration leads, as whom.

    A canary release would serve some of the calls from another deployment.
    """
    client, deployment = place.client("apigateway"), stage["deploymentId"]
    integration = deployed_integration(place, api, stage["stageName"], path, method)
    return {
        "deployment": client.get_deployment(restApiId=api["id"], deploymentId=deployment).get("description", ""),
        "canarySettings": stage.get("canarySettings"),
        "uri": integration.get("uri"),
        "credentials": integration.get("credentials"),
    }


def resource_at(place: Place, api: Description, path: str) -> Description | None:
    """A resource of an API by its path, with its methods and their integrations: one call tells it all."""
    resources = place.client("apigateway").get_resources(restApiId=api["id"], embed=["methods"], limit=500)["items"]
    arn = place.apigateway_arn(api["id"], "/resources/")
    return next(({**one, "Arn": arn + one["id"]} for one in resources if one["path"] == path), None)


def model_named(place: Place, api: Description, name: str) -> Description | None:
    """A model of an API, with its schema."""
    models = place.client("apigateway").get_models(restApiId=api["id"], limit=500)["items"]
    arn = place.apigateway_arn(api["id"], f"/models/{name}")
    return next(({**one, "Arn": arn} for one in models if one["name"] == name), None)


def validator_named(place: Place, api: Description, name: str) -> Description | None:
    """A request validator of an API."""
    validators = place.client("apigateway").get_request_validators(restApiId=api["id"], limit=500)["items"]
    arn = place.apigateway_arn(api["id"], "/requestvalidators/")
    return next(({**one, "Arn": arn + one["id"]} for one in validators if one.get("name") == name), None)


def endpoint_types(api: Mapping[str, Any]) -> list[str]:
    """Where an API answers: in its region (REGIONAL), at the edge (EDGE), or in a network of one's own (PRIVATE)."""
    return list(api.get("endpointConfiguration", {}).get("types", []))


def replace(**values: object) -> "list[PatchOperationTypeDef]":
    """A patch, the form in which API Gateway takes changes: one operation for each value."""
    return [{"op": "replace", "path": f"/{key}", "value": str(value)} for key, value in values.items()]


REST_API = Kind(_rest_api, _tags, _tag, delete_api)
APIGATEWAY = {"rest-api": REST_API, "stage": Kind(_stage, _tags, _tag, inherits=True)}
