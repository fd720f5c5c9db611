"""Options of a command, typed and explained like the parameters of a notebook, from the command line or a YAML file.

The names, types and comments of notebook parameters are read from the notebooks themselves, so that they stay one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Any

from ci.errors import OneLineParser, UsageError
from ci.parameters import Parameter, accept_value, did_you_mean, parse_value, read_notebook, read_parameters
from utils.settings import NOTEBOOKS

Groups = dict[str, dict[str, Parameter]]
"""Parameters by name, under the headings that `--help` shows."""


def make_parser(command: str, usage: str, module: str, epilog: str = "") -> OneLineParser:
    """The parser of a command, with `--config`. `module` is its docstring, whose first paragraph `--help` shows."""
    parser = OneLineParser(
        prog=command,
        usage=f"{command} {usage} [option …]",
        description=module.split("\n\n")[0],
        epilog=epilog,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="a YAML file with the same names, one `name: value` a line")
    return parser


def read_all(parser: OneLineParser, declared: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The value of every option: given, or its default. `declared` has a line for each, as notebooks declare theirs.

    Raises:
        UsageError: the command line or the file of `--config` has a fault.
    """
    known = read_parameters(declared, "the options")
    add_options(parser, {"options": known})
    given = read_options(parser, {"options": known}, arguments)
    return {name: parameter.default for name, parameter in known.items()} | given


def notebook_options(number: str, names: Sequence[str]) -> dict[str, Parameter]:
    """Parameters of the notebook with this number, by name; those that it does not have are left out."""
    path = next(NOTEBOOKS.glob(f"{number}_*.ipynb"), None)
    found = read_notebook(path).parameters if path else {}
    return {name: found[name] for name in names if name in found}


def field_options(fields: Sequence[Field]) -> dict[str, Parameter]:
    """The fields of a dataclass whose `metadata` has a `help` text, by name."""
    lines = []
    for entry in fields:
        default = None if entry.default is MISSING else entry.default
        lines.append(f"{entry.name}: {entry.type} = {default!r}  # {entry.metadata['help']}")
    return read_parameters("\n".join(lines), "the options of the data")


def add_options(parser: argparse.ArgumentParser, groups: Groups) -> None:
    """Give the parser an option for each parameter: `--learning-rate` for `learning_rate`."""
    for title, parameters in groups.items():
        group = parser.add_argument_group(title)
        for name, parameter in parameters.items():
            flag = {"nargs": "?", "const": "true"} if parameter.type.base == "bool" else {}
            group.add_argument(
                f"--{name.replace('_', '-')}",
                dest=name,
                metavar=str(parameter.type).removesuffix(" | None").upper(),
                help=parameter.comment.replace("%", "%%"),
                default=argparse.SUPPRESS,
                **flag,
            )


def read_options(parser: OneLineParser, groups: Groups, arguments: Sequence[str]) -> dict[str, object]:
    """The values given on the command line, over those of the file that `--config` names. Raises UsageError."""
    known = {name: parameter for parameters in groups.values() for name, parameter in parameters.items()}
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        option = unknown[0].split("=")[0]
        hint = did_you_mean(option.lstrip("-").replace("-", "_"), known).replace("_", "-").replace("mean ", "mean --")
        raise UsageError(f"There is no option {option}.{hint} Help: {parser.prog} --help")
    given = vars(options)
    config = given.pop("config", None)
    values = read_config(Path(config), known) if config else {}
    for name, text in given.items():
        values[name] = parse_value(known[name], text) if name in known and isinstance(text, str) else text
    return values


def read_config(path: Path, known: Mapping[str, Parameter]) -> dict[str, object]:
    """The values of a YAML file, whose entries have the names of the options. Raises UsageError."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError:
        raise UsageError(f"There is no file {path}, which --config names.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no `name: value` lines.")
    return check_values({str(name).replace("-", "_"): value for name, value in content.items()}, known, str(path))


def check_values(values: Mapping[str, object], known: Mapping[str, Parameter], where: str) -> dict[str, object]:
    """The values as their parameters' types. `where` names their source in messages. Raises UsageError."""
    for name in values:
        if name not in known:
            raise UsageError(f"{where}: there is no option {name}.{did_you_mean(name, known)}")
    return {name: accept_value(known[name], value, where) for name, value in values.items()}
