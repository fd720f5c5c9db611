"""What goes out with a model: how each saved form of it scored, and the cards, written from the run's own figures.

A form is a folder or a file that holds the tuned model: full weights, the adapter alone, merged weights, GGUF files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.cards import base_and_licence, front_matter, markdown_table, packages, rights, rounded_base
from utils.data import SPLITS, stage_databases
from utils.evaluation import Interval, Outcome, interval
from utils.models import find_model
from utils.schema import read_schema
from utils.settings import DATA, ROOT
from utils.stages import hash_of, read_lines, read_manifest

if TYPE_CHECKING:
    from utils.prompts import Message

Row = dict[str, Any]
"""How a form scored: a line of scores.json, see `score_row`."""


# --- Scores of the forms -----------------------------------------------------------------------------------------


def score_row(
    name: str,
    place: str,
    size: float,
    outcomes: Sequence[Outcome],
    *,
    source: str = "",
    source_answers: Sequence[str] = (),
) -> Row:
    """A line of scores.json.

    Args:
        name: what the form is called in tables.
        place: its file or folder, relative to the export, or the base model's name.
        size: megabytes on disk (10^6 bytes).
        outcomes: how its answers did.
        source: the name of the weights that it was made from; none for what was made from no other.
        source_answers: what those answered to the same questions.
    """
    hits = [outcome.correct for outcome in outcomes]
    answers = [outcome.answer for outcome in outcomes]
    pairs = zip(answers, source_answers if source else answers, strict=True)
    return {
        "name": name,
        "file_or_folder": place,
        "megabytes": round(size, 1),
        "questions": len(hits),
        "correct": sum(hits),
        "share": asdict(interval(hits)),
        "source": source,
        "same_as_source": sum(answer == of_source for answer, of_source in pairs),
    }


def shown_row(row: Row) -> dict[str, str]:
    """A line of scores.json as a line of a table for people."""
    return {
        "form": row["name"],
        "file or folder": row["file_or_folder"],
        "MB": f"{row['megabytes']:,.0f}",
        "right": f"{row['correct']} of {row['questions']}",
        "execution accuracy": str(Interval(**row["share"])),
        "same answers": f"{row['same_as_source']} of {row['questions']} as {row['source']}" if row["source"] else "–",
    }


def megabytes(place: Path) -> float:
    """The size of a file, or of all files in a folder, in 10^6 bytes."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files) / 1e6


def folder_of(model: str) -> Path:
    """Where the files of a model that was loaded before are: its folder, or that of the Hub's cache."""
    found = find_model(model)
    if found.source != "Hub":
        return Path(found.location)
    from huggingface_hub import try_to_load_from_cache

    return Path(str(try_to_load_from_cache(found.location, "config.json"))).parent


# --- Cards -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sources:
    """The base model's name, and the folders of the stages whose figures the cards tell."""

    base: str
    dataset: Path
    model: Path
    adapter: Path
    evaluation: Path


@dataclass(frozen=True)
class Kind:
    """What the card of one folder of the export says that the others do not.

    `relation` and `library` are the Hub's words; `use` is the code that shows how to use it.
    """

    relation: str
    library: str
    tags: tuple[str, ...]
    what: str
    use: str
    is_lora: bool = False


USE_MODEL = """```python
from transformers import pipeline

messages = {messages}
ask = pipeline("text-generation", model="FOLDER")  # or OWNER/NAME on the Hub
print(ask(messages, max_new_tokens=160, do_sample=False)[0]["generated_text"][-1]["content"])
```"""

USE_ADAPTER = """```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

messages = {messages}
base = AutoModelForCausalLM.from_pretrained("{base}")
model = PeftModel.from_pretrained(base, "FOLDER")  # or OWNER/NAME on the Hub
ask = pipeline("text-generation", model=model, tokenizer=AutoTokenizer.from_pretrained("FOLDER"))
print(ask(messages, max_new_tokens=160, do_sample=False)[0]["generated_text"][-1]["content"])
```"""

USE_GGUF = """```sh
llama-server -m {file} --temp 0
ollama create text-to-sql -f Modelfile
```

Messages such as these are sent to it:

```python
messages = {messages}
```"""

KINDS = {
    "model": Kind(
        relation="finetune",
        library="transformers",
        tags=("sft", "trl"),
        what="Full fine-tuning; the weights are stored in 16 bits (bfloat16).",
        use=USE_MODEL,
    ),
    "adapter": Kind(
        relation="adapter",
        library="peft",
        tags=("lora", "sft", "trl"),
        what="This is a LoRA adapter (Hu et al., 2021): small matrices that are added to those of {base}.",
        use=USE_ADAPTER,
        is_lora=True,
    ),
    "merged": Kind(
        relation="finetune",
        library="transformers",
        tags=("lora", "sft", "trl"),
        what="A LoRA adapter (Hu et al., 2021) was trained and then added to the weights of {base}; they are stored in "
        "16 bits (float16).",
        use=USE_MODEL,
        is_lora=True,
    ),
    "gguf": Kind(
        relation="quantized",
        library="gguf",
        tags=("gguf", "sft", "trl"),
        what="Full fine-tuning, as files for llama.cpp and Ollama; `Modelfile` is for Ollama.",
        use=USE_GGUF,
    ),
}


def make_card(kind: str, sources: Sources, scores: Sequence[Row]) -> str:
    """The card of the export's folder `kind`, one of `KINDS`. `scores` are the lines of scores.json."""
    base, _ = base_and_licence(sources.base)
    said = KINDS[kind]
    head = front_matter(
        sources.base,
        base_model_relation=said.relation,
        library_name=said.library,
        language="en",
        tags=["text-to-sql", *said.tags],
    )
    file = next((row["file_or_folder"].rpartition("/")[2] for row in scores if row["name"].startswith("GGUF")), "")
    return f"""{head}
# {Path(base).name}, fine-tuned to answer questions about SQLite databases

It reads a database schema and a question in English and writes one SQLite query. {said.what.format(base=base)}

## Use
{said.use.format(base=base, file=file, messages=json.dumps(_example(sources.dataset), indent=4, ensure_ascii=False))}

## Scores
{_forms(scores)}
{_evaluation(sources.evaluation) if kind == "model" else ""}
## Training
{_lora_training(sources.adapter) if said.is_lora else _full_training(sources.model)}
{rounded_base(sources.base)}

## Data
{_data(sources.dataset)}

## Limits
- It knows SQLite databases with {_tables(sources.dataset)} and English names, and no others. Expect less there.
- It needs the prompt that it was trained on, as shown above: the instruction, a line for each table, the question, and
  the values and names of the database that the question mentions.
- Its queries can be wrong and still run. Show the query to whoever relies on the answer, and run it read-only.

## Licence
{rights(sources.base)}
"""


def _forms(scores: Sequence[Row]) -> str:
    """The table of all forms: whoever reads the card of one can choose another."""
    rows = [shown_row(row) for row in scores]
    return f"""{scores[0]["questions"]} questions on databases that training never saw, greedy decoding without
constraints, each form loaded from its files with transformers. In brackets the 95% bootstrap interval.

{markdown_table([tuple(rows[0]), *(tuple(row.values()) for row in rows)])}"""


def _evaluation(evaluation: Path) -> str:
    """Base against tuned, as notebook 05 measured it."""
    summary = json.loads((evaluation / "summary.json").read_text(encoding="utf-8"))
    constrained = read_manifest(evaluation)["parameters"]["constrained"]
    rule = "only names that the database has" if constrained else "any text"
    metrics = [
        (row["metric"], *(str(Interval(**row[name])) for name in ("base", "tuned", "gain"))) for row in summary["rows"]
    ]
    levels = [
        (name, *(str(Interval(**shares[which])) for which in ("base", "tuned")))
        for name, shares in summary["by_difficulty"].items()
    ]
    return f"""
Before it was saved, on {summary["questions"]} questions, greedy decoding that may write {rule}, against the base
model with its better prompt ({summary["base_prompt"]}):

{markdown_table([("metric", "base", "tuned", "gain"), *metrics])}

Execution accuracy by difficulty:

{markdown_table([("level", "base", "tuned"), *levels])}
"""


def _full_training(model: Path) -> str:
    training = read_manifest(model)
    return f"{training['results']['steps']} optimizer steps of supervised fine-tuning {_settings(training)}"


def _lora_training(adapter: Path) -> str:
    training = read_manifest(adapter)
    recipe, results = training["parameters"], training["results"]
    return (
        f"LoRA of rank {results['rank']}, alpha {recipe['lora_alpha']}, {results['trainable_parameters']:,} trained "
        f"parameters: {results['steps']} optimizer steps of supervised fine-tuning on {results['examples']} examples "
        + _settings(training)
    )


def _settings(training: dict[str, Any]) -> str:
    recipe, loss = training["parameters"], training["results"]["validation_loss"]
    return (
        f"with TRL, seed {recipe['seed']}, learning rate {recipe['learning_rate']:g}, on {training['device']}. Last "
        f"validation loss {loss:.3f}.\n{packages(training)}"
    )


def _data(dataset: Path) -> str:
    manifest = read_manifest(dataset)
    counts = ", ".join(f"{manifest['results'][split]} {split}" for split in SPLITS)
    text = f"Examples: {counts} (dataset {manifest['results']['dataset_hash']})."
    if manifest["inputs"].get("questions") != hash_of(DATA / "questions"):
        return text
    repository = (ROOT / "ci" / "repository.txt").read_text(encoding="utf-8").strip()
    card = f"https://github.com/{repository}/blob/main/data/README.md"
    return f"{text}\nThe [data card]({card}) tells how they were made and checked; their licence is CC BY 4.0."


def _example(dataset: Path) -> list[Message]:
    """The shortest prompt of the test set."""
    prompts = [row["prompt"] for row in read_lines(dataset / "test.jsonl")]
    return min(prompts, key=lambda messages: sum(len(message["content"]) for message in messages))


def _tables(dataset: Path) -> str:
    counts = {len(read_schema(path).tables) for path in stage_databases(dataset).values()}
    return f"{min(counts)} to {max(counts)} tables" if len(counts) > 1 else f"{counts.pop()} tables"
