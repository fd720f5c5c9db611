"""GRPO with shared prompts: the same probabilities and gradients as TRL's trainer, and answers of the model itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedModel
from trl import GRPOConfig, GRPOTrainer

from ci.checks.tiny_model import make_tiny_model
from utils.hardware import Choice
from utils.reinforcement import (
    SharedPromptGRPOTrainer,
    answer_log_probabilities,
    grpo_trainer_class,
    lay_out,
)

GENERATIONS, LIMIT, TEMPERATURE = 4, 12, 0.8
QUESTIONS = ["colour of grass", "colour of blood?", "sky"]
Trainer = SharedPromptGRPOTrainer | GRPOTrainer


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


def letters(completions: list[list[dict[str, str]]], **_: object) -> list[float]:
    """A reward that is learned in a few steps: the share of small letters."""
    texts = [completion[0]["content"] for completion in completions]
    return [sum(character in ascii_lowercase for character in text) / max(1, len(text)) for text in texts]


def make_trainer(
    kind: type[Trainer], folder: Path, output: Path, constraints: dict[str, OnlyVowels] | None = None, **changes: Any
) -> Trainer:
    """A trainer of an adapter on the tiny model."""
    extra = {"constraints": constraints} if constraints else {}
    settings: dict[str, Any] = {
        "output_dir": str(output),
        "per_device_train_batch_size": len(QUESTIONS) * GENERATIONS,
        "num_generations": GENERATIONS,
        "max_completion_length": LIMIT,
        "temperature": TEMPERATURE,
        "beta": 0.02,
        "learning_rate": 2e-2,
        "max_steps": 1,
        "logging_steps": 1,
        "save_strategy": "no",
        "activation_checkpointing": False,
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "seed": 3,
    }
    rows = [{"prompt": [{"role": "user", "content": question}], "database": "shop"} for question in QUESTIONS]
    return kind(
        model=LlamaForCausalLM.from_pretrained(folder),
        args=GRPOConfig(**settings | changes),
        train_dataset=Dataset.from_list(rows),
        reward_funcs=[letters],
        processing_class=AutoTokenizer.from_pretrained(folder),
        peft_config=LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"),
        **extra,
    )


def random_batch(prompt_lengths: list[int], answer_lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """A padded batch in TRL's layout: two answers for each prompt, prompts to the right, answers to the left."""
    generator = torch.Generator().manual_seed(5)
    width, completion = max(prompt_lengths), max(answer_lengths)
    count = 2 * len(prompt_lengths)
    ids = torch.randint(3, 200, (count, width + completion), generator=generator)
    mask = torch.zeros_like(ids)
    for row, (prompt, answer) in enumerate(zip([n for n in prompt_lengths for _ in "ab"], answer_lengths, strict=True)):
        ids[row, :width] = ids[row - row % 2, :width]
        mask[row, width - prompt : width + answer] = 1
    return ids, mask, completion


def give_a_direction(model: PreTrainedModel) -> None:
    """An adapter begins with nothing to add; after this it has."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))


# Without an answer (it was cut off and does not count), with a whole one, and prompts of one token.
@pytest.mark.parametrize(
    ("prompts", "answers"), [([9, 5], [4, 7, 1, 6]), ([6, 6], [3, 0, 5, 2]), ([1, 4], [2, 2, 2, 2])]
)
@pytest.mark.parametrize("batch_size", [None, 2])
def test_probabilities_and_gradients_are_those_of_trl(
    folder: Path, tmp_path: Path, prompts: list[int], answers: list[int], batch_size: int | None
) -> None:
    ids, mask, completion = random_batch(prompts, answers)
    answer_mask = mask[:, -completion:].bool()
    found = []
    for kind in (GRPOTrainer, SharedPromptGRPOTrainer):
        trainer = make_trainer(kind, folder, tmp_path)
        give_a_direction(trainer.model)
        logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, completion, batch_size=batch_size, compute_entropy=True
        )
        assert logps.shape == entropies.shape == answer_mask.shape
        (logps * answer_mask * torch.arange(1, completion + 1)).sum().backward()
        gradients = [weight.grad for weight in trainer.model.parameters() if weight.requires_grad]
        found.append((logps * answer_mask, entropies * answer_mask, gradients))
    (wanted, wanted_entropies, wanted_gradients), (logps, entropies, gradients) = found
    torch.testing.assert_close(logps, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(entropies, wanted_entropies, rtol=1e-4, atol=1e-5)
    assert any(gradient.abs().max() > 0 for gradient in gradients)
    for gradient, other in zip(gradients, wanted_gradients, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-5)


def test_each_prompt_stands_once_in_the_row() -> None:
    prompts, answers = [[9, 8, 7, 6], [9, 8, 5], [9, 8, 7, 6]], [[11, 12], [13], [14, 15, 16]]
    row = lay_out(prompts, answers)
    assert row.input_ids.tolist()[0][:14] == [9, 8, 7, 6, 11, 12, 6, 14, 15, 16, 9, 8, 5, 13]
    assert row.position_ids.tolist()[0][:14] == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 0, 1, 2, 3]
    assert row.input_ids.shape == (1, 64)
    assert row.as_table(row.targets, 4).tolist() == [[11, 12, 0, 0], [13, 0, 0, 0], [14, 15, 16, 0]]


def test_answers_are_as_probable_as_read_one_by_one(folder: Path) -> None:
    model, tokenizer = LlamaForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    prompts = [[{"role": "user", "content": question}] for question in QUESTIONS[:2]]
    answers = [["green", "I say green"], ["red", "re", ""]]
    for prompt, texts, found in zip(
        prompts, answers, answer_log_probabilities(model, tokenizer, prompts, answers), strict=True
    ):
        read = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True)["input_ids"]
        for text, log_probability in zip(texts, found, strict=True):
            ids = torch.tensor([read + tokenizer(text)["input_ids"] + [tokenizer.eos_token_id]])
            with torch.no_grad():
                scores = model(ids).logits[0, :-1].log_softmax(-1)
            wanted = scores.gather(-1, ids[0, 1:, None])[len(read) - 1 :].sum()
            assert log_probability == pytest.approx(wanted.item(), rel=1e-4)


def test_answers_end_or_are_cut_off(folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(SharedPromptGRPOTrainer, folder, tmp_path)
    prompts, _, _ = trainer._tokenize_prompts([[{"role": "user", "content": question}] for question in QUESTIONS])
    end, draw = trainer.processing_class.eos_token_id, trainer.sampler
    likely = torch.zeros(trainer.model.config.vocab_size).index_fill(0, torch.tensor([end]), 3.0)
    trainer.sampler = lambda logits: draw(logits + likely)
    answers, _ = trainer._generate_single_turn([ids for ids in prompts for _ in range(40)], None, {}, GENERATIONS)
    ended = [ids for ids in answers if ids[-1] == end]
    assert 0 < len(ended) < len(answers)
    assert all(len(ids) == LIMIT for ids in answers if ids[-1] != end)
    assert all(1 <= len(ids) <= LIMIT and end not in ids[:-1] for ids in answers)
    assert len(set(map(tuple, answers))) > len(answers) / 2


def test_first_tokens_are_drawn_with_the_models_probabilities(folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(SharedPromptGRPOTrainer, folder, tmp_path, max_completion_length=1, temperature=0.5)
    prompt = trainer._tokenize_prompts([[{"role": "user", "content": QUESTIONS[0]}]])[0][0]
    with torch.no_grad():
        wanted = (trainer.model(torch.tensor([prompt])).logits[0, -1] / 0.5).softmax(-1)
    count = 4000
    answers, _ = trainer._generate_single_turn([prompt] * count, None, {}, GENERATIONS)
    drawn = torch.bincount(torch.tensor([ids[0] for ids in answers]), minlength=len(wanted)) / count
    deviation = (wanted * (1 - wanted) / count).sqrt()
    assert ((drawn - wanted).abs() <= 5 * deviation + 1 / count).all()


def test_the_reward_rises(folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(SharedPromptGRPOTrainer, folder, tmp_path, max_steps=25, beta=0.0)
    trainer.train()
    rewards = [row["reward"] for row in trainer.state.log_history if "reward" in row]
    assert sum(rewards[-5:]) > 2 * sum(rewards[:5])


def test_several_batches_for_one_generation(folder: Path, tmp_path: Path) -> None:
    size = len(QUESTIONS) * GENERATIONS
    changes = {"per_device_train_batch_size": size // 2, "steps_per_generation": 2, "num_iterations": 2, "max_steps": 4}
    trainer = make_trainer(SharedPromptGRPOTrainer, folder, tmp_path, **changes)
    trainer.train()
    clipped = [row["clip_ratio/region_mean"] for row in trainer.state.log_history if "clip_ratio/region_mean" in row]
    assert len(clipped) == 4
    assert clipped[-1] > 0  # the second pass over the same answers meets a model that has moved


def test_only_a_cpu_needs_it(folder: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(folder)
    on_a_cpu = grpo_trainer_class(Choice("cpu", "float32", "sdpa", {}), model)
    assert on_a_cpu.func is SharedPromptGRPOTrainer
    assert grpo_trainer_class(Choice("cuda", "bfloat16", "sdpa", {}), model) is GRPOTrainer


class OnlyVowels:
    """A constraint in the form of `utils.constraints.SchemaConstraint`."""

    def can_continue(self, text: str) -> bool:
        return set(text) <= set("aeiou")

    def can_end(self, text: str) -> bool:
        return bool(text)


def test_constrained_answers(folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(SharedPromptGRPOTrainer, folder, tmp_path, constraints={"shop": OnlyVowels()})
    prompts, _, _ = trainer._tokenize_prompts([row["prompt"] for row in trainer.train_dataset])
    answers, _ = trainer._generate_single_turn([ids for ids in prompts for _ in range(GENERATIONS)], None, {}, 4)
    texts = trainer.processing_class.batch_decode(answers, skip_special_tokens=True)
    assert all(text and set(text) <= set("aeiou") for text in texts)
    assert len(set(texts)) > 1
