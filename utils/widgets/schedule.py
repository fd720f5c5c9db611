"""How the learning rate goes: the schedules of transformers themselves, drawn for so many steps."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from utils.plots import BASE_COLOUR, LEARNING_RATE_COLOUR, STYLE
from utils.widgets.controls import Choice, Steps, as_list, number_text
from utils.widgets.view import Explorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What transformers calls them, and the dashes that tell them apart in grey.
SCHEDULES = {
    "cosine": "-",
    "linear": "--",
    "constant_with_warmup": ":",
    "constant": "-.",
    "inverse_sqrt": (0, (1, 3)),
}
RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3)
STEPS = (50, 100, 200, 441, 1000, 2000, 5000)
WARMUPS = (0, 5, 10, 20, 50, 100, 200)


def explore_schedule(
    learning_rate: float = 5e-4, steps: int = 441, warmup_steps: int = 10, schedule: str = "cosine"
) -> Explorer:
    """The learning rate at each optimizer step. `schedule` is a name of `SFTConfig.lr_scheduler_type`."""
    controls = {
        "schedule": Choice("schedule", list(SCHEDULES), schedule),
        "learning_rate": Steps("learning_rate", as_list(learning_rate, RATES), learning_rate),
        "steps": Steps("steps", as_list(steps, STEPS), steps),
        "warmup_steps": Steps("warmup_steps", as_list(warmup_steps, WARMUPS), warmup_steps),
    }

    def draw(schedule: str, learning_rate: float, steps: int, warmup_steps: int) -> bytes:
        return png(schedule_figure(schedule, learning_rate, steps, warmup_steps))

    return Explorer("The learning rate, step by step", controls, draw)


def learning_rates(schedule: str, learning_rate: float, steps: int, warmup_steps: int) -> list[float]:
    """The rate with which each of the steps is made, from the scheduler that the trainer would use."""
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=learning_rate)
    scheduler = get_scheduler(schedule, optimizer, num_warmup_steps=warmup_steps, num_training_steps=steps)
    return [learning_rate * scheduler.lr_lambdas[0](step) for step in range(steps)]


def finding(schedule: str, rates: list[float]) -> str:
    """What a schedule comes to: where its peak is, when it is down to half of it, and the mean rate."""
    peak = max(range(len(rates)), key=rates.__getitem__)
    half = next((step for step in range(peak, len(rates)) if rates[step] <= rates[peak] / 2), None)
    parts = [f"{schedule}: {number_text(rates[peak])} at step {peak + 1}"]
    parts += [f"half of it at step {half + 1}"] if half else []
    return ", ".join([*parts, f"{sum(rates) / len(rates) / rates[peak]:.0%} of it in the mean"])


def schedule_figure(schedule: str, learning_rate: float, steps: int, warmup_steps: int) -> Figure:
    """The chosen schedule in front, the others behind it; what it comes to in the title."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 2.8), layout="constrained")
        axes = figure.subplots()
        for name, dashes in SCHEDULES.items():
            rates = learning_rates(name, learning_rate, steps, warmup_steps)
            is_chosen = name == schedule
            look = (
                {"color": LEARNING_RATE_COLOUR, "linewidth": 2.0}
                if is_chosen
                else {"color": BASE_COLOUR, "linewidth": 0.8}
            )
            axes.plot(range(1, steps + 1), rates, linestyle=dashes, label=name, zorder=2 + is_chosen, **look)
            if is_chosen:
                axes.set_title(finding(name, rates), fontsize=10)
        axes.set(xlabel=f"optimizer step; {warmup_steps} of {steps} to warm up", ylabel="learning rate", ylim=(0, None))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a compact PNG: 64 colours are plenty for a few lines, and a quarter of the size."""
    from PIL import Image

    drawn, compact = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=STYLE["figure.dpi"])
    Image.open(drawn).convert("RGB").quantize(64).save(compact, format="png", optimize=True)
    return compact.getvalue()
