"""The documentation: what it names is there, its links lead somewhere, and the walkthrough runs."""

import os
import re
import shlex
from pathlib import Path

import pytest
import typer
from support import ROOT

from workshop.base.spelling import step_names
from workshop.cli import app, register_commands

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

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
        register_commands()
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
        name = step_names(commands).get(name, name)
        if not name or PLACEHOLDER.fullmatch(name) or name in groups:
            continue
        if name not in commands:
            wrong.append(f"workshop {name}")
        else:
            options = {word.split("=")[0] for word in words if word.startswith("-")}
            wrong += [f"workshop {name} {option}" for option in options - commands[name]]
    assert wrong == []


def page_text(page: str) -> str:
    return PAGES[page].read_text(encoding="utf-8")


def test_the_readme_is_short():
    assert len(page_text("README.md").splitlines()) <= 300


def test_the_readme_names_every_command(commands):
    assert [name for name in commands if f"| `workshop {name}" not in page_text("README.md")] == []


def test_the_reference_names_every_option(commands):
    reference = page_text("docs/guides/commands.md")
    options = set().union(*(commands[name] for name in commands)) - {"--help"}
    assert len(options) > 20
    assert [option for option in sorted(options) if f"`{option}" not in reference] == []


def test_the_reference_names_every_variable(commands):
    assert "up" in commands
    parameters = typer.main.get_command(app).commands["up"].params
    variables = {p.envvar for p in parameters if getattr(p, "envvar", None)}
    assert len(variables) >= 7
    assert [name for name in variables if f"`{name}`" not in page_text("docs/guides/commands.md")] == []


def test_every_guide_is_in_the_readmes_list():
    guides = [page for page in PAGES if page.startswith("docs/")]
    assert len(guides) > 5
    assert [page for page in guides if f"]({page})" not in page_text("README.md")] == []


def test_messages_explained_are_messages_printed():
    """The first column of the tables of troubleshooting quotes what the workshop's source prints."""
    sources = [path for place in ("src", "steps", "cleanup") for path in (ROOT / place).rglob("*.py")]
    printed = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    rows = re.findall(r"^\| ([^|]+) \|", page_text("docs/guides/troubleshooting.md"), re.MULTILINE)
    quoted = [text for row in rows for text in re.findall(r"`([^`]+)`", row) if " " in text or text.endswith(":")]
    others = {"workshop: command not found"}  # a shell's
    assert len(quoted) > 12
    assert [text for text in quoted if text not in printed and text not in others] == []


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
    """The commands of the walkthrough that are marked for running, in order."""
    blocks = WALK.findall(page_text("docs/guides/walkthrough.md"))
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ workshop ")]
    return [shlex.split(line)[2:] for line in lines]


def test_the_walk_goes_through_everything(commands):
    names = [words[0] for words in walk()]
    steps = [name for name in commands if re.match(r"\d\d_", name)]
    assert [name for name in names if name in steps] == steps
    assert {"verify", "order", "inbox", "status", "spike", "redrive", "cost", "cleanup", "local"} <= set(names)


def test_the_walk_runs(own_cli, own_state_dir):
    said = {}
    for words in walk():
        ran = own_cli(*words)
        assert ran.code == 0, f"workshop {' '.join(words)}: {ran.err}"
        said[words[0]] = ran.out
    assert "The order passed every hop." in said["order"]
    assert "Nothing is left" in said["cleanup"]
    assert os.listdir(own_state_dir)
