"""The console of a notebook: what a command says in a terminal, it says here in a cell."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console as RichConsole

from workshop.base.console import Console
from workshop.notebook.page import COLOURS, as_html, html_table, jupyter, running_cell


class NotebookConsole(Console):
    """A console that draws tables as HTML and shows what it is working on in one line that comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        # Neither a terminal nor rich's own form of Jupyter output, which needs ipywidgets for anything live.
        self.out = self.err = RichConsole(force_jupyter=False, force_terminal=False, highlight=False, soft_wrap=True)
        self._in_place = False
        self._line: tuple[int, Any] = (-1, None)

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show what is being done, for as long as it takes."""
        self._write(what)
        try:
            yield
        finally:
            self._write("")

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Let each note take the place of the one before, during a long piece of work."""
        self._in_place = True
        try:
            yield
        finally:
            self._in_place = False
            self._write("")

    def note(self, text: str) -> None:
        """Print a line beside the result."""
        if self._in_place:
            self._write(text)
        else:
            self.say(text)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Draw rows of text as a table."""
        jupyter.display(jupyter.HTML(html_table(title, columns, rows)))

    def _write(self, text: str) -> None:
        """Write over the one line of this cell."""
        html = jupyter.HTML(f'<span style="color: {COLOURS["dim"]}">{as_html(text)} &#8230;</span>' if text else "")
        cell, handle = self._line
        if cell == running_cell() and handle is not None:
            handle.update(html)
        elif text:
            self._line = (running_cell(), jupyter.display(html, display_id=True))
