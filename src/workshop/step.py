"""The hall that everything passes: the workshop's context, a step, and a resource on its way to being right.

A step declares its resources, each as a function that reads like the paragraph of a lesson: make sure that it
is there, then put right what differs. The same functions serve twice. When a step *runs*, they create and
update. When `status` *looks*, `ensure` and `converge` only note what they would have done; a guard on every
client refuses changes meanwhile. So what the workshop builds and what it reports as drift cannot part ways.
"""

import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from workshop.aws import Clients
from workshop.checking import Check, Finding, run_check
from workshop.console import Console
from workshop.embedded import Mailbox, invoke_url, is_embedded
from workshop.errors import ForeignResource, NotBuilt, WorkshopError
from workshop.kinds import KINDS, Description, Kind, as_list
from workshop.meaning import brief_pair, same
from workshop.settings import REPOSITORY, Settings
from workshop.state import State
from workshop.waiting import Patience, answer_was_lost, is_denied
from workshop.web import json_object

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
#: How the ids of orders begin that checks place; each is taken out of the table again.
PROBE = "check-"
#: Seconds within which something just made shows up when it is looked for.
VISIBLE_WITHIN = 60.0


class Absent(Exception):
    """What is looked at is not there. Only looking raises it; `Step.examine` catches it."""


@dataclass
class Workshop:
    """The context: what every step and command gets, and passes to nobody but the toolkit.

    Attributes:
        settings: what the user asked for.
        account: the AWS account id, 12 digits.
        partition: `aws`, `aws-cn` or `aws-us-gov`.
        identity: the ARN of who is calling.
        client: gives the boto3 client of a service: `ws.client("sqs")`.
        state: the record of what was made.
        console: where to speak.
        patience: waits, with the clock and the sleep of this context.
        steps: all steps, in order.
        mailbox: the e-mails of an embedded AWS; None on AWS, where they go to people.
        looking: True while nothing may be changed.
        finished: told of every resource that a step has made right.
        scratch: what the checks of one verification share.
    """

    settings: Settings
    account: str
    partition: str
    identity: str
    client: Clients
    state: State
    console: Console
    patience: Patience
    steps: list["Step"] = field(default_factory=list)
    mailbox: Mailbox | None = None
    looking: bool = False
    finished: Callable[["Resource"], None] = lambda resource: None
    scratch: dict[str, Any] = field(default_factory=dict)
    #: What `need` found during the current step: API Gateway takes few calls a second.
    _needed: dict[tuple[str, str], Description] = field(default_factory=dict)

    @property
    def tags(self) -> dict[str, str]:
        """Our tags, as `{name: value}`."""
        return self.settings.tags

    @property
    def tag_list(self) -> list[dict[str, str]]:
        """Our tags, as the list of `Key` and `Value` that the older services take."""
        return as_list(self.tags)

    @property
    def region(self) -> str:
        """The region's name."""
        return self.settings.region

    def name(self, base: str) -> str:
        """The participant's name for what the specification calls `base`."""
        return self.settings.name(base)

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource, from its service (as ARNs spell it) and its name, which must be whole.

        IAM's ARNs have no region: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
        """
        region = "" if service == "iam" else self.region
        return f"arn:{self.partition}:{service}:{region}:{self.account}:{resource}"

    def apigateway_arn(self, api_id: str, path: str = "") -> str:
        """The ARN of a REST API, or of something in it; API Gateway's ARNs have no account."""
        return f"arn:{self.partition}:apigateway:{self.region}::/restapis/{api_id}{path}"

    def api_url(self) -> str:
        """Where orders are placed: `https://….execute-api.….amazonaws.com/dev/orders`.

        Raises:
            NotBuilt: there is no API, or it has no stage.
        """
        api = self.need("rest-api", "ecommerce-orders-api")
        stage = self.settings.environment
        if KINDS["stage"].find(self, stage) is None:
            raise NotBuilt(f"The API has no stage {stage}.", f"Run: workshop 08_api{self.settings.options}")
        endpoint = self.client("apigateway").meta.endpoint_url
        if is_embedded(endpoint):
            return f"{invoke_url(endpoint, api['id'], stage)}/orders"
        host = urlsplit(endpoint).hostname.replace("apigateway", f"{api['id']}.execute-api", 1)
        return f"https://{host}/{stage}/orders"

    def listen_to_mail(self) -> None:
        """Let the embedded AWS collect the topic's e-mails, also if something else than the steps made it."""
        topic = self.find("topic", "ecommerce-orders-topic")
        if self.mailbox and topic:
            self.mailbox.listen(topic["Arn"])

    def find_order(self, order_id: str) -> dict[str, Any] | None:
        """An order's item, as plain values; None if it is not in the table."""
        item = self.client("dynamodb").get_item(
            TableName=self.name("ecommerce-orders"), Key={"orderId": {"S": order_id}}, ConsistentRead=True
        ).get("Item")  # fmt: skip
        return item and {field: int(v["N"]) if "N" in v else next(iter(v.values())) for field, v in item.items()}

    def find_in_log(self, function: str, text: str, since: float = 0) -> list[dict[str, Any]]:
        """The JSON lines of a function's log that contain a text, oldest first.

        Args:
            function: its name before the prefix.
            text: taken as one term, so it may hold anything but quotes.
            since: seconds since 1970.
        """
        if KINDS["log-group"].find(self, self.name(f"/aws/lambda/{function}")) is None:
            return []
        pages = (
            self.client("logs")
            .get_paginator("filter_log_events")
            .paginate(
                logGroupName=self.name(f"/aws/lambda/{function}"),
                filterPattern=f'"{text}"',
                startTime=int(since * 1000),
            )
        )
        lines = [json_object(event["message"]) for page in pages for event in page["events"]]
        return sorted((line for line in lines if line), key=lambda line: line.get("time", 0))

    def source(self, path: str) -> str:
        """The text of a file of this repository, such as `src/api/order.schema.json`."""
        return (REPOSITORY / path).read_text(encoding="utf-8")

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
        return [one for one in KINDS[kind].everything(self, self.name(base)) if KINDS[kind].is_ours(self, one)]

    def need(self, kind: str, base: str) -> Description:
        """Get what an earlier step made.

        Args:
            kind: a key of `KINDS`.
            base: the name before the prefix.

        Raises:
            NotBuilt: it is not there; the message names the step that makes it.
        """
        found = self._needed.get((kind, base)) or self.find(kind, base)
        if found is not None:
            self._needed[kind, base] = found
            return found
        if self.looking:
            raise Absent
        maker = next(step for step in self.steps if step.makes(kind, base))
        raise NotBuilt(
            f"The {kind} {self.name(base)} is missing, which step {maker.number} makes.",
            f"Run: workshop {maker.command}{self.settings.options}",
        )

    def forget_needed(self) -> None:
        """Ask AWS again for what steps need, since something may have changed."""
        self._needed.clear()


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
        kind, name: what it is and what it is called.
        arn: its ARN, once it was found or made.
        result: created, updated or unchanged; when looking: present, missing or drifted.
        differences: what was not as it should be.
    """

    def __init__(self, ws: Workshop, step: "Step", kind: str, name: str) -> None:
        self.ws, self.step, self.kind, self.name = ws, step, kind, name
        self.arn = ""
        self.result = "present" if ws.looking else "unchanged"
        self.differences: list[Difference] = []
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
        """
        kind = KINDS.get(self.kind, Kind(lambda ws, name: iter(())))
        look = self._look = find or (lambda: kind.find(self.ws, self.name))
        found = look()
        if found is not None:
            self._check_owner(kind, found)
            if kind.going(found):
                if not self.ws.looking:
                    reason = f"the old {self.kind} {self.name} is being deleted"
                    self.ws.patience.until(lambda: look() is None, reason, 600)
                found = None
        if found is None:
            if self.ws.looking:
                raise Absent
            found = self._create(create, look)
            self._check_owner(kind, found)
            self.result = "created"
        self.found, self.arn = found, found["Arn"]
        if not self.ws.looking:
            self.ws.state.record(self.step.number, self.kind, self.name, self.arn)
        self._converge_tags(kind)
        return found

    def converge(
        self,
        should: dict[str, Any],
        update: Callable[[dict[str, Any]], Any],
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
        for last_try in () if self.ws.looking else (False, False, True):
            try:
                update({difference.setting: difference.should for difference in found})
                return
            except (ClientError, BotoCoreError) as error:
                if last_try or not answer_was_lost(error):
                    raise
            # Some changes make something (a policy's version, a deployment): look before doing it again.
            self._wait_for_lost_answer()
            self.found = self._look() or self.found
            found = self._differences(should, read)
            if not found:
                return

    def _differences(self, should: dict[str, Any], read: Callable[[], dict[str, Any]] | None) -> list[Difference]:
        actual = read() if read else self.found
        return [Difference(k, actual.get(k), v) for k, v in should.items() if not same(actual.get(k), v)]

    def _wait_for_lost_answer(self) -> None:
        self.ws.console.note(f"waiting: no answer came to a change of {self.name}; looking what became of it")
        self.ws.patience.sleep(1.0)

    def _create(self, create: Callable[[], Any], look: Callable[[], Description | None]) -> Description:
        """Create, and look for what was made. An answer that got lost is no reason to create a second one."""
        for last_try in (False, False, True):
            try:
                create()
            except (ClientError, BotoCoreError) as error:
                exists = isinstance(error, ClientError) and error.response["Error"]["Code"] in ALREADY_THERE
                if not exists and (last_try or not answer_was_lost(error)):
                    raise
                if not exists:
                    self._wait_for_lost_answer()
                found = look()
                if found is not None:
                    return found
                if exists:
                    raise
            else:
                reason = f"{self.name} was just made and does not show up yet"
                visible: Description = self.ws.patience.until(look, reason, VISIBLE_WITHIN)
                return visible
        raise AssertionError("the last try returns or raises")

    def _check_owner(self, kind: Kind, found: Description) -> None:
        if not kind.is_ours(self.ws, found):
            raise ForeignResource(
                f"There is a {self.kind} {self.name} without our tags Project={self.ws.tags['Project']} and"
                f" Participant={self.ws.tags['Participant']}: it is somebody else's and was left as it is.",
                "Choose another --prefix.",
            )

    def _converge_tags(self, kind: Kind) -> None:
        read, write = kind.tags, kind.tag
        if read is None or write is None:
            return
        self.converge(
            {f"tag {key}": value for key, value in self.ws.tags.items()},
            read=lambda: {f"tag {key}": value for key, value in read(self.ws, self.found).items()},
            update=lambda _: write(self.ws, self.found, self.ws.tags),
        )


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
        """

        def declare(build: Callable[[Workshop, Resource], Any]) -> Callable[[Workshop, Resource], Any]:
            self.declarations.append(Declaration(kind, base, build, named or (lambda ws: ws.name(base))))
            return build

        return declare

    def check(
        self, name: str, remedy: str | None = None, sends: bool = False
    ) -> Callable[[Callable[[Workshop], Finding]], Callable[[Workshop], Finding]]:
        """Declare a check; the decorated function says what it found.

        Args:
            name: what holds if it passes, as a sentence.
            remedy: what to type if it does not; by default the step's own command, which puts things right.
            sends: it places orders or messages.
        """

        def declare(run: Callable[[Workshop], Finding]) -> Callable[[Workshop], Finding]:
            self.checks.append(Check(name, run, remedy, sends))
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
        resources: list[Resource] = []
        try:
            for declaration in self.declarations:
                resource = Resource(ws, self, declaration.kind, declaration.named(ws))
                with ws.console.working(f"{resource.kind} {resource.name}"):
                    self._build(ws, declaration, resource)
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

    def _build(self, ws: Workshop, declaration: Declaration, resource: Resource) -> None:
        """Make one resource right. Who may not change it can go on if somebody else made it right before."""
        try:
            declaration.build(ws, resource)
        except ClientError as error:
            if not is_denied(error):
                raise
            denied = f"You may not change the {resource.kind} {resource.name} ({error.operation_name} is denied)"
            verdicts = [run_check(ws, self.number, self.command, check) for check in self.checks if not check.sends]
            wrong = next((verdict for verdict in verdicts if not verdict.passed), None)
            if wrong is not None:
                raise WorkshopError(
                    f"{denied}, and it does not do as somebody else left it: {wrong.name} ({wrong.detail}).",
                    f"Ask for this right, or ask who has it to run: workshop {self.command}{ws.settings.options}",
                ) from None
            resource.result = "unchanged"
            ws.console.note(
                f"{denied}; somebody else made what this step needs, and all {len(verdicts)} checks of it pass."
            )

    def examine(self, ws: Workshop) -> list[Resource]:
        """Look at all resources of this step and change nothing.

        Returns:
            The resources: present, missing or drifted.
        """
        ws.forget_needed()
        ws.looking = ws.client.read_only = True
        try:
            return [self._examine(ws, declaration) for declaration in self.declarations]
        finally:
            ws.looking = ws.client.read_only = False

    def _examine(self, ws: Workshop, declaration: Declaration) -> Resource:
        resource = Resource(ws, self, declaration.kind, declaration.named(ws))
        try:
            declaration.build(ws, resource)
        except Absent:
            found = KINDS[declaration.kind].find(ws, resource.name) if declaration.kind in KINDS else None
            if found is None:
                resource.result = "missing"
            else:
                resource.result, resource.arn = "drifted", found["Arn"]
                resource.differences.append(Difference("something that it needs", "missing", "there"))
        except ForeignResource:
            resource.result = "missing"
            resource.differences.append(Difference("the resource of this name", "somebody else's", "ours"))
        return resource

    def main(self) -> None:
        """Run this step's file as its command: the same options, messages and exit codes."""
        sys.argv[:1] = ["workshop", self.command]
        runpy.run_module("workshop", run_name="__main__")
