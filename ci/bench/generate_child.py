"""Child: answers of a tuned model. `python -m ci.bench.generate_child METHOD REQUEST`, METHOD is ours or one_by_one."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ci.bench.children import input_of, report

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def main(method: str, path: str) -> None:
    """Write the answers and print them with the seconds that it took, loading not counted."""
    if method == "ours":
        from utils.allocator import keep_freed_memory

        keep_freed_memory()  # part of the course, which does so before it imports torch
    import torch

    from utils.generation import generate_answers
    from utils.hardware import choose_here
    from utils.models import load_model, load_tokenizer

    request = input_of(path)
    hardware = choose_here()
    dtype = hardware.torch_dtype if method == "ours" else torch.float32
    model = load_model(request["model"], dtype=dtype, device=hardware.device, attention=hardware.attention)
    tokenizer = load_tokenizer(request["model"])
    start = perf_counter()
    if method == "ours":
        sizes = {name: request[name] for name in ("max_new_tokens", "batch_size")}
        answers = generate_answers(model, tokenizer, request["prompts"], **sizes)
    else:
        answers = one_by_one(model, tokenizer, request["prompts"], request["max_new_tokens"])
    report(seconds=perf_counter() - start, dtype=str(dtype).removeprefix("torch."), answers=answers)


def one_by_one(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[dict[str, Any]]], new_tokens: int
) -> list[str]:
    """What a tutorial does: greedy `generate`, a prompt at a time."""
    answers = []
    for prompt in prompts:
        inputs = tokenizer.apply_chat_template(
            prompt, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        ).to(model.device)
        written = model.generate(
            **inputs, max_new_tokens=new_tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id
        )
        answers.append(tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return answers


if __name__ == "__main__":
    main(*sys.argv[1:])
