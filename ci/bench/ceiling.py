"""Child: how fast this machine multiplies matrices, in the number formats that training uses.

The ceiling is the product of two matrices of 2048 × 2048, which is as good as it gets; the other shapes are those of
the model, 512 tokens times the weights of a layer and of the head.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from ci.bench.children import input_of, report

CUBE = "2048×2048×2048"
TOKENS = 512
SECONDS = 0.5
FORMATS = ("bfloat16", "float32")


def shapes_of(config: dict[str, Any]) -> list[str]:
    """The products to time, as rows×inner×columns, for a model's `config.json`."""
    hidden = config["hidden_size"]
    widths = (hidden, config["intermediate_size"], config["vocab_size"])
    return [CUBE, *(f"{TOKENS}×{hidden}×{width}" for width in widths)]


def product_rate(dtype: str, shape: str, seconds: float = SECONDS) -> float:
    """Operations a second of products of this shape: two for each multiplication and addition, at the median time."""
    import torch

    rows, inner, columns = map(int, shape.split("×"))
    left = torch.randn(rows, inner).to(getattr(torch, dtype))
    right = torch.randn(columns, inner).to(left.dtype)
    torch.nn.functional.linear(left, right)  # the first one of a shape also makes its kernel
    times: list[float] = []
    while sum(times) < seconds:
        start = perf_counter()
        torch.nn.functional.linear(left, right)
        times.append(perf_counter() - start)
    return 2 * rows * inner * columns / median(times)


def main(folder: str) -> None:
    """Measure and print the rates by number format and shape."""
    shapes = shapes_of(input_of(str(Path(folder) / "config.json")))
    report(**{dtype: {shape: product_rate(dtype, shape) for shape in shapes} for dtype in FORMATS})


if __name__ == "__main__":
    main(*sys.argv[1:])
