"""All printing. A terminal gets colours and lines that break between words; a pipe gets the same words as plain lines.

Much of what is printed comes from outside: orders, log lines, AWS's answers. All of it is cleaned here.
"""

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console as RichConsole
from rich.text import Text

from workshop.base.errors import WorkshopError
from workshop.base.printable import printable

#: The mark and the colour of each word that states a result.
MARKS = {
    "created": ("✓", "green"),
    "updated": ("✓", "yellow"),
    "unchanged": ("✓", "dim"),
    "deleted": ("✓", "green"),
    "to delete": ("-", "yellow"),
    "remaining": ("✗", "bold red"),
    "present": ("✓", "green"),
    "missing": ("✗", "red"),
    "drifted": ("!", "yellow"),
    "pass": ("✓", "green"),
    "fail": ("✗", "bold red"),
}
NUMBER = re.compile(r"[\d,.]+( /M)?|")


class Console:
    """Where a command prints.

    Args:
        json_only: print the JSON document, errors, and on a terminal progress; nothing else.
        quiet: print nothing but errors.
    """

    def __init__(self, json_only: bool = False, quiet: bool = False) -> None:
        self.json_only = json_only or quiet
        self.err = RichConsole(stderr=True, highlight=False, quiet=quiet)
        self.out = RichConsole(highlight=False, quiet=self.json_only)

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads along."""
        return self.out.is_terminal

    @property
    def width(self) -> int | None:
        """How many characters fit in a line; None in a pipe, where nothing is cut."""
        return self.out.width if self.is_terminal else None

    def say(self, text: str = "", style: str | None = None, lead: str = "") -> None:
        """Print a text; on a terminal, long lines break between words.

        Args:
            text: taken as it is (no markup).
            style: a rich style such as `bold`; ignored where there is no colour.
            lead: stands in front; the lines that follow are indented by its width.
        """
        _print(self.out, cleaned(lead), cleaned(text, style or ""))

    def mark(self, word: str, text: str, detail: str = "", lead: str = "") -> None:
        """Print one line that begins with the mark of a result, such as `✓ 3 SQS 13/13`.

        Args:
            word: a key of `MARKS`: it decides mark and colour.
            text: the line.
            detail: anything to add.
            lead: stands in front of the mark.
        """
        mark, style = MARKS[word]
        body = cleaned(text)
        if detail:
            body.append(f"  {printable(detail)}", "dim")
        _print(self.out, cleaned(lead).append(f"{mark} ", style), body)

    def result(self, word: str, kind: str, name: str, detail: str = "") -> None:
        """Print what happened to one resource, as it happens.

        Args:
            word: created, updated, unchanged, deleted, …: it decides mark and colour.
            kind: the kind of the resource, such as `queue`.
            name: its name.
            detail: anything to add, such as its ARN.
        """
        mark, style = MARKS[word]
        lead = Text("  ").append(f"{mark} {word:<9} ", style).append(f"{kind:<21}", "cyan")
        body = cleaned(name)
        if detail:
            body.append(f"  {printable(detail)}", "dim")
        _print(self.out, lead, body)

    def command(self, command: str, whole: bool = False) -> None:
        """Print a shell command, in one line that is cut where the terminal ends.

        Args:
            command: the command; lines that belong together end in a backslash.
            whole: cut nothing.
        """
        if not whole:
            command = command.replace(" \\\n    ", " ")
        line = cleaned("    $ " + command.replace("\n", "\n    "), "dim")
        if not whole and self.width:
            line.truncate(self.width, overflow="ellipsis")
        self.out.print(line, soft_wrap=True)

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show a person what is being done, for as long as it takes."""
        if not self.err.is_terminal:
            yield
            return
        line = cleaned(what)
        line.truncate(max(self.err.width - 3, 1), overflow="ellipsis")
        with self.err.status(line):
            yield

    def note(self, text: str) -> None:
        """Print one line beside the result, on standard error: what is waited for, what was noticed."""
        if not self.json_only:
            _print(self.err, Text(), cleaned(text, "dim"))

    def error(self, error: BaseException) -> None:
        """Print the one line in which a command says why it failed."""
        # An answer of AWS may span lines; a script that reads standard error wants one.
        _print(self.err, Text("Error: ", style="bold red"), cleaned(" ".join(str(error).split()), "default"))

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows of text: in columns on a terminal, separated by tabs in a pipe.

        Columns that do not fit beside the others go on lines of their own beneath.

        Args:
            title: stands above the table, on a terminal only.
            columns: the headings.
            rows: one text for each heading.
        """
        if self.out.quiet:
            return
        texts = [[one_cell(cell) for cell in row] for row in rows]
        if not self.is_terminal:
            for row in texts:
                # Not through rich, which turns tabs into spaces.
                print("\t".join(row), file=self.out.file)
            return
        widths = [max(map(cell_len, column)) for column in zip(columns, *texts, strict=True)]
        beside = len(columns)
        while beside > 1 and sum(widths[:beside]) + 2 * (beside - 1) > self.out.width:
            beside -= 1
        right = [all(NUMBER.fullmatch(row[n]) for row in texts) for n in range(len(columns))]
        if title:
            self.say(title, "bold")
        for row, heading in ((list(columns), True), *((row, False) for row in texts)):
            line = Text()
            for n in range(beside):
                cell = printable(row[n])
                space = " " * (widths[n] - cell_len(cell))
                line.append(f"{space}{cell}" if right[n] else f"{cell}{space}", _style(cell, heading)).append("  ")
            line.rstrip()
            _print(self.out, Text(), line)
            for cell in row[beside:]:
                if cell and not heading:
                    self.say(cell, "dim", lead="    ")

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
            raise WorkshopError("There is no terminal to confirm this. Nothing was changed.", "Add --yes.")
        self.err.print(cleaned(f"{question} [y/N] ", "bold"), end="", soft_wrap=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise WorkshopError("Nothing was changed.", "Answer y to continue.")


def cleaned(text: str, style: str = "") -> Text:
    """A text in one style, in which nothing can drive a terminal."""
    return Text(printable(text), style=style)


def one_cell(text: str) -> str:
    """A cell of a tab-separated row, in which nothing can begin another cell or row."""
    return printable(text).replace("\t", "\\t").replace("\n", "\\n")


def _style(cell: str, heading: bool) -> str:
    """The style of a cell: that of the result which it states."""
    return "bold" if heading else MARKS.get(cell, ("", ""))[1]


def _print(to: RichConsole, lead: Text, body: Text) -> None:
    """Print a text behind its lead: on a terminal broken between words, otherwise as it is.

    A word that is longer than a line stays whole, so that it can be copied.
    """
    if not to.is_terminal:
        to.print(lead.append_text(body), soft_wrap=True)
        return
    width = to.width - lead.cell_len
    if max(map(cell_len, body.plain.split()), default=0) > width and lead.plain.strip():
        # Rather below than beside.
        to.print(lead, soft_wrap=True)
        lead, width = Text("    "), to.width - 4
    for paragraph in body.split(allow_blank=True):
        for line in _wrap(paragraph, width):
            to.print(lead + line, soft_wrap=True)
            lead = Text(" " * lead.cell_len)


def _wrap(paragraph: Text, width: int) -> Iterator[Text]:
    """Break a paragraph between words; the lines that follow are indented like the first one."""
    plain, breaks, start = paragraph.plain, [], 0
    indent = " " * (len(plain) - len(plain.lstrip(" ")))
    for word in re.finditer(r"\S+", plain):
        too_long = cell_len(plain[start : word.end()]) + (len(indent) if start else 0) > width
        if too_long and plain[start : word.start()].strip():
            start = word.start()
            breaks.append(start)
    for number, line in enumerate(paragraph.divide(breaks)):
        line.rstrip()
        yield Text(indent) + line if number else line
