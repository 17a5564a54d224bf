"""Sessions and clients for a target. Every call of the workshop goes through a client made here.

Three things listen to each call, through botocore's events: the waiter for what passes by itself, the guard
that keeps commands which only look from changing anything, and whoever wants to hear of the calls.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ProfileNotFound

from workshop.aws.waiter import Waiter
from workshop.base.errors import UsageError
from workshop.base.partitions import domain_of
from workshop.base.services import ClientsByService
from workshop.base.settings import DEFAULT_REGION, Settings

#: Operations that leave everything as it is. `Simulate…` asks IAM what it would say.
READS = re.compile(r"(Get|List|Describe|Simulate|Filter|Scan|Query|BatchGet).*")
#: One attempt: `workshop.aws.waiter` decides what is tried again, and for how long.
CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 1},
    user_agent_extra="orders-workshop",
    max_pool_connections=50,
)


@dataclass(frozen=True)
class Call:
    """One call of an AWS operation.

    Attributes:
        service: boto3's name of the service, such as `sqs`.
        operation: its name in AWS's model, such as `CreateQueue`.
        parameters: what boto3 was given.
        answer: the parsed answer.
    """

    service: str
    operation: str
    parameters: dict[str, Any]
    answer: dict[str, Any]

    @property
    def is_read(self) -> bool:
        """Whether the call leaves everything as it is."""
        return READS.fullmatch(self.operation) is not None


class Clients(ClientsByService):
    """boto3 clients of one session, each made once.

    Attributes:
        unsigned: clients without credentials, for the checks that anybody is refused. They wait for nothing.

    Args:
        session: where credentials and region come from.
        waiter: waits out what passes.
        endpoint: the URL of an embedded AWS; None for boto3's own choice.
        ca_bundle: a file with the only authorities whose certificates count; None for the system's.
    """

    def __init__(
        self, session: boto3.Session, waiter: Waiter, endpoint: str | None = None, ca_bundle: str | None = None
    ) -> None:
        super().__init__(self._listened_to)
        self.waiter, self.endpoint, self.ca_bundle = waiter, endpoint, ca_bundle
        self.listeners: list[Callable[[Call], None]] = []
        self.read_only = False
        # boto3's types know the services by literal names.
        self._client: Callable[..., Any] = session.client
        self.unsigned = ClientsByService(self._unsigned)

    def _listened_to(self, service: str) -> Any:
        client = self._client(service, endpoint_url=self.endpoint, config=CONFIG)
        self.waiter.register(client)
        client.meta.events.register("provide-client-params", self._remember)
        client.meta.events.register("before-call", self._guard)
        client.meta.events.register("after-call", self._report)
        return client

    def _unsigned(self, service: str) -> Any:
        config = CONFIG.merge(Config(signature_version=UNSIGNED))
        return self._client(service, endpoint_url=self.endpoint, config=config)

    def _remember(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["workshop_parameters"] = params

    def _guard(self, model: Any, **_: Any) -> None:
        """Refuse a change by a command that promised to only look. This is a fault of ours, never of the user."""
        if self.read_only and not READS.fullmatch(model.name):
            raise AssertionError(f"{model.name} would change something, and this command only looks")

    def _report(self, http_response: Any, parsed: dict[str, Any], model: Any, context: dict[str, Any],
                **_: Any) -> None:  # fmt: skip
        if http_response.status_code >= 300:
            return
        parameters = context.get("workshop_parameters", {})
        for listener in self.listeners:
            listener(Call(model.service_model.service_name, model.name, parameters, parsed))


def invoke_host(region: str) -> str:
    """The host under which API Gateway serves the APIs of a region, each as a name before it.

    It is one and the same, whichever endpoints boto3 calls AWS by (FIPS, dual stack, a network's own):
    https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-call-api.html
    """
    return f"execute-api.{region}.{domain_of(region)}"


def session_for(settings: Settings) -> boto3.Session:
    """The session for real AWS: plain boto3, so that every standard variable and file works.

    Raises:
        UsageError: there is no profile of that name.
    """
    return _session(settings.profile, settings.region)


def configured_region(profile: str | None) -> str:
    """The region of AWS_DEFAULT_REGION or of the profile, for who named none; else us-east-1.

    Raises:
        UsageError: there is no profile of that name.
    """
    return _session(profile).region_name or DEFAULT_REGION


def _session(profile: str | None, region: str | None = None) -> boto3.Session:
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        # boto3 itself may notice a missing profile only with its first call.
        missing = profile is not None and profile not in session.available_profiles
    except ProfileNotFound:
        missing = True
    if missing:
        raise UsageError(
            f"There is no profile {profile or os.environ.get('AWS_PROFILE')!r} in the AWS configuration.",
            "See `aws configure list-profiles`, or leave --profile out.",
        )
    return session
