"""Suggest the name that a mistyped one stands for, and put nouns in the plural."""

import re
from collections.abc import Iterable
from difflib import get_close_matches


def step_names(commands: Iterable[str]) -> dict[str, str]:
    """Return the ways to name a step: `{"3": "03_sqs", "03": "03_sqs", "sqs": "03_sqs", "03_sqs": "03_sqs"}`.

    Args:
        commands: the names of all commands. Those of steps begin with a number.
    """
    names: dict[str, str] = {}
    for command in commands:
        if found := re.fullmatch(r"(\d\d)_(\w+)", command):
            names |= dict.fromkeys((str(int(found[1])), found[1], found[2], command), command)
    return names


def suggestion(typed: str, known: dict[str, str]) -> str:
    """Return a question such as `Did you mean 03_sqs?`, or nothing if no name is close.

    Args:
        typed: what was typed.
        known: the valid names, and what each stands for.
    """
    typed = typed.lower()
    prefixed = [name for name in known if len(typed) > 1 and name.startswith(typed)]
    names = prefixed or get_close_matches(typed, known, cutoff=0.7)
    meant = list(dict.fromkeys(known[name] for name in names))
    return f"Did you mean {' or '.join(meant)}?" if meant else ""


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, such as `1 check` or `2 checks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
