"""A worker: takes trials of a study, one after the other, until all that were asked for have ended.

python -m ci.sweep.worker SETTING   (JSON, as `Setting.to_json` writes it)
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from ci.errors import exit_when_terminated
from ci.sweep.queue import REASON, Queue
from ci.sweep.running import Ending, drop_weights, run_trial
from ci.sweep.setting import Setting, check_setting
from ci.sweep.space import Space
from ci.sweep.study import open_queue, quiet
from utils.errors import CourseError

if TYPE_CHECKING:
    from optuna import Trial

SECONDS_BETWEEN_QUESTIONS = 1.0
FIRST_FAILURES = 3


def work(setting: Setting) -> None:
    """Run trials until the study has those that were asked for.

    Raises:
        CourseError: no trial has ended well yet, and several have failed.
    """
    space = check_setting(setting)
    queue = open_queue(setting, space)
    while True:
        trial = queue.take()
        if trial is not None:
            record(queue, setting, trial, attempt(queue, setting, space, trial))
            check_failures(queue)
        elif queue.is_done():
            return
        else:  # others are still at work; if one of them is killed, its trial is taken over
            time.sleep(SECONDS_BETWEEN_QUESTIONS)


def attempt(queue: Queue, setting: Setting, space: Space, trial: Trial) -> Ending:
    """Run a trial. If this worker is stopped on the way, the trial is left to others."""
    from optuna.trial import TrialState

    try:
        return run_trial(queue, setting, space, trial)
    except CourseError as error:
        return Ending(reason=str(error))
    except SystemExit:
        queue.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise


def record(queue: Queue, setting: Setting, trial: Trial, ending: Ending) -> None:
    """Write how a trial ended into the storage, and keep the weights of the best trial only."""
    from optuna.trial import TrialState

    if ending.reason:
        trial.set_user_attr(REASON, ending.reason)
        state = TrialState.FAIL
    else:
        state = TrialState.PRUNED if ending.is_pruned else TrialState.COMPLETE
    # Another worker may have taken this one for dead: then the trial has ended without it.
    queue.study.tell(trial, ending.value, state=state, skip_if_finished=True)
    drop_all_but_best(queue, setting)


def drop_all_but_best(queue: Queue, setting: Setting) -> None:
    """Remove the weights of all trials of this machine that have ended, but for the best one's."""
    from optuna.trial import TrialState

    trials = queue.study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = queue.study.best_trial.number if complete else None
    for trial in trials:
        if trial.state.is_finished() and trial.number != best:
            drop_weights(setting.trial_folder(trial.number))


def check_failures(queue: Queue) -> None:
    """Stop before every trial fails for the same reason. Raises CourseError."""
    from optuna.trial import TrialState

    ended = [trial for trial in queue.study.get_trials(deepcopy=False) if trial.state.is_finished()]
    reasons = [trial.user_attrs[REASON] for trial in ended if REASON in trial.user_attrs]
    if len(reasons) >= FIRST_FAILURES and all(trial.state == TrialState.FAIL for trial in ended):
        raise CourseError(f"The first {len(reasons)} trials failed, the last with: {reasons[-1]}")


def main(arguments: list[str]) -> int:
    """Work, and say in a sentence why it ended early."""
    exit_when_terminated()  # which lets a trial's process be stopped
    quiet()
    try:
        work(Setting(**json.loads(arguments[0])))
    except CourseError as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
