"""The times of loading as a table, a sentence and a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.bench.spread import Spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_IMPORTS = 8


def table(result: dict[str, Any]) -> list[dict[str, str]]:
    """A row for each thing that was loaded."""
    model = f"{result['model']} from its cache"
    names = {"libraries": "torch and transformers", "first": f"{model}, with what transformers imports for it"}
    names |= {"model": f"{model}, again", "data": "all data"}
    rows = [
        {"": names[name], "seconds": Spread.of(seconds).text(".2f"), "without torch, seconds": ""}
        for name, seconds in result["loads"].items()
    ]
    for name, measured in result["imports"].items():
        without = "cannot" if measured["fault_without_torch"] else Spread.of(measured["without_torch"]).text(".2f")
        seconds = Spread.of(measured["seconds"]).text(".2f")
        rows.append({"": f"`import utils.{name}`", "seconds": seconds, "without torch, seconds": without})
    return rows


def sentences(result: dict[str, Any]) -> list[str]:
    """The loads, and the slowest import."""
    light = light_imports(result)
    slowest, seconds = next(iter(light.items()))
    heavy = len(result["imports"]) - len(light)
    first, model, data = (Spread.of(result["loads"][name]).text(".1f") for name in ("first", "model", "data"))
    return [
        f"The model loads from its cache in {model} s (the first time in a process in {first} s, most of which goes "
        f"into what transformers imports for it), all data in {data} s. Of the {len(light)} modules of `utils` "
        f"that do without torch, `{slowest}` takes longest to import, {Spread.of(seconds).text('.2f')} s"
        + (f"; the {heavy} others import it." if heavy else ".")
    ]


def figure(result: dict[str, Any]) -> Figure:
    """Seconds of the loads, and of the slowest imports that do without torch."""
    from utils.plots import spread_bars

    loads = {name: seconds for name, seconds in result["loads"].items() if name != "libraries"}
    imports = {f"import utils.{name}": seconds for name, seconds in light_imports(result).items()}
    return spread_bars(loads | dict(list(imports.items())[:SHOWN_IMPORTS]), "Loading", "seconds")


def light_imports(result: dict[str, Any]) -> dict[str, list[float]]:
    """Seconds of importing each module that does not import torch, the slowest first."""
    light = {name: measured["seconds"] for name, measured in result["imports"].items() if not measured["brings_torch"]}
    return dict(sorted(light.items(), key=lambda item: -Spread.of(item[1]).median))
