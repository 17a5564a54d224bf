"""The pictures of the terminal: made from real runs, shown in a page, and current."""

import importlib.util
import re
import sys

import pytest
from support import ROOT

pytestmark = pytest.mark.slow

FILES = {path.stem.removeprefix("terminal-"): path for path in sorted(ROOT.glob("docs/images/terminal-*.svg"))}
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


@pytest.fixture(scope="module")
def tool():
    """`tools/pictures.py` as a module."""
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "tools/pictures.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["pictures"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["pictures"]


def steady(lines):
    """What stays the same from run to run: the words; numbers, ids and the breaks between lines differ."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", " ".join(lines))
    text = re.sub(r"execute-api/\w+", "execute-api/ID", text)
    return " ".join(re.sub(r"\d[\d.,:]*", "0", text).split())


def test_there_is_a_file_for_each_picture_and_no_other(tool):
    assert sorted(FILES) == sorted(tool.PICTURES)


@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_shown_with_words_for_those_who_cannot_see_it(name):
    shown = [text for page in PAGES for text in
             re.findall(rf"!\[([^\]]+)\]\([^)]*terminal-{name}\.svg\)", page.read_text(encoding="utf-8"))]  # fmt: skip
    assert shown
    assert min(map(len, shown)) > 30


@pytest.mark.parametrize("name", FILES)
def test_a_picture_loads_nothing_and_says_nothing_of_a_machine(name):
    svg = FILES[name].read_text(encoding="utf-8")
    hosts = set(re.findall(r"https?://([^/\"<:]+)", svg))
    assert hosts <= {"www.w3.org", "127.0.0.1"}
    assert "@import" not in svg
    assert "url(" not in re.sub(r"url\(#", "", svg)
    assert not re.search(r"/(tmp|root|home|Users|var|work)/", svg)


def test_all_pictures_have_one_width():
    assert len({re.search(r'viewBox="0 0 ([\d.]+) ', path.read_text(encoding="utf-8"))[1] for path in
                FILES.values()}) == 1  # fmt: skip


def test_the_pictures_are_current(tool):
    """Everything is run again; a picture has the words that its command prints now."""
    taken = 0
    for picture, svg in tool.session():
        was = tool.text_of(FILES[picture.name].read_text(encoding="utf-8"))
        assert steady(was) == steady(tool.text_of(svg)), f"{picture.name}: make docs"
        assert len(was) > 3
        taken += 1
    assert taken == len(FILES)


def test_what_was_drawn_over_is_gone(tool):
    sent = "first\r\n\x1b[?25lworking 1\r\x1b[2Kworking 2\r\n\r\x1b[1A\x1b[2K\x1b[32mdone\x1b[0m\r\n\x1b[?25h"
    assert tool.shown(sent) == ["first", "\x1b[32mdone\x1b[0m"]


def test_a_picture_has_the_text_that_was_printed(tool):
    drawn = tool.draw(tool.Picture("x", "workshop x", since="b"), ["a <&", "b  \x1b[31mred\x1b[0m <&> 1", "  c"])
    assert tool.text_of(drawn) == ["$ workshop x", "…", "b  red <&> 1", "  c"]


def test_a_command_that_fails_makes_no_picture(tool, tmp_path):
    with pytest.raises(SystemExit, match="exit code 2 instead of 0"):
        tool.run("workshop nonsense", 0, tmp_path)
