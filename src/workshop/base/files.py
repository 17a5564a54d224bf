"""Where the files beside the toolkit are: steps, functions, the API's schema and mapping templates, CloudFormation.

In a checkout they are read where they stand, so an edit has an effect at once. A wheel carries copies of them, under
the same paths (`setup.py`); installers always unpack a wheel, so these are ordinary files too.
"""

import shlex
from pathlib import Path

#: The copies that a wheel brings.
PACKAGED = Path(__file__).parents[1] / "files"
#: Whether the workshop runs from an installed wheel, away from its repository.
INSTALLED = PACKAGED.is_dir()
#: The folder that paths such as `steps/03_sqs.py` begin in: the repository's root, or the copies.
ROOT = PACKAGED if INSTALLED else Path(__file__).resolve().parents[3]


def default_state_dir() -> Path:
    """The state folder where none is chosen.

    Returns:
        `.workshop/` at the repository's root. An installed workshop has no repository: there it is `~/.workshop/`, the
        same from whichever folder the command is typed.
    """
    return (Path.home() if INSTALLED else ROOT) / ".workshop"


def typed(path: str) -> str:
    """How to type the path of one of these files in a shell.

    Args:
        path: from the repository's root, such as `infrastructure/scripts/delete.sh`.

    Returns:
        The same path in a checkout, whose root is where commands are typed; the whole path of an installed copy.
    """
    return shlex.quote(str(ROOT / path)) if INSTALLED else path
