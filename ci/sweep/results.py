"""What a sweep has found: a line for each trial, a summary, and the best values as a profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ci.display import clock
from ci.parameters import read_notebooks
from ci.sweep.queue import REASON, RETRY_OF
from ci.sweep.setting import Setting, profile_values
from ci.sweep.space import Space
from utils.stages import write_text

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

PROFILE = "best.yaml"


def trial_line(trial: FrozenTrial, space: Space) -> str:
    """What became of a trial, with its values and how long it took."""
    took = trial.datetime_complete - trial.datetime_start if trial.datetime_complete and trial.datetime_start else None
    values = ", ".join(f"{name} = {shown(value)}" for name, value in trial.params.items())
    again = f" (again, after trial {trial.user_attrs[RETRY_OF]})" if RETRY_OF in trial.user_attrs else ""
    time = f"  {clock(took.total_seconds())}" if took else ""
    return f"trial {trial.number:>3}{again}  {_fate(trial, space)}  {values}{time}"


def summary(study: Study, space: Space) -> str:
    """How many trials ended how, and which was best."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    counts = [f"{sum(trial.state == state for trial in trials)} {name}" for state, name in names.items()]
    text = f"{len(trials)} trials: {', '.join(counts)}."
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        text += f" The best: trial {study.best_trial.number}, {space.objective} {study.best_value:.4g}."
    return text


def write_profile(setting: Setting, study: Study, space: Space, path: Path) -> Path:
    """Write the best trial's values as a profile that `run --profile PATH` takes.

    It holds what was searched, over the profile that the trials began with; the budget of the trials is not in it.

    Raises:
        ValueError: no trial is complete.
    """
    import yaml

    best = study.best_trial
    values = {number: given for number, given in profile_values(setting).items() if given}
    for notebook in read_notebooks(setting.project.notebooks):
        found = {name: value for name, value in best.params.items() if name in notebook.parameters}
        if notebook.number in space.target.notebooks and found:
            values[notebook.number] = values.get(notebook.number, {}) | found
    note = f"The best of the study {setting.study}: trial {best.number}, {space.objective} {best.value:.4g}."
    content = {"description": note, "notebooks": values}
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))
    return path


def ended(study: Study) -> list[FrozenTrial]:
    """The trials that are over, in whichever way."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def shown(value: object) -> str:
    """A value as one would write it: three digits of a number that was drawn are enough."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _fate(trial: FrozenTrial, space: Space) -> str:
    from optuna.trial import TrialState

    if trial.state == TrialState.COMPLETE:
        return f"{space.objective} {trial.value:.4g}"
    if trial.state == TrialState.PRUNED:
        loss = abs(trial.intermediate_values[trial.last_step])  # reported with a minus where more is better
        return f"pruned at step {trial.last_step}, validation loss {loss:.4g}"
    return f"failed: {trial.user_attrs.get(REASON, 'its worker was killed or stopped')}"
