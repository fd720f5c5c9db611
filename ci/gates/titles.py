"""The titles of figures: they state what came out, so nobody can have written them before the run."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from importlib import import_module

from ci.contents import Contents
from ci.gates.code import parsed
from utils.settings import ROOT


def titles(page: Contents) -> list[str]:
    """No figure of `utils` gets a title that is written out in the cell."""
    return [
        f"Cell {cell.number} gives {name} a title written by hand. Leave it out, or make it from the figure's numbers."
        for cell in page.code
        for name in _titled_by_hand(parsed(cell))
    ]


@cache
def places() -> dict[str, int]:
    """For each function that draws a figure and takes a title, the place of the title among its arguments."""
    found = {}
    for path in sorted((ROOT / "utils").glob("*plots.py")):
        module = import_module(f"utils.{path.stem}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            signature = inspect.signature(function)
            if signature.return_annotation == "Figure" and "title" in signature.parameters:
                found[name] = list(signature.parameters).index("title")
    return found


def _titled_by_hand(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
        if name in places():
            named = [keyword.value for keyword in node.keywords if keyword.arg == "title"]
            if any(isinstance(value, ast.Constant) for value in [*named, *node.args[places()[name] :][:1]]):
                yield name
