"""The documentation: what it names is there, its links lead somewhere, and the README's walk runs."""

import os
import re
import shlex
from pathlib import Path

import pytest
import typer
from support import ROOT

from workshop.cli import app, join_commands

pytestmark = pytest.mark.slow

PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
}
WALK = re.compile(r"^<!-- run -->\n```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: A command among code: at the beginning of a line, within backticks, or where a shell lets one begin.
COMMAND = re.compile(r"(?:^\s*|[`$|;(]\s*|&&\s*)(workshop|make)(?=[ `]|$)([^`|;)#\n>]*)", re.MULTILINE)
#: What stands for a person's own value.
PLACEHOLDER = re.compile(r"\[.*|[A-Z][A-Z_]+|N|C|…")


@pytest.fixture(scope="module")
def commands() -> dict[str, set[str]]:
    """Every command with its options, asked of the command line itself: `{"local start": {"--target", …}}`."""
    if not app.registered_commands:
        join_commands()
    found = {}

    def walk(command, names):
        if getattr(command, "commands", None):
            for name, one in command.commands.items():
                walk(one, [*names, name])
        else:
            options = {option for p in command.params for option in [*p.opts, *p.secondary_opts] if option[0] == "-"}
            found[" ".join(names)] = options | {"--help"}

    walk(typer.main.get_command(app), [])
    return found


def code_of(text: str) -> str:
    """What a page shows as code: its blocks, without what was printed, and what stands in backticks."""
    blocks = []
    for language, block in re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        lines = block.replace("\\\n", " ").splitlines()
        blocks += [line.removeprefix("$ ") for line in lines if language != "console" or line.startswith("$ ")]
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*blocks, *(f"`{span}`" for span in re.findall(r"`([^`\n]+)`", prose))])


def named_in(text: str) -> list[tuple[str, list[str]]]:
    """The commands that a page names: `[("workshop", ["verify", "3"])]`."""
    return [(program, shlex.split(rest.replace('"$', "").replace('"', ""))) for program, rest in
            COMMAND.findall(code_of(text))]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_named_commands_exist(page, commands):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    groups = {name.split()[0] for name in commands if " " in name}
    wrong = []
    for program, words in named_in(PAGES[page].read_text(encoding="utf-8")):
        if program == "make":
            # `ARGS=--upgrade` sets a variable of the Makefile.
            wrong += [f"make {word}" for word in words if "=" not in word and word not in targets]
            continue
        plain = [word for word in words if not word.startswith("-")]
        name = " ".join(plain[:2]) if plain and plain[0] in groups else " ".join(plain[:1])
        if not name or PLACEHOLDER.fullmatch(name) or name in groups:
            continue
        if name not in commands:
            wrong.append(f"workshop {name}")
        else:
            options = {word.split("=")[0] for word in words if word.startswith("-")}
            wrong += [f"workshop {name} {option}" for option in options - commands[name]]
    assert wrong == []


def test_the_readme_names_every_command_and_option(commands):
    readme = PAGES["README.md"].read_text(encoding="utf-8")
    assert [name for name in commands if f"| `workshop {name}" not in readme] == []
    options = set().union(*(commands[name] for name in commands)) - {"--help"}
    # An order's fields are explained by `workshop order --help`.
    own = {"--product-id", "--product-name", "--quantity", "--customer-email", "--order-id"}
    assert [option for option in sorted(options - own) if option not in readme] == []


def test_the_readme_names_every_variable(commands):
    assert "up" in commands
    parameters = typer.main.get_command(app).commands["up"].params
    variables = {p.envvar for p in parameters if getattr(p, "envvar", None)}
    readme = PAGES["README.md"].read_text(encoding="utf-8")
    assert len(variables) >= 7
    assert [name for name in variables if f"`{name}`" not in readme] == []


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = PAGES[page]
    text = re.sub(r"^ *```.*?^ *```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        if not target.exists() or ROOT not in [target, *target.parents] or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", PAGES)
def test_nobodys_mailbox_stands_in_a_page(page):
    found = re.findall(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", PAGES[page].read_text(encoding="utf-8"))
    assert [address for address in found if not address.endswith("@example.com")] == []


def walk() -> list[list[str]]:
    """The commands of the README that are marked for running, in order."""
    blocks = WALK.findall(PAGES["README.md"].read_text(encoding="utf-8"))
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ workshop ")]
    return [shlex.split(line)[2:] for line in lines]


def test_the_walk_goes_through_everything(commands):
    names = [words[0] for words in walk()]
    steps = [name for name in commands if re.match(r"0\d_", name)]
    assert [name for name in names if name in steps] == steps
    assert {"verify", "order", "inbox", "status", "spike", "redrive", "cost", "cleanup", "local"} <= set(names)


def test_the_walk_runs(own_cli, own_state_dir):
    said = {}
    for words in walk():
        ran = own_cli(*words, timeout=90)
        assert ran.code == 0, f"workshop {' '.join(words)}: {ran.err}"
        said[words[0]] = ran.out
    assert "The order has gone all the way." in said["order"]
    assert "Nothing is left" in said["cleanup"]
    assert os.listdir(own_state_dir)
