"""Roles and policies. IAM keeps one of a name for all regions of an account."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from workshop.aws.owner import Description, gone_is_fine
from workshop.aws.place import Place, from_tag_list, to_tag_list
from workshop.kinds.kind import Kind, in_the_way
from workshop.kinds.regions import TAG, region_of_policy, region_of_role


def _role(place: Place, name: str) -> Iterator[Description]:
    iam = place.client("iam")
    role = iam.get_role(RoleName=name)["Role"]
    attached = iam.get_paginator("list_attached_role_policies").paginate(RoleName=name)
    inline = iam.get_paginator("list_role_policies").paginate(RoleName=name)
    yield role | {
        "AttachedPolicies": sorted(p["PolicyArn"] for page in attached for p in page["AttachedPolicies"]),
        "InlinePolicies": sorted(name for page in inline for name in page["PolicyNames"]),
    }


def _role_tags(place: Place, role: Description) -> dict[str, str]:
    """IAM sends the tags along; those that were not there yet are asked for again, and kept in the description."""
    if not role.get("Tags"):
        role["Tags"] = place.client("iam").get_role(RoleName=role["RoleName"])["Role"].get("Tags", [])
    return from_tag_list(role["Tags"])


def _tag_role(place: Place, role: Description, tags: dict[str, str]) -> None:
    place.client("iam").tag_role(RoleName=role["RoleName"], Tags=to_tag_list(tags))


def delete_role(place: Place, role: Description) -> None:
    """IAM deletes no role that still has policies. If the answer to a call got lost, its repetition finds nothing."""
    iam, name = place.client("iam"), role["RoleName"]
    for arn in role["AttachedPolicies"]:
        with gone_is_fine():
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    for policy in role["InlinePolicies"]:
        with gone_is_fine():
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
    try:
        iam.delete_role(RoleName=name)
    except ClientError as error:
        if "instance profile" not in str(error):
            raise
        command = f"aws iam remove-role-from-instance-profile --role-name {name} --instance-profile-name PROFILE"
        raise in_the_way(place, f"The role {name} is in somebody's instance profile", command) from None


def _policy(place: Place, name: str) -> Iterator[Description]:
    iam, arn = place.client("iam"), _policy_arn(place, name)
    try:
        policy = iam.get_policy(PolicyArn=arn)["Policy"]
    except iam.exceptions.NoSuchEntityException:
        # A name is taken in all paths at once: somebody else's policy in no path stands in our way.
        yield {**iam.get_policy(PolicyArn=place.arn("iam", f"policy/{name}"))["Policy"]}
    else:
        version = iam.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        yield policy | {"Document": version["Document"]}


def _policy_arn(place: Place, name: str) -> str:
    return place.arn("iam", f"policy{place.settings.path}{name}")


def _tags_of_path(place: Place, policy: Description) -> dict[str, str]:
    """A policy says by its path whose it is: CloudFormation cannot tag one.

    https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1010
    """
    return place.tags if policy["Path"] == place.settings.path else {}


def delete_policy(place: Place, policy: Description) -> None:
    """IAM deletes no policy that is attached somewhere, or that still has older versions."""
    iam, arn = place.client("iam"), policy["Arn"]
    pages = list(iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn))
    holders = [
        *(("user", one["UserName"]) for page in pages for one in page["PolicyUsers"]),
        *(("group", one["GroupName"]) for page in pages for one in page["PolicyGroups"]),
    ]
    for what, name in holders:
        # A clean-up does not change what somebody may do.
        command = f"aws iam detach-{what}-policy --{what}-name {name} --policy-arn {arn}"
        raise in_the_way(place, f"The policy {policy['PolicyName']} is attached to the {what} {name}", command)
    for page in pages:
        for role in page["PolicyRoles"]:
            with gone_is_fine():
                iam.detach_role_policy(RoleName=role["RoleName"], PolicyArn=arn)
    for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            with gone_is_fine():
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
    iam.delete_policy(PolicyArn=arn)


IAM = {
    "role": Kind(
        _role,
        _role_tags,
        _tag_role,
        delete_role,
        arn=lambda place, name: place.arn("iam", f"role/{name}"),
        actions=(
            "iam:GetRole", "iam:TagRole", "iam:DeleteRole", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies",
            "iam:GetRolePolicy", "iam:DeleteRolePolicy", "iam:SimulatePrincipalPolicy",
        ),
        own_tags=lambda place: place.tags | {TAG: place.region},
        region=region_of_role,
    ),
    "policy": Kind(
        _policy,
        _tags_of_path,
        delete=delete_policy,
        arn=_policy_arn,
        actions=(
            "iam:CreatePolicy", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:CreatePolicyVersion",
            "iam:DeletePolicyVersion", "iam:ListPolicyVersions", "iam:ListEntitiesForPolicy", "iam:DeletePolicy",
        ),
        marked=lambda place: f"path {place.settings.path}",
        region=region_of_policy,
    ),
}  # fmt: skip
