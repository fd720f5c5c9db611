"""The model card takes every figure from the files of the stages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from utils.export import model_card


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


@pytest.fixture
def stages(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Folders of the dataset, the model and the evaluation, as the notebooks leave them."""
    folders = [tmp_path / name for name in ("dataset", "model", "evaluation")]
    for folder in folders:
        folder.mkdir()
    dataset = {"results": {"train": 2987, "dataset_hash": "0123456789abcdef"}}
    model = {
        "parameters": {"seed": 42, "learning_rate": 5e-4},
        "results": {"steps": 374, "validation_loss": 0.12345},
        "packages": {"torch": "2.13.0", "trl": "1.16.0"},
        "device": "cpu",
    }
    (folders[0] / "manifest.json").write_text(json.dumps(dataset), encoding="utf-8")
    (folders[1] / "manifest.json").write_text(json.dumps(model), encoding="utf-8")
    (folders[2] / "summary.json").write_text(json.dumps(SUMMARY), encoding="utf-8")
    return tuple(folders)


def header(card: str) -> dict:
    """The YAML block that the Hub reads."""
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---\n")[1])


def test_card_of_the_embedded_model(stages: tuple[Path, Path, Path]) -> None:
    card = model_card("smollm2-135m", *stages)
    assert header(card)["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert header(card)["license"] == "apache-2.0"
    assert "text-to-sql" in header(card)["tags"]
    for part in (
        "# SmolLM2-135M-Instruct, fine-tuned",
        "417 hand-written questions",
        "better prompt (few-shot)",
        "| execution accuracy | 6.1% [1.1, 11.1] | 54.7% [49.7, 59.7] | 48.6% [43.6, 53.6] |",
        "| easy | 10.0% [5.0, 15.0] | 80.0% [75.0, 85.0] |",
        "| extra hard | 5.0% [0.0, 10.0] | 20.0% [15.0, 25.0] |",
        "2987 examples (dataset 0123456789abcdef), 374 optimizer steps",
        "seed 42, learning rate 0.0005",
        "on cpu. Last validation loss 0.123.",
        "torch 2.13.0, trl 1.16.0",
    ):
        assert part in card


def test_card_of_a_hub_model_claims_no_licence(stages: tuple[Path, Path, Path]) -> None:
    card = model_card("Qwen/Qwen3-0.6B", *stages)
    assert header(card)["base_model"] == "Qwen/Qwen3-0.6B"
    assert header(card)["license"] == "other"
    assert "# Qwen3-0.6B, fine-tuned" in card


def test_card_does_not_show_a_path_of_this_machine(stages: tuple[Path, Path, Path], tmp_path: Path) -> None:
    assert str(tmp_path) not in model_card(str(tmp_path / "my-model"), *stages)


def test_missing_figure_is_no_card(stages: tuple[Path, Path, Path]) -> None:
    (stages[2] / "summary.json").unlink()
    with pytest.raises(FileNotFoundError):
        model_card("smollm2-135m", *stages)
