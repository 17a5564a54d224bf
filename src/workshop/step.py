"""The hall that everything passes: a step, with its resources and the checks that tell whether they are right.

A step declares its resources, each as a function that reads like the paragraph of a lesson: make sure that it
is there, then put right what differs.
"""

import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from workshop.checking import Check, Finding, run_check
from workshop.context import Absent, Workshop
from workshop.errors import ForeignResource, WorkshopError
from workshop.kinds import KINDS, PART_OF
from workshop.owner import gone_is_fine, is_gone
from workshop.regions import refuse_other_region
from workshop.resource import Difference, Resource
from workshop.waiting import is_denied

#: What a lesson imports.
__all__ = ["Difference", "Resource", "Step", "Workshop"]


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
        number: 1 to 8.
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
            raise LookupError(f"Step {self.command} declares a {kind}: add that kind to KINDS or to PART_OF.")

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

    def makes(self, kind: str, base: str) -> bool:
        """Whether this step makes a resource."""
        return any((d.kind, d.base) == (kind, base) for d in self.declarations)

    def run(self, ws: Workshop) -> list[Resource]:
        """Make all resources of this step right, in their order.

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
        try:
            for declaration in self.declarations:
                with ws.console.working(f"{declaration.kind} {declaration.named(ws)}"):
                    resource = self._build(ws, declaration)
                resources.append(resource)
                ws.finished(resource)
        finally:
            # Also when a resource failed: what was made before it stands.
            ws.console.table(
                f"Step {self.number}: {self.title}",
                ("Result", "Kind", "Name", "ARN"),
                [(r.result, r.kind, r.name, r.arn) for r in resources],
            )
            for resource in resources:
                for difference in resource.differences:
                    ws.console.say(f"  put right: {resource.kind} {resource.name}: {difference}")
        return resources

    def _refuse_other_regions(self, ws: Workshop) -> None:
        """Begin only if no role or policy serves another region: nothing shall be half built beside it."""
        for declaration in self.declarations:
            kind = KINDS.get(declaration.kind)
            if kind is not None and kind.region is not None:
                for found in kind.everything(ws, declaration.named(ws)):
                    refuse_other_region(ws, declaration.kind, kind, found)

    def _need_earlier_steps(self, ws: Workshop) -> None:
        """Begin only if the steps before have come to their end: nothing shall be left half built."""
        for number in self.needs:
            last = next(step for step in ws.steps if step.number == number).declarations[-1]
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
        resource = Resource(ws, self.number, declaration.kind, declaration.named(ws))
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
        resource = Resource(ws, self.number, declaration.kind, declaration.named(ws))
        resource.result = "missing"
        return resource

    def _examine_once(self, ws: Workshop, declaration: Declaration) -> Resource:
        resource = Resource(ws, self.number, declaration.kind, declaration.named(ws))
        try:
            declaration.build(ws, resource)
        except Absent:
            found = KINDS[declaration.kind].find(ws, resource.name) if declaration.kind in KINDS else None
            if found is None:
                resource.result = "missing"
            else:
                resource.result, resource.arn = "drifted", found["Arn"]
                resource.differences.append(Difference("something that it needs", "missing", "there"))
        except ForeignResource as foreign:
            resource.result, resource.foreign = "missing", foreign
            resource.differences.append(Difference("the resource of this name", foreign.whose, "ours"))
        return resource

    def main(self) -> None:
        """Run this step's file as its command: the same options, messages and exit codes."""
        sys.argv[:1] = ["workshop", self.command]
        runpy.run_module("workshop", run_name="__main__")
