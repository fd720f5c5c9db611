"""The results page of a run: `runs/NAME/index.html`, one file, and the executed notebooks that it links to."""

from __future__ import annotations

import base64
import html
import json
import re
from datetime import datetime
from pathlib import Path

from ci.display import clock
from ci.parameters import Notebook
from ci.project import Project
from ci.record import Record
from ci.results import percent, points, read_summary, sentence
from utils.figure_titles import capitalised
from utils.stages import write_text

STAGES = ("dataset", "model", "evaluation", "export")
TEMPLATE = Path(__file__).with_name("results_page.html")


def write_page(project: Project, run_name: str, notebooks: list[Notebook]) -> Path:
    """Write the page, and the executed notebooks as HTML. Parts that the run lacks are left out, with a sentence."""
    run = project.runs / run_name
    record = Record.of(run)
    summary = read_summary(run)
    parts = {
        "run_name": html.escape(run_name),
        "date": datetime.now().strftime("%d %B %Y, %H:%M").lstrip("0"),
        "headline": headline(summary),
        "warning": warning(record),
        "scores": scores(summary),
        "plots": plots(run),
        "notebooks": notebook_list(run, record, notebooks),
        "next_steps": next_steps(project, run),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], text)
    write_text(run / "index.html", page)
    return run / "index.html"


def headline(summary: dict | None) -> str:
    """The main result in a sentence, said only as firmly as its interval allows."""
    if not summary:
        return "This run has no scores yet. Notebook 05 makes them."
    row = summary["rows"][0]
    base, tuned, gain = row["base"], row["tuned"], row.get("gain")
    name, questions = html.escape(capitalised(row["metric"])), f"on {summary['questions']} test questions"
    values = f"from {100 * base['value']:.1f}% to <strong>{100 * tuned['value']:.1f}%</strong>"
    if gain and gain["low"] > 0:
        return f"{name} rose {values} {questions}."
    if gain and gain["high"] < 0:
        return f"{name} fell {values} {questions}."
    return f"{name} went {values} {questions}: no difference that these questions can prove."


def warning(record: Record) -> str:
    """For a smoke run: that its figures mean nothing."""
    profiles = {entry["parameters"].get("profile") for entry in record.done.values() if entry.get("parameters")}
    if "smoke" not in profiles:
        return ""
    return (
        '<p class="warning">A smoke run: it proves that everything works. Its figures say nothing about the model.</p>'
    )


def scores(summary: dict | None) -> str:
    """The table of scores, with the intervals drawn."""
    if not summary:
        return "<p>There is nothing to compare yet: run notebook 05.</p>"
    rows = [score_row(capitalised(row["metric"]), row) for row in summary["rows"]]
    levels = [score_row(capitalised(level), scored) for level, scored in (summary.get("by_difficulty") or {}).items()]
    if levels:
        rows.append('<tr class="group"><th scope="colgroup" colspan="5">Execution accuracy by difficulty</th></tr>')
    columns = "".join(f'<th scope="col">{name}</th>' for name in ("", "Base", "Tuned", "Gain, points", "0 to 100%"))
    caption = html.escape(sentence(summary))
    return (
        f'<div class="wide"><table class="scores"><thead><tr>{columns}</tr></thead>'
        f"<tbody>{''.join(rows + levels)}</tbody></table></div>"
        f'<p class="caption">{caption}. <span class="nowrap"><i class="key base"></i> base</span> '
        '<span class="nowrap"><i class="key tuned"></i> tuned;</span> the bars are the intervals.</p>'
    )


def score_row(name: str, row: dict) -> str:
    """One line of the table. A level at which one of the models has no score gets a dash."""
    base, tuned, gain = row.get("base"), row.get("tuned"), row.get("gain")
    texts = [percent(base) if base else "–", percent(tuned) if tuned else "–", points(gain) if gain else ""]
    drawn = "".join(interval(score, kind) for score, kind in ((base, "base"), (tuned, "tuned")) if score)
    cells = "".join(f"<td>{_value_and_interval(text)}</td>" for text in texts)
    return f'<tr><th scope="row">{html.escape(name)}</th>{cells}<td class="drawn"><div>{drawn}</div></td></tr>'


def interval(score: dict, kind: str) -> str:
    """A dot for the value and a bar for the interval, placed in percent of the cell's width."""
    low, value, high = (max(0.0, min(100.0, 100 * score[name])) for name in ("low", "value", "high"))
    bar = f'<i class="bar {kind}" style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
    return f'{bar}<i class="dot {kind}" style="left:{value:.1f}%"></i>'


def plots(run: Path) -> str:
    """All figures of the run, each inlined, with its file name in words below it."""
    found = [path for stage in STAGES for path in _images(run / stage)]
    found += [path for folder in sorted(run.glob("*/")) if folder.name not in STAGES for path in _images(folder)]
    found += sorted(run.glob("[!.]*.png"))
    if not found:
        return "<p>This run has drawn no plots.</p>"
    return f'<div class="plots">{"".join(figure(path, run) for path in found)}</div>'


def figure(path: Path, run: Path) -> str:
    """A picture inside the page."""
    caption = html.escape(capitalised(path.stem.replace("_", " ").replace("-", " ").strip()))
    stage = path.relative_to(run).parts[0] if path.parent != run else ""
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}{f' <span>{html.escape(stage)}</span>' if stage else ''}</figcaption></figure>"
    )


def notebook_list(run: Path, record: Record, notebooks: list[Notebook]) -> str:
    """The notebooks of the run with their times, linked to what they looked like at the end."""
    executed = [notebook for notebook in notebooks if (run / "notebooks" / notebook.path.name).is_file()]
    if not executed:
        return "<p>This run has executed no notebooks yet.</p>"
    seconds = {notebook.name: float(record.done.get(notebook.name, {}).get("seconds", 0)) for notebook in executed}
    longest = max(seconds.values()) or 1
    rows = []
    for notebook in executed:
        page = render_notebook(run / "notebooks" / notebook.path.name, notebook.title)
        time = clock(seconds[notebook.name]) if seconds[notebook.name] else ""
        share = 100 * seconds[notebook.name] / longest
        rows.append(
            f'<tr><th scope="row">{notebook.number}</th><td><a href="notebooks/{page.name}">'
            f"{html.escape(notebook.title)}</a></td><td>{time}</td>"
            f'<td class="drawn"><div><i class="time" style="width:{share:.1f}%"></i></div></td></tr>'
        )
    total = f'<tr class="total"><th></th><td>In all</td><td>{clock(sum(seconds.values()))}</td><td></td></tr>'
    missing = [item for item in notebooks if item.number <= "07" and item not in executed]
    note = f"<p>Not part of this run: {', '.join(item.number for item in missing)}.</p>" if missing else ""
    return f'<div class="wide"><table class="notebooks"><tbody>{"".join(rows)}{total}</tbody></table></div>{note}'


def render_notebook(path: Path, title: str) -> Path:
    """An executed notebook as a page of its own, rendered again only if the notebook is newer."""
    target = path.with_suffix(".html")
    if target.is_file() and target.stat().st_mtime >= path.stat().st_mtime:
        return target
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(path, as_version=4)
    has_formulas = any("$" in cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    exporter = HTMLExporter(template_name="lab", embed_images=True)
    exporter.require_js_url = exporter.jquery_url = ""
    if not has_formulas:
        exporter.mathjax_url = ""
    text, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    write_text(target, re.sub(r'<script src=""[^>]*></script>', "", text))
    return target


def next_steps(project: Project, run: Path) -> str:
    """How to use the model, which notebook to open, how to bring one's own data."""
    model = model_folder(run)
    items = []
    if model:
        code = snippet(project, project.shown(model))
        items.append(
            "<h3>Ask the tuned model a question</h3><p>From the project's folder, with <code>.venv/bin/python</code> "
            "(on Windows <code>.venv\\Scripts\\python</code>):</p>"
            f"<pre><code>{html.escape(code)}</code></pre>"
        )
    else:
        items.append("<p>This run has no tuned model yet: notebook 03 makes it.</p>")
    notebooks = [("03_", "change the learning rate and watch the loss"), ("05_", "read the wrong answers")]
    known = {path.name[:3]: path.stem for path in project.notebooks.glob("[0-9][0-9]_*.ipynb")}
    opened = [f"<li><code>{known[start]}</code>: {text}</li>" for start, text in notebooks if start in known]
    items.append(
        "<h3>Open a notebook</h3><p><code>.venv/bin/jupyter lab notebooks</code> opens the course. "
        f"Good places to go on:</p><ul>{''.join(opened)}</ul>"
    )
    items.append(
        "<h3>Use your own data</h3><p>Make a folder with <code>train</code>, <code>validation</code> and "
        "<code>test</code> like those in <code>data/questions</code>, and one with your databases as "
        "<code>NAME.sql</code>; then</p>"
        "<pre><code>python3 ci/course.py run --name mine -p questions_folder=PATH -p databases_folder=PATH</code></pre>"
        "<p>Notebook 02 tells about every line that it cannot use. All parameters: "
        "<code>python3 ci/course.py list</code></p>"
    )
    return "".join(f"<div>{item}</div>" for item in items)


def model_folder(run: Path) -> Path | None:
    """The folder with the tuned model: the one made to be shared, else the trained one."""
    for folder in (run / "export" / "model", run / "export", run / "model"):
        if (folder / "config.json").is_file():
            return folder
    return None


def snippet(project: Project, model: str) -> str:
    """Five lines of Python that ask the model a question of the test set."""
    database, question = example_question(project)
    return (
        "from utils import data, generation, models, prompts, settings\n"
        f'model, tokenizer = models.load_model("{model}"), models.load_tokenizer("{model}")\n'
        f'database = data.load_databases(settings.DATA / "databases")["{database}"]\n'
        f"messages = prompts.prompt({json.dumps(question, ensure_ascii=False)}, database)\n"
        "print(generation.generate_answers(model, tokenizer, [messages])[0])"
    )


def example_question(project: Project) -> tuple[str, str]:
    """A database and a question about it, the shortest of the first test file."""
    for file in sorted((project.root / "data" / "questions" / "test").glob("*.jsonl")):
        questions = [json.loads(line)["question"] for line in file.read_text(encoding="utf-8").splitlines() if line]
        asked = [question for question in questions if question.endswith("?")]
        if asked:
            return file.stem, min(asked, key=len)
    return "NAME", "Your question"


def _images(stage: Path) -> list[Path]:
    return [*sorted(stage.glob("plots/[!.]*.png")), *sorted(stage.glob("[!.]*.png"))]


def _value_and_interval(text: str) -> str:
    value, bracket, rest = html.escape(text).partition(" [")
    return f"{value} <small>[{rest}</small>" if bracket else value
