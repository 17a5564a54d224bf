"""What the embedded AWS's CloudFormation leaves out of a stack is filled in, from the stack's own template."""

import json
import subprocess

import pytest
from support import LONGEST_COMMAND, eventually

from workshop.embedded import Embedded
from workshop.embedded.stacks import complete

TEMPLATE = """
Parameters:
  Owner: {{Type: String, Default: ""}}
Conditions:
  HasOwner: !Not [!Equals [!Ref Owner, ""]]
  Both: !And [!Condition HasOwner, !Or [!Condition HasOwner, !Equals [a, b]]]
Resources:
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Name: {name}
      EndpointConfiguration: {{Types: [REGIONAL]}}
  Checker:
    Type: AWS::ApiGateway::RequestValidator
    Properties: {{Name: body, RestApiId: !Ref Api, ValidateRequestBody: {validate}}}
  Here:
    Type: AWS::ApiGateway::Resource
    Properties: {{RestApiId: !Ref Api, ParentId: !GetAtt Api.RootResourceId, PathPart: here}}
  Post:
    Type: AWS::ApiGateway::Method
    Properties:
      RestApiId: !Ref Api
      ResourceId: {resource}
      HttpMethod: POST
      AuthorizationType: NONE
      RequestValidatorId: !Ref Checker
      Integration: {{Type: MOCK}}
  Snapshot:
    Type: AWS::ApiGateway::Deployment
    DependsOn: Post
    Properties: {{RestApiId: !Ref Api}}
  Stage:
    Type: AWS::ApiGateway::Stage
    Properties:
      RestApiId: !Ref Api
      DeploymentId: !Ref Snapshot
      StageName: one
      Tags:
        - {{Key: owner, Value: !If [HasOwner, !Ref Owner, nobody]}}
        - {{Key: both, Value: !If [Both, "yes", "no"]}}
"""


@pytest.fixture
def embedded(state_dir):
    return Embedded(state_dir)


@pytest.fixture
def client(embedded):
    """A client of boto3 alone."""
    return embedded.running().clients("us-east-1")


@pytest.fixture
def deploy(client, prefix):
    """Create the stack, or update it: `deploy(owner="me")`."""
    cloudformation = client("cloudformation")

    def deployed(validate: str = "true", resource: str = "!Ref Here", **parameters: str) -> None:
        known = {stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]}
        call = cloudformation.update_stack if prefix in known else cloudformation.create_stack
        given = [{"ParameterKey": key.title(), "ParameterValue": value} for key, value in parameters.items()]
        call(
            StackName=prefix,
            TemplateBody=TEMPLATE.format(name=prefix, validate=validate, resource=resource),
            Parameters=given,
        )
        assert eventually(
            lambda: cloudformation.describe_stacks(StackName=prefix)["Stacks"][0]["StackStatus"].endswith("E_COMPLETE")
        )

    yield deployed
    cloudformation.delete_stack(StackName=prefix)


@pytest.fixture
def completed(embedded):
    return lambda: complete(embedded, embedded.running(), "us-east-1")


def standing(client, prefix: str) -> dict:
    """What stands of the stack, as API Gateway tells."""
    apigateway = client("apigateway")
    (api,) = [one for one in apigateway.get_rest_apis(limit=500)["items"] if one["name"] == prefix]
    here = {"restApiId": api["id"]}
    methods = [
        apigateway.get_method(**here, resourceId=resource["id"], httpMethod="POST")
        for resource in apigateway.get_resources(**here)["items"]
        if "POST" in resource.get("resourceMethods", {})
    ]
    arn = f"arn:aws:apigateway:us-east-1::/restapis/{api['id']}/stages/one"
    return {
        "api": api["id"],
        "types": api.get("endpointConfiguration", {}).get("types"),
        "validators": apigateway.get_request_validators(**here)["items"],
        "validator of the method": [method.get("requestValidatorId") for method in methods],
        "tags": apigateway.get_tags(resourceArn=arn)["tags"],
    }


def test_what_is_missing_is_filled_in_from_the_template(deploy, completed, client, prefix):
    deploy(owner="me")
    assert completed() == [prefix]
    found = standing(client, prefix)
    (validator,) = found["validators"]
    assert (validator["name"], validator["validateRequestBody"]) == ("body", True)
    assert found["validator of the method"] == [validator["id"]]
    assert found["types"] == ["REGIONAL"]
    assert found["tags"] == {"owner": "me", "both": "yes"}


def test_defaults_of_parameters_count(deploy, completed, client, prefix):
    deploy()
    completed()
    assert standing(client, prefix)["tags"] == {"owner": "nobody", "both": "no"}


def test_what_a_hand_changes_afterwards_stays_until_the_stack_changes(deploy, completed, client, prefix):
    deploy(owner="me")
    completed()
    before = standing(client, prefix)
    client("apigateway").delete_request_validator(
        restApiId=before["api"], requestValidatorId=before["validators"][0]["id"]
    )
    assert completed() == []
    assert standing(client, prefix)["validators"] == []
    deploy(validate="false", owner="you")
    assert completed() == [prefix]
    after = standing(client, prefix)
    assert [one["validateRequestBody"] for one in after["validators"]] == [False]
    assert after["validator of the method"] == [after["validators"][0]["id"]]
    assert after["tags"]["owner"] == "you"
    assert after["types"] == ["REGIONAL"]


def test_what_cannot_be_worked_out_stays_as_it_is(deploy, completed, client, prefix):
    deploy(owner="me", resource="!GetAtt Api.RootResourceId")
    assert completed() == [prefix]
    found = standing(client, prefix)
    assert found["validator of the method"] == [None]
    assert (len(found["validators"]), found["tags"]["owner"]) == (1, "me")


def test_whatever_opens_the_workshop_does_it(deploy, cli, client, prefix):
    deploy(owner="me")
    assert standing(client, prefix)["validators"] == []
    assert cli("status").code == 0
    assert len(standing(client, prefix)["validators"]) == 1


def test_the_aws_of_local_env_does_it_and_keeps_the_exit_code(deploy, cli, client, embedded, prefix):
    deploy(owner="me")
    exports = cli("local", "env").out

    def typed(command: str) -> subprocess.CompletedProcess:
        shell = ["bash", "-c", f"{exports}\n{command}"]
        return subprocess.run(shell, capture_output=True, text=True, timeout=LONGEST_COMMAND, check=False)

    done = typed("aws cloudformation describe-stacks --stack-name no-such-stack")
    assert done.returncode not in (0, 127)
    assert len(standing(client, prefix)["validators"]) == 1
    assert json.loads(typed("aws sts get-caller-identity").stdout)["Account"] == "000000000000"
