"""What ministack's CloudFormation leaves out of a stack, filled in from the stack's own template.

ministack's own calls know request validators, the tags of stages and triggers, and the rest of what stands in `FILL`;
only its CloudFormation drops them on the way. So whenever a stack was created or updated, the calls are made that
it should have made, with the values that the template says. On AWS nothing of this happens, or is needed.

The `aws` of `workshop local env` does it after every command of CloudFormation, and so does whatever opens the
workshop, for stacks that somebody deployed with another `aws`.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from workshop.base import folder as files
from workshop.base.services import ClientsByService, Parameters
from workshop.embedded.instance import Instance
from workshop.embedded.process import Embedded

if TYPE_CHECKING:
    from mypy_boto3_apigateway.type_defs import PatchOperationTypeDef
    from mypy_boto3_cloudformation import CloudFormationClient

Properties = dict[str, Any]
#: A stack in one of these is not at work any more, and stands.
AT_REST = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
#: Templates of others may say more than ours do; what cannot be worked out of them stays as it is.
NOT_OURS = (LookupError, TypeError, ValueError, yaml.YAMLError, ClientError, BotoCoreError)


def complete(embedded: Embedded, instance: Instance, region: str) -> list[str]:
    """Fill in what is missing of every stack that was created or changed since the last time.

    What somebody changes by hand afterwards stays as it is until the stack itself changes.

    Args:
        embedded: the embedded AWS of a state folder.
        instance: its running instance.
        region: where the stacks are.

    Returns:
        The names of these stacks.
    """
    clients = instance.clients(region)
    stacks = clients("cloudformation").describe_stacks()["Stacks"]
    resting = [stack for stack in stacks if stack["StackStatus"] in AT_REST]
    if not resting:
        return []
    done_path = embedded.folder / "embedded.stacks.json"
    with embedded.one_at_a_time():
        done = _read(done_path).get(instance.id, {})
        changed = [stack for stack in resting if done.get(stack["StackId"]) != _moment(stack)]
        for stack in changed:
            with contextlib.suppress(*NOT_OURS):
                Stack(stack, clients).fill()
            done[stack["StackId"]] = _moment(stack)
        if changed:
            with embedded.writing():
                files.write(done_path, json.dumps({instance.id: done}))
    return [stack["StackName"] for stack in changed]


def root_of(cloudformation: "CloudFormationClient", stack: Mapping[str, Any]) -> str:
    """The name of the outermost stack around a stack: DescribeStacks lacks the `RootId` that AWS would tell.

    Args:
        cloudformation: a client.
        stack: what `DescribeStacks` says of it.
    """
    for page in cloudformation.get_paginator("describe_stacks").paginate():
        for other in page["Stacks"]:
            found = cloudformation.describe_stack_resources(StackName=other["StackId"])["StackResources"]
            if any(one["PhysicalResourceId"] == stack["StackId"] for one in found):
                return root_of(cloudformation, other)
    return str(stack["StackName"])


class Stack:
    """A stack with its template, whose values can be worked out.

    Args:
        description: what `DescribeStacks` says of it.
        client: the clients of where it is.
    """

    def __init__(self, description: Mapping[str, Any], client: ClientsByService) -> None:
        self.client = client
        cloudformation, name = client("cloudformation"), description["StackId"]
        body: Any = cloudformation.get_template(StackName=name)["TemplateBody"]
        # _Loader is a SafeLoader: it makes no objects.
        self.template = yaml.load(body, _Loader) if isinstance(body, str) else body  # nosec B506
        self.parameters = {one["ParameterKey"]: one["ParameterValue"] for one in description.get("Parameters", [])}
        found = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        self.ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}

    def fill(self) -> None:
        """Make the calls that are missing, in the order of `FILL`."""
        for kind, fill in FILL.items():
            for logical_id, resource in self.template["Resources"].items():
                if resource["Type"] == kind and logical_id in self.ids:
                    with contextlib.suppress(*NOT_OURS):
                        fill(self, logical_id, self.value(resource.get("Properties", {})))

    def value(self, node: Any) -> Any:
        """Work out a value of the template; functions that nothing in `FILL` needs stay as they are."""
        if isinstance(node, list):
            return [self.value(one) for one in node]
        if not isinstance(node, dict):
            return node
        match node:
            case {"Ref": str(name)}:
                return self.parameters.get(name, self.ids.get(name))
            case {"Fn::If": [condition, yes, no]}:
                return self.value(yes if self.holds(self.template["Conditions"][condition]) else no)
        return {name: self.value(one) for name, one in node.items()}

    def holds(self, condition: Any) -> bool:
        """Whether a condition of the template holds."""
        match condition:
            case {"Condition": name}:
                return self.holds(self.template["Conditions"][name])
            case {"Fn::Equals": [one, other]}:
                return bool(self.value(one) == self.value(other))
            case {"Fn::Not": [one]}:
                return not self.holds(one)
            case {"Fn::And": several}:
                return all(map(self.holds, several))
            case {"Fn::Or": several}:
                return any(map(self.holds, several))
        raise ValueError(f"no condition: {condition}")


def _replace(path: str, value: str) -> "PatchOperationTypeDef":
    """A change, as API Gateway takes it."""
    return {"op": "replace", "path": f"/{path}", "value": value}


def _tags(properties: Properties) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}


def _rest_api(stack: Stack, logical_id: str, properties: Properties) -> None:
    (kind,) = properties.get("EndpointConfiguration", {}).get("Types", ["EDGE"])
    patch = _replace(f"endpointConfiguration/types/{kind}", kind)
    stack.client("apigateway").update_rest_api(restApiId=stack.ids[logical_id], patchOperations=[patch])


def _validator(stack: Stack, logical_id: str, properties: Properties) -> None:
    apigateway, api = stack.client("apigateway"), {"restApiId": properties["RestApiId"]}
    should: Parameters = {
        "validateRequestBody": properties.get("ValidateRequestBody", False),
        "validateRequestParameters": properties.get("ValidateRequestParameters", False),
    }
    known = {one["name"]: one for one in apigateway.get_request_validators(**api)["items"]}
    found = known.get(properties["Name"]) or apigateway.create_request_validator(
        **api, name=properties["Name"], **should
    )
    apigateway.update_request_validator(
        **api,
        requestValidatorId=found["id"],
        patchOperations=[_replace(name, str(yes).lower()) for name, yes in should.items()],
    )
    # What refers to it means this one.
    stack.ids[logical_id] = found["id"]


def _method(stack: Stack, logical_id: str, properties: Properties) -> None:
    if "RequestValidatorId" in properties:
        patch = _replace("requestValidatorId", properties["RequestValidatorId"])
        stack.client("apigateway").update_method(
            restApiId=properties["RestApiId"], resourceId=properties["ResourceId"],
            httpMethod=properties["HttpMethod"], patchOperations=[patch],
        )  # fmt: skip


def _stage(stack: Stack, logical_id: str, properties: Properties) -> None:
    apigateway = stack.client("apigateway")
    arn = f"arn:aws:apigateway:{apigateway.meta.region_name}::/restapis/{properties['RestApiId']}"
    apigateway.tag_resource(resourceArn=f"{arn}/stages/{properties['StageName']}", tags=_tags(properties))


def _trigger(stack: Stack, logical_id: str, properties: Properties) -> None:
    lambda_ = stack.client("lambda")
    function = lambda_.get_event_source_mapping(UUID=stack.ids[logical_id])["FunctionArn"]
    arn = f"{function.split(':function:')[0]}:event-source-mapping:{stack.ids[logical_id]}"
    lambda_.tag_resource(Resource=arn, Tags=_tags(properties))


def _table(stack: Stack, logical_id: str, properties: Properties) -> None:
    if properties.get("BillingMode") == "PAY_PER_REQUEST":
        # It is paid on demand already, but shows a capacity of its own.
        stack.client("dynamodb").update_table(TableName=stack.ids[logical_id], BillingMode="PAY_PER_REQUEST")


def _topic(stack: Stack, logical_id: str, properties: Properties) -> None:
    # Without a name to display, it displays the topic's.
    stack.client("sns").set_topic_attributes(
        TopicArn=stack.ids[logical_id], AttributeName="DisplayName", AttributeValue=properties.get("DisplayName", "")
    )


def _role(stack: Stack, logical_id: str, properties: Properties) -> None:
    if properties.get("PermissionsBoundary"):
        stack.client("iam").put_role_permissions_boundary(
            RoleName=stack.ids[logical_id], PermissionsBoundary=properties["PermissionsBoundary"]
        )


#: What is left out, by type of resource; validators come before the methods that name them.
FILL: dict[str, Callable[[Stack, str, Properties], None]] = {
    "AWS::IAM::Role": _role,
    "AWS::ApiGateway::RestApi": _rest_api,
    "AWS::ApiGateway::RequestValidator": _validator,
    "AWS::ApiGateway::Method": _method,
    "AWS::ApiGateway::Stage": _stage,
    "AWS::Lambda::EventSourceMapping": _trigger,
    "AWS::DynamoDB::Table": _table,
    "AWS::SNS::Topic": _topic,
}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Reads a template's short forms as what they stand for: `!Ref Name` as `{"Ref": "Name"}`."""


def _long_form(loader: _Loader, short: str, node: yaml.Node) -> dict[str, Any]:
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case yaml.MappingNode():
            value = loader.construct_mapping(node, deep=True)
    return {short if short in ("Ref", "Condition") else f"Fn::{short}": value}


_Loader.add_multi_constructor("!", _long_form)


def _moment(stack: Mapping[str, Any]) -> str:
    """When a stack was changed last."""
    return str(stack.get("LastUpdatedTime", stack["CreationTime"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(files.read(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    here = Embedded(Path(sys.argv[1]))
    now = here.running()
    if now is not None:
        complete(here, now, sys.argv[2])
