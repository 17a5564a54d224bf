"""The context: what every step and command gets, and passes to nobody but the toolkit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from workshop.aws.owner import Description
from workshop.aws.place import Place
from workshop.aws.policies import Statement, only_tls
from workshop.base.console import Console
from workshop.base.errors import NotBuilt
from workshop.base.files import ROOT
from workshop.base.state import State
from workshop.embedded import Mailbox
from workshop.kinds import KINDS
from workshop.kinds.foreign import refuse_foreign


class Absent(Exception):
    """What is looked at is not there. Only looking raises it; `Step.examine` catches it."""


@dataclass(frozen=True)
class Part:
    """One resource of those that the steps make.

    Attributes:
        kind: a key of `KINDS` or `PART_OF`.
        base: its name before the prefix.
        step: the number of the step that makes it.
        command: the name of that step's command.
    """

    kind: str
    base: str
    step: int
    command: str


@dataclass(kw_only=True)
class Workshop(Place):
    """The context: what every step and command gets, and passes to nobody but the toolkit.

    Attributes:
        state: the record of what was made.
        console: where to speak.
        parts: what all steps together make, in their order.
        mailbox: the e-mails of an embedded AWS; None on AWS, where they go to people.
        looking: True while nothing may be changed.
        shared: what the checks of one verification share.
    """

    state: State
    console: Console
    parts: Sequence[Part] = ()
    mailbox: Mailbox | None = None
    looking: bool = False
    shared: dict[str, Any] = field(default_factory=dict)
    #: What `need` found during the current step: API Gateway takes few calls a second.
    _needed: dict[tuple[str, str], Description] = field(default_factory=dict)

    def bases(self, kind: str) -> list[str]:
        """The names, before the prefix, of all that the steps make of a kind."""
        return list(dict.fromkeys(part.base for part in self.parts if part.kind == kind))

    def only_tls(self, action: str, resource: str) -> Statement | None:
        """The statement that refuses plain HTTP; None where AWS itself is reached over plain HTTP.

        There it would lock everybody out, and its own makers with them.

        Args:
            action: such as `sqs:*`.
            resource: the ARN of what the policy belongs to.
        """
        if self.uses_tls:
            return only_tls(action, resource)
        if not self.looking:
            name = resource.rpartition(":")[2]
            self.console.note(f"{name} accepts plain HTTP, because the endpoint of this AWS uses plain HTTP.")
        return None

    def source(self, path: str) -> str:
        """The text of a file of this repository, such as `src/api/order.schema.json`."""
        return (ROOT / path).read_text(encoding="utf-8")

    def find(self, kind: str, base: str) -> Description | None:
        """Look up one of our resources in AWS.

        Args:
            kind: a key of `KINDS`.
            base: the name before the prefix.

        Returns:
            The service's description with `Arn`; None if there is none, or if it is somebody else's.
        """
        found = KINDS[kind].find(self, self.name(base))
        return found if found is not None and KINDS[kind].is_ours(self, found) else None

    def find_all(self, kind: str, base: str) -> list[Description]:
        """Look up all of our resources of one name, where AWS lets names repeat."""
        return KINDS[kind].ours(self, self.name(base))

    def find_anybodys(self, kind: str, base: str) -> list[Description]:
        """Look up all resources of one name, whoever they belong to."""
        return KINDS[kind].everything(self, self.name(base))

    def need(self, kind: str, base: str) -> Description:
        """Get what an earlier step made.

        Args:
            kind: a key of `KINDS`.
            base: the name before the prefix.

        Raises:
            NotBuilt: it is not there; the message names the step that makes it.
            ForeignResource: there is one of this name, and it is somebody else's or another region's.
        """
        found = self._needed.get((kind, base)) or self.find(kind, base)
        if found is not None:
            self._needed[kind, base] = found
            return found
        if self.looking:
            raise Absent
        for one in KINDS[kind].everything(self, self.name(base)):
            refuse_foreign(self, kind, self.name(base), one)
        maker = next(part for part in self.parts if (part.kind, part.base) == (kind, base))
        raise NotBuilt(
            f"The {kind} {self.name(base)} is missing, which step {maker.step} makes.",
            f"Run: workshop {maker.command}{self.settings.options}",
        )

    def forget_needed(self) -> None:
        """Ask AWS again for what steps need, since something may have changed."""
        self._needed.clear()
