"""Training as a tutorial would write it: a plain loop in float32, padded batches, the loss on every token."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

from ci.bench.training_run import by_step
from ci.bench.validation import clean_copy, mean_loss
from utils.costs import training_flops, weights_of
from utils.hardware import peak_memory_bytes
from utils.models import count_parameters, find_model, load_tokenizer


def train(request: dict[str, Any], examples: dict[str, list[dict]]) -> dict[str, Any]:
    """Train on the examples in their order, and measure every step."""
    values = request["values"]
    batch_size, accumulation = values["per_device_train_batch_size"], values["gradient_accumulation_steps"]
    torch.manual_seed(values["seed"])
    padding = load_tokenizer(request["model"]).pad_token_id
    model = AutoModelForCausalLM.from_pretrained(find_model(request["model"]).location, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=values["learning_rate"])
    scheduler = get_cosine_schedule_with_warmup(optimizer, values["warmup_steps"], request["steps"])
    rows = [torch.tensor(row["input_ids"]) for row in examples["train"]]
    loader = DataLoader(rows, batch_size, collate_fn=lambda batch: pad(batch, padding))
    body, head = weights_of(model)
    seconds, losses, computed = [], [], []
    loss_of_step = 0.0
    model.train()
    start = perf_counter()
    for number, batch in enumerate(loader, start=1):
        loss = model(**batch).loss / accumulation
        loss.backward()
        loss_of_step += loss.item()
        computed.append(batch["input_ids"].numel())
        if number % accumulation == 0:
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            losses.append(loss_of_step)
            loss_of_step = 0.0
            now = perf_counter()
            seconds.append(now - start)
            start = now
    peak = peak_memory_bytes()
    flops = [training_flops(body, read) + training_flops(head, read) for read in computed]
    return {
        "method": "bare",
        "dtype": "float32",
        "trainable": count_parameters(model),
        "seconds": seconds,
        "tokens": by_step([len(row) for row in rows], batch_size * accumulation),
        "flops": by_step(flops, accumulation),
        "losses": losses,
        "examples": len(rows),
        "validation_loss": mean_loss(clean_copy(model), examples["validation"]),
        "peak_memory_bytes": peak,
    }


def pad(rows: list[torch.Tensor], padding: int) -> dict[str, torch.Tensor]:
    """A batch of shape (examples, longest), with the loss on all that is not padding."""
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
    return {"input_ids": ids, "attention_mask": mask.long(), "labels": ids.masked_fill(~mask, -100)}
