"""Every right is needed, and there is none beyond: take each away, add some, and see that the checks of step 1 tell.

The embedded AWS checks the rights of what the functions call, so for those the same is proven by running an order.
"""

import contextlib
import copy
import json

import pytest
from support import LONGEST_WAIT, SPEC_ORDER, eventually, looked_at, mails, messages, rows, sample

from workshop.base.http import post
from workshop.build.opening import load
from workshop.commands.verify import grade
from workshop.orders.api import api_url
from workshop.orders.logs import find_in_log
from workshop.orders.tracing import follow

ROLES = load("steps/01_iam.py").ROLES
#: (role, policy)
POLICIES = [(role, policy) for role, (_, policies) in ROLES.items() for policy in policies]
#: Those whose actions IAM can allow on a resource: all but one.
ON_A_RESOURCE = [(role, policy) for role, policy in POLICIES if ROLES[role][1][policy][1] is not None]
#: (role, policy, action): every single right that the workshop gives.
RIGHTS = [(role, policy, action) for role, policy in POLICIES for action in ROLES[role][1][policy][0]]
SURPLUS = ["dynamodb:Scan", "sqs:PurgeQueue", "sqs:*", "*"]


def document_of(ws, policy: str) -> dict:
    """What a policy says now."""
    iam, arn = ws.client("iam"), ws.policy_arn(policy)
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


@contextlib.contextmanager
def rewritten(ws, policy: str, change):
    """Let a policy say something else for a while.

    Args:
        ws: the context.
        policy: its name before the prefix.
        change: takes the only statement of the policy, and changes it or returns others in its place.
    """
    iam, arn = ws.client("iam"), ws.policy_arn(policy)
    before = document_of(ws, policy)
    (statement,) = copy.deepcopy(before)["Statement"]
    write(iam, arn, before | {"Statement": change(statement) or [statement]})
    try:
        yield
    finally:
        write(iam, arn, before)


def write(iam, arn: str, document: dict) -> None:
    """Make a document the only version of a policy."""
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])


def without(action: str):
    """The change that takes one action out."""

    def change(statement: dict) -> list:
        rest = [one for one in statement["Action"] if one != action]
        assert len(rest) == len(statement["Action"]) - 1
        # A statement must have an action, so what would have none goes as a whole.
        return [statement | {"Action": rest}] if rest else [statement | {"Effect": "Deny"}]

    return change


def red(ws) -> list:
    """The checks of step 1 that fail."""
    return [verdict for verdict in grade(ws, ws.steps[:1]) if not verdict.passed]


def names_it(verdicts: list, role: str, what: str) -> bool:
    """Whether a check of a role names something."""
    return any(v.name.startswith(f"{role}: ") and what.lower() in v.detail.lower() for v in verdicts)


def by_policy(cases: list[tuple[str, str]], *often: str) -> list:
    """Roles with a policy, of which some are tried in every run."""
    return sample([pytest.param(role, policy, id=policy) for role, policy in cases], often)


def test_nothing_is_red_before(built):
    assert len(RIGHTS) >= 15
    assert [policy for _, policy in POLICIES if (_, policy) not in ON_A_RESOURCE] == ["Lambda-List-DynamoDBStreams"]
    assert red(built) == []


#: One right of each role.
ONE_OF_EACH_ROLE = [next(right for right in RIGHTS if right[0] == role) for role in ROLES]


@pytest.mark.parametrize(
    "rights", [pytest.param(ONE_OF_EACH_ROLE, id="some"), pytest.param(RIGHTS, id="all", marks=pytest.mark.slow)]
)
def test_mutation_score_is_100_percent(built, rights):
    """Each right is taken away in turn: the one check of its policy's work goes red, and names it."""
    survived = []
    for role, policy, action in rights:
        with rewritten(built, policy, without(action)):
            found = red(built)
        only = [verdict.name for verdict in found] == [f"{role}: has the permissions of {policy}"]
        if not (only and names_it(found, role, action) and found[0].remedy.startswith("workshop 01_iam")):
            survived.append((policy, action, found))
    print(f"mutation score: {100 * (1 - len(survived) / len(rights)):.0f} % of {len(rights)} rights")
    assert survived == []
    assert red(built) == []


@pytest.mark.parametrize(("role", "policy"), by_policy(POLICIES, "Lambda-Receive-SQS", "Lambda-List-DynamoDBStreams"))
class TestEachPolicy:
    @pytest.mark.parametrize("action", sample(SURPLUS, ("dynamodb:Scan", "sqs:*")))
    def test_a_surplus_action_is_named(self, built, role, policy, action):
        def more(statement):
            statement["Action"].append(action)

        with rewritten(built, policy, more):
            assert names_it(red(built), role, action)

    def test_a_wildcard_instead_of_its_actions_is_named(self, built, role, policy):
        service = ROLES[role][1][policy][0][0].split(":")[0]

        def wild(statement):
            statement["Action"] = f"{service}:*"

        with rewritten(built, policy, wild):
            assert names_it(red(built), role, f"{service}:*")

    def test_a_resource_beside_its_own_is_named(self, built, role, policy):
        other = "arn:aws:sqs:us-east-1:000000000000:somebody-elses"

        def two(statement):
            statement["Resource"] = [statement["Resource"], other]

        with rewritten(built, policy, two):
            assert names_it(red(built), role, "somebody-elses")

    def test_everything_but_is_named(self, built, role, policy):
        def all_but(statement):
            return [statement, {"Effect": "Allow", "NotAction": "iam:*", "Resource": statement["Resource"]}]

        with rewritten(built, policy, all_but):
            assert f"{role}: has no other permissions" in [v.name for v in red(built)]

    def test_a_deny_beside_it_is_seen(self, built, role, policy):
        def denied(statement):
            return [statement, statement | {"Effect": "Deny", "Action": statement["Action"][0]}]

        with rewritten(built, policy, denied):
            assert f"{role}: has the permissions of {policy}" in [v.name for v in red(built)]


@pytest.mark.parametrize(("role", "policy"), by_policy(ON_A_RESOURCE, "Lambda-Put-DynamoDB", "APIGateway-Send-SQS"))
class TestEachPolicyOnAResource:
    def test_a_wildcard_resource_is_named(self, built, role, policy):
        def everywhere(statement):
            statement["Resource"] = "*"

        with rewritten(built, policy, everywhere):
            assert names_it(red(built), role, " on *")

    def test_a_wider_resource_is_named(self, built, role, policy):
        def wider(statement):
            statement["Resource"] = statement["Resource"].replace(built.settings.prefix, "*")

        with rewritten(built, policy, wider):
            found = red(built)
            assert any(names_it(found, role, action) for action in ROLES[role][1][policy][0])
            assert [v for v in found if v.name == f"{role}: has no other permissions"]

    def test_the_right_on_another_resource_is_no_right(self, built, role, policy):
        def elsewhere(statement):
            statement["Resource"] = statement["Resource"].replace(built.settings.prefix, "somebody")

        with rewritten(built, policy, elsewhere):
            assert f"{role}: has the permissions of {policy}" in [v.name for v in red(built)]


@pytest.mark.parametrize("role", sample(ROLES, ("Lambda-SQS-DynamoDB",)))
class TestEachRole:
    def test_an_inline_policy_is_named(self, built, role):
        iam, name = built.client("iam"), built.name(role)
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=name, PolicyName="by-hand", PolicyDocument=document)
        try:
            found = red(built)
            assert names_it(found, role, "s3:GetObject")
            assert [v.name for v in found if "no other permissions" in v.name] == [f"{role}: has no other permissions"]
            assert ("role", name) in drifted(built)
        finally:
            iam.delete_role_policy(RoleName=name, PolicyName="by-hand")
        assert red(built) == []

    def test_a_surplus_managed_policy_is_named(self, built, role):
        iam, name = built.client("iam"), built.name(role)
        statement = {"Effect": "Allow", "Action": "dynamodb:DeleteTable", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        arn = iam.create_policy(PolicyName=built.name(f"by-hand-{role}"), PolicyDocument=document)["Policy"]["Arn"]
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        try:
            assert names_it(red(built), role, "dynamodb:DeleteTable on *")
            assert ("role", name) in drifted(built)
        finally:
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
            iam.delete_policy(PolicyArn=arn)
        assert red(built) == []

    def test_a_right_of_its_own_policies_by_another_way_is_no_surplus(self, built, role):
        # The same right twice is untidy, and `status` says so; it lets nobody do more.
        iam, name, policy = built.client("iam"), built.name(role), next(iter(ROLES[role][1]))
        document = json.dumps(document_of(built, policy))
        iam.put_role_policy(RoleName=name, PolicyName="twice", PolicyDocument=document)
        try:
            assert red(built) == []
            assert ("role", name) in drifted(built)
        finally:
            iam.delete_role_policy(RoleName=name, PolicyName="twice")

    @pytest.mark.parametrize(
        "principal",
        [{"Service": "ec2.amazonaws.com"}, {"AWS": "*"}, {"Service": ["lambda.amazonaws.com", "ec2.amazonaws.com"]}],
    )
    def test_whoever_else_may_assume_it_is_named(self, built, role, principal):
        iam, name = built.client("iam"), built.name(role)
        before = json.dumps(iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"])
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=document)
        try:
            assert f"{role}: only {ROLES[role][0]} can assume it" in [v.name for v in red(built)]
        finally:
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=before)


def drifted(ws) -> list:
    """What `status` calls drifted in step 1."""
    return [(one.kind, one.name) for one in looked_at(ws) if one.result == "drifted"]


# By running.


@pytest.fixture
def impatient(built):
    """The queue brings a message back within two seconds, so that a right given back shows soon."""
    sqs = built.client("sqs")
    queue = sqs.get_queue_url(QueueName=built.name("ecommerce-orders-queue"))["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "2"})
    yield built
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "60"})
    for one in rows(built):
        built.client("dynamodb").delete_item(TableName=built.name("ecommerce-orders"), Key={"orderId": one["orderId"]})


@pytest.fixture
def right_alone(built):
    """The topic's policy without its Allow: within an account it would let the role in by itself, on AWS too."""
    sns, arn = built.client("sns"), built.arn("sns", built.name("ecommerce-orders-topic"))
    policy = sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"]
    document = json.loads(policy)
    document["Statement"] = [one for one in document["Statement"] if one["Effect"] == "Deny"]
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(document))
    yield
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)


def place(ws) -> str:
    status, answer = post(api_url(ws), json.dumps(SPEC_ORDER).encode(), ca_bundle=ws.client.ca_bundle)
    assert status == 202
    return answer["messageId"]


def stored(ws) -> list[str]:
    return [one["orderId"]["S"] for one in rows(ws)]


def notified(ws, order_id: str) -> bool:
    return any(order_id in mail["Message"] for mail in mails(ws))


def test_with_every_right_an_order_is_stored_and_notified(impatient):
    order_id = place(impatient)
    assert follow(impatient, order_id, wait=LONGEST_WAIT)["complete"]


def test_without_the_right_to_put_items_an_order_is_not_stored(impatient):
    ws = impatient
    with rewritten(ws, "Lambda-Put-DynamoDB", without("dynamodb:PutItem")):
        order_id = place(ws)
        assert eventually(lambda: find_in_log(ws, "POC-Lambda-1", order_id, 0))
        document = follow(ws, order_id, wait=0)
        assert stored(ws) == []
        end = document["deadEnd"]
        assert (document["complete"], end["hop"]) == (False, "table")
        assert "has the permissions of Lambda-Put-DynamoDB" in end["cause"]
        assert "AccessDenied" in end["cause"]
        assert end["remedy"].startswith("workshop 01_iam")
    # Given back, the order arrives by itself: the queue kept it.
    assert eventually(lambda: stored(ws) == [order_id])
    assert follow(ws, order_id, wait=LONGEST_WAIT)["complete"]
    assert eventually(lambda: messages(ws) == 0)
    assert messages(ws, "ecommerce-orders-dlq") == 0


@pytest.mark.slow
def test_without_the_right_to_publish_an_order_is_not_notified(impatient, right_alone):
    ws = impatient
    # The Allow that was taken out of the topic's policy is not what the rest needs.
    assert follow(ws, place(ws), wait=LONGEST_WAIT)["complete"]
    with rewritten(ws, "Lambda-Publish-SNS", without("sns:Publish")):
        order_id = place(ws)
        assert eventually(lambda: find_in_log(ws, "POC-Lambda-2", order_id, 0))
        document = follow(ws, order_id, wait=0)
        assert not notified(ws, order_id)
        end = document["deadEnd"]
        assert (document["complete"], end["hop"]) == (False, "topic")
        assert "has the permissions of Lambda-Publish-SNS" in end["cause"] or "may publish" in end["cause"]
        assert "AuthorizationError" in end["cause"] or "AccessDenied" in end["cause"]
    assert eventually(lambda: notified(ws, order_id))
    assert follow(ws, order_id, wait=LONGEST_WAIT)["complete"]
