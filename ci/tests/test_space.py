"""The folder of a Space works where the course is not: it holds every file it needs, and names every package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ci.checks.tiny_model import make_tiny_model
from utils.settings import ROOT
from utils.space import PACKAGES, files_needed, pinned_versions, write_space
from utils.sql import build_database
from utils.stages import write_lines

# Answers a question as the page does, then tells where the modules of the course came from.
ASK = """
import json, sys
from pathlib import Path
sys.modules.update(dict.fromkeys(json.loads(sys.argv[1])))  # None is a package that cannot be imported
import app
from utils.asking import Asker
from utils.databases import find_databases
database = find_databases(Path("databases"))[0]
answer = Asker.of("model", database.path).ask(database.questions[0], database)
own = {name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] in ("utils", "ci", "data")}
print(json.dumps({"title": app.page.title, "question": database.questions[0], "text": answer.text, "own": own}))
"""
# What the course installs, and a Space does not: its requirements name others, and those need none of these.
ABSENT = ("datasets", "trl", "peft", "accelerate", "datasketch", "sacrebleu", "matplotlib", "papermill", "IPython")


def question(number: int, difficulty: str, sql: str) -> dict[str, object]:
    """A line of the dataset."""
    fields = {"id": str(number), "split": "validation", "database": "zoo", "origin": "written"}
    return fields | {"question": f"Question {number}?", "sql": sql, "difficulty": difficulty}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset stage with two databases; the questions of the validation split are about one of them."""
    folder = tmp_path / "dataset"
    for name in ("zoo", "harbour"):
        build_database("CREATE TABLE animal (name TEXT);", folder / "databases" / f"{name}.sqlite")
    build_database("CREATE TABLE animal (name TEXT);", folder / "databases" / "zoo.1.sqlite")
    rows = [question(1, "hard", "SELECT 1"), question(2, "easy", "SELECT name"), question(3, "easy", "SELECT 1")]
    write_lines(folder / "validation.jsonl", rows + [question(4 + i, "extra hard", "SELECT 1") for i in range(5)])
    return folder


def test_folder(dataset: Path, tmp_path: Path) -> None:
    space = tmp_path / "space"
    write_space(space, dataset, base="smollm2-135m", model="me/mine")
    header = yaml.safe_load((space / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    pins = pinned_versions()
    assert (header["sdk"], header["sdk_version"], header["app_file"]) == ("gradio", pins["gradio"], "app.py")
    assert header["models"] == ["me/mine"]
    assert len(header["short_description"]) <= 60  # the Hub takes no more
    required = (space / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert required == [f"{name}=={pins[name]}" for name in PACKAGES]
    app = (space / "app.py").read_text(encoding="utf-8")
    assert 'os.environ.get("MODEL", "me/mine")' in app
    assert 'UNTUNED = "HuggingFaceTB/SmolLM2-135M-Instruct"' in app
    assert sorted(path.name for path in (space / "databases").iterdir()) == ["zoo.jsonl", "zoo.sqlite"]
    assert (space / "utils" / "page.css").is_file()
    assert not (space / "utils" / "finetune.py").exists()
    assert (space / "LICENSE").is_file()


def test_easiest_questions_come_first(dataset: Path, tmp_path: Path) -> None:
    write_space(tmp_path / "space", dataset, base="smollm2-135m")
    lines = (tmp_path / "space" / "databases" / "zoo.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["question"][9] for line in lines] == list("321456")


def test_base_model_of_this_machine_is_not_compared_with(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    write_space(tmp_path / "space", dataset, base=str(tmp_path / "my-model"))
    for path in (tmp_path / "space").rglob("*.*"):
        assert str(tmp_path) not in path.read_bytes().decode("utf-8", errors="ignore"), path
    assert "UNTUNED = None" in (tmp_path / "space" / "app.py").read_text(encoding="utf-8")


def test_starts_alone_and_answers(dataset: Path, tmp_path: Path) -> None:
    space = tmp_path / "space"
    write_space(space, dataset, base="smollm2-135m")
    make_tiny_model(space / "model")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    settings = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(ABSENT)],
        cwd=space,
        env=kept | settings,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["title"], said["question"]) == ("Ask your database", "Question 3?")
    assert said["text"]
    assert len(said["own"]) > 20
    assert all(Path(file).is_relative_to(space) for file in said["own"].values()), said["own"]


def test_every_module_that_is_copied_can_be_imported_there(dataset: Path, tmp_path: Path) -> None:
    space = tmp_path / "space"
    write_space(space, dataset, base="smollm2-135m")
    # `attention` registers with transformers, which takes seconds; the test before this one uses it.
    names = sorted(f"utils.{path.stem}" for path in (space / "utils").glob("[!_]*.py") if path.stem != "attention")
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.'); {code}", *names], cwd=space
    )
    assert done.returncode == 0


# --- Which files are needed --------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a few modules."""
    files = {
        "utils/__init__.py": "",
        "utils/one.py": "from __future__ import annotations\nfrom utils.two import thing\nimport json, torch\n",
        "utils/two.py": "def f():\n    from utils import three\n    return three\n",
        "utils/three.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from utils.four import x\n",
        "utils/four.py": "",
        "utils/style.py": "from pathlib import Path\nS = Path(__file__).with_name('style.css')\nimport ci.deep.tool\n",
        "utils/style.css": "",
        "ci/__init__.py": "",
        "ci/deep/__init__.py": "",
        "ci/deep/tool.py": "import utils.style\n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("import json", []),
        ("import utils", ["utils/__init__.py"]),
        ("from utils.one import x", ["utils/__init__.py", "utils/one.py", "utils/three.py", "utils/two.py"]),
        ("from utils import four", ["utils/__init__.py", "utils/four.py"]),
        (
            "import utils.style",
            [
                "ci/__init__.py",
                "ci/deep/__init__.py",
                "ci/deep/tool.py",
                "utils/__init__.py",
                "utils/style.css",
                "utils/style.py",
            ],
        ),
    ],
)
def test_files_needed(project: Path, source: str, needed: list[str]) -> None:
    assert [path.relative_to(project).as_posix() for path in files_needed(source, project)] == needed


def test_missing_style_would_be_noticed() -> None:
    needed = files_needed("from utils.page import build_page")
    assert all(path.is_file() for path in needed)
    assert ROOT / "utils" / "page.css" in needed
