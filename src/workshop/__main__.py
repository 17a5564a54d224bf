"""The entry point of `workshop` and `python -m workshop`."""

import os
import sys
from typing import NoReturn

from typer.core import TyperGroup

from workshop.commands import overview


def load() -> TyperGroup:
    """Load the commands, which import boto3."""
    from workshop import cli

    return cli.commands()


def main() -> NoReturn:
    """Run the command line. `workshop --help` and the like are answered without loading boto3."""
    first = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if "_WORKSHOP_COMPLETE" in os.environ or first.startswith("-"):
        overview.run(load)
    from workshop import cli

    cli.main()


if __name__ == "__main__":
    main()
