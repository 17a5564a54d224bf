"""`workshop policy`: the IAM policy that a participant needs, and the permissions boundary of their roles."""

import json
import sys
from typing import Annotated

from typer import Option

from workshop.base.errors import UsageError
from workshop.build.boundary import NAME, boundary_arn, boundary_policy
from workshop.build.participant import PARTS, participant_policy
from workshop.build.step import Workshop
from workshop.embedded import adapt

#: Characters, not counting whitespace: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LONGEST_MANAGED_POLICY = 6_144


def policy(
    ws: Workshop,
    print_boundary: Annotated[bool, Option("--boundary", help="Print the permissions boundary instead.")] = False,
    part: Annotated[str, Option("--part", help=f"Print half of it: {' or '.join(PARTS)}.")] = "",
) -> None:
    """Print the IAM policy that a participant needs.

    It grants what the workshop needs with this prefix and nothing else. Participants can only create roles with a
    permissions boundary, so they can't make themselves administrators. Create the boundary first, once per account,
    and give participants its ARN as WORKSHOP_BOUNDARY.

    Example: workshop policy --target aws --boundary > boundary.json

    Example: workshop policy --target aws --prefix alice > alice.json
    """
    document = boundary_policy(ws) if print_boundary else participant_policy(ws, part)
    size = len(json.dumps(document, separators=(",", ":")))
    if ws.is_embedded:
        document = adapt(document)
        ws.console.note("Adapted to the embedded AWS; with --target aws it's narrower.")
    elif print_boundary:
        ws.console.note(
            f"Create it once per account: aws iam create-policy --policy-name {NAME} --policy-document file://FILE"
        )
    else:
        ws.console.note(f"Roles need a permissions boundary: export WORKSHOP_BOUNDARY={boundary_arn(ws)}")
    if size > LONGEST_MANAGED_POLICY and not ws.is_embedded:
        parts = " and ".join(f"--part {name}" for name in PARTS)
        ws.console.note(
            f"It has {size:,} characters, and a managed policy can have {LONGEST_MANAGED_POLICY:,}. Use {parts}."
        )
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def known_part(part: str, print_boundary: bool) -> None:
    """Reject an unknown part.

    Raises:
        UsageError: there is no such part, or the boundary has no parts.
    """
    if part and part not in PARTS:
        raise UsageError(f"--part is {part!r}.", f"Use {' or '.join(PARTS)}.")
    if part and print_boundary:
        raise UsageError("--part and --boundary can't be combined.", "Drop one of them.")
