"""An encoder that finds tables: questions and tables become vectors, and what is needed lies close to the question.

Question and table are read apart (a *bi-encoder*; Reimers and Gurevych, "Sentence-BERT", 2019), so a table is read once
for all questions about it. `TableFinder` is a subclass of a class of torch, so this module needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import Module, Parameter

from utils.encoders import LONGEST_TEXT, mean_vectors, sentence_vectors
from utils.table_pairs import TablePair

if TYPE_CHECKING:
    import numpy
    from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase
    from transformers.modeling_outputs import SequenceClassifierOutput


class TableFinder(Module):
    """An encoder with two numbers: a pair's score is `scale` × the cosine of its two vectors + `bias`."""

    def __init__(self, encoder: PreTrainedModel, scale: float, bias: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.scale, self.bias = Parameter(torch.tensor(scale)), Parameter(torch.tensor(bias))

    def forward(
        self,
        questions: BatchEncoding,
        tables: BatchEncoding,
        question_of: torch.Tensor,
        table_of: torch.Tensor,
    ) -> SequenceClassifierOutput:
        """Logits of shape (pairs, 2) for pairs of places in `questions` and `tables`: not needed, needed."""
        from transformers.modeling_outputs import SequenceClassifierOutput

        read = mean_vectors(self.encoder, questions), mean_vectors(self.encoder, tables)
        cosine = (read[0][question_of] * read[1][table_of]).sum(dim=-1)
        score = self.scale * cosine + self.bias
        return SequenceClassifierOutput(logits=torch.stack([torch.zeros_like(score), score], dim=-1))


@dataclass(frozen=True)
class PairCollator:
    """Makes a batch of groups of pairs, in which every question and every table is read once."""

    tokenizer: PreTrainedTokenizerBase
    max_length: int = LONGEST_TEXT

    def __call__(self, groups: Sequence[Sequence[TablePair]]) -> dict[str, BatchEncoding | torch.Tensor]:
        pairs = [pair for group in groups for pair in group]
        questions, question_of = _distinct([pair.question for pair in pairs])
        tables, table_of = _distinct([pair.description for pair in pairs])
        return {
            "questions": self._tokens(questions),
            "tables": self._tokens(tables),
            "question_of": torch.tensor(question_of),
            "table_of": torch.tensor(table_of),
            "labels": torch.tensor([int(pair.is_needed) for pair in pairs]),
        }

    def _tokens(self, texts: Sequence[str]) -> BatchEncoding:
        return self.tokenizer(texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt")


def cosines(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[TablePair]) -> numpy.ndarray:
    """The cosine between question and table for each pair, shape (pairs,)."""
    questions, question_of = _distinct([pair.question for pair in pairs])
    tables, table_of = _distinct([pair.description for pair in pairs])
    read = sentence_vectors(encoder, tokenizer, questions), sentence_vectors(encoder, tokenizer, tables)
    return (read[0][question_of] * read[1][table_of]).sum(axis=1)


def _distinct(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Each text once, and for every one of `texts` its place among them."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return list(places), [places[text] for text in texts]
