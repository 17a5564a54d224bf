"""Somebody hung something of theirs on what the clean-up deletes: it stops at once, and names it and what to type."""

import pytest
from faults import Faults
from replay import build
from support import census

from workshop.base.errors import WorkshopError
from workshop.commands.clean import cleanup
from workshop.kinds.iam import IAM


@pytest.fixture
def ws(ws):
    """This test's participant, who must wait for nothing."""

    def sleep(seconds: float) -> None:
        pytest.fail(f"waits {seconds} s for what does not pass")

    ws.waiter.sleep = sleep
    return ws


def a_user(ws, arn: str):
    """A user of somebody's, with our policy."""
    iam, name = ws.client("iam"), f"user-of-{ws.settings.prefix}"
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    yield f"aws iam detach-user-policy --user-name {name} --policy-arn {arn}"
    iam.detach_user_policy(UserName=name, PolicyArn=arn)
    iam.delete_user(UserName=name)


def a_group(ws, arn: str):
    """A group of somebody's, with our policy."""
    iam, name = ws.client("iam"), f"group-of-{ws.settings.prefix}"
    iam.create_group(GroupName=name)
    iam.attach_group_policy(GroupName=name, PolicyArn=arn)
    yield f"aws iam detach-group-policy --group-name {name} --policy-arn {arn}"
    iam.detach_group_policy(GroupName=name, PolicyArn=arn)
    iam.delete_group(GroupName=name)


@pytest.mark.parametrize("holder", [a_user, pytest.param(a_group, marks=pytest.mark.slow)])
def test_a_policy_that_somebody_attached_elsewhere(ws, holder):
    build(ws, 1)
    arn = IAM["policy"].arn(ws, ws.name("Lambda-Put-DynamoDB"))
    held = holder(ws, arn)
    command = next(held)
    with pytest.raises(WorkshopError) as stopped:
        cleanup(ws)
    assert ws.name("Lambda-Put-DynamoDB") in stopped.value.problem
    assert stopped.value.remedy == f"Run: {command}; then: workshop cleanup --prefix {ws.settings.prefix}"
    # Whoever it is keeps what they have until somebody types that.
    assert ws.client("iam").get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert next(held, None) is None
    assert cleanup(ws)["remaining"] == []
    assert census(ws) == []


def test_a_role_in_somebodys_instance_profile(ws):
    build(ws, 1)
    iam, name, role = ws.client("iam"), f"profile-of-{ws.settings.prefix}", ws.name("APIGateway-SQS")
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
    with pytest.raises(WorkshopError) as stopped:
        cleanup(ws)
    assert role in stopped.value.problem
    command = f"aws iam remove-role-from-instance-profile --role-name {role} --instance-profile-name PROFILE"
    assert stopped.value.remedy == f"Run: {command}; then: workshop cleanup --prefix {ws.settings.prefix}"
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role)
    iam.delete_instance_profile(InstanceProfileName=name)
    assert cleanup(ws)["remaining"] == []


def test_a_table_that_somebody_protected(ws):
    build(ws, 2)
    dynamodb, name = ws.client("dynamodb"), ws.name("ecommerce-orders")
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=True)
    before = census(ws)
    with pytest.raises(WorkshopError) as stopped:
        cleanup(ws)
    assert name in stopped.value.problem
    command = f"aws dynamodb update-table --table-name {name} --no-deletion-protection-enabled"
    assert stopped.value.remedy == f"Run: {command}; then: workshop cleanup --prefix {ws.settings.prefix}"
    assert census(ws) == before
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    assert cleanup(ws)["remaining"] == []


def test_a_role_whose_policies_linger_is_still_waited_for(ws):
    build(ws, 1)
    faults = Faults().attach(ws.client)
    slept = []
    ws.waiter.sleep = slept.append
    faults.refuse("DeleteRole", "DeleteConflict", "Cannot delete entity, must detach all policies first.", 409, times=2)
    assert cleanup(ws)["remaining"] == []
    assert len(slept) >= 2
