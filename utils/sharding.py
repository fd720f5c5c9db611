"""Split a model among processes with FSDP2, by the plan of `cluster/accelerate/fsdp2.yaml`, on CPUs too.

Where `accelerate launch` finds GPUs it does all this by itself. Here its own function is called, so that what the file
says can be tried, and its result compared with an unsplit model's, on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from utils.distributed import process_count, sums
from utils.prompts import IGNORED
from utils.settings import ROOT

if TYPE_CHECKING:
    import torch
    from accelerate import FullyShardedDataParallelPlugin
    from transformers import PreTrainedModel

PLAN = ROOT / "cluster" / "accelerate" / "fsdp2.yaml"


def read_plan() -> FullyShardedDataParallelPlugin:
    """What the accelerate configuration `PLAN` says about FSDP, in accelerate's own form."""
    from accelerate import FullyShardedDataParallelPlugin
    from accelerate.commands.config.config_args import ClusterConfig

    given = ClusterConfig.from_yaml_file(str(PLAN)).fsdp_config
    names = {"fsdp_version": "fsdp_version", "fsdp_offload_params": "cpu_offload"}  # the others lose their prefix
    return FullyShardedDataParallelPlugin(**{names.get(n, n.removeprefix("fsdp_")): v for n, v in given.items()})


def shard(model: PreTrainedModel) -> PreTrainedModel:
    """Split each decoder layer among the connected processes, in place; the weights stay in float32.

    Each process then holds its part of every matrix, and gathers a layer from the others while it computes it.
    """
    import torch
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model

    plan = read_plan()
    plan.cpu_ram_efficient_loading = False  # all processes have loaded the model
    plan.mixed_precision_policy = None
    state = SimpleNamespace(fsdp_plugin=plan)
    # What accelerate's function asks of an Accelerator, which itself insists on a GPU.
    stand_in = SimpleNamespace(
        state=state, torch_device_mesh=None, mixed_precision="no", is_main_process=False, device=torch.device("cpu")
    )
    return fsdp2_prepare_model(stand_in, model)


def held_share(model: torch.nn.Module) -> float:
    """The share of the model's weights that this process holds."""
    whole = sum(weight.numel() for weight in model.parameters())
    return sum(weight.to_local().numel() for weight in model.parameters()) / whole


def token_loss(model: PreTrainedModel, batch: Mapping[str, Any]) -> torch.Tensor:
    """The mean loss over the tokens of all processes, times their number, since gradients are averaged.

    `batch` holds `input_ids` and `attention_mask` of shape (examples, length); all tokens are trained.
    """
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)
    (trained,) = sums([float((labels[:, 1:] != IGNORED).sum())])
    loss = model(**batch, labels=labels, num_items_in_batch=trained, use_cache=False).loss
    return loss * process_count()
