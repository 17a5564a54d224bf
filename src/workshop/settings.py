"""What the user asked for, and every name and tag that follows from it. Pure: nothing here talks to AWS."""

import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from botocore.loaders import Loader
from botocore.regions import EndpointResolver

from workshop.errors import UsageError

PROJECT = "ecommerce-serverless-poc"
REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_REGION = "us-east-1"
LOCAL_EMAIL = "trainee@example.com"

#: The longest name that the prefix goes in front of, beside IAM's limit for role names:
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LONGEST_ROLE, ROLE_NAME_LIMIT = "Lambda-SQS-DynamoDB", 64
PREFIX_LIMIT = ROLE_NAME_LIMIT - len(LONGEST_ROLE) - 1

#: The ARN of a managed policy, of the account or of AWS: what IAM takes as a permissions boundary.
BOUNDARY = r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+"
#: What `Participant` says where there is no prefix; no prefix may be called so.
NOBODY_IN_PARTICULAR = "default"


@dataclass(frozen=True)
class Settings:
    """The options of one command, checked.

    Raises:
        UsageError: a value that AWS would refuse later, or that nobody can have meant.
    """

    target: str = "local"
    region: str = DEFAULT_REGION
    profile: str | None = None
    prefix: str = ""
    environment: str = "dev"
    email: str | None = None
    state_dir: Path = field(default=REPOSITORY / ".workshop")
    yes: bool = False
    boundary: str | None = None

    def __post_init__(self) -> None:
        if self.target not in ("local", "aws"):
            raise UsageError(f"--target is {self.target!r}.", "It is either local or aws.")
        _check_region(self.region)
        _check_prefix(self.prefix)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", self.environment):
            raise UsageError(
                f"--environment is {self.environment!r}.",
                "It names the API's stage: 1 to 32 letters, digits, hyphens or underscores.",
            )
        if self.email is not None:
            _check_email(self.email)
        if self.boundary is not None and not re.fullmatch(BOUNDARY, self.boundary):
            raise UsageError(
                f"--boundary is {self.boundary!r}, which is not the ARN of a policy.",
                f"Try arn:aws:iam::123456789012:policy/{PROJECT}-boundary.",
            )
        if os.pathsep in str(self.state_dir):
            raise UsageError(
                f"--state-dir is {str(self.state_dir)!r}, and a colon would split PATH, where its bin goes.",
                "Choose a folder without a colon.",
            )

    @property
    def participant(self) -> str:
        """The value of the `Participant` tag: the prefix, or `default` without one."""
        return self.prefix or NOBODY_IN_PARTICULAR

    @property
    def tags(self) -> dict[str, str]:
        """The tags that everything of ours carries: `{name: value}`."""
        return {"Project": PROJECT, "Environment": self.environment, "Participant": self.participant}

    @property
    def path(self) -> str:
        """The IAM path of our policies, which says whose they are: `/ecommerce-serverless-poc/alice/`."""
        return f"/{PROJECT}/{self.participant}/"

    def name(self, base: str) -> str:
        """The name of a resource for this participant.

        Args:
            base: its name in the specification, such as `POC-Lambda-1` or `/aws/lambda/POC-Lambda-1`.

        Returns:
            `alice-POC-Lambda-1`, `/aws/lambda/alice-POC-Lambda-1`; the base itself without a prefix.
        """
        folder, slash, last = base.rpartition("/")
        return f"{folder}{slash}{self.prefix}-{last}" if self.prefix else base

    @property
    def options(self) -> str:
        """The options that make a typed command mean the same participant, with a leading space."""
        given = {"--target": self.target if self.target != "local" else "", "--prefix": self.prefix}
        if self.environment != "dev":
            given["--environment"] = self.environment
        if self.region != DEFAULT_REGION:
            given["--region"] = self.region
        if self.profile:
            given["--profile"] = self.profile
        return "".join(f" {option} {value}" for option, value in given.items() if value)


def _check_prefix(prefix: str) -> None:
    if prefix == NOBODY_IN_PARTICULAR:
        raise UsageError(f"--prefix {prefix} is reserved for work without a prefix.", "Choose another one.")
    if prefix and not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", prefix):
        raise UsageError(
            f"--prefix is {prefix!r}.", "Small letters, digits and hyphens, a letter first, such as alice."
        )
    if len(prefix) > PREFIX_LIMIT:
        raise UsageError(
            f"--prefix has {len(prefix)} characters, and at most {PREFIX_LIMIT} fit:",
            f"an IAM role is named {prefix[:8]}…-{LONGEST_ROLE}, and IAM takes {ROLE_NAME_LIMIT}.",
        )


def _check_email(email: str) -> None:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", email) or len(email) > 254:
        raise UsageError(f"--email is {email!r}, which is no e-mail address.", "Try you@example.com.")


@cache
def aws_domains() -> tuple[str, ...]:
    """The domains under which AWS itself answers, in all its partitions: `.amazonaws.com`, `.api.aws` and so on."""
    partitions = Loader().load_data("endpoints")["partitions"]
    plain = {partition["dnsSuffix"] for partition in partitions}
    variants = {one["dnsSuffix"] for partition in partitions for one in partition["defaults"].get("variants", [])}
    return tuple(f".{domain}" for domain in sorted(plain | variants))


def _check_region(region: str) -> None:
    # botocore's own list of places, read without the user's AWS configuration.
    places = EndpointResolver(Loader().load_data("endpoints"))
    known = {
        name
        for partition in places.get_available_partitions()
        for name in places.get_available_endpoints("sqs", partition)
    }
    if region not in known:
        raise UsageError(f"--region is {region!r}, which AWS does not have.", "Try us-east-1 or eu-central-1.")
