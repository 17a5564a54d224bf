"""Ways in which a participant could get rights of others, each tried: none leads anywhere.

The embedded AWS does not know all of IAM's condition keys, so most ways are judged by the documents themselves, as
`tests/test_evaluator.py` proves that IAM reads them; what the embedded AWS checks is tried out on it. The list stands
in docs/guides/security.md.
"""

import dataclasses
import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError
from break_ins import ACCOUNT, BOBS, BOUNDARY, NEEDED, OF_BOB, REGION, ROLE, TABLES, TRIED, function, queue, tags
from support import ROOT, build, eventually, teardown
from test_doctor_policy import User, printed_policy, user  # noqa: F401 (a fixture)

from workshop.aws.evaluator import evaluate
from workshop.base.settings import Settings
from workshop.build.boundary import ANYWHERE, RIGHTS, boundary_arn, boundary_policy
from workshop.build.function_code import packed
from workshop.build.opening import load
from workshop.build.participant import PARTS, participant_policy
from workshop.embedded import adapt


@pytest.fixture(scope="module")
def alices(open_ws) -> list[dict[str, Any]]:
    """The two documents that alice gets on AWS."""
    ws = open_ws("alice")
    ws = dataclasses.replace(ws, account=ACCOUNT)
    assert boundary_arn(ws) == BOUNDARY
    return [participant_policy(ws, part) for part in PARTS]


@pytest.mark.parametrize("way", TRIED)
def test_no_way_is_open(alices, way):
    assert TRIED[way]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    for action, resource, context in TRIED[way]:
        decision = evaluate(alices, action, resource, context)
        assert decision in ("deny", "implicit"), (action, resource, context)
        # Of tags it does not help either if the same user has other rights.
        if {"aws:RequestTag/Participant": "bob"}.items() <= context.items() or tags(OF_BOB).items() <= context.items():
            assert evaluate([*alices, everything], action, resource, context) == "deny"


@pytest.mark.parametrize(("action", "resource", "context"), NEEDED, ids=[action for action, _, _ in NEEDED])
def test_what_is_needed_is_allowed(alices, action, resource, context):
    assert evaluate(alices, action, resource, context) == "allow"


def test_each_document_alone_denies_what_is_somebody_elses(alices):
    for document in alices:
        assert evaluate([document], "sqs:TagQueue", queue("alice-ecommerce-orders-queue"), tags(BOBS)) == "deny"
        assert evaluate([document], "sqs:DeleteQueue", queue("alice-ecommerce-orders-queue"), tags(OF_BOB)) == "deny"


def test_the_list_of_ways_stands_in_the_docs():
    page = (ROOT / "docs/guides/security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+?) \|", page, re.MULTILINE)
    assert [way for way in TRIED if way[0].upper() + way[1:] not in rows] == []


# The boundary.


@pytest.fixture(scope="module")
def boundary(open_ws) -> dict[str, Any]:
    return boundary_policy(dataclasses.replace(open_ws("alice"), account=ACCOUNT))


def within(boundary: dict[str, Any], action: str, resource: str, participant: str | None = "alice") -> str:
    """What a role of the boundary may do that has every right there is."""
    return evaluate([boundary], action, resource, {"aws:PrincipalTag/Participant": participant} if participant else {})


def needed_by_roles(prefix: str) -> set[tuple[str, str]]:
    """What the three roles need: actions and ARNs."""
    settings = Settings(prefix=prefix)
    needed = set()
    for actions, place in load("steps/01_iam.py").POLICIES.values():
        service, before, name, after = place or ("", "", "", "")
        arn = f"arn:aws:{service}:{REGION}:{ACCOUNT}:{before}{settings.name(name)}{after}" if place else "*"
        needed |= {(action, arn.replace("*", "x") if place else arn) for action in actions}
    return needed


@pytest.mark.parametrize("prefix", ["", "alice", "a" * 44])
def test_a_role_may_do_what_it_is_for_and_only_on_its_participants_own(boundary, prefix):
    participant = Settings(prefix=prefix).participant
    for action, arn in needed_by_roles(prefix):
        assert within(boundary, action, arn, participant) == "allow", (action, arn)
        if arn != "*":
            for other in {"bob", "default", "alice", "a"} - {participant}:
                assert within(boundary, action, arn, other) == "implicit", (action, arn, other)
            # A role without the tag is nobody's.
            assert within(boundary, action, arn, None) in ("implicit", "unknown")


def test_the_boundary_holds_nothing_that_no_role_needs():
    needed = {action for action, _ in needed_by_roles("alice")}
    assert {action for actions in RIGHTS.values() for action in actions} | {*ANYWHERE} == needed


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:CreateUser", "*"), ("iam:AttachRolePolicy", f"{ROLE}alice-APIGateway-SQS"), ("iam:PassRole", f"{ROLE}x"),
        ("sts:AssumeRole", f"{ROLE}administrator"), ("s3:GetObject", "arn:aws:s3:::payroll/x"),
        ("ec2:RunInstances", "*"),
        ("lambda:InvokeFunction", function("bob-POC-Lambda-1")), ("lambda:UpdateFunctionCode", function("alice-x")),
        ("dynamodb:Scan", f"{TABLES}alice-ecommerce-orders"),
        ("sqs:SetQueueAttributes", queue("alice-ecommerce-orders-queue")), ("secretsmanager:GetSecretValue", "*"),
        ("kms:Decrypt", "*"), ("organizations:LeaveOrganization", "*"), ("sns:Subscribe", "*"),
    ],
)  # fmt: skip
def test_a_role_within_the_boundary_may_nothing_else(boundary, action, resource):
    # Denied, and not only not allowed: a resource's own policy that names the role's session does not help either.
    assert within(boundary, action, resource) == "deny"


# Tried out on the embedded AWS.

STEAL = """
import json, boto3
def handler(event, context):
    done = {}
    for name, call in {
        "make a user": lambda: boto3.client("iam").create_user(UserName=event["user"]),
        "read a stranger's queue": lambda: boto3.client("sqs").receive_message(QueueUrl=event["queue"]),
        "put an order": lambda: boto3.client("dynamodb").put_item(
            TableName=event["table"], Item={"orderId": {"S": "stolen"}}),
    }.items():
        try:
            call()
            done[name] = "done"
        except Exception as error:
            done[name] = error.response["Error"]["Code"]
    return done
"""
EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


@pytest.fixture
def stranger(user):  # noqa: F811
    """A queue that is nobody's business."""
    sqs = user.root.client("sqs")
    url = sqs.create_queue(QueueName=f"payroll-{user.root.settings.prefix}")["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def made_boundary(user):  # noqa: F811
    """The boundary as an instructor makes it, outside of the participant's own path."""
    root = user.root
    iam, name = root.client("iam"), f"boundary-{root.settings.prefix}"
    document = json.dumps(adapt(boundary_policy(root)))
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"]
    yield arn
    teardown().delete_ours(root)
    iam.delete_policy(PolicyArn=arn)


def run_with_every_right(user: User, ws, stranger: str) -> dict[str, str]:  # noqa: F811
    """As a participant: write a policy that says everything, attach it to an own role, run a function with it."""
    iam, lambda_, name = ws.client("iam"), ws.client("lambda"), ws.name("POC-Lambda-1")
    arn = iam.create_policy(PolicyName=ws.name("all"), Path=ws.settings.path, PolicyDocument=EVERYTHING)["Policy"][
        "Arn"
    ]
    iam.attach_role_policy(RoleName=ws.name("Lambda-SQS-DynamoDB"), PolicyArn=arn)
    lambda_.update_function_code(FunctionName=name, ZipFile=packed(STEAL))
    event = {"user": f"eve-{ws.settings.prefix}", "queue": stranger, "table": ws.name("ecommerce-orders")}

    def invoke() -> dict[str, str]:
        answer = json.load(lambda_.invoke(FunctionName=name, Payload=json.dumps(event))["Payload"])
        return answer if "make a user" in answer else {}

    try:
        return eventually(invoke)
    finally:
        iam.detach_role_policy(RoleName=ws.name("Lambda-SQS-DynamoDB"), PolicyArn=arn)
        iam.delete_policy(PolicyArn=arn)
        users = [one["UserName"] for one in user.root.client("iam").list_users()["Users"]]
        if event["user"] in users:
            user.root.client("iam").delete_user(UserName=event["user"])


def opened(user: User, boundary: str | None):  # noqa: F811
    ws = user.open(user.root.settings.prefix)
    ws.settings = dataclasses.replace(ws.settings, boundary=boundary)
    return ws


@pytest.mark.slow
def test_without_a_boundary_a_participant_becomes_administrator(user, stranger):  # noqa: F811
    # This is what the boundary is for; where it is not used, it is so.
    user.may(printed_policy(user.root))
    ws = opened(user, None)
    build(ws, 4)
    assert run_with_every_right(user, ws, stranger) == {
        "make a user": "done", "read a stranger's queue": "done", "put an order": "done",
    }  # fmt: skip


def test_within_the_boundary_every_right_is_no_more_than_the_workshops(user, stranger, made_boundary):  # noqa: F811
    user.may(printed_policy(user.root))
    ws = opened(user, made_boundary)
    build(ws, 4)
    done = run_with_every_right(user, ws, stranger)
    assert done.pop("put an order") == "done"
    assert set(done) == {"make a user", "read a stranger's queue"}
    assert all("Denied" in code for code in done.values()), done
    # Nor can the boundary be taken away, be swapped for another one, or be rewritten.
    iam, role = ws.client("iam"), {"RoleName": ws.name("Lambda-SQS-DynamoDB")}
    loose = iam.create_policy(PolicyName=ws.name("loose"), Path=ws.settings.path, PolicyDocument=EVERYTHING)
    for attempt in (
        lambda: iam.delete_role_permissions_boundary(**role),
        lambda: iam.put_role_permissions_boundary(**role, PermissionsBoundary=loose["Policy"]["Arn"]),
        lambda: iam.create_policy_version(PolicyArn=made_boundary, PolicyDocument=EVERYTHING, SetAsDefault=True),
        lambda: iam.delete_policy(PolicyArn=made_boundary),
        lambda: iam.put_role_policy(**role, PolicyName="x", PolicyDocument=EVERYTHING),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()
    iam.delete_policy(PolicyArn=loose["Policy"]["Arn"])


def test_a_boundary_is_set_where_it_was_missing_and_left_where_nobody_asks(ws, open_ws):
    iam = ws.client("iam")
    arn = iam.create_policy(PolicyName=f"b-{ws.settings.prefix}", PolicyDocument=EVERYTHING)["Policy"]["Arn"]

    def boundaries(opened) -> set[str | None]:
        roles = [opened.find("role", d.base) for d in opened.steps[0].declarations if d.kind == "role"]
        return {role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn") for role in roles}

    ws.steps[0].run(ws)
    assert boundaries(ws) == {None}
    bounded = open_ws(ws.settings.prefix, boundary=arn)
    assert {r.name for r in bounded.steps[0].examine(bounded) if r.result == "drifted"} == {
        r.name for r in bounded.steps[0].run(bounded) if r.result == "updated"
    }
    assert boundaries(bounded) == {arn}
    assert {r.result for r in bounded.steps[0].run(bounded)} == {"unchanged"}
    # Who does not ask for a boundary takes none away.
    assert {r.result for r in ws.steps[0].run(ws)} == {"unchanged"}
    assert boundaries(ws) == {arn}


def test_a_boundary_that_is_not_there_is_named(cli, ws):
    ran = cli("01_iam", "--boundary", ws.arn("iam", "policy/no-such-boundary"))
    assert (ran.code, len(ran.errors)) == (1, 1)
    assert "no-such-boundary" in ran.errors[0]
    assert "workshop policy --boundary" in ran.errors[0]
    teardown().delete_ours(ws)
