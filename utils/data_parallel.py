"""Training on several processes with the updates of one: the same batches in the same order, split among them.

Each process computes the gradient of its part, and their sum makes the update (`DistributedDataParallel`). For that sum
to be one process's, three things must hold, and a trainer does them not by itself:

- the order of the examples depends on the seed and the *whole* batch, not on how it is split;
- where the last batch of a pass is short, nothing is repeated to fill it up: processes without an example get one that
  trains nothing;
- the mean is taken over the trained tokens of all processes, not first in each (`average_tokens_across_devices`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from utils.distributed import process_count
from utils.prompts import IGNORED

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from torch.utils.data import Sampler
    from trl import SFTTrainer

FILLER_TOKENS = 2  # with fewer, nothing is left when labels are shifted


class DataParallel:
    """Put before an `SFTTrainer` among the bases of a class, it splits that trainer's batches among the processes.

    `examples_together` is the size of the batches that one process would compute.
    """

    def __init__(self, *arguments: Any, examples_together: int, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.sampled_together = examples_together
        self.examples = len(self.train_dataset)
        self.train_dataset = with_filler(self.train_dataset)
        if self.eval_dataset is not None:
            self.evaluated = len(self.eval_dataset)
            self.eval_dataset = split_evenly(self.eval_dataset, examples_together, process_count())

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        from accelerate.data_loader import SeedableRandomSampler
        from torch.utils.data import RandomSampler

        dataset = self.train_dataset if train_dataset is None else train_dataset
        order = super()._get_train_sampler(dataset.select(range(self.examples)))
        if isinstance(order, RandomSampler):  # accelerate would replace it by this one, if it saw it
            order = SeedableRandomSampler(order.data_source)
        self.order = FilledSampler(order, self.examples, self.args.train_batch_size * process_count())
        return self.order

    def _run_epoch(self, *, epoch: int, **keywords: Any) -> None:
        # Where batches are skipped to continue a pass, accelerate does not hand the number of the pass on to the order.
        self.order.set_epoch(epoch)
        super()._run_epoch(epoch=epoch, **keywords)

    def prediction_step(self, *arguments: Any, **keywords: Any) -> tuple[torch.Tensor, Any, Any]:
        """The loss of a batch of an evaluation, which then takes the mean of all batches.

        One process gives a short last batch less weight. Here it has been filled up, so that its loss is scaled.
        """
        loss, *others = super().prediction_step(*arguments, **keywords)
        batches = -(-self.evaluated // self.sampled_together)
        is_last = self.accelerator.gradient_state.end_of_dataloader
        size = self.evaluated - (batches - 1) * self.sampled_together if is_last else self.sampled_together
        return loss * size * batches / self.evaluated, *others

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, Any]:
        """The loss, over the tokens of all processes: in an evaluation TRL would take the mean in each of them."""
        if num_items_in_batch is None:
            num_items_in_batch = self._get_num_items_in_batch([inputs], self.args.device)
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)


@functools.cache
def data_parallel(kind: type[SFTTrainer]) -> type[SFTTrainer]:
    """The trainer class with its batches split among the processes."""
    return type(f"DataParallel{kind.__name__}", (DataParallel, kind), {})


class FilledSampler:
    """Another sampler's order, then the index of the filler until the number of indices is a multiple of `together`."""

    def __init__(self, order: Sampler, filler: int, together: int) -> None:
        self.order, self.filler, self.together = order, filler, together

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer's data loader at the start of each epoch."""
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order) + -len(self.order) % self.together

    def __iter__(self) -> Iterator[int]:
        yield from self.order
        yield from [self.filler] * (-len(self.order) % self.together)


def with_filler(dataset: Dataset) -> Dataset:
    """Tokenised examples and, behind them, one of which no token is trained."""
    from datasets import Dataset, concatenate_datasets

    first = dataset[0]["input_ids"][:1] * FILLER_TOKENS
    row = {name: [IGNORED] * FILLER_TOKENS if name == "labels" else first for name in ("input_ids", "labels")}
    columns = dataset.select_columns(list(row))
    return concatenate_datasets([columns, Dataset.from_list([row], features=columns.features)])


def split_evenly(dataset: Dataset, together: int, processes: int) -> Dataset:
    """Rows in their order, so that processes that take batches in turn compute each batch of `together` rows at once.

    Each takes ceil(together / processes) rows; what is missing from a batch is filled up.
    """
    filled, batch = with_filler(dataset), -(-together // processes) * processes
    indices: list[int] = []
    for start in range(0, len(dataset), together):
        rows = list(range(start, min(start + together, len(dataset))))
        indices += rows + [len(dataset)] * (batch - len(rows))
    return filled.select(indices)
