"""Encoder-decoders: loaded from a folder or the Hub, and losses that mean what they say; with a tiny T5."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    LlamaConfig,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from utils.models import ModelNotFound
from utils.plots import loss_curves
from utils.seq2seq import (
    cross_attention,
    encode,
    encode_labels,
    load_encoder_decoder,
    own_beginnings,
    token_losses,
    write_values,
)
from utils.seq2seq_plots import attention_map, beginnings_over_training, causal_mask, full_mask, mask_panels

TEXTS, VALUES = ["nine fifteen", "nine", "one"], ["915", "9", "1"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "</s>", "<unk>", "▁nine", "▁fifteen", "▁one", "▁", *"0123456789"]
    plain = Tokenizer(models.Unigram([(word, -1.0) for word in words], unk_id=2))
    plain.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Digits(True)])
    plain.decoder = decoders.Metaspace()
    plain.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )


@pytest.fixture(scope="module")
def network(tokenizer: PreTrainedTokenizerFast) -> T5ForConditionalGeneration:
    """A T5 that has learnt the three values by heart."""
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=1,
            num_heads=4,
            dropout_rate=0.0,
            decoder_start_token_id=0,
        )
    )
    inputs, labels = encode(model, tokenizer, TEXTS), encode_labels(tokenizer, VALUES)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        model(**inputs, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def test_values_are_written_in_the_order_of_the_texts(
    network: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast
) -> None:
    seen = []
    for beams in (1, 3):
        answers = write_values(
            network, tokenizer, TEXTS, beams=beams, batch_size=2, on_progress=lambda *counts: seen.append(counts)
        )
        assert answers == VALUES
    assert seen == [(2, 3), (3, 3)] * 2


def test_labels_end_and_are_padded_with_what_no_loss_counts(tokenizer: PreTrainedTokenizerFast) -> None:
    labels = encode_labels(tokenizer, VALUES)
    assert labels.shape == (3, 5)
    assert labels[0, -1] == tokenizer.eos_token_id
    assert (labels == -100).sum(dim=1).tolist() == [0, 2, 2]


def test_teacher_forced_losses_are_those_of_the_model(
    network: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast
) -> None:
    inputs, labels = encode(network, tokenizer, TEXTS), encode_labels(tokenizer, VALUES)
    losses = token_losses(network, inputs, labels, network.prepare_decoder_input_ids_from_labels(labels))
    assert losses.shape == labels.shape
    assert torch.equal(losses.isnan(), labels == -100)
    with torch.inference_mode():
        assert losses.nanmean().item() == pytest.approx(network(**inputs, labels=labels).loss.item(), rel=1e-5)


def test_own_beginnings_are_what_it_writes(
    network: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast
) -> None:
    inputs, labels = encode(network, tokenizer, TEXTS), encode_labels(tokenizer, VALUES)
    own = own_beginnings(network, inputs, labels.shape[1])
    # It knows these by heart, so what it writes is what a teacher would put before it.
    assert torch.equal(own[labels != -100], network.prepare_decoder_input_ids_from_labels(labels)[labels != -100])
    assert own_beginnings(network, inputs, 9).shape == (3, 9)
    assert own_beginnings(network, inputs, 2).shape == (3, 2)


def test_a_wrong_beginning_costs_more(network: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    inputs, labels = encode(network, tokenizer, TEXTS), encode_labels(tokenizer, VALUES)
    right = network.prepare_decoder_input_ids_from_labels(labels)
    wrong = torch.where(right == tokenizer.convert_tokens_to_ids("9"), tokenizer.convert_tokens_to_ids("1"), right)
    teacher, misled = (token_losses(network, inputs, labels, beginning) for beginning in (right, wrong))
    assert misled[:2].nanmean() > teacher[:2].nanmean()
    assert torch.allclose(misled[2], teacher[2], equal_nan=True)


def test_cross_attention_is_shares_of_what_was_read(
    network: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast
) -> None:
    inputs, labels = encode(network, tokenizer, TEXTS), encode_labels(tokenizer, VALUES)
    usual = network.encoder.config._attn_implementation
    shares = cross_attention(network, inputs, network.prepare_decoder_input_ids_from_labels(labels))
    assert shares.shape == (*labels.shape, inputs["input_ids"].shape[1])
    assert torch.allclose(shares.sum(dim=-1), torch.ones(labels.shape))
    assert shares[1:, :, -1].max() < 1e-6  # padding is not looked at
    assert network.encoder.config._attn_implementation == usual != "eager"


def test_folder_is_loaded(
    network: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, reader = load_encoder_decoder(str(tmp_path))
    assert loaded.dtype == torch.float32
    assert write_values(loaded, reader, TEXTS) == VALUES


def test_hub_id_goes_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def remember(answer: object) -> classmethod:
        return lambda location, **_: asked.append(location) or answer

    monkeypatch.setattr(AutoConfig, "from_pretrained", remember(T5Config()))
    monkeypatch.setattr(AutoModelForSeq2SeqLM, "from_pretrained", remember("a model"))
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", remember("a tokenizer"))
    assert load_encoder_decoder("google-t5/t5-small") == ("a model", "a tokenizer")
    assert asked == ["google-t5/t5-small"] * 3


def test_hub_that_cannot_be_reached_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(location: str, **_: object) -> None:
        raise OSError("We could not connect.\nMore lines.")

    monkeypatch.setattr(AutoConfig, "from_pretrained", fail)
    with pytest.raises(ModelNotFound, match=r"t5-small could not be loaded \(Hub\)\..*We could not connect\.$"):
        load_encoder_decoder("google-t5/t5-small")


def test_decoder_only_model_is_refused(tmp_path: Path) -> None:
    LlamaConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelNotFound, match="type llama, which has no encoder and decoder"):
        load_encoder_decoder(str(tmp_path))


def test_masks() -> None:
    assert full_mask(2, 3) == [[True] * 3] * 2
    assert causal_mask(3) == [[True, False, False], [True, True, False], [True, True, True]]


def test_figures_show_what_they_are_given() -> None:
    panels = mask_panels(["may", "third"], ["0", "5", "-"]).axes
    assert [panel.get_title(loc="left") for panel in panels] == [
        "encoder",
        "decoder",
        "decoder to encoder",
        "decoder-only",
    ]
    shapes = [panel.get_images()[0].get_array().shape for panel in panels]
    assert shapes == [(2, 2), (3, 3), (3, 2), (5, 5)]
    shares = attention_map([[0.25, 0.75]], ["0"], ["may", "third"]).axes[0]
    assert shares.get_images()[0].get_array().tolist() == [[0.25, 0.75]]
    lines = beginnings_over_training([1, 2], {"a": [1.0, 0.5], "b": [2.0, math.e]}).axes[0].get_lines()
    assert [list(line.get_ydata()) for line in lines] == [[1.0, 0.5], [2.0, math.e]]


def test_loss_curves_say_what_is_unseen() -> None:
    legend = loss_curves([{"step": 1, "eval_loss": 1.0}], unseen="phrasings").axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["validation, unseen phrasings"]
