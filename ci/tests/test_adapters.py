"""QLoRA only where it runs; adapters on the layers that are meant; what moved is told, and no path of this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from ci.checks.tiny_model import make_tiny_model
from utils.adapters import (
    choose_method,
    hash_of_weights,
    initialisation,
    load_in_4_bits,
    modules_of_lowest_layers,
    public_name,
    train_in_float32,
)
from utils.errors import CourseError
from utils.hardware import Machine, choose
from utils.models import load_model

torch.set_num_threads(1)
CPU = choose(Machine(cores=2, memory_gb=8, tflops={"float32": 0.3, "bfloat16": 2.0})).device
APPLE = choose(Machine(cores=8, memory_gb=16, has_mps=True)).device
T4 = choose(Machine(cores=2, memory_gb=13, cuda_name="Tesla T4", cuda_capability=(7, 5), cuda_memory_gb=16)).device


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model on disk."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def tiny(folder: Path, dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    return load_model(str(folder), dtype=dtype)


# --- Method ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "device", "installed", "name", "reason"),
    [
        ("lora", CPU, True, "lora", "the frozen weights stay"),
        ("lora", T4, True, "lora", "the frozen weights stay"),
        ("qlora", CPU, True, "lora", "needs a CUDA GPU, and this run uses cpu. LoRA trains the same adapter"),
        ("qlora", APPLE, True, "lora", "needs a CUDA GPU, and this run uses mps. LoRA trains the same adapter"),
        ("qlora", T4, False, "lora", "pip install bitsandbytes"),
        ("qlora", T4, True, "qlora", "in 4 bits"),
    ],
)
def test_qlora_falls_back_to_lora_with_the_reason(
    wanted: str, device: str, installed: bool, name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "utils.adapters.find_spec", lambda package: SimpleNamespace(name=package) if installed else None
    )
    method = choose_method(wanted, device)
    assert method.name == name
    assert reason in method.reason
    assert method.title == {"lora": "LoRA", "qlora": "QLoRA"}[name]


def test_unknown_method_is_refused() -> None:
    with pytest.raises(CourseError, match="'full' is none of lora, qlora"):
        choose_method("full", CPU)


def test_quantized_model_is_asked_for_as_the_notebook_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantization = SimpleNamespace(bnb_4bit_compute_dtype=torch.float16)
    plain, asked = tiny(folder, torch.float16), {}

    def from_pretrained(location: str, **options: object) -> LlamaForCausalLM:
        asked.update(options, location=location)
        return plain

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", from_pretrained)
    monkeypatch.setattr("utils.adapters.find_model", lambda name: SimpleNamespace(location=f"found/{name}"))
    model = load_in_4_bits("tiny", quantization, attention="sdpa")
    assert model is plain
    assert asked["location"] == "found/tiny"
    assert asked["quantization_config"] is quantization
    assert asked["dtype"] == torch.float16
    assert asked["device_map"] == {"": 0}
    assert not any(weight.requires_grad for weight in model.parameters())


# --- Where adapters are ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "excluded"),
    [
        ("model.layers.0.self_attn.q_proj", True),
        ("model.layers.2.mlp.up_proj", True),
        ("model.layers.3.mlp.up_proj", False),
        ("model.layers.10.mlp.up_proj", False),
        ("model.layers.12.mlp.experts.1.up_proj", False),
        ("transformer.h.1.attn.c_attn", True),
        ("transformer.h.11.attn.c_attn", False),
        ("lm_head", False),
    ],
)
def test_modules_of_lowest_layers(name: str, excluded: bool) -> None:
    assert bool(re.fullmatch(modules_of_lowest_layers(3), name)) is excluded


def test_adapters_are_on_all_matrices_of_the_upper_layers(folder: Path) -> None:
    config = LoraConfig(r=2, target_modules="all-linear", exclude_modules=modules_of_lowest_layers(1))
    network = get_peft_model(tiny(folder), config)
    adapted = [name for name, module in network.named_modules() if hasattr(module, "lora_A")]
    assert len(adapted) == 7
    assert all(".layers.1." in name for name in adapted)
    everywhere = LoraConfig(r=2, target_modules="all-linear", exclude_modules=modules_of_lowest_layers(0))
    network = get_peft_model(tiny(folder), everywhere)
    assert sum(hasattr(module, "lora_A") for module in network.modules()) == 14


@pytest.mark.parametrize("name", ["default", "gaussian", "orthogonal"])
@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
def test_start_leaves_the_model_as_it_is(name: str, dora: bool, folder: Path) -> None:
    ids = torch.tensor([[3, 5, 7, 11]])
    model = tiny(folder)
    before = model(input_ids=ids).logits
    start = initialisation(name)
    network = get_peft_model(
        model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=start, use_dora=dora)
    )
    torch.testing.assert_close(network(input_ids=ids).logits, before, atol=1e-4, rtol=1e-4)
    frozen = [weight for name, weight in network.named_parameters() if "lora" not in name]
    plain = list(tiny(folder).parameters())
    assert all(torch.equal(one, other) for one, other in zip(frozen, plain, strict=True))


@pytest.mark.parametrize("name", ["pissa", "olora", "nonsense"])
def test_start_that_changes_the_model_is_refused(name: str) -> None:
    with pytest.raises(CourseError, match=f"{name!r} is none of default, gaussian, orthogonal"):
        initialisation(name)


# --- Weights -----------------------------------------------------------------------------------------------------


def test_hash_tells_a_single_changed_number() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2).to(torch.bfloat16))
    model.register_parameter("scale", torch.nn.Parameter(torch.tensor(2.0)))
    model[1].requires_grad_(False)

    def hashes() -> tuple[str, str]:
        return hash_of_weights(model, trained=False), hash_of_weights(model, trained=True)

    frozen, trained = hashes()
    assert hashes() == (frozen, trained)
    model[1].weight.data[1, 2] += 1
    assert hashes()[0] != frozen
    assert hashes()[1] == trained
    with torch.no_grad():
        model.scale.add_(1e-6)
    assert hashes()[1] != trained


def test_trained_weights_become_float32() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).to(torch.bfloat16)
    model[0].requires_grad_(False)
    train_in_float32(model)
    assert [weight.dtype for weight in model.parameters()] == [torch.bfloat16] * 2 + [torch.float32] * 2


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
def test_adapter_beside_16_bit_weights_has_32(dora: bool, folder: Path) -> None:
    config = LoraConfig(r=2, target_modules="all-linear", use_dora=dora)
    network = get_peft_model(tiny(folder, torch.bfloat16), config)
    found = {(weight.requires_grad, weight.dtype) for weight in network.parameters()}
    assert found == {(False, torch.bfloat16), (True, torch.float32)}


@pytest.mark.parametrize(
    ("model", "name"),
    [("smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct"), ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B")],
)
def test_public_name(model: str, name: str) -> None:
    assert public_name(model) == name


def test_saved_adapter_is_loaded_and_merged_and_names_no_folder(folder: Path, tmp_path: Path) -> None:
    config = LoraConfig(
        r=2, target_modules="all-linear", exclude_modules=modules_of_lowest_layers(1), init_lora_weights=False
    )
    network = get_peft_model(tiny(folder), config)
    network.peft_config["default"].base_model_name_or_path = public_name(str(folder))
    network.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert saved["base_model_name_or_path"] == "tiny"
    assert str(folder.parent) not in json.dumps(saved)

    ids = torch.tensor([[3, 5, 7, 11]])
    wanted, untuned = network(input_ids=ids).logits, tiny(folder)(input_ids=ids).logits
    assert not torch.allclose(wanted, untuned, atol=1e-2)
    again = PeftModel.from_pretrained(tiny(folder), str(tmp_path / "adapter"))
    torch.testing.assert_close(again(input_ids=ids).logits, wanted)
    merged = again.merge_and_unload(safe_merge=True)
    torch.testing.assert_close(merged(input_ids=ids).logits, wanted, atol=1e-4, rtol=1e-4)
