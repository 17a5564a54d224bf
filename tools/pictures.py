"""Record the workshop's commands in a terminal, and write the pictures of docs/images: `terminal-*.svg`.

Every picture is a real run. One embedded AWS of its own is built, used, broken and cleaned up; it's gone afterwards. A
picture is text in an SVG file: sharp at every size, and it can be searched. It loads no font from the web, since GitHub
blocks those, and shows the reader's own monospace font in columns of one width.

    python tools/pictures.py
"""

import argparse
import fcntl
import html
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console as RichConsole
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from workshop.base.console import Console
from workshop.base.files import ROOT
from workshop.base.settings import Settings
from workshop.build.opening import open_workshop
from workshop.embedded import passing

#: Characters in a line of every picture, and lines of the terminal that it's taken of.
COLUMNS, LINES = 80, 100
#: Seconds that one command may take.
LONGEST = 240
#: Parts of what a terminal is sent: a line feed, a carriage return, a control sequence.
SEQUENCE = re.compile(r"(\r|\n|\x1b\[[0-9;?]*[A-Za-z])")
#: Colors with a contrast of at least 4.5:1 on the background: black, red, green, yellow, blue, magenta, cyan, white.
COLORS = [(110, 118, 129), (255, 123, 114), (86, 211, 100), (227, 179, 65),
          (121, 192, 255), (210, 168, 255), (86, 212, 221), (230, 237, 243)]  # fmt: skip
THEME = TerminalTheme((22, 27, 34), (230, 237, 243), COLORS, COLORS)
#: rich's own format refers to a font on the web, and has no title for screen readers.
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" role="img" xmlns="http://www.w3.org/2000/svg">
<title>TITLE</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
  font-variant-east-asian: full-width;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: the file is `terminal-<name>.svg`.
        command: what was typed.
        code: the exit code that the command has to have.
        since: the picture begins with the first line that starts with this; what was printed before is left out.
    """

    name: str
    command: str
    code: int = 0
    since: str = ""


#: In the order in which they are taken; `ORDER_ID` is the order that was placed before, `BREAK` changes a setting.
SESSION: tuple[Picture | str, ...] = (
    Picture("demo", "workshop demo", since="3. "),
    Picture("up", "workshop up"),
    Picture("verify", "workshop verify"),
    "ORDER",
    Picture("trace", "workshop trace ORDER_ID"),
    Picture("spike", "workshop spike --orders 200 --concurrency 20", since="  Placed "),
    "BREAK",
    Picture("drift", "workshop status"),
    Picture("verify-red", "workshop verify 3", code=1),
    Picture("repair", "workshop 03_sqs"),
    Picture("cleanup", "workshop cleanup --yes"),
)
PICTURES = {one.name: one for one in SESSION if isinstance(one, Picture)}


def program(command: str) -> list[str]:
    """How a command of the workshop is started."""
    return [sys.executable, "-m", *command.split()]


def environment(folder: Path) -> dict[str, str]:
    """The variables of a command: none of this machine's has a say in what it prints."""
    ours = ("AWS_", "WORKSHOP_", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return others | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "WORKSHOP_STATE_DIR": str(folder)}


def typed(command: str, folder: Path) -> tuple[str, int]:
    """Run a command in a terminal, with the state folder `.workshop` of another folder.

    Returns:
        All that it sent to the terminal, and its exit code.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    with subprocess.Popen(
        program(command), stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=environment(folder)
    ) as running:
        os.close(slave)
        too_long = threading.Timer(LONGEST, running.kill)
        too_long.start()
        sent = b"".join(_read(master))
        too_long.cancel()
        os.close(master)
        return sent.decode(), running.wait(LONGEST)


def _read(terminal: int) -> Iterator[bytes]:
    """What a terminal is sent, until the last program that writes to it has ended."""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux: the other end is closed
            return
        if not part:
            return
        yield part


def shown(sent: str) -> list[str]:
    """The lines that stay on the screen, with their colors: progress that was drawn over is gone."""
    lines, row = [""], 0
    for part in SEQUENCE.split(sent):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b[") and part[-1] == "A":
            row = max(row - int(part[2:-1] or 1), 0)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part != "\r" and (not part.startswith("\x1b[") or part[-1] == "m"):
            lines[row] += part
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def draw(picture: Picture, lines: list[str]) -> str:
    """The SVG file of what a command printed."""
    begins = [n for n, line in enumerate(lines) if Text.from_ansi(line).plain.startswith(picture.since)]
    if not begins:
        raise SystemExit(f"{picture.command}: no line starts with {picture.since!r}.")
    lines = lines[begins[0] :]
    console = RichConsole(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False
    )
    console.print(Text.assemble(("$ ", "green"), (picture.command, "bold")))
    if picture.since:
        console.print(Text("…", "dim"))
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    made = console.export_svg(
        title="", theme=THEME, code_format=FORMAT.replace("TITLE", picture.command), unique_id=picture.name
    )
    return "\n".join(line.rstrip() for line in made.splitlines() if line.strip()) + "\n"


def text_of(svg: str) -> list[str]:
    """The lines of text in a picture."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for x, y, text in re.findall(r'<text [^>]*\bx="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', svg):
        rows.setdefault(float(y), []).append((float(x), text))
    return [html.unescape("".join(text for _, text in sorted(row))).replace("\xa0", " ").rstrip()
            for _, row in sorted(rows.items())]  # fmt: skip


def place_order(folder: Path) -> str:
    """Place an order and wait until its e-mail has arrived; returns its id."""
    ran = subprocess.run(
        program("workshop order --trace --json"), env=environment(folder), capture_output=True, text=True, check=True,
        timeout=LONGEST,
    )  # fmt: skip
    return str(json.loads(ran.stdout)["orderId"])


def break_it(folder: Path) -> None:
    """Change one setting of the queue, as somebody would by hand."""
    ws = open_workshop(Settings(state_dir=folder), Console(quiet=True))
    queue = ws.need("queue", "ecommerce-orders-queue")["QueueUrl"]
    ws.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "5"})


def run(command: str, code: int, folder: Path) -> str:
    """What a command sends to a terminal.

    Raises:
        SystemExit: it ended with another exit code than `code`.
    """
    sent, ended = typed(command, folder)
    if ended != code:
        raise SystemExit(f"{command}: exit code {ended} instead of {code}.\n{sent}")
    return sent


def session() -> Iterator[tuple[Picture, str]]:
    """Run everything in order.

    Yields:
        Each picture and its SVG file.

    Raises:
        SystemExit: a command ended with another exit code than it should.
    """
    with passing("pictures") as folder:
        order_id = ""
        for one in SESSION:
            if one == "BREAK":
                break_it(folder)
            elif isinstance(one, str):
                order_id = place_order(folder)
            else:
                command = one.command.replace("ORDER_ID", order_id)
                # The folder's name says nothing to a reader; the default is `.workshop`.
                sent = run(command, one.code, folder).replace(str(folder), ".workshop")
                drawn = Picture(one.name, command, one.code, one.since)
                yield one, draw(drawn, shown(sent))


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs/images", help="the folder to write to")
    output: Path = parser.parse_args().output
    for picture, svg in session():
        path = output / f"terminal-{picture.name}.svg"
        path.write_text(svg, encoding="utf-8")
        print(f"written: {path}", flush=True)


if __name__ == "__main__":
    main()
