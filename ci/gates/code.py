"""The code of a notebook: it parses, cells are short, names are defined above, and trainers know their keywords."""

from __future__ import annotations

import ast
import builtins
import inspect
import symtable
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from statistics import median

from ci.contents import Cell, Contents

MOST_LINES, MOST_MEDIAN_LINES = 25, 6
CONFIGURATIONS = {"SFTConfig": "trl", "DPOConfig": "trl", "GRPOConfig": "trl", "LoraConfig": "peft"}
# What a notebook has without defining it.
KNOWN = {*dir(builtins), "__name__", "display", "get_ipython"}


def parses(page: Contents) -> list[str]:
    """Every code cell is Python, apart from IPython's own lines, such as `!git …`."""
    faults = []
    for cell in page.code:
        try:
            parsed(cell)
        except SyntaxError as error:
            faults.append(f"Cell {cell.number} is not Python: {error.msg}, line {error.lineno}.")
    return faults


def lengths(page: Contents) -> list[str]:
    """Cells are short enough to be read at a glance."""
    counts = {cell.number: len(cell.source.splitlines()) for cell in page.code}
    faults = [
        f"Cell {number} has {count} lines; no code cell may have more than {MOST_LINES}. Split it."
        for number, count in counts.items()
        if count > MOST_LINES
    ]
    middle = median(counts.values() or [0])
    if middle > MOST_MEDIAN_LINES:
        faults.append(f"The median of the code cells is {middle:g} lines; it may be {MOST_MEDIAN_LINES} at most.")
    return faults


def names(page: Contents) -> list[str]:
    """Every name that a cell uses, in its functions too, is defined in that cell or above it."""
    defined, faults = set(KNOWN), []
    for cell in page.code:
        table = symtable.symtable(ast.unparse(parsed(cell)), f"cell {cell.number}", "exec")
        defined |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        missing = sorted(set(_asked_of_module(table)) - defined)
        faults += [f"Cell {cell.number} uses {name}, which no cell above defines." for name in missing]
        defined |= set(missing)
    return faults


def keywords(page: Contents) -> list[str]:
    """Every keyword passed to SFTConfig, DPOConfig, GRPOConfig and LoraConfig is one that the installed class takes."""
    trees = {cell.number: parsed(cell) for cell in page.code}
    dictionaries = _dictionaries(trees.values())
    faults = []
    for number, tree in trees.items():
        for name, keyword in _passed(tree, dictionaries):
            if keyword not in accepted(name):
                faults.append(f"Cell {number} passes {keyword} to {name}, which does not take it.")
    return faults


@cache
def accepted(name: str) -> frozenset[str]:
    """The keywords of a configuration class of TRL or PEFT, as installed."""
    return frozenset(inspect.signature(getattr(import_module(CONFIGURATIONS[name]), name)).parameters)


def parsed(cell: Cell) -> ast.Module:
    """The code of a cell, IPython's own lines turned into calls. Raises SyntaxError."""
    from IPython.core.inputtransformer2 import TransformerManager

    return ast.parse(TransformerManager().transform_cell(cell.source))


def _asked_of_module(table: symtable.SymbolTable, inner: bool = False) -> Iterator[str]:
    """Names that a cell, or a function in it, takes from the notebook's variables."""
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (symbol.is_global() or not inner) and not symbol.is_parameter():
            yield symbol.get_name()
    for child in table.get_children():
        yield from _asked_of_module(child, inner=True)


def _passed(tree: ast.Module, dictionaries: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """(class, keyword) for the configuration classes, the keys of `**dictionary` included where they can be read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            for keyword in node.keywords if name in CONFIGURATIONS else []:
                for passed in [keyword.arg] if keyword.arg else sorted(_keys(keyword.value, dictionaries)):
                    yield name, passed


def _dictionaries(trees: Iterable[ast.Module]) -> dict[str, set[str]]:
    """The keys of the dictionaries that are written out in a notebook, by the variable they are assigned to."""
    found: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, set()).update(_keys(node.value, found))
    return found


def _keys(value: ast.expr, dictionaries: dict[str, set[str]]) -> set[str]:
    """The keys of a dictionary as far as they are written out; empty for anything else."""
    if isinstance(value, ast.Dict):
        return {key.value for key in value.keys if isinstance(key, ast.Constant)}
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr):
        return _keys(value.left, dictionaries) | _keys(value.right, dictionaries)
    if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "dict":
        return {keyword.arg for keyword in value.keywords if keyword.arg}
    return dictionaries.get(value.id, set()) if isinstance(value, ast.Name) else set()
