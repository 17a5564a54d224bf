"""`workshop policy`: the IAM policy that a participant needs."""

import json
import sys

from workshop.embedded import adapt
from workshop.participant import participant_policy
from workshop.step import Workshop


def policy(ws: Workshop) -> None:
    """Print the IAM policy with which somebody can run the whole workshop for this prefix, and nothing else.

    Example: workshop policy --target aws --prefix alice > alice.json
    """
    document = participant_policy(ws)
    if ws.is_embedded:
        document = adapt(document)
        ws.console.note("This is the policy as the embedded AWS understands it; with --target aws it is narrower.")
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")
