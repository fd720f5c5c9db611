"""Several answers to each prompt, drawn at random: what preference pairs and rewards are made from.

A token is drawn by adding Gumbel noise to the scores and taking the highest (Gumbel, 1954; Maddison, Tarlow and Minka,
2014). The next tokens in that order are what would be drawn if the first were forbidden, so a constraint
(`utils.constraints`) simply takes the first that it allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from utils.errors import CourseError
from utils.generation import generate_answers

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from utils.constraints import SchemaConstraint
    from utils.prompts import Message

BEHIND = 1e4  # taken off the scores outside the nucleus: they come last, but a constraint may still need them


class Sampler:
    """Turns scores of next tokens into noisy ones, of which the highest is a token drawn at random.

    Raises:
        CourseError: the temperature is not above 0, or top_p not above 0 and at most 1.
    """

    def __init__(self, temperature: float, top_p: float, seed: int) -> None:
        if not (temperature > 0 and 0 < top_p <= 1):
            raise CourseError(
                f"temperature is {temperature} and top_p {top_p}: give a temperature above 0, such as 1.0, and a top_p "
                "above 0 and up to 1. Answers without chance are what generate_answers gives."
            )
        self.temperature, self.top_p, self.seed = temperature, top_p, seed
        self.generator: torch.Generator | None = None

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Noisy scores of the shape of `logits`, (rows, vocabulary)."""
        import torch

        if self.generator is None:
            self.generator = torch.Generator(logits.device).manual_seed(self.seed)
        scores = logits.float() / self.temperature
        if self.top_p < 1:
            ranked = scores.softmax(-1).sort(dim=-1, descending=True)
            # A token is outside if those before it reach top_p without it; so the first is always inside.
            outside = ranked.values.cumsum(-1) - ranked.values >= self.top_p
            scores = scores - BEHIND * outside.float().scatter(-1, ranked.indices, outside.float())
        # Minus the logarithm of an exponential variable has Gumbel's distribution.
        return scores - torch.empty_like(scores).exponential_(generator=self.generator).log()


def sample_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[Message]],
    count: int,
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
    max_new_tokens: int = 96,
    seed: int = 0,
    batch_size: int = 72,
    constraints: Sequence[SchemaConstraint] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[list[str]]:
    """`count` answers for each prompt, drawn at `temperature`, in the order of the prompts.

    `top_p` keeps the most probable tokens that together have this probability (nucleus sampling: Holtzman et al.,
    2020). With `constraints`, one for each prompt, a token is drawn among those that its constraint allows. The same
    seed gives the same answers. `on_progress(done, total)` counts answers.

    Raises:
        CourseError: temperature or top_p is out of range.
    """
    answers = generate_answers(
        model,
        tokenizer,
        [prompt for prompt in prompts for _ in range(count)],
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        constraints=[rule for rule in constraints for _ in range(count)] if constraints else None,
        rescore=Sampler(temperature, top_p, seed),
        on_progress=on_progress,
    )
    return [answers[start : start + count] for start in range(0, len(answers), count)]
