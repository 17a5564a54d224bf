"""A step, with its resources and the checks that tell whether they are right. Everything that is built passes here.

A step declares its resources, each as a function that reads like the paragraph of a lesson: make sure that it
is there, then put right what differs.
"""

import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from botocore.exceptions import ClientError

from workshop.aws.owner import gone_is_fine, is_gone
from workshop.aws.waiter import is_denied
from workshop.base.errors import ForeignResource, UsageError, WorkshopError
from workshop.build.checks import Check, Finding, run_check
from workshop.build.context import Absent, Part, Workshop
from workshop.build.resource import Difference, Resource
from workshop.kinds import KINDS, PART_OF
from workshop.kinds.foreign import refuse_other_region

#: What a lesson imports.
__all__ = ["Difference", "Resource", "Step", "Workshop"]
#: How a step is called where its name is spelled otherwise than its command.
LABELS = {"dynamodb": "DynamoDB"}
#: The difference of a resource that cannot be compared, since another one that it needs is missing.
INCOMPLETE = "something that it needs"


@dataclass(frozen=True)
class Declaration:
    """A resource as a step declares it: its kind, the name before the prefix, and how it is made right."""

    kind: str
    base: str
    build: Callable[[Workshop, Resource], Any]
    named: Callable[[Workshop], str]


@dataclass
class Step:
    """One step of the workshop.

    Attributes:
        number: its place in the order, from 1.
        name: what its command is called after the number, such as `sqs`.
        title: what it does, for a person.
        needs: the numbers of the steps that must have run.
    """

    number: int
    name: str
    title: str
    needs: tuple[int, ...] = ()
    declarations: list[Declaration] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Its number and what it is about, such as `3 SQS`."""
        words = self.name.replace("_", " ")
        return f"{self.number} {LABELS.get(words) or (words.upper() if len(words) == 3 else words.capitalize())}"

    @property
    def command(self) -> str:
        """The name of its command and of its file, such as `03_sqs`."""
        return f"{self.number:02d}_{self.name}"

    def resource(
        self, kind: str, base: str, named: Callable[[Workshop], str] | None = None
    ) -> Callable[[Callable[[Workshop, Resource], Any]], Callable[[Workshop, Resource], Any]]:
        """Declare a resource; the decorated function makes it right.

        Args:
            kind: its kind, as `status` shows it.
            base: its name before the prefix.
            named: gives its name where that is not the base with the prefix before it.

        Raises:
            LookupError: nobody knows this kind, so what is made of it could be neither found nor deleted.
        """
        if kind not in KINDS and kind not in PART_OF:
            raise LookupError(f"Step {self.command} declares the kind {kind!r}: add it to KINDS or to PART_OF.")

        def declare(build: Callable[[Workshop, Resource], Any]) -> Callable[[Workshop, Resource], Any]:
            self.declarations.append(Declaration(kind, base, build, named or (lambda ws: ws.name(base))))
            return build

        return declare

    def check(
        self, name: str, sends: bool = False
    ) -> Callable[[Callable[[Workshop], Finding]], Callable[[Workshop], Finding]]:
        """Declare a check; the decorated function says what it found, and if no step cures it, what does.

        Args:
            name: what holds if it passes, as a sentence.
            sends: it places orders or messages.
        """

        def declare(run: Callable[[Workshop], Finding]) -> Callable[[Workshop], Finding]:
            self.checks.append(Check(name, run, sends))
            return run

        return declare

    @property
    def parts(self) -> list[Part]:
        """What this step makes, in its order."""
        return [Part(one.kind, one.base, self.number, self.command) for one in self.declarations]

    def makes(self, kind: str, base: str) -> bool:
        """Whether this step makes a resource."""
        return any((d.kind, d.base) == (kind, base) for d in self.declarations)

    def run(self, ws: Workshop, finished: Callable[[Resource], None] | None = None) -> list[Resource]:
        """Make all resources of this step right, in their order.

        Args:
            ws: the context.
            finished: called with each resource as soon as it is right.

        Returns:
            The resources, with what was done to each.

        Raises:
            WorkshopError: something stands in the way.
            ClientError: AWS refuses, for good.
        """
        ws.forget_needed()
        self._refuse_other_regions(ws)
        self._need_earlier_steps(ws)
        resources: list[Resource] = []
        for declaration in self.declarations:
            with ws.console.working(f"{declaration.kind} {declaration.named(ws)}"):
                resource = self._build(ws, declaration)
            resources.append(resource)
            if finished is not None:
                finished(resource)
        return resources

    def _refuse_other_regions(self, ws: Workshop) -> None:
        """Begin only if no role or policy serves another region: nothing shall be half built beside it."""
        for declaration in self.declarations:
            kind = KINDS.get(declaration.kind)
            if kind is not None and kind.region is not None:
                for found in kind.everything(ws, declaration.named(ws)):
                    refuse_other_region(ws, declaration.kind, declaration.named(ws), found)

    def _need_earlier_steps(self, ws: Workshop) -> None:
        """Begin only if the steps before have come to their end: nothing shall be left half built."""
        for number in self.needs:
            last = [part for part in ws.parts if part.step == number][-1]
            ws.need(last.kind, last.base)

    def _build(self, ws: Workshop, declaration: Declaration) -> Resource:
        """Make one resource right. What vanishes meanwhile is made again, once."""
        try:
            return self._build_once(ws, declaration)
        except ClientError as error:
            if not is_gone(error):
                raise
        ws.forget_needed()
        return self._build_once(ws, declaration)

    def _build_once(self, ws: Workshop, declaration: Declaration) -> Resource:
        """Make one resource right. Who may not change it can go on if somebody else made it right before."""
        resource = Resource(ws, self.number, declaration.kind, declaration.base, declaration.named(ws))
        try:
            declaration.build(ws, resource)
        except ClientError as error:
            if not is_denied(error):
                raise
            denied = f"You may not change the {resource.kind} {resource.name} ({error.operation_name} is denied)"
            verdicts = [run_check(ws, self.number, self.command, check) for check in self.checks if not check.sends]
            wrong = next((verdict for verdict in verdicts if not verdict.passed), None)
            if wrong is not None:
                remedy = f"Ask for this right, or ask who has it to run: workshop {self.command}{ws.settings.options}"
                if resource.kind == "role" and ws.settings.boundary is None:
                    remedy = f"If you were given the ARN of a boundary, add --boundary ARN. {remedy}"
                raise WorkshopError(
                    f"{denied}, and it does not do as somebody else left it: {wrong.name} ({wrong.detail}).", remedy
                ) from None
            resource.result = "unchanged"
            ws.console.note(
                f"{denied}; somebody else made what this step needs, and all {len(verdicts)} checks of it pass."
            )
        return resource

    def examine(self, ws: Workshop) -> list[Resource]:
        """Look at all resources of this step and change nothing.

        Returns:
            The resources: present, missing or drifted.
        """
        ws.forget_needed()
        before = ws.looking, ws.client.read_only
        ws.looking = ws.client.read_only = True
        try:
            return [self._examine(ws, declaration) for declaration in self.declarations]
        finally:
            ws.looking, ws.client.read_only = before
            ws.forget_needed()

    def _examine(self, ws: Workshop, declaration: Declaration) -> Resource:
        """Look at one resource. If something vanishes meanwhile, look again at what is left."""
        for _ in range(2):
            with gone_is_fine():
                return self._examine_once(ws, declaration)
            ws.forget_needed()
        resource = Resource(ws, self.number, declaration.kind, declaration.base, declaration.named(ws))
        resource.result = "missing"
        return resource

    def _examine_once(self, ws: Workshop, declaration: Declaration) -> Resource:
        resource = Resource(ws, self.number, declaration.kind, declaration.base, declaration.named(ws))
        try:
            declaration.build(ws, resource)
        except Absent:
            found = KINDS[declaration.kind].find(ws, resource.name) if declaration.kind in KINDS else None
            if found is None:
                resource.result = "missing"
            else:
                resource.result, resource.arn = "drifted", found["Arn"]
                resource.differences.append(Difference(INCOMPLETE, "missing", "there"))
        except ForeignResource as foreign:
            resource.result, resource.foreign = "missing", foreign
            resource.differences.append(Difference("the resource of this name", foreign.whose, "ours"))
        return resource

    def main(self) -> None:
        """Run this step's file as its command: the same options, messages and exit codes."""
        sys.argv[:1] = ["workshop", self.command]
        runpy.run_module("workshop", run_name="__main__")


def find_step(steps: list[Step], name: str) -> Step:
    """The step that a person means by its number, its name, both, or how the name begins if that fits one only.

    Raises:
        UsageError: there is no such step, or several begin so.
    """
    for step in steps:
        if name in (str(step.number), f"{step.number:02d}", step.name, step.command):
            return step
    found = [step for step in steps if name and step.name.startswith(name.lower())]
    if len(found) == 1:
        return found[0]
    words = {word: step.command for step in steps for word in (step.name, step.command)}
    close = [step.command for step in found] or [words[w] for w in get_close_matches(name.lower(), words, 1)]
    remedy = f"Did you mean {' or '.join(close)}?" if close else f"There are {', '.join(s.command for s in steps)}."
    raise UsageError(f"There is no step {name!r}.", remedy)
