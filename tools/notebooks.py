"""The notebooks of this repository: build, clean, check and open them.

Each notebook stands in git twice: as `notebooks/NN_name.ipynb`, which people run, and as `notebooks/source/NN_name.md`,
which people read, write and compare. Either can be edited: `--build` makes the notebooks from the texts, `--clean`
takes out of the notebooks what a run left in them, and carries their cells over into the texts. The drawback is that
every sentence stands there twice; `--check` sees to it that it is the same sentence.

In a text, a comment opens each cell: `<!-- md id -->` or `<!-- py id tag … -->`, then Markdown, or Python between
fences.

Examples:
    python tools/notebooks.py --check
    python tools/notebooks.py --lab --no-browser
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
FIRST = "00_overview.ipynb"

Notebook = dict[str, Any]

OPENING = re.compile(r"^<!-- (md|py) ([a-z0-9-]+)((?: [a-z-]+)*) -->$", re.MULTILINE)
KINDS = {"md": "markdown", "py": "code"}
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
#: What betrays the machine on which a notebook was run.
MACHINE = re.compile(
    r"(?<![\w./])/(home|Users|root|tmp|private|var|work|mnt)/\w|[A-Z]:\\\\|127\.0\.0\.1:\d|localhost:\d"
)
FEWEST, MOST = 20, 40


def source_of(path: Path) -> Path:
    """Where the text of a notebook is."""
    return path.parent / "source" / f"{path.stem}.md"


def notebooks() -> list[Path]:
    """All notebooks of this repository, in order; those that are not built yet among them."""
    return sorted(
        {FOLDER / f"{path.stem}.ipynb" for path in (FOLDER / "source").glob("*.md")} | set(FOLDER.glob("*.ipynb"))
    )


def from_text(text: str) -> Notebook:
    """Make a notebook of a text."""
    parts = OPENING.split(text)
    cells = []
    for kind, name, tags, content in zip(parts[1::4], parts[2::4], parts[3::4], parts[4::4], strict=True):
        content = content.strip("\n")
        if kind == "py":
            content = content.removeprefix("```python\n").removesuffix("\n```")
        cell = {"cell_type": KINDS[kind], "id": name, "metadata": {"tags": tags.split()} if tags else {}}
        cells.append(cell | {"source": content.splitlines(keepends=True)})
    return cleaned({"cells": cells})


def to_text(notebook: Notebook) -> str:
    """Write a notebook as a text."""
    parts = []
    for cell in notebook["cells"]:
        content = "".join(cell["source"])
        code = cell["cell_type"] == "code"
        opening = " ".join(["py" if code else "md", cell["id"], *cell["metadata"].get("tags", [])])
        parts.append(f"<!-- {opening} -->\n" + (f"```python\n{content}\n```" if code else content))
    return "\n\n".join(parts) + "\n"


def cleaned(notebook: Notebook) -> Notebook:
    """A notebook without what a run, a machine or an editor left in it."""
    cells = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).rstrip()
        if not source:
            continue
        kept = {
            "cell_type": cell["cell_type"],
            "id": cell["id"],
            "metadata": {"tags": sorted(cell["metadata"]["tags"])} if cell["metadata"].get("tags") else {},
            "source": source.splitlines(keepends=True),
        }
        cells.append(kept | ({"execution_count": None, "outputs": []} if cell["cell_type"] == "code" else {}))
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def written(notebook: Notebook) -> str:
    """A notebook as a file, in the form in which JupyterLab writes it, so that diffs show the cells that changed."""
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read(path: Path) -> Notebook:
    """Read a notebook."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def complaints(path: Path) -> Iterator[str]:
    """What is wrong with a notebook in git, one line each."""
    if not path.exists():
        yield "is not built: run tools/notebooks.py --build"
        return
    text, notebook = path.read_text(encoding="utf-8"), read(path)
    if text != written(cleaned(notebook)):
        yield "holds outputs or other traces of a run: run tools/notebooks.py --clean"
    source = source_of(path)
    if not source.exists() or source.read_text(encoding="utf-8") != to_text(cleaned(notebook)):
        yield f"differs from source/{source.name}: run --build if you edited the text, --clean if the notebook"
    cells = notebook["cells"]
    if len({cell["id"] for cell in cells}) < len(cells):
        yield "has two cells with one id"
    if not FEWEST <= len(cells) <= MOST:
        yield f"has {len(cells)} cells, and should have {FEWEST} to {MOST}"
    for before, cell in zip([None, *cells], cells, strict=False):
        if cell["cell_type"] == "code" and (before is None or before["cell_type"] == "code"):
            yield f"says nothing before the cell {cell['id']}"
        if found := MACHINE.search("".join(cell["source"])):
            yield f"names a place on a machine in the cell {cell['id']}: {found[0]}"


def check() -> int:
    """Print what is wrong.

    Returns:
        The exit code.
    """
    found = [f"{path.relative_to(ROOT)} {line}" for path in notebooks() for line in complaints(path)]
    print("\n".join(found) or f"{len(notebooks())} notebooks are clean.")
    return 1 if found else 0


def build() -> int:
    """Make the notebooks from the texts."""
    for path in notebooks():
        path.write_text(written(from_text(source_of(path).read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


def clean() -> int:
    """Take out of the notebooks what a run left, and carry their cells over into the texts."""
    for path in notebooks():
        notebook = cleaned(read(path))
        path.write_text(written(notebook), encoding="utf-8")
        source_of(path).write_text(to_text(notebook), encoding="utf-8")
    return 0


def lab(root: Path, arguments: list[str]) -> int:
    """Become JupyterLab: on the loopback interface, with a token, with the kernel of this Python, at notebook 00.

    Args:
        root: the folder that it shows; pictures and steps are linked from the notebooks, so it is the repository's.
        arguments: more of `jupyter lab`, such as `--no-browser`.
    """
    # A kernel of the same name in the user's home has another Python, which knows no workshop.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    # Our defaults for JupyterLab (no news, no tour); what the user set in JupyterLab still wins.
    config = [str(FOLDER / ".jupyter"), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(config)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    start = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={root}"]
    sys.stdout.flush()
    os.execv(sys.executable, [*start, f"--LabApp.default_url=/lab/tree/notebooks/{FIRST}", *arguments])


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description="Build, clean, check or open the notebooks.")
    what = parser.add_mutually_exclusive_group(required=True)
    for name, text in {
        "check": "say what is wrong with the notebooks in git",
        "clean": "take out what a run left, and carry the cells over into the texts",
        "build": "make the notebooks from the texts",
        "lab": "open JupyterLab; further options are passed on to it",
    }.items():
        what.add_argument(f"--{name}", action="store_true", help=text)
    parser.add_argument("--root", type=Path, default=ROOT, help="with --lab: the folder that it shows")
    options, more = parser.parse_known_args()
    if options.lab:
        return lab(options.root.resolve(), more)
    if more:
        parser.error(f"unknown: {' '.join(more)}")
    return check() if options.check else clean() if options.clean else build()


if __name__ == "__main__":
    sys.exit(main())
