"""The notebooks of this repository: build, clean, check and open them.

Each notebook stands in git twice: as `notebooks/NN_name.ipynb`, which people run, and as `notebooks/source/NN_name.md`,
jupytext's Markdown, which people read, write and compare. Either can be edited: `--build` makes the notebooks from
the texts, `--clean` the texts from the notebooks; both leave in the notebooks nothing of a run. The drawback is that
every sentence stands there twice; `--check` sees to it that it is the same sentence.

jupytext keeps no cell ids in a text (jupytext/jupytext#1263). Ours are names that tests rely on, so a text has them
as `name`, the notebook format's metadata for that. JupyterLab is not told of the pairs: what somebody tries in a
notebook is to change no text.

Examples:
    python tools/notebooks.py --check
    python tools/notebooks.py --lab --no-browser
"""

import argparse
import copy
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jupytext
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
FIRST = "00_overview.ipynb"

#: How jupytext writes a text: of the metadata, nothing but the names and tags of cells.
MARKDOWN = {
    "extension": ".md",
    "format_name": "markdown",
    "cell_metadata_filter": "name,tags,-all",
    "notebook_metadata_filter": "-all",
}
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


def text_of(notebook: NotebookNode) -> str:
    """Write a notebook as a text: neither what a run left in it nor its empty cells."""
    notebook = copy.deepcopy(notebook)
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
    for cell in notebook.cells:
        cell.metadata.name = cell.id
    return str(jupytext.writes(notebook, fmt=MARKDOWN))


def built(text: str) -> str:
    """Make a notebook's file of a text, as JupyterLab writes it; a cell without a name is named after its place."""
    notebook = jupytext.reads(text, fmt=MARKDOWN)
    notebook.metadata, notebook.nbformat_minor = METADATA, 5
    for place, cell in enumerate(notebook.cells, start=1):
        cell.id = cell.metadata.get("name", f"cell-{place}")
        cell.metadata = {name: tags for name, tags in cell.metadata.items() if name == "tags"}
    return f"{jupytext.writes(notebook, fmt='ipynb')}\n"


def complaints(path: Path) -> Iterator[str]:
    """What is wrong with a notebook in git, one line each."""
    source = source_of(path)
    if not path.exists():
        yield "is not built: run tools/notebooks.py --build"
        return
    notebook = jupytext.read(path)
    if not source.exists() or source.read_text(encoding="utf-8") != text_of(notebook):
        yield f"differs from source/{source.name}: run --build if you edited the text, --clean if the notebook"
    if path.read_text(encoding="utf-8") != built(text_of(notebook)):
        yield "holds outputs or other traces of a run: run tools/notebooks.py --clean"
    cells = notebook.cells
    if len({cell.id for cell in cells}) < len(cells):
        yield "has two cells with one id"
    if not FEWEST <= len(cells) <= MOST:
        yield f"has {len(cells)} cells, and should have {FEWEST} to {MOST}"
    for before, cell in zip([None, *cells], cells, strict=False):
        if cell.cell_type == "code" and (before is None or before.cell_type == "code"):
            yield f"says nothing before the cell {cell.id}"
        if found := MACHINE.search(cell.source):
            yield f"names a place on a machine in the cell {cell.id}: {found[0]}"


def check() -> int:
    """Say what is wrong with the notebooks in git."""
    found = [f"{path.relative_to(ROOT)} {line}" for path in notebooks() for line in complaints(path)]
    print("\n".join(found) or f"{len(notebooks())} notebooks are clean.")
    return 1 if found else 0


def build() -> int:
    """Make the notebooks from the texts."""
    for source in sorted((FOLDER / "source").glob("*.md")):
        path = FOLDER / f"{source.stem}.ipynb"
        path.write_text(built(source.read_text(encoding="utf-8")), encoding="utf-8")
        source.write_text(text_of(jupytext.read(path)), encoding="utf-8")
    return 0


def clean() -> int:
    """Take out of the notebooks what a run left, and make the texts from them."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = jupytext.read(path)
        text = text_of(notebook)
        kept = {(cell.id, cell.source) for cell in jupytext.reads(built(text), fmt="ipynb").cells}
        if lost := [cell.id for cell in notebook.cells if cell.source.strip() and (cell.id, cell.source) not in kept]:
            sys.exit(f"{path.relative_to(ROOT)} stays as it is: jupytext's Markdown cannot hold the cell {lost[0]}.")
        path.write_text(built(text), encoding="utf-8")
        source_of(path).write_text(text, encoding="utf-8")
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
    for do in (check, clean, build):
        what.add_argument(f"--{do.__name__}", dest="do", action="store_const", const=do, help=do.__doc__)
    what.add_argument("--lab", action="store_true", help="open JupyterLab; further options are passed on to it")
    parser.add_argument("--root", type=Path, default=ROOT, help="with --lab: the folder that it shows")
    options, more = parser.parse_known_args()
    if options.lab:
        return lab(options.root.resolve(), more)
    if more:
        parser.error(f"unknown: {' '.join(more)}")
    return int(options.do())


if __name__ == "__main__":
    sys.exit(main())
