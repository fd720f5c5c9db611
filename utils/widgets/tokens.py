"""What the model reads and what it is trained on, token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from utils.prompts import IGNORED, tokenize_row
from utils.widgets.controls import Steps, Switch
from utils.widgets.markup import joined, paragraph, text
from utils.widgets.view import Explorer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# In grey, or where styles are dropped, what is trained is bold and underlined.
READ = Markup('<span title="{}" style="background-color:#e8e8e8;color:#444;margin:1px;padding:0 2px">{}</span>')
TRAINED = Markup(
    '<b title="{}" style="background-color:#f9c26b;color:#111;border-bottom:2px solid #111;margin:1px;padding:0 2px">'
    "{}</b>"
)
BOXES = Markup('<div style="font-family:monospace;line-height:1.9;white-space:pre-wrap">{}</div>')
LINE_ENDS = Markup("⏎<br>")
MOST_ROWS = 200


def view_tokens(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Mapping[str, Any]]) -> Explorer:
    """The tokens of training rows: prompt and completion as messages, or plain `text`, of which all is trained.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("There are no rows to show.")
    controls = {
        "example": Steps("example", range(1, min(len(rows), MOST_ROWS) + 1), 1),
        "ids": Switch("token ids"),
    }

    def draw(example: int, ids: bool) -> Markup:
        return tokens_view(tokenizer, *tokenized(tokenizer, rows[example - 1]), ids_shown=ids)

    return Explorer("What is read and what is trained on", controls, draw)


def tokenized(tokenizer: PreTrainedTokenizerBase, row: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Token ids and labels as TRL makes them; it ends plain text with the end-of-sequence token."""
    if "text" not in row:
        return tokenize_row(tokenizer, dict(row))
    ids = tokenizer(row["text"])["input_ids"]
    ids = ids if ids[-1:] == [tokenizer.eos_token_id] else [*ids, tokenizer.eos_token_id]
    return ids, ids


def tokens_view(
    tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], labels: Sequence[int], *, ids_shown: bool = False
) -> Markup:
    """Every token in a box, read ones plain and trained ones bold and underlined. Hover for the id."""
    trained = sum(label != IGNORED for label in labels)
    summary = Markup("{} tokens are read only, <b>{} are trained on</b> ({:.0%}).").format(
        len(ids) - trained, trained, trained / max(1, len(ids))
    )
    boxes = joined(
        (READ if label == IGNORED else TRAINED).format(token, _piece(tokenizer, token, ids_shown))
        for token, label in zip(ids, labels, strict=True)
    )
    return joined([paragraph(summary), BOXES.format(boxes)])


def _piece(tokenizer: PreTrainedTokenizerBase, token: int, as_id: bool) -> Markup:
    """A token with its line ends made visible, or its number."""
    return LINE_ENDS.join(text(token if as_id else tokenizer.decode([token])).split("\n"))
