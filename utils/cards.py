"""Model cards in the Hub's format (Mitchell et al., 2019): what all have in common, and that of data of one's own.

Every figure is read from the run's files. The cards of the notebooks are in `utils.export`.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from utils.adapters import public_name
from utils.models import EMBEDDED
from utils.stages import read_manifest
from utils.terminal import result_rows


def base_and_licence(model: str) -> tuple[str, str]:
    """The name under which others find the base model, and its licence; "other" for one that is not known here."""
    embedded = EMBEDDED.get(model)
    return public_name(model), embedded.licence.lower() if embedded else "other"


def front_matter(model: str, **more: object) -> str:
    """The block at the top of a card that the Hub reads, for a model that came from the base `model`."""
    import yaml

    base, licence = base_and_licence(model)
    fields = {"base_model": base, "license": licence, "pipeline_tag": "text-generation", **more}
    return f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)}---\n"


def rights(model: str) -> str:
    """Whose licence holds for the weights, as a sentence."""
    base, licence = base_and_licence(model)
    if licence == "other":
        return f"The weights come under the licence of the base model {base}: read it before you share them."
    return f"The weights come under the licence of the base model {base}, {licence}."


def rounded_base(model: str) -> str:
    """A sentence for a base model that is installed as a package with rounded weights, else nothing."""
    package = EMBEDDED[model].package if model in EMBEDDED else ""
    try:
        files = metadata.files(package) or [] if package else []
    except metadata.PackageNotFoundError:
        files = []
    file = next((PurePosixPath(file).name for file in files if PurePosixPath(file).suffix == ".gguf"), None)
    if file is None:
        return ""
    return (
        f"The base weights were those of {file} from the package {package}, rounded and unpacked again; "
        f"they differ a little from the ones of {public_name(model)} on the Hub."
    )


def packages(manifest: dict[str, Any]) -> str:
    """The packages that a stage was made with, as a sentence."""
    return f"Packages: {', '.join(f'{name} {version}' for name, version in manifest['packages'].items())}."


def markdown_table(rows: list[tuple[str, ...]]) -> str:
    """Rows of the same length as a Markdown table; the first is the heading."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def own_data_card(summary: dict[str, Any], dataset: Path, model: Path) -> str:
    """The card of a model that was tuned on data of one's own with `utils.finetune`."""
    base, _ = base_and_licence(summary["model"])
    data, training = read_manifest(dataset), read_manifest(model)
    values, results = training["parameters"], training["results"]
    return f"""{front_matter(summary["model"], tags=["sft", "trl"])}
# {Path(base).name}, fine-tuned on data of one's own

## Use
    python -m utils.inference --model FOLDER "a question"

`recipe.json` says how a question becomes the prompt that the model was trained on.

## Scores
{summary["questions"]} test examples that training never saw, greedy decoding, the same prompts for both models. In
brackets the 95% bootstrap interval; gains are in points, question by question. {summary["reason"]}

{markdown_table(result_rows(summary["rows"]))}

## Training
{data["results"]["train"]} examples (dataset {data["results"]["dataset_hash"]}), {values["method"]} fine-tuning with
TRL, seed {values["seed"]}, learning rate {values["learning_rate"]:g}. Kept are the weights after {results["steps"]}
optimizer steps, the best on validation data (loss {results["validation_loss"]:.3f}). {packages(training)}
{rounded_base(summary["model"])}

## Limits
- The scores hold for data like the test set. On other data it will do worse; measure it there.
- It needs the prompt that it was trained on, and its answers can be wrong.

## Licence
{rights(summary["model"])}
"""
