"""From a file to an evaluated model: the same losses as the notebook, the same weights after an interruption."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from safetensors.torch import load_file
from transformers import TrainerCallback

from ci.checks.tiny_model import make_tiny_model, write_colours
from ci.parameters import read_notebook
from utils.checkpoints import MarkCompleteCheckpoints
from utils.errors import CourseError
from utils.finetune import finetune, main
from utils.hardware import Choice
from utils.pipeline import OtherRun
from utils.settings import NOTEBOOKS
from utils.training import trainer_class

torch.set_num_threads(1)
HARDWARE = Choice("cpu", "float32", "sdpa", {})
# The recipe of the notebook, on the scale of the tiny model; evaluations come in the middle of a pass too.
TRAINING = {
    "learning_rate": 1e-2,
    "num_train_epochs": 2.0,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "max_length": 128,
    "warmup_steps": 1,
    "eval_steps": 3,
    "loss_examples": 4,
    "logging_steps": 1,
    "save_steps": 3,
    "train_embeddings": False,
    "frozen_layers": 1,
    "seed": 5,
}
Finetune = Callable[..., Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model and a CSV."""
    folder = tmp_path_factory.mktemp("files")
    make_tiny_model(folder / "tiny")
    write_colours(folder / "colours.csv", count=40)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is not measured: that has tests of its own."""
    monkeypatch.setattr("utils.hardware.choose_here", lambda: HARDWARE)
    monkeypatch.setattr("utils.trainers.measure_step", lambda *_: 0.01)


@pytest.fixture
def run(files: Path) -> Finetune:
    """Calls `finetune` on the colours."""

    def call(out: Path, **settings: object) -> Path:
        common = {"data": files / "colours.csv", "model": str(files / "tiny"), "out": out, "max_new_tokens": 10}
        return finetune(common | TRAINING | settings)

    return call


@pytest.fixture(scope="module")
def finished(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("utils.hardware.choose_here", lambda: HARDWARE)
        patch.setattr("utils.trainers.measure_step", lambda *_: 0.01)
        common = {"data": files / "colours.csv", "model": str(files / "tiny"), "max_new_tokens": 10}
        return finetune(common | TRAINING | {"out": tmp_path_factory.mktemp("runs") / "whole"})


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def losses(run_folder: Path) -> list[float]:
    return [row["loss"] for row in read(run_folder / "model" / "training_log.json") if "loss" in row]


def same_weights(left: Path, right: Path) -> bool:
    weights, others = (load_file(folder / "model" / "model.safetensors") for folder in (left, right))
    return all(torch.allclose(weights[name], others[name], atol=1e-6) for name in weights)


# --- The same as in the notebook ---------------------------------------------------------------------------------


def run_cells(values: dict[str, object], *parts: str) -> dict[str, Any]:
    """Run the cells of notebook 03 that contain these parts, with `values` for its parameters; what they define."""
    (path,) = NOTEBOOKS.glob("03_*.ipynb")
    defaults = {name: parameter.default for name, parameter in read_notebook(path).parameters.items()}
    space = defaults | TRAINING | values
    cells = ["".join(cell["source"]) for cell in read(path)["cells"]]
    for part in parts:
        (cell,) = (cell for cell in cells if part in cell)
        exec(cell, space)
    return space


def test_losses_are_those_of_the_notebook(finished: Path, files: Path, tmp_path: Path) -> None:
    parts = ("network = load_model(", "network.get_input_embeddings()", "learning = {", "settings = SFTConfig(")
    made = run_cells({"model": str(files / "tiny")}, *parts)
    network, settings = made["network"], made["settings"]
    settings.output_dir = str(tmp_path / "checkpoints")
    lines = {split: str(finished / "dataset" / f"{split}.jsonl") for split in ("train", "validation")}
    dataset = load_dataset("json", data_files=lines, cache_dir=str(tmp_path / "cache"))
    dataset = dataset.select_columns(["prompt", "completion"])
    trainer = trainer_class(HARDWARE, network)(
        model=network,
        args=settings,
        train_dataset=dataset["train"],
        eval_dataset=dataset["validation"],
        processing_class=made["tokenizer"],
    )
    trainer.train()
    found = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert len(found) == 8
    assert losses(finished) == pytest.approx(found, abs=1e-6)


# --- What a run leaves -------------------------------------------------------------------------------------------


def test_what_a_finished_run_leaves(finished: Path, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(path.name for path in finished.iterdir() if not path.name.startswith(".")) == [
        "baseline",
        "dataset",
        "evaluation",
        "model",
        "plan.json",
    ]
    names = {path.name for path in (finished / "model").iterdir()}
    assert {"model.safetensors", "tokenizer.json", "recipe.json", "README.md", "manifest.json"} <= names
    assert not [path for path in (finished / "model").rglob("*") if path.suffix in {".bin", ".pt", ".pth", ".pkl"}]
    before, after = (load_file(f / "model.safetensors") for f in (files / "tiny", finished / "model"))
    assert any(not torch.allclose(before[name], after[name], atol=1e-3) for name in before)
    summary = read(finished / "evaluation" / "summary.json")
    assert [row["metric"] for row in summary["rows"]][:2] == ["label accuracy", "exact match"]
    tuned = [json.loads(line) for line in (finished / "evaluation" / "answers_tuned.jsonl").open(encoding="utf-8")]
    right = sum(row["answer"] == row["reference"] for row in tuned) / len(tuned)
    assert summary["rows"][1]["tuned"]["value"] == pytest.approx(right)
    card = (finished / "model" / "README.md").read_text(encoding="utf-8")
    assert "| exact match | 0.0% [0.0, " in card
    assert f"{100 * right:.1f}%" in card
    log = read(finished / "model" / "training_log.json")
    best = max((row for row in log if "eval_score" in row), key=lambda row: row["eval_score"])
    assert read(finished / "model" / "manifest.json")["results"]["steps"] == best["step"]


def test_finished_run_is_only_shown_again(finished: Path, run: Finetune, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")}
    assert run(finished) == finished
    said = capsys.readouterr().out
    assert "label accuracy" in said
    assert "python -m utils.inference --model" in said
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")} == before


def test_other_settings_and_other_data_are_refused(finished: Path, run: Finetune, files: Path, tmp_path: Path) -> None:
    with pytest.raises(OtherRun, match=r"other settings \(learning_rate\)\. .* --fresh"):
        run(finished, learning_rate=1e-3)
    write_colours(tmp_path / "colours.csv", count=41)
    with pytest.raises(OtherRun, match="the content of data"):
        run(finished, data=tmp_path / "colours.csv")
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(OtherRun, match=r"holds other files \(colours.csv\)"):
        run(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_fresh_begins_anew(finished: Path, run: Finetune, tmp_path: Path) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "copy"))
    run(out, num_train_epochs=1.0, fresh=True)
    assert len(losses(out)) == 4


# --- Interruptions -----------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for `kill -9`: nothing catches it, nothing is cleaned up."""


def kill_at(patch: pytest.MonkeyPatch, where: str) -> None:
    """Let the run die at a moment."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    if where.startswith("step"):
        usual = MarkCompleteCheckpoints.on_step_end

        def on_step_end(self: TrainerCallback, args: object, state: Any, control: object, **kw: object) -> object:
            if state.global_step == int(where.split()[1]):
                raise Killed
            return usual(self, args, state, control, **kw)

        patch.setattr(MarkCompleteCheckpoints, "on_step_end", on_step_end)
    elif where == "before the mark":
        patch.setattr(MarkCompleteCheckpoints, "on_save", die)
    else:
        patch.setattr(where, die)


@pytest.mark.parametrize(
    "where",
    [
        "utils.preparation.write_prepared",
        "utils.pipeline.Run._write_plan",
        "utils.pipeline.Run._ask",
        "step 2",
        "step 5",
        "step 8",
        "before the mark",
        "utils.trainers.load_tuned",
        "utils.pipeline.write_json",
        "utils.pipeline.Run._compare",
        "utils.pipeline.own_data_card",
    ],
)
def test_killed_run_ends_as_an_undisturbed_one(where: str, finished: Path, run: Finetune, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, where)
        with pytest.raises(Killed):
            run(out)
    run(out)
    assert same_weights(out, finished)
    assert losses(out) == pytest.approx(losses(finished), abs=1e-5)
    assert read(out / "evaluation" / "summary.json") == read(finished / "evaluation" / "summary.json")


def test_killed_run_in_16_bits_ends_as_an_undisturbed_one(
    run: Finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.hardware.choose_here", lambda: Choice("cpu", "bfloat16", "sdpa", {}))
    whole = run(tmp_path / "whole")
    assert losses(whole)[-1] < losses(whole)[0]
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "step 5")
        with pytest.raises(Killed):
            run(tmp_path / "killed")
    # What was chosen at the start stays, whatever the machine measures later.
    monkeypatch.setattr("utils.hardware.choose_here", lambda: HARDWARE)
    assert same_weights(run(tmp_path / "killed"), whole)


def test_truncated_newest_checkpoint_gives_way(
    finished: Path, run: Finetune, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "damaged"
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "step 7")
        with pytest.raises(Killed):
            run(out)
    weights = out / "checkpoints" / "checkpoint-6" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    capsys.readouterr()
    run(out)
    said = capsys.readouterr().out
    assert "checkpoint-6 is incomplete or damaged and was removed." in said
    assert "Continuing from checkpoint-3." in said
    assert same_weights(out, finished)


# --- Other tasks -------------------------------------------------------------------------------------------------


def test_adapter_is_merged(run: Finetune, files: Path, tmp_path: Path) -> None:
    out = run(tmp_path / "lora", method="lora", lora_rank=4, num_train_epochs=1.0)
    before, after = (load_file(folder / "model.safetensors") for folder in (files / "tiny", out / "model"))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("proj" in name for name in changed)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "step 3")
        with pytest.raises(Killed):
            run(tmp_path / "again", method="lora", lora_rank=4, num_train_epochs=1.0)
    run(tmp_path / "again", method="lora", lora_rank=4, num_train_epochs=1.0)
    assert same_weights(tmp_path / "again", out)


def test_queries_are_run_on_the_database(run: Finetune, tmp_path: Path) -> None:
    database = tmp_path / "shop.sqlite"
    with sqlite3.connect(database) as connection:
        connection.executescript(
            "CREATE TABLE items (name TEXT, price REAL); INSERT INTO items VALUES ('pen', 2), ('ink', 5);"
        )
    rows = [
        {"question": f"Which items cost more than {n}?", "sql": f"SELECT name FROM items WHERE price > {n}"}
        for n in range(0, 5)
    ]
    rows += [
        {"question": f"How many cost less than {n} or so?", "sql": f"SELECT COUNT(*) FROM items WHERE price < {n}"}
        for n in range(6, 30)
    ]
    data = tmp_path / "questions.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = run(tmp_path / "sql", data=data, database=database, max_length=512, num_train_epochs=1.0)
    summary = read(out / "evaluation" / "summary.json")
    assert [row["metric"] for row in summary["rows"]] == ["execution accuracy", "exact match", "valid SQL"]
    assert read(out / "plan.json")["values"]["constrained"] is True
    first = json.loads((out / "dataset" / "train.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert "items: name (ink, pen), price" in first["prompt"][0]["content"]


def test_plain_text_is_compared_by_perplexity(
    run: Finetune, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "texts.jsonl"
    texts = [f"The lamp number {n} burns in the tower above the sea." for n in range(30)]
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    out = run(tmp_path / "text", data=data, leak_threshold=1.0)
    (row,) = read(out / "evaluation" / "summary.json")["rows"]
    assert row["metric"] == "perplexity"
    assert row["tuned"]["value"] < row["base"]["value"] / 2
    assert "By perplexity the tuned model is better." in capsys.readouterr().out


def test_conversations_and_columns_of_other_names(run: Finetune, tmp_path: Path) -> None:
    import pandas

    things = [("grass", "green"), ("blood", "red"), ("sky", "blue"), ("coal", "black")]
    chats = tmp_path / "chats.jsonl"
    with chats.open("w", encoding="utf-8") as file:
        for number in range(30):
            thing, colour = things[number % 4]
            turns = [
                ("user", f"I see {thing} {number}."),
                ("assistant", "Yes."),
                ("user", "Colour?"),
                ("assistant", colour),
            ]
            messages = [{"role": role, "content": content} for role, content in turns]
            file.write(json.dumps({"messages": messages}) + "\n")
    out = run(tmp_path / "chat", data=chats, num_train_epochs=1.0)
    assert read(out / "evaluation" / "summary.json")["rows"]

    table = tmp_path / "table.parquet"
    rows = [{"Frage": f"Farbe von {things[n % 4][0]} {n}?", "Antwort": things[n % 4][1]} for n in range(40)]
    pandas.DataFrame(rows).to_parquet(table)
    named = {"prompt_column": "Frage", "completion_column": "Antwort"}
    out = run(tmp_path / "table", data=table, num_train_epochs=1.0, **named)
    assert read(out / "evaluation" / "summary.json")["rows"][0]["metric"] == "label accuracy"


def test_training_stops_when_nothing_improves(run: Finetune, tmp_path: Path) -> None:
    # A rate of almost nothing: no evaluation after the first differs from it by more than noise.
    out = run(tmp_path / "idle", learning_rate=1e-12, num_train_epochs=20.0, patience=2)
    assert len(losses(out)) < 20 * 4


# --- Mistakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"data": "nowhere.csv"}, "There is no file or folder nowhere.csv"),
        ({"model": "smolm2-135m"}, "There is no model 'smolm2-135m'"),
        ({"database": "nowhere.sqlite"}, "There is no database"),
        ({"prompt_column": "instruktion"}, "Did you mean 'instruction'"),
        ({"metric": "bleu"}, "There is no metric 'bleu'"),
        ({"max_length": 0}, "max_length"),
        ({"method": "qlora"}, "is none of auto, full, lora"),
    ],
)
def test_mistake_is_a_sentence_and_can_be_corrected(
    settings: dict[str, object], reason: str, run: Finetune, tmp_path: Path
) -> None:
    with pytest.raises(CourseError, match=reason):
        run(tmp_path / "out", **settings)
    assert not (tmp_path / "out" / "model").exists()


def test_command_ends_with_a_sentence(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--data", str(files / "nowhere.csv"), "--model", str(files / "tiny"), "--out", str(tmp_path / "out")]
    assert main(command) == 1
    captured = capsys.readouterr()
    assert "There is no file" in captured.err
    assert "Traceback" not in captured.err


def test_large_data_is_trained_on_in_shards(
    run: Finetune, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_colours(tmp_path / "many.csv", count=120)
    monkeypatch.setattr("utils.pipeline.CACHE", tmp_path / "cache")
    monkeypatch.setattr("utils.shards.LARGE_BYTES", 100)
    run(tmp_path / "run", data=data)
    trained = losses(tmp_path / "run")
    assert trained[-1] < trained[0]
    results = read(tmp_path / "run" / "dataset" / "manifest.json")["results"]
    assert (tmp_path / "cache" / "shards" / results["shards"] / "train-00000.parquet").is_file()
    assert results["train"] + results["validation"] + results["test"] == 120
    summary = read(tmp_path / "run" / "evaluation" / "summary.json")
    assert summary["questions"] == results["test"]
