"""The AWS calls of the cell that runs, shown as AWS CLI commands."""

from workshop.aws.clients import Call
from workshop.notebook.page import display_markdown, fenced, running_cell

#: Calls of which a list is long enough.
MOST_CALLS = 40
#: The calls of the cell that made the last one, under its number. Threads write here at once.
_made: dict[int, list[Call]] = {}


def remember(call: Call) -> None:
    """Keep a call for as long as its cell runs; the clients tell of each."""
    cell = running_cell()
    for earlier in set(_made) - {cell}:
        _made.pop(earlier, None)
    _made.setdefault(cell, []).append(call)


def as_cli(changes: bool = False) -> None:
    """Show the AWS calls of this cell as AWS CLI commands; folded away if they are many.

    Args:
        changes: only those that changed something.
    """
    try:
        from workshop.awscli.render import render
    except ImportError:
        return
    calls = [call for call in _made.get(running_cell(), ()) if not (changes and call.is_read)]
    lines = dict.fromkeys(render(call.service, call.operation, call.parameters) for call in calls[:MOST_CALLS])
    if not lines:
        return
    text = "\n".join(lines)
    if len(lines) == 1:
        display_markdown(f"With the AWS CLI:\n\n{fenced(text, 'bash')}")
        return
    more = f" (the first {MOST_CALLS})" if len(calls) > MOST_CALLS else ""
    summary = f"<summary>With the AWS CLI: {len(lines)} commands{more}</summary>"
    display_markdown(f"<details>{summary}\n\n{fenced(text, 'bash')}\n\n</details>")
