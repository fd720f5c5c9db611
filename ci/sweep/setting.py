"""What is asked of a sweep, as all its processes know it, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ci.errors import UsageError
from ci.parameters import Notebook, read_notebooks, read_profile
from ci.plan import PROFILE_FILE, Request, Step, changed_values, profile_file
from ci.project import Project
from ci.sweep.space import SPLIT, Space, read_space
from utils.settings import run_folder
from utils.stages import is_finished

SAMPLERS = ("tpe", "grid")


@dataclass(frozen=True)
class Setting:
    """A study by name, its storage (a database URL or a journal file) and the file of its space.

    `root` is the project's folder, `run` the run whose dataset the trials share, and `folder` is where the sweep's own
    files go. Of the study there shall be `trials`, divided among `workers` processes here and those on other machines.
    """

    root: str
    study: str
    storage: str
    space: str
    folder: str
    trials: int = 20
    workers: int = 1
    sampler: str = "tpe"
    prunes: bool = True
    run: str = "course"
    profile: str = "cpu"

    @property
    def project(self) -> Project:
        return Project(Path(self.root))

    @property
    def dataset(self) -> Path:
        return self.project.runs / self.run / "dataset"

    def run_name(self, number: int) -> str:
        """The run of a trial, whose folder is `runs/STUDY-trial-0007`."""
        return f"{self.study}-trial-{number:04d}"

    def trial_folder(self, number: int) -> Path:
        """Where a trial's notebooks write."""
        return self.project.runs / self.run_name(number)

    def to_json(self) -> str:
        """For the command line of a worker."""
        return json.dumps(asdict(self))


def check_setting(setting: Setting) -> Space:
    """The space of a sweep that can be carried out. Needs PyYAML. Raises UsageError."""
    try:
        run_folder(setting.study)
        run_folder(setting.run)
    except ValueError as error:
        raise UsageError(str(error)) from None
    space = read_space(Path(setting.space), read_notebooks(setting.project.notebooks))
    profile_values(setting)
    if setting.sampler == "grid":
        space.grid()
    if not is_finished(setting.dataset):
        raise UsageError(
            f"runs/{setting.run}/dataset, which the trials share, is not there. Make it: "
            f"python3 ci/course.py run --name {setting.run} --only 02"
        )
    return space


def steps_of(setting: Setting, space: Space, run_name: str, values: Mapping[str, object]) -> list[Step]:
    """The notebooks of a trial, with the values of the profile, over them the space's, over them the trial's own."""
    given = profile_values(setting)
    own = space.fixed | dict(values) | SPLIT | {"run_name": run_name}
    if not setting.profile.endswith(PROFILE_FILE):
        own["profile"] = setting.profile
    notebooks = _notebooks(setting, space)
    return [Step(notebook, changed_values(notebook, given[notebook.number] | own)) for notebook in notebooks]


def defaults_of(setting: Setting, space: Space) -> dict[str, object] | None:
    """What the searched parameters are without a search, to begin with; None if that lies outside of the space."""
    given = profile_values(setting)
    values: dict[str, object] = {}
    for notebook in _notebooks(setting, space):
        defaults = {name: parameter.default for name, parameter in notebook.parameters.items()}
        values |= defaults | given[notebook.number]
    found = {name: values[name] for name in space.search}
    return found if all(space.search[name].holds(value) for name, value in found.items()) else None


def profile_values(setting: Setting) -> dict[str, dict[str, object]]:
    """What the profile of a sweep says for each notebook, by number. Raises UsageError."""
    notebooks = read_notebooks(setting.project.notebooks)
    common, single = read_profile(profile_file(setting.project, Request(profile=setting.profile)), notebooks)
    return {
        notebook.number: {name: value for name, value in common.items() if name in notebook.parameters}
        | single.get(notebook.number, {})
        for notebook in notebooks
    }


def _notebooks(setting: Setting, space: Space) -> list[Notebook]:
    """Those that a trial runs."""
    found = read_notebooks(setting.project.notebooks)
    return [notebook for notebook in found if notebook.number in space.target.notebooks]
