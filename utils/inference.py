"""Ask a tuned model: one question, a conversation, or a file of questions.

    python -m utils.inference --model runs/mine/model "How are you open on Sundays?"
    python -m utils.inference --model runs/mine/model --interactive
    python -m utils.inference --model runs/mine/model --file in.jsonl --out out.jsonl

A question becomes the prompt that the model was trained on (`recipe.json` beside its weights says how). With --database
the schema is added, and the query that the model writes can be run, in a sandbox that only reads.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ci.errors import INTERRUPTED, UsageError, complain
from utils.allocator import keep_freed_memory
from utils.batches import answer_file
from utils.chat import Assistant, ask_once, converse
from utils.errors import CourseError
from utils.limits import explained
from utils.options import make_parser, read_all
from utils.settings import quiet_libraries

COMMAND = "python -m utils.inference"
OPTIONS = """
model: str = "smollm2-135m"  # the model: a folder that utils.finetune wrote, an embedded model or a Hub id
database: str | None = None  # a SQLite file that the questions are about
run: bool = False  # run the queries that the model writes, without asking
interactive: bool = False  # ask question after question
file: str | None = None  # a file of questions, in any format that utils.finetune reads
out: str | None = None  # the JSON Lines file for the answers to --file
prompt_column: str | None = None  # the column of --file with the questions, if its name does not tell
max_new_tokens: int | None = None  # longest answer, in tokens
batch_size: int = 70  # answers generated together
"""
LADDER = "Try a smaller --batch-size, or a smaller model."


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    try:
        values = parse(arguments)
        keep_freed_memory()
        quiet_libraries()
        with explained(Path.cwd(), LADDER):
            _run(values)
    except CourseError as error:
        return complain(error)
    except KeyboardInterrupt:
        return complain("Interrupted. The same command continues with a file.", INTERRUPTED)
    return 0


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """What a command line asks for, `question` among it. Raises UsageError."""
    parser = make_parser(COMMAND, '--model NAME ["question" | --interactive | --file FILE --out FILE]', __doc__)
    parser.add_argument("question", nargs="?", help="what to ask")
    values = read_all(parser, OPTIONS, arguments)
    ways = [values["question"] is not None, values["interactive"], values["file"] is not None]
    if sum(ways) != 1:
        raise UsageError(
            f'Give one of these: a "question", --interactive, or --file with --out. Help: {COMMAND} --help'
        )
    if values["file"] and not values["out"]:
        raise UsageError("--file needs --out, the file for the answers, such as --out answers.jsonl.")
    return values


def _run(values: dict[str, Any]) -> None:
    assistant = Assistant.load(
        values["model"],
        database=values["database"],
        max_new_tokens=values["max_new_tokens"],
        batch_size=values["batch_size"],
    )
    if values["file"]:
        answer_file(assistant, Path(values["file"]), Path(values["out"]), values["prompt_column"], run=values["run"])
    elif values["interactive"]:
        converse(assistant, run=values["run"])
    else:
        ask_once(assistant, values["question"], run=values["run"])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
