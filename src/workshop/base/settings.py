"""What the user asked for, and every name and tag that follows from it. Pure: nothing here talks to AWS."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from workshop.base.errors import UsageError
from workshop.base.files import default_state_dir
from workshop.base.partitions import regions

PROJECT = "ecommerce-serverless-poc"
DEFAULT_REGION = "us-east-1"
LOCAL_EMAIL = "trainee@example.com"

#: The longest name that the prefix goes in front of, beside IAM's limit for role names:
#: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LONGEST_ROLE, ROLE_NAME_LIMIT = "Lambda-SQS-DynamoDB", 64
PREFIX_LIMIT = ROLE_NAME_LIMIT - len(LONGEST_ROLE) - 1

#: The ARN of a managed policy, of the account or of AWS: what IAM takes as a permissions boundary.
BOUNDARY = r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+"
#: What `Participant` says where there is no prefix; no prefix may be called so.
NO_PREFIX = "default"


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
    state_dir: Path = field(default_factory=default_state_dir)
    yes: bool = False
    boundary: str | None = None

    def __post_init__(self) -> None:
        if self.target not in ("local", "aws"):
            raise UsageError(f"--target is {self.target!r}.", "Use local or aws.")
        _check_region(self.region)
        _check_prefix(self.prefix)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", self.environment):
            raise UsageError(
                f"--environment is {self.environment!r}.",
                "Use 1 to 32 letters, digits, hyphens or underscores. It names the API's stage.",
            )
        if self.email is not None:
            _check_email(self.email)
        if self.boundary is not None and not re.fullmatch(BOUNDARY, self.boundary):
            raise UsageError(
                f"--boundary is {self.boundary!r}, which isn't the ARN of a policy.",
                f"Try arn:aws:iam::123456789012:policy/{PROJECT}-boundary.",
            )
        if os.pathsep in str(self.state_dir):
            raise UsageError(
                f"--state-dir is {str(self.state_dir)!r}, but a folder on PATH can't contain a colon.",
                "Choose a folder without a colon.",
            )

    @property
    def participant(self) -> str:
        """The value of the `Participant` tag: the prefix, or `default` without one."""
        return self.prefix or NO_PREFIX

    @property
    def tags(self) -> dict[str, str]:
        """The tags of all our resources: `{name: value}`."""
        return {"Project": PROJECT, "Environment": self.environment, "Participant": self.participant}

    @property
    def path(self) -> str:
        """The IAM path of our policies, which names the participant: `/ecommerce-serverless-poc/alice/`."""
        return f"/{PROJECT}/{self.participant}/"

    def name(self, base: str) -> str:
        """Return the name of a resource for this participant.

        Args:
            base: its name in the specification, such as `POC-Lambda-1` or `/aws/lambda/POC-Lambda-1`.

        Returns:
            `alice-POC-Lambda-1`, `/aws/lambda/alice-POC-Lambda-1`; the base itself without a prefix.
        """
        folder, slash, last = base.rpartition("/")
        return f"{folder}{slash}{self.prefix}-{last}" if self.prefix else base

    @property
    def options(self) -> str:
        """The options that select the same participant on the command line, with a leading space."""
        given = {"--target": self.target if self.target != "local" else "", "--prefix": self.prefix}
        if self.environment != "dev":
            given["--environment"] = self.environment
        if self.region != DEFAULT_REGION:
            given["--region"] = self.region
        if self.profile:
            given["--profile"] = self.profile
        return "".join(f" {option} {value}" for option, value in given.items() if value)


def _check_prefix(prefix: str) -> None:
    if prefix == NO_PREFIX:
        raise UsageError(f"--prefix {prefix} is reserved: it stands for no prefix.", "Choose another one.")
    if prefix and not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", prefix):
        raise UsageError(
            f"--prefix is {prefix!r}.",
            "Use lowercase letters, digits and hyphens, such as alice. Start with a letter.",
        )
    if len(prefix) > PREFIX_LIMIT:
        raise UsageError(
            f"--prefix has {len(prefix)} characters. The maximum is {PREFIX_LIMIT}:",
            f"the role name {prefix[:8]}…-{LONGEST_ROLE} can have {ROLE_NAME_LIMIT} characters.",
        )


def _check_email(email: str) -> None:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", email) or len(email) > 254:
        raise UsageError(f"--email is {email!r}, which isn't an e-mail address.", "Try you@example.com.")


def _check_region(region: str) -> None:
    if region not in regions():
        raise UsageError(f"--region is {region!r}, which isn't an AWS region.", "Try us-east-1 or eu-central-1.")
