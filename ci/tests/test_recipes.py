"""Settings that are chosen suit the data, keep what was given, and stay within the time."""

from __future__ import annotations

import pytest

from utils.errors import CourseError
from utils.recipes import Facts, Recipe, choose_length, choose_step, examples_per_step, steps_per_epoch, total_steps


def facts(examples: int = 400, **values: int) -> Facts:
    defaults = {
        "validation_examples": 40,
        "longest_example": 500,
        "answer_tokens": 100,
        "weights": 135_000_000,
        "layers": 30,
    }
    return Facts(examples, **(defaults | values))


def choose(about: Facts, example_seconds: float = 0.3, evaluation_seconds: float = 20.0, **given: object) -> Recipe:
    times = {"example_seconds": example_seconds, "evaluation_seconds": evaluation_seconds}
    return choose_length(choose_step(about, given), about, given, **times)


def test_small_hard_set_is_trained_for_long() -> None:
    """Some hundreds of questions on one schema: many passes, an evaluation after each, and patience."""
    values = choose(facts(400), max_minutes=60.0).values
    assert values["num_train_epochs"] >= 15
    assert values["eval_steps"] == steps_per_epoch(values, 400)
    assert total_steps(values, 400) >= 500
    assert 5 <= values["patience"] <= values["num_train_epochs"] / 2
    assert values["validation_answers"] == 40


def test_large_set_is_seen_once_and_checked_often() -> None:
    values = choose(facts(20_000, validation_examples=1000), example_seconds=0.01).values
    assert values["num_train_epochs"] == 1.0
    assert examples_per_step(values) == 16
    seconds = values["eval_steps"] * 16 * 0.01
    assert seconds <= 600
    assert values["validation_answers"] == values["loss_examples"] == 100


def test_more_examples_mean_fewer_passes() -> None:
    passes = [choose(facts(examples)).values["num_train_epochs"] for examples in (100, 400, 1000, 4000, 20_000)]
    assert passes == sorted(passes, reverse=True)
    assert passes[0] == 20.0
    assert passes[-1] == 1.0


def test_time_limit_shortens_training() -> None:
    recipe = choose(facts(400), max_minutes=10.0)
    # 140 s for a pass with its evaluation: four of them take 9 minutes.
    assert recipe.values["num_train_epochs"] == 4.0
    assert "10 minutes" in recipe.reasons["num_train_epochs"]
    assert choose(facts(400), max_minutes=1.0).values["num_train_epochs"] == pytest.approx(60 / 140, abs=0.01)
    assert choose(facts(400), max_minutes=1.0, num_train_epochs=3.0).values["num_train_epochs"] == 3.0


def test_what_is_given_stays() -> None:
    given = {
        "method": "full",
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 3,
        "max_length": 77,
        "max_new_tokens": 9,
        "num_train_epochs": 2.5,
        "max_steps": 40,
        "warmup_steps": 0,
        "eval_steps": 7,
        "save_steps": 9,
        "logging_steps": 2,
        "loss_examples": 3,
        "validation_answers": 4,
        "train_embeddings": True,
        "frozen_layers": 0,
        "patience": 1,
    }
    recipe = choose(facts(), **given)
    assert recipe.values == given
    assert set(recipe.reasons.values()) == {"as given"}


def test_learning_rate_follows_model_batch_and_method() -> None:
    def rate(**values: object) -> float:
        given = {key: values.pop(key) for key in list(values) if key not in {"examples", "weights"}}
        return choose_step(facts(**values), given).values["learning_rate"]

    assert rate(examples=4000) == 5e-4
    assert rate(examples=4000, weights=360_000_000) == pytest.approx(2e-4, rel=0.1)
    assert rate(examples=400) < rate(examples=4000)
    assert rate(method="lora", examples=4000, weights=1_700_000_000) == pytest.approx(4e-4, rel=0.1)
    assert rate(weights=70_000_000_000, method="full") == 1e-5


def test_large_model_gets_an_adapter() -> None:
    assert choose_step(facts(weights=1_700_000_000), {}).values["method"] == "lora"
    assert choose_step(facts(weights=1_700_000_000), {"method": "auto"}).values["method"] == "lora"
    assert choose_step(facts(weights=360_000_000), {"method": "auto"}).values["method"] == "full"


def test_a_third_of_the_layers_stays_as_it_is() -> None:
    assert choose_step(facts(), {}).values["frozen_layers"] == 10
    assert "frozen_layers" not in choose_step(facts(), {"method": "lora"}).values


def test_lengths_leave_room() -> None:
    values = choose_step(facts(longest_example=500, answer_tokens=100), {}).values
    assert values["max_length"] == 512
    assert 100 < values["max_new_tokens"] <= 160
    text = choose_step(facts(answer_tokens=0), {}).values
    assert "max_new_tokens" not in text
    assert "validation_answers" not in text


def test_few_examples_and_steps() -> None:
    values = choose(facts(3, validation_examples=1), max_steps=2).values
    assert values["warmup_steps"] == 1
    assert values["eval_steps"] == 1
    assert values["logging_steps"] == 1
    assert values["validation_answers"] == 1


@pytest.mark.parametrize("given", [{"method": "qlora"}, {"max_length": 0}, {"per_device_train_batch_size": 0}])
def test_nonsense_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(CourseError):
        choose_step(facts(), given)


def test_reasons_are_shown() -> None:
    shown = str(choose(facts()))
    assert "learning_rate" in shown
    assert "for 135 million weights and 8 examples a step" in shown
