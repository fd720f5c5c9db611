"""The study of a sweep: opened by every worker, made by the first, the same for all."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ci.errors import UsageError
from ci.sweep.queue import Queue
from ci.sweep.setting import Setting, defaults_of
from ci.sweep.space import Space
from ci.sweep.storage import locked, open_storage
from utils.stages import hash_of

if TYPE_CHECKING:
    from optuna import Study

RECIPE = "recipe"


def open_queue(setting: Setting, space: Space) -> Queue:
    """The queue of the study's trials; the study is made if it is new.

    TPE is the tree-structured Parzen estimator of Bergstra et al. (2011). The median rule stops a trial whose loss is
    above the median of the earlier trials at the same step.

    Raises:
        UsageError: the study was begun with another space, profile or dataset.
    """
    import optuna

    storage = open_storage(setting.storage)
    study = optuna.create_study(
        storage=storage,
        study_name=setting.study,
        direction=space.target.direction,
        # Without a seed: workers that draw the same numbers would try the same values.
        sampler=optuna.samplers.TPESampler(n_startup_trials=max(3, setting.trials // 4)),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=max(2, setting.trials // 5))
        if setting.prunes
        else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    _check_recipe(storage, study, setting, space)
    points = space.grid() if setting.sampler == "grid" else []
    first = defaults_of(setting, space)
    return Queue(storage, study, space.distributions(), setting.trials, first=first, points=points)


def quiet() -> None:
    """Optuna warns of each feature that it may still change; the versions are pinned here."""
    from optuna.exceptions import ExperimentalWarning

    warnings.filterwarnings("ignore", category=ExperimentalWarning)


def _check_recipe(storage: object, study: Study, setting: Setting, space: Space) -> None:
    recipe = space.recipe() | {"profile": setting.profile, "dataset": hash_of(setting.dataset)}
    with locked(storage, setting.study):
        known = study.user_attrs.get(RECIPE)
        if known is None:
            study.set_user_attr(RECIPE, recipe)
    other = next((name for name in recipe if known is not None and known.get(name) != recipe[name]), None)
    if other:
        raise UsageError(
            f"The study {setting.study} was begun with another {other}, and results that cannot be compared do not "
            "belong into one study. Give this one another name with --study."
        )
