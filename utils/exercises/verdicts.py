"""What is said of an answer."""

from __future__ import annotations

from dataclasses import dataclass

UNANSWERED, RIGHT, WRONG = "Not answered yet.", "Right.", "Not yet:"  # how the three begin


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and a sentence on it."""

    is_right: bool
    text: str

    def __str__(self) -> str:
        return f"{RIGHT if self.is_right else WRONG} {self.text}"


def right(text: str) -> Verdict:
    """The answer is right. The text says what it shows."""
    return Verdict(True, text)


def not_yet(nudge: str) -> Verdict:
    """The answer is wrong. The nudge, which begins with a small letter, leads on and does not give the answer away."""
    return Verdict(False, nudge)
