"""Spoken values: words and ISO form agree, and nothing of the test was in the training."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from utils.errors import CourseError
from utils.spoken_examples import (
    Phrasing,
    SpokenExample,
    Wordings,
    make_examples,
    nearest_phrasing,
    read_wordings,
    split_of_value,
    split_wordings,
    values_with_own_words,
)
from utils.spoken_scores import FORMS, by_error, error_kind, kind_of
from utils.spoken_values import DRAWS, ROUND_SUMS, Said, in_words, ordinal, ordinal_figures

GROUPS = {f"{kind}, {group}": (kind, draw) for kind, groups in DRAWS.items() for group, draw in groups.items()}
SPLIT = split_wordings()


def examples(split: str, count: int = 600, **keywords: object) -> list[SpokenExample]:
    return make_examples(SPLIT[split].phrasings, SPLIT[split].sentences, count, values=split, **keywords)


@pytest.mark.parametrize(
    ("number", "link", "words"),
    [
        (0, "", "zero"),
        (13, "", "thirteen"),
        (40, "", "forty"),
        (99, "", "ninety nine"),
        (100, " and", "one hundred"),
        (205, " and", "two hundred and five"),
        (205, "", "two hundred five"),
        (2005, " and", "two thousand and five"),
        (2500, " and", "two thousand five hundred"),
        (1_000_000, "", "one million"),
        (342_617, " and", "three hundred and forty two thousand six hundred and seventeen"),
    ],
)
def test_numbers_in_words(number: int, link: str, words: str) -> None:
    assert in_words(number, link) == words


def test_every_number_below_a_thousand_has_words_of_its_own() -> None:
    assert len({in_words(number) for number in range(10_000)}) == 10_000


def test_ordinals() -> None:
    said = [ordinal(number) for number in (1, 2, 3, 5, 8, 9, 12, 20, 21, 30, 31)]
    assert said == (
        "first,second,third,fifth,eighth,ninth,twelfth,twentieth,twenty first,thirtieth,thirty first".split(",")
    )
    assert [ordinal_figures(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 31)] == (
        "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 23rd 31st".split()
    )


@pytest.mark.parametrize(("kind", "draw"), GROUPS.values(), ids=GROUPS)
def test_a_group_draws_values_of_its_kind(kind: str, draw: Callable[[Random], Said]) -> None:
    random = Random(1)
    for _ in range(200):
        value, words = draw(random)
        assert kind_of(value) == kind
        assert all(text and text == text.lower() and "-" not in text for text in words.values())


def test_words_of_a_date_say_that_date() -> None:
    random = Random(2)
    for _ in range(300):
        value, words = DRAWS["date"]["any day"](random)
        day = datetime.date.fromisoformat(value)
        said = datetime.datetime.strptime(f"{words['day']} {words['month']} {words['year']}", "%d %B %Y").date()
        assert said == day
        assert words["weekday"] == day.strftime("%A").lower()
        assert words["ordinal"] == ordinal(day.day)
        assert words["yy"] == value[2:4]


def test_words_of_a_time_say_that_time() -> None:
    random = Random(3)
    for _ in range(500):
        value, words = DRAWS["time"]["minutes to"](random)
        hour, minute = map(int, value.split(":"))
        as_said = datetime.datetime.strptime(f"{words['hour_figure']}:{words['mm']} {words['meridiem']}", "%I:%M %p")
        assert f"{as_said:%H:%M}" == value == f"{words['hh']}:{words['mm']}"
        assert int(words["left_figure"]) + minute == 60
        assert int(words["next_figure"]) == int(words["hour_figure"]) % 12 + 1
        is_morning = hour < 12 and not (hour == 0 and words["period"] == "at night")
        assert ("morning" in words["period"]) == is_morning


def test_words_of_an_amount_say_that_amount() -> None:
    random = Random(4)
    for group, said in {
        "with cents": lambda words: int(words["plain"]) + int(words["cents_figure"]) / 100,
        "fractions": lambda words: int(words["plain"]) + 0.5,
        "hundreds": lambda words: 100 * int(words["count_figure"]),
        "half thousands": lambda words: 1000 * int(words["count_figure"]) + 500,
        "parts of millions": lambda words: 1e6 * float(f"{words['count_figure']}.{words['tenth_figure']}"),
        "round sums": lambda words: ROUND_SUMS[words["round_sum"]],
    }.items():
        for _ in range(200):
            value, words = DRAWS["amount"][group](random)
            assert value == f"{said(words):.2f}"
            assert "figures" not in words or words["figures"].replace(",", "") == words["plain"]


def test_all_that_phrasings_ask_for_is_drawn() -> None:
    wordings, _ = read_wordings()
    for phrasing in wordings.phrasings:
        _, words = DRAWS[phrasing.kind][phrasing.group](Random(5))
        assert "{" not in phrasing.pattern.format(**words)


def test_splits_share_no_phrasing_sentence_or_value() -> None:
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        left, right = examples(one), examples(other)
        for part in ("phrasing", "sentence", "value", "text"):
            common = {getattr(e, part) for e in left if e.value in _new(left)} & {getattr(e, part) for e in right}
            assert not common, (one, other, part)


def _new(found: list[SpokenExample]) -> set[str]:
    """Values but those of the groups with one value only, which are in training alone."""
    one_value = read_wordings()[1]
    return {example.value for example in found if example.group not in one_value}


def test_words_of_held_out_phrasings_were_trained() -> None:
    for kind in DRAWS:
        known = {word for p in SPLIT["train"].phrasings if p.kind == kind for word in p.words}
        held_out = [p for split in ("validation", "test") for p in SPLIT[split].phrasings if p.kind == kind]
        assert len(held_out) >= 20
        for phrasing in held_out:
            assert phrasing.words <= known, phrasing


def test_shares_of_the_splits() -> None:
    counts = {split: len(wordings.phrasings) for split, wordings in SPLIT.items()}
    assert sum(counts.values()) == len(read_wordings()[0].phrasings)
    assert 0.15 < counts["test"] / sum(counts.values()) < 0.25
    shares = [split_of_value(f"{hour:02d}:{minute:02d}") for hour in range(24) for minute in range(60)]
    assert 0.07 < shares.count("test") / len(shares) < 0.13


def test_every_held_out_phrasing_has_values_in_its_split() -> None:
    for split in ("validation", "test"):
        found = {example.phrasing for example in examples(split, 1500)}
        assert found == {phrasing.pattern for phrasing in SPLIT[split].phrasings}


def test_examples_are_repeatable_and_balanced() -> None:
    first, again, other = examples("train", 90), examples("train", 90), examples("train", 90, seed=1)
    assert first == again != other
    assert len({example.text for example in first}) == 90
    assert [sum(example.kind == kind for example in first) for kind in DRAWS] == [30, 30, 30]
    for example in first:
        assert re.fullmatch(re.escape(example.sentence).replace(r"\{\}", "(.+)"), example.text)


def test_too_many_examples_are_refused() -> None:
    noon = [Phrasing("time", "noon", "noon")]
    with pytest.raises(CourseError, match="Only 1 of 2"):
        make_examples(noon, {"time": ["is it {}"]}, 2)


@pytest.mark.parametrize(
    ("phrasing", "sentence", "message"),
    [
        ("the {ordinal}", "no place", "needs one {}"),
        ("the {ordinal}", "{} or {}", "needs one {}"),
        ("the {ordinal}", "the {ordinal}", "stands there 2 times"),
    ],
)
def test_faults_of_the_file_are_named(tmp_path: Path, phrasing: str, sentence: str, message: str) -> None:
    file = tmp_path / "wordings.yaml"
    file.write_text(
        f"one_value: []\nphrasings: {{date: {{any day: ['{phrasing}']}}}}\nsentences: {{date: ['{sentence}']}}\n",
        encoding="utf-8",
    )
    with pytest.raises(CourseError, match=message):
        read_wordings(file)


def test_unknown_group_is_named(tmp_path: Path) -> None:
    file = tmp_path / "wordings.yaml"
    file.write_text("one_value: []\nphrasings: {date: {easter: [x]}}\nsentences: {}\n", encoding="utf-8")
    with pytest.raises(CourseError, match="'easter' is no group"):
        read_wordings(file)


def test_single_values_stay_in_training() -> None:
    phrasings = (Phrasing("time", "noon", "noon sharp"), Phrasing("time", "noon", "noon"))
    assert isinstance(SPLIT["train"], Wordings)
    kept = {phrasing.group for split in ("validation", "test") for phrasing in SPLIT[split].phrasings}
    assert not kept & read_wordings()[1]
    assert {example.value for example in make_examples(phrasings, {"time": ["at {}"]}, 2)} == {"12:00"}


def test_kinds_and_errors() -> None:
    assert {kind_of("1998-05-03"), kind_of("21:15"), kind_of("2500.00")} == set(FORMS)
    assert kind_of("2500") == kind_of("") == ""
    assert error_kind("21:15", "21:15") == ""
    for gold, written, error in (
        ("1998-05-03", "1998-06-03", "wrong month"),
        ("1998-05-03", "1999-06-03", "wrong in several parts of the date"),
        ("21:15", "09:15", "wrong hour"),
        ("21:15", "21:45", "wrong minute"),
        ("2500.00", "250.00", "wrong size of the amount"),
        ("2500.00", "2600.00", "wrong figures of the amount"),
        ("21:15", "2115.00", "another kind of value"),
        ("21:15", "2115", "no value"),
    ):
        assert error_kind(gold, written) == error


def test_errors_are_gathered_by_kind() -> None:
    found = examples("test", 6)
    assert by_error(found, [example.value for example in found]) == {}
    wrong = by_error(found, ["", "", *(example.value for example in found[2:5]), found[5].value + "0"])
    assert list(wrong) == ["no value"]
    assert wrong["no value"] == [(found[0], ""), (found[1], ""), (found[5], found[5].value + "0")]


def test_nearest_phrasing_is_of_the_same_kind() -> None:
    asked = Phrasing("time", "full hour", "the hour of {hour}")
    far, near = Phrasing("time", "noon", "noon"), Phrasing("time", "full hour", "the {hour} sharp")
    other = Phrasing("date", "any day", "the hour of {hour}")
    assert nearest_phrasing(asked, [far, other, near]) == ("the {hour} sharp", 0.4)


def test_values_with_words_of_their_own_are_trained_on_and_never_tested() -> None:
    named = values_with_own_words()
    assert "00:00" in named
    wordings = split_wordings()
    for split in ("validation", "test"):
        found = make_examples(wordings[split].phrasings, wordings["train"].sentences, 900, values=split)
        assert named.isdisjoint(example.value for example in found)
