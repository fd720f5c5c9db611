"""Titles that state what a figure shows, in the numbers of the figure itself.

A title written by hand tells what its author expected; these tell what came out. The functions of `utils.plots` and its
neighbours use them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING

from utils.calibration import distance

if TYPE_CHECKING:
    from utils.calibration import Bin
    from utils.candidates import Candidate
    from utils.evaluation import Interval
    from utils.load import Load
    from utils.tuning import MeanInterval


def first_group(groups: dict[str, dict[str, Interval]]) -> str:
    """The shares of the first group: a metric, say, for each of the models."""
    name, shares = next(iter(groups.items()))
    return f"{capitalised(name)}: " + "; ".join(f"{one} {share.value:.0%}" for one, share in shares.items())


def first_and_last_group(groups: dict[str, dict[str, Interval]], name: str) -> str:
    """What the entry `name` has in the first and in the last group: with the easiest and the hardest questions, say."""
    ends = ends_of(groups)
    return f"{capitalised(name)}: " + ", ".join(
        f"{groups[group][name].value:.0%} of the {group} ones" for group in ends
    )


def error_of_estimates(
    subject: str, series: dict[str, tuple[Sequence[float], Sequence[float], Sequence[float]]]
) -> str:
    """How many times the estimate is what was measured, at least and at most; a series is (x, measured, estimated)."""
    ratios = [found / guess for _, *pairs in series.values() for found, guess in zip(*pairs, strict=True) if guess]
    if not ratios:
        return subject
    return f"{subject}: {min(ratios):.2g} to {max(ratios):.2g} times the estimate"


def savings(candidates: Sequence[Candidate]) -> str:
    """What the second way of training takes of the weights and the memory of the first; or what the only one takes."""
    first, *others = candidates
    if not others:
        return f"{first.name}: {first.trainable / 1e6:.3g} million trained weights, {first.peak_memory:.3g} GB"
    weights, memory = others[0].trainable / first.trainable, others[0].peak_memory / first.peak_memory
    return f"{others[0].name}: {weights:.1%} of the trained weights and {memory:.0%} of the memory of {first.name}"


def first_and_last_median(subject: str, values: dict[str, Sequence[float]]) -> str:
    """The medians of the first and of the last entry."""
    return f"{subject}: " + "; ".join(f"{name} {median(values[name]):.3g}" for name in ends_of(values))


def peaks(subject: str, gigabytes: dict[str, Sequence[float]]) -> str:
    """The highest value of each entry, in GB."""
    return f"{subject}: at most " + "; ".join(f"{max(found):.3g} GB {name}" for name, found in gigabytes.items())


def throughput(ways: dict[str, Sequence[Load]]) -> str:
    """What the last way of answering gains over the first one, where most requests come at a time."""
    first, last = next(iter(ways)), next(reversed(ways))
    slow, fast = ways[first][-1], ways[last][-1]
    if first == last or not slow.tokens_per_second:
        return f"{capitalised(last)}: {fast.tokens_per_second:.3g} tokens per second, {fast.concurrency} at a time"
    gain = fast.tokens_per_second / slow.tokens_per_second
    return f"{fast.concurrency} at a time: {last}, {gain:.2g} times the tokens of {first}"


def most_confused(counts: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """How many are right, and what is most often taken for what, of counts with a row for each true class."""
    right, total = sum(line[place] for place, line in enumerate(counts)), sum(map(sum, counts))
    wrong = {
        (count, true, taken)
        for true, line in zip(names, counts, strict=True)
        for taken, count in zip(names, line, strict=True)
        if taken != true and count
    }
    found = f"{right} of {total} are right"
    if not wrong:
        return found
    count, true, taken = max(wrong)
    return f"{found}; most often, {true} is taken for {taken} ({count})"


def calibration(curves: dict[str, Sequence[Bin]]) -> str:
    """The expected calibration error of each curve: by how much confidence and accuracy differ, weighted by counts."""
    errors = {name: distance(bins) for name, bins in curves.items()}
    return "Off the diagonal by " + ", ".join(f"{100 * error:.1f} points {name}" for name, error in errors.items())


def halves(panel: str, lines: dict[str, Sequence[tuple[float, float]]]) -> str:
    """The mean of each line's first and second half, which single steps with different examples do not hide."""
    means = []
    for name, points in lines.items():
        values = [y for _, y in points]
        middle = len(values) // 2
        if middle:
            means.append(f"{name} {fmean(values[:middle]):.2g} → {fmean(values[middle:]):.2g}")
    return f"{capitalised(panel)}, from first to second half: " + ", ".join(means) if means else capitalised(panel)


def best_of_each(curves: dict[str, Sequence[tuple[int, float]]]) -> str:
    """The lowest loss of each search, and the optimizer steps that it spent in all; a curve is (steps, loss so far)."""
    ends = {name: curve[-1] for name, curve in curves.items() if curve}
    return "Lowest loss: " + "; ".join(f"{name} {loss:.3g} in {steps} steps" for name, (steps, loss) in ends.items())


def difference_of_means(groups: dict[str, MeanInterval]) -> str:
    """Whether the intervals of the lowest mean and of the others are apart."""
    known = [name for name in groups if groups[name].count]
    if not known:
        return "No run came to its end"
    lowest, *others = sorted(known, key=lambda name: groups[name].value)
    if not others:
        return f"{capitalised(lowest)}: {groups[lowest].value:.3g}"
    if any(math.isnan(groups[name].low) for name in known):
        return f"{capitalised(lowest)} is lowest; one run has no interval"
    apart = all(groups[lowest].high < groups[other].low for other in others)
    return f"{capitalised(lowest)} is lowest: the intervals " + ("are apart" if apart else "overlap")


def totals_of_ends(parts: dict[str, dict[str, float]], unit: str) -> str:
    """The totals of the first and of the last entry."""
    ends = {name: sum(parts[name].values()) for name in ends_of(parts)}
    return "; ".join(f"{name}: {total:.3g} {unit}" for name, total in ends.items())


def speedups(bands: dict[str, tuple[Sequence[int], Sequence[float], Sequence[float]]]) -> str:
    """How many times as fast the most accelerators are as one, from a band's upper values, the slowest steps."""
    counts = next(iter(bands.values()))[0]
    gains = {name: slowest[0] / slowest[-1] for name, (_, _, slowest) in bands.items()}
    found = "; ".join(f"at least {gain:.2g} times as fast with {name}" for name, gain in gains.items())
    return f"{counts[-1]} against {counts[0]}: {found}"


def fits_from(
    bands: dict[str, tuple[Sequence[int], Sequence[float], Sequence[float]]], limit: tuple[str, float]
) -> str:
    """From how many accelerators on each band stays below the limit, a name and a height."""
    found = []
    for name, (counts, _, high) in bands.items():
        enough = next((count for count, value in zip(counts, high, strict=True) if value <= limit[1]), None)
        found.append(f"{name} never" if enough is None else f"{name} from {enough}")
    return f"Fits into {limit[0]}: " + "; ".join(found)


def as_many_named(
    curve: Sequence[tuple[float, Interval]], points: dict[str, tuple[float, Interval]], curve_name: str
) -> str:
    """What the curve reaches with no more named than each point has, against that point."""
    found = []
    for name, (named, share) in points.items():
        reached = max((other.value for x, other in curve if x <= named), default=0.0)
        found.append(f"{name} {share.value:.0%}, {curve_name} {reached:.0%}")
    return "None missing with as many named: " + "; ".join(found) if found else "More named, fewer missing"


def ends_of(entries: dict[str, object]) -> list[str]:
    """The names of the first and the last entry, or of the only one."""
    return list(dict.fromkeys((next(iter(entries)), next(reversed(entries)))))


def capitalised(text: str) -> str:
    """The text with a capital first letter and nothing else changed, unlike `str.capitalize`."""
    return text[:1].upper() + text[1:]
