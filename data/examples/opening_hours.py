"""Opening hours as people write them, and as a program reads them: "Mo-Fr 09:00-17:00; Sa 10:00-14:00".

The right side follows the `opening_hours` of OpenStreetMap, without its rarer parts; days it does not name are closed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import groupby

DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
FULL = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORT = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NUMBERS = "twelve one two three four five six seven eight nine ten eleven".split()

Span = tuple[int, int]
"""Opening and closing time, in minutes after midnight."""
Week = dict[int, tuple[Span, ...]]
"""The spans of each day that is open, by the number of the day."""

OPENERS = (
    "We are open {}.",
    "We're open {}",
    "Our opening hours: {}",
    "opening hours {}",
    "Open {}",
    "open {}",
    "Opening times are {}.",
    "Hours: {}",
    "hello, our hours are {}",
    "The shop is open {}.",
    "The bakery is open {}.",
    "The museum can be visited {}.",
    "The library opens {}.",
    "The surgery is open {}, please ring the bell.",
    "You can find us here {}.",
    "Visit us {}!",
    "Come by {}, no appointment needed.",
    "Café open {} :)",
    "Front desk staffed {}",
    "Please note our new hours: {}.",
    "From this week on we are open {}.",
    "Pick-up is possible {}.",
    "The market hall welcomes you {}.",
    "Workshop: {} (call first)",
    "Garden centre, {}.",
    "Customer service: {}",
    "You reach us by phone {}.",
    "The pool is open to the public {}.",
    "Hi! We serve breakfast and lunch {}.",
    "Office hours {}",
)
SEPARATORS = (", ", "; ", " and ", ". ", " / ", ", but ")
CLOSED = ("closed on {}", "closed {}", "{} closed", "we rest on {}", "no service on {}", "shut on {}")


def opening_hours(count: int, seed: int) -> list[tuple[str, str]]:
    """Pairs of what a person wrote and the normal form, no text twice."""
    generator = random.Random(seed)
    pairs: dict[str, str] = {}
    while len(pairs) < count:
        week = _week(generator)
        pairs.setdefault(_written(week, generator), normal_form(week))
    return list(pairs.items())


def normal_form(week: Week) -> str:
    """Days in order, neighbours with the same hours as a range: "Mo-Fr 09:00-12:00,13:00-17:00; Sa 10:00-14:00"."""
    parts = []
    for spans, days in _by_hours(week).items():
        hours = ",".join(f"{_clock(start)}-{_clock(end)}" for start, end in spans)
        parts.append(f"{_day_ranges(days, DAYS, '-', ',')} {hours}")
    return "; ".join(parts)


def _by_hours(week: Week) -> dict[tuple[Span, ...], list[int]]:
    days: dict[tuple[Span, ...], list[int]] = {}
    for day in sorted(week):
        days.setdefault(week[day], []).append(day)
    return days


def _week(generator: random.Random) -> Week:
    start, end = generator.randrange(7 * 60, 11 * 60, 30), generator.randrange(16 * 60, 21 * 60, 30)
    kind = generator.choices(("block", "saturday", "lunch", "closed", "list", "weekend"), (30, 25, 15, 10, 12, 8))[0]
    if kind == "block":
        first, last = generator.choice([(0, 4), (0, 5), (1, 5), (0, 6), (1, 6), (2, 6), (0, 3), (3, 5)])
        return dict.fromkeys(range(first, last + 1), ((start, end),))
    if kind == "saturday":
        other = (generator.randrange(8 * 60, 11 * 60, 30), generator.randrange(12 * 60, 16 * 60, 30))
        return dict.fromkeys(range(5), ((start, end),)) | {5: (other,)}
    if kind == "lunch":
        pause = generator.randrange(12 * 60, 13 * 60 + 30, 30)
        spans = ((start, pause), (pause + generator.choice([30, 60, 90]), end))
        return dict.fromkeys(range(generator.choice([5, 5, 6])), spans)
    if kind == "closed":
        shut = generator.randrange(7)
        return {day: ((start, end),) for day in range(7) if day != shut}
    if kind == "list":
        days = generator.choice([(0, 2, 4), (1, 3), (0, 3), (1, 4), (2, 5), (0, 2), (1, 3, 5), (2,), (5,), (4,)])
        return dict.fromkeys(days, ((start, end),))
    weekend = (start + 60, generator.choice([end - 120, end - 60]))
    return dict.fromkeys(range(5), ((start, end),)) | dict.fromkeys((5, 6), (weekend,))


def _written(week: Week, generator: random.Random) -> str:
    clock = generator.choice(CLOCKS)
    join = generator.choice(("{} to {}", "{}-{}", "{} - {}", "from {} to {}", "{} till {}", "{} until {}", "{} – {}"))
    hours_first = generator.random() < 0.2
    parts = []
    for spans, days in _by_hours(week).items():
        hours = _pause(generator).join(join.format(clock(start), clock(end)) for start, end in spans)
        named = _days(days, generator)
        parts.append(f"{hours} {named}" if hours_first else f"{named}{generator.choice([' ', ' ', ': ', ', '])}{hours}")
    text = generator.choice(SEPARATORS).join(parts)
    shut = [day for day in range(7) if day not in week]
    if shut and len(shut) <= 2 and generator.random() < 0.5:
        text += generator.choice((", ", "; ", ". ", " - ")) + generator.choice(CLOSED).format(
            _plain_days(shut, generator)
        )
    text = generator.choice(OPENERS).format(text)
    return text.lower() if generator.random() < 0.12 else text


def _days(days: Sequence[int], generator: random.Random) -> str:
    known = {
        (0, 1, 2, 3, 4): (
            "weekdays",
            "on weekdays",
            "during the week",
            "Monday to Friday",
            "Mon-Fri",
            "Mon–Fri",
            "Mo-Fr",
        ),
        (0, 1, 2, 3, 4, 5, 6): ("every day", "daily", "seven days a week", "Monday to Sunday", "all week", "7 days"),
        (5, 6): ("at weekends", "on the weekend", "Saturday and Sunday", "Sat & Sun", "Sat+Sun"),
    }
    if tuple(days) in known:
        return generator.choice(known[tuple(days)])
    if len(days) == 6 and generator.random() < 0.6:
        missing = next(day for day in range(7) if day not in days)
        return generator.choice(("every day except {}", "every day but {}", "daily, not on {},")).format(FULL[missing])
    return _plain_days(days, generator)


def _plain_days(days: Sequence[int], generator: random.Random) -> str:
    names = generator.choice((FULL, FULL, SHORT, [f"{name}s" for name in FULL]))
    to = generator.choice(("-", " - ", " to ", " through ", " till "))
    return _day_ranges(days, names, to, generator.choice((", ", " and ", " & ")))


def _day_ranges(days: Sequence[int], names: Sequence[str], to: str, between: str) -> str:
    ranges = []
    for _, group in groupby(enumerate(days), key=lambda pair: pair[1] - pair[0]):
        run = [day for _, day in group]
        joint = between if len(run) == 2 and to != "-" else to
        ranges.append(names[run[0]] if len(run) == 1 else f"{names[run[0]]}{joint}{names[run[-1]]}")
    return between.join(ranges)


def _pause(generator: random.Random) -> str:
    return generator.choice((" and ", ", ", " and again ", " & "))


# --- Ways to write a time ----------------------------------------------------------------------------------------


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _spoken(minutes: int) -> str:
    """Such as "half past nine in the morning", which says which half of the day is meant."""
    hour, rest = divmod(minutes, 60)
    if minutes == 12 * 60:
        return "noon"
    words = f"half past {NUMBERS[hour % 12]}" if rest == 30 else NUMBERS[hour % 12]
    part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    return f"{words} {part}"


def _twelve(minutes: int, minute_format: str, half: tuple[str, str]) -> str:
    hour, rest = divmod(minutes, 60)
    return f"{(hour - 1) % 12 + 1}{minute_format.format(rest) if rest else ''}{half[hour >= 12]}"


CLOCKS: tuple[Callable[[int], str], ...] = (
    _clock,
    lambda m: f"{m // 60}:{m % 60:02d}",
    lambda m: f"{m // 60}.{m % 60:02d}",
    lambda m: f"{m // 60}h{m % 60:02d}" if m % 60 else f"{m // 60}h",
    lambda m: f"{m // 60:02d}{m % 60:02d}",
    lambda m: _twelve(m, ":{:02d}", ("am", "pm")),
    lambda m: _twelve(m, ":{:02d}", (" am", " pm")),
    lambda m: _twelve(m, ".{:02d}", (" a.m.", " p.m.")),
    lambda m: _twelve(m, ":{:02d}", (" AM", " PM")),
    _spoken,
)
