"""What a training step costs, predicted from counts of weights and tokens: arithmetic and memory.

`training_flops` and `training_memory` take a model as it is set up, `planned_memory` one that nobody has loaded yet.

A weight in a matrix product costs two operations for each token, a multiplication and an addition, and a training step
has up to three such products: forward, the gradient that goes on to earlier layers, and the weight's own gradient.
Trained in full that makes 6·N operations a token (Kaplan et al., 2020, "Scaling Laws for Neural Language Models",
section 2.1), with N the weights without the table of word vectors, which is looked up and not multiplied. Attention
between tokens is left out: it adds tokens / (6 × hidden size) or so, a twentieth for the course's examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

FLOAT_BYTES, HALF_BYTES = 4, 2
ADAM_BYTES = 2 * FLOAT_BYTES  # the two moments of AdamW
LOGIT_BYTES = 4 * FLOAT_BYTES  # for each word of the vocabulary: score, log-probability, and the gradients of both

METHODS = ("full", "lora", "qlora")
# NormalFloat of 4 bits with double quantization: 0.127 bits of scales for each weight (Dettmers et al., 2023, "QLoRA:
# Efficient Finetuning of Quantized LLMs", section 3).
NF4_BYTES = (4 + 0.127) / 8
SCORED_SHARE = 0.25  # of the tokens of an example, so many are the answer, about what the course's examples have
TILE_TOKENS, TILE_WORDS = 4096, 32_768  # on a GPU, TRL scores the vocabulary in tiles of at most this size


@dataclass(frozen=True)
class Weights:
    """How many weights multiply each token (`used`), pass the gradient on to earlier ones, and are trained."""

    used: float
    passed: float
    trained: float


def full(parameters: float) -> Weights:
    """All weights trained: 6·N operations a token."""
    return Weights(parameters, parameters, parameters)


def training_flops(weights: Weights, tokens: float) -> float:
    """Floating-point operations of training on so many tokens, padding counted: it is computed like the rest."""
    return 2 * (weights.used + weights.passed + weights.trained) * tokens


def weights_of(model: torch.nn.Module, head: torch.nn.Module | None = None) -> tuple[Weights, Weights]:
    """The weights in matrix products of a model as it is set up (`requires_grad`): those of its body, and of its head.

    The head, which scores the vocabulary, is counted apart because it need not see all tokens. By default it is
    `model.get_output_embeddings()`. Modules are taken in the order in which the model lists them.
    """
    import torch

    head = head or model.get_output_embeddings()
    counts = {True: [0, 0, 0], False: [0, 0, 0]}
    something_below_is_trained = False
    for module in model.modules():
        own = dict(module.named_parameters(recurse=False))
        weight = own.get("weight")  # an adapter's wrapper has an attribute `weight` too, which is another module's
        if weight is not None and weight.dim() == 2 and not isinstance(module, torch.nn.Embedding):
            count = counts[module is head]
            count[0] += weight.numel()
            count[1] += weight.numel() * something_below_is_trained
            count[2] += weight.numel() * weight.requires_grad
        something_below_is_trained |= any(parameter.requires_grad for parameter in own.values())
    return Weights(*counts[False]), Weights(*counts[True])


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder with gated feed-forward blocks; `query_size` and `key_size` are heads × width.

    `tied` if the table of word vectors is also the head that scores the vocabulary.
    """

    layers: int
    hidden_size: int
    query_size: int
    key_size: int
    intermediate_size: int
    vocabulary: int
    tied: bool = True

    @classmethod
    def of(cls, config: Any) -> Shape:
        """Of a model's configuration, as transformers keeps it."""
        config = config.get_text_config()
        heads = config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        return cls(
            layers=config.num_hidden_layers,
            hidden_size=config.hidden_size,
            query_size=heads * width,
            key_size=(getattr(config, "num_key_value_heads", None) or heads) * width,
            intermediate_size=config.intermediate_size,
            vocabulary=config.vocab_size,
            tied=getattr(config, "tie_word_embeddings", False),
        )

    @property
    def linear(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the matrices of one layer: query, key, value, output; gate, up, down."""
        attention = [self.query_size, self.key_size, self.key_size]
        feed_forward = [self.intermediate_size, self.intermediate_size]
        inward = [(self.hidden_size, width) for width in attention + feed_forward]
        return [*inward, (self.query_size, self.hidden_size), (self.intermediate_size, self.hidden_size)]

    @property
    def linear_weights(self) -> int:
        """Weights in the matrices of all layers, without the word vectors and the head."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linear)

    @property
    def parameters(self) -> int:
        """All weights: matrices, norms (two in each layer and one at the end), word vectors and head."""
        words = self.vocabulary * self.hidden_size * (1 if self.tied else 2)
        return self.linear_weights + (2 * self.layers + 1) * self.hidden_size + words

    def adapter_weights(self, rank: int) -> int:
        """Weights of a LoRA adapter on all matrices of the layers: rank × (inputs + outputs) each (Hu et al., 2021)."""
        return self.layers * sum(rank * (inputs + outputs) for inputs, outputs in self.linear)


@dataclass(frozen=True)
class Memory:
    """Memory of a training step in GB (10^9 bytes), by what it is for."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    logits: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits


def training_memory(
    parameters: float, trained: float, shape: Shape, *, tokens: float, head_tokens: float, mixed: bool = True
) -> Memory:
    """Estimate for AdamW on float32 weights, of which `trained` have gradients.

    `tokens` are computed together, `head_tokens` of them scored. With `mixed` precision the products use a 16-bit copy
    of the weights and activations of 16 bits. What Python and its libraries take comes on top,
    and the gaps that an allocator leaves between its pieces.
    """
    copies = HALF_BYTES if mixed else 0
    return _memory(
        parameters * (FLOAT_BYTES + copies),
        trained,
        tokens * activation_bytes(shape, mixed=mixed),
        head_tokens * shape.vocabulary * LOGIT_BYTES,
    )


def planned_memory(
    shape: Shape, method: str, *, tokens: float, recomputed: bool = False, rank: int = 16, on_gpu: bool = False
) -> Memory:
    """Estimate for a model of this shape and mixed precision, with `tokens` tokens in a batch, padding counted.

    "full" keeps all weights in 32 bits with a 16-bit copy; "lora" freezes them in 16 bits beside an adapter in 32;
    "qlora" freezes the matrices of the layers in 4 bits, word vectors and head in 16. `recomputed` is activation
    checkpointing. On a GPU, TRL's trainer scores the vocabulary tile by tile; on a CPU, the course's scores all
    trained tokens at once.

    Raises:
        ValueError: the method is none of the three.
    """
    if method not in METHODS:
        raise ValueError(f"The method {method!r} is none of {', '.join(METHODS)}.")
    trained = shape.parameters if method == "full" else shape.adapter_weights(rank)
    others = shape.parameters - shape.linear_weights
    frozen = {
        "full": 0,
        "lora": shape.parameters * HALF_BYTES,
        "qlora": shape.linear_weights * NF4_BYTES + others * HALF_BYTES,
    }
    scored = SCORED_SHARE * tokens
    if on_gpu:
        logits = min(scored, TILE_TOKENS) * min(shape.vocabulary, TILE_WORDS) * HALF_BYTES
    else:
        logits = scored * shape.vocabulary * LOGIT_BYTES
    return _memory(
        frozen[method] + trained * (FLOAT_BYTES + HALF_BYTES),
        trained,
        tokens * activation_bytes(shape, recomputed=recomputed),
        logits,
    )


def _memory(weights: float, trained: float, activations: float, logits: float) -> Memory:
    """From bytes, and from the number of weights that AdamW trains, which adds a gradient and two moments for each."""
    return Memory(
        weights=weights / 1e9,
        gradients=trained * FLOAT_BYTES / 1e9,
        optimizer=trained * ADAM_BYTES / 1e9,
        activations=activations / 1e9,
        logits=logits / 1e9,
    )


def activation_bytes(shape: Shape, *, mixed: bool = True, recomputed: bool = False) -> float:
    """Bytes that a forward pass keeps of each token for the backward pass.

    The count of Korthikanti et al. (2022, "Reducing Activation Recomputation in Large Transformer Models", section 4),
    made for a layer of today's models: root-mean-square norms, no dropout, no stored attention scores, a gated
    feed-forward block. The two norms keep their inputs as they are and normalised, in 32 bits always; kept for the
    products are the inputs of the two blocks (autocast makes a copy of 16 bits for each of the five products that read
    them), query, key, value and what attention makes of them, and in the feed-forward block gate, its activation, up
    projection and the product of the two.

    With `recomputed`, each layer keeps only its input, in 32 bits, and one layer at a time is computed again (Chen et
    al., 2016, "Training Deep Nets with Sublinear Memory Cost").
    """
    norms = 4 * shape.hidden_size * FLOAT_BYTES
    inputs = (5 if mixed else 2) * shape.hidden_size
    attention = 2 * shape.query_size + 2 * shape.key_size
    feed_forward = 4 * shape.intermediate_size
    layer = norms + (inputs + attention + feed_forward) * (HALF_BYTES if mixed else FLOAT_BYTES)
    return shape.layers * shape.hidden_size * FLOAT_BYTES + layer if recomputed else shape.layers * layer
