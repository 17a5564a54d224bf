"""Every policy that the workshop writes does on AWS what it says, by the service authorization reference."""

import json

import pytest
from authorization import without_effect
from support import listings

from workshop.build.boundary import boundary_policy
from workshop.build.participant import PARTS, participant_policy
from workshop.commands.policy import policy


def statement(action, resource="*", effect="Allow", **condition) -> dict:
    return {"Statement": [{"Effect": effect, "Action": action, "Resource": resource, "Condition": condition}]}


QUEUE = "arn:aws:sqs:us-east-1:123456789012:orders"
ROLE = "arn:aws:iam::123456789012:role/alice"
STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/*"
GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/orders"
OURS = {"aws:RequestTag/Participant": "alice"}

GOOD = {
    "an action on its resource": statement("sqs:SendMessage", QUEUE),
    "an action on some of its resources": statement("sqs:SendMessage", QUEUE[:-3] + "*"),
    "an action on everything": statement("sqs:SendMessage"),
    "an action without a resource": statement("sns:Unsubscribe"),
    "all actions of a service": statement("sqs:*", QUEUE, "Deny"),
    "everything": statement("*", "*", "Deny", StringNotEquals=OURS),
    "a stream": statement("dynamodb:GetRecords", STREAM),
    "the streams of a log group": statement("logs:PutLogEvents", f"{GROUP}:*"),
    "a role in a path": statement("iam:GetRole", ROLE.replace("alice", "workshop/alice")),
    "all but some actions": {
        "Statement": [{"Effect": "Deny", "NotAction": ["sqs:SendMessage", "sns:Publish"], "Resource": "*"}]
    },
    "whose role it is": statement("sqs:SendMessage", QUEUE, StringEquals={"aws:PrincipalTag/Participant": "alice"}),
    "a variable": statement("iam:SimulatePrincipalPolicy", "arn:aws:iam::123456789012:user/${aws:username}"),
    "an API": statement("apigateway:PATCH", "arn:aws:apigateway:us-east-1::/restapis/*"),
    "an API's tags": statement("apigateway:PUT", "arn:aws:apigateway:us-east-1::/tags/*"),
    "a tag that is given": statement("sqs:TagQueue", QUEUE, StringEquals=OURS),
    "a tag that is there": statement("sqs:SendMessage", QUEUE, StringEquals={"aws:ResourceTag/Participant": "alice"}),
    "a boundary": statement("iam:CreateRole", ROLE, StringEquals={"iam:PermissionsBoundary": "x"}),
    "how it was sent": statement("sqs:SendMessage", QUEUE, Bool={"aws:SecureTransport": "false"}),
    "a key of one of two, if it exists": statement(
        ["iam:CreateRole", "iam:AttachRolePolicy"], ROLE, ArnLikeIfExists={"iam:PolicyARN": "x"}
    ),
}
BAD = {
    "no action": (statement("sqs:SendMesage", QUEUE), "there is no such action"),
    "no service": (statement("sqss:SendMessage", QUEUE), "there is no such action"),
    "an action without a resource, on one": (statement("sns:Unsubscribe", "arn:aws:sns:us-east-1:1:t:*"), "takes *"),
    "another service's resource": (statement("sns:Publish", QUEUE), "it takes arn:"),
    "another type of the service": (statement("iam:GetRole", ROLE.replace("role", "user")), "it takes arn:"),
    "a table for a stream": (statement("dynamodb:GetRecords", STREAM.split("/stream")[0]), "it takes arn:"),
    "a stream for a table": (statement("dynamodb:PutItem", STREAM), "it takes arn:"),
    "one of two resources": (statement("sqs:SendMessage", [QUEUE, ROLE]), "it takes arn:"),
    "one of two actions": (statement(["sqs:SendMessage", "sns:Publish"], QUEUE), "sns:Publish"),
    "a region too much": (statement("iam:GetRole", ROLE.replace("::", ":us-east-1:")), "it takes arn:"),
    "a key that it does not bring": (
        statement("iam:PassRole", ROLE, StringEquals={"iam:PermissionsBoundary": "x"}),
        "brings iam:PermissionsBoundary",
    ),
    "a key of the other action": (
        statement(["iam:CreateRole", "iam:AttachRolePolicy"], ROLE, ArnLike={"iam:PolicyARN": "x"}),
        "brings iam:PolicyARN",
    ),
    "no action among those that are left out": (
        {"Statement": [{"Effect": "Deny", "NotAction": ["sqs:SendMesage", "sns:Publish"], "Resource": "*"}]},
        "sqs:SendMesage: there is no such action",
    ),
    "a variable that nothing fills": (
        statement("sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:${aws:PrincipleTag/Participant}-orders"),
        "${aws:PrincipleTag/Participant}: there is no such key",
    ),
    "a global key that there is not": (
        statement("sqs:SendMessage", QUEUE, Bool={"aws:SecureTransprot": "false"}, effect="Deny"),
        "brings aws:SecureTransprot",
    ),
    "a tag where nothing is tagged": (statement("sqs:SendMessage", QUEUE, StringEquals=OURS), "aws:RequestTag"),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_has_an_effect_is_no_finding(case):
    assert without_effect(GOOD[case]) == []


@pytest.mark.parametrize("case", BAD)
def test_what_has_none_is_found(case):
    document, problem = BAD[case]
    (found,) = without_effect(document)
    assert problem in found


@pytest.mark.parametrize("prefix", ["", "alice", "a" * 44], ids=["no prefix", "a prefix", "the longest prefix"])
@pytest.mark.parametrize("part", ["", *PARTS], ids=["in one", *PARTS])
def test_the_participants_policy(open_ws, prefix, part):
    assert without_effect(participant_policy(open_ws(prefix), part)) == []


@pytest.mark.parametrize("boundary", [False, True], ids=["the policy", "the boundary"])
def test_what_the_command_prints(ws, monkeypatch, capsys, boundary):
    # As on AWS: for the embedded AWS, conditions that it does not know are left out.
    monkeypatch.setattr("workshop.commands.policy.adapt", lambda document: document)
    policy(ws, print_boundary=boundary)
    printed = json.loads(capsys.readouterr().out)
    assert printed == (boundary_policy(ws) if boundary else participant_policy(ws))
    assert without_effect(printed) == []


def test_each_wrong_right_of_the_boundary_is_found(ws):
    # The action of another service, one that does not exist, one that takes no resource, a resource of another kind.
    for wrong, problem in {
        "sns:Publish": "sns:Publish on arn:aws:sqs", "sqs:SendMesage": "no such action",
        "sqs:ListQueues": "sqs:ListQueues on arn:aws:sqs", "dynamodb:PutItem": "dynamodb:PutItem on arn:aws:sqs",
    }.items():  # fmt: skip
        document = boundary_policy(ws)
        document["Statement"][0]["Action"] = [*document["Statement"][0]["Action"], wrong]
        assert any(problem in found for found in without_effect(document)), wrong


def test_what_the_steps_write(built):
    documents = {f"{policy['PolicyName']}": document_of(built, policy) for policy in listings(built)["policy"]
                 if policy["Path"] == built.settings.path}  # fmt: skip
    for name in ("ecommerce-orders-queue", "ecommerce-orders-dlq", "ecommerce-orders-stream-dlq"):
        documents[name] = json.loads(built.find("queue", name)["Policy"])
    documents["topic"] = json.loads(built.find("topic", "ecommerce-orders-topic")["Policy"])
    for role in ("Lambda-SQS-DynamoDB", "Lambda-DynamoDB-SNS", "APIGateway-SQS"):
        # A trust policy has no resource: it is the role's own.
        documents[role] = built.find("role", role)["AssumeRolePolicyDocument"]
    assert len(documents) == 9 + 3 + 1 + 3
    assert {name: found for name, one in documents.items() if (found := without_effect(one))} == {}


def document_of(ws, policy: dict) -> dict:
    version = ws.client("iam").get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
    return version["PolicyVersion"]["Document"]
