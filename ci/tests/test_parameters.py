"""Reading what notebooks take, and refusing what does not fit, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.errors import UsageError
from ci.parameters import (
    Type,
    notebook_parameters,
    parse_value,
    profile_parameters,
    read_notebook,
    read_notebooks,
    read_parameters,
    read_profile,
)
from ci.plan import Request, make_steps, select
from ci.project import Project
from ci.tests.conftest import ROOT, WriteNotebook

CELL = """run_name: str = "course"  # where results go
learning_rate: float = 5e-4  # the peak, after warm-up
max_steps: int | None = None
packing: bool = False
layers: list[str] = ["q_proj", "v_proj"]  # adapted layers
ratio: float = 1
"""


def test_cell_is_read_with_types_defaults_and_comments() -> None:
    parameters = read_parameters(CELL, "x")
    assert list(parameters) == ["run_name", "learning_rate", "max_steps", "packing", "layers", "ratio"]
    assert str(parameters["learning_rate"]) == "learning_rate: float = 5e-4  # the peak, after warm-up"
    assert parameters["max_steps"].type == Type("int", optional=True)
    assert parameters["layers"].default == ["q_proj", "v_proj"]
    assert isinstance(parameters["ratio"].default, float)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("learning_rate", "1e-4", 1e-4),
        ("learning_rate", "2", 2.0),
        ("max_steps", "007", 7),
        ("max_steps", "none", None),
        ("packing", "true", True),
        ("packing", "False", False),
        ("layers", "q_proj, o_proj", ["q_proj", "o_proj"]),
        ("layers", "", []),
        ("run_name", "true", "true"),
        ("run_name", "a=b", "a=b"),
    ],
)
def test_value_gets_the_type_of_its_parameter(name: str, text: str, value: object) -> None:
    parsed = parse_value(read_parameters(CELL, "x")[name], text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("learning_rate", "fast"), ("learning_rate", "nan"), ("max_steps", "1.5"), ("packing", "yes"), ("packing", "1")],
)
def test_value_of_another_type_is_refused_in_one_line(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"{name}={text} does not fit") as caught:
        parse_value(read_parameters(CELL, "x")[name], text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("x = 3", "write a parameter as"),
        ("x: dict = {}", "has the type dict"),
        ("x: int = 'three'", "the default of x is not an int"),
        ("x: int = True", "the default of x is not an int"),
        ("x: int = 1 +", "is not Python"),
    ],
)
def test_faulty_cell_is_refused(cell: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        read_parameters(cell, "notebooks/x.ipynb")


def test_notebook_without_parameters_cell_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "00_x.ipynb"
    path.write_text('{"cells": []}', encoding="utf-8")
    with pytest.raises(UsageError, match="0 cells tagged"):
        read_notebook(path)
    path.write_text("nonsense", encoding="utf-8")
    with pytest.raises(UsageError, match="is not a notebook"):
        read_notebook(path)


def test_unknown_parameter_is_refused_with_a_hint(project: Project, write_notebook: WriteNotebook) -> None:
    write_notebook("02_prepare", parameters="size: int = 3")
    write_notebook("03_train", parameters="learning_rate: float = 0.1")
    notebooks = read_notebooks(project.notebooks)
    with pytest.raises(UsageError, match=r"No notebook has a parameter lerning_rate\. Did you mean learning_rate\?"):
        make_steps(project, Request(assignments=("lerning_rate=1",)), notebooks)
    with pytest.raises(UsageError, match="belongs to notebook 03"):
        make_steps(project, Request(only="02", assignments=("learning_rate=1",)), notebooks)
    with pytest.raises(UsageError, match="--name"):
        make_steps(project, Request(assignments=("run_name=x",)), notebooks)


def test_values_reach_the_notebooks_that_have_them(project: Project, write_notebook: WriteNotebook) -> None:
    write_notebook("02_prepare", parameters="size: int = 3")
    write_notebook("03_train", parameters="rate: float = 0.1")
    (project.profiles / "smoke.yaml").write_text(
        "description: x\nparameters: {seed: 5, rate: 2e-4}\nnotebooks:\n  02: {size: 1}\n", encoding="utf-8"
    )
    request = Request(profile="smoke", assignments=("seed=9", "size=3"))
    steps = make_steps(project, request, read_notebooks(project.notebooks))
    assert steps[0].values == {"run_name": "smoke", "profile": "smoke", "seed": 9}
    assert steps[1].values == {"run_name": "smoke", "profile": "smoke", "seed": 9, "rate": 2e-4}
    train = project.notebooks / "03_train.ipynb"
    assert profile_parameters("smoke", train) == {"seed": 5, "rate": 2e-4}
    assert "rate" in notebook_parameters(train)


def test_defaults_are_not_passed(project: Project, write_notebook: WriteNotebook) -> None:
    write_notebook("02_prepare", parameters="size: int = 3")
    steps = make_steps(project, Request(assignments=("size=3",)), read_notebooks(project.notebooks))
    assert steps[0].values == {}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("parameters: {nonsense: 1}", "has no parameter nonsense"),
        ("parameters: {size: 1.5}", "size is an int"),
        ("parameters: {run_name: x}", "is set by --name"),
        ("notebooks: {'12': {size: 1}}", "there is no notebook 12"),
        ("settings: 1", "unknown entry settings"),
        ("a: [", "is not YAML"),
    ],
)
def test_faulty_profile_is_refused(project: Project, write_notebook: WriteNotebook, content: str, fault: str) -> None:
    write_notebook("02_prepare", parameters="size: int = 3")
    path = project.profiles / "cpu.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=fault):
        read_profile(path, read_notebooks(project.notebooks))


def test_selection(project: Project, write_notebook: WriteNotebook) -> None:
    for name in ("00_start", "05_evaluate", "07_deploy", "08_tools"):
        write_notebook(name)
    notebooks = read_notebooks(project.notebooks)

    def numbers(**options: str) -> list[str]:
        return [notebook.number for notebook in select(Request(**options), notebooks)]

    assert numbers() == ["00", "05", "07"]
    assert numbers(start="5") == ["05", "07"]
    assert numbers(only="08") == ["08"]
    assert numbers(only="notebooks/05_evaluate.ipynb") == ["05"]
    with pytest.raises(UsageError, match="There is no notebook 12"):
        numbers(only="12")
    with pytest.raises(UsageError, match="--only 08"):
        numbers(start="08")


def test_missing_stage_is_told_before_running(project: Project, write_notebook: WriteNotebook) -> None:
    for name in ("02_prepare", "03_train", "05_evaluate"):
        write_notebook(name)
    notebooks = read_notebooks(project.notebooks)
    with pytest.raises(UsageError, match="runs/course/dataset is not there"):
        make_steps(project, Request(start="03"), notebooks)
    assert len(make_steps(project, Request(start="02"), notebooks)) == 3


@pytest.mark.parametrize(
    "options", [{"profile": "smok"}, {"name": "../outside"}, {"name": ".."}, {"only": "02", "fresh": True}]
)
def test_faulty_request_is_refused(project: Project, write_notebook: WriteNotebook, options: dict) -> None:
    write_notebook("02_prepare")
    with pytest.raises(UsageError):
        make_steps(project, Request(**options), read_notebooks(project.notebooks))


def test_path_is_meant_as_seen_from_where_it_was_typed(
    project: Project, write_notebook: WriteNotebook, tmp_path: Path
) -> None:
    write_notebook("02_prepare", parameters='folder: str = "data"')
    (tmp_path / "mine" / "questions").mkdir(parents=True)
    request = Request(assignments=("folder=mine/questions", "model=Qwen/Qwen3-0.6B"), folder=tmp_path)
    step = make_steps(project, request, read_notebooks(project.notebooks))[0]
    assert step.values == {"folder": str(tmp_path / "mine" / "questions"), "model": "Qwen/Qwen3-0.6B"}
    assert not step.offline


WITHOUT_MODEL = {"10", "11", "12"}  # they begin with the model of an earlier stage, or with an encoder


@pytest.mark.parametrize("profile", ["smoke", "cpu", "gpu"])
def test_profiles_fit_the_notebooks_of_the_course(profile: str) -> None:
    notebooks = read_notebooks(ROOT / "notebooks")
    assert make_steps(Project(ROOT), Request(profile=profile), notebooks)
    for notebook in notebooks:
        common = {"run_name", "profile", "seed"} | (set() if notebook.number in WITHOUT_MODEL else {"model"})
        assert common <= set(notebook.parameters), notebook.name
        assert all(parameter.comment for parameter in notebook.parameters.values()), notebook.name
