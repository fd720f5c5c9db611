"""One trial: its notebooks through papermill, in a process of their own that can be stopped. Started by a worker.

python -m ci.sweep.trial runs/STUDY-trial-0007/trial.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ci.errors import exit_when_terminated
from ci.parameters import read_notebook
from ci.plan import Step
from ci.project import Project
from ci.runner import run_steps
from utils.stages import write_text

PLAN, FAILURE = "trial.json", "failure.txt"


def write_plan(project: Project, run_name: str, steps: list[Step], about: dict[str, object]) -> Path:
    """Write what a trial is to run; `about` is for the reader."""
    notebooks = {step.notebook.path.name: step.values for step in steps}
    path = project.runs / run_name / PLAN
    plan = about | {"root": str(project.root), "run": run_name, "notebooks": notebooks}
    write_text(path, json.dumps(plan, indent=2, ensure_ascii=False) + "\n")
    return path


def main(arguments: list[str]) -> int:
    """Run the notebooks of a plan; returns 1, and writes why, if one fails."""
    exit_when_terminated()  # which lets papermill end its kernel
    path = Path(arguments[0])
    plan = json.loads(path.read_text(encoding="utf-8"))
    project = Project(Path(plan["root"]))
    steps = [Step(read_notebook(project.notebooks / name), values) for name, values in plan["notebooks"].items()]
    outcome = run_steps(project, plan["run"], steps, forced=True)
    for failure in outcome.failures:
        print(failure)
        write_text(path.with_name(FAILURE), f"notebook {failure.number}: {failure.lines[-1]}\n")
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
