"""Is a person looking? Where a notebook is run by a program, a plain output takes the place of what can be moved."""

from __future__ import annotations

import sys


def is_interactive() -> bool:
    """True if the running cell was sent by JupyterLab, Colab or another front-end with a person before it.

    A request to run a cell says whether somebody can answer an `input()`: front-ends say yes; papermill, nbconvert and
    all else that is built on nbclient say no. Colab answers in a way of its own, so there its own package tells.
    """
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    request = getattr(get_ipython(), "get_parent", dict)()
    return bool(request.get("content", {}).get("allow_stdin")) or "google.colab" in sys.modules
