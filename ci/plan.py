"""From a request on the command line to the notebooks to run, each with its values. Nothing is run here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ci.errors import UsageError
from ci.parameters import SET_BY_OPTIONS, Notebook, did_you_mean, parse_value, read_profile
from ci.project import Project
from utils.errors import CourseError
from utils.models import EMBEDDED
from utils.settings import run_folder
from utils.stages import MAKERS, MissingStage, require_stage

LAST_CORE = "07"
# What a notebook reads. The notebook says so too, but only once it is running.
NEEDS = {
    "03": ("dataset",),
    "04": ("dataset",),
    "05": ("dataset", "model"),
    "06": ("dataset", "model", "adapter", "evaluation"),
    "07": ("dataset", "export"),
    "08": ("dataset",),
    "10": ("dataset", "model"),
    "11": ("dataset", "model", "evaluation"),
    "12": ("dataset",),
    "14": ("dataset",),
}
NAMES_OF_MODELS = ("model", "encoder", "encoder_decoder")  # parameters
MADE_THERE = ("", "scratch")  # values of these for a model that the notebook makes itself
RUN_NAMES = {"cpu": "course"}
PROFILE_FILE = ".yaml"


@dataclass(frozen=True)
class Request:
    """The options of `course.py run`, as given."""

    profile: str = "cpu"
    only: str | None = None
    start: str | None = None
    name: str | None = None
    assignments: tuple[str, ...] = ()
    fresh: bool = False
    solved: bool = False
    all_notebooks: bool = False
    folder: Path = field(default_factory=Path.cwd)

    @property
    def run_name(self) -> str:
        return self.name or RUN_NAMES.get(self.profile, self.profile_name)

    @property
    def profile_name(self) -> str:
        """The profile's name; of one that is given as a file, the name of the file."""
        return Path(self.profile).stem if self.profile.endswith(PROFILE_FILE) else self.profile

    @property
    def forced(self) -> bool:
        """True if the notebooks are to run whatever the record says."""
        return self.only is not None or self.start is not None


@dataclass(frozen=True)
class Step:
    """A notebook to run. `values` are the parameters that differ from the notebook's defaults."""

    notebook: Notebook
    values: dict[str, object]

    @property
    def offline(self) -> bool:
        """True if the notebook must not ask the Hub for anything: its models are here, and nothing is uploaded."""
        models = [self.values.get(name, self._default(name)) for name in NAMES_OF_MODELS]
        wanted = [str(model) for model in models if model is not None and model not in MADE_THERE]
        are_here = all(model in EMBEDDED or Path(model).expanduser().is_dir() for model in wanted)
        return are_here and not self.values.get("hub_repository")

    def _default(self, name: str) -> object:
        return self.notebook.parameters[name].default if name in self.notebook.parameters else None


def check_request(project: Project, request: Request, notebooks: list[Notebook]) -> list[Notebook]:
    """The notebooks asked for. Raises UsageError for whatever can be refused without reading YAML."""
    try:
        run_folder(request.run_name)
    except (ValueError, CourseError) as error:
        raise UsageError(str(error)) from None
    profile_file(project, request)
    selected = select(request, notebooks)
    read_assignments(request, selected, notebooks)
    if request.fresh and request.forced:
        raise UsageError("--fresh deletes the run that --only and --from continue: leave one of them out.")
    check_stages(request, selected)
    return selected


def make_steps(project: Project, request: Request, notebooks: list[Notebook]) -> list[Step]:
    """The notebooks asked for with the values of the profile and of the command line. Needs PyYAML."""
    selected = check_request(project, request, notebooks)
    common, single = read_profile(profile_file(project, request), notebooks)
    assigned = read_assignments(request, selected, notebooks)
    steps = []
    for notebook in selected:
        values = {"run_name": request.run_name} | common | single.get(notebook.number, {})
        values |= assigned.get(notebook.number, {})
        if request.profile == request.profile_name:  # in a notebook, a profile goes by its name
            values["profile"] = request.profile
        steps.append(Step(notebook, changed_values(notebook, values)))
    return steps


def profile_file(project: Project, request: Request) -> Path:
    """The file of the profile: that of a name in `ci/profiles`, or any that a path names. Raises UsageError."""
    if request.profile != request.profile_name:
        file = request.folder / Path(request.profile).expanduser()
        if not file.is_file():
            raise UsageError(f"There is no file {request.profile}, which --profile names.")
        return file
    profiles = {path.stem for path in project.profiles.glob("*.yaml")}
    if request.profile not in profiles:
        raise UsageError(
            f"There is no profile {request.profile!r}; there are {', '.join(sorted(profiles))}, or the path of a .yaml "
            f"file.{did_you_mean(request.profile, profiles)}"
        )
    return project.profiles / f"{request.profile}.yaml"


def select(request: Request, notebooks: list[Notebook]) -> list[Notebook]:
    """The notebooks that --only, --from or neither name. Raises UsageError."""
    if request.only is not None:
        return [find(request.only, notebooks)]
    core = [notebook for notebook in notebooks if notebook.number <= LAST_CORE or request.all_notebooks]
    if request.start is None:
        return core
    first = find(request.start, notebooks).number
    if first > LAST_CORE:
        raise UsageError(f"--from takes a notebook up to {LAST_CORE}; run a later one by itself with --only {first}.")
    return [notebook for notebook in core if notebook.number >= first]


def find(name: str, notebooks: list[Notebook]) -> Notebook:
    """The notebook of a number (5 or 05) or a name. Raises UsageError."""
    wanted = name.removesuffix(".ipynb").rsplit("/", 1)[-1]
    for notebook in notebooks:
        if wanted.zfill(2) == notebook.number or wanted == notebook.name:
            return notebook
    known = [notebook.name for notebook in notebooks]
    hint = did_you_mean(wanted, known)
    raise UsageError(f"There is no notebook {name}; there are {', '.join(item[:2] for item in known)}.{hint}")


def read_assignments(
    request: Request, selected: list[Notebook], notebooks: list[Notebook]
) -> dict[str, dict[str, object]]:
    """The values of `-p key=value` for each selected notebook that has the parameter, by notebook number."""
    values: dict[str, dict[str, object]] = {notebook.number: {} for notebook in selected}
    for assignment in request.assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"-p {assignment} has no value: write -p {assignment}=VALUE.")
        if name in SET_BY_OPTIONS:
            raise UsageError(f"Set {name} with {SET_BY_OPTIONS[name]} {text or 'NAME'} instead of -p.")
        takers = [notebook for notebook in selected if name in notebook.parameters]
        if not takers:
            raise UsageError(_unknown_parameter(name, selected, notebooks))
        for notebook in takers:
            value = parse_value(notebook.parameters[name], text)
            values[notebook.number][name] = _absolute_if_path(value, request.folder)
    return values


def changed_values(notebook: Notebook, values: dict[str, object]) -> dict[str, object]:
    """The values for parameters that the notebook has and whose default is another, in the notebook's order."""
    return {
        name: values[name]
        for name, parameter in notebook.parameters.items()
        if name in values and values[name] != parameter.default
    }


def check_stages(request: Request, selected: list[Notebook]) -> None:
    """For --only and --from: the stages that are read and not made on the way must be there. Raises UsageError."""
    made: set[str] = set()
    for notebook in selected if request.forced else []:
        for stage in NEEDS.get(notebook.number, ()):
            if stage not in made:
                _require(request.run_name, stage)
        made |= {stage for stage, maker in MAKERS.items() if maker[:2] == notebook.number}


def stage_is_whole(run_name: str, notebook: Notebook) -> bool:
    """False if the notebook makes a stage that is missing or damaged."""
    try:
        for stage, maker in MAKERS.items():
            if maker == notebook.name:
                require_stage(run_name, stage)
    except MissingStage:
        return False
    return True


def _require(run_name: str, stage: str) -> None:
    try:
        require_stage(run_name, stage)
    except MissingStage as error:
        raise UsageError(" ".join(str(error).split())) from None


def _unknown_parameter(name: str, selected: list[Notebook], notebooks: list[Notebook]) -> str:
    known = sorted({parameter for notebook in selected for parameter in notebook.parameters})
    elsewhere = [notebook.number for notebook in notebooks if name in notebook.parameters]
    if elsewhere:
        return f"The parameter {name} belongs to notebook {', '.join(elsewhere)}, which this command does not run."
    return f"No notebook has a parameter {name}.{did_you_mean(name, known)} All of them: python3 ci/course.py list"


def _absolute_if_path(value: object, folder: Path) -> object:
    """A text that names an existing file or folder, seen from where the command was typed, as an absolute path.

    Notebooks run in `notebooks/`, where a relative path would mean something else. A lone word is left alone.
    """
    if not isinstance(value, str) or "/" not in value.replace("\\", "/"):
        return value
    path = folder / Path(value).expanduser()
    return str(path.resolve()) if path.exists() else value
