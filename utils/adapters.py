"""What notebook 04 needs around PEFT: which method this machine can run, and which weights moved.

An adapter (LoRA: Hu et al., 2021) is a pair of small matrices beside each frozen one. The calls that make, save, load
and merge it are PEFT's, in the notebook.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from utils.errors import CourseError
from utils.models import EMBEDDED, find_model

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedModel

TITLES = {"lora": "LoRA", "qlora": "QLoRA"}
INITIALISATIONS = ("default", "gaussian", "orthogonal")


@dataclass(frozen=True)
class Method:
    """How the frozen weights are kept: for "lora" in the format of the matrix products, for "qlora" in 4 bits."""

    name: str
    reason: str

    @property
    def title(self) -> str:
        return TITLES[self.name]


def choose_method(wanted: str, device: str) -> Method:
    """`wanted` where it can be run, else LoRA, with the reason.

    Raises:
        CourseError: there is no such method.
    """
    if wanted not in TITLES:
        raise CourseError(f"The method {wanted!r} is none of {', '.join(TITLES)}. Notebook 03 trains in full.")
    if wanted == "lora":
        return Method("lora", "the frozen weights stay in the format of the matrix products")
    if device != "cuda":
        return Method(
            "lora",
            f"QLoRA needs a CUDA GPU, and this run uses {device}. LoRA trains the same adapter, beside weights that "
            "are not quantized",
        )
    if find_spec("bitsandbytes") is None:
        return Method(
            "lora",
            "QLoRA needs the package bitsandbytes, which is not installed (pip install bitsandbytes). LoRA trains the "
            "same adapter, beside weights that are not quantized",
        )
    return Method("qlora", "the frozen weights are kept in 4 bits and unpacked for each product")


def initialisation(name: str) -> bool | str:
    """What `LoraConfig(init_lora_weights=…)` takes for a start that leaves the frozen weights as they are.

    Raises:
        CourseError: the name is unknown, or that of a start that changes them.
    """
    if name in INITIALISATIONS:
        return True if name == "default" else name
    raise CourseError(
        f"The start {name!r} is none of {', '.join(INITIALISATIONS)}. Others, such as pissa and olora, change the "
        "frozen weights first, and the adapter would fit no other copy of the model."
    )


def modules_of_lowest_layers(count: int) -> str | None:
    """A pattern for `LoraConfig(exclude_modules=…)`: the modules of the lowest `count` layers; None for no layer."""
    if count < 1:
        return None
    # The first part of a name that is a number is the layer; a later one may be an expert of a mixture.
    return rf"(?:[^.]*[^.\d][^.]*\.)+(?:{'|'.join(map(str, range(count)))})\..*"


def load_in_4_bits(name: str, quantization: BitsAndBytesConfig, *, attention: str) -> PreTrainedModel:
    """A frozen model on the first CUDA GPU, its matrices quantized, ready for an adapter."""
    from peft import prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        find_model(name).location,
        quantization_config=quantization,
        dtype=quantization.bnb_4bit_compute_dtype,
        attn_implementation=attention,
        device_map={"": 0},
    )
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


def train_in_float32(model: torch.nn.Module) -> None:
    """Turn trained weights into float32 where they are not.

    TRL turns the adapter of a quantized model into bfloat16. Small updates are lost in that format, and the gradient
    scaler of float16 training, which a T4 needs, does not take it.
    """
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def hash_of_weights(model: torch.nn.Module, *, trained: bool) -> str:
    """A hash of all weights that are trained, or of all that are not: it changes if a single number does."""
    import torch

    digest = hashlib.blake2b(digest_size=8)
    for name, weight in model.named_parameters():
        if weight.requires_grad == trained:
            digest.update(name.encode())
            digest.update(weight.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def public_name(model: str) -> str:
    """The name by which others find the model that an adapter belongs to, without the folders of this machine."""
    if model in EMBEDDED:
        return EMBEDDED[model].hub_id
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() else model
