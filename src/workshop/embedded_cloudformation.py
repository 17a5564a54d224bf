"""What the CloudFormation of the embedded AWS leaves out of AWS's, put in. Runs within the embedded AWS.

ministack 1.5.33 builds the resources of a template by ways of its own, and on those ways some properties get lost
that its API calls know well. Each gap is filled here with what AWS does; tests/test_same_thing.py holds a stack
against the same thing built by API calls.
"""

import functools
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import apigateway_v1, dynamodb, lambda_svc, sns
from ministack.services.cloudformation import provisioners
from ministack.services.cloudformation.provisioners import _RESOURCE_HANDLERS as HANDLERS
from ministack.services.cloudformation.provisioners import _tag_map as as_dict

Properties = dict[str, Any]
#: What a handler answers: the resource's physical id, and its attributes.
Made = tuple[str, dict[str, Any]]


def after(resource_type: str, finish: Callable[[str, Properties], None]) -> None:
    """Finish each resource of a type after ministack created or updated it.

    Args:
        resource_type: such as `AWS::SNS::Topic`.
        finish: takes its physical id and its properties in the template.
    """
    handler = HANDLERS[resource_type]
    ministacks_create, ministacks_update = handler["create"], handler["update"]

    def create(logical_id: str, properties: Properties, *more: Any) -> Made:
        made: Made = ministacks_create(logical_id, properties, *more)
        finish(made[0], properties)
        return made

    def update(physical_id: str, old: Properties, new: Properties, *more: Any) -> Made:
        made: Made = ministacks_update(physical_id, old, new, *more)
        finish(made[0], new)
        return made

    handler |= {"create": create, "update": update}


def rest_api(api_id: str, properties: Properties) -> None:
    """The API spells `types` what the template spells `Types`."""
    if types := properties.get("EndpointConfiguration", {}).get("Types"):
        apigateway_v1._rest_apis[api_id]["endpointConfiguration"] = {"types": types}


def validator_create(_: str, properties: Properties, *__: Any) -> Made:
    """A validator that only CloudFormation knows checks nothing."""
    validator_id = apigateway_v1.new_uuid().replace("-", "")[:8]
    validator_write(validator_id, properties)
    return validator_id, {"RequestValidatorId": validator_id}


def validator_update(physical_id: str, _: Properties, new: Properties, *__: Any) -> Made:
    """The same validator, with other flags."""
    validator_write(physical_id, new)
    return physical_id, {"RequestValidatorId": physical_id}


def validator_write(validator_id: str, properties: Properties) -> None:
    """Put a validator where the API has its own."""
    apigateway_v1._request_validators.setdefault(properties["RestApiId"], {})[validator_id] = {
        "id": validator_id,
        "name": properties.get("Name", ""),
        "validateRequestBody": str(properties.get("ValidateRequestBody")).lower() == "true",
        "validateRequestParameters": str(properties.get("ValidateRequestParameters")).lower() == "true",
    }


def validator_delete(physical_id: str, properties: Properties) -> None:
    """Gone already, if its API is."""
    apigateway_v1._request_validators.get(properties["RestApiId"], {}).pop(physical_id, None)


def method(_: str, properties: Properties) -> None:
    """A method names its validator."""
    resource = apigateway_v1._resources[properties["RestApiId"]][properties["ResourceId"]]
    resource["resourceMethods"][properties["HttpMethod"]]["requestValidatorId"] = properties.get("RequestValidatorId")


def stage(name: str, properties: Properties) -> None:
    """A stage's tags are where GetTags looks for them."""
    arn = f"{apigateway_v1._rest_api_arn(properties['RestApiId'])}/stages/{name}"
    apigateway_v1._v1_tags[arn] = as_dict(properties.get("Tags"))


def mapping(uuid: str, properties: Properties) -> None:
    """A mapping has tags; over a queue it has no starting position."""
    mapping = lambda_svc._esms[uuid]
    mapping["Tags"] = as_dict(properties.get("Tags"))
    if "StartingPosition" not in properties:
        mapping.pop("StartingPosition", None)


def table(name: str, properties: Properties) -> None:
    """A table on demand has no throughput of its own."""
    if properties.get("BillingMode") == "PAY_PER_REQUEST":
        dynamodb._tables[name]["ProvisionedThroughput"] = {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}


def topic(arn: str, properties: Properties) -> None:
    """A topic that was given no display name has none."""
    sns._topics[arn]["attributes"]["DisplayName"] = properties.get("DisplayName", "")


def remember_attributes() -> None:
    """Let a resource of a nested stack that an update does not touch keep its attributes, for others to refer to."""
    known: dict[tuple[str, ...], dict[str, Any]] = {}
    ministacks_provision, ministacks_update = provisioners._provision_resource, provisioners._update_resource

    def remembered(resource_type: str, made: Made) -> Made:
        physical_id, attributes = made
        key = (get_account_id(), get_region(), resource_type, physical_id)
        known[key] = attributes or known.get(key, {})
        return physical_id, known[key]

    def provision(resource_type: str, *more: Any) -> Made:
        return remembered(resource_type, ministacks_provision(resource_type, *more))

    def update(resource_type: str, *more: Any, **named: Any) -> Made:
        return remembered(resource_type, ministacks_update(resource_type, *more, **named))

    provisioners._provision_resource, provisioners._update_resource = provision, update


@functools.cache
def fill_the_gaps() -> None:
    """Put all of this in, once."""
    after("AWS::ApiGateway::RestApi", rest_api)
    HANDLERS["AWS::ApiGateway::RequestValidator"] |= {
        "create": validator_create,
        "update": validator_update,
        "delete": validator_delete,
    }
    after("AWS::ApiGateway::Method", method)
    after("AWS::ApiGateway::Stage", stage)
    after("AWS::Lambda::EventSourceMapping", mapping)
    after("AWS::DynamoDB::Table", table)
    after("AWS::SNS::Topic", topic)
    remember_attributes()
