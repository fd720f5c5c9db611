"""Shapes with GROUP BY over one table."""

from __future__ import annotations

from random import Random

from data.generator import conditions as c
from data.generator import grammar
from data.generator.lexicon import Column, Lexicon, Table
from data.generator.shapes.aggregates import aggregate, measure_name, percentage, share_condition
from data.generator.shapes.base import Draft, pick_column, pick_table, shape, where

COUNT_EACH = (
    "How many {np} are there for each {says}?",
    "Number of {np} per {says}",
    "{np} by {says}: how many?",
    "For each {says}, how many {np} are there?",
    "Count the {np} by {says}.",
    "Break the number of {np} down by {says}.",
    "I'd like to know how many {np} there are of each {says}.",
    "Could you count the {np} for every {says}?",
    "how many {np} per {says}",
    "Show every {says} with its number of {np}.",
)


def grouping(table: Table, random: Random) -> Column | None:
    return pick_column(table.categories, random)


@shape("count for each category", COUNT_EACH, weight=2)
def count_each(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = grouping(table, random)
    if not column:
        return None
    slots = {"np": c.choose_noun(table, random), "says": c.choose_says(column, random)}
    return Draft(f"SELECT {column.ref}, COUNT(*) FROM {table.name} GROUP BY {column.ref}", slots, (column,))


@shape("count for each category under a condition", COUNT_EACH)
def count_each_where(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = grouping(table, random)
    condition = c.any_condition(table, random, (column,)) if column else None
    if not column or not condition:
        return None
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition], random)
    slots = {"np": noun, "says": c.choose_says(column, random)}
    sql = f"SELECT {column.ref}, COUNT(*) FROM {table.name} WHERE {condition.sql} GROUP BY {column.ref}"
    return Draft(sql, slots, (column, *condition.columns))


@shape(
    "count for each category, most first",
    (
        "How many {np} are there for each {says}, most first?",
        "Number of {np} per {says}, from most to fewest",
        "{plural_says} by number of {np}, biggest group first",
        "Rank the {plural_says} by how many {np} they have, and show the numbers.",
        "Count the {np} by {says} and put the largest count on top.",
        "I'd like the number of {np} for every {says}, in descending order.",
        "Could you list each {says} with its number of {np}, highest number first?",
        "For each {says}, how many {np} are there? Start with the most.",
    ),
)
def count_each_ordered(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = grouping(table, random)
    if not column:
        return None
    condition = c.any_condition(table, random, (column,)) if random.random() < 0.4 else None
    says = c.choose_says(column, random)
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"np": noun, "says": says, "plural_says": grammar.plural(says)}
    parts = where([condition.sql] if condition else [])
    sql = f"SELECT {column.ref}, COUNT(*) FROM {table.name}{parts} GROUP BY {column.ref} ORDER BY COUNT(*) DESC"
    return Draft(sql, slots, (column,))


AGGREGATE_EACH = (
    "What is the {word} {measure} of {np} for each {says}?",
    "{word} {measure} of {np} per {says}",
    "{word} {measure} of {np} by {says}",
    "For each {says}, what is the {word} {measure} of the {np}?",
    "Show the {word} {measure} of the {np}, {says} by {says}.",
    "I'd like to see the {word} {measure} of {np} for every {says}.",
    "Could you give me the {word} {measure} of the {np} by {says}?",
    "Break down the {word} {measure} of {np} by {says}.",
    "Give every {says} with the {word} {measure} of its {np}.",
)


def _aggregate_each(lexicon: Lexicon, random: Random, conditional: bool) -> Draft | None:
    table = pick_table(lexicon, random)
    column, found = grouping(table, random), aggregate(table, random)
    if not column or not found:
        return None
    function, word, measure = found
    condition = c.any_condition(table, random, (column, measure)) if conditional else None
    if conditional and not condition:
        return None
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"word": word, "measure": measure_name(measure, random), "np": noun}
    slots["says"] = c.choose_says(column, random)
    parts = where([condition.sql] if condition else [])
    sql = f"SELECT {column.ref}, {function}({measure.ref}) FROM {table.name}{parts} GROUP BY {column.ref}"
    return Draft(sql, slots, (column, measure))


@shape("aggregate for each category", AGGREGATE_EACH, weight=2)
def aggregate_each(lexicon: Lexicon, random: Random) -> Draft | None:
    return _aggregate_each(lexicon, random, conditional=False)


@shape("aggregate for each category under a condition", AGGREGATE_EACH)
def aggregate_each_where(lexicon: Lexicon, random: Random) -> Draft | None:
    return _aggregate_each(lexicon, random, conditional=True)


@shape(
    "count and average for each category",
    (
        "For each {says}, how many {np} are there and what is their average {measure}?",
        "number of {np} and average {measure} per {says}",
        "How many {np} does each {says} have, and what's the average {measure}?",
        "Give me the count of {np} and their average {measure}, by {says}.",
        "Show every {says} with its number of {np} and their mean {measure}.",
        "I'd like to see, for every {says}, the number of {np} and the average {measure}.",
        "Could you break the {np} down by {says}: how many, and the average {measure}?",
        "{np} per {says}: count and average {measure}",
    ),
)
def count_and_average_each(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = grouping(table, random)
    measure = pick_column([x for x in table.numbers if "average" not in x.all_says], random)
    if not column or not measure:
        return None
    condition = c.any_condition(table, random, (column, measure)) if random.random() < 0.4 else None
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"says": c.choose_says(column, random), "measure": measure_name(measure, random), "np": noun}
    parts = where([condition.sql] if condition else [])
    sql = f"SELECT {column.ref}, COUNT(*), AVG({measure.ref}) FROM {table.name}{parts} GROUP BY {column.ref}"
    return Draft(sql, slots, (column, measure))


HAVING_COUNT = (
    "Which {says} have {bound} {np}?",
    "Which {says} have {bound} {np}?",
    "{says} with {bound} {np}",
    "List the {says} that have {bound} {np}.",
    "For which {says} are there {bound} {np}?",
    "Tell me the {says} with {bound} {np}.",
    "I'd like to know which {says} have {bound} {np}.",
    "Could you list the {says} shared by {bound} {np}?",
    "what {says} are there with {bound} {np}",
)


def count_bound(random: Random, low: int = 1, high: int = 6) -> tuple[str, str]:
    """(SQL, words) for a bound on COUNT(*)."""
    number = random.randint(low, high)
    return random.choice(
        (
            (f">= {number + 1}", f"at least {grammar.number_word(number + 1, random)}"),
            (f"> {number + 1}", f"more than {grammar.number_word(number + 1, random)}"),
            (f">= {number + 1}", f"{grammar.number_word(number + 1, random)} or more"),
            (f"< {number + 2}", f"fewer than {grammar.number_word(number + 2, random)}"),
        )
    )


@shape("categories with many rows", HAVING_COUNT)
def having_count(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = grouping(table, random)
    if not column:
        return None
    condition = c.any_condition(table, random, (column,)) if random.random() < 0.5 else None
    per_group = len(table.rows) // len(column.distinct) // (3 if condition else 1)
    bound, words = count_bound(random, 1, max(2, min(per_group, 12)))
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"says": grammar.plural(c.choose_says(column, random)), "bound": words, "np": noun}
    parts = where([condition.sql] if condition else [])
    sql = f"SELECT {column.ref} FROM {table.name}{parts} GROUP BY {column.ref} HAVING COUNT(*) {bound}"
    return Draft(sql, slots, (column,))


@shape(
    "categories with a high average",
    (
        "Which {says} have an average {measure} {bound} for their {np}?",
        "{says} where the average {measure} of the {np} is {bound}",
        "For which {says} is the average {measure} of the {np} {bound}?",
        "List the {says} whose {np} have an average {measure} {bound}.",
        "I'd like to know for which {says} the mean {measure} of {np} is {bound}.",
        "Could you tell me which {says} have {np} with an average {measure} {bound}?",
        "Show {says} with an average {measure} of {np} {bound}.",
        "Find the {says} in which the {np} average a {measure} {bound}.",
    ),
)
def having_average(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = grouping(table, random)
    measure = pick_column([x for x in table.numbers if "average" not in x.all_says], random)
    if not column or not measure or len(column.distinct) < 3 or len(measure.distinct) < 5:
        return None
    operator, words = random.choice(((">", "above"), (">", "over"), ("<", "below"), ("<", "under")))
    value = c.rounded(sum(measure.values) / len(measure.values))
    bound = f"{words} {grammar.number_text(value)}"
    slots = {"says": grammar.plural(c.choose_says(column, random)), "measure": measure_name(measure, random)}
    slots |= {"bound": bound, "np": c.choose_noun(table, random)}
    having = f"HAVING AVG({measure.ref}) {operator} {c.literal(value)}"
    return Draft(f"SELECT {column.ref} FROM {table.name} GROUP BY {column.ref} {having}", slots, (column, measure))


@shape(
    "most or least common category",
    (
        "Which {says} has the {most} {np}?",
        "{says} with the {most} {np}",
        "What is the {common} {says} among the {np}?",
        "{common} {says} of {np}?",
        "Tell me the {says} that has the {most} {np}.",
        "I'd like to know which {says} the {most} {np} have.",
        "Could you find the {says} with the {most} {np}?",
        "Which {says} occurs {often} among the {np}?",
        "Find the {common} {says} of the {np}.",
    ),
)
def most_common(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = grouping(table, random)
    if not column:
        return None
    condition = c.any_condition(table, random, (column,)) if random.random() < 0.55 else None
    most = random.random() < 0.75
    words = ("most", "most common", "most often") if most else ("fewest", "least common", "least often")
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"says": c.choose_says(column, random), "np": noun}
    slots |= dict(zip(("most", "common", "often"), words, strict=True))
    parts = where([condition.sql] if condition else [])
    order = f"ORDER BY COUNT(*){' DESC' if most else ''} LIMIT 1"
    return Draft(f"SELECT {column.ref} FROM {table.name}{parts} GROUP BY {column.ref} {order}", slots, (column,))


@shape(
    "category with the highest aggregate",
    (
        "Which {says} has the {highest} {word} {measure} of {np}?",
        "{says} with the {highest} {word} {measure} of {np}",
        "For which {says} is the {word} {measure} of {np} the {highest}?",
        "Tell me the {says} whose {np} have the {highest} {word} {measure}.",
        "I'd like to know which {says} has the {highest} {word} {measure} of {np}.",
        "Could you find the {says} with the {highest} {word} {measure} of {np}?",
        "By {word} {measure} of {np}, which {says} comes out {highest}?",
        "Going by {says}, where is the {word} {measure} of {np} {highest}?",
    ),
)
def highest_category(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column, found = grouping(table, random), aggregate(table, random)
    if not column or not found or found[0] in ("MIN", "MAX") or len(column.distinct) < 3:
        return None
    function, word, measure = found
    condition = c.any_condition(table, random, (column, measure)) if random.random() < 0.5 else None
    highest = random.random() < 0.7
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"says": c.choose_says(column, random), "word": word, "measure": measure_name(measure, random)}
    slots |= {"np": noun, "highest": "highest" if highest else "lowest"}
    parts = where([condition.sql] if condition else [])
    order = f"ORDER BY {function}({measure.ref}){' DESC' if highest else ''} LIMIT 1"
    sql = f"SELECT {column.ref} FROM {table.name}{parts} GROUP BY {column.ref} {order}"
    return Draft(sql, slots, (column, measure))


@shape(
    "percentage for each category",
    (
        "For each {says}, what percentage of the {many} {verb}?",
        "percentage of {many} that {verb}, by {says}",
        "What share of the {many} of each {says} {verb}, in percent?",
        "By {says}, what percentage of {many} {verb}?",
        "Show for every {says} the percentage of {many} that {verb}.",
        "I'd like to know, {says} by {says}, what percentage of the {many} {verb}.",
        "Could you work out for each {says} what percentage of the {many} {verb}?",
        "Give me each {says} and the percentage of its {many} that {verb}.",
    ),
)
def percentage_each(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = grouping(table, random)
    condition = share_condition(table, random, (column,)) if column else None
    if not column or not condition:
        return None
    slots = {"says": c.choose_says(column, random), "many": c.choose_noun(table, random)}
    slots |= {"verb": random.choice(condition.verbs), "that": "who" if table.person else "that"}
    sql = f"SELECT {column.ref}, {percentage(condition)} FROM {table.name} GROUP BY {column.ref}"
    return Draft(sql, slots, (column, *condition.columns))


@shape(
    "count for each year",
    (
        "How many {subject} {verb} in each year?",
        "Number of {subject} per year, going by {says}",
        "{subject} by year of {says}: how many?",
        "For each year, how many {subject} {verb}?",
        "Count the {subject} year by year, by {says}.",
        "I'd like to know how many {subject} {verb} each year.",
        "Could you tell me how many {subject} {verb} every year?",
        "how many {subject} {verb} year by year",
        "Show the number of {subject} for every year, using the {says}.",
    ),
)
def count_each_year(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column([x for x in table.of_kind("date") if not x.nulls], random)
    if not column or len({day[:4] for day in column.values}) < 2:
        return None
    condition = c.any_condition(table, random, (column,), ("category", "flag")) if random.random() < 0.4 else None
    subject = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"subject": subject, "says": column.says[0], "verb": time_verb(table, column, random)}
    year = f"strftime('%Y', {column.ref})"
    parts = where([condition.sql] if condition else [])
    return Draft(f"SELECT {year}, COUNT(*) FROM {table.name}{parts} GROUP BY {year}", slots, (column,))


def time_verb(table: Table, column: Column, random: Random) -> str:
    """ "were hired", "took place": to be followed by "in each year"; "" if there is none."""
    _, verbs = c.date_words(table, column, "@", random)
    return "" if verbs[0].startswith("have ") else verbs[0].replace(" @", "")


@shape(
    "count for each month of a year",
    (
        "How many {subject} {verb} in each month of {year}?",
        "Number of {subject} per month in {year}, by {says}",
        "{subject} month by month in {year}, going by {says}: how many?",
        "For every month of {year}, how many {subject} {verb}?",
        "Count the {subject} for each month of {year}, by {says}.",
        "I'd like a monthly count of {subject} for {year}, going by {says}.",
        "Could you tell me how many {subject} {verb} in every month of {year}?",
        "monthly number of {subject} in {year} ({says})",
    ),
)
def count_each_month(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.of_kind("date"), random)
    if not column or len(column.distinct) < 20:
        return None
    year = random.choice(column.values)[:4]
    condition = c.any_condition(table, random, (column,), ("category", "flag")) if random.random() < 0.4 else None
    subject = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"subject": subject, "says": column.says[0], "year": year, "verb": time_verb(table, column, random)}
    month = f"strftime('%Y-%m', {column.ref})"
    parts = where([*([condition.sql] if condition else []), f"strftime('%Y', {column.ref}) = '{year}'"])
    return Draft(f"SELECT {month}, COUNT(*) FROM {table.name}{parts} GROUP BY {month}", slots, (column,))


@shape(
    "year or month with the most rows",
    (
        "In which {period} {place} the {most} {np}?",
        "Which {period} had the {most} {np}?",
        "{period} with the {most} {np}",
        "What was the {period} with the {most} {np}?",
        "Find the {period} that had the {most} {np}.",
        "I'd like to know the {period} with the {most} {np}.",
        "Could you tell me in which {period} we had the {most} {np}?",
        "Tell me the {period} with the {most} {np}.",
        "When, by {period}, were there the {most} {np}?",
    ),
)
def busiest_period(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column([x for x in table.of_kind("date") if c.is_event(x) and not x.nulls], random)
    if not column or len(column.distinct) < 20:
        return None
    period, pattern = random.choice((("year", "%Y"), ("month", "%Y-%m")))
    condition = c.any_condition(table, random, (column,)) if random.random() < 0.6 else None
    most = random.random() < 0.8
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    words = "year" if period == "year" else "month (and year)"
    slots = {"period": words, "most": "most" if most else "fewest", "np": noun, "place": "were there"}
    time = f"strftime('{pattern}', {column.ref})"
    parts = where([condition.sql] if condition else [])
    order = f"ORDER BY COUNT(*){' DESC' if most else ''} LIMIT 1"
    return Draft(f"SELECT {time} FROM {table.name}{parts} GROUP BY {time} {order}", slots, (column,))


@shape(
    "aggregate for each year",
    (
        "What was the {word} {measure} of the {np} in each year?",
        "{word} {measure} of {np} per year",
        "{word} {measure} of {np}, year by year",
        "For each year, what was the {word} {measure} of {np}?",
        "Show the {word} {measure} of the {np} for every year.",
        "I'd like to see how the {word} {measure} of {np} changed from year to year.",
        "Could you give me the {word} {measure} of {np} by year?",
        "yearly {word} {measure} of {np}",
    ),
)
def aggregate_each_year(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column([x for x in table.of_kind("date") if c.is_event(x) and not x.nulls], random)
    found = aggregate(table, random)
    if not column or not found or len({day[:4] for day in column.values}) < 2:
        return None
    function, word, measure = found
    condition = c.any_condition(table, random, (column, measure)) if random.random() < 0.4 else None
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"word": word, "measure": measure_name(measure, random), "np": noun}
    year = f"strftime('%Y', {column.ref})"
    parts = where([condition.sql] if condition else [])
    return Draft(
        f"SELECT {year}, {function}({measure.ref}) FROM {table.name}{parts} GROUP BY {year}", slots, (measure,)
    )
