"""The registry of checks, and how one is asked: a wrong answer gets a sentence, never an exception."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from numbers import Integral, Real

from utils.errors import CourseError
from utils.exercises.verdicts import UNANSWERED, Verdict, not_yet

NAME = re.compile(r"(?P<notebook>\d\d)\.(?P<number>[1-9])")
# What an answer can be, and how that is said to a learner.
KINDS: dict[object, str] = {
    float: "a number",
    int: "a whole number",
    bool: "True or False",
    str: "a text in quotation marks",
    list: "a list",
    dict: "a dictionary",
    set: "a set",
    Callable: "a function",
}


@dataclass(frozen=True)
class Check:
    """A function that judges answers of one kind."""

    kind: object
    judge: Callable[..., Verdict]


CHECKS: dict[str, Check] = {}


def exercise(name: str, kind: object) -> Callable[[Callable[..., Verdict]], Callable[..., Verdict]]:
    """Enter a check under the name of its exercise, such as "05.2".

    It is called with the answer and, by keyword, with the values that the notebook gives. `kind` is one of float (any
    number), int, bool, str, list (or tuple), dict, set and Callable: other answers do not come as far as the check.
    """
    if kind not in KINDS or not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an exercise, or {kind!r} is no kind of answer.")

    def enter(judge: Callable[..., Verdict]) -> Callable[..., Verdict]:
        CHECKS[name] = Check(kind, judge)
        return judge

    return enter


def check(exercise: str, answer: object, **given: object) -> None:
    """Print in one line whether the answer to an exercise, such as "05.2", is right. `given` are values of the run.

    Raises:
        CourseError: there is no such exercise.
    """
    if answer is ...:
        find_check(exercise)
        print(UNANSWERED, "Write your answer in the place of the three dots, and run the cell again.")
    else:
        print(verdict_on(exercise, answer, **given))


def verdict_on(exercise: str, answer: object, **given: object) -> Verdict:
    """What an answer other than `...` is worth. Raises CourseError if there is no such exercise."""
    found = find_check(exercise)
    answer = plain(answer)
    if not fits(answer, found.kind):
        return not_yet(f"the answer should be {KINDS[found.kind]}, and this is of the type {type(answer).__name__}.")
    try:
        return found.judge(answer, **given)
    except Exception as error:  # the learner's function may do anything
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return not_yet(f"with this answer the check ended in {said}")


def find_check(exercise: str) -> Check:
    """The check of an exercise. Raises CourseError."""
    match = NAME.fullmatch(exercise)
    module = f"{__package__}.notebook_{match['notebook']}" if match else ""
    if module and find_spec(module):
        import_module(module)
    if exercise not in CHECKS:
        raise CourseError(f"There is no exercise {exercise!r}. Names are like “05.2”: notebook 05, exercise 2.")
    return CHECKS[exercise]


def plain(answer: object) -> object:
    """The number in a scalar of torch or numpy; anything else as it is."""
    is_scalar = hasattr(answer, "item") and getattr(answer, "ndim", None) == 0
    return answer.item() if is_scalar else answer  # type: ignore[attr-defined]


def fits(answer: object, kind: object) -> bool:
    """True if the answer is of the kind. True and False are no numbers here, nor is nan."""
    if kind is Callable:
        return callable(answer)
    if kind in {float, int}:
        number = Real if kind is float else Integral
        return isinstance(answer, number) and not isinstance(answer, bool) and answer == answer
    return isinstance(answer, (list, tuple) if kind is list else kind)  # type: ignore[arg-type]
