"""Widgets that help decide: controls above a view in JupyterLab or Colab, the view alone where nobody can move them.

    plan_memory        does this training fit into that machine?
    browse_dataset     what is in the dataset, and what was left out and why?
    view_tokens        which tokens are read, and which are trained on?
    explore_schedule   how does the learning rate go?
    compare_answers    which questions were gained and lost, and how?
    Playground         what does the model say to my question?

Each is the last expression of a cell. All text from data is escaped.
"""

from __future__ import annotations

from utils.widgets.answers import compare_answers
from utils.widgets.dataset import browse_dataset
from utils.widgets.memory import plan_memory
from utils.widgets.playground import Playground
from utils.widgets.schedule import explore_schedule
from utils.widgets.tokens import view_tokens

__all__ = ["Playground", "browse_dataset", "compare_answers", "explore_schedule", "plan_memory", "view_tokens"]
