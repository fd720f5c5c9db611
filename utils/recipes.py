"""Settings for training on data of your own, chosen from its size, the model's size and the speed of the machine.

Each choice comes with its reason. What you give yourself is never changed. The values are starting points that have
worked; how long to train is then decided by the validation accuracy (see `utils.selection`), up to the limits set here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from utils.errors import CourseError

FULL_LIMIT = 0.6e9  # weights; above, full fine-tuning needs more memory than most machines have
SMALL_SET = 1_000  # examples
SEEN_EXAMPLES = 8_000  # how many a run shows the model, repeats counted
MOST_EPOCHS = 20
# A rate of 5e-4 suits 135 million weights, 2e-4 suits 360 million; larger models want less, about in proportion.
RATE, RATE_WEIGHTS, RATE_BATCH = 5e-4, 135e6, 16
LORA_FACTOR = 10  # LoRA learns best at about ten times the rate (Schulman et al., 2025, "LoRA Without Regret")
RATE_LIMITS = {"full": (1e-5, 5e-4), "lora": (1e-4, 2e-3)}
FROZEN_SHARE = 3  # a third of the layers, as in notebook 03, where it was tried
SECONDS_BETWEEN_EVALUATIONS = 600  # also what a killed run loses at most
LEAST_PATIENCE, PATIENCE_SHARE = 3, 0.4

Values = dict[str, object]


@dataclass(frozen=True)
class Facts:
    """What the choice depends on. Lengths are in tokens.

    99 of 100 answers have at most `answer_tokens`, which is 0 for plain text.
    """

    examples: int
    validation_examples: int
    longest_example: int
    answer_tokens: int
    weights: int
    layers: int


@dataclass
class Recipe:
    """Values by the names of notebook parameters, and for each one that was chosen the reason."""

    values: Values = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def choose(self, given: Mapping[str, object], name: str, value: object, reason: str) -> None:
        """Take what was given, else `value`."""
        if given.get(name) is not None:
            self.values[name], self.reasons[name] = given[name], "as given"
        else:
            self.values[name], self.reasons[name] = value, reason

    def __str__(self) -> str:
        width = max(map(len, self.reasons))
        lines = [f"  {name:<{width}}  {_shown(self.values[name]):<8}  {why}" for name, why in self.reasons.items()]
        return "\n".join(lines)


def choose_step(facts: Facts, given: Mapping[str, object]) -> Recipe:
    """What an optimizer step looks like: method, batch, learning rate, lengths.

    Raises:
        CourseError: a given value does not make sense.
    """
    recipe = Recipe()
    millions = facts.weights / 1e6
    fits = facts.weights <= FULL_LIMIT
    wanted = None if given.get("method") == "auto" else given.get("method")
    reason = f"{millions:,.3g} million weights " + ("can all be trained" if fits else "are many: an adapter is enough")
    recipe.choose({"method": wanted}, "method", "full" if fits else "lora", reason)
    if recipe.values["method"] not in RATE_LIMITS:
        raise CourseError(f"The method {recipe.values['method']!r} is none of auto, {', '.join(RATE_LIMITS)}.")
    for name in ("per_device_train_batch_size", "gradient_accumulation_steps", "max_length", "max_new_tokens"):
        if given.get(name) is not None and given[name] < 1:
            raise CourseError(f"{name} is {given[name]}; it must be 1 or more.")

    batch = RATE_BATCH // 2 if facts.examples < SMALL_SET else RATE_BATCH
    why = "few examples: more, smaller steps" if facts.examples < SMALL_SET else "smooth enough steps"
    recipe.choose(given, "per_device_train_batch_size", 8, "examples computed together")
    computed = recipe.values["per_device_train_batch_size"]
    recipe.choose(given, "gradient_accumulation_steps", max(1, batch // computed), why)
    batch = computed * recipe.values["gradient_accumulation_steps"]

    low, high = RATE_LIMITS[recipe.values["method"]]
    factor = LORA_FACTOR if recipe.values["method"] == "lora" else 1
    rate = RATE * factor * RATE_WEIGHTS / facts.weights * math.sqrt(batch / RATE_BATCH)
    why = f"for {millions:,.3g} million weights and {batch} examples a step"
    recipe.choose(given, "learning_rate", _round(min(max(rate, low), high)), why)
    recipe.choose(given, "max_length", -(-facts.longest_example // 64) * 64, "the longest example fits")
    recipe.choose(given, "train_embeddings", False, "what words mean stays as it is")
    if recipe.values["method"] == "full":
        frozen = facts.layers // FROZEN_SHARE
        recipe.choose(
            given, "frozen_layers", frozen, f"of {facts.layers} layers, the lowest stay as they are, which saves time"
        )
    if facts.answer_tokens:
        room = -(-(facts.answer_tokens + facts.answer_tokens // 4 + 8) // 16) * 16
        recipe.choose(given, "max_new_tokens", room, f"99% of the answers have at most {facts.answer_tokens} tokens")
        asked = min(facts.validation_examples, 100)
        recipe.choose(given, "validation_answers", asked, "questions answered at each evaluation")
    recipe.choose(given, "loss_examples", min(facts.validation_examples, 100), "for the validation loss")
    return recipe


def choose_length(
    recipe: Recipe, facts: Facts, given: Mapping[str, object], *, example_seconds: float, evaluation_seconds: float
) -> Recipe:
    """How long to train and how often to evaluate: the `recipe` with epochs, warm-up, evaluation and patience added.

    `example_seconds` is what one training example takes, `evaluation_seconds` one evaluation.
    """
    recipe = Recipe(dict(recipe.values), dict(recipe.reasons))
    epochs, why = max(1.0, min(float(MOST_EPOCHS), round(SEEN_EXAMPLES / facts.examples))), "at most"
    if given.get("max_minutes") is not None:
        affordable = 60 * given["max_minutes"] / (facts.examples * example_seconds + evaluation_seconds)
        if affordable < epochs:
            epochs = max(0.05, math.floor(affordable) if affordable >= 1 else round(affordable, 2))
            why = f"at most, to stay within {given['max_minutes']:g} minutes"
    recipe.choose(given, "num_train_epochs", float(epochs), why)
    recipe.choose(given, "max_steps", -1, "as num_train_epochs says")
    total = total_steps(recipe.values, facts.examples)
    recipe.choose(given, "warmup_steps", max(1, min(10, total // 10)), "steps in which the learning rate rises")
    step_seconds = example_seconds * examples_per_step(recipe.values)
    often = max(1, round(SECONDS_BETWEEN_EVALUATIONS / step_seconds))
    every = max(1, min(steps_per_epoch(recipe.values, facts.examples), often, total))
    recipe.choose(given, "eval_steps", every, "steps between two evaluations")
    recipe.choose(given, "save_steps", recipe.values["eval_steps"], "steps between two checkpoints")
    recipe.choose(given, "logging_steps", 5 if total >= 50 else 1, "steps between two points of the curve")
    evaluations = math.ceil(total / recipe.values["eval_steps"])
    patience = max(LEAST_PATIENCE, math.ceil(PATIENCE_SHARE * evaluations))
    recipe.choose(given, "patience", patience, "evaluations without a gain after which it stops")
    return recipe


def examples_per_step(values: Mapping[str, object]) -> int:
    """Examples averaged into one optimizer step."""
    return values["per_device_train_batch_size"] * values["gradient_accumulation_steps"]


def steps_per_epoch(values: Mapping[str, object], examples: int) -> int:
    """Optimizer steps of one pass over the examples, as the trainer counts them."""
    batches = math.ceil(examples / values["per_device_train_batch_size"])
    return math.ceil(batches / values["gradient_accumulation_steps"])


def total_steps(values: Mapping[str, object], examples: int) -> int:
    """Optimizer steps of the whole run, if it is not stopped before."""
    if values["max_steps"] > 0:
        return values["max_steps"]
    return max(1, math.ceil(values["num_train_epochs"] * steps_per_epoch(values, examples)))


def _round(number: float) -> float:
    """Two significant digits."""
    return float(f"{number:.1e}")


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
