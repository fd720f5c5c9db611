"""Encoders: find one that can classify, one vector for a text, and how long an answer takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from utils.errors import CourseError
from utils.models import FoundModel, find_model

if TYPE_CHECKING:
    import numpy
    import torch
    from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

LONGEST_TEXT = 256  # tokens of a text that becomes a vector


class NoEncoder(CourseError):
    """The model cannot classify, or could not be read; the message says which, and what to do."""


def find_encoder(name: str) -> FoundModel:
    """Where an encoder is, after a look at its configuration.

    Raises:
        ModelNotFound: there is no model of this name.
        NoEncoder: its configuration could not be read, or it is a model that writes text.
    """
    from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoConfig

    found = find_model(name)
    try:
        config = AutoConfig.from_pretrained(found.location)
    except (OSError, ValueError) as error:
        raise NoEncoder(
            f"{name} could not be read ({found.source}). Check the spelling and, for a model of the Hub, the network. "
            f"The cause: {str(error).splitlines()[0]}"
        ) from error
    # Encoders are trained to fill in masked words. T5 and BART can be asked to as well, but are built for writing.
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING or config.is_encoder_decoder:
        raise NoEncoder(
            f"{name} is of the type {config.model_type}, not an encoder. Choose minilm-l6, or one of the Hub such as "
            "google-bert/bert-base-uncased or answerdotai/ModernBERT-base."
        )
    return found


def sentence_vectors(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], batch_size: int = 32
) -> numpy.ndarray:
    """A vector for each text, shape (texts, hidden size), of length 1: the mean over the vectors of its tokens.

    The mean is what all-MiniLM was trained with (Reimers and Gurevych, "Sentence-BERT", 2019).
    """
    return _read(model, tokenizer, [texts], lambda batch: mean_vectors(model, batch), LONGEST_TEXT, batch_size)


def mean_vectors(model: PreTrainedModel, batch: BatchEncoding) -> torch.Tensor:
    """The mean over the vectors of a text's tokens, padding left out, at length 1: shape (texts, hidden size)."""
    from torch.nn.functional import normalize

    mask = batch["attention_mask"].unsqueeze(-1)
    states = model(**batch).last_hidden_state.float()
    return normalize((states * mask).sum(dim=1) / mask.sum(dim=1), dim=-1)


def class_logits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *parts: Sequence[str],
    max_length: int = LONGEST_TEXT,
    batch_size: int = 64,
) -> numpy.ndarray:
    """The scores of a classifier, shape (texts, classes), for texts or, with two `parts`, for pairs of texts."""
    return _read(model, tokenizer, parts, lambda batch: model(**batch).logits.float(), max_length, batch_size)


def seconds_each(work: Callable[[object], object], items: Sequence[object]) -> float:
    """Median seconds that `work` takes for one item; done once before, unmeasured, since the first time is slower."""
    work(items[0])
    times = []
    for item in items:
        start = time.perf_counter()
        work(item)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _read(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    parts: Sequence[Sequence[str]],
    act: Callable[[BatchEncoding], torch.Tensor],
    max_length: int,
    batch_size: int,
) -> numpy.ndarray:
    """What `act` gives for each text, in their order. Texts of similar length are read together: less padding."""
    import numpy
    import torch

    model.eval()
    order = sorted(range(len(parts[0])), key=lambda place: sum(len(part[place]) for part in parts))
    found = []
    for start in range(0, len(order), batch_size):
        chosen = [[part[place] for place in order[start : start + batch_size]] for part in parts]
        batch = tokenizer(*chosen, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
        with torch.inference_mode():
            found.append(act(batch.to(model.device)).cpu().numpy())
    return numpy.concatenate(found)[numpy.argsort(order)]
