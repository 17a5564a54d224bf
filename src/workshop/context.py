"""The context: what every step and command gets, and passes to nobody but the toolkit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workshop.aws import Clients, invoke_host
from workshop.console import Console
from workshop.embedded import Mailbox, invoke_url, is_embedded
from workshop.errors import NotBuilt
from workshop.kinds import KINDS, as_list
from workshop.owner import Description, gone_is_fine
from workshop.pace import log_reads
from workshop.policies import Statement, only_tls
from workshop.regions import refuse_other_region
from workshop.settings import REPOSITORY, Settings
from workshop.state import State
from workshop.waiting import Patience
from workshop.web import json_object

if TYPE_CHECKING:
    from workshop.resource import Resource
    from workshop.step import Step

#: How the ids of orders begin that checks place; each is taken out of the table again.
PROBE = "check-"
#: How many seconds of a log are read for an order that was placed just now. AWS's clock and ours may differ by so
#: much; beyond it, AWS takes no signature.
RECENT = 900


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
    #: When something new was first seen without tags.
    untagged_since: float | None = None

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

    @property
    def is_embedded(self) -> bool:
        """Whether this AWS is an embedded one, whichever target it is reached as."""
        return is_embedded(self.client("sts").meta.endpoint_url)

    @property
    def uses_tls(self) -> bool:
        """Whether this AWS is reached over TLS: always on AWS, and on an emulator as its endpoint's scheme says."""
        return bool(self.client("sts").meta.endpoint_url.startswith("https:"))

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
            self.console.note(f"{name} doesn't refuse plain HTTP, because this AWS is reached over plain HTTP itself.")
        return None

    def name(self, base: str) -> str:
        """The participant's name for what the specification calls `base`."""
        return self.settings.name(base)

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource, from its service (as ARNs spell it) and its name, which must be whole.

        IAM's ARNs have no region: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
        """
        region = "" if service == "iam" else self.region
        return f"arn:{self.partition}:{service}:{region}:{self.account}:{resource}"

    def policy_arn(self, base: str) -> str:
        """The ARN of one of our policies, from its name before the prefix; it lies in our path."""
        return self.arn("iam", f"policy{self.settings.path}{self.name(base)}")

    def apigateway_arn(self, api_id: str, path: str = "") -> str:
        """The ARN of a REST API, or of something in it; API Gateway's ARNs have no account."""
        return f"arn:{self.partition}:apigateway:{self.region}::/restapis/{api_id}{path}"

    def api_url(self) -> str:
        """Where orders are placed: `https://….execute-api.….amazonaws.com/dev/orders`.

        Raises:
            NotBuilt: there is no API, or it has no stage.
        """
        api = self._proven_api()
        stage = self.settings.environment
        stages = KINDS["stage"].everything(self, stage)
        if not any(one["restApiId"] == api["id"] for one in stages):
            raise NotBuilt(f"The API has no stage {stage}.", f"Run: workshop 08_api{self.settings.options}")
        if self.is_embedded:
            return f"{invoke_url(self.client('apigateway').meta.endpoint_url, api['id'], stage)}/orders"
        return f"https://{api['id']}.{invoke_host(self.region)}/{stage}/orders"

    def _proven_api(self) -> Description:
        """Our API, proven by more than a name and tags, which anybody can write on an API of their own.

        Ours sends orders with one of our roles. Who configures that needs iam:PassRole on the role.

        Raises:
            NotBuilt: there is none.
        """
        first = self.need("rest-api", "ecommerce-orders-api")
        roles = [d.base for step in self.steps for d in step.declarations if d.kind == "role"]
        ours = {self.arn("iam", f"role/{self.name(role)}") for role in roles}
        for api in self.find_all("rest-api", "ecommerce-orders-api"):
            pages = self.client("apigateway").get_resources(restApiId=api["id"], embed=["methods"], limit=500)
            methods = [one.get("resourceMethods", {}) for one in pages["items"] if one["path"] == "/orders"]
            if any(one.get("POST", {}).get("methodIntegration", {}).get("credentials") in ours for one in methods):
                return api
        raise NotBuilt(
            f"The API {first['id']} has our name and tags, but no POST /orders that sends with a role of ours:"
            " it is not finished, or somebody else's.",
            f"Look at it, then run: workshop 08_api{self.settings.options}",
        )

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

    def find_in_log(self, function: str, text: str, since: float = 0, whole: bool = True) -> list[dict[str, Any]]:
        """The JSON lines of a function's log that are about an order or a message, oldest first.

        Args:
            function: its name before the prefix.
            text: the id. CloudWatch finds it anywhere in a line, so it is looked for again here.
            since: seconds since 1970.
            whole: the text is a whole id, and not only how ids begin.
        """
        return [
            line for line in self.read_log(function, text, since=since)
            if any(one == text if whole else one.startswith(text) for one in _ids(line))
        ]  # fmt: skip

    def read_log(self, function: str, *texts: str, since: float = 0) -> list[dict[str, Any]]:
        """The JSON lines of a function's log that hold all of some texts, oldest first.

        Args:
            function: its name before the prefix.
            texts: what CloudWatch looks for.
            since: seconds since 1970.
        """
        lines = [json_object(event["message"]) for event in self.log_events(function, *texts, since=since)]
        return sorted((line for line in lines if line), key=lambda line: _number(line.get("time")))

    def log_events(self, function: str, *texts: str, since: float = 0) -> Iterator[dict[str, Any]]:
        """What a function has logged, as CloudWatch Logs returns it: events with `message` and `timestamp`.

        All readers of this process share one pace. AWS takes as long as there is log to search, so say how far back.

        Args:
            function: its name before the prefix.
            texts: only lines that hold all of these.
            since: seconds since 1970.
        """
        pattern = {"filterPattern": " ".join(f'"{text}"' for text in texts)} if texts else {}
        pages = self.client("logs").get_paginator("filter_log_events").paginate(
            logGroupName=self.name(f"/aws/lambda/{function}"), startTime=max(0, int(since * 1000)), **pattern
        )  # fmt: skip
        pace = log_reads(self.account, self.region)
        # A function that never ran may have no log group.
        with gone_is_fine():
            pace.wait()
            for page in pages:
                yield from page["events"]
                if page.get("nextToken"):
                    pace.wait()

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
        return [one for one in self.find_anybodys(kind, base) if KINDS[kind].is_ours(self, one)]

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
            ForeignResource: it is there, and belongs to another region.
        """
        found = self._needed.get((kind, base)) or self.find(kind, base)
        if found is not None:
            self._needed[kind, base] = found
            return found
        if self.looking:
            raise Absent
        for one in KINDS[kind].everything(self, self.name(base)):
            refuse_other_region(self, kind, KINDS[kind], one)
        maker = next(step for step in self.steps if step.makes(kind, base))
        raise NotBuilt(
            f"The {kind} {self.name(base)} is missing, which step {maker.number} makes.",
            f"Run: workshop {maker.command}{self.settings.options}",
        )

    def forget_needed(self) -> None:
        """Ask AWS again for what steps need, since something may have changed."""
        self._needed.clear()


def _ids(line: dict[str, Any]) -> list[str]:
    """The orders and messages that a function's log line is about."""
    several = line.get("orderIds")
    named = [line.get("orderId"), line.get("messageId"), *(several if isinstance(several, list) else [])]
    return [one for one in named if isinstance(one, str)]


def _number(value: Any) -> float:
    """A time of a log line; 0 where somebody's own function wrote something else."""
    return value if isinstance(value, int | float) else 0
