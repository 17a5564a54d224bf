"""`workshop policy`: the IAM policy that a participant needs, and the boundary of the roles that they make."""

import json
import sys
from typing import Annotated

from typer import Option

from workshop.boundary import NAME, boundary_arn, boundary_policy
from workshop.embedded import adapt
from workshop.errors import UsageError
from workshop.participant import PARTS, participant_policy
from workshop.step import Workshop

#: Characters without white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LONGEST_MANAGED_POLICY = 6_144


def policy(
    ws: Workshop,
    print_boundary: Annotated[bool, Option("--boundary", help="Print the permissions boundary of all roles.")] = False,
    part: Annotated[str, Option("--part", help=f"Print one of two documents: {' or '.join(PARTS)}.")] = "",
) -> None:
    """Print the IAM policy with which somebody can run the whole workshop for this prefix, and nothing else.

    It lets a participant make only roles with a permissions boundary, so that nobody becomes administrator by them.
    Make the boundary first, once in an account, and give participants its ARN as WORKSHOP_BOUNDARY.

    Example: workshop policy --target aws --boundary > boundary.json

    Example: workshop policy --target aws --prefix alice > alice.json
    """
    document = boundary_policy(ws) if print_boundary else participant_policy(ws, part)
    size = len(json.dumps(document, separators=(",", ":")))
    if ws.is_embedded:
        document = adapt(document)
        ws.console.note("This is the policy as the embedded AWS understands it; with --target aws it is narrower.")
    elif print_boundary:
        ws.console.note(f"Make it once: aws iam create-policy --policy-name {NAME} --policy-document file://FILE")
    else:
        ws.console.note(f"Its holder must make roles within a boundary: export WORKSHOP_BOUNDARY={boundary_arn(ws)}")
    if size > LONGEST_MANAGED_POLICY and not ws.is_embedded:
        parts = " and ".join(f"--part {name}" for name in PARTS)
        ws.console.note(
            f"It has {size:,} characters, and a managed policy takes {LONGEST_MANAGED_POLICY:,}: print it with {parts}."
        )
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def known_part(part: str, print_boundary: bool) -> None:
    """Refuse a part that does not exist.

    Raises:
        UsageError: there is no such part, or there are no parts.
    """
    if part and part not in PARTS:
        raise UsageError(f"--part is {part!r}.", f"It is one of {', '.join(PARTS)}.")
    if part and print_boundary:
        raise UsageError("--part and --boundary do not go together.", "The boundary is one document.")
