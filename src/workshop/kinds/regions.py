"""Which region a role or a policy belongs to.

Everything else lives in one region, and its neighbour of the same name in another region never meets it. IAM keeps
one role and one policy of a name for all regions of an account, so ours say which region they serve: a role by its
tag `Region`, a policy by its description, which nobody can change once it is created and which CloudFormation can
write (it cannot tag policies).

What carries neither (an older version of the workshop made it) is judged by the ARNs that its policies name. Where
those don't tell, it is left as it is, until somebody tags it.
"""

import re
from collections.abc import Mapping
from typing import Any

from workshop.aws.place import Place

TAG = "Region"


def mark(region: str) -> str:
    """The description of a policy that belongs to a region; the templates write the same."""
    return f"Orders workshop, region {region}"


MARK = re.compile(mark(r"([a-z0-9-]+)"))


def region_of_role(place: Place, role: dict[str, Any]) -> str | None:
    """The region that a role belongs to; None if nothing tells."""
    tagged = _tagged(role)
    if tagged:
        return tagged
    iam = place.client("iam")
    ours = [arn for arn in role["AttachedPolicies"] if f":policy{place.settings.path}" in arn]
    return _only({region_of_policy(place, iam.get_policy(PolicyArn=arn)["Policy"]) for arn in ours})


def region_of_policy(place: Place, policy: Mapping[str, Any]) -> str | None:
    """The region that a policy belongs to; None if nothing tells."""
    marked = MARK.fullmatch(policy.get("Description", ""))
    if marked:
        return marked[1]
    return _tagged(policy) or _only(_named_in_documents(place, policy["Arn"]))


def _tagged(found: Mapping[str, Any]) -> str | None:
    return next((tag["Value"] for tag in found.get("Tags", []) if tag["Key"] == TAG), None)


def _named_in_documents(place: Place, arn: str) -> set[str | None]:
    """The regions in the ARNs of all versions of a policy: what a hand wrote last must not hide the first one."""
    iam = place.client("iam")
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


def name_of(kind: str, found: Mapping[str, Any]) -> str:
    """The name of a role or policy."""
    return str(found["RoleName" if kind == "role" else "PolicyName"])
