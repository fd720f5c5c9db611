"""The folder of a Hugging Face Space: the page "Ask your database", and beside it all that it needs of the course.

Which modules that is, a program finds by following their imports; so the folder works where the course is not.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from utils.cards import base_and_licence
from utils.data import read_dataset, stage_databases
from utils.difficulty import LEVELS
from utils.settings import ROOT
from utils.stages import write_lines, write_text

# What the page's modules need when it answers; their other imports serve training.
PACKAGES = ("torch", "transformers", "gradio", "sqlglot")
EXAMPLE_QUESTIONS = 6
PYTHON = "3.11"

APP = '''"""Ask your database: a page where a question in English becomes a SQL query. Start it with `python app.py`."""

import os
from pathlib import Path

from utils.databases import find_databases
from utils.page import build_page, launch_settings

HERE = Path(__file__).resolve().parent
# A repository of the Hub, or a folder beside this file. In the settings of a Space, the variable MODEL says another.
MODEL = os.environ.get("MODEL", {model})
UNTUNED = {untuned}  # the model before training, to compare with

found = HERE / MODEL
page = build_page(str(found) if found.is_dir() else MODEL, find_databases(HERE / "databases"), untuned=UNTUNED)

if __name__ == "__main__":
    page.launch(**launch_settings())
'''

README = """---
title: Ask your database
emoji: 🔎
colorFrom: blue
colorTo: yellow
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
license: apache-2.0
models: {models}
short_description: A question in English becomes a SQL query
---
# Ask your database

A question in English and a SQLite file go in, a query and its rows come out. The query is written by {base},
fine-tuned, and run in a sandbox that only reads.

    pip install -r requirements.txt
    python app.py

**The model** is `{model}`: {where}. The variable `MODEL` says another.

**The example database** in `databases` is one that the model was not trained on. Put your own `NAME.sqlite` files
there, and beside them `NAME.jsonl` with questions to click on, one `{{"question": "…"}}` a line.

`utils` holds the modules of the fine-tuning course that the page needs; their licence is in `LICENSE`.
"""


def write_space(folder: Path, dataset: Path, *, base: str, model: str = "") -> None:
    """Write the folder of a Space.

    Args:
        folder: where to; made if it is missing.
        dataset: the dataset stage, for a database of the validation split and questions about it.
        base: the base model, as the run names it.
        model: the repository of the tuned model on the Hub; without one, the page looks for a folder `model` in here.
    """
    name, _ = base_and_licence(base)
    app = APP.format(model=json.dumps(model or "model"), untuned=json.dumps(name) if "/" in name else None)
    write_text(folder / "app.py", app)
    for file in files_needed(app):
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    pins = pinned_versions()
    write_text(folder / "requirements.txt", "".join(f"{name}=={pins[name]}\n" for name in PACKAGES))
    where = "a repository of the Hub" if model else "a folder beside `app.py`, to which you copy the tuned weights"
    about = {"gradio": pins["gradio"], "python": PYTHON, "base": name, "model": model or "model", "where": where}
    write_text(folder / "README.md", README.format(models=[model] if model else [], **about))
    _copy_example(dataset, folder / "databases")


def files_needed(source: str, root: Path = ROOT) -> list[Path]:
    """The project's files that a program imports, directly or through others, and those that they name beside them.

    Imports that only a type checker follows do not count.
    """
    found: set[Path] = set()
    waiting = list(_imports(ast.parse(source)))
    while waiting:
        module = waiting.pop()
        file = _file_of(module, root)
        if file is None or file in found:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found |= {file, *(file.with_name(name) for name in _named_beside(tree))}
        waiting += [module.rpartition(".")[0], *_imports(tree)]
    return sorted(found)


def pinned_versions(requirements: Path = ROOT / "requirements.txt") -> dict[str, str]:
    """The versions that a requirements file pins, by package."""
    pattern = re.compile(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s#;]+)", re.MULTILINE)
    return dict(pattern.findall(requirements.read_text(encoding="utf-8")))


def _imports(tree: ast.AST) -> Iterator[str]:
    """Names that may be modules: `from a import b` gives a and a.b."""
    if isinstance(tree, ast.Import):
        yield from (alias.name for alias in tree.names)
    if isinstance(tree, ast.ImportFrom) and tree.module and not tree.level:
        yield from (tree.module, *(f"{tree.module}.{alias.name}" for alias in tree.names))
    if not (isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING"):
        for node in ast.iter_child_nodes(tree):
            yield from _imports(node)


def _named_beside(tree: ast.AST) -> Iterator[str]:
    """What a module reads from its own folder: the texts in calls such as `Path(__file__).with_name("page.css")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Path(__file__).with_name":
            yield ast.literal_eval(node.args[0])


def _file_of(module: str, root: Path) -> Path | None:
    """The file of a module of the project; None for one that is not the project's."""
    place = root.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _copy_example(dataset: Path, folder: Path) -> None:
    """The smallest database of the validation split, with its easiest questions."""
    questions, _ = read_dataset(dataset, "validation")
    files = stage_databases(dataset)
    database = min({question.database for question in questions}, key=lambda name: files[name].stat().st_size)
    about_it = [question for question in questions if question.database == database]
    easiest = sorted(about_it, key=lambda question: (LEVELS.index(question.difficulty), len(question.sql)))
    write_lines(folder / f"{database}.jsonl", [{"question": q.question} for q in easiest[:EXAMPLE_QUESTIONS]])
    shutil.copyfile(files[database], folder / f"{database}.sqlite")
