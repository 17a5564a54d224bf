"""A resource of one of our names without our tags is somebody else's: never changed, never deleted."""

import dataclasses
import json
import re
from typing import Any

import pytest
from replay import build
from support import hurry, sample, settled, snapshot, teardown

from workshop.base.errors import ForeignResource
from workshop.base.settings import PROJECT
from workshop.build.function_code import packed
from workshop.commands.build import refuse_foreign_names
from workshop.commands.clean import cleanup
from workshop.commands.verify import grade
from workshop.kinds import KINDS
from workshop.kinds.foreign import refusal

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
RIGHT = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
KEY = {
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
}


@pytest.fixture
def ws(ws):
    """This test's participant, in a hurry: what is new and has no tags is given time to show them."""
    hurry(ws)
    return ws


def somebodys_role(ws, name, tags):
    made = ws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), Tags=as_list(tags))
    return made["Role"]["Arn"]


def somebodys_policy(ws, name, tags):
    ws.client("iam").create_policy(PolicyName=name, PolicyDocument=json.dumps(RIGHT), Tags=as_list(tags))


def somebodys_table(ws, name, tags):
    ws.client("dynamodb").create_table(TableName=name, BillingMode="PAY_PER_REQUEST", Tags=as_list(tags), **KEY)


def somebodys_queue(ws, name, tags):
    ws.client("sqs").create_queue(QueueName=name, Attributes={"VisibilityTimeout": "7"}, tags=tags)


def somebodys_function(ws, name, tags):
    role = somebodys_role(ws, f"{ws.settings.prefix}-else", {})
    code = {"ZipFile": packed("def handler(event, context): pass")}
    configuration = {"Runtime": "python3.12", "Handler": "index.handler", "Role": role, "Timeout": 5}
    ws.client("lambda").create_function(FunctionName=name, Code=code, Tags=tags, **configuration)


def somebodys_log_group(ws, name, tags):
    ws.client("logs").create_log_group(logGroupName=name, tags=tags)


def somebodys_topic(ws, name, tags):
    ws.client("sns").create_topic(Name=name, Tags=as_list(tags))


def somebodys_api(ws, name, tags):
    ws.client("apigateway").create_rest_api(name=name, description="somebody's", tags=tags)


def as_list(tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


#: (number of the step, name, how it is made)
SAME_NAME = [
    (1, "Lambda-DynamoDB-SNS", somebodys_role),
    (1, "Lambda-Put-DynamoDB", somebodys_policy),
    (2, "ecommerce-orders", somebodys_table),
    (3, "ecommerce-orders-queue", somebodys_queue),
    (3, "ecommerce-orders-dlq", somebodys_queue),
    (4, "POC-Lambda-1", somebodys_function),
    (4, "/aws/lambda/POC-Lambda-1", somebodys_log_group),
    (6, "ecommerce-orders-topic", somebodys_topic),
    (7, "ecommerce-orders-stream-dlq", somebodys_queue),
    (7, "POC-Lambda-2", somebodys_function),
    (8, "ecommerce-orders-api", somebodys_api),
]


def one_of_each() -> list[Any]:
    """All of them; in every run one of those whose owner is told by a path, by tags, by a list, and by nothing."""
    often = ("Lambda-Put-DynamoDB", "ecommerce-orders-queue", "/aws/lambda/POC-Lambda-1", "ecommerce-orders-api")
    return sample([pytest.param(*one, id=one[1]) for one in SAME_NAME], often)


@pytest.mark.parametrize(("number", "base", "make"), one_of_each())
def test_the_step_refuses_and_the_cleanup_leaves_it(ws, number, base, make):
    make(ws, ws.name(base), {})
    before = snapshot(ws)
    build(ws, number - 1)
    with pytest.raises(ForeignResource, match=ws.name(base)):
        ws.steps[number - 1].run(ws)
    done = cleanup(ws)
    assert done["remaining"] == []
    assert ws.name(base) not in [entry["name"] for entry in done["deleted"] if entry["kind"] != "event-source-mapping"]
    # Everything of ours is gone again, so what is there is what was there, and as it was.
    assert snapshot(ws) == before


#: Tags that are nearly ours.
NOT_OURS = {
    "of another participant": {"Project": "ecommerce-serverless-poc", "Participant": "somebody"},
    "of nobody": {"Project": "ecommerce-serverless-poc"},
    "of another project": {"Project": "something-else", "Participant": "{prefix}"},
    "in other letters": {"project": "ecommerce-serverless-poc", "participant": "{prefix}"},
}


@pytest.mark.parametrize("whose", sample(NOT_OURS, ("of another participant", "in other letters")))
def test_tags_must_be_exactly_ours(ws, whose):
    tags = NOT_OURS[whose]
    somebodys_queue(
        ws, ws.name("ecommerce-orders-dlq"), {k: v.format(prefix=ws.settings.prefix) for k, v in tags.items()}
    )
    before = snapshot(ws)
    ws.steps[0].run(ws)
    with pytest.raises(ForeignResource):
        ws.steps[2].run(ws)
    cleanup(ws)
    assert snapshot(ws) == before


@pytest.mark.slow
def test_the_command_line_refuses_in_one_line(cli, ws):
    # With a tag that is not ours nobody waits for more of them.
    somebodys_table(ws, ws.name("ecommerce-orders"), {"Owner": "somebody"})
    before = settled(snapshot(ws))
    ran = cli("02_dynamodb")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert ws.name("ecommerce-orders") in ran.err
    assert "--prefix" in ran.err
    status = cli("status", "--json").json["resources"]
    assert {one["state"] for one in status} == {"missing"}
    gone = cli("cleanup", "--yes", "--json")
    assert gone.code == 0
    assert gone.json == {"deleted": [], "remaining": []}
    assert settled(snapshot(ws)) == before


def test_somebodys_api_of_our_name_beside_ours(ws):
    # API Gateway lets names repeat, so both can stand.
    build(ws)
    somebodys_api(ws, ws.name("ecommerce-orders-api"), {})
    assert {resource.result for resource in ws.steps[7].run(ws)} == {"unchanged"}
    cleanup(ws)
    left = [api for api in ws.client("apigateway").get_rest_apis(limit=500)["items"] if ws.settings.prefix in str(api)]
    assert [api["description"] for api in left] == ["somebody's"]


def test_somebodys_policy_is_only_detached_from_a_role_of_ours(ws):
    build(ws, 1)
    somebodys_policy(ws, f"{ws.settings.prefix}-theirs", {})
    arn, role = ws.arn("iam", f"policy/{ws.settings.prefix}-theirs"), ws.name("APIGateway-SQS")
    ws.client("iam").attach_role_policy(RoleName=role, PolicyArn=arn)
    teardown().delete_ours(ws)
    assert ws.client("iam").get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 0


# What is said of whose it is, and what to type: one text for each kind of case, wherever it comes up.

#: `{case: (tags or path of what is there, what says whose it is)}`
OWNERS = {
    "another participant's": ({"Project": PROJECT, "Participant": "bob"}, "belongs to the participant bob"),
    "who works without a prefix": (
        {"Project": PROJECT, "Participant": "default"},
        "belongs to the participant without a prefix",
    ),
    "another project's": ({"Owner": "payroll"}, "carries Owner=payroll"),
    "nobody's, by its tags": ({}, "carries no tags"),
}


@pytest.mark.parametrize("case", OWNERS)
@pytest.mark.parametrize("way", ["the step", "a step that needs it", "without a prefix"])
def test_it_says_whose_it_is_and_what_to_type(ws, case, way):
    tags, whose = OWNERS[case]
    name = ws.name("ecommerce-orders")
    somebodys_table(ws, name, tags)
    tries = {
        "the step": lambda: ws.steps[1].run(ws),
        "a step that needs it": lambda: ws.need("table", "ecommerce-orders"),
        "without a prefix": lambda: refuse_foreign_names(ws),
    }
    with pytest.raises(ForeignResource) as refused:
        tries[way]()
    assert refused.value.problem.startswith(f"There is a table {name} without our tags Project={PROJECT} and")
    assert whose in refused.value.problem
    assert "left as it is" in refused.value.problem
    assert refused.value.remedy == "Choose another --prefix."
    ws.client("dynamodb").delete_table(TableName=name)


def test_of_a_policy_its_path_says_whose_it_is(ws):
    name = ws.name("Lambda-Put-DynamoDB")
    somebodys_policy(ws, name, {})
    with pytest.raises(ForeignResource, match=re.escape("without our path")) as refused:
        ws.steps[0].run(ws)
    assert "it lies in /." in refused.value.problem
    assert refused.value.remedy == "Choose another --prefix."
    cleanup(ws)
    ws.client("iam").delete_policy(PolicyArn=ws.arn("iam", f"policy/{name}"))


def test_without_a_prefix_the_remedy_is_to_choose_one(ws):
    # Names without a prefix stand for all tests; what is asked here is only the text.
    name = ws.name("ecommerce-orders")
    somebodys_table(ws, name, {"Owner": "payroll"})
    found = KINDS["table"].find(ws, name)
    ws.settings = dataclasses.replace(ws.settings, prefix="")
    assert refusal(ws, "table", name, found).remedy == "Choose a prefix, such as: --prefix alice"
    ws.client("dynamodb").delete_table(TableName=name)


@pytest.mark.slow
def test_another_regions_role_names_what_to_type_there(ws, open_ws):
    here = open_ws(ws.settings.prefix, region="eu-central-1")
    build(ws, 1)
    with pytest.raises(ForeignResource) as refused:
        here.steps[0].run(here)
    options = f" --prefix {ws.settings.prefix} --region us-east-1"
    assert "belongs to region us-east-1" in refused.value.problem
    assert refused.value.remedy == (
        "Choose another --prefix, go on there with --region us-east-1, or delete what is there:"
        f" workshop cleanup{options}"
    )
    # What is named does it.
    cleanup(ws)
    here.steps[0].run(here)
    assert cleanup(here)["remaining"] == []


def test_a_verification_names_the_same_remedy(ws):
    name = ws.name("ecommerce-orders")
    somebodys_table(ws, name, {"Owner": "payroll"})
    verdicts = [one for one in grade(ws, [ws.steps[1]]) if not one.passed]
    assert {one.remedy for one in verdicts} == {"Choose another --prefix."}
    assert all("carries Owner=payroll" in one.detail for one in verdicts)
    ws.client("dynamodb").delete_table(TableName=name)
