"""The exercises of the notebooks: a check tells at once whether an answer is right; quizzes end each part.

    check("05.2", answer, questions=420)   prints a verdict on an answer to exercise 2 of notebook 05
    quiz("train")                          the last expression of a cell: questions with feedback for each choice

The checks of notebook NN are in `notebook_NN.py`, the questions of a quiz in `quizzes/NAME.yaml`.
"""

from __future__ import annotations

from utils.exercises.checks import check
from utils.exercises.multiple_choice import quiz

__all__ = ["check", "quiz"]
