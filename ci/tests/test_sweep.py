"""Searches: spaces are checked, no trial is lost or doubled whoever is killed, and the best values become a profile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from ci.errors import UsageError
from ci.parameters import read_notebooks
from ci.plan import Request, make_steps
from ci.project import Project
from ci.sweep import queue as queues
from ci.sweep import running
from ci.sweep.command import sweep, threads_for
from ci.sweep.process import is_alive, this_process
from ci.sweep.queue import BEAT, REASON, RETRY_OF, WORKER, Queue, is_cut_short
from ci.sweep.results import PROFILE, write_profile
from ci.sweep.running import Ending, read_losses, run_trial
from ci.sweep.setting import Setting, check_setting, defaults_of, steps_of
from ci.sweep.space import Choices, Range, Space, make_space
from ci.sweep.storage import OWNER, locked, open_storage
from ci.sweep.study import open_queue, quiet
from ci.sweep.worker import check_failures, record
from ci.tests.conftest import ROOT, WriteNotebook
from utils.errors import CourseError

TRAINING, EVALUATION = "03_fine_tune_with_sft", "05_evaluate"
PARAMETERS = "learning_rate: float = 1e-3\nsteps: int = 5\nfast: bool = True\nname: str = 'a'\nranks: list[int] = [1]"
SPACE = {"search": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}}
GRID = {"search": {"learning_rate": [1e-4, 1e-3, 1e-2], "steps": {"low": 0, "high": 10, "step": 5}}}
# A notebook in small: a loss while it runs, then a stage. Above 1e-3 the training fails.
TRAIN = """
import json, pathlib
folder = pathlib.Path("..") / "runs" / run_name
assert (folder / "dataset" / "manifest.json").is_file()
if learning_rate > 1e-3:
    raise ValueError("the loss is not a number")
(folder / "model").mkdir()
manifest = {"files": {}, "results": {"validation_loss": learning_rate}}
(folder / "model" / "manifest.json").write_text(json.dumps(manifest))
"""
# What is started for a trial in the tests of workers, where starting kernels would take most of the time.
STUB = """
import json, os, pathlib, sys, time
plan = pathlib.Path(sys.argv[1])
(values,) = json.loads(plan.read_text())["notebooks"].values()
root = plan.parents[2]
with (root / "ran.txt").open("a") as ran:
    ran.write(plan.parent.name + "\\n")
if plan.parent.name.endswith("-0004"):
    (root / "blocked").write_text(str(os.getpid()))
    while not (root / "gate").exists():
        time.sleep(0.02)
time.sleep(0.1)
stage = plan.parent / "model"
stage.mkdir()
result = {"validation_loss": values.get("learning_rate", 1e-3)}
(stage / "manifest.json").write_text(json.dumps({"files": {}, "results": result}))
"""
WORK = (
    "import sys; from ci.sweep import running, worker; running.PROGRAM = (sys.argv[2],); "
    "worker.SECONDS_BETWEEN_QUESTIONS = running.SECONDS_BETWEEN_LOOKS = 0.05; sys.exit(worker.main([sys.argv[1]]))"
)
STORAGES = {"journal": "{root}/study.journal", "sqlite": "sqlite:///{root}/study.db"}


@pytest.fixture(autouse=True)
def no_warnings() -> None:
    quiet()


@pytest.fixture
def setting(project: Project, write_notebook: WriteNotebook) -> Setting:
    """A study of a small project with a training notebook and a dataset."""
    write_notebook(TRAINING, TRAIN, parameters=PARAMETERS)
    dataset = project.runs / "course" / "dataset"
    dataset.mkdir(parents=True)
    (dataset / "manifest.json").write_text('{"files": {}}', encoding="utf-8")
    write_space(project, SPACE)
    return Setting(
        root=str(project.root),
        study="tune",
        storage=str(project.root / "study.journal"),
        space=str(project.root / "space.yaml"),
        folder=str(project.runs / "tune"),
        trials=12,
    )


def write_space(project: Project, content: dict[str, Any]) -> None:
    (project.root / "space.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def opened(setting: Setting) -> tuple[Queue, Space]:
    space = check_setting(setting)
    return open_queue(setting, space), space


def ending(queue: Queue, state: TrialState, reason: str = "", value: float = 1.0) -> optuna.Trial:
    """Take the next trial and end it."""
    trial = queue.take()
    assert trial is not None
    if reason:
        trial.set_user_attr(REASON, reason)
    queue.study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)
    return trial


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "It did not happen."
        time.sleep(0.02)


# ── the space


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"search": {"learning_rte": [1.0]}}, "is no parameter of notebook 03. Did you mean learning_rate?"),
        ({"search": {"learning_rate": 1.0}}, "is one value"),
        ({"search": {"steps": [1, 2.5]}}, "steps is an int"),
        ({"search": {"steps": {"low": 1, "high": "many"}}}, "high: steps: 'many' does not fit"),
        ({"search": {"fast": {"low": False, "high": True}}}, "has no range"),
        ({"search": {"fast": ["yes"]}}, "true or false"),
        ({"search": {"ranks": [[1], [2]]}}, "lists cannot be searched"),
        ({"search": {"steps": []}}, "is empty"),
        ({"search": {"steps": [1, 1]}}, "has a value twice"),
        ({"search": {"steps": {"low": 5, "high": 1}}}, "is not below high"),
        ({"search": {"steps": {"low": 0, "high": 8, "log": True}}}, "numbers above 0"),
        ({"search": {"steps": {"low": 1, "high": 8, "log": True, "step": 1}}}, "not both"),
        ({"search": {"steps": {"low": 1, "high": 8, "stride": 1}}}, "unknown entry stride"),
        ({"search": {"steps": {"low": 1}}}, "needs numbers for low and high"),
        ({"search": {"run_name": ["a", "b"]}}, "each trial has its own run"),
        ({"search": {"split": ["test"]}}, "judged by validation questions"),
        ({"search": {"steps": [1]}, "parameters": {"steps": 1}}, "both searched and fixed"),
        ({"search": {"steps": [1]}, "parameters": {"fast": 1}}, "fast is a bool"),
        ({"search": {"steps": [1]}, "objective": "speed"}, "known are validation loss and execution accuracy"),
        ({"search": {"steps": [1]}, "trials": 3}, "unknown entry trials"),
        ({}, "there are no parameters with their ranges"),
        (["steps"], "there are no entries"),
    ],
)
def test_a_space_with_a_fault_is_refused(setting: Setting, content: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=reason.replace("(", r"\(")) as refused:
        make_space(content, read_notebooks(setting.project.notebooks), "mine.yaml")
    assert str(refused.value).startswith("mine.yaml")
    assert "\n" not in str(refused.value)


def test_a_space_has_the_types_of_the_notebook(setting: Setting) -> None:
    search = {"learning_rate": {"low": "1e-4", "high": 1, "log": True}, "steps": {"low": 2, "high": 6}, "name": ["b"]}
    space = make_space({"search": search}, read_notebooks(setting.project.notebooks), "mine.yaml")
    assert space.search == {
        "learning_rate": Range(1e-4, 1.0, log=True),
        "steps": Range(2, 6),
        "name": Choices(("b",)),
    }
    study = optuna.create_study()
    values = study.ask(space.distributions()).params
    assert [type(values[name]) for name in search] == [float, int, str]


def test_grid_has_every_combination_and_needs_values() -> None:
    space = Space("validation loss", {"a": Range(0.1, 0.4, step=0.1), "b": Choices((True, False))}, {})
    assert len(space.grid()) == 8
    assert {point["a"] for point in space.grid()} == {0.1, 0.2, 0.1 + 0.1 * 2, 0.1 + 0.1 * 3}
    assert all(space.search["a"].holds(point["a"]) for point in space.grid())
    assert not space.search["a"].holds(0.15)
    with pytest.raises(UsageError, match="give its range a step"):
        Space("validation loss", {"a": Range(0.1, 0.4)}, {}).grid()


# ── the queue


def test_first_trial_has_the_values_of_the_notebook(setting: Setting) -> None:
    queue, _ = opened(setting)
    assert ending(queue, TrialState.COMPLETE).params == {"learning_rate": 1e-3}
    assert ending(queue, TrialState.COMPLETE).params != {"learning_rate": 1e-3}
    outside = make_space({"search": {"steps": [1]}}, read_notebooks(setting.project.notebooks), "mine.yaml")
    assert defaults_of(setting, outside) is None


def test_as_many_trials_as_asked_for_however_they_end(setting: Setting) -> None:
    queue, _ = opened(replace(setting, trials=3))
    ending(queue, TrialState.COMPLETE)
    ending(queue, TrialState.FAIL, "the notebook failed")
    assert not queue.is_done()
    running_one = queue.take()
    assert running_one is not None
    assert queue.take() is None
    assert not queue.is_done()
    running_one.report(2.0, step=1)
    queue.study.tell(running_one, state=TrialState.PRUNED)
    assert queue.is_done()
    assert queue.take() is None
    more, _ = opened(replace(setting, trials=4))
    assert not more.is_done()
    assert more.take() is not None


def test_a_trial_cut_short_is_tried_again_but_not_for_ever(setting: Setting) -> None:
    queue, _ = opened(replace(setting, trials=2))
    tries = [ending(queue, TrialState.FAIL) for _ in range(1 + queues.MOST_RETRIES)]
    assert {trial.params["learning_rate"] for trial in tries} == {1e-3}
    assert [trial.user_attrs.get(RETRY_OF) for trial in tries] == [None, 0, 1]
    assert ending(queue, TrialState.COMPLETE).params["learning_rate"] != 1e-3
    assert queue.is_done()


def test_grid_is_tried_once_each(setting: Setting) -> None:
    write_space(setting.project, GRID)
    queue, space = opened(replace(setting, sampler="grid", trials=100))
    while not queue.is_done():
        ending(queue, TrialState.COMPLETE)
    tried = [trial.params for trial in queue.study.trials]
    assert len(tried) == 9
    assert all(point in tried for point in space.grid())


def test_worker_on_another_host_is_dead_when_it_is_silent(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, _ = opened(replace(setting, trials=1))
    trial = queue.take()
    assert trial is not None
    trial.set_user_attr(WORKER, this_process() | {"host": "another"})
    monkeypatch.setattr(queues, "SECONDS_OF_SILENCE", 0)
    assert queue.take() is None  # heard for the first time
    queue.beat(trial, 1)
    assert queue.take() is None
    again = queue.take()
    assert again is not None
    assert again.params == trial.params
    # The one taken for dead comes back: its result is not counted beside the other's.
    record(queue, setting, trial, Ending(value=0.5))
    assert queue.study.trials[trial.number].state == TrialState.FAIL


@pytest.mark.parametrize("storage", STORAGES)
def test_lock_of_a_killed_process_is_removed(tmp_path: Path, storage: str) -> None:
    place = STORAGES[storage].format(root=tmp_path)
    opened_storage = open_storage(place)
    left = opened_storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "tune (locked)")
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    opened_storage.set_study_user_attr(left, OWNER, this_process() | {"pid": process.pid})
    with locked(open_storage(place), "tune"):
        assert [study.study_name for study in opened_storage.get_all_studies()] == ["tune (locked)"]
    assert not opened_storage.get_all_studies()


def test_process_number_that_was_given_again_is_another_process() -> None:
    assert is_alive(this_process())
    assert not is_alive(this_process() | {"started": 1.0})


@pytest.mark.parametrize(
    ("storage", "reason"),
    [("nothing://x", "does not open|no database URL|driver"), ("sqlite:////no/folder/x.db", "does not open")],
)
def test_storage_that_does_not_open_is_told(storage: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        open_storage(storage)


def test_file_that_is_no_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a journal\nreally not\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no journal"):
        open_storage(str(tmp_path / "notes.txt"))


# ── workers


@pytest.mark.parametrize("storage", STORAGES)
def test_no_trial_is_lost_or_doubled_when_a_worker_is_killed(setting: Setting, storage: str) -> None:
    root = setting.project.root
    (root / "stub.py").write_text(STUB, encoding="utf-8")
    setting = replace(setting, storage=STORAGES[storage].format(root=root))
    queue, _ = opened(setting)
    command = [sys.executable, "-c", WORK, setting.to_json(), str(root / "stub.py")]
    workers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        wait_for((root / "blocked").exists)
        killed = queue.study.trials[4]
        os.kill(killed.user_attrs[WORKER]["pid"], signal.SIGKILL)
        survivor = next(worker for worker in workers if worker.pid != killed.user_attrs[WORKER]["pid"])
        (root / "gate").touch()
        said, _ = survivor.communicate(timeout=120)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert survivor.returncode == 0, said
    trials = queue.study.trials
    assert [trial.number for trial in trials if trial.state == TrialState.FAIL] == [4]
    assert sum(trial.state == TrialState.COMPLETE for trial in trials) == len(trials) - 1 == 12
    (again,) = [trial for trial in trials if trial.user_attrs.get(RETRY_OF) == 4]
    assert again.params == killed.params
    assert is_cut_short(trials[4])
    assert {trial.user_attrs[WORKER]["pid"] for trial in trials} == {worker.pid for worker in workers}
    ran = (root / "ran.txt").read_text(encoding="utf-8").split()
    assert sorted(ran) == [setting.run_name(trial.number) for trial in trials]
    assert queue.is_done()
    assert (setting.trial_folder(4) / "trial.json").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a trial ends when its worker is stopped in order")
def test_trial_ends_with_its_killed_worker(setting: Setting) -> None:
    root = setting.project.root
    (root / "stub.py").write_text(STUB.replace("-0004", "-0000"), encoding="utf-8")
    command = [sys.executable, "-c", WORK, setting.to_json(), str(root / "stub.py")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as worker:
        wait_for(lambda: (root / "blocked").exists() and (root / "blocked").read_text(encoding="utf-8") != "")
        worker.kill()
    child = int((root / "blocked").read_text(encoding="utf-8"))

    def has_ended() -> bool:
        try:
            return "(zombie)" in Path(f"/proc/{child}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_for(has_ended)


def test_trial_is_stopped_when_it_is_pruned(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = setting.project.root / "stub.py"
    row = json.dumps({"step": 2, "eval_loss": 9.0})
    stub.write_text(
        "import pathlib, sys, time\n"
        "time.sleep(1)\n"
        f"pathlib.Path(sys.argv[1]).with_name('validation_losses.jsonl').write_text({row!r} + chr(10))\n"
        "time.sleep(600)\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(running, "PROGRAM", (str(stub),))
    monkeypatch.setattr(running, "SECONDS_BETWEEN_BEATS", 0.1)
    queue, space = opened(setting)
    queue.study.pruner = optuna.pruners.ThresholdPruner(upper=5.0)
    trial = queue.take()
    assert trial is not None
    found = run_trial(queue, setting, space, trial)
    assert found.is_pruned
    record(queue, setting, trial, found)
    pruned = queue.study.trials[trial.number]
    assert (pruned.state, pruned.intermediate_values) == (TrialState.PRUNED, {2: 9.0})
    assert pruned.user_attrs[BEAT] > 0
    assert (setting.trial_folder(trial.number) / "dataset" / "manifest.json").is_file()


def test_only_the_best_trial_keeps_its_weights(setting: Setting) -> None:
    queue, _ = opened(setting)
    for value in (0.5, 0.3, 0.4):
        trial = queue.take()
        assert trial is not None
        weights = setting.trial_folder(trial.number) / "model" / "model.safetensors"
        weights.parent.mkdir(parents=True)
        weights.touch()
        record(queue, setting, trial, Ending(value=value))
    kept = sorted(setting.project.runs.glob("tune-trial-*/model/model.safetensors"))
    assert [path.parts[-3] for path in kept] == ["tune-trial-0001"]


def test_losses_are_read_while_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "losses.jsonl"
    assert read_losses(path) == []
    path.write_text('{"step": 0, "eval_loss": 3.0}\n{"step": 4, "eval_loss": 2.0}\n{"step": 8, "ev', encoding="utf-8")
    assert read_losses(path) == [(4, 2.0)]


def test_folder_of_another_run_is_left_alone(setting: Setting) -> None:
    folder = setting.project.runs / "tune-trial-0000"
    folder.mkdir(parents=True)
    with pytest.raises(CourseError, match="no trial's"):
        running.prepare_folder(folder, setting.dataset)
    (folder / "trial.json").touch()
    running.prepare_folder(folder, setting.dataset)
    assert sorted(path.name for path in folder.iterdir()) == ["dataset"]
    assert (setting.dataset / "manifest.json").is_file()


# ── the whole


def test_trials_are_judged_by_validation_questions(setting: Setting, write_notebook: WriteNotebook) -> None:
    write_notebook(EVALUATION, parameters='split: str = "test"')
    write_space(setting.project, SPACE | {"objective": "execution accuracy", "parameters": {"steps": 2}})
    space = check_setting(setting)
    training, evaluation = steps_of(setting, space, "tune-trial-0000", {"learning_rate": 0.5})
    assert training.values == {"run_name": "tune-trial-0000", "learning_rate": 0.5, "steps": 2}
    assert evaluation.values == {"run_name": "tune-trial-0000", "split": "validation"}


def test_study_of_another_space_is_refused(setting: Setting) -> None:
    opened(setting)
    opened(setting)
    write_space(setting.project, SPACE | {"parameters": {"steps": 2}})
    with pytest.raises(UsageError, match="another fixed"):
        opened(setting)
    write_space(setting.project, SPACE)
    (setting.dataset / "train.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="another dataset"):
        opened(setting)


def test_missing_dataset_is_told(setting: Setting) -> None:
    with pytest.raises(UsageError, match="run --name other --only 02"):
        check_setting(replace(setting, run="other"))


def test_best_values_are_a_profile_that_the_planner_takes(setting: Setting, tmp_path: Path) -> None:
    (setting.project.profiles / "cpu.yaml").write_text("notebooks: {'03': {fast: false}}", encoding="utf-8")
    write_space(setting.project, SPACE | {"parameters": {"steps": 2}})
    queue, space = opened(setting)
    ending(queue, TrialState.COMPLETE)
    best = ending(queue, TrialState.COMPLETE, value=0.5)
    path = write_profile(setting, queue.study, space, tmp_path / PROFILE)
    notebooks = read_notebooks(setting.project.notebooks)
    for given, folder in ((str(path), Path.cwd()), (PROFILE, tmp_path)):
        request = Request(profile=given, folder=folder)
        (step,) = make_steps(setting.project, replace(request, name="tuned"), notebooks)
        assert step.values["run_name"] == "tuned"
        assert step.values == {"run_name": "tuned", "fast": False} | best.params
        assert request.run_name == "best"
    with pytest.raises(UsageError, match="There is no file"):
        make_steps(setting.project, Request(profile="none.yaml"), notebooks)


def test_sweep_runs_notebooks_and_tells_what_became_of_them(
    setting: Setting, capsys: pytest.CaptureFixture[str]
) -> None:
    write_space(setting.project, {"search": {"learning_rate": [1e-4, 1e-2]}})
    setting = replace(setting, sampler="grid", workers=2)
    study = sweep(setting)
    shown = capsys.readouterr().out
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.FAIL]
    for part in (
        "2 workers, each with",
        "validation loss 0.0001  learning_rate = 0.0001",
        "failed: notebook 03: ValueError: the loss is not a number  learning_rate = 0.01",
        "2 trials: 1 complete, 0 pruned, 1 failed. The best: trial 0, validation loss 0.0001.",
        "run --profile runs/tune/best.yaml --name tune-best",
    ):
        assert part in shown
    assert (setting.trial_folder(0) / "notebooks" / f"{TRAINING}.ipynb").is_file()
    assert (setting.trial_folder(1) / "notebooks" / f"{TRAINING}.failed.ipynb").is_file()
    assert len(sweep(setting).trials) == 2
    assert "2 ended before" in capsys.readouterr().out


def test_worker_stops_when_every_trial_fails(setting: Setting) -> None:
    queue, _ = opened(setting)
    for _ in range(3):
        check_failures(queue)
        ending(queue, TrialState.FAIL, "no memory")
    with pytest.raises(CourseError, match=r"The first 3 trials failed, the last with: no memory"):
        check_failures(queue)
    ending(queue, TrialState.COMPLETE)
    check_failures(queue)


def test_cores_are_divided_among_workers() -> None:
    assert threads_for(10_000) == 1
    assert threads_for(1) >= threads_for(2) >= 1
