"""The web page "Ask your database", built with Gradio: a question in English, the SQL, its rows and a chart.

    page = build_page("model", find_databases(Path("databases")))
    page.launch(**launch_settings())

What it does stands in `utils.asking`; here is what it looks like, and which click calls what.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.asking import Answer, Asker, Stopped, advice, checked_question, is_constrained, run_query
from utils.databases import Database, describe
from utils.errors import CourseError
from utils.fence import Fence
from utils.markup import message_html, result_html, schema_html, text
from utils.uploads import MAX_BYTES, UploadFolder

if TYPE_CHECKING:
    import gradio

TITLE = "Ask your database"
STYLE = Path(__file__).with_name("page.css")
MAX_WAITING = 20
QUIET = {"show_progress": "hidden", "api_visibility": "private"}
AT_ONCE = QUIET | {"queue": False}
INTRODUCTION = (
    f"<h1>{TITLE}</h1><p>Write a question in English. A language model turns it into SQL, the query is run, and you "
    "see the rows. The database is only read, and nothing leaves this server.</p>"
)
EMPTY = '<div class="empty"><p>The query and its rows will appear here.</p></div>'
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Cg fill='%231f5f9e'%3E"
    "%3Cellipse cx='16' cy='7' rx='12' ry='5'/%3E%3Cpath d='M4 11c4 5 20 5 24 0v5c-4 5-20 5-24 0zM4 20c4 5 20 5 24 0v5c"
    "-4 6-20 6-24 0z'/%3E%3C/g%3E%3C/svg%3E"
)
HEAD = f'<meta name="color-scheme" content="light dark"><link rel="icon" type="image/svg+xml" href="{ICON}">'


@dataclass
class Panel:
    """The part of the page that shows what one model answered."""

    asker: Asker
    title: str
    column: gradio.Column
    heading: gradio.HTML
    query: gradio.Code
    run: gradio.Button
    result: gradio.HTML

    def outputs(self) -> list[Any]:
        """The components that an answer changes."""
        return [self.heading, self.query, self.result]

    def clear(self) -> dict[Any, Any]:
        """What they show before there is an answer."""
        return {
            self.heading: self.heading_html(),
            self.query: "",
            self.result: EMPTY,
        }

    def show(self, answer: Answer, database: Database) -> dict[Any, Any]:
        """What they show of an answer."""
        shown = result_html(answer.result, advice(answer.result.error or "", database))
        if not answer.query:
            shown += f'<p class="soft">What it wrote instead:</p><pre class="written">{text(answer.text, 2_000)}</pre>'
        return {
            self.heading: self.heading_html(f"{answer.seconds:.1f} s", answer.notice),
            self.query: answer.query,
            self.result: shown,
        }

    def heading_html(self, seconds: str = "", notice: str = "") -> str:
        """Which model it is, how long it took, and what it was not shown."""
        about = " · ".join(part for part in (self.asker.name, seconds) if part)
        return f'<h2>{self.title}<span class="soft">{text(about)}</span></h2>{message_html(notice)}'


def build_page(
    model: str | Path | Asker, databases: Sequence[Database], *, untuned: str | Path | Asker | None = None
) -> gradio.Blocks:
    """The page for a tuned model, and beside it the untuned one if it is given; each is loaded when it is first asked.

    Args:
        model: a folder, an embedded model or one of the Hub; or an `Asker`, to load it beforehand.
        databases: what can be asked without an upload; at least one.
        untuned: the model before training, which writes under the same rules as the tuned one.

    Raises:
        CourseError: there is no database.
    """
    # It takes a second, so only whoever builds a page waits for it. Gradio reads the types of the handlers' parameters
    # from the module's own names, so it has to be one of them.
    global gradio
    import gradio

    if not databases:
        raise CourseError("The page needs at least one database to begin with.")
    first = databases[0].path
    constrained = None if isinstance(model, Asker) else is_constrained(str(model))
    askers = [
        asker if isinstance(asker, Asker) else Asker.of(str(asker), first, constrained=constrained)
        for asker in (model, untuned)
        if asker is not None
    ]
    return _Page(askers, databases).build()


def launch_settings(host: str | None = None, port: int | None = None) -> dict[str, Any]:
    """Arguments for `launch`: the look, and everything closed that the page does not need.

    Without a host the page is for this machine only, unless the variable GRADIO_SERVER_NAME says otherwise.
    """
    from starlette.middleware import Middleware

    return {
        "server_name": host,
        "server_port": port,
        "share": False,
        "inbrowser": False,
        "quiet": True,
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "mcp_server": False,
        "ssr_mode": False,
        "pwa": False,
        "strict_cors": True,
        "max_file_size": MAX_BYTES,
        "max_threads": 8,
        "state_session_capacity": 200,
        "app_kwargs": {"middleware": [Middleware(Fence)], "docs_url": None, "redoc_url": None, "openapi_url": None},
        "theme": _theme(),
        "css_paths": STYLE,
        "head": HEAD,
    }


class _Page:
    """The components of the page, and what happens when they are used. One object serves all visitors."""

    def __init__(self, askers: Sequence[Asker], databases: Sequence[Database]) -> None:
        self.askers = askers
        self.databases = {database.name: database for database in databases}
        self.first = databases[0]
        self.uploads = UploadFolder()
        self.stops: dict[str | None, threading.Event] = {}

    def build(self) -> gradio.Blocks:
        """Lay the components out and connect them."""
        # Gradio puts uploads there, on their way to a checked copy.
        os.environ["GRADIO_TEMP_DIR"] = str(self.uploads.incoming)
        with gradio.Blocks(title=TITLE, analytics_enabled=False) as blocks:
            self.uploaded = gradio.State(None, delete_callback=self.uploads.remove)
            gradio.HTML(INTRODUCTION, elem_id="introduction")
            with gradio.Row(elem_id="layout"):
                with gradio.Column(scale=7, min_width=320):
                    self._lay_out_form()
                    with gradio.Row(elem_id="panels"):
                        titles = ["Tuned model", "Untuned model"][: len(self.askers)]
                        self.panels = [self._lay_out_panel(*pair) for pair in zip(self.askers, titles, strict=True)]
                with gradio.Column(scale=3, min_width=300, elem_id="side"):
                    gradio.HTML("<h2>Schema</h2>")
                    self.schema = gradio.HTML(schema_html(describe(self.first.path)), elem_id="schema")
            self._connect()
            blocks.unload(self.leave)
        blocks.queue(max_size=MAX_WAITING, api_open=False)
        return blocks

    def _lay_out_form(self) -> None:
        with gradio.Column(elem_id="form"):
            with gradio.Row(elem_id="source"):
                self.choice = gradio.Dropdown(
                    list(self.databases), value=self.first.name, label="Database", filterable=False, elem_id="database"
                )
                self.upload = gradio.UploadButton("Upload a SQLite file", size="sm", elem_id="upload")
            self.question = gradio.Textbox(
                label="Question",
                placeholder="Which …? How many …?",
                lines=1,
                max_lines=6,
                autofocus=True,
                elem_id="question",
            )
            with gradio.Row(elem_id="buttons"):
                self.ask = gradio.Button("Ask", variant="primary", elem_id="ask")
                self.stop = gradio.Button("Stop", visible=False, elem_id="stop")
                self.compare = gradio.Checkbox(
                    label="Compare with the untuned model",
                    container=False,
                    visible=len(self.askers) > 1,
                    elem_id="compare",
                )
        self.examples = gradio.Dataset(
            label="Examples: one click asks",
            components=[gradio.Textbox(visible=False)],
            samples=[[question] for question in self.first.questions],
            visible=bool(self.first.questions),
            elem_id="examples",
        )
        self.status = gradio.HTML(elem_id="status")

    def _lay_out_panel(self, asker: Asker, title: str) -> Panel:
        name = title.split()[0].lower()
        with gradio.Column(visible=name == "tuned", min_width=300, elem_id=name, elem_classes="answer") as column:
            heading = gradio.HTML()
            query = gradio.Code(
                language="sql-sqlite",
                label="SQL",
                interactive=True,
                wrap_lines=True,
                show_line_numbers=False,
                lines=2,
                max_lines=14,
                buttons=["copy"],
                elem_classes="query",
            )
            run = gradio.Button("Run this SQL again", size="sm", elem_classes="run")
            result = gradio.HTML(EMPTY, elem_classes="output")
        panel = Panel(asker, title, column, heading, query, run, result)
        heading.value = panel.heading_html()
        return panel

    def _connect(self) -> None:
        shown = [part for panel in self.panels for part in panel.outputs()]
        moving = [self.status, self.ask, self.stop]
        database = [self.choice, self.uploaded]
        asked = {
            "fn": self.answer,
            "inputs": [self.question, *database, self.compare],
            "outputs": [*moving, *shown],
            # One answer is written at a time, whoever asks for it and however.
            "concurrency_id": "model",
            "concurrency_limit": 1,
            "trigger_mode": "multiple",
            **QUIET,
        }
        typed = gradio.on([self.ask.click, self.question.submit], self.begin, None, moving, **AT_ONCE).then(**asked)
        clicked = self.examples.click(self.begin_example, self.examples, [self.question, *moving], **AT_ONCE).then(
            **asked
        )
        for answered in (typed, clicked):
            answered.failure(self.fail, None, moving, **AT_ONCE)
        self.stop.click(self.give_up, None, moving, cancels=[typed, clicked], **AT_ONCE)
        view = [self.schema, self.examples, self.status, *shown]
        self.choice.input(self.choose, database, view, **QUIET)
        self.upload.upload(self.take, [self.upload, self.uploaded], [self.choice, self.uploaded, *view], **QUIET)
        for panel in self.panels:
            panel.run.click(self.run_again, [panel.query, *database], panel.result, **QUIET)
        if len(self.panels) > 1:
            self.compare.change(self.widen, self.compare, self.panels[1].column, **AT_ONCE)

    def begin(self, request: gradio.Request) -> dict[Any, Any]:
        """A question was asked: stop the answer to an earlier one, and say that something happens."""
        return self._begin(request)

    def begin_example(self, sample: list[str], request: gradio.Request) -> dict[Any, Any]:
        """The same for an example, which also goes into the question box."""
        return {self.question: sample[0], **self._begin(request)}

    def answer(
        self, question: str, name: str, uploaded: Database | None, compare: bool, request: gradio.Request
    ) -> Iterator[dict[Any, Any]]:
        """Ask the tuned model and, to compare, the untuned one; show each answer as soon as it is there."""
        stop = self.stops[request.session_hash] = threading.Event()
        panels = self.panels if compare else self.panels[:1]
        try:
            database = self._database(name, uploaded)
            checked_question(question)
            yield {part: value for panel in panels for part, value in panel.clear().items()}
            for panel in panels:
                doing = "writes the query" if panel.asker.is_loaded else "is being loaded, then it writes the query"
                yield {self.status: message_html(f"The {panel.title.lower()} {doing}", "working")}
                yield panel.show(panel.asker.ask(question, database, stop), database)
            yield self._at_rest()
        except Stopped as stopped:
            yield self._at_rest(str(stopped))
        except CourseError as error:
            yield self._at_rest(str(error), "error")
        finally:
            if self.stops.get(request.session_hash) is stop:
                del self.stops[request.session_hash]

    def give_up(self, request: gradio.Request) -> dict[Any, Any]:
        """Stop the answer that is being written for this visitor."""
        self._stop(request)
        return self._at_rest("Stopped.")

    def leave(self, request: gradio.Request) -> None:
        """A visitor closed the page: nobody waits for the answer any more."""
        self._stop(request)

    def fail(self) -> dict[Any, Any]:
        """Something went wrong that nobody foresaw; its traceback is where the page was started."""
        return self._at_rest("That did not work, for a reason that only the server's log tells. Ask again.", "error")

    def run_again(self, query: str, name: str, uploaded: Database | None) -> str:
        """Run the query as it stands now."""
        try:
            database = self._database(name, uploaded)
        except CourseError as error:
            return message_html(str(error), "error")
        result = run_query(query, database)
        return result_html(result, advice(result.error or "", database))

    def choose(self, name: str, uploaded: Database | None) -> dict[Any, Any]:
        """Show another database."""
        try:
            return self._view(self._database(name, uploaded))
        except CourseError as error:
            return {self.status: message_html(str(error), "error")}

    def take(self, path: str, uploaded: Database | None) -> dict[Any, Any]:
        """Take an uploaded file in the place of an earlier one, if it can be asked."""
        try:
            database = self.uploads.accept(Path(path))
        except CourseError as error:
            return {self.status: message_html(str(error), "error")}
        self.uploads.remove(uploaded)
        choice = gradio.update(choices=[*self.databases, database.name], value=database.name)
        return {self.choice: choice, self.uploaded: database, **self._view(database)}

    def widen(self, compare: bool) -> dict[str, Any]:
        """Show or hide the untuned model."""
        return gradio.update(visible=compare)

    def _begin(self, request: gradio.Request) -> dict[Any, Any]:
        self._stop(request)
        waiting = message_html("Waiting for the model", "working")
        return {self.status: waiting, self.ask: gradio.update(visible=False), self.stop: gradio.update(visible=True)}

    def _stop(self, request: gradio.Request) -> None:
        stop = self.stops.get(request.session_hash)
        if stop:
            stop.set()

    def _at_rest(self, message: str = "", kind: str = "notice") -> dict[Any, Any]:
        return {
            self.status: message_html(message, kind),
            self.ask: gradio.update(visible=True),
            self.stop: gradio.update(visible=False),
        }

    def _view(self, database: Database) -> dict[Any, Any]:
        """A database before anything was asked about it."""
        examples = gradio.Dataset(
            samples=[[question] for question in database.questions], visible=bool(database.questions)
        )
        cleared = {part: value for panel in self.panels for part, value in panel.clear().items()}
        return {self.schema: schema_html(describe(database.path)), self.examples: examples, self.status: "", **cleared}

    def _database(self, name: str, uploaded: Database | None) -> Database:
        """Raises CourseError if the name is none of those offered, or the uploaded file had to make room."""
        known = self.databases | ({uploaded.name: uploaded} if uploaded else {})
        if name not in known or not known[name].path.is_file():
            raise CourseError(f"{name} is not here any more: upload it again, or choose another database.")
        return known[name]


def _theme() -> gradio.themes.Base:
    """The colours of the course's results page, light and dark, with fonts that come with Gradio."""
    from gradio.themes import Base, Color
    from gradio.themes.utils import fonts, sizes

    blue = Color(
        "#f1f6fb",
        "#dfeaf5",
        "#c2d7ec",
        "#97bbdf",
        "#86b9ea",
        "#2f74b5",
        "#1f5f9e",
        "#194d82",
        "#163f6a",
        "#143453",
        "#0f2338",
    )
    paper = Color(
        "#fbfaf8",
        "#f3f1ed",
        "#e2dfd9",
        "#cbc7c0",
        "#a0a4ab",
        "#666b73",
        "#4d525a",
        "#32363c",
        "#26292e",
        "#1f2226",
        "#17191c",
    )
    theme = Base(
        primary_hue=blue,
        secondary_hue=blue,
        neutral_hue=paper,
        radius_size=sizes.radius_md,
        font=(fonts.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"),
        font_mono=(fonts.LocalFont("IBM Plex Mono", weights=(400,)), "ui-monospace", "monospace"),
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="#22252a",
        body_text_color_dark="#e6e4df",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_color_dark="*neutral_700",
        border_color_primary_dark="*neutral_700",
        block_title_text_weight="600",
        block_title_text_size="*text_sm",
        block_label_text_size="*text_sm",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        input_border_width="1px",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_500",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        color_accent="*primary_600",
        link_text_color_dark="*primary_400",
    )
