"""What a cell shows: text, tables and boxes as HTML, in which what others wrote does nothing."""

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from IPython import display as ipython_display
from IPython import get_ipython

from workshop.aws.values import brief
from workshop.base.console import MARKS
from workshop.base.printable import printable

#: What puts something on the page; IPython does not say of what type its functions are.
jupyter: Any = ipython_display
shell_of: Any = get_ipython
#: How a state is coloured: readable on JupyterLab's light and dark themes.
COLOURS = {"green": "#1a9850", "yellow": "#c77700", "red": "#d73027", "dim": "#7f8792"}
STYLE = """<style>
table.workshop {font-size: 0.92em; border-collapse: collapse; margin: 0.4em 0 0.8em 0}
table.workshop caption {caption-side: top; text-align: left; font-weight: 600; padding: 0.3em 0; color: inherit}
table.workshop th, table.workshop td {text-align: left !important; vertical-align: top; padding: 0.28em 0.9em 0.28em
 0.4em; border-bottom: 1px solid rgba(128, 128, 128, 0.22); overflow-wrap: anywhere; max-width: 44em}
table.workshop th, table.workshop b {font-weight: 600; white-space: nowrap}
div.workshop {border-left: 4px solid; padding: 0.45em 0.9em; margin: 0.3em 0; background: rgba(128, 128, 128, 0.08)}
div.workshop pre {margin: 0.5em 0 0 0; white-space: pre-wrap; background: none !important}
</style>"""
#: Ours, and none of MathJax's business: a `$` in a mapping template is no formula.
CLASSES = "workshop mathjax_ignore tex2jax_ignore"
#: Characters that fit into a table's cell in any window.
SHORT = 24


def running_cell() -> int:
    """The number of the cell that runs; 0 outside of a notebook."""
    shell = shell_of()
    return int(shell.execution_count) if shell is not None else 0


def table(rows: Any, title: str = "") -> None:
    """Show rows as a table.

    Args:
        rows: a list of dictionaries with the same keys, or one dictionary, shown as names and values.
        title: stands above.
    """
    if isinstance(rows, dict):
        display_html(html_table(title, (), [(key, _cell_text(value)) for key, value in rows.items()]))
        return
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["Nothing"]
    display_html(html_table(title, columns, [[_cell_text(row.get(key, "")) for key in columns] for row in rows]))


def tell(text: str) -> None:
    """Say one thing, in a box."""
    display_html(box(text, "green"))


def display_html(html: str) -> None:
    """Put HTML on the page."""
    jupyter.display(jupyter.HTML(html))


def display_markdown(text: str) -> None:
    """Put Markdown on the page."""
    jupyter.display(jupyter.Markdown(text))


def display_graded(tables: str, summary: str, passed: int, failed: int) -> None:
    """Put tables of checks on the page and a box with their summary, the account as metadata of the output."""
    html = tables + box(summary, "red" if failed else "green")
    jupyter.display(jupyter.HTML(html), metadata={"workshop": {"passed": passed, "failed": failed}})


def as_html(text: str) -> str:
    """Text from outside, such as a customer's or a subscriber's: it shows what it says, and does nothing."""
    return escape(printable(text))


def fenced(text: str, language: str) -> str:
    """Code as Markdown, in a fence that nothing in the code can close."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(text)}\n{fence}"


def box(text: str, colour: str) -> str:
    """A text in a box, its edge in one of our colours."""
    return framed(as_html(text), COLOURS[colour])


def framed(html: str, colour: str) -> str:
    """HTML in a box, its edge in any colour of CSS."""
    return f'{STYLE}<div class="{CLASSES}" style="border-color: {colour}">{html}</div>'


def html_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of text as a table; words that state a result are coloured."""
    head = "".join(f"<th>{as_html(column)}</th>" for column in columns)
    head = f"<thead><tr>{head}</tr></thead>" if columns else ""
    body = "".join(f"<tr>{''.join(map(_td, row))}</tr>" for row in rows)
    caption = f"<caption>{as_html(title)}</caption>" if title else ""
    return f'{STYLE}<table class="{CLASSES}">{caption}{head}<tbody>{body}</tbody></table>'


def _td(text: str) -> str:
    style = MARKS.get(text, ("", ""))[1].removeprefix("bold ")
    if style:
        return f'<td><b style="color: {COLOURS[style]}">{as_html(text)}</b></td>'
    # What is short stays on one line; what is long may be broken anywhere, as ARNs have no blanks.
    style = ' style="white-space: nowrap"' if len(text) <= SHORT else ""
    return f"<td{style}>{as_html(text)}</td>"


def _cell_text(value: Any) -> str:
    """A value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set):
        return ", ".join(str(one) if not isinstance(one, dict) else json.dumps(one, default=str) for one in value)
    return value if isinstance(value, str) else brief(value)
