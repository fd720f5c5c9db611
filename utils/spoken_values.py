"""Dates, times and amounts as people say them, and as a database compares them: 1998-05-03, 21:15, 2500.00.

`DRAWS` has a function for each group of values in `data/spoken_values.yaml`. It draws a value and returns it in ISO
form, with everything that a phrasing of the group may say of it, such as `{"ordinal": "third", "month": "may"}`. All is
in lower case and without hyphens, as in a transcript.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from random import Random

Said = tuple[str, dict[str, str]]
"""A value in ISO form, and words for it."""

SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
MONTHS = "january february march april may june july august september october november december".split()
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
NAMED_DAYS = {
    "new year's day": (1, 1),
    "valentine's day": (2, 14),
    "halloween": (10, 31),
    "christmas eve": (12, 24),
    "christmas day": (12, 25),
    "boxing day": (12, 26),
    "new year's eve": (12, 31),
}
ROUND_SUMS = {
    "half a million": 500_000,
    "a quarter of a million": 250_000,
    "three quarters of a million": 750_000,
    "a million and a half": 1_500_000,
    "a million": 1_000_000,
}
SYMBOLS = {"dollars": "$", "euros": "€", "pounds": "£"}
FIRST_YEAR, LAST_YEAR = 1950, 2039


def in_words(number: int, link: str = "") -> str:
    """A whole number from 0 to 999,999,999 in words; `link` is " and" for "two hundred and five"."""
    for size, name in ((1_000_000, "million"), (1_000, "thousand")):
        if number >= size:
            rest = number % size
            joint = link if 0 < rest < 100 else ""
            return f"{in_words(number // size, link)} {name}" + (f"{joint} {in_words(rest, link)}" if rest else "")
    if number >= 100:
        rest = number % 100
        return f"{SMALL[number // 100]} hundred" + (f"{link} {in_words(rest)}" if rest else "")
    if number < 20:
        return SMALL[number]
    return TENS[number // 10] + (f" {SMALL[number % 10]}" if number % 10 else "")


def ordinal(number: int) -> str:
    """ "twenty first" for 21."""
    start, _, last = in_words(number).rpartition(" ")
    regular = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return f"{start} {IRREGULAR_ORDINALS.get(last, regular)}".strip()


def ordinal_figures(number: int) -> str:
    """ "21st" for 21."""
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


# --- Dates -------------------------------------------------------------------------------------------------------


def _any_day(random: Random) -> Said:
    first = datetime.date(FIRST_YEAR, 1, 1).toordinal()
    last = datetime.date(LAST_YEAR, 12, 31).toordinal()
    return _date(datetime.date.fromordinal(random.randint(first, last)), random)


def _named_day(random: Random) -> Said:
    name = random.choice(list(NAMED_DAYS))
    value, words = _date(datetime.date(random.randint(FIRST_YEAR, LAST_YEAR), *NAMED_DAYS[name]), random)
    return value, words | {"named": name}


def _date(day: datetime.date, random: Random) -> Said:
    month = MONTHS[day.month - 1]
    return day.isoformat(), {
        "day": str(day.day),
        "day_words": in_words(day.day),
        "ordinal": ordinal(day.day),
        "nth": ordinal_figures(day.day),
        "month": month,
        "mon": month if len(month) < 5 else month[:3],
        "month_number": str(day.month),
        "month_ordinal": ordinal(day.month),
        "year": str(day.year),
        "year_words": _year_in_words(day.year, random),
        "yy": f"{day.year % 100:02d}",
        "weekday": WEEKDAYS[day.weekday()],
    }


def _year_in_words(year: int, random: Random) -> str:
    century, rest = divmod(year, 100)
    pair = f"{in_words(century)} {_two_figures(rest)}"
    if year < 2000:
        return pair
    long = in_words(year, random.choice(["", " and"]))
    return long if rest == 0 else random.choice([pair, long])


def _two_figures(number: int) -> str:
    """ "oh five" for 5, "fifteen" for 15."""
    return f"oh {in_words(number)}" if number < 10 else in_words(number)


# --- Times of the day --------------------------------------------------------------------------------------------


def _time(first: int, last: int) -> Callable[[Random], Said]:
    """A time whose minutes lie between these two, both included."""
    return lambda random: _clock(random.randrange(24), random.randint(first, last), random)


def _clock(hour: int, minute: int, random: Random) -> Said:
    face, following = (hour - 1) % 12 + 1, hour % 12 + 1
    return f"{hour:02d}:{minute:02d}", {
        "hour": in_words(face),
        "hour_figure": str(face),
        "hour_24": _two_figures(hour) if hour else "zero",
        "hh": f"{hour:02d}",
        "minute": in_words(minute),
        "minute_figure": str(minute),
        "minute_spoken": _two_figures(minute),
        "mm": f"{minute:02d}",
        "next": in_words(following),
        "next_figure": str(following),
        "left": in_words(60 - minute),
        "left_figure": str(60 - minute),
        "period": _period(hour, random),
        "meridiem": "am" if hour < 12 else "pm",
    }


def _period(hour: int, random: Random) -> str:
    if hour == 0 or hour > 21:
        return "at night"
    if hour < 12:
        return "in the morning"
    if hour < 18:
        return "in the afternoon"
    return "in the evening" if hour < 21 else random.choice(["in the evening", "at night"])


# --- Amounts -----------------------------------------------------------------------------------------------------


def _amount(total: int, random: Random, **words: str) -> Said:
    """An amount of `total` cents."""
    currency = random.choice(list(SYMBOLS))
    return f"{total // 100}.{total % 100:02d}", words | {"currency": currency, "symbol": SYMBOLS[currency]}


def _whole(random: Random) -> Said:
    number = _round_number(random, most_digits=5)
    return _amount(100 * number, random, **_number(number, random))


def _with_cents(random: Random) -> Said:
    number, cents = _round_number(random, most_digits=4), random.randint(2, 99)
    return _amount(100 * number + cents, random, **_number(number, random), **_cents(cents))


def _small(random: Random) -> Said:
    cents = random.randint(2, 99)
    return _amount(cents, random, **_cents(cents))


def _fractions(random: Random) -> Said:
    number = _round_number(random, most_digits=3)
    return _amount(100 * number + 50, random, **_number(number, random))


def _multiples(unit: float, first: int, last: int, step: int = 1) -> Callable[[Random], Said]:
    """So many units, from `first` to `last`; every `step`-th count is left out."""
    counts = [count for count in range(first, last + 1) if step == 1 or count % step]

    def draw(random: Random) -> Said:
        count = random.choice(counts)
        return _amount(round(100 * unit * count), random, **_count(count))

    return draw


def _half_thousands(random: Random) -> Said:
    count = random.randint(1, 99)
    return _amount(100 * (1000 * count + 500), random, **_count(count))


def _parts_of_millions(random: Random) -> Said:
    count, tenth = random.randint(1, 20), random.randint(1, 9)
    words = _count(count) | {"tenth": in_words(tenth), "tenth_figure": str(tenth)}
    return _amount(100 * (1_000_000 * count + 100_000 * tenth), random, **words)


def _round_sums(random: Random) -> Said:
    name = random.choice(list(ROUND_SUMS))
    return _amount(100 * ROUND_SUMS[name], random, round_sum=name)


def _round_number(random: Random, most_digits: int) -> int:
    """A number as people have them in mind: of any length up to the most, seldom with more than three figures."""
    digits = random.randint(1, most_digits)
    zeros = max(0, digits - random.choice([1, 2, 2, 3, 3, 4]))
    number = random.randint(10 ** (digits - zeros - 1), 10 ** (digits - zeros) - 1) * 10**zeros
    return max(2, number)


def _number(number: int, random: Random) -> dict[str, str]:
    words = in_words(number, random.choice(["", " and"]))
    if words.startswith(("one hundred", "one thousand")):
        words = random.choice([words, "a" + words.removeprefix("one")])
    return {"words": words, "figures": f"{number:,}", "plain": str(number)}


def _count(count: int) -> dict[str, str]:
    return {"count": in_words(count), "count_figure": str(count)}


def _cents(cents: int) -> dict[str, str]:
    first, second = divmod(cents, 10)
    spelt = in_words(first) if second == 0 else f"{in_words(first)} {in_words(second)}"
    return {"cents": in_words(cents), "cents_figure": str(cents), "cc": f"{cents:02d}", "cents_spelt": spelt}


DRAWS: dict[str, dict[str, Callable[[Random], Said]]] = {
    "date": {"any day": _any_day, "named day": _named_day},
    "time": {
        "any minute": _time(2, 59),
        "minutes past": _time(2, 29),
        "minutes to": _time(31, 58),
        "quarter past": _time(15, 15),
        "half past": _time(30, 30),
        "quarter to": _time(45, 45),
        "full hour": _time(0, 0),
        "noon": lambda random: _clock(12, 0, random),
        "midnight": lambda random: _clock(0, 0, random),
    },
    "amount": {
        "whole": _whole,
        "with cents": _with_cents,
        "small": _small,
        "fractions": _fractions,
        "hundreds": _multiples(100, 11, 99, step=10),
        "thousands": _multiples(1_000, 2, 99),
        "half thousands": _half_thousands,
        "millions": _multiples(1_000_000, 2, 99),
        "parts of millions": _parts_of_millions,
        "round sums": _round_sums,
    },
}
