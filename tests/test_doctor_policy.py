"""`doctor` asks and changes nothing; `policy` prints exactly the rights that the workshop needs."""

import contextlib
import copy
import dataclasses
import json
import re
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import faults
import pytest
import replay
import test_converge
from botocore.exceptions import BotoCoreError, ClientError
from faults import Faults
from support import census, not_present, reach, report_failure, row, rows, run, sample, send
from sweeping import sweep

from workshop.aws.clients import Clients
from workshop.base.console import Console
from workshop.base.errors import WorkshopError
from workshop.base.settings import PREFIX_LIMIT, Settings
from workshop.build.context import Workshop
from workshop.build.opening import load_steps, open_workshop
from workshop.build.participant import PARTS, participant_policy
from workshop.commands.build import run_steps, status
from workshop.commands.clean import cleanup
from workshop.commands.doctor import all_permissions, doctor
from workshop.commands.order import order
from workshop.commands.redrive import redrive
from workshop.commands.verify import grade
from workshop.embedded import Embedded, Instance, adapt
from workshop.orders.tracing import follow

READER = "trainee@example.com"
KEYS = {"name", "passed", "detail", "remedy"}
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LONGEST_POLICY = 6_144
BOUNDARY = "arn:aws:iam::000000000000:policy/ecommerce-serverless-poc-boundary"
#: The embedded AWS does not ask whether somebody may do this, so that nothing fails; but the doctor says so.
NOT_ASKED = {"iam:PassRole", "lambda:DeleteEventSourceMapping", "lambda:UpdateEventSourceMapping"}
#: Used only where a stack manages something, to name the outermost one: test_managed.
ONLY_OF_STACKS = {"cloudformation:DescribeStacks"}


# Users of the embedded AWS, reached as real AWS.


class User:
    """An IAM user who may do what one policy says, and the workshop as he opens it."""

    def __init__(self, root: Any, instance: Instance, state_dir: Any) -> None:
        self.root, self.instance, self.state_dir = root, instance, state_dir
        self.name = f"user-{root.settings.prefix}"
        iam = root.client("iam")
        self.arn = iam.create_user(UserName=self.name)["User"]["Arn"]
        key = iam.create_access_key(UserName=self.name)["AccessKey"]
        self.env = reach(instance) | {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    def may(self, document: dict[str, Any]) -> None:
        """Give him this policy, and no other right."""
        self.root.client("iam").put_user_policy(
            UserName=self.name, PolicyName="all", PolicyDocument=json.dumps(document)
        )

    def open(self, prefix: str) -> Any:
        """Open the workshop as he does, with `--target aws --yes`."""
        settings = Settings(target="aws", prefix=prefix, email=READER, yes=True, state_dir=self.state_dir)
        ws = open_workshop(settings, Console(), lambda seconds: time.sleep(min(seconds, 0.05)))
        for service in (*faults.SERVICES, "dynamodbstreams"):
            ws.client(service)
        return ws

    def delete(self) -> None:
        iam = self.root.client("iam")
        for key in iam.list_access_keys(UserName=self.name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=self.name, AccessKeyId=key["AccessKeyId"])
        for policy in iam.list_user_policies(UserName=self.name)["PolicyNames"]:
            iam.delete_user_policy(UserName=self.name, PolicyName=policy)
        iam.delete_user(UserName=self.name)


@pytest.fixture
def user(ws, state_dir, prefix, tmp_path, monkeypatch) -> Iterator[User]:
    """A user with no right at all; his keys are in the environment."""
    made = User(ws, Embedded(state_dir).running(), tmp_path / "state")
    for name, value in made.env.items():
        monkeypatch.setenv(name, value)
    yield made
    made.delete()
    sweep(ws)


def printed_policy(root: Any) -> dict[str, Any]:
    """The policy as `workshop policy` prints it on an embedded AWS."""
    return adapt(participant_policy(root))


def actions_of(document: dict[str, Any]) -> set[str]:
    return {
        action
        for statement in document["Statement"]
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


def without(document: dict[str, Any], *taken: str) -> dict[str, Any]:
    """The same policy without some actions."""
    statements = []
    for statement in copy.deepcopy(document)["Statement"]:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        kept = [action for action in actions if not any(fnmatchcase(action, pattern) for pattern in taken)]
        if statement["Effect"] == "Deny":
            statements.append(statement)
        elif kept:
            statements.append(statement | {"Action": kept})
    return document | {"Statement": statements}


# The doctor.


@pytest.fixture
def heard(monkeypatch) -> Faults:
    """Every call that any client makes from now on."""
    monkeypatch.setattr(Clients, "__call__", Clients.__call__)
    layer = Faults()
    faults.attach_to_all_that_come(layer)
    return layer


def test_doctor_on_local(cli, ws):
    ran = cli("doctor", "--json")
    assert ran.code == 0, ran.err
    assert {"passed", "failed", "checks"} <= ran.json.keys()
    assert ran.json["failed"] == 0
    assert ran.json["passed"] == len(ran.json["checks"]) >= 6
    for check in ran.json["checks"]:
        assert check.keys() >= KEYS
        assert check["detail"]
    names = " ".join(check["name"] for check in ran.json["checks"])
    for topic in ("Python", "CLI", "disk", "port", "runtime"):
        assert topic in names
    assert census(ws) == []


def test_doctor_starts_nothing(own_state_dir):
    ran = run("workshop", "doctor", "--json", env={"WORKSHOP_STATE_DIR": str(own_state_dir)})
    assert ran.code == 0, ran.err
    assert Embedded(own_state_dir).running() is None
    assert not own_state_dir.exists()


def test_doctor_says_what_is_wrong_with_the_folder(tmp_path):
    (tmp_path / "file").write_text("no folder")
    ran = run("workshop", "doctor", "--json", env={"WORKSHOP_STATE_DIR": str(tmp_path / "file" / "state")})
    assert ran.code == 1
    assert len(ran.errors) == 1
    red = [check for check in ran.json["checks"] if not check["passed"]]
    assert red
    assert all(check["remedy"] for check in red)


def test_doctor_of_a_user_with_the_policy(user, prefix, heard):
    user.may(printed_policy(user.root))
    settings = Settings(target="aws", prefix=prefix, email=READER, state_dir=user.state_dir)
    document = doctor(settings, Console())
    assert [check for check in document["checks"] if not check["passed"]] == []
    assert any(user.arn in check["detail"] for check in document["checks"])
    assert heard.sent
    assert [sending.operation for sending in heard.sent if sending.mutating] == []
    names = " ".join(check["name"] for check in document["checks"]).lower()
    for topic in ("region", "permission", "credentials", "notify", "runtime"):
        assert topic in names
    assert census(user.root) == []


def test_doctor_on_the_command_line(user, prefix):
    user.may(printed_policy(user.root))
    env = user.env | {"WORKSHOP_TARGET": "aws", "WORKSHOP_PREFIX": prefix, "WORKSHOP_STATE_DIR": str(user.state_dir)}
    ran = run("workshop", "doctor", "--json", "--email", READER, env=env)
    assert ran.code == 0, ran.err
    assert ran.json["failed"] == 0
    # Without an address nobody can be notified.
    ran = run("workshop", "doctor", "--json", env=env)
    assert ran.code == 1
    assert ran.json["failed"] == 1
    assert len(ran.errors) == 1
    assert "--email" in ran.errors[0]


def test_doctor_names_the_rights_that_are_missing(user, prefix):
    taken = ("sqs:CreateQueue", "apigateway:POST", "sns:Subscribe", "iam:CreateRole")
    user.may(without(printed_policy(user.root), *taken))
    document = doctor(Settings(target="aws", prefix=prefix, email=READER, state_dir=user.state_dir), Console())
    (red,) = [check for check in document["checks"] if not check["passed"]]
    assert "permissions" in red["name"]
    for action in taken:
        # IAM does not mind how an action is written.
        assert action.lower() in red["detail"].lower()
    assert "workshop policy" in red["remedy"]
    # Whose roles need a boundary may lack nothing but its ARN.
    assert "--boundary ARN" in red["remedy"]
    bounded = Settings(target="aws", prefix=prefix, email=READER, state_dir=user.state_dir, boundary=BOUNDARY)
    (red,) = [check for check in doctor(bounded, Console())["checks"] if not check["passed"]]
    assert f"--boundary-arn {BOUNDARY}" in red["remedy"]


@pytest.mark.parametrize(
    "taken", sample(sorted({*NOT_ASKED, "iam:AttachRolePolicy", "lambda:CreateEventSourceMapping"}), ("iam:PassRole",))
)
def test_doctor_names_the_rights_that_have_conditions(user, prefix, taken):
    user.may(without(printed_policy(user.root), taken))
    document = doctor(Settings(target="aws", prefix=prefix, email=READER, state_dir=user.state_dir), Console())
    assert [taken.lower() in check["detail"].lower() for check in document["checks"] if not check["passed"]] == [True]


def test_doctor_of_somebody_who_may_nothing(user, prefix):
    document = doctor(Settings(target="aws", prefix=prefix, email=READER, state_dir=user.state_dir), Console())
    red = [check for check in document["checks"] if not check["passed"]]
    assert red
    assert all(check["remedy"] and "\n" not in check["detail"] for check in red)


@pytest.mark.parametrize(
    ("code", "message", "status"),
    [
        pytest.param(
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
            403,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature.",
            403,
            marks=pytest.mark.slow,
        ),
        ("ExpiredToken", "The security token included in the request is expired", 403),
    ],
)
def test_doctor_with_wrong_credentials(user, prefix, heard, code, message, status):
    heard.refuse("GetCallerIdentity", code, message, status)
    document = doctor(Settings(target="aws", prefix=prefix, email=READER, state_dir=user.state_dir), Console())
    (red,) = [check for check in document["checks"] if not check["passed"]]
    assert "credentials" in red["name"]
    assert code in red["detail"]
    assert red["remedy"]


def test_doctor_without_credentials_is_no_traceback(tmp_path):
    env = {"WORKSHOP_TARGET": "aws", "WORKSHOP_STATE_DIR": str(tmp_path), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    ran = run("workshop", "doctor", "--json", env=env)
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert "credentials" in ran.err
    assert ran.json["failed"] >= 1


def test_doctor_does_not_like_an_address_behind_which_is_nobody(cli):
    ran = cli("doctor", "--email", "no-address", "--json")
    assert ran.code == 2
    assert "--email" in ran.errors[0]


class Signed:
    """Somebody who signed in to a role that lies in a path, as IAM Identity Center makes them."""

    def __init__(self, root: Any, monkeypatch: Any, *documents: dict[str, Any]) -> None:
        self.root, self.iam = root, root.client("iam")
        self.name = f"AWSReservedSSO_{root.settings.prefix}"
        trust = {"Effect": "Allow", "Principal": {"AWS": root.account}, "Action": "sts:AssumeRole"}
        role = self.iam.create_role(
            RoleName=self.name,
            Path="/people/sso.example.com/eu-central-1/",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )["Role"]
        self.arn, self.documents = role["Arn"], documents
        for number, document in enumerate(documents):
            self.iam.put_role_policy(RoleName=self.name, PolicyName=str(number), PolicyDocument=json.dumps(document))
        session = root.client("sts").assume_role(RoleArn=self.arn, RoleSessionName="alice@example.com")["Credentials"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", session["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", session["SecretAccessKey"])
        monkeypatch.setenv("AWS_SESSION_TOKEN", session["SessionToken"])

    def delete(self) -> None:
        for number, _ in enumerate(self.documents):
            self.iam.delete_role_policy(RoleName=self.name, PolicyName=str(number))
        self.iam.delete_role(RoleName=self.name)


def own_role(*actions: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": list(actions), "Resource": "*"}}


@pytest.fixture
def sign_in(user, monkeypatch) -> Iterator[Callable[..., Signed]]:
    """Sign in to a role with these policies."""
    made = []

    def signed(*documents: dict[str, Any]) -> Signed:
        made.append(Signed(user.root, monkeypatch, *documents))
        return made[-1]

    yield signed
    for one in made:
        one.delete()


def permissions_row(prefix: str, state_dir: Any) -> dict[str, Any]:
    document = doctor(Settings(target="aws", prefix=prefix, email=READER, state_dir=state_dir), Console())
    (row,) = [check for check in document["checks"] if "permissions" in check["name"]]
    return row


@pytest.fixture
def roles_with_paths(user, monkeypatch) -> list[str]:
    """Lets IAM know a role by its ARN with its path, and by no other, as AWS does; lists whom it was asked about.

    The embedded AWS takes the path for a part of the role's name, so it is taken off on the way there.
    """
    asked: list[str] = []

    def as_aws_does(params: dict[str, Any], **_: Any) -> None:
        asked.append(params["PolicySourceArn"])
        before, name = asked[-1].split("/", 1)[0], asked[-1].rpartition("/")[2]
        assert asked[-1] == user.root.client("iam").get_role(RoleName=name)["Role"]["Arn"]
        params["PolicySourceArn"] = f"{before}/{name}"

    made = Clients.__call__

    def client(self: Clients, service: str) -> Any:
        events = made(self, service).meta.events
        if service == "iam":
            events.register("provide-client-params.iam.SimulatePrincipalPolicy", as_aws_does, unique_id="paths")
        return made(self, service)

    monkeypatch.setattr(Clients, "__call__", client)
    return asked


def test_doctor_of_somebody_who_signed_in_to_a_role_in_a_path(user, sign_in, prefix, roles_with_paths):
    role = sign_in(printed_policy(user.root), own_role("iam:GetRole", "iam:SimulatePrincipalPolicy"))
    row = permissions_row(prefix, user.state_dir)
    assert row["passed"], row
    # A session's ARN has no path: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    assert set(roles_with_paths) == {role.arn}


def test_doctor_of_a_role_names_what_is_missing(user, sign_in, prefix, roles_with_paths):
    allowed = without(printed_policy(user.root), "sqs:CreateQueue")
    sign_in(allowed, own_role("iam:GetRole", "iam:SimulatePrincipalPolicy"))
    row = permissions_row(prefix, user.state_dir)
    assert not row["passed"]
    assert row["detail"] == "found missing: sqs:CreateQueue, expected all"
    assert "workshop policy" in row["remedy"]


@pytest.mark.parametrize("denied", sample(("iam:GetRole", "iam:SimulatePrincipalPolicy"), ("iam:GetRole",)))
def test_doctor_of_a_role_that_may_not_look_itself_up(user, sign_in, prefix, heard, denied):
    role = sign_in(printed_policy(user.root), own_role("iam:GetRole", "iam:SimulatePrincipalPolicy"))
    heard.refuse(denied.removeprefix("iam:"), "AccessDenied", f"not authorized to perform: {denied}", 403)
    row = permissions_row(prefix, user.state_dir)
    assert not row["passed"]
    assert denied in row["detail"]
    # Neither is there a policy to print for that, nor may it look as if the other rights were missing.
    assert "missing" not in row["detail"]
    for word in ("iam:GetRole", "iam:SimulatePrincipalPolicy", role.name):
        assert word in row["remedy"]


# The policy, as it is for real AWS.


#: For these, AWS's service authorization reference knows no resource, or the resource has an id of AWS's choice and
#: the statement narrows it by a condition.
ANYWHERE = {
    "cloudformation:DescribeStackResources", "cloudformation:DescribeStacks",
    "lambda:ListEventSourceMappings", "lambda:GetAccountSettings", "logs:DescribeLogGroups", "tag:GetResources",
    "sts:GetCallerIdentity", "sns:Unsubscribe",
}  # fmt: skip
BY_CONDITION = {
    "lambda:CreateEventSourceMapping", "lambda:UpdateEventSourceMapping", "lambda:DeleteEventSourceMapping",
}  # fmt: skip


def test_the_policy_is_narrow(ws):
    for statement in participant_policy(ws)["Statement"]:
        if statement["Effect"] == "Deny":
            continue
        assert not [action for action in actions_of({"Statement": [statement]}) if "*" in action]
        resources = [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
        if "*" in resources:
            allowed = BY_CONDITION if "Condition" in statement else ANYWHERE
            assert actions_of({"Statement": [statement]}) <= allowed
            continue
        for arn in resources:
            assert any(part in arn for part in (ws.settings.prefix, ":apigateway:", ":event-source-mapping:", ":user/"))


def test_what_carries_the_tags_of_another_trainee_is_denied(user, prefix):
    # Of log groups the embedded AWS knows the tags of the call and of the resource. Another right of the same user
    # does not help.
    logs, everything = user.root.client("logs"), {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
    groups = {"mine": {"Participant": prefix}, "bobs": {"Participant": "bob"}, "nobodys": {"Project": "other"}}
    for name, tags in groups.items():
        logs.create_log_group(logGroupName=f"{prefix}-{name}", tags=tags)
    document = printed_policy(user.root)
    user.may(document | {"Statement": [*document["Statement"], everything]})
    his = user.open(prefix).client("logs")
    attempts: dict[str, Callable[[str], Any]] = {
        "delete": lambda name: his.delete_log_group(logGroupName=f"{prefix}-{name}"),
        "take": lambda name: his.tag_resource(
            resourceArn=user.root.arn("logs", f"log-group:{prefix}-{name}"), tags={"Participant": prefix}),
        "give": lambda name: his.create_log_group(logGroupName=f"{prefix}-new-{name}", tags=groups[name]),
    }  # fmt: skip
    let = []
    for attempt in ("give", "take", "delete"):
        for name in groups:
            with contextlib.suppress(ClientError):
                attempts[attempt](name)
                let.append((attempt, name))
    assert let == [(attempt, name) for attempt in ("give", "take", "delete") for name in ("mine", "nobodys")]
    for name in ("bobs", "new-mine", "new-nobodys"):
        logs.delete_log_group(logGroupName=f"{prefix}-{name}")


#: In the longest of the regions of each partition.
PLACES = [
    ("aws", "us-east-1"),
    ("aws", "ap-southeast-2"),
    ("aws-cn", "cn-northwest-1"),
    ("aws-us-gov", "us-gov-west-1"),
]


def size(ws: Any, prefix_length: int, partition: str, region: str, part: str) -> int:
    """Characters without white space, for a prefix and a place."""
    settings = dataclasses.replace(ws.settings, prefix="a" * prefix_length, region=region)
    document = participant_policy(dataclasses.replace(ws, settings=settings, partition=partition), part)
    return len(json.dumps(document, separators=(",", ":")))


@pytest.mark.parametrize("prefix_length", [0, 5, PREFIX_LIMIT])
@pytest.mark.parametrize(("partition", "region"), PLACES)
@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_the_policy_leaves_room_for_another_step(ws, part, partition, region, prefix_length):
    assert size(ws, prefix_length, partition, region, part) <= 0.75 * LONGEST_POLICY


def test_the_whole_policy_fits_for_prefixes_as_people_choose_them(ws):
    assert size(ws, 10, "aws", "us-east-1", "") <= LONGEST_POLICY


def test_the_parts_say_together_what_the_whole_says(ws):
    def said(document: dict[str, Any]) -> set[str]:
        return {json.dumps(statement, sort_keys=True) for statement in document["Statement"]}

    parts = [said(participant_policy(ws, part)) for part in PARTS]
    assert set.union(*parts) == said(participant_policy(ws))
    # What is denied, each of them denies.
    assert {json.loads(one)["Effect"] for one in set.intersection(*parts)} == {"Deny"}


def test_the_doctor_may_ask_for_the_rights_of_who_asks(ws):
    # IAM checks iam:SimulatePrincipalPolicy on the user or role whose rights are asked for: that is the participant.
    resources = [
        arn
        for statement in participant_policy(ws)["Statement"]
        if "iam:SimulatePrincipalPolicy" in actions_of({"Statement": [statement]})
        for arn in ([statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"])
    ]
    asks = f"arn:aws:iam::{ws.account}:user/alice"
    # IAM puts the user's name in for the variable.
    assert any(fnmatchcase(asks, arn.replace("${aws:username}", "alice")) for arn in resources), resources


def test_the_policy_is_printed(cli, ws):
    ran = cli("policy")
    assert ran.code == 0, ran.err
    assert actions_of(ran.json) == actions_of(participant_policy(ws))
    part = cli("policy", "--part", "iam").json
    assert actions_of(part) < actions_of(ran.json)
    assert not [action for action in actions_of(part) if not action.startswith("iam:")]


@pytest.mark.parametrize("wrong", [("--part", "sqs"), ("--part", "iam", "--boundary"), ("--boundary-arn", "boundary")])
def test_what_policy_does_not_print(cli, wrong):
    ran = cli("policy", *wrong)
    assert (ran.code, ran.out, len(ran.errors)) == (2, "", 1)


# The policy proves enough.


def phases() -> dict[str, Callable[[Any, Any], None]]:
    """What a participant does, in order; each takes the user's workshop and the root user's."""

    def building(ws: Any, root: Any) -> None:
        run_steps(ws, ws.steps, "up")

    def doctoring(ws: Any, root: Any) -> None:
        assert all_permissions(ws).passed, all_permissions(ws).detail
        assert ws.client("lambda").get_account_settings()

    def looking_at_changes(ws: Any, root: Any) -> None:
        change_everything(root)
        assert {row["state"] for row in status(ws)["resources"]} >= {"drifted"}
        # The checks find inline policies, and read them.
        found = [v for v in grade(ws, ws.steps[:1]) if "no other permissions" in v.name and not v.passed]
        assert found
        assert not [v for v in found if "AccessDenied" in v.detail], found

    def putting_right(ws: Any, root: Any) -> None:
        run_steps(ws, ws.steps, "up")
        assert not_present(root) == {}

    def verifying(ws: Any, root: Any) -> None:
        assert [vars(verdict) for verdict in grade(ws, ws.steps) if not verdict.passed] == []
        assert rows(root) == []

    def ordering(ws: Any, root: Any) -> None:
        placed = order(ws)
        trace = follow(ws, placed["orderId"], 15)
        assert trace["complete"], trace
        assert {row["state"] for row in status(ws)["resources"]} == {"present"}

    def redriving(ws: Any, root: Any) -> None:
        order_id = order(ws)["orderId"]
        assert row(root, order_id)
        report_failure(root, order_id)
        send(root, "ecommerce-orders-dlq", json.dumps({"productId": "again", "quantity": 1}))
        redrive(ws, dry_run=True)
        assert len(redrive(ws)["sent"]) == 2

    def cleaning(ws: Any, root: Any) -> None:
        assert cleanup(ws)["remaining"] == []
        assert census(root) == []

    return {
        "doctor": doctoring, "up": building, "look": looking_at_changes, "again": putting_right, "verify": verifying,
        "order": ordering, "redrive": redriving, "cleanup": cleaning,
    }  # fmt: skip


PHASES = phases()


def change_everything(root: Any) -> None:
    """Everything that can be changed by hand, at once."""
    for parameter in test_converge.CHANGES:
        parameter.values[0].make(root)


def action_of(sending: Any) -> str:
    """The IAM action that a call needs."""
    match sending.service:
        case "apigateway":
            return f"apigateway:{sending.request.method}"
        case "resourcegroupstaggingapi":
            return f"tag:{sending.operation}"
        case "dynamodbstreams":
            return f"dynamodb:{sending.operation}"
    if sending.operation == "Invoke":
        return "lambda:InvokeFunction"
    return f"{sending.service}:{sending.operation}"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(1, id="from doctor to cleanup", marks=pytest.mark.slow),
        pytest.param(2, id="phase by phase recorded"),
    ],
)
def test_a_user_with_this_policy_runs_the_whole_workshop(user, prefix, path, capsys):
    document = printed_policy(user.root)
    user.may(document)
    ws = user.open(prefix)
    layer = Faults().attach(ws.client)
    for service in ("dynamodbstreams", "cloudformation"):
        layer.attach_to(service, ws.client(service))
    used: dict[str, set[str]] = {}
    for name, phase in PHASES.items():
        if name == "redrive" and path == 2:
            continue
        layer.sent.clear()
        phase(ws, user.root)
        used[name] = {action_of(sending) for sending in layer.sent} - {"sts:GetCallerIdentity"}
    assert "is denied" not in capsys.readouterr().err
    # There is nothing in it that nobody needs; there is no call of its own for passing on a role.
    elsewhere = {"iam:PassRole", *ONLY_OF_STACKS}
    surplus = actions_of(document) - set().union(*used.values()) - elsewhere
    if path == 1:
        assert surplus == set(), surplus


@pytest.mark.slow
def test_a_user_with_this_policy_on_the_command_line(user, prefix):
    env = {"WORKSHOP_TARGET": "aws", "WORKSHOP_PREFIX": prefix, "WORKSHOP_STATE_DIR": str(user.state_dir),
           "WORKSHOP_EMAIL": READER}  # fmt: skip
    root = run("workshop", "policy", env=env | reach(user.instance))
    assert root.code == 0, root.err
    user.may(root.json)
    commands = [("doctor", "--json"), ("up", "--yes"), ("verify", "--json"), ("order", "--trace"), ("status", "--json"),
                ("spike", "--orders", "5", "--json"), ("policy",), ("cleanup", "--yes", "--json")]  # fmt: skip
    ended = {}
    for command in commands:
        ran = run("workshop", *command, env=env | user.env)
        ended[command[0]] = (ran.code, ran.errors)
    assert ended == {command[0]: (0, []) for command in commands}
    assert census(user.root) == []


def test_outside_the_prefix_everything_is_refused(user, prefix):
    user.may(printed_policy(user.root))
    ws, other = user.open(prefix), f"x{prefix}"
    account, region = ws.account, ws.region
    key = {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
           "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}  # fmt: skip
    url = f"{user.instance.endpoint}/{account}/{other}-ecommerce-orders-queue"
    topic = f"arn:aws:sns:{region}:{account}:{other}-ecommerce-orders-topic"
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    attempts: dict[str, Callable[[], Any]] = {
        "make a role": lambda: ws.client("iam").create_role(RoleName=f"{other}-r", AssumeRolePolicyDocument=trust),
        "see a role": lambda: ws.client("iam").get_role(RoleName=f"{other}-Lambda-SQS-DynamoDB"),
        "delete a role": lambda: ws.client("iam").delete_role(RoleName=f"{other}-Lambda-SQS-DynamoDB"),
        "write an inline policy": lambda: ws.client("iam").put_role_policy(
            RoleName=ws.name("APIGateway-SQS"), PolicyName="x", PolicyDocument=trust),
        "give himself rights": lambda: ws.client("iam").put_user_policy(
            UserName=user.name, PolicyName="x", PolicyDocument=trust),
        "make keys": lambda: ws.client("iam").create_access_key(UserName=user.name),
        "make a table": lambda: ws.client("dynamodb").create_table(
            TableName=f"{other}-t", BillingMode="PAY_PER_REQUEST", **key),
        "read a table": lambda: ws.client("dynamodb").scan(TableName=f"{other}-ecommerce-orders"),
        "delete a table": lambda: ws.client("dynamodb").delete_table(TableName=f"{other}-ecommerce-orders"),
        "make a queue": lambda: ws.client("sqs").create_queue(QueueName=f"{other}-q"),
        "read a queue": lambda: ws.client("sqs").receive_message(QueueUrl=url),
        "delete a queue": lambda: ws.client("sqs").delete_queue(QueueUrl=url),
        "make a topic": lambda: ws.client("sns").create_topic(Name=f"{other}-t"),
        "subscribe": lambda: ws.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint=READER),
        "delete a topic": lambda: ws.client("sns").delete_topic(TopicArn=topic),
        "publish to his own topic": lambda: ws.client("sns").publish(
            TopicArn=ws.arn("sns", ws.name("ecommerce-orders-topic")), Message="x"),
        "read a function": lambda: ws.client("lambda").get_function(FunctionName=f"{other}-POC-Lambda-1"),
        "delete a function": lambda: ws.client("lambda").delete_function(FunctionName=f"{other}-POC-Lambda-1"),
        "make a log group": lambda: ws.client("logs").create_log_group(logGroupName=f"/aws/lambda/{other}"),
        "read a log": lambda: ws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{other}-POC-Lambda-1"),
        "delete a log": lambda: ws.client("logs").delete_log_group(logGroupName=f"/aws/lambda/{other}-POC-Lambda-1"),
        "look into S3": lambda: ws.client("s3").list_buckets(),
    }  # fmt: skip
    let = []
    for name, attempt in attempts.items():
        try:
            attempt()
            let.append(name)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if not re.search("AccessDenied|AuthorizationError|Unauthorized", code):
                let.append(f"{name} ({code})")
    assert let == []


# The policy is not more than enough: with any one action taken out, something fails.

#: In which phase an action is used first; test_the_table_of_phases_is_complete says when this is out of date.
FIRST_USED = {
    "doctor": ["iam:SimulatePrincipalPolicy", "lambda:GetAccountSettings"],
    "look": ["iam:GetRolePolicy"],
    "again": [
        "apigateway:DELETE", "dynamodb:TagResource", "iam:CreatePolicyVersion", "iam:DeletePolicyVersion",
        "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:ListPolicyVersions", "iam:TagRole",
        "iam:UpdateAssumeRolePolicy", "lambda:TagResource", "lambda:UpdateFunctionCode",
        "lambda:UpdateFunctionConfiguration", "logs:TagResource", "sns:SetTopicAttributes", "sns:TagResource",
        "sqs:SetQueueAttributes", "sqs:TagQueue",
    ],
    "verify": ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Scan", "logs:FilterLogEvents"],
    "redrive": [
        "dynamodb:GetRecords", "dynamodb:GetShardIterator", "lambda:InvokeFunction", "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage", "sqs:ReceiveMessage",
    ],
    "cleanup": [
        "cloudformation:DescribeStackResources", "dynamodb:DeleteTable", "iam:DeletePolicy", "iam:DeleteRole",
        "iam:ListEntitiesForPolicy", "lambda:DeleteFunction",
        "logs:DeleteLogGroup", "sns:DeleteTopic", "sns:Unsubscribe", "sqs:DeleteQueue",
        "tag:GetResources",
    ],
}  # fmt: skip
PHASE_OF = {action: phase for phase, actions in FIRST_USED.items() for action in actions}
#: Tried in every run: one of each phase.
SAMPLE = {
    "iam:TagRole", "dynamodb:DeleteItem", "sqs:DeleteQueue",
}  # fmt: skip


def all_actions() -> list[str]:
    """Every action of the policy; known without an AWS, from the product's own tables."""
    nobody = Workshopless()
    return sorted(actions_of(participant_policy(nobody)))  # type: ignore[arg-type]


class Workshopless:
    """Just enough of a context to write a policy."""

    partition, account, region = "aws", "123456789012", "us-east-1"
    parts = [part for step in load_steps() for part in step.parts]
    bases = Workshop.bases
    settings = Settings()

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:us-east-1:123456789012:{resource}"

    def name(self, base: str) -> str:
        return base

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(a, marks=() if a in SAMPLE else pytest.mark.exhaustive)
        for a in all_actions()
        if a not in NOT_ASKED | ONLY_OF_STACKS
    ],
)
def test_without_one_action_something_fails(user, prefix, action, capsys):
    root, phase = user.root, PHASE_OF.get(action, "up")
    document = printed_policy(root)
    if phase not in ("doctor", "up"):
        replay.build(root)
    if phase == "again":
        change_everything(root)
    user.may(without(document, action))
    ws = user.open(prefix)
    capsys.readouterr()
    try:
        PHASES[phase](ws, root)
        failed = "is denied" in capsys.readouterr().err
    except (WorkshopError, ClientError, BotoCoreError, AssertionError):
        failed = True
    assert failed, f"{phase} went well without {action}"
    if phase != "doctor":
        # And the doctor had said so beforehand.
        assert action.lower() in every_right_of(user, root).lower()


def every_right_of(user: User, root: Any) -> str:
    finding = all_permissions(user.open(root.settings.prefix))
    return finding.detail if not finding.passed else ""


# Somebody else ran step 1.


WRITES_TO_IAM = (
    "iam:Create*", "iam:Put*", "iam:Attach*", "iam:Detach*", "iam:Delete*", "iam:Update*", "iam:Tag*",
)  # fmt: skip


@pytest.mark.slow
def test_steps_2_to_8_with_the_roles_of_somebody_else(user, prefix, capsys):
    user.root.steps[0].run(user.root)
    user.may(without(printed_policy(user.root), *WRITES_TO_IAM))
    ws = user.open(prefix)
    run_steps(ws, ws.steps, "up")
    assert [vars(verdict) for verdict in grade(ws, ws.steps) if not verdict.passed] == []
    # Nothing had to be changed, so nothing was denied.
    assert "is denied" not in capsys.readouterr().err


def test_step_1_says_that_somebody_else_made_the_roles(user, prefix, capsys):
    # The roles do their work, although they are not to the letter as step 1 makes them.
    root = user.root
    root.steps[0].run(root)
    root.client("iam").tag_role(RoleName=root.name("APIGateway-SQS"), Tags=[{"Key": "Environment", "Value": "prod"}])
    user.may(without(printed_policy(root), *WRITES_TO_IAM))
    ws = user.open(prefix)
    resources = ws.steps[0].run(ws)
    assert {resource.result for resource in resources} == {"unchanged"}
    said = [line for line in capsys.readouterr().err.splitlines() if "somebody else" in line]
    assert len(said) == 1
    assert "TagRole is denied" in said[0]


def test_step_1_says_which_check_is_wrong(user, prefix, capsys):
    root = user.root
    root.steps[0].run(root)
    root.client("iam").detach_role_policy(
        RoleName=root.name("Lambda-SQS-DynamoDB"),
        PolicyArn=root.policy_arn("Lambda-Put-DynamoDB"),
    )
    user.may(without(printed_policy(root), *WRITES_TO_IAM))
    env = user.env | {"WORKSHOP_TARGET": "aws", "WORKSHOP_PREFIX": prefix, "WORKSHOP_STATE_DIR": str(user.state_dir),
                      "WORKSHOP_EMAIL": READER}  # fmt: skip
    ran = run("workshop", "01_iam", "--yes", env=env)
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert "Lambda-SQS-DynamoDB: has the permissions of Lambda-Put-DynamoDB" in ran.errors[0]
    assert "workshop 01_iam" in ran.errors[0]


def test_who_may_not_make_a_role_is_told_of_the_boundary(user, prefix):
    user.may(without(printed_policy(user.root), "iam:CreateRole"))
    ws = user.open(prefix)
    with pytest.raises(WorkshopError, match="CreateRole is denied") as denied:
        ws.steps[0].run(ws)
    assert "--boundary ARN" in denied.value.remedy


def test_nothing_was_made_by_anybody(user, prefix):
    user.may(without(printed_policy(user.root), *WRITES_TO_IAM))
    ws = user.open(prefix)
    with pytest.raises(WorkshopError, match=r"Create.* is denied"):
        ws.steps[0].run(ws)
    with pytest.raises(WorkshopError, match="workshop 01_iam"):
        ws.steps[2].run(ws)
    assert [kind for kind, _ in census(user.root) if kind not in ("policy",)] in ([], ["queue"])
