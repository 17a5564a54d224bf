"""Two regions, one prefix: IAM keeps roles and policies once for both, and whoever comes second harms nobody."""

import contextlib
import json

import pytest
from faults import Faults
from replay import build
from support import census, not_present, sample, snapshot, teardown

from workshop.base.errors import ForeignResource, NotBuilt
from workshop.build.opening import load_steps
from workshop.commands.build import run_steps, status
from workshop.commands.clean import cleanup, remaining_is_failure
from workshop.commands.verify import grade
from workshop.kinds.regions import mark

THERE, HERE = "us-east-1", "eu-central-1"
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]}


@pytest.fixture
def there(ws):
    """The participant in the region that came first."""
    assert ws.region == THERE
    return ws


@pytest.fixture
def here(open_ws, prefix):
    """The same participant in another region."""
    opened = open_ws(prefix, region=HERE)
    yield opened
    teardown().delete_ours(opened)


def policies_of(ws):
    """The descriptions of our policies, whoever they belong to."""
    iam = ws.client("iam")
    return [iam.get_policy(PolicyArn=one["Arn"])["Policy"] for kind, one in census(ws, whole=True) if kind == "policy"]


def roles_of(ws):
    return [one["RoleName"] for kind, one in census(ws, whole=True) if kind == "role"]


def write_by_hand(ws, policy_arn, document):
    ws.client("iam").create_policy_version(
        PolicyArn=policy_arn, PolicyDocument=json.dumps(document), SetAsDefault=True
    )  # fmt: skip


def forget_versions(ws, policy_arn):
    """Delete all versions of a policy but the one that counts."""
    iam = ws.client("iam")
    for version in iam.list_policy_versions(PolicyArn=policy_arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(PolicyArn=policy_arn, VersionId=version["VersionId"])


def as_an_older_version_made_them(ws):
    """Take the marks off: policies without a description, roles without a tag for the region.

    One policy is newer than the marks, and names no region: it goes.
    """
    iam = ws.client("iam")
    for policy in policies_of(ws):
        arn = policy["Arn"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        roles = [one["RoleName"] for one in iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"]]
        for role in roles:
            iam.detach_role_policy(RoleName=role, PolicyArn=arn)
        iam.delete_policy(PolicyArn=arn)
        if policy["PolicyName"].endswith("Lambda-List-DynamoDBStreams"):
            continue
        text = json.dumps(document["Document"])
        iam.create_policy(PolicyName=policy["PolicyName"], Path=policy["Path"], PolicyDocument=text)
        for role in roles:
            iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    for role in roles_of(ws):
        iam.untag_role(RoleName=role, TagKeys=["Region"])


def try_everything(here):
    """Whatever one could type in the second region; what is refused is refused in its name."""
    with pytest.raises(ForeignResource, match=rf"region {THERE}"):
        run_steps(here, here.steps, "up")
    for step in here.steps:
        with contextlib.suppress(ForeignResource, NotBuilt):
            step.run(here)
    status(here)
    grade(here, here.steps)
    return cleanup(here)


def green(ws):
    return [(verdict.name, verdict.detail) for verdict in grade(ws, ws.steps) if not verdict.passed] == []


def test_nothing_done_in_a_second_region_reaches_the_first(there, here):
    build(there)
    before = snapshot(there)
    done = try_everything(here)
    assert done["remaining"] == []
    assert {one["kind"] for one in done["deleted"]} & {"role", "policy"} == set()
    assert snapshot(there) == before
    assert not_present(there) == {}
    assert green(there)


def test_up_refuses_before_it_changes_anything(there, here):
    build(there, 1)
    changes = []
    here.client.listeners.append(lambda call: changes.append(call.operation) if not call.is_read else None)
    with pytest.raises(ForeignResource) as refused:
        run_steps(here, here.steps, "up")
    assert changes == []
    assert f"region {THERE}" in refused.value.problem
    assert f"--region {THERE}" in refused.value.remedy
    assert "--prefix" in refused.value.remedy


@pytest.mark.parametrize("kept", sample(("APIGateway-Send-SQS", "APIGateway-SQS"), ("APIGateway-SQS",)))
def test_up_refuses_before_it_changes_anything_where_only_the_last_one_is_elsewhere(there, here, kept):
    build(there, 1)
    iam = there.client("iam")
    for name in roles_of(there):
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        if name != there.name(kept):
            iam.delete_role(RoleName=name)
    for policy in policies_of(there):
        if policy["PolicyName"] != there.name(kept):
            iam.delete_policy(PolicyArn=policy["Arn"])
    before = snapshot(there)
    assert len(before) == 1
    with pytest.raises(ForeignResource, match=there.name(kept)):
        run_steps(here, here.steps, "up")
    assert snapshot(there) == before
    assert cleanup(here) == {"deleted": [], "remaining": []}
    assert snapshot(there) == before


@pytest.mark.parametrize("number", sample((step.number for step in load_steps()), ("1", "4")))
def test_a_step_that_needs_the_roles_names_the_other_region(there, here, number):
    build(there, 1)
    for step in here.steps[: number - 1]:
        if not {1} & {step.number, *step.needs}:
            step.run(here)
    step, before = here.steps[number - 1], snapshot(there)
    if {1} & {number, *step.needs}:
        with pytest.raises(ForeignResource, match=f"region {THERE}"):
            step.run(here)
    assert {name: one for name, one in snapshot(there).items() if name in before} == before


def test_what_stands_in_both_regions_goes_in_one(there, here):
    build(there)
    here.steps[1].run(here)
    before = snapshot(there)
    assert cleanup(here)["deleted"] == [{"kind": "table", "name": here.name("ecommerce-orders")}]
    assert snapshot(there) == before
    here.steps[1].run(here)
    assert cleanup(there)["remaining"] == []
    assert [one["name"] for kind, one in census(here, whole=True)] == [here.name("ecommerce-orders")]


@pytest.mark.slow
def test_after_a_cleanup_there_one_can_build_here(there, here):
    build(there)
    cleanup(there)
    build(here)
    assert green(here)
    assert {one["Description"] for one in policies_of(here)} == {mark(HERE)}
    assert cleanup(here)["remaining"] == []
    assert census(here) == []


def test_it_says_what_it_leaves(there, here, capsys):
    build(there, 1)
    cleanup(here)
    said = capsys.readouterr().out
    policies = sum(declaration.kind == "policy" for declaration in there.steps[0].declarations)
    assert f"{policies} policies and 3 roles of region {THERE}" in said
    assert f"workshop cleanup --prefix {here.settings.prefix} --region {THERE}" in said


@pytest.mark.slow
def test_the_command_line(there, cli):
    build(there, 1)
    before = snapshot(there)
    for command in ("up", "01_iam", "03_sqs"):
        ran = cli(command, "--region", HERE)
        assert ran.code == 1
        assert len(ran.errors) == 1
        assert f"region {THERE}" in ran.errors[0]
    rows = cli("status", "--json", "--region", HERE).json["resources"]
    assert {one["state"] for one in rows} == {"missing"}
    assert {one["differences"][0]["is"] for one in rows if one["step"] == 1} == {f"region {THERE}'s"}
    gone = cli("cleanup", "--yes", "--json", "--region", HERE)
    assert (gone.code, gone.json) == (0, {"deleted": [], "remaining": []})
    assert cli("redrive", "--json", "--yes", "--region", HERE).code in (0, 1)
    assert cli("verify", "--region", HERE).code == 1
    assert snapshot(there) == before


@pytest.mark.slow
def test_rights_changed_by_hand_still_belong_to_their_region(there, here):
    build(there)
    for policy in policies_of(there):
        write_by_hand(there, policy["Arn"], ANYTHING)
        forget_versions(there, policy["Arn"])
    there.state.path.unlink()
    before = snapshot(there)
    assert try_everything(here)["remaining"] == []
    assert snapshot(there) == before
    # Its own region puts them right, and takes them away.
    there.steps[0].run(there)
    assert green(there)
    assert cleanup(there)["remaining"] == []
    assert census(there) == []


@pytest.mark.slow
def test_what_an_older_version_made_is_known_by_what_it_may(there, here):
    build(there)
    as_an_older_version_made_them(there)
    before = snapshot(there)
    assert try_everything(here)["remaining"] == []
    assert snapshot(there) == before
    results = {resource.kind: resource.result for resource in there.steps[0].run(there)}
    assert results == {"policy": "unchanged", "role": "updated"}
    assert green(there)
    assert cleanup(there)["remaining"] == []
    assert census(there) == []


@pytest.mark.parametrize("also", sample(("nothing else", "another region"), ("nothing else",)))
def test_what_tells_no_region_is_left_by_everybody(there, here, also, capsys):
    build(there, 1)
    as_an_older_version_made_them(there)
    document = ANYTHING
    if also == "another region":
        document = json.loads(json.dumps(ANYTHING).replace('"*"', f'"arn:aws:sqs:{HERE}:{there.account}:a-queue"'))
    for policy in policies_of(there):
        write_by_hand(there, policy["Arn"], document)
        if document == ANYTHING:
            forget_versions(there, policy["Arn"])
    before = snapshot(there)
    for ws in (there, here):
        with pytest.raises(ForeignResource, match="does not tell which region"):
            ws.steps[0].run(ws)
        done = cleanup(ws)
        assert done["deleted"] == []
        assert len(done["remaining"]) == 11
        assert remaining_is_failure(done) is not None
    assert snapshot(there) == before
    # What is typed says whose it is.
    assert f"Key=Region,Value={HERE}" in capsys.readouterr().err
    iam = there.client("iam")
    for policy in policies_of(there):
        iam.tag_policy(PolicyArn=policy["Arn"], Tags=[{"Key": "Region", "Value": THERE}])
    for role in roles_of(there):
        iam.tag_role(RoleName=role, Tags=[{"Key": "Region", "Value": THERE}])
    assert cleanup(here) == {"deleted": [], "remaining": []}
    assert cleanup(there)["remaining"] == []
    assert census(there) == []


def test_the_same_name_made_at_the_same_moment(there, here):
    """Both looked, and saw nothing; the other region was quicker."""
    iam, made = there.client("iam"), []

    def be_quicker(sending):
        if sending.operation == "CreatePolicy" and not made:
            name = there.name("Lambda-Receive-SQS")
            document = json.dumps(ANYTHING)
            made.append(
                iam.create_policy(
                    PolicyName=name, Path=there.settings.path, Description=mark(THERE), PolicyDocument=document
                )
            )

    Faults().attach(here.client).rules.append(be_quicker)
    with pytest.raises(ForeignResource, match=f"region {THERE}"):
        here.steps[0].run(here)
    (policy,) = policies_of(there)
    version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
    assert version["PolicyVersion"]["Document"] == ANYTHING
    iam.delete_policy(PolicyArn=policy["Arn"])
