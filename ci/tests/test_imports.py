"""A module of `utils` is imported at once: whatever takes seconds to import is imported where it is used."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from utils.settings import ROOT

MODULES = sorted((ROOT / "utils").glob("[!_]*.py"))
# It registers functions with transformers; only modules that compute with torch already import it.
REGISTERS = {"attention"}
SLOW = ("torch", "transformers", "trl", "peft", "datasets", "pandas", "matplotlib", "sqlglot", "gradio", "IPython")
# None in sys.modules is what Python takes for a package that cannot be imported.
IMPORT_ALL = """
import importlib, json, sys
slow, modules = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(slow))
faults = {}
for name in modules:
    try:
        importlib.import_module(f"utils.{name}")
    except ImportError as error:
        faults[name] = str(error)
print(json.dumps(faults))
"""


def subclasses(source: str) -> bool:
    """True if a class of the module has a base, written as a name, that comes from one of the slow packages."""
    tree = ast.parse(source)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    names = {name.name for node in imports if (node.module or "").split(".")[0] in SLOW for name in node.names}
    bases = [base for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases]
    plain = [base.value if isinstance(base, ast.Subscript) else base for base in bases]
    return any(isinstance(base, ast.Name) and base.id in names for base in plain)


def test_subclasses_are_found() -> None:
    assert subclasses("from torch.utils.data import Sampler\nclass Mine(Sampler[int]): ...")
    assert not subclasses("from utils.data import Sampler\nclass Mine(Sampler[int]): ...")
    assert not subclasses("from torch import Tensor\nclass Mine: ...")


@pytest.mark.parametrize("blocked", [("torch",), SLOW], ids=["without torch", "without anything slow"])
def test_only_modules_with_subclasses_need_torch(blocked: tuple[str, ...]) -> None:
    light = [path.stem for path in MODULES if not subclasses(path.read_text(encoding="utf-8"))]
    assert len(light) > 20
    command = [sys.executable, "-c", IMPORT_ALL, json.dumps([blocked, light])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    faults = json.loads(done.stdout)
    assert faults.keys() == REGISTERS, faults
