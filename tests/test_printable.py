"""Nothing that comes from outside drives a terminal: whatever the workshop prints is cleaned where it is printed."""

import io
import json
import re
import uuid

import pytest
from rich.console import Console as RichConsole
from support import eventually, item, mails

from workshop.base.console import Console
from workshop.base.errors import WorkshopError
from workshop.base.printable import UNSAFE, printable
from workshop.orders.mail import listen_to_mail

#: What a hostile hand writes: a terminal's title, its clipboard (OSC 52), its colours, C1's way to do the same, a
#: backspace, an override that shows "exe.fdp" as "pdf.exe", an isolate, a line separator.
HOSTILE = [
    "\x1b]0;owned\x07", "\x1b]52;c;cm0gLXJmIC8=\x07", "\x1b[2J\x1b[31m", "\x9b2J", "\x9d52;c;eA==\x9c", "\x08\x08",
    "invoice\u202efdp.exe", "\u2066isolated\u2069", "two\u2028lines\u2029", "\x85", "\x7f", "\r", "\0", "\ud83e",
]  # fmt: skip
HARMLESS = "a\nb\tc é 漢字 🧽🫧 \u00a0\u200b שלום"
FORGED = "".join(HOSTILE)
#: What rich itself writes where it draws: colours, and nothing else.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_each_is_escaped_as_json_would(text):
    assert not UNSAFE.search(printable(text))
    assert json.loads(f'"{printable(text)}"') == text


def test_what_people_write_stays_as_it_is():
    assert printable(HARMLESS) == HARMLESS


def everything_printed(console: Console, monkeypatch) -> str:
    """Print a hostile text in every way that a console has; returns what was written."""
    out = io.StringIO()
    for rich in (console.out, console.err):
        rich.file = out
    monkeypatch.setattr("sys.stdout", out)
    console.say(FORGED)
    console.result("created", "queue", FORGED, FORGED)
    console.note(FORGED)
    console.error(WorkshopError(FORGED, FORGED))
    console.table(FORGED, (FORGED,), [(FORGED,), ("fail",)])
    console.json({FORGED: [FORGED]})
    with console.working(FORGED):
        pass
    return out.getvalue()


@pytest.mark.parametrize("json_only", [False, True])
def test_in_a_pipe_nothing_gets_through(monkeypatch, json_only):
    written = everything_printed(Console(json_only), monkeypatch)
    assert "owned" in written
    assert not UNSAFE.search(written)


def test_on_a_terminal_nothing_gets_through_but_colours(monkeypatch):
    console = Console()
    console.out = console.err = RichConsole(force_terminal=True, no_color=False, highlight=False, width=200)
    monkeypatch.setattr(console.err, "status", lambda text: Silent(console.err.print(text)))
    written = everything_printed(console, monkeypatch)
    assert "owned" in written
    assert not UNSAFE.search(COLOURS.sub("", written))


class Silent:
    """A status that was printed once, in place of one that is drawn again and again."""

    def __init__(self, _: object) -> None:
        """Take what printing returns."""

    def __enter__(self) -> None:
        """Nothing to begin."""

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""


def test_a_cell_begins_no_other_row(capsys):
    Console().table("", ("a", "b"), [("x\ny", "1\t2")])
    assert capsys.readouterr().out == "x\\ny\t1\\t2\n"


def test_json_says_what_was_there(capsys):
    Console(json_only=True).json({"text": FORGED + HARMLESS})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"text": FORGED + HARMLESS}
    assert "🧽" in printed


@pytest.fixture
def forged_mail(built):
    """An e-mail that a stranger to the API brought about: straight to the topic, past both functions."""
    listen_to_mail(built)
    mark = uuid.uuid4().hex
    topic = built.arn("sns", built.name("ecommerce-orders-topic"))
    built.client("sns").publish(TopicArn=topic, Subject=mark, Message=f"{mark} \x1b]52;c;eA==\x07\x9b2J \u202eexe")
    assert eventually(lambda: mark in str(mails(built)))
    return mark


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["for a person", "as JSON"])
def test_the_inbox_shows_a_forged_mail_and_obeys_nothing(built, cli, forged_mail, form):
    inbox = cli("inbox", *form, "--prefix", built.settings.prefix)
    assert forged_mail in inbox.out
    assert r"\u001b]52;c;eA==" in inbox.out
    assert not UNSAFE.search(inbox.out + inbox.err)


def test_a_row_put_in_by_hand_sends_a_clean_mail(built):
    listen_to_mail(built)
    key = f"by-hand-{uuid.uuid4().hex}"
    hostile = {"productId": "\x1b[2J\x9b", "productName": "\u202eexe\x07\x7f", "customerEmail": "\x1b]52;c;x\x07@x.y"}
    table = built.name("ecommerce-orders")
    built.client("dynamodb").put_item(TableName=table, Item=item({"orderId": key, "quantity": 1, **hostile}))
    (mail,) = eventually(lambda: [one for one in mails(built) if key in one["Message"]])
    assert not UNSAFE.search(mail["Message"] + mail["Subject"])
    assert "Quantity: 1" in mail["Message"]
