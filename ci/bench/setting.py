"""What a comparison is asked to do, and what is noted with every result: the machine, the time, the load."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ci.parameters import notebook_parameters
from ci.processor import machine
from ci.project import Project

BUSY = 0.5


@dataclass(frozen=True)
class Setting:
    """The options of the command; None where each part has a default of its own."""

    project: Project
    run_name: str = "course"
    steps: int | None = None
    rounds: int | None = None
    questions: int | None = None
    from_log: bool = False

    @property
    def folder(self) -> Path:
        """Where results go."""
        return self.project.runs / "bench"

    def defaults(self, number: str) -> dict[str, object]:
        """The values in the parameters cell of a notebook, such as "03", by name."""
        path = next(self.project.notebooks.glob(f"{number}_*.ipynb"))
        return {name: parameter.default for name, parameter in notebook_parameters(path).items()}


def circumstances() -> dict[str, object]:
    """What a figure in seconds means nothing without."""
    return {
        "machine": machine(),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "load_average": load_average(),
    }


def load_average() -> float:
    """Processes that wanted to run in the last minute, on average; 0 where the system does not tell (Windows)."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0


def warn_if_busy() -> None:
    """Say that another job disturbs the measurements, if one is running."""
    load = load_average()
    if load > BUSY:
        print(
            f"The load average is {load}: something else is running here. Two jobs on two cores do not run at half "
            "speed each but far slower, so stop it and measure again before you believe a figure.",
            flush=True,
        )
