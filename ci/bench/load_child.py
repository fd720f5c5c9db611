"""Child: one thing loaded in a fresh interpreter. `python -m ci.bench.load_child KIND [NAME]`."""

from __future__ import annotations

import sys
from importlib import import_module
from itertools import pairwise
from time import perf_counter


def report(**measured: object) -> None:
    """Print what was measured. Imported late: it brings modules of `utils`, whose imports are timed here."""
    from ci.bench.children import report

    report(**measured)


def load_model(name: str) -> None:
    """Load a model and its tokenizer twice, apart from the libraries that this takes.

    transformers imports the model's own modules the first time, which takes longer than to read the weights.
    """
    start = perf_counter()
    import torch  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

    from utils import models

    times = [start, perf_counter()]
    for _ in range(2):
        models.load_model(name)
        models.load_tokenizer(name)
        times.append(perf_counter())
    libraries, first, again = (end - begin for begin, end in pairwise(times))
    report(libraries=libraries, first=first, seconds=again)


def load_data() -> None:
    """Build or find the course's databases, then read and check all questions."""
    from utils.data import load_databases, load_questions
    from utils.settings import DATA

    start = perf_counter()
    questions, _ = load_questions(DATA / "questions", load_databases(DATA / "databases"))
    report(seconds=perf_counter() - start, questions=len(questions))


def import_one(name: str) -> None:
    """Import a module of `utils`; `brings_torch` says whether that imports torch."""
    start = perf_counter()
    import_module(f"utils.{name}")
    report(seconds=perf_counter() - start, brings_torch="torch" in sys.modules)


def import_without_torch(name: str) -> None:
    """The same where torch cannot be imported; `fault` says why that does not work."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # what Python takes for "cannot be imported"
    fault = None
    start = perf_counter()
    try:
        import_module(f"utils.{name}")
    except (ImportError, RuntimeError) as error:  # the latter is what TRL makes of the former
        fault = str(error)
    report(seconds=perf_counter() - start, fault=fault)


KINDS = {
    "model": load_model,
    "data": load_data,
    "import": import_one,
    "import_without_torch": import_without_torch,
}

if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
