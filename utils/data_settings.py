"""What a person can say about data of their own: where it is, which columns count, how it is split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.errors import CourseError

if TYPE_CHECKING:
    import pandas

TRAINED_TURNS = ("auto", "every", "last")
MIN_LENGTH = 16


def _setting(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True)
class DataSettings:
    """Every field but `data` has a default that fits most files. Lengths are in tokens, shares between 0 and 1.

    Raises:
        CourseError: a value is out of its range.
    """

    data: str | Path | pandas.DataFrame = field(metadata={"help": "a file, a folder or a Hub dataset OWNER/NAME"})
    test: str | None = _setting(None, "a test set of its own; else a part of the data")
    validation: str | None = _setting(None, "a validation set of its own; else a part of the data")
    prompt_column: str | None = _setting(None, "the column with the prompt, if its name does not tell")
    input_column: str | None = _setting(None, "a column that is added below the prompt")
    completion_column: str | None = _setting(None, "the column with the answer")
    messages_column: str | None = _setting(None, "the column with whole conversations")
    text_column: str | None = _setting(None, "the column with plain text, to learn without prompts")
    system_column: str | None = _setting(None, "the column with a system prompt for each row")
    tools_column: str | None = _setting(None, "the column with the functions that may be called")
    group_column: str | None = _setting(None, "rows with the same value here stay on one side of the split")
    system_prompt: str | None = _setting(None, "the system prompt of rows that bring none")
    trained_turns: str = _setting("auto", "which answers of a conversation are trained on: auto, every or last")
    encoding: str = _setting("utf-8", "the encoding of text files, such as cp1252")
    hub_config: str | None = _setting(None, "the configuration of a Hub dataset")
    database: str | None = _setting(None, "a SQLite file, if the answers are queries on it")
    metric: str = _setting("auto", "the metric to choose by, such as exact match")
    validation_share: float = _setting(0.1, "the share of the data for choosing settings")
    test_share: float = _setting(0.2, "the share of the data for the final score")
    leak_threshold: float = _setting(0.8, "the similarity from which two texts count as nearly the same")
    max_length: int = _setting(1024, "tokens of an example; longer ones are left out")
    seed: int = _setting(42, "for the split")

    def __post_init__(self) -> None:
        if self.trained_turns not in TRAINED_TURNS:
            raise CourseError(f"trained_turns is {self.trained_turns!r}; it can be {', '.join(TRAINED_TURNS)}.")
        for name in ("validation_share", "test_share"):
            if not 0 < getattr(self, name) < 1:
                raise CourseError(f"{name} is {getattr(self, name)}; a share lies between 0 and 1, such as 0.1.")
        if self.validation_share + self.test_share > 0.8:
            raise CourseError("validation_share and test_share leave less than a fifth of the data for training.")
        if not 0 < self.leak_threshold <= 1:
            raise CourseError(f"leak_threshold is {self.leak_threshold}; it lies above 0 and up to 1, such as 0.8.")
        if self.max_length < MIN_LENGTH:
            raise CourseError(f"max_length is {self.max_length} tokens, too few for an example; 512 is a usual length.")

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are named, such as {"prompt": "Frage"}."""
        names = {
            f.name.removesuffix("_column"): getattr(self, f.name) for f in fields(self) if f.name.endswith("_column")
        }
        return {part: name for part, name in names.items() if name is not None}


def listed(names: Sequence[str], limit: int = 12) -> str:
    """Names in quotes with commas between, at most `limit` of them."""
    shown = ", ".join(map(repr, names[:limit]))
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
