"""Encoders are told from models that write, and their sentence vectors do not depend on the batch."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    LlamaConfig,
    PreTrainedTokenizerFast,
    T5Config,
)

from utils.encoders import NoEncoder, class_logits, find_encoder, seconds_each, sentence_vectors
from utils.models import ModelNotFound

WORDS = ["[PAD]", "[UNK]", *"how many owners have two dogs in all".split()]


@pytest.fixture(scope="module")
def encoder() -> tuple[BertModel, PreTrainedTokenizerFast]:
    """A BERT with two small layers and random weights, and its words."""
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertModel(BertConfig(vocab_size=len(WORDS), **size)).eval()
    words = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    return model, PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")


def test_sentence_vectors(encoder: tuple[BertModel, PreTrainedTokenizerFast]) -> None:
    texts = ["how many owners have two dogs", "how many", "dogs in all", "owners"]
    together = sentence_vectors(*encoder, texts, batch_size=3)
    alone = numpy.vstack([sentence_vectors(*encoder, [text]) for text in texts])
    assert together.shape == (4, 16)
    assert together == pytest.approx(alone, abs=1e-5)  # padding changes nothing, and the order is kept
    assert numpy.linalg.norm(together, axis=1) == pytest.approx(numpy.ones(4), abs=1e-5)


def test_a_vector_is_the_mean_over_the_tokens(encoder: tuple[BertModel, PreTrainedTokenizerFast]) -> None:
    model, tokenizer = encoder
    with torch.inference_mode():
        states = model(**tokenizer("two dogs", return_tensors="pt")).last_hidden_state[0]
    mean = states.mean(dim=0)
    assert sentence_vectors(model, tokenizer, ["two dogs"])[0] == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)


def test_class_logits_keep_the_order(encoder: tuple[BertModel, PreTrainedTokenizerFast]) -> None:
    torch.manual_seed(0)
    classifier = BertForSequenceClassification(encoder[0].config).train()  # dropout must not act
    questions, tables = ["how many owners", "dogs", "in all", "have two"], ["dogs", "owners have two dogs", "all", "in"]
    together = class_logits(classifier, encoder[1], questions, tables, batch_size=3)
    alone = [class_logits(classifier, encoder[1], [q], [t])[0] for q, t in zip(questions, tables, strict=True)]
    assert together.shape == (4, 2)
    assert together == pytest.approx(numpy.array(alone), abs=1e-5)
    assert class_logits(classifier, encoder[1], questions) != pytest.approx(together, abs=1e-5)


def test_find_encoder(tmp_path: Path) -> None:
    BertConfig().save_pretrained(tmp_path / "bert")
    assert find_encoder(str(tmp_path / "bert")).source == "local folder"


@pytest.mark.parametrize("config", [LlamaConfig(), T5Config()], ids=["decoder", "encoder-decoder"])
def test_a_model_that_writes_is_refused(config: LlamaConfig | T5Config, tmp_path: Path) -> None:
    config.save_pretrained(tmp_path)
    with pytest.raises(NoEncoder, match=f"is of the type {config.model_type}, not an encoder"):
        find_encoder(str(tmp_path))


def test_what_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelNotFound):
        find_encoder("no-such-model")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(NoEncoder, match="could not be read"):
        find_encoder(str(tmp_path))


def test_the_first_time_is_not_measured() -> None:
    calls: list[object] = []
    assert seconds_each(calls.append, ["a", "b"]) >= 0
    assert calls == ["a", "a", "b"]
