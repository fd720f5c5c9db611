"""The data card holds what its program counts now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ci.checks import card
from ci.errors import UsageError
from ci.publish import between

ROW = {
    "recipe": "twice as many examples",
    "examples": 7000,
    "validation_loss": 0.41239,
    "free": 54,
    "constrained": None,
    "row_sets": 5,
    "questions": 216,
}


@pytest.fixture
def ablation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of recipes with one in it."""
    path = tmp_path / "ablation.jsonl"
    path.write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    monkeypatch.setattr(card, "ABLATION", path)
    return path


@pytest.mark.parametrize("name", ["counts", "shapes", "ablation"])
def test_the_card_is_up_to_date(name: str) -> None:
    text = card.CARD.read_text(encoding="utf-8")
    assert between(text, name, card.PARTS[name]()) == text, f"Run python -m ci.checks.card --part {name}"


def test_every_part_stands_in_the_card() -> None:
    text = card.CARD.read_text(encoding="utf-8")
    for name in card.PARTS:
        content = text.partition(f"<!-- {name}:begin -->")[2].partition(f"<!-- {name}:end -->")[0]
        assert content.strip(), f"Run python -m ci.checks.card --part {name}"


@pytest.mark.usefixtures("ablation")
def test_a_recipe_becomes_a_row() -> None:
    row = card.ablation().splitlines()[-1]
    assert row.startswith("| twice as many examples | 7,000 | 0.412 | 5 | 25.0% [")
    assert row.endswith("] | – |")


@pytest.mark.parametrize("line", ['{"recipe": "no figures"}', '{"recipe": ', json.dumps(ROW | {"accuracy": 0.5})])
def test_a_faulty_recipe_is_refused(line: str, ablation: Path) -> None:
    ablation.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"ablation\.jsonl: a line is no recipe"):
        card.ablation()


@pytest.mark.usefixtures("ablation")
def test_one_part_is_written_and_the_rest_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "README.md"
    copy.write_text("A\n<!-- ablation:begin -->\nold\n<!-- ablation:end -->\nB\n", encoding="utf-8")
    monkeypatch.setattr(card, "CARD", copy)
    monkeypatch.setattr("sys.argv", ["card", "--part", "ablation"])
    assert card.main() == 0
    assert copy.read_text(encoding="utf-8") == (
        f"A\n<!-- ablation:begin -->\n{card.ablation()}\n<!-- ablation:end -->\nB\n"
    )
    monkeypatch.setattr("sys.argv", ["card", "--part", "counts"])
    assert card.main() == 1
