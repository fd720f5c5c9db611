"""All gates together, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ci import badges
from ci.contents import Contents
from ci.gates import code, copies, executed, exercises, glossary, pins, spelling, structure, titles
from ci.project import Project

OF_A_PAGE: dict[str, Callable[[Contents], list[str]]] = {
    "opening": structure.opening,
    "ending": structure.ending,
    "exercises": exercises.form,
    "solutions": exercises.solutions,
    "links": structure.links,
    "paths": structure.paths,
    "parses": code.parses,
    "lengths": code.lengths,
    "names": code.names,
    "keywords": code.keywords,
    "titles": titles.titles,
}
OF_ITS_OUTPUTS: dict[str, Callable[[Contents], list[str]]] = {
    "counts": executed.counts,
    "errors": executed.errors,
    "code is executed": executed.code_is_executed,
    "clean": executed.clean,
    "size": executed.size,
    "results of solutions": exercises.results,
}
OF_THE_COURSE: dict[str, Callable[[Project, Sequence[Contents]], list[str]]] = {
    "badges": lambda project, pages: [
        f"{page.path.name}: {fault}" for page in pages for fault in structure.badges(page, badges.repository(project))
    ],
    "navigation": lambda _, pages: structure.navigation(pages),
    "same setup": lambda _, pages: structure.same_setup(pages),
    "listed": lambda project, pages: structure.listed(pages, project.root / "README.md"),
    "copies": lambda _, pages: copies.copies(pages),
    "pins": lambda project, _: pins.other_versions(project),
    "spelling": spelling.misspelt,
    "glossary": glossary.unlinked,
}


def faults_of_page(page: Contents) -> list[str]:
    """The faults of one notebook. Code that does not parse is told as such, and not looked at further."""
    gates = dict(OF_A_PAGE)
    if broken := gates.pop("parses")(page):
        return broken
    return [fault for gate in (gates | OF_ITS_OUTPUTS).values() for fault in gate(page)]


def faults_of_course(project: Project, pages: Sequence[Contents]) -> list[str]:
    """The faults that show only when notebooks, pages and lists are seen together."""
    return [fault for gate in OF_THE_COURSE.values() for fault in gate(project, pages)]
