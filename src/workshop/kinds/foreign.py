"""What is said of a resource of one of our names that isn't ours: whose it is, and what to type.

There are four cases: a role or policy of another region; one whose region nothing tells; what belongs to another
participant; and what has nothing to do with the workshop. All of it stays as it is.
"""

import dataclasses

from workshop.aws.owner import Description, Owner
from workshop.aws.place import Place
from workshop.base.errors import ForeignResource
from workshop.base.settings import DEFAULT_REGION, NO_PREFIX, PROJECT, Settings
from workshop.kinds import KINDS
from workshop.kinds.regions import TAG


def refuse_foreign(place: Place, kind: str, name: str, found: Description) -> None:
    """Refuse to touch what isn't ours. What has vanished meanwhile is nobody's.

    Args:
        place: where we work.
        kind: a key of `KINDS`.
        name: the name of the resource.
        found: its description.

    Raises:
        ForeignResource: it is somebody else's.
    """
    if KINDS[kind].owner(place, found) not in (Owner.OURS, Owner.GONE):
        raise refusal(place, kind, name, found)


def refuse_other_region(place: Place, kind: str, name: str, found: Description) -> None:
    """Refuse to touch a role or policy of this participant that belongs to another region.

    Raises:
        ForeignResource: it belongs to another region, or nothing tells its region.
    """
    if KINDS[kind].region is not None and KINDS[kind].owner_now(place, found) is Owner.ELSEWHERE:
        raise refusal(place, kind, name, found)


def refusal(place: Place, kind: str, name: str, found: Description) -> ForeignResource:
    """Say of a resource that isn't ours whose it is, and what to type."""
    region_of = KINDS[kind].region
    if region_of is not None and KINDS[kind].owner_now(place, found) is Owner.ELSEWHERE:
        return _of_region(place, kind, name, found, region_of(place, found))
    return ForeignResource(
        f"There is a {kind} {name} without our {KINDS[kind].marked(place)}: {_whose(place, kind, found)}."
        " It was left as it is.",
        "Choose another --prefix." if place.settings.prefix else "Choose a prefix, such as: --prefix alice",
    )


def cleanup_in(settings: Settings, region: str) -> str:
    """The command that deletes what this participant has in another region."""
    return f"workshop cleanup{dataclasses.replace(settings, region=DEFAULT_REGION).options} --region {region}"


def _of_region(place: Place, kind: str, name: str, found: Description, region: str | None) -> ForeignResource:
    if region is None:
        which = f"--role-name {name}" if kind == "role" else f"--policy-arn {found['Arn']}"
        tell = f"aws iam tag-{kind} {which} --tags Key={TAG},Value={place.region}"
        return ForeignResource(
            f"The {kind} {name} does not tell which region it belongs to, so it was left as it is.",
            f"If it is {place.region}'s, run: {tell}. If not, choose another --prefix.",
            whose="of an unknown region",
        )
    taken = f"the prefix {place.settings.prefix} is" if place.settings.prefix else "the names without a prefix are"
    return ForeignResource(
        f"The {kind} {name} belongs to region {region}. IAM keeps roles and policies once for all regions,"
        f" so {taken} in use there.",
        f"Choose another --prefix, go on there with --region {region}, or delete what is there:"
        f" {cleanup_in(place.settings, region)}",
        whose=f"region {region}'s",
    )


def _whose(place: Place, kind: str, found: Description) -> str:
    """Whose it is, as far as its tags tell; a policy says it by its path."""
    if "Path" in found and kind == "policy":
        return f"it lies in {found['Path']}"
    read = KINDS[kind].tags
    tags = read(place, found) if read is not None else {}
    if tags.get("Project") == PROJECT and "Participant" in tags:
        whose = tags["Participant"]
        return f"it belongs to the participant {'without a prefix' if whose == NO_PREFIX else whose}"
    return f"it carries {', '.join(f'{key}={value}' for key, value in sorted(tags.items())[:3]) or 'no tags'}"
