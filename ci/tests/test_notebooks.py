"""The notebooks of the course pass every gate. `python -m ci.gates` prints all faults at once."""

from __future__ import annotations

import pytest

from ci.contents import Contents, read_contents
from ci.gates.everything import OF_A_PAGE, OF_ITS_OUTPUTS, OF_THE_COURSE
from ci.project import Project
from ci.tests.conftest import ROOT

PROJECT = Project(ROOT)
PAGES = [read_contents(path) for path in sorted(PROJECT.notebooks.glob("[0-9][0-9]_*.ipynb"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=[page.path.stem for page in PAGES])


@pytest.mark.parametrize("gate", OF_A_PAGE)
@each_page
def test_page(page: Contents, gate: str) -> None:
    no_faults(OF_A_PAGE[gate](page))


@pytest.mark.parametrize("gate", OF_ITS_OUTPUTS)
@each_page
def test_outputs(page: Contents, gate: str) -> None:
    no_faults(OF_ITS_OUTPUTS[gate](page))


@pytest.mark.parametrize("gate", OF_THE_COURSE)
def test_course(gate: str) -> None:
    no_faults(OF_THE_COURSE[gate](PROJECT, PAGES))


def no_faults(faults: list[str]) -> None:
    """Fail with all of them, a line each."""
    assert not faults, "\n" + "\n".join(faults)
