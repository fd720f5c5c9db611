"""Encoder-decoders: find one, let it write, and measure its loss after the right beginning and after its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from utils.models import ModelNotFound, find_model
from utils.prompts import IGNORED

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LONGEST_VALUE = 16  # tokens


def load_encoder_decoder(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A pretrained encoder-decoder such as google-t5/t5-small, in float32, and its tokenizer.

    Raises:
        ModelNotFound: there is none of this name, it could not be fetched, or it is of another family.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    found = find_model(name)
    try:
        config = AutoConfig.from_pretrained(found.location)
        if not config.is_encoder_decoder:
            raise ModelNotFound(
                f"{name} is of the type {config.model_type}, which has no encoder and decoder. Choose one that has, "
                "such as google-t5/t5-small or google/flan-t5-small, or leave `encoder_decoder` at “scratch”."
            )
        network = AutoModelForSeq2SeqLM.from_pretrained(found.location, dtype=torch.float32)
        return network, AutoTokenizer.from_pretrained(found.location)
    except (OSError, ValueError) as error:
        raise ModelNotFound(
            f"{name} could not be loaded ({found.source}). Check the spelling and, for a model of the Hub, the "
            f"network; “scratch” needs none. The cause: {str(error).splitlines()[0]}"
        ) from error


def write_values(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    beams: int = 1,
    batch_size: int = 100,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """What an encoder-decoder writes for each text: greedy, or with beam search over `beams` beginnings."""
    import torch

    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    answers = [""] * len(texts)
    was_training = model.training
    model.eval()
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        batch = encode(model, tokenizer, [texts[place] for place in places])
        with torch.inference_mode():
            written = model.generate(**batch, num_beams=beams, do_sample=False, max_new_tokens=LONGEST_VALUE)
        for place, answer in zip(places, tokenizer.batch_decode(written, skip_special_tokens=True), strict=True):
            answers[place] = answer.strip()
        if on_progress:
            on_progress(start + len(places), len(texts))
    model.train(was_training)
    return answers


def encode(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask` for the encoder, each of shape (texts, longest), on the model's device."""
    batch = tokenizer(list(texts), padding=True, return_tensors="pt").to(model.device)
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


def encode_labels(tokenizer: PreTrainedTokenizerBase, values: Sequence[str]) -> torch.Tensor:
    """What is to be written, shape (values, longest), -100 where a shorter one has ended."""
    batch = tokenizer(text_target=list(values), padding=True, return_tensors="pt")
    labels = batch["input_ids"]
    return labels.masked_fill(batch["attention_mask"] == 0, IGNORED)


def own_beginnings(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], length: int) -> torch.Tensor:
    """Decoder inputs, shape (texts, length): the start token, then what the model itself writes, greedily."""
    import torch

    with torch.inference_mode():
        written = model.generate(**inputs, max_new_tokens=length, num_beams=1, do_sample=False)[:, :length]
    missing = length - written.shape[1]
    return torch.nn.functional.pad(written, (0, missing), value=model.config.pad_token_id)


def token_losses(
    model: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    labels: torch.Tensor,
    beginnings: torch.Tensor,
) -> torch.Tensor:
    """Loss of each token to be written, in nats, after the `beginnings`, whatever they are; nan where nothing is.

    `labels` and `beginnings` have the shape (texts, length), as has what is returned.
    """
    import torch

    with torch.inference_mode():
        logits = model(**inputs, decoder_input_ids=beginnings).logits
    losses = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2).float(), labels, reduction="none", ignore_index=IGNORED
    )
    return losses.masked_fill(labels == IGNORED, float("nan"))


def cross_attention(
    model: PreTrainedModel, inputs: Mapping[str, torch.Tensor], beginnings: torch.Tensor
) -> torch.Tensor:
    """Where the decoder looks for each token: shares, shape (texts, length written, length read), each row with sum 1.

    The mean over layers and heads, from the plain attention; the faster kernels do not keep the shares.
    """
    import torch

    usual = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            layers = model(**inputs, decoder_input_ids=beginnings, output_attentions=True).cross_attentions
    finally:
        model.set_attn_implementation(usual)
    return torch.stack(layers).mean(dim=(0, 2))
