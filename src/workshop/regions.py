"""Which region a role or a policy belongs to.

Everything else lives in one region, and its neighbour of the same name in another region never meets it. IAM keeps
one role and one policy of a name for all regions of an account, so ours say which region they serve: a role by its
tag `Region`, a policy by its description, which nobody can change once it is created and which CloudFormation can
write (it cannot tag policies).

What carries neither (an older version of the workshop made it) is judged by the ARNs that its policies name. Where
those don't tell, it is left as it is, until somebody tags it.
"""

import re
from typing import TYPE_CHECKING, Any

from workshop.errors import ForeignResource
from workshop.owner import Owner

if TYPE_CHECKING:
    from workshop.context import Workshop
    from workshop.kinds import Kind

TAG = "Region"


def mark(region: str) -> str:
    """The description of a policy that belongs to a region; the templates write the same."""
    return f"Orders workshop, region {region}"


MARK = re.compile(mark(r"([a-z0-9-]+)"))


def region_of_role(ws: "Workshop", role: dict[str, Any]) -> str | None:
    """The region that a role belongs to; None if nothing tells."""
    tagged = _tagged(role)
    if tagged:
        return tagged
    iam = ws.client("iam")
    ours = [arn for arn in role["AttachedPolicies"] if f":policy{ws.settings.path}" in arn]
    return _only({region_of_policy(ws, iam.get_policy(PolicyArn=arn)["Policy"]) for arn in ours})


def region_of_policy(ws: "Workshop", policy: dict[str, Any]) -> str | None:
    """The region that a policy belongs to; None if nothing tells."""
    marked = MARK.fullmatch(policy.get("Description", ""))
    if marked:
        return marked[1]
    return _tagged(policy) or _only(_named_in_documents(ws, policy["Arn"]))


def _tagged(found: dict[str, Any]) -> str | None:
    return next((tag["Value"] for tag in found.get("Tags", []) if tag["Key"] == TAG), None)


def _named_in_documents(ws: "Workshop", arn: str) -> set[str | None]:
    """The regions in the ARNs of all versions of a policy: what a hand wrote last must not hide the first one."""
    iam = ws.client("iam")
    versions = [
        iam.get_policy_version(PolicyArn=arn, VersionId=version["VersionId"])["PolicyVersion"]["Document"]
        for page in iam.get_paginator("list_policy_versions").paginate(PolicyArn=arn)
        for version in page["Versions"]
    ]
    return {region for document in versions for region in re.findall(r"arn:[^:]*:[^:]*:([^:]*):", str(document))}


def _only(regions: set[str | None]) -> str | None:
    """The one region that all evidence agrees on."""
    (region,) = regions if len(regions) == 1 else (None,)
    return region if region and re.fullmatch(r"[a-z0-9-]+", region) else None


def refuse_other_region(ws: "Workshop", name: str, kind: "Kind", found: dict[str, Any]) -> None:
    """Refuse to touch a role or policy of this participant that belongs to another region.

    Args:
        ws: the context.
        name: what the kind is called: `role` or `policy`.
        kind: the kind itself.
        found: the description of the role or policy.

    Raises:
        ForeignResource: it belongs to another region, or nothing tells its region.
    """
    if kind.region is not None and kind.owner_now(ws, found) is Owner.ELSEWHERE:
        raise refusal(ws, name, found, kind.region(ws, found))


def refusal(ws: "Workshop", kind: str, found: dict[str, Any], region: str | None) -> ForeignResource:
    """What is said of a role or policy that belongs to another region, or does not tell its region.

    Args:
        ws: the context.
        kind: `role` or `policy`.
        found: its description.
        region: the region that it belongs to; None if nothing tells.
    """
    name = name_of(kind, found)
    if region is None:
        return ForeignResource(
            f"The {kind} {name} does not tell which region it belongs to, so it was left as it is.",
            f"If it is {ws.region}'s, run: {how_to_tell(ws, kind, found)}. If not, choose another --prefix.",
            whose="of an unknown region",
        )
    taken = f"the prefix {ws.settings.prefix} is" if ws.settings.prefix else "the names without a prefix are"
    return ForeignResource(
        f"The {kind} {name} belongs to region {region}. IAM keeps roles and policies once for all regions,"
        f" so {taken} in use there.",
        f"Choose another --prefix, or go on there with --region {region}.",
        whose=f"region {region}'s",
    )


def name_of(kind: str, found: dict[str, Any]) -> str:
    """The name of a role or policy."""
    return str(found["RoleName" if kind == "role" else "PolicyName"])


def how_to_tell(ws: "Workshop", kind: str, found: dict[str, Any]) -> str:
    """The command that says of a role or policy that it belongs to this region."""
    which = f"--role-name {found['RoleName']}" if kind == "role" else f"--policy-arn {found['Arn']}"
    return f"aws iam tag-{kind} {which} --tags Key={TAG},Value={ws.region}"
