"""Widgets: what moves changes what is seen, what is static is what is seen first, and data stays text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from jupyter_client.asynchronous.client import AsyncKernelClient
from nbclient import NotebookClient
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedTokenizerBase, get_scheduler

from ci.checks.tiny_model import make_tiny_model
from utils.chat import Assistant
from utils.data import Question
from utils.errors import CourseError
from utils.findings import read_entries, rejects_of
from utils.formats import PromptRecipe
from utils.prompts import tokenize_row
from utils.settings import ROOT
from utils.sql import Result, build_database
from utils.stages import write_lines
from utils.widgets import (
    Playground,
    browse_dataset,
    compare_answers,
    explore_schedule,
    plan_memory,
    playground,
    view_tokens,
)
from utils.widgets.answers import GAINED, LOST, marked
from utils.widgets.controls import Page, Steps, Switch, setting_text
from utils.widgets.markup import bar, framed, table
from utils.widgets.memory import DEVICES, MODELS, Plan, verdict
from utils.widgets.playground import CURSOR, rows_view, stream_answer
from utils.widgets.schedule import SCHEDULES, learning_rates, schedule_figure
from utils.widgets.view import Explorer, View

torch.set_num_threads(1)
HOSTILE = "<script>alert('x')</script> \"><img src=x onerror=alert(1)> $5 & $6 </table>"
TAGS = {"div", "p", "b", "u", "code", "table", "thead", "tbody", "tr", "th", "td", "span", "br"}
ATTRIBUTES = {"class", "style", "title"}
CLINIC = """CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, kind TEXT);
INSERT INTO pets VALUES (1, 'Rex', 'dog'), (2, 'Tom', 'cat'), (3, NULL, 'cat');
"""


class Reader(HTMLParser):
    """What a browser would make of a piece of HTML: its tags, their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.parts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.parts)


def seen(html: str) -> str:
    """The text of a view, after a check that it is made of harmless tags alone."""
    reader = Reader(html)
    assert reader.tags <= TAGS
    assert reader.attributes <= ATTRIBUTES
    return reader.text


def row(number: int, split: str = "train", **changes: object) -> dict[str, object]:
    """A row of a dataset stage."""
    sql = f"SELECT name FROM pets WHERE id = {number}"
    messages = [{"role": "system", "content": "pets: id, name"}, {"role": "user", "content": f"Who is {number}?"}]
    return {
        "id": f"clinic-w{number:04d}",
        "split": split,
        "database": "clinic" if number % 2 else "harbour",
        "question": f"Who is {number}?",
        "sql": sql,
        "difficulty": "easy" if number < 5 else "hard",
        "origin": "written",
        "prompt": messages,
        "completion": [{"role": "assistant", "content": sql}],
    } | changes


def outcome(number: int, correct: bool, **changes: object) -> dict[str, object]:
    """A row of an evaluation stage."""
    gold = f"SELECT name FROM pets WHERE id = {number}"
    query = gold if correct else gold.replace("=", ">")
    return {
        "id": f"clinic-w{number:04d}",
        "database": "clinic",
        "difficulty": "easy" if number < 3 else "hard",
        "question": f"Who is {number}?",
        "gold": gold,
        "answer": query,
        "query": query,
        "valid": True,
        "exact": correct,
        "correct": correct,
        "error": "" if correct else "wrong condition",
        "message": "",
    } | changes


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset stage with 12 examples, one of them hostile, and three lines left out."""
    folder = tmp_path / "dataset"
    hostile = row(9, question=HOSTILE, sql=HOSTILE, completion=[{"role": "assistant", "content": HOSTILE}])
    renamed = row(2, completion=[{"role": "assistant", "content": "SELECT title FROM animals"}])
    write_lines(folder / "train.jsonl", [row(1), renamed, *map(row, range(3, 9)), hostile])
    write_lines(folder / "validation.jsonl", [row(10, "validation")])
    write_lines(folder / "test.jsonl", [row(11, "test"), row(12, "test")])
    rejects = [
        {"file": "train/clinic.jsonl", "line": 7, "reason": "The line is not JSON.", "text": HOSTILE},
        {"file": "my.csv", "line": 8, "reason": "It says the same as my.csv, line 2.", "text": "Who?\nRex"},
        {"file": "my.csv", "line": 9, "reason": "It is nearly the same (91%) as x of the test set.", "text": "[1]"},
    ]
    write_lines(folder / "rejected.jsonl", rejects)
    return folder


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    """An evaluation stage with two baselines and five questions."""
    folder = tmp_path / "evaluation"
    write_lines(folder / "answers_base_zero_shot.jsonl", [outcome(n, False, query="") for n in range(1, 6)])
    write_lines(folder / "answers_base_few_shot.jsonl", [outcome(n, n == 3) for n in range(1, 6)])
    tuned = [outcome(n, n in {1, 2}) for n in range(1, 5)]
    hostile = outcome(5, False, question=HOSTILE, gold=HOSTILE, query=HOSTILE, error=HOSTILE, message=HOSTILE)
    write_lines(folder / "answers_tuned.jsonl", [*tuned, hostile])
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model of random weights, one token a byte."""
    return make_tiny_model(tmp_path_factory.mktemp("widgets") / "model")


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tiny)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of three pets."""
    return build_database(CLINIC, tmp_path_factory.mktemp("widgets") / "clinic.sqlite")


@pytest.fixture(scope="module")
def assistant(tiny: Path, tokenizer: PreTrainedTokenizerBase, clinic: Path) -> Assistant:
    """The tiny model as an assistant for the clinic; constrained, so that its answers look like queries."""
    model = AutoModelForCausalLM.from_pretrained(tiny).eval()
    recipe = PromptRecipe("messages", uses_database=True)
    return Assistant("tiny", model, tokenizer, recipe, clinic, max_new_tokens=12, batch_size=1, constrained=True)


@pytest.fixture(autouse=True)
def json_safe(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything that a view puts out can be sent to a front-end."""
    static = View.static

    def checked(view: View) -> dict[str, Any]:
        bundle = static(view)
        json.dumps(bundle, ensure_ascii=False).encode("utf-8")
        return bundle

    monkeypatch.setattr(View, "static", checked)
    yield


def views(dataset: Path, evaluation: Path, tokenizer: PreTrainedTokenizerBase) -> dict[str, Explorer]:
    """Every widget that is drawn from controls."""
    return {
        "memory": plan_memory(),
        "dataset": browse_dataset(dataset),
        "tokens": view_tokens(tokenizer, [row(1), row(9, completion=[{"role": "assistant", "content": HOSTILE}])]),
        "schedule": explore_schedule(),
        "answers": compare_answers(evaluation),
    }


# --- What all of them have in common -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["memory", "dataset", "tokens", "schedule", "answers"])
def test_static_view_is_what_the_interactive_one_shows_first(
    name: str, dataset: Path, evaluation: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    view = views(dataset, evaluation, tokenizer)[name]
    bundle = view._repr_mimebundle_()
    assert set(bundle) <= {"text/html", "image/png", "text/plain"}  # nobody looks: no widget
    assert "widget" not in vars(view)
    first = view.widget.children[-1].value
    if name == "schedule":
        assert view.initial() == bytes(first)
    else:
        assert first == str(framed(view.drawn()))
        assert str(view.drawn()) in bundle["text/html"]
        assert seen(bundle["text/html"]).endswith(seen(first))


@pytest.mark.parametrize("name", ["memory", "dataset", "tokens", "schedule", "answers"])
def test_with_a_front_end_the_output_carries_both(
    name: str,
    dataset: Path,
    evaluation: Path,
    tokenizer: PreTrainedTokenizerBase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("utils.widgets.view.is_interactive", lambda: True)
    view = views(dataset, evaluation, tokenizer)[name]
    bundle = view._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle.items() >= {key: value for key, value in view.static().items() if key != "text/plain"}.items()


def test_hostile_text_is_shown_as_text(dataset: Path, evaluation: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    for name, view in views(dataset, evaluation, tokenizer).items():
        if name == "schedule":
            continue
        html = view.static()["text/html"]
        assert "<script" not in html
        assert "<img" not in html
        assert "tex2jax_ignore" in html  # two dollar signs are no formula
        seen(html)
        if "words" in view.controls:
            values = {key: control.value for key, control in view.controls.items()}
            assert HOSTILE in seen(view.draw(**(values | {"words": "onerror"})))
        if name == "tokens":
            shown = seen(view.draw(example=2, ids=False))
            assert HOSTILE in shown


def test_lone_surrogates_can_be_sent(dataset: Path) -> None:
    with (dataset / "rejected.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"file": "my.csv", "line": 1, "reason": "Odd.", "text": "\\ud800 broken"}\n')
    html = browse_dataset(dataset).static()["text/html"]
    assert "? broken" in html
    html.encode("utf-8")


def test_a_moved_control_is_drawn_with_its_value_and_the_page_goes_back() -> None:
    drawn = []

    def draw(**values: Any) -> bytes:
        drawn.append(values)
        return b""

    view = Explorer("x", {"on": Switch("on"), "page": Page("page", 9)}, draw)
    assert view.widget
    view.movers["page"].value = 4
    view.movers["on"].value = True
    assert drawn == [{"on": False, "page": 1}, {"on": False, "page": 4}, {"on": True, "page": 1}]
    view.movers["page"].value = 12
    assert drawn[-1]["page"] == 9


def test_importing_the_widgets_is_quick() -> None:
    """Nothing that takes seconds to import is imported before a widget is shown."""
    slow = ("torch", "transformers", "datasets", "pandas", "matplotlib", "sqlglot", "IPython", "ipywidgets")
    code = f"import sys; sys.modules.update(dict.fromkeys({slow!r})); import utils.widgets"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- In a kernel -------------------------------------------------------------------------------------------------


class WithPerson(NotebookClient):
    """Runs a notebook as a front-end does that can answer an `input()`."""

    async def async_start_new_kernel_client(self, **options: Any) -> AsyncKernelClient:
        client = await super().async_start_new_kernel_client(**options)
        client.allow_stdin = True
        return client


@pytest.mark.parametrize("client", [NotebookClient, WithPerson], ids=["papermill, nbconvert", "a person"])
def test_widgets_only_where_a_person_runs_the_cell(client: type[NotebookClient]) -> None:
    source = "from utils.widgets import plan_memory\nplan_memory()"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    client(notebook, kernel_name="python3", timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    (output,) = notebook.cells[0].outputs
    assert output.data["text/html"] == plan_memory().static()["text/html"]
    is_live = client is WithPerson
    assert ("application/vnd.jupyter.widget-view+json" in output.data) == is_live
    assert ("widgets" in notebook.metadata) == is_live


# --- Memory planner ----------------------------------------------------------------------------------------------


def test_models_have_the_published_number_of_weights() -> None:
    millions = {
        "SmolLM2-135M": 134.5,
        "SmolLM2-360M": 361.8,
        "Qwen3-0.6B": 596.0,
        "SmolLM2-1.7B": 1711.4,
        "Qwen3-1.7B": 1720.6,
        "Llama-3.2-3B": 3212.7,
        "Qwen3-4B": 4022.5,
        "Llama-3.1-8B": 8030.3,
        "Qwen3-8B": 8190.7,
    }
    assert {name: shape.parameters / 1e6 for name, shape in MODELS.items()} == pytest.approx(millions, rel=1e-3)


def total(view: Explorer) -> float:
    """The GB in the last line of the table, on a CPU."""
    return float(re.search(r"together(\d+\.\d\d)", seen(view.output.value))[1])


def test_moving_the_batch_changes_the_memory() -> None:
    view = plan_memory(length=512, batch=8)
    assert view.widget
    before = total(view)
    view.movers["batch"].value = 16
    assert total(view) > before + 1
    view.movers["recomputed"].value = True
    assert total(view) < before
    view.movers["model"].value = "Qwen3-8B"
    assert total(view) > 100
    view.movers["method"].value = "QLoRA"
    assert "QLoRA needs a GPU" in seen(view.output.value)


def test_what_the_notebook_asks_for_is_on_offer() -> None:
    view = plan_memory(length=777, batch=3, method="LoRA", recomputed=True)
    assert "length 777 · batch 3 · activation checkpointing on" in seen(view.static()["text/html"])
    assert view.widget.children[0].children[2].value == 777


def test_a_model_of_ones_own_comes_first_and_a_known_one_is_recognised() -> None:
    own = LlamaConfig(hidden_size=128, intermediate_size=256, num_hidden_layers=2, vocab_size=1000)
    assert plan_memory(own).controls["model"].options[0] == plan_memory(own).controls["model"].value
    known = LlamaConfig(
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=49_152,
        tie_word_embeddings=True,
    )
    assert plan_memory(known).controls["model"].value == "SmolLM2-135M"


def test_advice_is_the_cheapest_change_that_really_fits() -> None:
    plan = Plan(MODELS["Qwen3-0.6B"], "full", 1024, 8, False)
    device = DEVICES["T4, 16 GB"]
    found = str(verdict(plan, device))
    assert found.startswith("no: ")
    fitting = [changes for changes, lighter in plan.lighter() if lighter.spare(device) >= 0]
    assert found.endswith("fits with " + ", ".join(fitting[0]))
    # Each is lighter than the one before it.
    spares = [plan.spare(device), *(lighter.spare(device) for _, lighter in plan.lighter())]
    assert spares == sorted(spares)
    assert "fits with" not in verdict(Plan(MODELS["Qwen3-8B"], "full", 8192, 8, False), DEVICES["CPU, 8 GB"])


def test_verdicts_depend_on_what_is_left() -> None:
    small = Plan(MODELS["SmolLM2-135M"], "full", 256, 1, True)
    assert all("fits" in verdict(small, device) for device in DEVICES.values())
    spare = small.spare(DEVICES["CPU, 16 GB"])
    assert spare == pytest.approx(14 - small.memory(on_gpu=False).total)


# --- Dataset browser ---------------------------------------------------------------------------------------------


def drawn(view: Explorer, **values: object) -> str:
    """The text of a view with these values of its controls."""
    return seen(view.draw(**({name: control.value for name, control in view.controls.items()} | values)))


def test_dataset_is_counted_filtered_and_paged(dataset: Path) -> None:
    view = browse_dataset(dataset, page_size=4)
    assert set(view.controls) == {"split", "database", "difficulty", "kind", "words", "page"}
    assert "12 kept, 1 faulty, 1 duplicate, 1 leak · page 1 of 4" in drawn(view)
    assert "train/clinic.jsonl, line 7: The line is not JSON." in drawn(view)  # what was left out comes first
    assert "12 kept · page 1 of 3" in drawn(view, kind="kept")
    assert "2 kept · page 1 of 1" in drawn(view, split="test", page=4)
    assert "1 kept · page" in drawn(view, words="who 12")
    assert "none · page 1 of 1" in drawn(view, words="no such word")
    assert "1 duplicate ·" in drawn(view, kind="duplicate")
    assert "kept: written for a renamed schema" in drawn(view, words="animals")


def test_choosing_in_the_menu_changes_the_rows(dataset: Path) -> None:
    view = browse_dataset(dataset)
    assert view.widget
    view.movers["page"].value = 2
    view.movers["split"].value = "validation"
    assert "Who is 10?" in seen(view.output.value)
    assert "1 kept · page 1 of 1" in seen(view.output.value)


def test_own_data_has_no_databases_or_levels_to_choose_from(dataset: Path) -> None:
    rows = [row(number, database="", difficulty="") for number in range(1, 4)]
    for split in ("train", "validation", "test"):
        write_lines(dataset / f"{split}.jsonl", rows)
    assert set(browse_dataset(dataset).controls) == {"split", "kind", "words", "page"}


def test_missing_dataset_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"no train\.jsonl: make the dataset with notebook 02"):
        browse_dataset(tmp_path)


def test_what_notebook_02_leaves_out_is_found_again(dataset: Path) -> None:
    def question(number: int, split: str = "train", origin: str = "written") -> Question:
        return Question(f"clinic-{origin[0]}{number:04d}", split, "clinic", "Who?", "SELECT 1", "easy", origin)

    pairs = [(question(2), question(5, "test"), 0.95), (question(2), question(6, "test"), 0.85)]
    rejects = rejects_of([question(1)], pairs, [question(3, origin="generated")])
    assert [(reject.file, reject.line) for reject in rejects] == [
        ("train/clinic.jsonl", 1),
        ("train/clinic.jsonl", 2),
        ("train/clinic.generated.jsonl", 3),
    ]
    write_lines(dataset / "rejected.jsonl", [vars(reject) for reject in rejects])
    left_out = [entry for entry in read_entries(dataset) if entry.kind != "kept"]
    assert [entry.kind for entry in left_out] == ["duplicate", "leak", "too long"]
    assert {(entry.question, entry.sql) for entry in left_out} == {("Who?", "SELECT 1")}
    assert "(95%) as clinic-w0005 of the test set" in left_out[1].reason


# --- Tokens ------------------------------------------------------------------------------------------------------


def test_tokens_are_marked_as_the_trainer_labels_them(tokenizer: PreTrainedTokenizerBase) -> None:
    view = view_tokens(tokenizer, [row(1), row(2)])
    ids, labels = tokenize_row(tokenizer, row(1))
    trained = sum(label >= 0 for label in labels)
    html = str(view.drawn())
    assert f"{len(ids) - trained} tokens are read only, {trained} are trained on" in seen(html)
    assert html.count('<b title="') == trained
    assert html.count('<span title="') == len(ids) - trained
    assert "border-bottom" in html  # to be told apart in grey


def test_another_example_and_ids(tokenizer: PreTrainedTokenizerBase) -> None:
    view = view_tokens(tokenizer, [row(1), row(22)])
    assert view.widget
    view.movers["example"].value = 2
    assert "id = 22" in seen(view.output.value)
    view.movers["ids"].value = True
    ids, _ = tokenize_row(tokenizer, row(22))
    assert "".join(map(str, ids)) in seen(view.output.value)


def test_plain_text_is_trained_whole_with_its_end(tokenizer: PreTrainedTokenizerBase) -> None:
    view = view_tokens(tokenizer, [{"text": "abc"}])
    assert "0 tokens are read only, 4 are trained on (100%)" in drawn(view)
    with pytest.raises(ValueError, match="no rows"):
        view_tokens(tokenizer, [])


# --- Schedules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_those_of_the_real_scheduler(name: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=4, num_training_steps=30)
    used = []
    for _ in range(30):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert learning_rates(name, 3e-4, 30, 4) == pytest.approx(used)


def test_moving_a_slider_draws_another_compact_figure() -> None:
    view = explore_schedule(steps=100)
    assert view.widget
    pictures = [bytes(view.output.value)]
    view.movers["warmup_steps"].value = 50
    pictures.append(bytes(view.output.value))
    view.movers["schedule"].value = "linear"
    pictures.append(bytes(view.output.value))
    assert len(set(pictures)) == 3
    for picture in pictures:
        assert picture.startswith(b"\x89PNG")
        assert 5_000 < len(picture) < 25_000


def test_title_states_where_the_peak_is_and_what_remains() -> None:
    figure = schedule_figure("linear", 5e-4, 100, 10)
    # The rate rises from 0 in ten steps, is 5e-4 at the eleventh, and falls to half of it in 45 more.
    assert (
        figure.axes[0].get_title(loc="left") == "linear: 5e-4 at step 11, half of it at step 56, 50% of it in the mean"
    )
    styles = {line.get_label(): line.get_linestyle() for line in figure.axes[0].get_lines()}
    assert set(styles) == set(SCHEDULES)
    assert len(set(styles.values())) >= 4


# --- Base against tuned ------------------------------------------------------------------------------------------


def test_answers_are_counted_filtered_and_compared_with_the_chosen_baseline(evaluation: Path) -> None:
    view = compare_answers(evaluation)
    assert view.controls["base"].options == ["few-shot", "zero-shot"]
    assert "2 gained, 1 lost, 0 both right, 2 both wrong" in drawn(view)
    assert "2 gained, 0 lost, 0 both right, 3 both wrong" in drawn(view, base="zero-shot")
    assert "0 gained, 1 lost, 0 both right, 0 both wrong" in drawn(view, verdict=LOST)
    assert "2 gained, 0 lost" in drawn(view, difficulty="easy")
    assert "0 gained, 1 lost, 0 both right, 1 both wrong" in drawn(view, error="wrong condition")
    assert "Who is 2?" in drawn(view, words="who 2")
    assert "Who is 1?" not in drawn(view, words="who 2")


def test_a_page_shows_what_was_lost_as_well_as_what_was_gained(evaluation: Path) -> None:
    page = drawn(compare_answers(evaluation, page_size=3))
    assert re.findall(r"Who is (\d)\?", page) == ["1", "3", "4"]


def test_choosing_a_verdict_changes_the_questions(evaluation: Path) -> None:
    view = compare_answers(evaluation, page_size=1)
    assert view.widget
    assert "Who is 3?" not in seen(view.output.value)
    view.movers["verdict"].value = LOST
    assert "Who is 3?" in seen(view.output.value)
    view.movers["verdict"].value = GAINED
    assert "✓ right" in seen(view.output.value)
    assert "Who is 3?" not in seen(view.output.value)


def test_what_the_gold_query_does_not_have_is_underlined() -> None:
    found = marked("SELECT name FROM pets WHERE id > 3 AND kind = 'a <cat'", "select name from pets where id > 3")
    assert "WHERE id &gt; 3<u><b> AND kind = &#39;a &lt;cat&#39;</b></u>" in found
    assert "id <u><b>&gt;</b></u> 3" in marked(
        "SELECT name FROM pets WHERE id > 3", "SELECT name FROM pets WHERE id = 3"
    )
    assert "<u>" not in marked("SELECT 1", "select 1")


def test_answers_without_marks_are_right_word_for_word(tmp_path: Path) -> None:
    def said(number: int, answer: str) -> dict[str, str]:
        return {"id": str(number), "question": f"Colour {number}?", "reference": "green", "answer": answer}

    write_lines(tmp_path / "answers_base.jsonl", [said(1, "I am a model."), said(2, "green")])
    write_lines(tmp_path / "answers_tuned.jsonl", [said(1, "green"), said(2, "red")])
    view = compare_answers(tmp_path)
    assert set(view.controls) == {"verdict", "words", "page"}
    assert "1 gained, 1 lost" in drawn(view)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no answers_tuned\.jsonl: make it with notebook 05"),
        ({"answers_tuned.jsonl": [outcome(1, True)]}, "no answers of the untuned model"),
        ({"answers_tuned.jsonl": [{"id": "1", "loss": 2.0, "tokens": 3}]}, "plain text"),
    ],
    ids=["nothing", "no baseline", "plain text"],
)
def test_missing_answers_are_sentences(files: dict[str, list[dict]], message: str, tmp_path: Path) -> None:
    for name, rows in files.items():
        write_lines(tmp_path / name, rows)
    with pytest.raises(CourseError, match=message):
        compare_answers(tmp_path)


# --- Playground --------------------------------------------------------------------------------------------------


def test_answer_streams_and_is_that_of_the_assistant(assistant: Assistant) -> None:
    said: list[str] = []
    answer = stream_answer(assistant, "How many cats?", said.append)
    assert answer == assistant.ask("How many cats?")
    assert assistant.constraint.can_continue(answer)
    assert len(said) > 3
    assert all(later.startswith(earlier) for earlier, later in pairwise(said))
    assert said[-1].startswith(answer)


def test_without_a_constraint_too(assistant: Assistant) -> None:
    free = replace(assistant, constrained=False, database=None, recipe=PromptRecipe("messages"))
    said: list[str] = []
    assert stream_answer(free, "Hello?", said.append) == free.ask("Hello?")
    assert len(said) > 3


def test_playground_shows_a_real_answer_first_and_streams_the_next(assistant: Assistant, clinic: Path) -> None:
    ground = Playground(assistant, "How many cats?", {"clinic": clinic})
    first = assistant.ask("How many cats?")
    static = seen(ground.static()["text/html"])
    assert static.startswith(f"How many cats?{first}")
    assert "No rows." in static or "row" in static
    assert ground.widget.children[-1].value == ground.static()["text/html"]
    assert list(ground.menu.options) == ["clinic"]
    states: list[str] = []
    ground.output.observe(lambda change: states.append(seen(change["new"])), names="value")
    ground.asked.value = f"Who is {HOSTILE}"
    ground.button.click()
    assert len(states) > 3
    assert all(state.startswith(f"Who is {HOSTILE}") for state in states)
    assert CURSOR in states[0]
    assert CURSOR not in states[-1]
    assert not ground.button.disabled


def test_hostile_answers_are_text(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playground, "stream_answer", lambda *_: HOSTILE)
    assert HOSTILE in seen(Playground(assistant, "Who?").static()["text/html"])


def failing(error: BaseException) -> Callable[..., str]:
    """An answer that begins and fails."""

    def stream(assistant: Assistant, question: str, tell: Callable[[str], None]) -> str:
        tell("SELECT na")
        raise error

    return stream


def test_faults_and_interrupts_are_sentences(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playground, "stream_answer", failing(CourseError("No <b>database</b>.")))
    assert "No <b>database</b>." in seen(Playground(assistant, "Who?").static()["text/html"])
    monkeypatch.setattr(playground, "stream_answer", failing(KeyboardInterrupt()))
    ground = Playground(assistant, "Who?")
    assert seen(ground.widget.children[-1].value) == "Who?SELECT naStopped."
    ground.asked.value = "  "
    ground.button.click()
    assert "Write a question first." in seen(ground.output.value)


def test_rows_are_shown_with_their_number() -> None:
    many = Result(rows=[(number, None) for number in range(20)], columns=["n", "n"])
    assert seen(rows_view(many)).startswith("20 rows, the first 8 of them.nn0NULL1NULL")
    assert seen(rows_view(Result(rows=[(HOSTILE,)], columns=[HOSTILE]))) == f"1 row.{HOSTILE}{HOSTILE}"
    assert seen(rows_view(Result(error="No such column."))) == "No rows. No such column."


# --- Pieces of HTML ----------------------------------------------------------------------------------------------


def test_bars_are_as_long_as_their_share() -> None:
    assert bar(1) == "█" * 20
    assert bar(0.5) == "█" * 10
    assert bar(0.001) == "▏"
    assert bar(0) == ""


def test_tables_escape_all_that_is_not_markup() -> None:
    assert seen(table([HOSTILE], [[HOSTILE]])) == HOSTILE + HOSTILE


def test_settings_are_written_as_people_write_them() -> None:
    texts = {5e-4: "5e-4", 1.5e-4: "1.5e-4", 0: "0", 1024: "1,024"}
    assert {value: setting_text(Steps("x", [value], value)) for value in texts} == {
        value: f"x {text}" for value, text in texts.items()
    }
    assert setting_text(Switch("checkpointing")) == "checkpointing off"


def test_base_view_says_that_it_draws_nothing() -> None:
    with pytest.raises(NotImplementedError):
        View().static()
