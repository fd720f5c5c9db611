"""Print the faults of the notebooks: `python -m ci.gates` of all, `python -m ci.gates 03` of one."""

from __future__ import annotations

import sys

from ci.contents import read_contents
from ci.gates.everything import faults_of_course, faults_of_page
from ci.parameters import read_notebooks
from ci.plan import find
from ci.project import Project
from utils.errors import CourseError
from utils.settings import ROOT


def main(arguments: list[str]) -> int:
    """Check all notebooks, or the one that is named; returns 1 if there is a fault."""
    project = Project(ROOT)
    notebooks = read_notebooks(project.notebooks)
    selected = [find(name, notebooks) for name in arguments] or notebooks
    faults = []
    for page in (read_contents(notebook.path) for notebook in selected):
        faults += [f"{page.path.name}: {fault}" for fault in faults_of_page(page)]
    if not arguments:
        faults += faults_of_course(project, [read_contents(notebook.path) for notebook in notebooks])
    print("\n".join(faults) or "No faults.")
    return 1 if faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CourseError as error:
        sys.exit(str(error))
