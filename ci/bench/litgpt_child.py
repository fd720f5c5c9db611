"""Child: the same training run with LitGPT's own model, loop and loss (`litgpt.finetune.full.fit`).

Runs in LitGPT's environment (see `ci.bench.peer`), which has no transformers: it reads the weights from the model's
safetensors file and the examples as token ids.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.loggers.logger import Logger
from litgpt.args import EvalArgs, TrainArgs
from litgpt.data.base import get_sft_collate_fn
from litgpt.finetune.full import fit, get_lr_scheduler
from litgpt.model import GPT, Config
from litgpt.scripts.convert_hf_checkpoint import copy_weights_hf_llama
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from ci.bench.children import input_of, report
from ci.bench.examples import read_examples
from ci.bench.training_run import by_step
from ci.bench.validation import mean_loss
from utils.costs import training_flops, weights_of
from utils.hardware import peak_memory_bytes

ADAM_BETA2 = 0.99  # as in notebook 03
PRECISION = {"bfloat16": "bf16-mixed", "float32": "32-true"}


class KeptLog(Logger):
    """Keeps what the loop logs after each batch: `loss` (a mean over the batches of a step), `iter_time`, `step`."""

    name, version = "kept", "0"

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.rows.append(dict(metrics))

    def log_hyperparams(self, *arguments: Any, **keywords: Any) -> None:
        """There is nothing to keep."""


def load(name: str, folder: Path) -> GPT:
    """LitGPT's model of that name, with the weights of a folder."""
    config = Config.from_name(name)
    model, weights = GPT(config), {}
    copy_weights_hf_llama(config, {}, weights, load_file(folder / "model.safetensors"))
    model.load_state_dict(weights)
    return model


def train(model: GPT, request: dict[str, Any], examples: dict[str, list[dict]]) -> dict[str, Any]:
    """Train on the examples in their order, and measure every step."""
    values, log = request["values"], KeptLog()
    batch, accumulation = values["per_device_train_batch_size"], values["gradient_accumulation_steps"]
    fabric = lightning.Fabric(accelerator="cpu", devices=1, precision=PRECISION[request["dtype"]], loggers=log)
    fabric.seed_everything(values["seed"], verbose=False)
    for layer in (model.transformer.wte, model.lm_head):  # one table in the course's model
        layer.requires_grad_(values["train_embeddings"])
    for layer in model.transformer.h[: values["frozen_layers"]]:
        layer.requires_grad_(False)
    body, head = weights_of(model, model.lm_head)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    betas = (0.9, ADAM_BETA2)
    optimizer = torch.optim.AdamW(trained, lr=values["learning_rate"], betas=betas, weight_decay=0.0, fused=True)
    network = fabric.setup(model)
    optimizer = fabric.setup_optimizers(optimizer)
    scheduler = get_lr_scheduler(optimizer, values["warmup_steps"], request["steps"])
    train_loader, validation_loader = (
        fabric.setup_dataloaders(
            DataLoader([as_sample(row) for row in examples[split]], batch, collate_fn=get_sft_collate_fn())
        )
        for split in ("train", "validation")
    )
    computed = [numbers["input_ids"].numel() for numbers in train_loader]
    fit(
        fabric=fabric,
        state={"model": network, "optimizer": optimizer, "scheduler": scheduler, "iter_num": 0, "step_count": 0},
        train_dataloader=train_loader,
        val_dataloader=validation_loader,
        devices=1,
        resume=False,
        checkpoint_dir=Path(request["folder"]),
        out_dir=Path(request["examples"]).parent,
        train=TrainArgs(
            save_interval=None,
            global_batch_size=batch * accumulation,
            micro_batch_size=batch,
            lr_warmup_steps=values["warmup_steps"],
            epochs=1,
            max_steps=request["steps"],
        ),
        eval=EvalArgs(interval=10**9, max_new_tokens=1, max_iters=1),
        data=None,
    )
    peak = peak_memory_bytes()
    flops = [training_flops(body, read) + training_flops(head, read) for read in computed]
    model.eval()
    return {
        "method": "litgpt",
        "dtype": request["dtype"],
        "trainable": sum(weight.numel() for weight in trained),
        "seconds": by_step([row["iter_time"] for row in log.rows], accumulation),
        "tokens": by_step([len(row["input_ids"]) for row in examples["train"]], batch * accumulation),
        "flops": by_step(flops, accumulation),
        "losses": [row["loss"] for row in log.rows[accumulation - 1 :: accumulation]],
        "examples": len(examples["train"]),
        "validation_loss": mean_loss(model, examples["validation"]),
        "peak_memory_bytes": peak,
    }


def as_sample(example: dict[str, list[int]]) -> dict[str, Any]:
    """An example as LitGPT's own datasets give it."""
    counts = {"raw": len(example["input_ids"]), "raw_plus_prompt_template": len(example["input_ids"])}
    return {name: torch.tensor(values) for name, values in example.items()} | {"token_counts": counts}


def main(path: str) -> None:
    """Train and print what was measured."""
    request = input_of(path)
    model = load(request["litgpt_name"], Path(request["folder"]))
    report(**train(model, request, read_examples(request["examples"])))


if __name__ == "__main__":
    main(*sys.argv[1:])
