"""Child: one training run. `python -m ci.bench.train_child METHOD REQUEST`, METHOD is ours, plain or bare."""

from __future__ import annotations

import sys

from ci.bench.children import input_of, report


def main(method: str, path: str) -> None:
    """Train by one method and print what was measured."""
    if method == "ours":
        from utils.allocator import keep_freed_memory

        keep_freed_memory()  # part of the course, which does so before it imports torch
    from ci.bench.examples import read_examples
    from utils.settings import quiet_libraries

    quiet_libraries()
    request = input_of(path)
    examples = read_examples(request["examples"])
    if method == "bare":
        from ci.bench import bare_loop

        report(**bare_loop.train(request, examples))
    else:
        from ci.bench import trl_trainers

        report(**trl_trainers.train(method, request, examples))


if __name__ == "__main__":
    main(*sys.argv[1:])
