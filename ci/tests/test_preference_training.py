"""Log-probabilities from shared prompt starts are those of TRL, and DPO trains with them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedModel
from trl import DPOConfig, DPOTrainer
from trl.trainer.utils import add_fused_lm_head

from ci.checks.tiny_model import make_tiny_model
from utils.hardware import Choice
from utils.models import load_model, load_tokenizer
from utils.preference_training import (
    SharedPrefixDPOTrainer,
    StopAfter,
    preference_loss,
    preference_trainer_class,
    share_prompt_starts,
)
from utils.prompts import IGNORED

torch.set_num_threads(1)
FIELDS = ("log_probs", "entropy", "mean_logits", "is_top1")
ROWS = [
    {
        "prompt": [{"role": "system", "content": "add " * 8}, {"role": "user", "content": f"{number} and one?"}],
        "chosen": [{"role": "assistant", "content": str(number + 1)}],
        "rejected": [{"role": "assistant", "content": "I do not know"}],
    }
    for number in range(8)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model on disk."""
    return make_tiny_model(tmp_path / "tiny", hidden_size=32)


def batch() -> dict[str, torch.Tensor]:
    """Rows that share starts, of different lengths, padded right; two of them are equal but for the answer."""
    generator = torch.Generator().manual_seed(1)
    starts = torch.randint(3, 200, (2, 12), generator=generator)
    rows = [torch.cat([starts[n % 2], torch.randint(3, 200, (4 + n,), generator=generator)]) for n in range(5)]
    rows.append(torch.cat([rows[0][:-2], torch.tensor([7, 8, 9])]))
    length = max(map(len, rows))
    ids, mask, labels = (torch.full((len(rows), length), value) for value in (2, 0, IGNORED))
    for number, row in enumerate(rows):
        ids[number, : len(row)], mask[number, : len(row)] = row, 1
        labels[number, len(row) - 3 : len(row)] = row[-3:]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def fused(model: PreTrainedModel) -> tuple[list[torch.Tensor], torch.Tensor]:
    """What the model gives for the batch, and a gradient."""
    model.zero_grad()
    found = model(**batch(), fused_lm_head=True)
    (found.log_probs.sum(1) * torch.arange(1.0, 7.0)).sum().backward()
    gradient = next(p.grad.clone() for name, p in model.named_parameters() if name.endswith("0.mlp.up_proj.weight"))
    return [getattr(found, name).detach() for name in FIELDS], gradient


def test_shared_starts_give_what_trl_gives(folder: Path) -> None:
    model = load_model(str(folder))
    add_fused_lm_head(model, outputs=FIELDS)
    wanted, wanted_gradient = fused(model)
    share_prompt_starts(model)
    found, gradient = fused(model)
    assert wanted[0].count_nonzero() == 18
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(gradient, wanted_gradient)


def test_other_calls_go_to_the_model_itself(folder: Path) -> None:
    model = load_model(str(folder))
    ids = torch.tensor([[5, 6, 7]])
    wanted = model(input_ids=ids).logits
    share_prompt_starts(model)
    assert torch.equal(model(input_ids=ids).logits, wanted)


def make_trainer(trainer_class: type[DPOTrainer], folder: Path, **losses: float) -> DPOTrainer:
    """Two steps of four pairs with an adapter."""
    settings = {"save_strategy": "no", "learning_rate": 1e-2, "per_device_train_batch_size": 4, "logging_steps": 1}
    settings |= {"use_cpu": True, "bf16": False, "report_to": [], "disable_tqdm": True, "num_train_epochs": 1}
    losses = losses or {"sigmoid": 1.0}
    settings |= {"loss_type": list(losses), "loss_weights": list(losses.values())}
    return trainer_class(
        model=load_model(str(folder)),
        args=DPOConfig(output_dir=str(folder / "out"), activation_checkpointing=False, seed=1, **settings),
        train_dataset=Dataset.from_list(ROWS),
        processing_class=load_tokenizer(str(folder)),
        peft_config=LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"),
    )


def test_training_starts_at_log_two_and_widens_the_margin(folder: Path) -> None:
    trainer = make_trainer(SharedPrefixDPOTrainer, folder)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train()
    log = [row for row in trainer.state.log_history if "loss" in row]
    assert log[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)
    after = trainer.evaluate(Dataset.from_list(ROWS))
    assert after["eval_loss"] < math.log(2)
    assert after["eval_rewards/margins"] > 0
    for name, parameter in trainer.model.named_parameters():
        assert parameter.requires_grad == ("lora_" in name)
        if not parameter.requires_grad:
            assert torch.equal(parameter, before[name])
    # The same weights in TRL's own trainer give the same loss.
    plain = make_trainer(DPOTrainer, folder)
    plain.model.load_state_dict(trainer.model.state_dict())
    assert plain.evaluate(Dataset.from_list(ROWS))["eval_loss"] == pytest.approx(after["eval_loss"], abs=1e-5)


def test_training_stops_after_so_many_steps(folder: Path) -> None:
    trainer = make_trainer(SharedPrefixDPOTrainer, folder)
    trainer.add_callback(StopAfter(1))
    trainer.train()
    assert (trainer.state.global_step, trainer.state.max_steps) == (1, 2)


def test_batches_hold_pairs_with_the_same_start(folder: Path) -> None:
    trainer = make_trainer(SharedPrefixDPOTrainer, folder)
    assert sorted(trainer._get_train_sampler()) == list(range(len(ROWS)))


def test_the_class_suits_the_hardware(folder: Path) -> None:
    model = load_model(str(folder))
    assert preference_trainer_class(Choice("cpu", "float32", "sdpa", {}), model) is SharedPrefixDPOTrainer
    assert preference_trainer_class(Choice("cuda", "float16", "sdpa", {}), model) is DPOTrainer


def test_preference_loss_leaves_out_that_of_sft(folder: Path) -> None:
    trainer = make_trainer(SharedPrefixDPOTrainer, folder, sigmoid=1.0, sft=0.5)
    pairs = Dataset.from_list(ROWS)
    assert preference_loss(trainer, pairs) == pytest.approx(math.log(2), abs=1e-4)
    assert trainer.evaluate(pairs)["eval_loss"] > 1
    trainer.train()
    assert preference_loss(trainer, pairs) < math.log(2)
    assert trainer.loss_weights == [1.0, 0.5]
