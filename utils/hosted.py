"""Fine-tuning of models that nobody can download: the files that OpenAI takes, checked, and what the job would cost.

    examples = hosted_examples(read_lines(dataset / "train.jsonl"))
    report = check_examples(examples, count_tokens, model)
    write_lines(folder / "train.jsonl", report.examples)  # of `utils.stages`

Nothing here asks for a key or goes to the network. The format is that of the chat models: one JSON object a line with
`messages`, and `tools` if functions may be called
(https://developers.openai.com/api/docs/guides/supervised-fine-tuning#formatting-your-data).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.data import Reject
from utils.errors import CourseError
from utils.stages import shown

PRICES = Path(__file__).with_name("hosted_prices.yaml")
ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
FEWEST_EXAMPLES, MOST_BYTES = 10, 512_000_000
TOKENS_OF_A_MESSAGE, TOKENS_OF_AN_EXAMPLE = 3, 3  # for the role and the marks around them, as OpenAI's cookbook counts
EPOCHS = 3
MILLION = 1_000_000

Example = dict[str, Any]
CountTokens = Callable[[str], int]


@dataclass(frozen=True)
class Price:
    """What a model costs, in US dollars for a million tokens, and the tokens of its longest training example."""

    model: str
    training: float
    input: float
    output: float
    longest: int
    as_of: str

    def of_training(self, tokens: int, epochs: int = EPOCHS) -> float:
        """Dollars for so many passes over a training file of `tokens`."""
        return tokens * epochs * self.training / MILLION

    def of_answers(self, prompt_tokens: float, answer_tokens: float, count: int = 1000) -> float:
        """Dollars for `count` answers of the tuned model, each with so many tokens."""
        return count * (prompt_tokens * self.input + answer_tokens * self.output) / MILLION


@dataclass
class HostedReport:
    """The examples that can be sent, those that cannot, and counts of tokens; `faults` would stop the job."""

    examples: list[Example] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    tokens: int = 0
    answer_tokens: int = 0

    def __str__(self) -> str:
        lines = [f"{len(self.examples):,} examples, {self.tokens:,} tokens, {self.answer_tokens:,} of them in answers"]
        lines += [f"{len(self.rejects)} left out, the first: {self.rejects[0]}"] if self.rejects else []
        return "\n".join(lines + self.faults)


def hosted_examples(rows: Iterable[Mapping[str, Any]]) -> list[Example]:
    """The rows of a dataset stage, which have `prompt` and `completion`, in the form that is uploaded.

    Rows that have `messages` already keep them, and their `tools`.
    """
    return [
        {name: row[name] for name in ("messages", "tools") if row.get(name)}
        if "messages" in row
        else {"messages": [*row["prompt"], *row["completion"]]}
        for row in rows
    ]


def check_examples(
    examples: Sequence[Example], count_tokens: CountTokens, price: Price, file: str = "train.jsonl"
) -> HostedReport:
    """Keep what the service accepts. `count_tokens` counts those of a text.

    With another tokenizer than the service's own (tiktoken has it), counts and costs are off by some tenths.
    """
    report = HostedReport()
    for line, example in enumerate(examples, start=1):
        tokens, of_answers = tokens_of(example, count_tokens)
        reason = fault_of(example)
        if not reason and tokens > price.longest:
            reason = f"It has {tokens:,} tokens; more than {price.longest:,} are cut off."
        if reason:
            report.rejects.append(Reject(file, line, reason, json.dumps(example, ensure_ascii=False)[:200]))
            continue
        report.examples.append(example)
        report.tokens += tokens
        report.answer_tokens += of_answers
    if len(report.examples) < FEWEST_EXAMPLES:
        report.faults.append(f"There are {len(report.examples)} examples; the service takes {FEWEST_EXAMPLES} or more.")
    size = sum(len(json.dumps(example, ensure_ascii=False).encode()) + 1 for example in report.examples)
    if size > MOST_BYTES:
        report.faults.append(f"The file would have {size / 1e6:.0f} MB; the service takes {MOST_BYTES / 1e6:.0f}.")
    return report


def fault_of(example: Mapping[str, Any]) -> str:
    """Why the service would not take an example, as a sentence; empty if it would."""
    messages = example.get("messages")
    if not isinstance(messages, list) or not messages:
        return "It has no list of messages."
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, Mapping) or message.get("role") not in ROLES:
            role = message.get("role") if isinstance(message, Mapping) else message
            return f"Message {number} has the role {role!r}; known are {', '.join(sorted(ROLES))}."
        content, calls = message.get("content"), message.get("tool_calls")
        if not (isinstance(content, str) and content.strip()) and not (calls and message["role"] == "assistant"):
            return f"Message {number} has no text."
        if message.get("weight", 1) not in (0, 1):
            return f"Message {number} has the weight {message['weight']!r}; it can be 0 (not trained on) or 1."
    if messages[-1]["role"] != "assistant":
        return f"It ends with a message of the role {messages[-1]['role']}; the last one is the answer to learn."
    if all(message.get("weight", 1) == 0 for message in messages if message["role"] == "assistant"):
        return "No answer in it is trained on: all have the weight 0."
    return ""


def tokens_of(example: Mapping[str, Any], count_tokens: CountTokens) -> tuple[int, int]:
    """Tokens of an example, and those in its answers."""
    total, of_answers = TOKENS_OF_AN_EXAMPLE, 0
    for message in example.get("messages") or ():
        if isinstance(message, Mapping):
            calls = message.get("tool_calls")
            text = str(message.get("content") or "") + (json.dumps(calls) if calls else "")
            tokens = count_tokens(text) + TOKENS_OF_A_MESSAGE
            total += tokens
            of_answers += tokens if message.get("role") == "assistant" else 0
    if example.get("tools"):
        total += count_tokens(json.dumps(example["tools"]))
    return total, of_answers


def read_prices(path: Path = PRICES) -> dict[str, Price]:
    """The prices in a file of the form of `hosted_prices.yaml`, by model.

    Raises:
        CourseError: there is no such file, or it has another form.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        as_of = str(content["as_of"])
        return {model: Price(model, as_of=as_of, **values) for model, values in content["models"].items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise CourseError(
            f"{shown(Path(path))} holds no prices: {error}. It needs `as_of` and, under `models`, for each the dollars "
            f"for a million tokens of training, input and output, and `longest`, as in {shown(PRICES)}."
        ) from None


def job_commands(training_file: str, validation_file: str, model: str, *, epochs: int, seed: int, suffix: str) -> str:
    """Python that uploads both files, starts the job and waits for it. It reads the key from OPENAI_API_KEY."""
    return f"""import time
from openai import OpenAI

client = OpenAI()  # reads OPENAI_API_KEY
files = {{}}
for name in ({training_file!r}, {validation_file!r}):
    with open(name, "rb") as content:
        files[name] = client.files.create(file=content, purpose="fine-tune").id
job = client.fine_tuning.jobs.create(
    model={model!r},
    training_file=files[{training_file!r}],
    validation_file=files[{validation_file!r}],
    method={{"type": "supervised", "supervised": {{"hyperparameters": {{"n_epochs": {epochs}}}}}}},
    seed={seed},
    suffix={suffix!r},
)
while job.status not in ("succeeded", "failed", "cancelled"):
    time.sleep(60)
    job = client.fine_tuning.jobs.retrieve(job.id)
print(job.status, job.fine_tuned_model, job.error)
"""
