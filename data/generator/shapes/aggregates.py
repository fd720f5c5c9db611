"""Shapes that boil one table down to a few numbers: counts, averages, shares, sums over CASE, arithmetic."""

from __future__ import annotations

import re
from random import Random

from data.generator import conditions as c
from data.generator import grammar
from data.generator.conditions import Condition
from data.generator.lexicon import Column, Lexicon, Table
from data.generator.shapes.base import COUNT, Draft, count_draft, pick_column, pick_table, shape, where

NOT_SUMMED = re.compile(
    r"rat(e|ing)|price|per\b|percent|share|average|height|altitude|temperature|voltage|capacity|content|"
    r"stars|score|mark|discount|elevation|level|minimum|limit|lifespan|alcohol|sugar|energy|number in stock|"
    r"salary|wage|pay\b|length in kilo|budget|maximum|credits|distance|places|seats$|sleeps|peak|insured|fee$|"
    r"list|points|spares|households|listeners|age\b|rated|mileage"
)


def measure_name(column: Column, random: Random) -> str:
    """What is averaged or added up."""
    return grammar.amount_of(c.choose_says(column, random), column.kind)


QUANTITY = re.compile(r"quantity|number of (units|bottles|tickets)|tickets sold|attendance$")
PRICE_OF_ONE = re.compile(r"unit price|ticket price|price paid per|price per piece")
AVERAGE_WORDS = ("average", "average", "mean")


def summable(table: Table) -> list[Column]:
    """Numbers that make sense added up over many rows."""
    event = not table.titles or table.titles[0].kind == "id"
    found = []
    for column in table.numbers:
        fee = event and re.search(
            r"^(fee|price|charge|fare|cost|amount|takings|gross|net|damage|income)", column.says[0]
        )
        weighing = "weigh" in table.one or ("weight" in column.says[0] and not event)
        if (fee or not NOT_SUMMED.search(column.says[0])) and not weighing:
            found.append(column)
    return found


def aggregate(table: Table, random: Random) -> tuple[str, str, Column] | None:
    """(SQL function, word for it, column): AVG of any number, SUM of what adds up, MIN or MAX."""
    function = random.choice(("AVG", "AVG", "SUM", "MIN", "MAX"))
    column = pick_column(summable(table) if function == "SUM" else table.numbers, random)
    if not column:
        return None
    words = {
        "AVG": random.choice(AVERAGE_WORDS),
        "SUM": "total",
        "MIN": random.choice((grammar.extreme_words(column.says[0])[1], "lowest", "minimum", "smallest")),
        "MAX": random.choice((grammar.extreme_words(column.says[0])[0], "highest", "maximum", "largest")),
    }
    word = words[function]
    if "average" in column.all_says and word in AVERAGE_WORDS:
        return None
    if re.search(r"(min|max)imum", column.all_says) and function in ("MIN", "MAX"):
        word = "lowest" if function == "MIN" else "highest"
    return function, word, column


@shape(
    "count of all rows",
    (
        "How many {many} are there?",
        "How many {many} do we have in all?",
        "Number of {many}",
        "total number of {many}?",
        "Count the {many}.",
        "Could you tell me how many {many} there are altogether?",
        "I'd like to know the number of {many}.",
        "What's the total count of {many}?",
        "how many {many} are on record",
        "{many}: how many are there?",
    ),
)
def count_all(lexicon: Lexicon, random: Random) -> Draft | None:
    table = random.choice(list(lexicon.tables.values()))
    return Draft(f"SELECT COUNT(*) FROM {table.name}", {"many": c.choose_noun(table, random)})


@shape("count of rows with a condition", COUNT, weight=2)
def count_where(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    return count_draft(table, [c.any_condition(table, random)], random)


@shape("count of rows with a missing or known value", COUNT)
def count_null(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column([x for x in table.columns.values() if x.nulls and x.kind != "key"], random)
    return count_draft(table, [c.null_condition(column, random)], random) if column else None


@shape("count of rows with two conditions", COUNT, weight=2)
def count_two_conditions(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    first = c.any_condition(table, random)
    second = c.any_condition(table, random, without=first.columns) if first else None
    return count_draft(table, [first, second], random)


@shape(
    "count of different values",
    (
        "How many different {says} are there among the {np}?",
        "How many different {says} do the {np} have?",
        "Number of different {says} of {np}",
        "Count the distinct {says} of the {np}.",
        "I'd like to know how many different {says} occur among the {np}.",
        "Could you count the different {says} of {np}?",
        "how many distinct {says} among {np}",
        "Among the {np}, how many different {says} are there?",
        "What is the number of distinct {says} among the {np}?",
    ),
)
def count_different(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column([x for x in table.of_kind("category") if len(x.distinct) > 2], random)
    if not column:
        return None
    condition = c.any_condition(table, random, without=(column,)) if random.random() < 0.5 else None
    np = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"says": grammar.plural(c.choose_says(column, random)), "np": np}
    parts = where([condition.sql] if condition else [])
    return Draft(f"SELECT COUNT(DISTINCT {column.ref}) FROM {table.name}{parts}", slots, (column,))


AGGREGATE = (
    "What is the {word} {says} of {np}?",
    "What's the {word} {says} of the {np}?",
    "{word} {says} of {np}",
    "{word} {says} of {np}?",
    "Give me the {word} {says} of the {np}.",
    "Could you work out the {word} {says} of the {np}?",
    "I'd like to know the {word} {says} of {np}.",
    "For {np}, what is the {word} {says}?",
    "Tell me the {word} {says} among the {np}.",
    "Looking at the {np}, what's the {word} {says}?",
)


@shape("aggregate of a column", AGGREGATE)
def aggregate_all(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    found = aggregate(table, random)
    if not found:
        return None
    function, word, column = found
    noun = c.choose_noun(table, random)
    slots = {"word": word, "says": measure_name(column, random), "np": noun}
    return Draft(f"SELECT {function}({column.ref}) FROM {table.name}", slots, (column,))


@shape("aggregate of a column under a condition", AGGREGATE, weight=2)
def aggregate_where(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    found = aggregate(table, random)
    condition = c.any_condition(table, random, without=(found[2],)) if found else None
    if not found or not condition:
        return None
    function, word, column = found
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition], random)
    slots = {"word": word, "says": measure_name(column, random), "np": noun}
    sql = f"SELECT {function}({column.ref}) FROM {table.name} WHERE {condition.sql}"
    return Draft(sql, slots, (column, *condition.columns))


@shape("aggregate of a column under two conditions", AGGREGATE)
def aggregate_two_conditions(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    found = aggregate(table, random)
    first = c.any_condition(table, random, (found[2],), ("category", "flag")) if found else None
    second = c.any_condition(table, random, (found[2], *first.columns)) if found and first else None
    if not found or not first or not second:
        return None
    function, word, column = found
    noun = c.noun_phrase(table, c.choose_noun(table, random), [first, second], random)
    slots = {"word": word, "says": measure_name(column, random), "np": noun}
    sql = f"SELECT {function}({column.ref}) FROM {table.name} WHERE {first.sql} AND {second.sql}"
    return Draft(sql, slots, (column, *first.columns, *second.columns))


@shape(
    "lowest, average and highest",
    (
        "What are the {low}, average and {high} {says} of the {np}?",
        "{low}, average and {high} {says} of {np}",
        "Give me the minimum, the average and the maximum {says} of {np}.",
        "For the {np}: {low}, average and {high} {says}, please.",
        "I'd like to know the smallest, the mean and the largest {says} among the {np}.",
        "Could you give me the minimum, mean and maximum {says} of the {np}?",
        "Show the {low} {says} of the {np}, then the average, then the {high}.",
        "min, average and max {says} for {np}?",
    ),
)
def three_aggregates(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column([x for x in table.numbers if "average" not in x.all_says], random)
    if not column:
        return None
    condition = c.any_condition(table, random, without=(column,)) if random.random() < 0.6 else None
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"says": measure_name(column, random), "np": noun}
    slots["high"], slots["low"] = grammar.extreme_words(slots["says"])
    ref, parts = column.ref, where([condition.sql] if condition else [])
    return Draft(f"SELECT MIN({ref}), AVG({ref}), MAX({ref}) FROM {table.name}{parts}", slots, (column,))


@shape(
    "gap between highest and lowest",
    (
        "What is the difference between the {high} and the {low} {says} of the {np}?",
        "How far apart are the {high} and the {low} {says} of {np}?",
        "gap between {high} and {low} {says} of {np}",
        "By how much does the {high} {says} of the {np} exceed the {low}?",
        "I'd like to know the spread of the {says} of {np}: {high} minus {low}.",
        "Could you subtract the {low} {says} from the {high} for the {np}?",
        "Among {np}, how big is the gap between the {high} and the {low} {says}?",
        "{high} minus {low} {says}, {np}",
    ),
)
def gap(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.numbers, random)
    if not column:
        return None
    condition = c.any_condition(table, random, without=(column,)) if random.random() < 0.6 else None
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"says": measure_name(column, random), "np": noun}
    slots["high"], slots["low"] = grammar.extreme_words(slots["says"])
    parts = where([condition.sql] if condition else [])
    return Draft(f"SELECT MAX({column.ref}) - MIN({column.ref}) FROM {table.name}{parts}", slots, (column,))


@shape(
    "first or last date",
    (
        "When was the {event_latest} of the {np}?",
        "When did the {event_latest} of the {np} take place?",
        "What is the {latest} {says} among the {np}?",
        "{latest} {says} of {np}",
        "Give me the {latest} {says} of the {np}.",
        "I'd like to know the {latest} {says} of all {np}.",
        "Could you find the {latest} {says} for {np}?",
        "Tell me the {latest} {says} that any of the {np} has.",
        "Of all {np}, what's the {latest} {says}?",
        "{latest} {says} among {np}?",
    ),
)
def first_or_last_date(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.of_kind("date"), random)
    condition = c.any_condition(table, random, (column,), ("category", "flag", "money", "count")) if column else None
    if not column or not condition:
        return None
    last = random.random() < 0.5
    words = ("latest", "most recent") if last else ("earliest", "very first")
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition], random)
    slots = {"latest": random.choice(words), "says": c.choose_says(column, random), "np": noun}
    if c.is_event(column):
        slots["event_latest"] = slots["latest"]
    else:
        slots["latest"] = words[0]
    function = "MAX" if last else "MIN"
    sql = f"SELECT {function}({column.ref}) FROM {table.name} WHERE {condition.sql}"
    return Draft(sql, slots, (column, *condition.columns))


def share_condition(table: Table, random: Random, without: tuple[Column, ...] = ()) -> Condition | None:
    """A condition on a column without missing values, so that the share of all rows is well defined."""
    complete = tuple(column for column in table.columns.values() if column.nulls)
    return c.any_condition(table, random, (*without, *complete))


def percentage(condition: Condition) -> str:
    return f"100.0 * SUM(CASE WHEN {condition.sql} THEN 1 ELSE 0 END) / COUNT(*)"


@shape(
    "percentage of rows",
    (
        "What percentage of the {many} {verb}?",
        "What percentage of {many} {verb}?",
        "What share of the {many} {verb}, in percent?",
        "percentage of {many} that {verb}",
        "What percent of the {many} {verb}?",
        "Of all {many}, what percentage {verb}?",
        "Could you work out what percentage of the {many} {verb}?",
        "I'd like to know the percentage of {many} that {verb}.",
        "Give me the share, in percent, of {many} that {verb}.",
    ),
)
def percentage_of_rows(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    condition = share_condition(table, random)
    if not condition:
        return None
    slots = {"many": c.choose_noun(table, random), "verb": random.choice(condition.verbs)}
    slots["that"] = "who" if table.person else "that"
    return Draft(f"SELECT {percentage(condition)} FROM {table.name}", slots, condition.columns)


@shape(
    "counts on both sides of a condition",
    (
        "How many {many} {verb}, and how many do not?",
        "Count the {many} that {verb} and those that don't.",
        "{many} that {verb} against those that do not: how many of each?",
        "I'd like two numbers: the {many} that {verb}, and the {many} that do not.",
        "Could you count the {many} that {verb} and, next to it, the ones that do not?",
        "How many of the {many} {verb}, compared with how many that do not?",
        "number of {many} that {verb} and number that do not",
        "Give me both counts: {many} that {verb}, and all other {many}.",
    ),
)
def both_sides(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    columns = [x for x in table.numbers if not x.nulls and len(x.distinct) > 3]
    column = pick_column(columns, random)
    condition = c.number_condition(column, random, random.choice((">", "<", ">=", "<="))) if column else None
    verbs = [verb for verb in condition.verbs if not verb.startswith("are ")] if condition else []
    if not verbs:
        return None
    other = condition.sql
    for sign, opposite in ((" >= ", " < "), (" <= ", " > "), (" > ", " <= "), (" < ", " >= ")):
        if sign in other:
            other = other.replace(sign, opposite)
            break
    slots = {"many": c.choose_noun(table, random), "verb": random.choice(verbs)}
    slots["that"] = "who" if table.person else "that"
    sides = [f"SUM(CASE WHEN {side} THEN 1 ELSE 0 END)" for side in (condition.sql, other)]
    return Draft(f"SELECT {sides[0]}, {sides[1]} FROM {table.name}", slots, condition.columns)


@shape(
    "label by a bound",
    (
        "List the {many} and mark each as '{high}' if its {says} is over {value}, otherwise as '{low}'.",
        "For each {one}, show the {name} and '{high}' when the {says} is above {value}, '{low}' when it isn't.",
        "Label every {one} '{high}' ({says} over {value}) or '{low}'.",
        "{many} with a label: '{high}' for a {says} over {value}, '{low}' for the rest",
        "Could you tag each {one} as '{high}' or '{low}'? A {says} above {value} counts as {high}.",
        "I'd like every {one} by {name}, with '{high}' if the {says} is more than {value} and '{low}' if not.",
        "Show all {many}; call those with a {says} over {value} '{high}' and the others '{low}'.",
        "Sort the {many} into '{high}' and '{low}': {high} means a {says} above {value}. Give {name} and label.",
    ),
)
def label_rows(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = pick_column([x for x in table.numbers if not x.nulls and len(x.distinct) > 5], random)
    condition = c.number_condition(column, random, ">") if column else None
    if not condition or grammar.is_plural(column.says[0]):
        return None
    high, low = random.choice((("high", "low"), ("big", "small"), ("above", "below"), ("A", "B")))
    if "expensive" in (column.more or ""):
        high, low = "expensive", "cheap"
    elif "weight" in column.says[0]:
        high, low = "heavy", "light"
    elif re.match(r"length|duration|running|playing", column.says[0]):
        high, low = "long", "short"
    value = condition.sql.split(" > ")[1]
    slots = {"many": c.choose_noun(table, random), "one": table.one, "name": table.title_noun}
    slots |= {"high": high, "low": low, "says": column.says[0], "value": value}
    case = f"CASE WHEN {column.ref} > {value} THEN '{high}' ELSE '{low}' END"
    return Draft(f"SELECT {table.title_sql}, {case} FROM {table.name}", slots, (column,))


@shape(
    "price after a discount",
    (
        "What would the {says} of {name} be after a {percent} percent discount?",
        "{says} of {name} with {percent}% off",
        "If we took {percent} percent off, what would be the {says} of {name}?",
        "How much is the {says} of {name} less {percent} percent?",
        "Work out the {says} of {name} reduced by {percent} percent.",
        "I'd like to know the {says} of {name} if it fell by {percent} percent.",
        "Could you calculate the {says} of {name} minus {percent}%?",
        "{name}: {says} minus {percent} percent?",
    ),
)
def discounted(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column, found = pick_column([x for x in table.of_kind("money") if x.is_number], random), c.named(table, random)
    if (
        not column
        or not found
        or table.person
        or not re.match(r"price|cost|fee|list price|entry|ticket", column.says[0])
    ):
        return None
    sql, name = found
    percent, factor = random.choice(((10, "0.9"), (20, "0.8"), (25, "0.75"), (5, "0.95"), (50, "0.5")))
    slots = {"says": c.choose_says(column, random), "name": name, "percent": str(percent)}
    return Draft(f"SELECT {column.ref} * {factor} FROM {table.name} WHERE {sql}", slots, (column,))


def product(table: Table) -> tuple[Column, Column] | None:
    """Two columns whose product is an amount of money: a quantity and a price for one."""
    quantity = [x for x in table.of_kind("count") if re.match(QUANTITY, x.says[0])]
    price = [x for x in table.of_kind("money") if re.match(PRICE_OF_ONE, x.says[0])]
    stock = [x for x in table.of_kind("count") if re.match(r"number in stock|stock$|bottles in stock", x.says[0])]
    list_price = [x for x in table.of_kind("money") if re.match(r"price", x.says[0])]
    if quantity and price:
        return quantity[0], price[0]
    return (stock[0], list_price[0]) if stock and list_price else None


@shape(
    "sum of a product of two columns",
    (
        "What is the total of {quantity} times {price} over the {np}?",
        "total value of {np} ({quantity} times {price})",
        "How much money is that for the {np}, multiplying {quantity} by {price}?",
        "Add up {quantity} times {price} for the {np}.",
        "What do the {np} come to in money, {quantity} times {price}?",
        "I'd like the overall value of {np}: {price} times {quantity}, summed.",
        "Could you compute the total value of {np}, that is {quantity} multiplied by {price}?",
        "For {np}: sum of {price} times {quantity}",
    ),
)
def sum_of_product(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    found = product(table)
    if not found:
        return None
    condition = c.any_condition(table, random, found) if random.random() < 0.8 else None
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    quantity, price = found
    slots = {"quantity": quantity.says[0], "price": price.says[0], "np": noun}
    sql = f"SELECT SUM({quantity.ref} * {price.ref}) FROM {table.name}{where([condition.sql] if condition else [])}"
    return Draft(sql, slots, found)


@shape(
    "difference of two columns",
    (
        "What is the difference between the {first} and the {second} of {name}?",
        "{name}: {first} minus {second}?",
        "By how much does the {first} of {name} exceed the {second}?",
        "How far apart are the {first} and the {second} of {name}?",
        "Subtract the {second} of {name} from the {first}.",
        "I'd like to know the {first} of {name} less the {second}.",
        "Could you work out {first} minus {second} for {name}?",
        "{first} minus {second} of {name}",
    ),
)
def difference_of_columns(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    columns = [x for x in table.numbers if x.kind != "count" and x.unit]
    pairs = [(x, y) for x in columns for y in columns if x is not y and _alike(x, y)]
    found = c.named(table, random)
    if not pairs or not found:
        return None
    first, second = random.choice(pairs)
    if sum(first.values) < sum(second.values):
        first, second = second, first
    sql, name = found
    slots = {"first": first.says[0], "second": second.says[0], "name": name}
    return Draft(f"SELECT {first.ref} - {second.ref} FROM {table.name} WHERE {sql}", slots, (first, second))


@shape(
    "days between two dates",
    (
        "How many days lie between the {first} and the {second}, on average, for the {np}?",
        "average number of days from {first} to {second} for {np}",
        "On average, how many days pass from the {first} to the {second} of {np}?",
        "For the {np}, what's the average number of days between {first} and {second}?",
        "I'd like to know the mean number of days from {first} to {second} over the {np}.",
        "Could you work out the average gap in days between the {first} and the {second} of {np}?",
        "Average time in days between {first} and {second}, {np}",
        "How long is it on average, in days, from {first} to {second} for {np}?",
    ),
)
def days_between(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    dates = [x for x in table.of_kind("date") if "birth" not in x.all_says]
    if len(dates) < 2:
        return None
    first, second = sorted(random.sample(dates, 2), key=lambda x: (sorted(x.values)[len(x.values) // 2], x.name))
    rows = [(row[first.name], row[second.name]) for row in table.rows]
    if any(start and end and start > end for start, end in rows):
        return None
    condition = c.any_condition(table, random, (first, second)) if random.random() < 0.7 else None
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"first": first.says[0], "second": second.says[0], "np": noun}
    days = f"AVG(julianday({second.ref}) - julianday({first.ref}))"
    return Draft(
        f"SELECT {days} FROM {table.name}{where([condition.sql] if condition else [])}", slots, (first, second)
    )


def _alike(first: Column, second: Column) -> bool:
    return first.unit == second.unit and first.kind == second.kind


@shape(
    "count by size",
    (
        "Sort the {many} into {low} ({says} under {first}), {middle} (under {second}) and {high}; count each.",
        "How many {many} are {low}, {middle} or {high}? {low} is a {says} under {first}, {middle} under {second}.",
        "count the {many} by {says}: {low} below {first}, {middle} below {second}, {high} from there on",
        "Split the {many} by {says} into {low} (below {first}), {middle} (below {second}) and {high}: how many each?",
        "I'd like the {many} counted by {says}: {low} under {first}, {middle} under {second}, {high} otherwise.",
        "Could you count the {many} as {low} (a {says} under {first}), {middle} (under {second}) and {high}?",
        "Label the {many} {low}, {middle} or {high} ({says} under {first}, under {second}, or more); count each label.",
        "Number of {low}, {middle} and {high} {many}, with limits of {first} and {second} for the {says}",
    ),
)
def count_by_size(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column([x for x in table.numbers if not x.nulls and len(x.distinct) > 6], random)
    if not column or grammar.is_plural(column.says[0]):
        return None
    values = sorted(column.values)
    first, second = (c.rounded(values[int(len(values) * share)]) for share in (0.35, 0.7))
    if not 0 < first < second:
        return None
    low, middle, high = random.choice((("low", "medium", "high"), ("small", "medium", "large"), ("A", "B", "C")))
    slots = {"many": c.choose_noun(table, random), "says": column.says[0]}
    slots |= {"low": f"'{low}'", "middle": f"'{middle}'", "high": f"'{high}'"}
    slots |= {"first": grammar.number_text(first), "second": grammar.number_text(second)}
    case = (
        f"CASE WHEN {column.ref} < {c.literal(first)} THEN '{low}' "
        f"WHEN {column.ref} < {c.literal(second)} THEN '{middle}' ELSE '{high}' END"
    )
    return Draft(f"SELECT {case}, COUNT(*) FROM {table.name} GROUP BY {case}", slots, (column,))


@shape(
    "percentage of a total",
    (
        "What percentage of the total {says} of all {many} comes from {np}?",
        "share of the total {says} of {many} that is due to {np}, in percent",
        "How much of the total {says} of the {many}, in percent, is that of {np}?",
        "Of the total {says} of all {many}, what percentage is from {np}?",
        "I'd like to know what percentage of the overall {says} of {many} comes from {np}.",
        "Could you work out what percentage of the total {says} of {many} comes from {np}?",
        "Give me the part of the total {says}, in percent, that {np} make up among all {many}.",
        "percentage of total {says} made up by {np}",
    ),
)
def percentage_of_total(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(summable(table), random)
    condition = share_condition(table, random, (column,)) if column else None
    if not column or not condition:
        return None
    noun = c.choose_noun(table, random)
    slots = {"many": noun, "np": c.noun_phrase(table, noun, [condition], random), "says": measure_name(column, random)}
    part = f"SUM(CASE WHEN {condition.sql} THEN {column.ref} ELSE 0 END)"
    sql = f"SELECT 100.0 * {part} / SUM({column.ref}) FROM {table.name}"
    return Draft(sql, slots, (column, *condition.columns))
