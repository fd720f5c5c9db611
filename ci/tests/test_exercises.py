"""What is said of an answer, whatever it is; and the quizzes, with a kernel and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import pytest
import torch

from ci.tests.test_widgets import ATTRIBUTES, TAGS, Reader
from utils.errors import CourseError
from utils.exercises import check, checks, multiple_choice, quiz
from utils.exercises.checks import KINDS, exercise, fits, verdict_on
from utils.exercises.multiple_choice import FOLDER, formatted
from utils.exercises.verdicts import RIGHT, Verdict, not_yet, right

QUIZZES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
each_quiz = pytest.mark.parametrize("name", QUIZZES)


@pytest.fixture
def doubled(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an exercise that asks for twice a number."""
    monkeypatch.setattr(checks, "CHECKS", {})
    monkeypatch.setattr(checks, "find_spec", lambda _: None)

    @exercise("99.1", float)
    def judge(answer: float, *, number: float) -> Verdict:
        return right("Twice as much.") if answer == 2 * number else not_yet("double it.")

    return "99.1"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (..., "Not answered yet. "),
        (6, "Right. Twice as much.\n"),
        (torch.tensor(6), "Right. "),
        (numpy.float32(6), "Right. "),
        (5.0, "Not yet: double it.\n"),
        ("6", "Not yet: the answer should be a number, and this is of the type str.\n"),
        (True, "Not yet: the answer should be a number"),
        (float("nan"), "Not yet: the answer should be a number"),
    ],
)
def test_an_answer_gets_one_line(doubled: str, answer: object, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    check(doubled, answer, number=3)
    shown = capsys.readouterr().out
    assert shown.startswith(said)
    assert shown.count("\n") == 1


def test_a_check_that_ends_in_an_error_says_so(doubled: str) -> None:
    assert str(verdict_on(doubled, 6)).startswith("Not yet: with this answer the check ended in TypeError: ")


@pytest.mark.parametrize("name", ["99.2", "98.1", "nonsense", "../x"])
def test_an_exercise_that_is_not_there_is_told(doubled: str, name: str) -> None:
    with pytest.raises(CourseError, match="There is no exercise"):
        check(name, ...)


def test_every_kind_of_answer_is_told_from_the_others() -> None:
    answers = {float: 1.5, int: 1, bool: False, str: "a", list: [1], dict: {}, set: set(), Callable: len}
    assert answers.keys() == KINDS.keys()
    for kind, answer in answers.items():
        assert {other for other in KINDS if fits(answer, other)} == ({int, float} if kind is int else {kind})
    assert fits((1, 2), list)


@each_quiz
def test_a_quiz_has_a_few_questions_and_an_answer_to_each_choice(name: str) -> None:
    items = quiz(name).items
    assert 4 <= len(items) <= 6
    for item in items:
        assert 3 <= len(item.options) <= len(multiple_choice.LETTERS)
        assert len({option.text for option in item.options}) == len(item.options)
        for option in item.options:
            first = option.feedback.replace("`", "")[0]
            assert first.isupper() == option.is_right or not first.isalpha(), option.feedback
            assert option.feedback.endswith((".", "?"))
    places = [[option.is_right for option in item.options].index(True) for item in items]
    assert len(set(places)) > 1


@each_quiz
def test_without_a_kernel_the_answers_of_a_quiz_are_folded(name: str) -> None:
    shown = quiz(name)
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    reader = Reader(bundle["text/html"])
    assert reader.tags <= TAGS | {"details", "summary"}
    assert reader.attributes <= ATTRIBUTES
    assert bundle["text/html"].count("<details>") == len(shown.items)
    before_answers = "".join(part.split("<details>")[0] for part in bundle["text/html"].split("</details>"))
    for item in shown.items:
        for option in item.options:
            assert str(formatted(option.text)) in before_answers
            assert str(formatted(option.verdict)) in bundle["text/html"]
            assert str(formatted(option.feedback)) not in before_answers


def buttons(shown: multiple_choice.Quiz) -> Iterator[tuple[object, object]]:
    """The buttons of each question, and the widget that answers."""
    for box in shown.widget.children[:-1]:
        _, choices, said = box.children
        yield choices, said


def test_a_choice_is_answered_at_once_and_may_be_changed() -> None:
    shown = quiz("start")
    for (choices, said), item in zip(buttons(shown), shown.items, strict=True):
        for place in [*range(len(item.options)), [option.is_right for option in item.options].index(True)]:
            choices.value = place
            assert str(formatted(item.options[place].verdict)) in said.value
    assert f"{len(shown.items)} of {len(shown.items)} right." in shown.score.value
    first, _ = next(buttons(shown))
    first.value = next(place for place, option in enumerate(shown.items[0].options) if not option.is_right)
    assert f"{len(shown.items) - 1} of {len(shown.items)} right." in shown.score.value


def test_code_in_a_quiz_is_marked_and_the_rest_stays_text() -> None:
    assert formatted("set `a < b` & <i>") == "set <code>a &lt; b</code> &amp; &lt;i&gt;"


@pytest.mark.parametrize(
    "content",
    [
        "title: x\nquestions: [",
        "title: x",
        "title: x\nquestions:\n- question: q\n  choices: [{text: a, feedback: b}]",
        "title: x\nquestions:\n- question: q\n  choices: [{text: a, right: true}]",
    ],
)
def test_a_broken_quiz_is_told(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiple_choice, "FOLDER", tmp_path)
    (tmp_path / "mine.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(CourseError, match=r"quizzes/mine\.yaml is not a quiz"):
        quiz("mine")
    with pytest.raises(CourseError, match="there are mine"):
        quiz("yours")


def test_verdicts_begin_as_the_runner_expects() -> None:
    assert str(right("So it is.")).startswith(RIGHT)
    assert not str(not_yet("try again.")).startswith(RIGHT)
