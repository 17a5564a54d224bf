"""All printing. On a terminal rich draws; in a pipe the same words come as plain lines, one fact a line.

Much of what is printed comes from outside: orders, log lines, AWS's answers. All of it is cleaned here.
"""

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console as RichConsole
from rich.table import Table
from rich.text import Text

from workshop.errors import WorkshopError
from workshop.printable import printable

#: How a word that states a result is coloured.
STYLES = {
    "created": "green",
    "updated": "yellow",
    "unchanged": "dim",
    "deleted": "green",
    "remaining": "bold red",
    "present": "green",
    "missing": "red",
    "drifted": "yellow",
    "pass": "green",
    "fail": "bold red",
}


class Console:
    """Where a command speaks.

    Args:
        json_only: standard output takes one JSON document; everything else goes to standard error.
        quiet: only errors are said.
    """

    def __init__(self, json_only: bool = False, quiet: bool = False) -> None:
        self.json_only = json_only
        self.err = RichConsole(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self.out = self.err if json_only else RichConsole(highlight=False)

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads along."""
        return self.out.is_terminal

    def say(self, text: str = "", style: str | None = None) -> None:
        """Print one line.

        Args:
            text: the line, taken as it is (no markup).
            style: a rich style such as `bold`; ignored where there is no colour.
        """
        self.out.print(cleaned(text, style or ""), soft_wrap=True)

    def result(self, word: str, kind: str, name: str, detail: str = "") -> None:
        """Print what happened to one resource, as it happens.

        Args:
            word: created, updated, unchanged, deleted, …: it decides the colour.
            kind: the kind of the resource, such as `queue`.
            name: its name.
            detail: anything to add, such as the settings that were put right.
        """
        line = Text("  ")
        line.append(f"{word:<10}", STYLES.get(word, ""))
        line.append(f"{kind:<22}", "cyan")
        line.append(printable(name))
        if detail:
            line.append(f"  ({printable(detail)})", "dim")
        self.out.print(line, soft_wrap=True)

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show a person what is being done, for as long as it takes."""
        if not self.err.is_terminal:
            yield
            return
        with self.err.status(cleaned(what)):
            yield

    def note(self, text: str) -> None:
        """Print one line beside the result, on standard error: what is waited for, what was noticed."""
        self.err.print(cleaned(text, "dim"), soft_wrap=True)

    def error(self, error: BaseException) -> None:
        """Print the one line in which a command says why it failed."""
        # An answer of AWS may span lines; a script that reads standard error wants one.
        self.err.print(Text("Error: ", style="bold red").append(printable(" ".join(str(error).split())), "default"))

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows of text: as a drawn table on a terminal, tab-separated in a pipe.

        Args:
            title: stands above the table, on a terminal only.
            columns: the headings.
            rows: one text for each heading.
        """
        if self.out.quiet:
            return
        if not self.is_terminal:
            for row in rows:
                # Not through rich, which turns tabs into spaces.
                print("\t".join(map(one_cell, row)), file=self.out.file)
            return
        table = Table(
            *map(printable, columns),
            title=cleaned(title),
            title_justify="left",
            title_style="bold",
            header_style="bold",
        )
        for column in table.columns:
            column.overflow = "fold"
        for row in rows:
            table.add_row(*(cleaned(cell, STYLES.get(cell, "")) for cell in row))
        self.out.print(table)

    def json(self, document: Any) -> None:
        """Print the one JSON document of `--json` on standard output."""
        sys.stdout.write(printable(json.dumps(document, indent=2, ensure_ascii=False, default=str)) + "\n")

    def confirm(self, question: str, yes: bool) -> None:
        """Ask before something that cannot be undone.

        Args:
            question: answered with y or n.
            yes: the answer was given beforehand, with --yes.

        Raises:
            WorkshopError: the answer is no, or nobody is there to give one.
        """
        if yes:
            return
        if not sys.stdin.isatty():
            raise WorkshopError("Nobody is at a terminal to confirm this, and nothing was changed.", "Add --yes.")
        self.err.print(cleaned(f"{question} [y/N] ", "bold"), end="")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise WorkshopError("Nothing was changed.", "Answer y to go on.")


def cleaned(text: str, style: str = "") -> Text:
    """A text in one style, in which nothing can drive a terminal."""
    return Text(printable(text), style=style)


def one_cell(text: str) -> str:
    """A cell of a tab-separated row, in which nothing can begin another cell or row."""
    return printable(text).replace("\t", "\\t").replace("\n", "\\n")
