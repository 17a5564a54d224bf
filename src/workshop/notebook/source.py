"""Files of this repository in a notebook, or some of their functions."""

import ast
from collections.abc import Iterable, Iterator

from workshop.base.files import ROOT
from workshop.notebook.page import display_markdown, fenced


def show(path: str, *names: str) -> None:
    """Show a file of this repository with its syntax highlighted, or some of its functions.

    Args:
        path: from the repository's root, such as `steps/03_sqs.py`.
        names: of functions, classes or constants; none stands for the whole file.
    """
    text = (ROOT / path).read_text(encoding="utf-8")
    language = {"py": "python", "json": "json"}.get(path.rsplit(".", 1)[-1], "")
    for first, part in _parts(text, names) if names else [(1, text.rstrip("\n"))]:
        last = first + part.count("\n")
        display_markdown(f"[`{path}`](../{path}), lines {first} to {last}\n\n{fenced(part, language)}")


def _parts(text: str, names: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The definitions of some names in a Python text, with their decorators and the comment above."""
    lines, tree = text.splitlines(), ast.parse(text)
    defined: dict[str, ast.stmt] = {}
    for node in tree.body:
        for name in _names(node):
            defined[name] = node
    for name in names:
        node = defined[name]
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        while lines[first - 2].startswith("#"):
            first -= 1
        yield first, "\n".join(lines[first - 1 : node.end_lineno])


def _names(node: ast.stmt) -> list[str]:
    """What a statement defines: a function, a class, constants with or without a type."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []
