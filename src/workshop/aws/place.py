"""One account and one region of AWS, and the participant who works there: names, ARNs, tags, clients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from workshop.aws.clients import Clients
from workshop.aws.waiter import Waiter
from workshop.base.settings import Settings
from workshop.embedded import is_embedded


class Tag(TypedDict):
    """A tag, as the older services take and give it."""

    Key: str
    Value: str


@dataclass(kw_only=True)
class Place:
    """One account and one region of AWS, and the participant who works there.

    Attributes:
        settings: what the user asked for.
        account: the AWS account id, 12 digits.
        partition: `aws`, `aws-cn` or `aws-us-gov`.
        identity: the ARN of who is calling.
        client: gives the boto3 client of a service: `ws.client("sqs")`.
        waiter: waits, with a clock and a sleep of its own.
        untagged_since: when something new was first seen without tags, by the waiter's clock.
    """

    settings: Settings
    account: str
    partition: str
    identity: str
    client: Clients
    waiter: Waiter
    untagged_since: float | None = None

    @property
    def tags(self) -> dict[str, str]:
        """Our tags, as `{name: value}`."""
        return self.settings.tags

    @property
    def tag_list(self) -> list[Tag]:
        """Our tags, as the list of `Key` and `Value` that the older services take."""
        return to_tag_list(self.tags)

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


def from_tag_list(tags: Sequence[Tag]) -> dict[str, str]:
    """`[{"Key": …, "Value": …}]` as `{key: value}`."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def to_tag_list(tags: dict[str, str]) -> list[Tag]:
    """`{key: value}` as `[{"Key": …, "Value": …}]`."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
