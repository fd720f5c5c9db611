"""Shared starts change how long training takes, and nothing about what is learned; interrupted runs continue."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    TrainerCallback,
    set_seed,
)
from trl import SFTConfig, SFTTrainer

from utils.checkpoints import MarkCompleteCheckpoints, find_checkpoint
from utils.hardware import Choice
from utils.training import (
    IGNORED,
    SharedPrefixCollator,
    SharedPrefixSampler,
    SharedPrefixTrainer,
    trainer_class,
)

torch.set_num_threads(1)
VOCABULARY = 64
Example = dict[str, list[int]]


def tokenizer() -> PreTrainedTokenizerFast:
    """The trainer wants one, though the examples are token ids already."""
    words = {"<pad>": 0, "<eos>": 1} | {f"w{number}": number for number in range(2, VOCABULARY)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="<eos>")), eos_token="<eos>", pad_token="<pad>"
    )


def tiny_model(seed: int = 1, **settings: object) -> LlamaForCausalLM:
    """A Llama of 30,000 weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.2,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
        **settings,
    )
    return LlamaForCausalLM(config)


def with_adapter(model: LlamaForCausalLM, **settings: object) -> PreTrainedModel:
    """LoRA whose second matrices are not zero, so that all of it has a gradient."""
    torch.manual_seed(2)
    return get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, **settings))


NETWORKS: dict[str, Callable[[], PreTrainedModel]] = {
    "full": tiny_model,
    "lora": lambda: with_adapter(tiny_model()),
    "upper layer": lambda: with_adapter(tiny_model(), exclude_modules=r".*\.0\..*"),
    "rslora": lambda: with_adapter(tiny_model(), use_rslora=True, lora_alpha=4),
    "dora": lambda: with_adapter(tiny_model(), use_dora=True),
}
MIXED_NETWORKS = NETWORKS | {
    "lora on 16 bits": lambda: with_adapter(tiny_model().to(torch.bfloat16)),
    "dora on 16 bits": lambda: with_adapter(tiny_model().to(torch.bfloat16), use_dora=True),
}


def example(prompt: list[int], answer: list[int]) -> Example:
    """A tokenised example whose answer is trained."""
    return {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}


def make_examples(counts: dict[int, int], seed: int = 1) -> list[Example]:
    """For each start that many examples; prompts and answers have different lengths."""
    generator = random.Random(seed)
    made = []
    for start, count in counts.items():
        shared = [start] * 9 + [generator.randrange(2, VOCABULARY) for _ in range(4)]
        for _ in range(count):
            question = [generator.randrange(2, VOCABULARY) for _ in range(generator.randint(1, 5))]
            answer = [generator.randrange(2, VOCABULARY) for _ in range(generator.randint(1, 6))]
            made.append(example(shared + question, [*answer, 1]))
    return made


def settings(folder: Path, **values: object) -> SFTConfig:
    """Float32 on the CPU, without noise."""
    defaults = {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "report_to": [],
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "per_device_train_batch_size": 4,
        "lr_scheduler_type": "constant",
        "max_length": 64,
        "seed": 3,
    }
    return SFTConfig(**(defaults | values))


def make_trainer(
    kind: type[SFTTrainer], model: PreTrainedModel, examples: list[Example], folder: Path, **values: object
) -> SFTTrainer:
    """A trainer of tokenised examples, quiet about it."""
    callbacks = values.pop("callbacks", None)
    return kind(
        model=model,
        args=settings(folder, **values),
        train_dataset=Dataset.from_list(examples),
        eval_dataset=Dataset.from_list(examples),
        processing_class=tokenizer(),
        callbacks=callbacks,
    )


def loss_and_gradients(trainer: SFTTrainer, examples: list[Example]) -> tuple[float, dict[str, torch.Tensor]]:
    """Of one batch, as the trainer's own collator makes it."""
    batch = trainer.data_collator([dict(item) for item in examples])
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}


# --- Collator ----------------------------------------------------------------------------------------------------


def read_back(row: dict) -> list[tuple[list[int], list[int], list[int]]]:
    """Ids, labels and positions of every example of a row, put together from start and branch."""
    columns = [row[name][0].tolist() for name in ("input_ids", "labels", "position_ids")]
    found = []
    for tree in row["trees"]:
        for number in range(len(tree.branches)):
            longest = tree.branches.shape[1]
            length = sum(1 for place in tree.order.tolist() if place // longest == number)
            places = [*range(tree.start, tree.start + tree.shared), *tree.branches[number, :length].tolist()]
            assert length > 0
            found.append(tuple([column[place] for place in places] for column in columns))
    return found


def test_every_example_can_be_read_back() -> None:
    examples = [*make_examples({5: 3, 6: 2, 7: 1}), example([9], [8, 1]), example([2, 3, 4], [1])]
    row = SharedPrefixCollator(pad_to_multiple_of=32)(examples)
    found = read_back(row)
    wanted = [(e["input_ids"], e["labels"], list(range(len(e["input_ids"])))) for e in examples]
    assert sorted(found) == sorted(wanted)
    assert row["read_tokens"] == sum(len(e["input_ids"]) for e in examples)


def test_shape_and_padding() -> None:
    examples = make_examples({5: 4})
    row = SharedPrefixCollator(pad_to_multiple_of=32)(examples)
    length = row["input_ids"].shape[1]
    used = row["trees"][0].shared + len(row["trees"][0].order)
    assert length % 32 == 0
    assert 0 <= length - used < 32
    for name, filler in (("input_ids", 0), ("labels", IGNORED), ("position_ids", 0)):
        assert row[name].shape == (1, length)
        assert row[name].dtype == torch.int64
        assert row[name][0, used:].tolist() == [filler] * (length - used)
    # The start is there once: that is what saves the time.
    assert len(row["trees"]) == 1
    assert row["trees"][0].shared == 13
    assert used == sum(len(e["input_ids"]) for e in examples) - 3 * 13


def test_each_question_keeps_a_token_to_predict_from() -> None:
    same = example([5] * 10, [6, 1])
    row = SharedPrefixCollator()([same, same, example([5] * 10, [7, 1])])
    assert row["trees"][0].shared == 9
    assert len(read_back(row)) == 3


# --- Trainer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("counts", [{5: 4}, {5: 2, 6: 1, 7: 3}, {5: 1}], ids=str)
def test_loss_and_gradients_are_those_of_trl(
    counts: dict[int, int], network: Callable[[], PreTrainedModel], tmp_path: Path
) -> None:
    examples = make_examples(counts)
    results = []
    for kind in (SFTTrainer, SharedPrefixTrainer):
        trainer = make_trainer(kind, network(), examples, tmp_path)
        results.append(loss_and_gradients(trainer, examples))
        trained = {name for name, weight in trainer.model.named_parameters() if weight.requires_grad}
        assert results[-1][1].keys() == trained
    (plain_loss, plain), (loss, gradients) = results
    assert loss == pytest.approx(plain_loss, abs=1e-4)
    assert gradients.keys() == plain.keys()
    assert any(gradient.abs().max() > 1e-2 for gradient in plain.values())
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, plain[name], atol=1e-4, rtol=1e-3, msg=name)


def test_text_without_prompt_is_trained_as_trl_does(tmp_path: Path) -> None:
    examples = [example([], item["input_ids"]) for item in make_examples({5: 2, 6: 2})]
    plain, ours = (
        loss_and_gradients(make_trainer(kind, tiny_model(), examples, tmp_path), examples)[0]
        for kind in (SFTTrainer, SharedPrefixTrainer)
    )
    assert ours == pytest.approx(plain, abs=1e-4)


def test_step_of_several_batches_is_that_of_trl(tmp_path: Path) -> None:
    examples = make_examples({5: 3, 6: 5})
    models = []
    for kind in (SFTTrainer, SharedPrefixTrainer):
        values = {"gradient_accumulation_steps": 2, "max_steps": 1, "optim": "sgd", "learning_rate": 0.5}
        trainer = make_trainer(kind, tiny_model(), examples, tmp_path, **values)
        trainer.train()
        models.append((trainer.model.state_dict(), trainer.state.log_history[0]))
    (plain, plain_log), (ours, log) = models
    for name, weight in plain.items():
        torch.testing.assert_close(ours[name], weight, atol=1e-4, rtol=1e-3, msg=name)
    for name in ("loss", "grad_norm", "num_tokens"):
        assert log[name] == pytest.approx(plain_log[name], abs=2e-4), name
    assert not torch.equal(ours["lm_head.weight"], tiny_model().state_dict()["lm_head.weight"])


def test_evaluation_is_that_of_trl(tmp_path: Path) -> None:
    examples = make_examples({5: 4, 6: 4})
    results = []
    for kind in (SFTTrainer, SharedPrefixTrainer):
        trainer = make_trainer(kind, tiny_model(), examples, tmp_path, per_device_eval_batch_size=4)
        results.append(trainer.evaluate())
    for name in ("eval_loss", "eval_mean_token_accuracy"):
        assert results[1][name] == pytest.approx(results[0][name], abs=1e-4), name


def test_training_lowers_the_loss_and_leaves_the_usual_attention(tmp_path: Path) -> None:
    examples = make_examples({5: 4, 6: 4})
    model = tiny_model()
    usual = model.config._attn_implementation
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    trainer = make_trainer(SharedPrefixTrainer, model, examples, tmp_path, max_steps=16, learning_rate=1e-2)
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert len(losses) == 16
    assert losses[-1] < losses[0] / 2
    assert all(not torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert model.config._attn_implementation == usual


@pytest.mark.parametrize("network", MIXED_NETWORKS.values(), ids=MIXED_NETWORKS)
def test_working_copy_trains_the_model_as_autocast_does(network: Callable[[], PreTrainedModel], tmp_path: Path) -> None:
    examples = make_examples({5: 4, 6: 4})  # two batches: each step sees all
    results = []
    for kind in (SFTTrainer, SharedPrefixTrainer):
        model = network()
        frozen = {name: weight.clone() for name, weight in model.named_parameters() if not weight.requires_grad}
        values = {"bf16": True, "gradient_accumulation_steps": 2, "max_steps": 8, "learning_rate": 3e-3}
        trainer = make_trainer(kind, model, examples, tmp_path, **values)
        trainer.train()
        weights = dict(model.named_parameters())
        assert {weight.dtype for weight in weights.values() if weight.requires_grad} == {torch.float32}
        assert all(torch.equal(weights[name], before) for name, before in frozen.items())
        results.append([row for row in trainer.state.log_history if "grad_norm" in row])
    for plain, ours in zip(*results, strict=True):
        assert ours["loss"] == pytest.approx(plain["loss"], rel=0.02)
        assert ours["grad_norm"] == pytest.approx(plain["grad_norm"], rel=0.05)
    assert results[1][-1]["loss"] < results[1][0]["loss"] * 0.9


def test_frozen_16_bit_weights_are_not_copied(tmp_path: Path) -> None:
    examples = make_examples({5: 4})
    model = with_adapter(tiny_model().to(torch.bfloat16))
    trainer = make_trainer(SharedPrefixTrainer, model, examples, tmp_path, bf16=True)
    used = dict(trainer.working_copy.network.named_parameters())
    for name, weight in model.named_parameters():
        assert (used[name].data_ptr() == weight.data_ptr()) is not weight.requires_grad, name
    assert len(trainer.working_copy.trained) == 2 * 7 * 2  # two matrices for each of seven, in two layers


class StopAfter(TrainerCallback):
    """Ends training as if the computer had been switched off after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: object, state: SimpleNamespace, control: object, **_: object) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("bf16", [False, True])
def test_resumed_run_ends_like_an_uninterrupted_one(
    bf16: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = make_examples({5: 5, 6: 6})
    values = {"num_train_epochs": 4, "learning_rate": 1e-2, "save_strategy": "steps", "save_steps": 2, "bf16": bf16}
    recipe = {"learning_rate": 1e-2}

    def run(folder: Path, stop: int | None = None) -> SFTTrainer:
        set_seed(1)
        callbacks = [MarkCompleteCheckpoints(), *([StopAfter(stop)] if stop else [])]
        checkpoint = find_checkpoint(folder, recipe)
        trainer = make_trainer(SharedPrefixTrainer, tiny_model(), examples, folder, callbacks=callbacks, **values)
        trainer.train(resume_from_checkpoint=checkpoint)
        return trainer

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "halves", stop=7)
    capsys.readouterr()
    halves = run(tmp_path / "halves")
    assert "Continuing from checkpoint-6." in capsys.readouterr().out
    assert halves.state.global_step == whole.state.global_step == 12
    losses = [[row["loss"] for row in trainer.state.log_history if "loss" in row] for trainer in (whole, halves)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(halves.model.state_dict()[name], weight, msg=name)


# --- Sampler -----------------------------------------------------------------------------------------------------


def test_sampler_yields_each_once_in_batches_of_one_start() -> None:
    examples = make_examples({5: 9, 6: 6, 7: 4, 8: 3})
    random.Random(1).shuffle(examples)
    sampler = SharedPrefixSampler(Dataset.from_list(examples), 4, seed=1)
    order = list(sampler)
    assert len(sampler) == len(order) == 22
    assert sorted(order) == list(range(22))
    batches = [order[i : i + 4] for i in range(0, 22, 4)]
    starts = [{examples[i]["input_ids"][0] for i in batch} for batch in batches]
    # 9, 6, 4 and 3 examples make 2 + 1 + 1 + 0 batches of one start; the rest are mixed.
    assert sum(len(found) == 1 for found in starts) >= 4
    assert len(batches[-1]) == 2


def test_sampler_has_an_order_of_its_own_for_each_epoch_and_seed() -> None:
    dataset = Dataset.from_list(make_examples({5: 8, 6: 8}))

    def order(seed: int, epoch: int) -> list[int]:
        sampler = SharedPrefixSampler(dataset, 4, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_many_examples_are_not_read_to_be_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(SharedPrefixTrainer, tiny_model(), make_examples({5: 4, 6: 3}), tmp_path)
    assert isinstance(trainer._get_train_sampler(), SharedPrefixSampler)
    monkeypatch.setattr("utils.training.MOST_SORTED", 6)
    order = trainer._get_train_sampler()
    assert not isinstance(order, SharedPrefixSampler)
    assert sorted(order) == list(range(7))


# --- Choice ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "config", "kind"),
    [
        ("cpu", {}, SharedPrefixTrainer),
        ("cuda", {}, SFTTrainer),
        ("mps", {}, SFTTrainer),
        ("cpu", {"sliding_window": 16}, SFTTrainer),
        ("cpu", {"layer_types": ["full_attention", "sliding_attention"]}, SFTTrainer),
        ("cpu", {"layer_types": ["full_attention", "full_attention"]}, SharedPrefixTrainer),
    ],
)
def test_trainer_class(device: str, config: dict, kind: type) -> None:
    text_config = SimpleNamespace(**config)
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text_config))
    assert trainer_class(Choice(device, "float32", "sdpa", {}), model) is kind
