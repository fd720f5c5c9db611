"""Second chances: where an answer is visibly bad, take the other road at the fork where the model was least sure.

Whether a query runs and returns something can be seen without knowing the right answer. If it does not, the token at
which the runner-up was closest is replaced by it, and the answer is written on from there: one answer more for each
chance, only for the questions that need it. It is limited discrepancy search (Harvey and Ginsberg, 1995) over tokens,
guided by execution as in Wang et al., "Robust Text-to-SQL Generation with Execution-Guided Decoding" (2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from utils.generation import Draft, write_drafts

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from utils.constraints import SchemaConstraint
    from utils.prompts import Message


def answer_with_second_chances(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[Message]],
    is_good: Callable[[int, str], bool],
    *,
    chances: int = 3,
    max_new_tokens: int = 160,
    batch_size: int = 70,
    constraints: Sequence[SchemaConstraint] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """One answer for each prompt: the greedy one, or if `is_good(number, answer)` is False the first good alternative.

    Where none of the `chances` alternatives is good either, the greedy answer stays.
    """
    options = {"max_new_tokens": max_new_tokens, "batch_size": batch_size}
    drafts = write_drafts(model, tokenizer, prompts, constraints=constraints, on_progress=on_progress, **options)
    answers = [tokenizer.decode(draft.ids, skip_special_tokens=True) for draft in drafts]
    bad = [number for number, answer in enumerate(answers) if not is_good(number, answer)]
    for chance in range(chances):
        bad = [number for number in bad if len(drafts[number].forks) > chance]
        others = write_drafts(
            model,
            tokenizer,
            [prompts[number] for number in bad],
            beginnings=[other_road(drafts[number], chance) for number in bad],
            constraints=[constraints[number] for number in bad] if constraints else None,
            **options,
        )
        for number, draft in zip(list(bad), others, strict=True):
            answer = tokenizer.decode(draft.ids, skip_special_tokens=True)
            if is_good(number, answer):
                answers[number] = answer
                bad.remove(number)
    return answers


def other_road(draft: Draft, chance: int) -> list[int]:
    """The draft up to its closest fork (`chance` 0), its second closest (1) …, and the runner-up there."""
    _, place, token = sorted(draft.forks)[chance]
    return [*draft.ids[:place], token]
