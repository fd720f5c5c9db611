"""A finder of tables: every text is read once, scores are those of the cosines, and training moves them."""

from __future__ import annotations

import numpy
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from utils.table_finder import PairCollator, TableFinder, cosines
from utils.table_pairs import TablePair

WORDS = ["[PAD]", "[UNK]", *"how many owners dogs have name id age".split()]
PAIRS = [
    TablePair("a", "how many owners", "owners", "owners name id", True),
    TablePair("a", "how many owners", "dogs", "dogs age", False),
    TablePair("b", "how many dogs have owners", "owners", "owners name id", False),
    TablePair("b", "how many dogs have owners", "dogs", "dogs age", True),
]


@pytest.fixture
def encoder() -> BertModel:
    """A BERT with one small layer and random weights."""
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return BertModel(BertConfig(vocab_size=len(WORDS), **size)).eval()


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that knows a few words."""
    words = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")


def test_every_text_is_read_once(tokenizer: PreTrainedTokenizerFast) -> None:
    batch = PairCollator(tokenizer, 16)([PAIRS[:2], PAIRS[2:]])
    assert batch["questions"]["input_ids"].shape == (2, 5)
    assert batch["tables"]["input_ids"].shape == (2, 3)
    assert batch["question_of"].tolist() == [0, 0, 1, 1]
    assert batch["table_of"].tolist() == [0, 1, 0, 1]
    assert batch["labels"].tolist() == [1, 0, 0, 1]


def test_scores_follow_from_the_cosines(encoder: BertModel, tokenizer: PreTrainedTokenizerFast) -> None:
    finder = TableFinder(encoder, 10.0, -2.0).eval()
    batch = PairCollator(tokenizer, 16)([PAIRS])
    batch.pop("labels")
    logits = finder(**batch).logits.detach().numpy()
    assert logits.shape == (4, 2)
    assert logits[:, 1] == pytest.approx(10 * cosines(encoder, tokenizer, PAIRS) - 2, abs=1e-4)
    assert (logits[:, 0] == 0).all()


def test_training_brings_questions_and_tables_together(encoder: BertModel, tokenizer: PreTrainedTokenizerFast) -> None:
    finder = TableFinder(encoder, 10.0, -2.0).eval()
    optimizer = torch.optim.AdamW(finder.parameters(), lr=5e-3)
    before = cosines(encoder, tokenizer, PAIRS)
    for _ in range(30):
        batch = PairCollator(tokenizer, 16)([PAIRS])
        labels = batch.pop("labels")
        torch.nn.functional.cross_entropy(finder(**batch).logits, labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    needed = numpy.array([pair.is_needed for pair in PAIRS])
    after = cosines(encoder, tokenizer, PAIRS)
    assert after[needed].mean() - after[~needed].mean() > before[needed].mean() - before[~needed].mean() + 0.1
