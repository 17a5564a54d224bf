"""A resource on its way to being right, or while it is looked at.

The functions of a step's resources serve twice. When a step *runs*, `ensure` and `converge` create and update.
When `status` *looks*, they only note what they would have done; a guard on every client refuses changes
meanwhile. So what the workshop builds and what it reports as drift cannot part ways.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from workshop.aws.owner import Description, Owner
from workshop.aws.values import brief_pair, same
from workshop.aws.waiter import answer_was_lost
from workshop.base.errors import ForeignResource, GaveUp
from workshop.base.services import Parameters
from workshop.build.context import Absent, Workshop
from workshop.kinds import KINDS, PART_OF, Kind
from workshop.kinds.foreign import refusal

#: How the services say that there is already something of that name.
ALREADY_THERE = {
    "EntityAlreadyExists",
    "ResourceInUseException",
    "ResourceConflictException",
    "ResourceAlreadyExistsException",
    "ConflictException",
    "QueueNameExists",
    "QueueAlreadyExists",
}
#: Seconds within which something just made shows up when it is looked for, and for which lost answers are borne.
VISIBLE_WITHIN, LOST_WITHIN = 60.0, 120.0


def is_there_already(error: Exception) -> bool:
    """Whether AWS says that what should be made is there already."""
    if not isinstance(error, ClientError):
        return False
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if "already has an enabled stream" in message:
        return True
    # Some of these codes stand for other conflicts as well.
    return code in ALREADY_THERE and ("Exists" in code or "already" in message.lower())


@dataclass(frozen=True)
class Difference:
    """A setting that is not as it should be."""

    setting: str
    is_: Any
    should: Any

    def __str__(self) -> str:
        is_, should = brief_pair(self.is_, self.should)
        return f"{self.setting} is {is_}, should be {should}"


class Resource:
    """One resource of a step, while it is made right or looked at.

    Attributes:
        step: the number of the step that makes it.
        kind, base, name: what it is, what the specification calls it, and what it is called.
        arn: its ARN, once it was found or made.
        result: created, updated or unchanged; when looking: present, missing or drifted.
        differences: what was not as it should be.
        foreign: says whose it is, if it is not ours; when looking.
    """

    def __init__(self, ws: Workshop, step: int, kind: str, base: str, name: str) -> None:
        self.ws, self.step, self.kind, self.base, self.name = ws, step, kind, base, name
        self.arn = ""
        self.result = "present" if ws.looking else "unchanged"
        self.differences: list[Difference] = []
        self.foreign: ForeignResource | None = None
        self.found: Description = {}
        self._look: Callable[[], Description | None] = lambda: None

    def __getitem__(self, key: str) -> Any:
        """A value of AWS's description."""
        return self.found[key]

    def ensure(
        self,
        create: Callable[[], Any],
        find: Callable[[], Description | None] | None = None,
    ) -> Description:
        """Find the resource, and only if there is none create it.

        Args:
            create: makes it. Its answer is not used: what stands is read back.
            find: looks for it, where its kind cannot; returns a description with `Arn`.

        Returns:
            AWS's description of it.

        Raises:
            ForeignResource: there is one of this name, and it is not ours.
            Absent: when looking: there is none.
            LookupError: nobody says how to find one.
        """
        kind = self._kind
        look = self._look = find or (lambda: kind.find(self.ws, self.name))
        if find is None and self.kind not in KINDS:
            raise LookupError(f"A {self.kind} isn't found by its name alone: pass find.")
        found = look()
        if found is not None and kind.going(found):
            if not self.ws.looking:
                # Whoever it belonged to: its name is free afterwards.
                reason = f"the old {self.kind} {self.name} is being deleted"
                self.ws.waiter.until(lambda: look() is None, reason, 600)
            found = None
        if found is not None:
            owner = kind.owner(self.ws, found)
            self._refuse_unless_ours(owner, found)
            found = None if owner is Owner.GONE else found
        if found is None:
            if self.ws.looking:
                raise Absent
            found = self._create(create)
            self.result = "created"
        self.found, self.arn = found, found["Arn"]
        if not self.ws.looking:
            self.ws.state.record(self.step, self.kind, self.name, self.arn)
        self._converge_tags()
        return found

    def converge(
        self,
        should: dict[str, Any],
        update: Callable[[Parameters], Any],
        read: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        """Compare settings with what they should be, and put right those that differ.

        Policies and other JSON texts are compared by what they mean, not by how they are written.

        Args:
            should: `{setting: value}`; None stands for a setting that must not be there.
            update: called with those of `should` that differ.
            read: tells what the settings are; by default the description that `ensure` found.

        Raises:
            WorkshopError: what `update` raises.
        """
        found = self._differences(should, read)
        if not found:
            return
        if self.result != "created":
            self.differences += found
            self.result = "drifted" if self.ws.looking else "updated"
        if self.ws.looking:
            return
        waiter, tries = self.ws.waiter, 0
        began = waiter.clock()
        while found:
            try:
                update({difference.setting: difference.should for difference in found})
                return
            except (ClientError, BotoCoreError) as error:
                if not answer_was_lost(error):
                    raise
                waiter.pause(tries, began, f"no answer came to a change of {self.name}", LOST_WITHIN, str(error))
            # Some changes make something (a policy's version, a deployment): look before doing it again.
            tries += 1
            self.found = self._look() or self.found
            found = self._differences(should, read)

    def wait(self, ready: Callable[[], Any], reason: str, deadline: float) -> None:
        """Wait until AWS has finished with this resource. Looking waits for nothing.

        Args:
            ready: asked for a true value.
            reason: what is waited for, for the person who waits.
            deadline: seconds.

        Raises:
            GaveUp: it was not ready until the deadline.
        """
        if not self.ws.looking:
            self.ws.waiter.until(ready, reason, deadline)

    def discard(self, stale: Iterable[Description]) -> None:
        """Delete older ones of this kind, in whose place this one stands. Looking leaves them."""
        remove = self._kind.delete
        assert remove is not None, f"nothing says how to delete a {self.kind}"
        for one in stale:
            if not self.ws.looking:
                remove(self.ws, one)

    def note(self, text: str) -> None:
        """Tell the person who builds. Looking says nothing."""
        if not self.ws.looking:
            self.ws.console.note(text)

    def _differences(self, should: dict[str, Any], read: Callable[[], dict[str, Any]] | None) -> list[Difference]:
        actual = read() if read else self.found
        return [Difference(k, actual.get(k), v) for k, v in should.items() if not same(actual.get(k), v)]

    @property
    def _kind(self) -> Kind:
        """How it is found and owned; what lies within another resource belongs to whom that belongs."""
        return KINDS[self.kind] if self.kind not in PART_OF else KINDS.get(self.kind, Kind(lambda ws, name: iter(())))

    def _create(self, create: Callable[[], Any]) -> Description:
        """Create, and look for what was made until it is there and ours.

        Two answers are no reason to give up, and none to make a second one: no answer at all, and "there is one
        already". That one may have been made by a call of ours whose answer got lost, in this run or in one that
        was killed; reads may not show it yet. Or it may be on its way out, with its name still taken.
        """
        waiter, tries, made = self.ws.waiter, 0, False
        began = waiter.clock()
        while not made:
            try:
                create()
                made = True
            except (ClientError, BotoCoreError) as error:
                if is_there_already(error):
                    reason, deadline = f"{self.name} is there already and does not show up yet", VISIBLE_WITHIN
                elif answer_was_lost(error):
                    reason, deadline = f"no answer came to the making of {self.name}", LOST_WITHIN
                else:
                    raise
                waiter.pause(tries, began, reason, deadline, str(error))
                tries += 1
                found = self._look()
                if found is not None and not self._kind.going(found):
                    break
        # Reads may lag behind, those of its tags most of all.
        reason = f"{self.name} was just made and does not show up yet"
        try:
            visible: Description = waiter.until(self._look_for_ours, reason, VISIBLE_WITHIN)
        except GaveUp:
            if not made and (found := self._look()) is not None:
                self._refuse_unless_ours(self._kind.owner_now(self.ws, found), found)
            raise
        return visible

    def _look_for_ours(self) -> Description | None:
        """What was just made; None as long as it, or its tags, do not show up.

        Raises:
            ForeignResource: somebody else made one at the same moment.
        """
        found = self._look()
        if found is None or self._kind.going(found):
            return None
        owner = self._kind.owner_now(self.ws, found)
        if owner in (Owner.SOMEBODY, Owner.ELSEWHERE):
            self._refuse_unless_ours(owner, found)
        return found if owner is Owner.OURS else None

    def _refuse_unless_ours(self, owner: Owner, found: Description) -> None:
        if owner not in (Owner.OURS, Owner.GONE):
            raise refusal(self.ws, self.kind, self.name, found)

    def _converge_tags(self) -> None:
        read, write = self._kind.tags, self._kind.tag
        if read is None or write is None:
            return
        tags = self._kind.own_tags(self.ws)
        self.converge(
            {f"tag {key}": value for key, value in tags.items()},
            read=lambda: {f"tag {key}": value for key, value in read(self.ws, self.found).items()},
            update=lambda _: write(self.ws, self.found, tags),
        )
