"""What is known of one kind of AWS resource, whichever service it belongs to."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from workshop.aws.owner import TAGS_LAG, Description, Owner, gone_is_fine, is_gone, is_new
from workshop.aws.place import Place
from workshop.base.errors import GaveUp, WorkshopError


def _marked_by_tags(place: Place) -> str:
    return f"tags Project={place.tags['Project']} and Participant={place.tags['Participant']}"


def in_the_way(place: Place, problem: str, command: str) -> WorkshopError:
    """What stops a clean-up: something that somebody decided, and that only a person should undo."""
    return WorkshopError(
        f"{problem}, and was left as it is.", f"Run: {command}; then: workshop cleanup{place.settings.options}"
    )


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Attributes:
        find_all: yields the description of everything of that name; more than one where AWS lets names repeat.
        tags: reads the tags of a found resource, `{name: value}`; for what AWS does not tag, those of the
            resource that holds it, or what its path says.
        tag: writes tags, where there are any to write.
        delete: deletes a found resource; None where it goes with the resource that holds it.
        arn: the ARN of the one of a name, where the name tells it.
        actions: what a participant does with resources of known ARNs, from `doctor` to `cleanup`.
        actions_anywhere: the same for actions of which AWS knows no resource, or only all of them.
        going: whether a found resource is being deleted.
        marked: how one of ours is known, in words.
        untagged_is_ours: where AWS itself makes such a thing, without tags, for something of ours.
        inherits: it is ours if what holds it is ours, and may be tagged later; `find_all` looks nowhere else.
        own_tags: the tags that one of ours gets.
        region: the region that a found resource belongs to, where AWS keeps one of a name for all regions.
        volatile: keys of its description that tell an id, a time, a count, or what is going on at the moment.
    """

    find_all: Callable[[Place, str], Iterator[Description]]
    tags: Callable[[Place, Description], dict[str, str]] | None = None
    tag: Callable[[Place, Description, dict[str, str]], Any] | None = None
    delete: Callable[[Place, Description], Any] | None = None
    arn: Callable[[Place, str], str] | None = None
    actions: tuple[str, ...] = ()
    actions_anywhere: tuple[str, ...] = ()
    going: Callable[[Description], bool] = lambda found: False
    marked: Callable[[Place], str] = _marked_by_tags
    inherits: bool = False
    untagged_is_ours: Callable[[Place, Description], bool] | None = None
    own_tags: Callable[[Place], dict[str, str]] = lambda place: place.tags
    region: Callable[[Place, Description], str | None] | None = None
    volatile: frozenset[str] = frozenset()

    def everything(self, place: Place, name: str) -> list[Description]:
        """Look up all resources of one name, whoever they belong to.

        Returns:
            The service's descriptions, each with `Arn`.

        Raises:
            ClientError: AWS refuses to answer.
        """
        with gone_is_fine():
            return list(self.find_all(place, name))
        return []

    def ours(self, place: Place, name: str) -> list[Description]:
        """Look up all resources of one name that are ours."""
        return [one for one in self.everything(place, name) if self.is_ours(place, one)]

    def find(self, place: Place, name: str) -> Description | None:
        """Look a resource up by name: of several with the same name, one that is ours; None if there is none.

        Raises:
            ClientError: AWS refuses to answer.
        """
        found = self.everything(place, name)
        if len(found) == 1:
            return found[0]
        return next((one for one in found if self.is_ours(place, one)), found[0] if found else None)

    def is_ours(self, place: Place, found: Description) -> bool:
        """Whether a found resource carries our `Project` and `Participant` tags, and serves this region."""
        return self.owner(place, found) is Owner.OURS

    def owner(self, place: Place, found: Description) -> Owner:
        """Who a found resource belongs to; if it is new and shows no tags yet, they are waited for."""
        owner = self.owner_now(place, found)
        if owner is not Owner.UNTAGGED or not is_new(found):
            return owner
        # Once for each command: what others left untagged should not hold up every look at it.
        if place.untagged_since is None:
            place.untagged_since = place.waiter.clock()
        rest = place.untagged_since + TAGS_LAG - place.waiter.clock()
        with contextlib.suppress(GaveUp):
            place.waiter.until(
                lambda: self.owner_now(place, found) is not Owner.UNTAGGED, "AWS shows no tags yet", rest, quiet=True
            )
        return self.owner_now(place, found)

    def owner_now(self, place: Place, found: Description) -> Owner:
        """Who a found resource belongs to, by the tags that it shows at this moment."""
        if self.tags is None or self.inherits:
            return Owner.OURS
        try:
            tags = self.tags(place, found)
            marked = all(tags.get(key) == place.tags[key] for key in ("Project", "Participant"))
            if marked and self.region is not None and self.region(place, found) != place.region:
                return Owner.ELSEWHERE
            if not tags and self.untagged_is_ours is not None and self.untagged_is_ours(place, found):
                return Owner.OURS
        except ClientError as error:
            if not is_gone(error):
                raise
            return Owner.GONE
        if marked:
            return Owner.OURS
        return Owner.SOMEBODY if tags else Owner.UNTAGGED
