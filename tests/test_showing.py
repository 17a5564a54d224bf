"""What the notebooks show of this repository's files."""

import ast
import re

import pytest
from support import ROOT

from workshop.notebook import source

SHOWN = [
    (page.name, *ast.literal_eval(f"({arguments},)"))
    for page in sorted((ROOT / "notebooks/source").glob("*.md"))
    for arguments in re.findall(r"^nb\.show\((.+)\)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed, instead of displaying it."""
    texts = []
    monkeypatch.setattr(source, "display_markdown", texts.append)
    return texts


@pytest.mark.parametrize(("page", "path", "names"), [(page, path, names) for page, path, *names in SHOWN])
def test_each_name_is_found(page, path, names, displayed):
    source.show(path, *names)
    assert len(displayed) == (len(names) or 1)
    for name, text in zip(names, displayed, strict=False):
        assert re.search(rf"^(def |class )?{name}\b", text, re.MULTILINE), text


def test_every_page_shows_something():
    assert len({page for page, *_ in SHOWN}) >= 8
