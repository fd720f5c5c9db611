"""What a notebook takes: its `parameters` cell, read without running it, and the values given for it, checked."""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ci.errors import UsageError

TAG = "parameters"
BASES = ("int", "float", "bool", "str")
SET_BY_OPTIONS = {"run_name": "--name", "profile": "--profile"}
EXAMPLES = {
    "int": "a whole number such as 8",
    "float": "a number such as 5e-4",
    "bool": "true or false",
    "str": "a text",
}


@dataclass(frozen=True)
class Type:
    """One of int, float, bool and str, a list of one of them, or either of these or None."""

    base: str
    is_list: bool = False
    optional: bool = False

    def __str__(self) -> str:
        name = f"list[{self.base}]" if self.is_list else self.base
        return f"{name} | None" if self.optional else name

    @property
    def example(self) -> str:
        """What a value looks like on the command line, in words."""
        words = f"{EXAMPLES[self.base]}, or several with commas between" if self.is_list else EXAMPLES[self.base]
        return f"{words}, or none" if self.optional else words

    def parse(self, text: str) -> object:
        """The value that a text on the command line stands for. Raises ValueError."""
        if self.optional and text.lower() in {"none", "null"}:
            return None
        if self.is_list:
            return [_parse_one(self.base, part.strip()) for part in text.split(",")] if text.strip() else []
        return _parse_one(self.base, text)

    def accept(self, value: object) -> object:
        """A Python value as this type. Raises ValueError. An int is taken for a float, never the other way round."""
        if value is None and self.optional:
            return None
        if not self.is_list:
            return _accept_one(self.base, value)
        if not isinstance(value, list):
            raise ValueError(value)
        return [_accept_one(self.base, item) for item in value]


@dataclass(frozen=True)
class Parameter:
    """A typed assignment of a parameters cell, with the comment behind it."""

    name: str
    type: Type
    default: object
    comment: str
    written: str = ""

    def __str__(self) -> str:
        text = f"{self.name}: {self.type} = {self.written or repr(self.default)}"
        return f"{text}  # {self.comment}" if self.comment else text


@dataclass(frozen=True)
class Notebook:
    """A notebook as far as it is known without running it."""

    path: Path
    title: str
    parameters: dict[str, Parameter]

    @property
    def number(self) -> str:
        return self.path.name[:2]

    @property
    def name(self) -> str:
        return self.path.stem


def read_notebooks(folder: Path) -> list[Notebook]:
    """All notebooks `NN_name.ipynb` of a folder, in order. Raises UsageError for one that cannot be read."""
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise UsageError(f"There are no notebooks in {folder.name}/.")
    return [read_notebook(path) for path in paths]


def read_notebook(path: Path) -> Notebook:
    """Title and parameters of a notebook. Raises UsageError."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"notebooks/{path.name} is not a notebook: {error}.") from None
    tagged = [cell for cell in cells if TAG in cell.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise UsageError(f"notebooks/{path.name} has {len(tagged)} cells tagged `{TAG}`; it needs one.")
    return Notebook(path, _title(cells) or path.stem, read_parameters(_source(tagged[0]), f"notebooks/{path.name}"))


def read_parameters(source: str, where: str) -> dict[str, Parameter]:
    """The typed assignments in the source of a parameters cell. `where` names the notebook in messages."""
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise UsageError(f"The parameters cell of {where} is not Python: {error.msg}, line {error.lineno}.") from None
    comments = _comments(source)
    parameters = {}
    for statement in statements:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            parameter = _read_assignment(statement, source, comments, where)
            parameters[parameter.name] = parameter
    return parameters


def parse_value(parameter: Parameter, text: str) -> object:
    """The value of a parameter from the command line. Raises UsageError."""
    try:
        return parameter.type.parse(text)
    except ValueError:
        raise UsageError(
            f"{parameter.name}={text} does not fit: {parameter.name} is {_a(parameter.type)}, {parameter.type.example}."
        ) from None


def accept_value(parameter: Parameter, value: object, where: str) -> object:
    """The value of a parameter from a profile, the file `where`. Raises UsageError."""
    try:
        # YAML reads 2e-4 (without a point) as a text; nobody means that.
        if parameter.type.base == "float" and isinstance(value, str):
            return parameter.type.parse(value)
        return parameter.type.accept(value)
    except ValueError:
        raise UsageError(
            f"{where}: {parameter.name}: {value!r} does not fit: {parameter.name} is {_a(parameter.type)}, "
            f"{parameter.type.example}."
        ) from None


def notebook_parameters(path: Path) -> dict[str, Parameter]:
    """The parameters that a notebook takes, by name. Raises UsageError."""
    return read_notebook(path).parameters


def profile_parameters(profile: str, path: Path) -> dict[str, object]:
    """The values that the profile named `profile` gives to the notebook `path`. Needs PyYAML. Raises UsageError."""
    file = path.parent.parent / "ci" / "profiles" / f"{profile}.yaml"
    if not file.is_file():
        raise UsageError(f"There is no profile {profile!r}.")
    common, single = read_profile(file, read_notebooks(path.parent))
    return common | single.get(path.name[:2], {})


def read_profile(path: Path, notebooks: list[Notebook]) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """Values of a profile for all notebooks, and for single ones by number. Raises UsageError."""
    import yaml

    where = "/".join(path.parts[-3:])
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    unknown = set(content) - {"description", "parameters", "notebooks"}
    if unknown:
        raise UsageError(f"{where}: unknown entry {min(unknown)}; known are description, parameters and notebooks.")
    common = {
        name: _profile_value(name, value, notebooks, where) for name, value in (content.get("parameters") or {}).items()
    }
    single = {}
    for key, values in (content.get("notebooks") or {}).items():
        # YAML reads 03 without quotation marks as a number.
        notebook = _profile_notebook(str(key).zfill(2), notebooks, where)
        single[notebook.number] = {
            name: _profile_value(name, value, [notebook], where) for name, value in (values or {}).items()
        }
    return common, single


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean X?` for a name close to a known one, else an empty text."""
    close = get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _read_assignment(
    statement: ast.Assign | ast.AnnAssign, source: str, comments: dict[int, str], where: str
) -> Parameter:
    fault = f"{where}, parameters cell, line {statement.lineno}: "
    if isinstance(statement, ast.Assign) or not isinstance(statement.target, ast.Name) or statement.value is None:
        raise UsageError(f"{fault}write a parameter as `name: type = value`.")
    name = statement.target.id
    type_ = _read_type(statement.annotation)
    if type_ is None:
        raise UsageError(
            f"{fault}{name} has the type {ast.unparse(statement.annotation)}; "
            "known are int, float, bool, str, a list of one of these, and `| None`."
        )
    try:
        default = type_.accept(ast.literal_eval(statement.value))
    except ValueError:
        raise UsageError(f"{fault}the default of {name} is not {_a(type_)}.") from None
    comment = comments.get(statement.end_lineno or statement.lineno, "")
    return Parameter(name, type_, default, comment, ast.get_source_segment(source, statement.value) or "")


def _read_type(annotation: ast.expr) -> Type | None:
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        sides = [annotation.left, annotation.right]
        rest = [side for side in sides if not (isinstance(side, ast.Constant) and side.value is None)]
        inner = _read_type(rest[0]) if len(rest) == 1 else None
        return Type(inner.base, inner.is_list, optional=True) if inner else None
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "list":
        name = ast.unparse(annotation.slice)
        return Type(name, is_list=True) if name in BASES else None
    name = ast.unparse(annotation)
    return Type(name) if name in BASES else None


def _parse_one(base: str, text: str) -> object:
    if base == "bool":
        if text.lower() not in {"true", "false"}:
            raise ValueError(text)
        return text.lower() == "true"
    if base == "int":
        return int(text)
    if base == "float":
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    return text


def _accept_one(base: str, value: object) -> object:
    if base == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # bool is a subclass of int: compare the type itself.
    if type(value).__name__ != base:
        raise ValueError(value)
    return value


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _source(cell: dict) -> str:
    return "".join(cell["source"])


def _title(cells: list[dict]) -> str:
    """The text of the first heading, without the number before it."""
    for cell in cells:
        heading = re.search(r"^#+ +(.+)$", _source(cell), re.MULTILINE) if cell["cell_type"] == "markdown" else None
        if heading:
            return re.sub(r"^\d\d\s*[·:.–—-]\s*", "", heading[1].strip())
    return ""


def _a(type_: Type) -> str:
    return f"an {type_}" if type_.base == "int" and not type_.is_list else f"a {type_}"


def _profile_notebook(number: str, notebooks: list[Notebook], where: str) -> Notebook:
    for notebook in notebooks:
        if notebook.number == number:
            return notebook
    raise UsageError(f"{where}: there is no notebook {number}.")


def _profile_value(name: str, value: object, notebooks: list[Notebook], where: str) -> object:
    if name in SET_BY_OPTIONS:
        raise UsageError(f"{where}: {name} is set by {SET_BY_OPTIONS[name]}, not by a profile.")
    takers = [notebook for notebook in notebooks if name in notebook.parameters]
    if not takers:
        known = {parameter for notebook in notebooks for parameter in notebook.parameters}
        one = f"notebook {notebooks[0].number} has no" if len(notebooks) == 1 else "no notebook has a"
        raise UsageError(f"{where}: {one} parameter {name}.{did_you_mean(name, known)}")
    accepted = [accept_value(notebook.parameters[name], value, where) for notebook in takers]
    return accepted[0]
