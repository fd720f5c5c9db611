"""The checks of notebooks 04, 06, 07 and 09 take right answers, and lead on from wrong ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from openai import APIStatusError, RateLimitError

from utils.data_settings import DataSettings
from utils.exercises.checks import verdict_on
from utils.formats import Example
from utils.likeness import jaccard
from utils.load import Load
from utils.preparation import prepare
from utils.reading import read_data
from utils.settings import DATA

WEIGHTS = 1_000_000
HOURS = "Mo-Fr 09:00-17:00; Sa 10:00-14:00"


def judged(name: str, answer: object, part: str, **given: object) -> bool:
    """Whether the answer is right. The verdict must have `part` in it."""
    verdict = verdict_on(name, answer, **given)
    assert part in verdict.text, verdict
    return verdict.is_right


# --- 04 ----------------------------------------------------------------------------------------------------------


def candidates(**trainable: int) -> dict[str, SimpleNamespace]:
    """Full fine-tuning, and adapters by rank such as `rank_4`, each with so many trained weights."""
    adapters = {name: SimpleNamespace(rank=int(name[5:]), trainable=count) for name, count in trainable.items()}
    return {"full": SimpleNamespace(rank=None, trainable=9000), **adapters}


@pytest.mark.parametrize(
    ("results", "wanted"),
    [
        (candidates(rank_4=400, rank_16=1600), 800),
        (candidates(rank_16=1600), 800),
        (candidates(rank_4=430, rank_16=1630), 830),  # DoRA: thirty weights whatever the rank
    ],
)
def test_weights_grow_with_the_rank(results: dict[str, SimpleNamespace], wanted: int) -> None:
    assert judged("04.1", wanted, "grow with the rank", results=results)
    assert not judged("04.1", wanted + 1, "twice the rank", results=results)


def directions(share: float = 0.9, power: int = 2, more: int = 1) -> Callable[[torch.Tensor, torch.Tensor], int]:
    def count(A: torch.Tensor, B: torch.Tensor) -> int:
        sizes = torch.linalg.svdvals(B @ A) ** power
        return int((sizes.cumsum(0) < share * sizes.sum()).sum()) + more

    return count


def test_directions_hold_a_share_of_the_squares() -> None:
    assert judged("04.2", directions(), "upper limit")
    assert not judged("04.2", directions(power=1), "10, 1, 1 your function gives 2")
    assert not judged("04.2", directions(more=0), "gives 0")
    assert not judged("04.2", directions(share=0.5), "3, 2, 1, 1 your function gives 1")


@pytest.mark.parametrize(
    ("answer", "is_right", "part"),
    [
        ({5e-4: [3.0, 2.5, 2.0], 2e-3: [3.0, 2.0, 1.0]}, True, "higher rate is at 1.00"),
        ({5e-4: [3.0, 2.5, 2.0]}, False, "two rates"),
        ({5e-4: [3.0, 2.5], 2e-3: [3.0, 2.0]}, False, "3 losses"),
        ({5e-4: [3.0, 2.5, 2.0], 2e-3: [2.0, 1.5, 1.0]}, False, "each adapter new"),
        ({1e-4: [3.0, 2.5, 2.0], 2e-3: [3.0, 2.0, 1.0]}, False, "those of the notebook"),
        ({5e-4: [3.0, 3.0, 3.0], 2e-3: [3.0, 2.0, 1.0]}, False, "did not fall"),
        ({5e-4: [3.0, 2.5, 2.0], 2e-3: [3.0, 2.5, 2.0]}, False, "get the rate"),
        ({5e-4: [3.0, 2.5, 2.0], 2e-3: [3.0, 2.5, float("nan")]}, False, "not a number"),
    ],
)
def test_two_rates_start_alike_and_part(answer: dict[float, list[float]], is_right: bool, part: str) -> None:
    assert judged("04.3", answer, part, rates=(2e-3, 5e-4)) == is_right


# --- 06 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "is_right", "part"),
    [
        (0.5625, True, "an eighth"),
        (0.5, False, "without the scales"),
        (4.5, False, "8 bits"),
        (1.0, False, "32 weights"),
    ],
)
def test_four_bits_and_a_scale(answer: float, is_right: bool, part: str) -> None:
    assert judged("06.1", answer, part, weights=WEIGHTS) == is_right


def test_bfloat16_rounds_eight_times_as_roughly() -> None:
    weights = torch.randn(10_000, generator=torch.Generator().manual_seed(0)) / 20
    rough, fine = ((weights - weights.to(kind).float()).abs().mean() for kind in (torch.bfloat16, torch.float16))
    assert judged("06.2", rough / fine, "eight times")
    assert not judged("06.2", fine / rough, "other way round")
    assert not judged("06.2", 3.0, "32 bits")


class Network:
    """Stands for a model: the scores of the next token depend on how many tokens there are."""

    device = "cpu"

    def __call__(self, input_ids: torch.Tensor) -> SimpleNamespace:
        generator = torch.Generator().manual_seed(input_ids.shape[1])
        return SimpleNamespace(logits=3 * torch.randn(1, input_ids.shape[1], 50, generator=generator))


def two_best(ids: list[int], *, probabilities: bool = True) -> list[float]:
    scores = Network()(input_ids=torch.tensor([ids])).logits[0, -1]
    return (scores.softmax(-1) if probabilities else 5 * scores).topk(2).values.tolist()


def test_the_margin_is_a_difference_of_probabilities() -> None:
    given: dict[str, Any] = {"network": Network(), "prompts": [[1, 2, 3], [4, 5, 6, 7]]}

    def margin(ids: list[int], **options: bool) -> float:
        first, second = two_best(ids, **options)
        return first - second

    assert judged("06.3", margin, "rounding", **given)
    assert not judged("06.3", lambda ids: two_best(ids)[0], "the second", **given)
    assert not judged("06.3", lambda ids: margin(ids, probabilities=False), "between 0 and 1", **given)
    assert not judged("06.3", lambda ids: margin(ids) / 2, "last place", **given)


# --- 07 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "is_right", "part"),
    [(20, True, "in vain"), (22.0, True, "in vain"), (40, False, "answers a second"), (100, False, "answers a second")],
)
def test_a_line_within_the_time_limit(answer: float, is_right: bool, part: str) -> None:
    loads = [Load(1, 10.0, [1.0] * 10, 100, [])]  # an answer a second
    assert judged("07.1", answer, part, loads=loads, time_limit=20.0) == is_right


def test_a_fast_server_answers_all_that_are_let_in() -> None:
    assert judged("07.1", 200, "more than the 40", loads=[Load(1, 1.0, [0.1] * 10, 100, [])], time_limit=20.0)


@pytest.mark.parametrize(
    ("answer", "is_right", "part"),
    [
        ({"status": 504, "pieces": 12}, True, "before the answer begins"),
        ({"status": 200, "pieces": 12}, False, "status_code"),
        ({"status": 504, "pieces": 0}, False, "count the pieces"),
        ({"status": 504}, False, "two entries"),
    ],
)
def test_what_comes_too_late(answer: dict[str, int], is_right: bool, part: str) -> None:
    assert judged("07.2", answer, part) == is_right


@pytest.fixture
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sleeping takes no time, and yet the clock says so."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.append(now.pop() + seconds))


def client(
    attempts: int = 10, *, waits: bool = True, lets_through: bool = True, retried: type[Exception] = RateLimitError
) -> Callable[[Callable], object]:
    """A client that is more or less patient."""

    def ask(send: Callable) -> object:
        for attempt in range(attempts):
            try:
                return send()
            except retried as error:
                if lets_through and attempt == attempts - 1:
                    raise
                time.sleep(float(error.response.headers.get("Retry-After", 0)) if waits else 0)
        return None

    return ask


@pytest.mark.usefixtures("_clock")
def test_patience_has_an_end() -> None:
    assert judged("07.3", client(), "waits where waiting helps")
    assert not judged("07.3", client(waits=False), "for a second")
    assert not judged("07.3", client(attempts=1000), "Give up after 10")
    assert not judged("07.3", client(attempts=2), "was called 2 times")
    assert not judged("07.3", client(lets_through=False), "last error through")
    assert not judged("07.3", client(retried=APIStatusError), "status 400")
    assert not judged("07.3", lambda send: None, "did not come back")
    assert not judged("07.3", lambda send: send(), "RateLimitError")


# --- 09 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "is_right", "part"),
    [
        ("Mo-Fr 10:00-14:00; Sa 09:00-17:00", True, "where they stand"),
        (HOURS.lower(), False, "says the same"),
        ("; ".join(reversed(HOURS.split("; "))), False, "in another order"),
        ("Mo-Fr 09:00-17:00", False, "token F1 is 0.71"),
    ],
)
def test_a_metric_is_fooled(answer: str, is_right: bool, part: str) -> None:
    assert judged("09.1", answer, part, reference=HOURS) == is_right


def test_senders_that_training_knows() -> None:
    source = DATA / "examples" / "orders.parquet"
    given: dict[str, Any] = {
        "by_row": prepare(DataSettings(source, prompt_column="mail_text", completion_column="office_record")),
        "rows": read_data(source).splits["all"],
    }
    sender = {row.line: row.values["sender"] for row in given["rows"]}
    trained, tested = ([sender[e.line] for e in given["by_row"].splits[split]] for split in ("train", "test"))
    share = sum(name in trained for name in tested) / len(tested)
    assert judged("09.2", share, "Split by group", **given)
    assert not judged("09.2", 100 * share, "percentage", **given)
    assert not judged("09.2", share / 2, "count test orders", **given)


def nearest(question: str, examples: Sequence[Example]) -> Example:
    return max(examples, key=lambda example: jaccard(question, example.question))


def test_answers_are_copied_from_the_nearest_example() -> None:
    assert judged("09.3", lambda question, examples: nearest(question, examples).completion, "looked up")
    assert not judged("09.3", nearest, "the text of the answer")
    assert not judged("09.3", lambda question, examples: examples[0].completion, "most like it")
