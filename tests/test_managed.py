"""What CloudFormation built is deleted by CloudFormation: the clean-up stops, and names the stack."""

import json
from xml.sax.saxutils import escape

import pytest
from faults import Faults
from replay import build
from support import census, eventually, sample, snapshot

from workshop.base.errors import WorkshopError
from workshop.build.managed import root_stacks
from workshop.commands.clean import cleanup

TOPIC = """
Parameters:
  More: {{Type: String, Default: ""}}
Conditions:
  Topic: !Equals [!Ref More, ""]
Resources:
  Topic:
    Type: AWS::SNS::Topic
    Condition: Topic
    DeletionPolicy: {policy}
    UpdateReplacePolicy: {policy}
    Properties:
      TopicName: {prefix}-ecommerce-orders-topic
      Tags:
        - {{Key: Project, Value: ecommerce-serverless-poc}}
        - {{Key: Participant, Value: {prefix}}}
  Other:
    Type: AWS::SQS::Queue
    Properties: {{QueueName: {prefix}-other}}
"""
NESTED = """
Resources:
  Inner:
    Type: AWS::CloudFormation::Stack
    Properties: {{TemplateURL: "{url}"}}
"""


@pytest.fixture
def deploy(ws, prefix):
    """Create a stack or update it, and wait for it: `deploy("name", "template")`; all are deleted in the end."""
    cloudformation, made = ws.client("cloudformation"), []

    def deployed(name: str, template: str, **parameters: str) -> None:
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        call = cloudformation.update_stack if name in made else cloudformation.create_stack
        call(StackName=name, TemplateBody=template, Parameters=given)
        made.append(name)
        describe = lambda: cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]  # noqa: E731
        assert eventually(lambda: describe().endswith("_COMPLETE")), describe()
        assert "ROLLBACK" not in describe()

    yield deployed
    for name in made:
        delete(ws, name)
    if ws.find("topic", "ecommerce-orders-topic"):
        ws.client("sns").delete_topic(TopicArn=ws.arn("sns", ws.name("ecommerce-orders-topic")))


def delete(ws, name):
    cloudformation = ws.client("cloudformation")
    cloudformation.delete_stack(StackName=name)
    assert eventually(lambda: name not in [one["StackName"] for one in cloudformation.describe_stacks()["Stacks"]])


def template(prefix, policy="Delete"):
    return TOPIC.format(prefix=prefix, policy=policy)


def test_it_stops_and_yes_is_no_answer(ws, cli, prefix, deploy):
    build(ws, 3)
    deploy(f"{prefix}-ecommerce-serverless-poc-sns", template(prefix))
    # The embedded AWS completes a new stack with the first command.
    assert cli("status").code == 0
    before, recorded = snapshot(ws), ws.state.path.read_bytes()
    for options in (["--yes"], ["--yes", "--json"], ["--dry-run"]):
        ran = cli("cleanup", *options)
        assert ran.code == 1
        assert len(ran.errors) == 1
        assert f"the stack {prefix}-ecommerce-serverless-poc-sns," in ran.errors[0]
        assert ran.errors[0].endswith(f"Run: bash infrastructure/scripts/delete.sh --prefix {prefix}")
        assert ran.out == ""
    assert snapshot(ws) == before
    assert ws.state.path.read_bytes() == recorded


@pytest.mark.parametrize("depth", [1, 2])
def test_of_nested_stacks_it_names_the_outermost(ws, prefix, deploy, depth):
    s3 = ws.client("s3")
    s3.create_bucket(Bucket=prefix)
    inside = template(prefix)
    for number in range(depth):
        s3.put_object(Bucket=prefix, Key=f"{number}.yaml", Body=inside)
        inside = NESTED.format(url=f"https://s3.us-east-1.amazonaws.com/{prefix}/{number}.yaml")
    deploy(f"{prefix}-root", inside)
    before = snapshot(ws)
    with pytest.raises(WorkshopError) as refused:
        cleanup(ws)
    assert f"in the stack {prefix}-root," in refused.value.problem
    assert f"--stack-name {prefix}-root" in refused.value.remedy
    assert snapshot(ws) == before


def test_what_a_deleted_stack_left_is_cleaned_up(ws, prefix, deploy):
    deploy(f"{prefix}-sns", template(prefix, "Retain"))
    with pytest.raises(WorkshopError, match=f"{prefix}-sns"):
        cleanup(ws)
    delete(ws, f"{prefix}-sns")
    topic = {"kind": "topic", "name": ws.name("ecommerce-orders-topic")}
    assert cleanup(ws) == {"deleted": [topic], "remaining": []}
    assert census(ws) == []


def test_what_a_stack_let_go_of_is_cleaned_up(ws, prefix, deploy):
    deploy(f"{prefix}-sns", template(prefix, "Retain"))
    deploy(f"{prefix}-sns", template(prefix, "Retain"), More="none")
    assert ws.find("topic", "ecommerce-orders-topic")
    topic = {"kind": "topic", "name": ws.name("ecommerce-orders-topic")}
    assert cleanup(ws) == {"deleted": [topic], "remaining": []}


# What only AWS says.

STACK = "arn:aws:cloudformation:us-east-1:000000000000:stack/{}/11111111-2222-3333-4444-555555555555"


def answer(operation, **fields):
    """An answer of CloudFormation with one member of a list."""
    inside = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in fields.items())
    kind = "Stacks" if operation == "DescribeStacks" else "StackResources"
    return (
        f'<{operation}Response xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><{operation}Result><{kind}>'
        f"<member>{inside}</member></{kind}></{operation}Result></{operation}Response>"
    )


@pytest.fixture
def cloudformation(ws, monkeypatch):
    """The fault layer in front of CloudFormation, for a workshop on AWS itself."""
    monkeypatch.setattr(type(ws), "is_embedded", False)
    layer = Faults()
    layer.attach_to("cloudformation", ws.client("cloudformation"))
    return layer


def test_roles_carry_no_tag_of_their_stack_so_cloudformation_is_asked(ws, cloudformation):
    build(ws, 1)
    role, inner = ws.name("APIGateway-SQS"), STACK.format("main-Iam-1A2B3C")
    resource = {
        "LogicalResourceId": "ApiRole", "PhysicalResourceId": role, "ResourceType": "AWS::IAM::Role",
        "ResourceStatus": "CREATE_COMPLETE", "StackName": "main-Iam-1A2B3C", "StackId": inner,
        "Timestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    stack = {
        "StackName": "main-Iam-1A2B3C", "StackId": inner, "StackStatus": "DELETE_FAILED",
        "CreationTime": "2026-01-01T00:00:00Z", "RootId": STACK.format("main"), "ParentId": STACK.format("main"),
    }  # fmt: skip
    cloudformation.pretend(
        "DescribeStackResources",
        lambda _: answer("DescribeStackResources", **resource),
        when=lambda sending: role in sending.body or "LogicalResourceId=ApiRole" in sending.body,
    )
    cloudformation.pretend("DescribeStacks", lambda _: answer("DescribeStacks", **stack))
    before = snapshot(ws)
    with pytest.raises(WorkshopError, match="in the stack main,"):
        cleanup(ws)
    assert snapshot(ws) == before


def test_who_may_not_ask_cloudformation_is_refused_by_the_tag(ws, prefix, deploy, cloudformation):
    deploy(f"{prefix}-sns", template(prefix))
    denied = cloudformation.refuse("cloudformation.*", "AccessDenied", "User is not authorized", 403)
    before = snapshot(ws)
    with pytest.raises(WorkshopError, match=f"in the stack {prefix}-sns,"):
        cleanup(ws)
    assert denied.hits
    cloudformation.rules.clear()
    assert snapshot(ws) == before


@pytest.mark.parametrize(
    "code", sample(("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"), ("AccessDenied",))
)
def test_who_may_not_ask_cloudformation_deletes_no_role(ws, cloudformation, code):
    """Roles and policies carry no tag of their stack: no answer is no proof that there is none."""
    build(ws, 1)
    before, recorded = snapshot(ws), ws.state.path.read_bytes()
    denied = cloudformation.refuse("DescribeStackResources", code, "User is not authorized", 403)
    for dry_run in (True, False):
        with pytest.raises(WorkshopError) as refused:
            cleanup(ws, dry_run=dry_run)
        assert "nothing was deleted" in refused.value.problem
        assert "cloudformation:DescribeStackResources" in refused.value.remedy
        assert f"workshop policy{ws.settings.options}" in refused.value.remedy
    assert denied.hits
    assert snapshot(ws) == before
    assert ws.state.path.read_bytes() == recorded
    cloudformation.rules.clear()
    assert cleanup(ws)["remaining"] == []


def test_another_participants_stack_is_nothing_to_us(ws, open_ws, prefix, deploy):
    other = open_ws(f"{prefix}-two")
    build(ws, 1)
    deploy(f"{prefix}-two-sns", template(f"{prefix}-two"))
    assert cleanup(ws)["remaining"] == []
    found = other.find_all("topic", "ecommerce-orders-topic")
    assert root_stacks(other, [("topic", one) for one in found]) == [f"{prefix}-two-sns"]
    assert json.dumps([one["TopicArn"] for one in found])
