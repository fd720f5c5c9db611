"""Which trial is next. The storage alone knows, so that no worker takes another's trial and none is counted twice.

A trial that was cut short, because its worker was killed or stopped, is marked failed and tried again with the same
values. One whose notebook failed, which has a reason, is not: it would fail again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ci.sweep.process import is_alive, is_of_this_host, this_process
from ci.sweep.storage import locked

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

WORKER, BEAT, REASON, RETRY_OF = "worker", "beat", "reason", "retry of"
SECONDS_BETWEEN_BEATS = 30
SECONDS_OF_SILENCE = 4 * SECONDS_BETWEEN_BEATS
MOST_RETRIES = 2


class Queue:
    """The trials of a study, of which there shall be `count`; the first one gets the values `first`, if any.

    With `points`, a grid, these values are tried and no others.
    """

    def __init__(
        self,
        storage: BaseStorage,
        study: Study,
        distributions: dict[str, BaseDistribution],
        count: int,
        *,
        first: dict[str, object] | None = None,
        points: Sequence[dict[str, object]] = (),
    ) -> None:
        self.storage, self.study, self.distributions = storage, study, distributions
        self.count = min(count, len(points)) if points else count
        self.first, self.points = first, points
        self.heard: dict[int, tuple[object, float]] = {}

    def take(self) -> Trial | None:
        """The next trial, which is this process's alone; None if there is nothing to do now."""
        if not self._has_work():  # looking needs no lock
            return None
        with locked(self.storage, self.study.study_name):
            self._fail_the_dead()
            if not self._prepare_next():
                return None
            trial = self.study.ask(self.distributions)
            trial.set_user_attr(WORKER, this_process())
        return trial

    @staticmethod
    def beat(trial: Trial, number: int) -> None:
        """Let workers on other hosts hear that a trial is under way: a `number` that they have not heard yet."""
        trial.set_user_attr(BEAT, number)

    def is_done(self) -> bool:
        """True if as many trials as wanted have ended, and none is running, waiting or to be tried again."""
        trials = self._trials()
        return not self._missing(trials) and not lost(trials) and all(trial.state.is_finished() for trial in trials)

    def _has_work(self) -> bool:
        trials = self._trials()
        return bool(self._missing(trials) or lost(trials) or self._waiting(trials) or self._dead(trials))

    def _prepare_next(self) -> bool:
        """Queue the values of the next trial, or leave them to the sampler. False if there is no next trial."""
        trials = self._trials()
        again = lost(trials)
        if self._waiting(trials):
            return True
        if again:
            self.study.enqueue_trial(again[0].params, user_attrs={RETRY_OF: again[0].number})
            return True
        if not self._missing(trials):
            return False
        if self.points:
            tried = [trial.params for trial in trials]
            self.study.enqueue_trial(next(point for point in self.points if point not in tried))
        elif self.first and not trials:
            self.study.enqueue_trial(self.first)
        return True

    def _missing(self, trials: Sequence[FrozenTrial]) -> int:
        """How many trials have not been begun."""
        return max(
            0,
            self.count
            - sum(not is_cut_short(trial) or is_given_up(trial, trials) for trial in trials)
            - len(lost(trials)),
        )

    def _fail_the_dead(self) -> None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        for trial in self._dead(self._trials()):
            try:
                self.study.tell(trial.number, state=TrialState.FAIL)
            except (UpdateFinishedTrialError, ValueError):
                continue  # it ended in this moment

    def _dead(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The running trials whose worker is gone: not to be found on this host, or silent on another."""
        from optuna.trial import TrialState

        return [trial for trial in trials if trial.state == TrialState.RUNNING and self._is_dead(trial)]

    def _is_dead(self, trial: FrozenTrial) -> bool:
        worker, beat = trial.user_attrs.get(WORKER), trial.user_attrs.get(BEAT)
        if worker is not None and is_of_this_host(worker):
            return not is_alive(worker)
        # The clocks of two machines differ: what counts is how long this one has heard nothing new.
        now = time.monotonic()
        heard, since = self.heard.get(trial.number, (None, now))
        if trial.number not in self.heard or heard != beat:
            self.heard[trial.number] = (beat, now)
            return False
        return now - since > SECONDS_OF_SILENCE

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    @staticmethod
    def _waiting(trials: Sequence[FrozenTrial]) -> bool:
        from optuna.trial import TrialState

        return any(trial.state == TrialState.WAITING for trial in trials)


def lost(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that were cut short and are still to be tried again."""
    return [
        trial
        for trial in trials
        if is_cut_short(trial) and not _retried(trial, trials) and _attempt(trial, trials) <= MOST_RETRIES
    ]


def is_cut_short(trial: FrozenTrial) -> bool:
    """True if its worker was killed or stopped."""
    from optuna.trial import TrialState

    return trial.state == TrialState.FAIL and REASON not in trial.user_attrs


def is_given_up(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
    """True if it was cut short as often as is allowed, and so is one of the trials that have ended."""
    return is_cut_short(trial) and _attempt(trial, trials) > MOST_RETRIES


def _retried(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
    return any(other.user_attrs.get(RETRY_OF) == trial.number for other in trials)


def _attempt(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> int:
    """1 for a first try, 2 for its retry, and so on."""
    earlier = trial.user_attrs.get(RETRY_OF)
    return 1 if earlier is None else 1 + _attempt(trials[earlier], trials)
