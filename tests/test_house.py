"""The house: who may import whom, what is explained, and what must not stand in a tracked file."""

import ast
import functools
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from support import ROOT

PACKAGE = ROOT / "src/workshop"
MODULES = {
    "workshop." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")
}
LESSONS = {
    path.relative_to(ROOT).as_posix(): path for folder in ("steps", "cleanup") for path in ROOT.glob(f"{folder}/*.py")
}
FUNCTIONS = {path.parent.name: path for path in ROOT.glob("src/lambda/*/index.py")}

#: The packages and modules of `src/workshop`, from the ground up: each imports only what stands before it.
FLOORS = ["base", "embedded", "aws", "kinds", "awscli", "build", "orders", "commands", "notebook", "cli", "__main__"]
#: The highest floor that lessons know.
LESSONS_KNOW = FLOORS.index("orders")


@functools.cache
def floor(module: str) -> int:
    """On which floor a module lives; what stands in no package or is none of ours lies beneath all."""
    first = module.split(".")[1] if "." in module else ""
    return FLOORS.index(first) if first in FLOORS else -1


@functools.cache
def imports(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it, those for type checkers as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            # `from workshop.commands import build` imports a module.
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & MODULES.keys() or {node.module}
    return found


def ours(path: Path) -> set[str]:
    return {name for name in imports(path) if name.split(".")[0] == "workshop"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module):
    assert module in ("workshop.__init__", "workshop.__main__", "workshop.cli") or floor(module) >= 0
    assert {one for one in ours(MODULES[module]) if floor(one) > floor(module)} == set()


def test_nobody_imports_in_a_circle():
    graph = {module.removesuffix(".__init__"): ours(path) for module, path in MODULES.items()}
    while leaves := {module for module, needed in graph.items() if not needed & graph.keys()}:
        graph = {module: needed for module, needed in graph.items() if module not in leaves}
    assert graph == {}


def reachable(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows, and from each package one to everything that its arrows lead to in the end."""
    while longer := {(a, d) for a, b in arrows for c, d in arrows if b == c} - arrows:
        arrows = arrows | longer
    return arrows


def test_the_picture_of_the_packages_is_the_code():
    page = (ROOT / "docs/guides/how-it-is-built.md").read_text(encoding="utf-8")
    picture = re.search(r"```mermaid\n(.*?)```", page, re.DOTALL)[1]
    drawn = set(re.findall(r"^ *(\w+) --> (\w+)$", re.sub(r'\[".*?"\]', "", picture), re.MULTILINE))
    shown = {name for name in FLOORS if not name.startswith("_")}
    folders = {module: module.split(".")[1] for module in MODULES} | dict.fromkeys(LESSONS, "lessons")
    arrows = {
        (folders[name], one.split(".")[1])
        for name, path in (MODULES | LESSONS).items()
        for one in ours(path)
        if "." in one
    }
    arrows = {(a, b) for a, b in arrows if a != b and {a, b} <= shown | {"lessons"}}
    # Drawn are the arrows that no others together make, so that the picture stays readable.
    needless = {(a, d) for a, b in reachable(arrows) for c, d in reachable(arrows) if b == c}
    assert drawn == arrows - needless


@pytest.mark.parametrize("path", [*MODULES.values(), *LESSONS.values(), *FUNCTIONS.values()], ids=str)
def test_a_file_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_only_the_door_imports_the_roof():
    everybody = {**MODULES, **LESSONS, **FUNCTIONS}
    assert [name for name, path in everybody.items() if "workshop.cli" in imports(path)] == ["workshop.__main__"]


@pytest.mark.parametrize("lesson", LESSONS)
def test_lessons_import_the_toolkit_and_not_each_other(lesson):
    assert {one for one in ours(LESSONS[lesson]) if floor(one) > LESSONS_KNOW} == set()
    assert {one for one in imports(LESSONS[lesson]) if one.split(".")[0] in ("steps", "cleanup", "cli")} == set()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_can_be_pasted_into_the_console(function):
    # What Lambda's Python has: the standard library, boto3 and what comes with it.
    assert {one.split(".")[0] for one in imports(FUNCTIONS[function])} <= sys.stdlib_module_names | {
        "boto3",
        "botocore",
    }


def public(path: Path) -> list[tuple[str, ast.AST]]:
    """The public functions, classes and methods of a file, by name."""
    found = []

    def walk(body, before):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and node.name[0] != "_":
                found.append((before + node.name, node))
            if isinstance(node, ast.ClassDef) and node.name[0] != "_":
                walk(node.body, f"{node.name}.")

    walk(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_is_explained_and_typed(module):
    path = MODULES[module]
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{module} says nothing of itself"
    for name, node in public(path):
        assert ast.get_docstring(node), f"{module}.{name} has no docstring"
        if isinstance(node, ast.FunctionDef):
            wanted = [
                a
                for a in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if a.arg not in ("self", "cls")
            ]
            untyped = [argument.arg for argument in wanted if argument.annotation is None]
            assert not untyped, f"{module}.{name} does not say what {untyped} are"
            assert node.returns is not None, f"{module}.{name} does not say what it returns"


@pytest.mark.parametrize("path", [*LESSONS.values(), *FUNCTIONS.values()], ids=[*LESSONS, *FUNCTIONS])
def test_a_lesson_opens_with_what_it_is_for(path):
    assert len(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()) > 3
    # A check says what holds in its decorator.
    silent = [
        name
        for name, node in public(path)
        if not ast.get_docstring(node) and not any("check" in ast.dump(decorator) for decorator in node.decorator_list)
    ]
    assert silent == []


def tracked() -> list[Path]:
    """The text files that the repository keeps."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in files if path.is_file() and b"\0" not in path.read_bytes()[:8000]]


#: What must not stand in a file, written so that it does not stand in this one.
FORBIDDEN = {
    "a path of somebody's machine": r"(?<![\w.~/$}<])/(?:wor[k]|hom[e]|roo[t]|User[s]|op[t])/\w",
    "a host of a package registry": r"pyp[i]\.org|pythonhoste[d]|registry\.np[m]js|index[-_]ur[l]\s*=|artifactor[y]",
    "a key of AWS": r"\bAKI[A](?!IOSFODNN7EXAMPLE)[A-Z0-9]{16}\b",
    "a conflict": r"^(?:<{7}|>{7}) ",
}


@pytest.mark.parametrize("pattern", FORBIDDEN.values(), ids=FORBIDDEN)
def test_no_tracked_file_holds(pattern):
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if re.search(pattern, line)
    ]
    assert found == []


def test_text_is_utf8_without_tabs_and_ends_with_a_line():
    wrong = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8")
        tabs = "\t" in text and path.name != "Makefile"
        # In a patch, an empty line of the patched file is a space.
        trailing = path.suffix != ".patch" and re.search(r"[ \t]$", text, re.MULTILINE)
        if tabs or "\r" in text or (text and not text.endswith("\n")) or trailing:
            wrong.append(path.relative_to(ROOT).as_posix())
    assert wrong == []


def test_nothing_is_tracked_that_is_made():
    names = [path.relative_to(ROOT).as_posix() for path in tracked()]
    assert [name for name in names if re.search(r"(^|/)(\.venv|\.workshop|__pycache__)/|\.pyc$|\.egg-info", name)] == []


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def pinned(path: str) -> dict[str, str]:
    """The packages that a requirements file pins, `{name: version}`; each with a hash."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / path).read_text(encoding="utf-8"))
    packages = {}
    for block in blocks:
        first = block.splitlines()[0]
        found = re.match(r"([a-z0-9.-]+)==([A-Za-z0-9.]+)( ; .*)? \\$", first)
        assert found, f"{path}: {first}"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), f"{path}: {first} has no hash"
        packages[found[1]] = found[2]
    return packages


def asked_for(extra: str) -> set[str]:
    """The names in pyproject.toml: of the build, of the workshop, and of one extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = [*project["build-system"]["requires"], *project["project"]["dependencies"], *EXTRAS[extra]]
    return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-") for line in lines}


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_package_is_pinned_by_version_and_hash(extra):
    packages = pinned(f"requirements/{extra}.txt")
    assert asked_for(extra) <= packages.keys()
    assert packages.items() <= pinned("constraints.txt").items()


def test_make_names_every_extra():
    listed = re.search(r"^EXTRAS := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert set(listed.split()) == EXTRAS.keys()


def test_checkov_is_pinned_too():
    assert "checkov" in pinned("requirements/checkov.txt")


def test_an_old_python_is_turned_away_before_anything_is_installed(tmp_path):
    # A Python that calls itself 3.10: what make asks of it comes after `-c`.
    old = tmp_path / "old-python"
    old.write_text(
        f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 10, 12)\nexec(sys.argv[sys.argv.index('-c') + 1])\n"
    )
    old.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "requirements"):
        (tmp_path / name).symlink_to(ROOT / name)
    for goal in ("demo", "test"):
        command = ["make", goal, f"PYTHON={old}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "Python 3.11 or newer is needed" in done.stderr
        assert not (tmp_path / ".venv").exists()


@pytest.mark.slow
def test_every_package_runs_on_the_oldest_python():
    # Slow tests come when everything is installed, the notebooks' packages too.
    oldest = re.search(r'requires-python = ">=([0-9.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]
    too_new = {
        distribution.name: distribution.metadata["Requires-Python"]
        for distribution in importlib.metadata.distributions()
        if not SpecifierSet(distribution.metadata["Requires-Python"] or "").contains(f"{oldest}.0")
    }
    assert too_new == {}
