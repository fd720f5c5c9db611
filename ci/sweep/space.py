"""What a search varies: a YAML file, typed from the notebooks' parameters and checked before anything runs.

objective: validation loss            # or: execution accuracy
parameters:                           # the same in all trials
  max_steps: 40
search:
  learning_rate: {low: 1.0e-4, high: 2.0e-3, log: true}
  frozen_layers: {low: 0, high: 20, step: 10}
  per_device_train_batch_size: [4, 8, 16]
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import UsageError
from ci.parameters import SET_BY_OPTIONS, Notebook, Parameter, accept_value, did_you_mean

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ENTRIES = ("description", "objective", "parameters", "search")
BOUNDS = ("low", "high", "step", "log")
ROUNDING = 1e-9
SPLIT = {"split": "validation"}  # a test set that chooses settings is a test set no more


@dataclass(frozen=True)
class Objective:
    """What a trial is judged by: a result in the manifest of a stage, and the notebooks that lead to it."""

    notebooks: tuple[str, ...]
    stage: str
    result: str
    direction: str

    @property
    def sign(self) -> int:
        """What a loss is multiplied with, so that it is better in the direction in which the result is."""
        return 1 if self.direction == "minimize" else -1


OBJECTIVES = {
    "validation loss": Objective(("03",), "model", "validation_loss", "minimize"),
    "execution accuracy": Objective(("03", "05"), "evaluation", "execution accuracy", "maximize"),
}


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`; `log` if a factor counts, not a difference."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def distribution(self) -> BaseDistribution:
        """The same for Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if isinstance(self.low, int):
            return IntDistribution(self.low, self.high, log=self.log, step=self.step or 1)
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def points(self) -> list[object]:
        """The values of a grid; empty without a step."""
        if self.step is None:
            return []
        count = int((self.high - self.low) / self.step + ROUNDING)
        return [self.low + self.step * number for number in range(count + 1)]

    def holds(self, value: object) -> bool:
        """True if a parameter's value is one that may be drawn."""
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / (self.step or 1)
        return (self.step is None and isinstance(self.low, float)) or abs(steps - round(steps)) < ROUNDING


@dataclass(frozen=True)
class Choices:
    """Values without an order."""

    values: tuple[object, ...]

    def distribution(self) -> BaseDistribution:
        """The same for Optuna."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def points(self) -> list[object]:
        """The values of a grid."""
        return list(self.values)

    def holds(self, value: object) -> bool:
        """True if a parameter's value is one that may be drawn."""
        return value in self.values


@dataclass(frozen=True)
class Space:
    """A search: its objective by name, what it varies, and `fixed`, what is the same in all trials."""

    objective: str
    search: dict[str, Range | Choices]
    fixed: dict[str, object]

    @property
    def target(self) -> Objective:
        return OBJECTIVES[self.objective]

    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna draws from, by parameter."""
        return {name: dimension.distribution() for name, dimension in self.search.items()}

    def grid(self) -> list[dict[str, object]]:
        """Every combination. Raises UsageError if a range has no step, and so no points."""
        without = next((name for name, dimension in self.search.items() if not dimension.points()), None)
        if without:
            raise UsageError(f"A grid needs values for {without}: list them, or give its range a step.")
        points = itertools.product(*(dimension.points() for dimension in self.search.values()))
        return [dict(zip(self.search, point, strict=True)) for point in points]

    def recipe(self) -> dict[str, object]:
        """The space as plain values, to tell whether two are the same."""
        return {
            "objective": self.objective,
            "search": {name: _as_lists(asdict(dimension)) for name, dimension in self.search.items()},
            "fixed": self.fixed,
        }


def read_space(path: Path, notebooks: list[Notebook]) -> Space:
    """The space of a file, checked against the notebooks' parameters. Needs PyYAML. Raises UsageError."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise UsageError(f"There is no file {path.name}, which --space names.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
    return make_space(content, notebooks, path.name)


def make_space(content: object, notebooks: list[Notebook], where: str) -> Space:
    """The space that YAML's plain values describe; `where` names their source in messages. Raises UsageError."""
    entries = _mapping(content, where, "entries such as `search:`")
    for name in entries:
        if name not in ENTRIES:
            raise UsageError(f"{where}: unknown entry {name}; known are {', '.join(ENTRIES)}.")
    objective = entries.get("objective", "validation loss")
    if objective not in OBJECTIVES:
        raise UsageError(f"{where}: the objective is {objective!r}; known are {' and '.join(OBJECTIVES)}.")
    known = _parameters(notebooks, OBJECTIVES[objective].notebooks)
    search = _mapping(entries.get("search"), f"{where}, search", "parameters with their ranges")
    fixed = _mapping(entries.get("parameters") or {}, f"{where}, parameters", "`name: value` lines")
    for name in [*search, *fixed]:
        _check_name(name, known, OBJECTIVES[objective], where)
    if both := search.keys() & fixed.keys():
        raise UsageError(f"{where}: {min(both)} is both searched and fixed. Leave one of them out.")
    return Space(
        objective,
        {name: _dimension(known[name], value, where) for name, value in search.items()},
        {name: accept_value(known[name], value, where) for name, value in fixed.items()},
    )


def _parameters(notebooks: list[Notebook], numbers: tuple[str, ...]) -> dict[str, Parameter]:
    """The parameters of these notebooks; of one that several have, the last notebook's."""
    return {
        name: parameter
        for notebook in notebooks
        if notebook.number in numbers
        for name, parameter in notebook.parameters.items()
    }


def _check_name(name: str, known: Mapping[str, Parameter], objective: Objective, where: str) -> None:
    if name in SET_BY_OPTIONS:
        raise UsageError(f"{where}: {name} cannot be searched or fixed: each trial has its own run.")
    if name in SPLIT:
        raise UsageError(f"{where}: {name} cannot be searched or fixed: trials are judged by validation questions.")
    if name not in known:
        numbers = " and ".join(objective.notebooks)
        raise UsageError(f"{where}: {name} is no parameter of notebook {numbers}.{did_you_mean(name, known)}")


def _dimension(parameter: Parameter, value: object, where: str) -> Range | Choices:
    if parameter.type.is_list:
        raise UsageError(f"{where}: {parameter.name} is a list, and lists cannot be searched.")
    if isinstance(value, list):
        return _choices(parameter, value, where)
    if isinstance(value, dict):
        return _range(parameter, value, where)
    raise UsageError(
        f"{where}: {parameter.name}: {value!r} is one value. Write a list of values, or a range such as "
        "{low: 1.0e-4, high: 1.0e-3, log: true}; what is the same in all trials belongs under `parameters`."
    )


def _choices(parameter: Parameter, values: list[object], where: str) -> Choices:
    accepted = tuple(accept_value(parameter, value, where) for value in values)
    if not accepted or len(set(accepted)) < len(accepted):
        raise UsageError(
            f"{where}: the list of {parameter.name} {'is empty' if not accepted else 'has a value twice'}."
        )
    return Choices(accepted)


def _range(parameter: Parameter, bounds: dict[object, object], where: str) -> Range:
    name = parameter.name
    if parameter.type.base not in {"int", "float"}:
        raise UsageError(f"{where}: {name} is a {parameter.type}, which has no range: list its values.")
    for bound in bounds:
        if bound not in BOUNDS:
            raise UsageError(f"{where}: {name}: unknown entry {bound}; a range has {', '.join(BOUNDS)}.")
    numbers = {
        bound: accept_value(parameter, bounds[bound], f"{where}, {bound}")
        for bound in ("low", "high", "step")
        if bound in bounds
    }
    log = bounds.get("log", False)
    if not {"low", "high"} <= numbers.keys() or None in numbers.values() or not isinstance(log, bool):
        raise UsageError(
            f"{where}: {name}: a range needs numbers for low and high; step is a number, log true or false."
        )
    found = Range(numbers["low"], numbers["high"], numbers.get("step"), log)
    if fault := _fault(found):
        raise UsageError(f"{where}: {name}: {fault}")
    return found


def _fault(found: Range) -> str | None:
    if found.low >= found.high:
        return f"low, {found.low:g}, is not below high, {found.high:g}."
    if found.log and found.low <= 0:
        return f"low is {found.low:g}, and a logarithm needs numbers above 0."
    if found.log and found.step is not None:
        return "a range has a step or is logarithmic, not both."
    if found.step is not None and found.step <= 0:
        return f"the step is {found.step:g}; it must be above 0."
    return None


def _mapping(value: object, where: str, wanted: str) -> dict[str, object]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise UsageError(f"{where}: there are no {wanted}.")
    return value


def _as_lists(values: dict[str, object]) -> dict[str, object]:
    """As JSON gives them back: tuples become lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
