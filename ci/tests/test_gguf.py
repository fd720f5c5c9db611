"""GGUF files hold what the model holds, appear whole or not at all, and Ollama is told how the model was trained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ci.checks.tiny_model import make_tiny_model
from utils import gguf
from utils.environments import EnvironmentFailed
from utils.errors import CourseError
from utils.generation import render
from utils.gguf import ConversionFailed, is_chatml, load_gguf, modelfile, write_gguf
from utils.models import load_model, load_tokenizer

torch.set_num_threads(1)
NAME = "smollm2-135m"
MESSAGES = [{"role": "system", "content": "zoo(name)"}, {"role": "user", "content": "How many are there?"}]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama of random weights with the tokenizer of the embedded model, which the converter knows."""
    folder = tmp_path_factory.mktemp("models") / "small"
    tokenizer = load_tokenizer(NAME)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.1,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


# --- With a converter that only pretends -------------------------------------------------------------------------


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the converter's place; what it does stands in the file that is returned."""
    program = tmp_path / "convert_hf_to_gguf.py"
    command = tmp_path / "python"
    command.write_text(f'#!/bin/sh\nshift 3\nexec "{sys.executable}" "{program}" "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setattr(gguf, "_converter", lambda: command)
    return program


WRITE = "import sys; open(sys.argv[sys.argv.index('--outfile') + 1], 'w').write(' '.join(sys.argv[1:]))"


def test_file_takes_its_place_when_it_is_whole(converter: Path, tmp_path: Path) -> None:
    converter.write_text(WRITE, encoding="utf-8")
    target = tmp_path / "out" / "mine-q8_0.gguf"
    assert write_gguf(tmp_path, target, "Q8_0") == target
    assert [path.name for path in target.parent.iterdir()] == ["mine-q8_0.gguf"]
    arguments = target.read_text(encoding="utf-8").split()
    assert arguments[0] == str(tmp_path)
    assert arguments[-4:] == ["--outtype", "q8_0", "--model-name", "mine"]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (
            "print('ERROR:hf-to-gguf:Odd is not supported'); raise SystemExit(1)",
            "GGUF: Odd is not supported. The",
        ),
        ("raise NotImplementedError('unknown pre-tokenizer')", "GGUF: unknown pre-tokenizer. The other formats"),
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9, perhaps for want of memory"),
    ],
)
def test_failure_is_a_sentence_and_leaves_nothing(converter: Path, tmp_path: Path, program: str, reason: str) -> None:
    converter.write_text(f"{WRITE}\n{program}\n", encoding="utf-8")
    target = tmp_path / "out" / "mine-f16.gguf"
    target.parent.mkdir()
    target.write_text("of an earlier run", encoding="utf-8")
    with pytest.raises(ConversionFailed) as failure:
        write_gguf(tmp_path, target, "f16")
    assert reason in str(failure.value)
    assert "\n" not in str(failure.value)
    assert [path.read_text(encoding="utf-8") for path in target.parent.iterdir()] == ["of an earlier run"]


def test_unknown_type_is_refused_before_anything_is_made(converter: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionFailed, match=r"'q4_k_m'; it writes f32, f16, bf16, q8_0\..*llama-quantize"):
        write_gguf(tmp_path, tmp_path / "out" / "mine.gguf", "q4_k_m")
    assert not (tmp_path / "out").exists()


def test_without_a_network_the_first_conversion_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise EnvironmentFailed("it could not be installed: no network.")

    monkeypatch.setattr(gguf, "ready_environment", refuse)
    with pytest.raises(ConversionFailed, match="needs a network; later ones do not"):
        write_gguf(tmp_path, tmp_path / "mine.gguf", "f16")


# --- With the real one -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a GGUF file of 8-bit blocks. (Notebook 06 makes an F16 file, too, and compares its answers.)"""
    try:
        gguf._converter()
    except ConversionFailed as failure:
        pytest.skip(str(failure))
    return write_gguf(model_folder, tmp_path_factory.mktemp("gguf") / "small-q8_0.gguf", "q8_0")


def test_what_is_read_back_is_what_was_written(
    written: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, tokenizer = load_gguf(written)
    assert "de-quantizing" not in capsys.readouterr().err  # a progress bar, which would stay in a notebook
    source = load_model(str(model_folder))
    for (name, weight), (other, found) in zip(source.named_parameters(), model.named_parameters(), strict=True):
        assert name == other
        # Half a step of 8-bit whole numbers, and a little more, as the length of the step is rounded to 16 bits.
        assert (weight - found).abs().max() <= 0.57 * weight.abs().max() / 127, name
        if weight.dim() > 1:
            assert not torch.equal(weight, found), f"{name} was not rounded: is it the source itself?"
    assert render(tokenizer, MESSAGES) == render(load_tokenizer(str(model_folder)), MESSAGES)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_no_path_of_this_machine_is_in_the_file(written: Path, model_folder: Path) -> None:
    assert str(model_folder.parent).encode() not in written.read_bytes()


def test_tokenizer_that_the_converter_does_not_know_is_told(tmp_path: Path, written: Path) -> None:
    with pytest.raises(ConversionFailed, match="could not be converted to GGUF"):
        write_gguf(make_tiny_model(tmp_path / "tiny"), tmp_path / "tiny.gguf", "f16")


def test_damaged_file_is_told(tmp_path: Path, written: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(written.read_bytes()[:1000])
    with pytest.raises(CourseError, match="cannot be read"):
        load_gguf(cut)
    with pytest.raises(CourseError, match="no GGUF file at"):
        load_gguf(tmp_path / "none.gguf")


# --- Ollama ------------------------------------------------------------------------------------------------------


def ollama_renders(template: str, messages: list[dict[str, str]]) -> str:
    """What Ollama's template language makes of the one template that is written here."""
    before, rest = template.split("{{- range .Messages }}")
    turn, after = rest.split("{{ end }}")
    turns = [turn.replace("{{ .Role }}", m["role"]).replace("{{ .Content }}", m["content"]) for m in messages]
    return before + "".join(turns) + after


def parsed(text: str) -> dict[str, list[str]]:
    """The instructions of a Modelfile, with what follows them."""
    found: dict[str, list[str]] = {}
    while text:
        name, _, text = text.partition(" ")
        if name == "PARAMETER":
            name, _, text = text.partition(" ")
        if text.startswith('"""'):
            value, _, text = text[3:].partition('"""\n')
        else:
            value, _, text = text.partition("\n")
        found.setdefault(name, []).append(value)
    return found


def test_modelfile_of_the_embedded_model() -> None:
    tokenizer = load_tokenizer(NAME)
    said = parsed(modelfile("mine-q8_0.gguf", tokenizer, context=1024, longest_answer=99))
    assert said["FROM"] == ["./mine-q8_0.gguf"]
    assert said["stop"] == ['"<|im_end|>"', '"<|im_start|>"']
    assert (said["temperature"], said["repeat_penalty"]) == (["0"], ["1"])
    assert (said["num_ctx"], said["num_predict"]) == (["1024"], ["99"])
    assert "SYSTEM" not in said
    wanted = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    assert ollama_renders(said["TEMPLATE"][0], MESSAGES) == wanted


def test_modelfile_with_the_system_message_of_training() -> None:
    said = parsed(modelfile("mine.gguf", load_tokenizer(NAME), system="Answer\nin one word."))
    assert said["SYSTEM"] == ["Answer\nin one word."]


def test_other_template_is_left_to_ollama() -> None:
    tokenizer = load_tokenizer(NAME)
    tokenizer.chat_template = "{% for message in messages %}### {{ message['content'] }}{% endfor %}"
    assert not is_chatml(tokenizer)
    said = parsed(modelfile("mine.gguf", tokenizer))
    assert "TEMPLATE" not in said
    assert said["stop"] == ['"<|im_end|>"']
