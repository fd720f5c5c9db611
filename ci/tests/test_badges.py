"""The repository's name is the same in `ci/repository.txt`, in all badges and in all clone commands."""

from __future__ import annotations

import pytest

from ci.badges import FILE, found, pages, rename, repository
from ci.errors import UsageError
from ci.project import Project
from ci.tests.conftest import ROOT, WriteNotebook

SETUP = 'url = os.environ.get("COURSE_REPO_URL", "https://github.com/an-owner/a.course")'
LINKS = [
    "https://colab.research.google.com/github/an-owner/a.course/blob/main/notebooks/00_x.ipynb",
    "https://kaggle.com/kernels/welcome?src=https://github.com/an-owner/a.course/blob/main/notebooks/00_x.ipynb",
    "https://mybinder.org/v2/gh/an-owner/a.course/main?labpath=notebooks/00_x.ipynb",
    "git clone https://github.com/an-owner/a.course.git",
    "git clone https://github.com/an-owner/a.course",
    "See https://github.com/an-owner/a.course/issues.",
]
OTHER = "https://github.com/huggingface/trl/blob/main/README.md"


def test_badges_of_the_course_agree() -> None:
    project = Project(ROOT)
    for page in pages(project):
        slugs = list(found(page))
        assert len(slugs) >= 3, f"{page.name} has no badges"
        assert set(slugs) == {repository(project)}, page.name


def test_renaming_changes_every_link_and_nothing_else(project: Project, write_notebook: WriteNotebook) -> None:
    notebook = write_notebook("00_x", SETUP, "\n".join(LINKS), OTHER)
    readme = project.root / "README.md"
    readme.write_text("\n".join([*LINKS, OTHER]), encoding="utf-8")
    (project.root / FILE).write_text("an-owner/a.course\n", encoding="utf-8")
    before = notebook.read_text(encoding="utf-8")
    assert rename(project, "someone/else-here") == ["README.md", "notebooks/00_x.ipynb", FILE]
    assert "an-owner" not in readme.read_text(encoding="utf-8")
    assert OTHER in readme.read_text(encoding="utf-8")
    assert repository(project) == "someone/else-here"
    assert set(found(readme)) == set(found(notebook)) == {"someone/else-here"}
    assert rename(project, "someone/else-here") == []
    rename(project, "an-owner/a.course")
    assert notebook.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("slug", ["", "name", "a/b/c", "https://github.com/a/b", "a b/c", "a/b."])
def test_what_is_no_repository_is_refused(project: Project, slug: str) -> None:
    (project.root / FILE).write_text("an-owner/a.course\n", encoding="utf-8")
    with pytest.raises(UsageError):
        rename(project, slug)
