"""How much memory training takes, estimated before it starts."""

from __future__ import annotations

from dataclasses import dataclass

# Bytes for each parameter. Full: float32 weight, gradient and two Adam moments. LoRA keeps the base in 16 bits,
# QLoRA in 4 bits plus block scales (Dettmers et al., 2023); both add the 16 bytes only for the adapter.
BASE_BYTES = {"full": 4.0, "lora": 2.0, "qlora": 0.55}
TRAINED_BYTES = {"full": 12.0, "lora": 16.0, "qlora": 16.0}
ADAPTER_SHARE = 0.012


@dataclass(frozen=True)
class MemoryEstimate:
    """Memory of a training run in GB (10^9 bytes), by what it is for."""

    weights: float
    training_state: float
    activations: float

    @property
    def total(self) -> float:
        return self.weights + self.training_state + self.activations


def estimate_training_memory(
    parameters: float, method: str, *, layers: int, hidden_size: int, tokens: int = 1024
) -> MemoryEstimate:
    """Estimate for `method` "full", "lora" or "qlora" with `tokens` tokens in a batch.

    Activations: about 34 × hidden size × layers bytes a token in 16 bits without recomputation (Korthikanti et al.,
    2022), attention scores left out because fused kernels do not keep them.

    Raises:
        ValueError: the method is none of the three.
    """
    if method not in BASE_BYTES:
        raise ValueError(f"The method {method!r} is none of {', '.join(BASE_BYTES)}.")
    trained = parameters if method == "full" else parameters * ADAPTER_SHARE
    return MemoryEstimate(
        weights=parameters * BASE_BYTES[method] / 1e9,
        training_state=trained * TRAINED_BYTES[method] / 1e9,
        activations=34 * hidden_size * layers * tokens / 1e9,
    )
