"""Shapes that return rows or columns of one table: lookups, filters, distinct values, order and rank."""

from __future__ import annotations

from random import Random

from data.generator import conditions as c
from data.generator import grammar
from data.generator.lexicon import NUMBER_KINDS, Column, Lexicon, Table
from data.generator.shapes.base import (
    LIST,
    LIST_COLUMNS,
    Draft,
    extreme,
    list_draft,
    not_null,
    pick_column,
    pick_table,
    shape,
    sortable,
    where,
)

LOOKUP = (
    "What is the {says} of {name}?",
    "{name}: {says}?",
    "{says} of {name}",
    "What's the {says} of {name}?",
    "Tell me the {says} of {name}.",
    "I need the {says} of {name}.",
    "Can you look up the {says} of {name}?",
    "What {says} does {name} have?",
    "Do you know the {says} of {name}?",
    "What is {name}'s {says}?",
    "{name}'s {says}, please",
    "When was {name} {participle}?",
    "When was {name} {participle}?",
    "When did {name} {base}?",
    "When did {name} {base}?",
    "On what date did {name} {base}?",
    "On which date was {name} {participle}?",
)


def _told(table: Table) -> list[Column]:
    """Columns that people ask about when they know the row's name."""
    return [
        column
        for column in table.columns.values()
        if column.kind in ("category", "text", "date", "year", "time", *NUMBER_KINDS)
        or (column.kind == "name" and column not in table.titles)
    ]


@shape("value of a named row", LOOKUP, weight=2)
def value_of_named(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column, found = pick_column(_told(table), random), c.named(table, random)
    if not column or not found:
        return None
    sql, name = found
    slots = {"says": c.choose_says(column, random), "name": name}
    if grammar.is_plural(slots["says"]):
        return None
    if column.kind in ("date", "year"):
        participle, _, base = c.date_verb(column)
        if column.kind == "date":
            slots |= {"participle": participle or "", "base": base or ""}
    return Draft(f"SELECT {column.ref} FROM {table.name} WHERE {sql}", slots, (column,))


@shape(
    "two values of a named row",
    (
        "What are the {first} and the {second} of {name}?",
        "{first} and {second} of {name}",
        "{name}: {first} and {second}?",
        "Give me the {first} and {second} of {name}.",
        "I'd like to know the {first} and the {second} of {name}.",
        "Could you look up the {first} and {second} of {name}?",
        "For {name}, what are the {first} and the {second}?",
        "Tell me both the {first} and the {second} of {name}.",
        "please show {first} and {second} for {name}",
    ),
)
def two_values_of_named(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    columns, found = _told(table), c.named(table, random)
    if len(columns) < 2 or not found:
        return None
    first, second = random.sample(columns, 2)
    sql, name = found
    slots = {"first": c.choose_says(first, random), "second": c.choose_says(second, random), "name": name}
    return Draft(f"SELECT {first.ref}, {second.ref} FROM {table.name} WHERE {sql}", slots, (first, second))


@shape("rows compared with a number", LIST, LIST_COLUMNS, weight=2)
def rows_compared(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.numbers, random)
    operator = random.choice((">", ">", "<", "<", ">=", "<="))
    return list_draft(table, [c.number_condition(column, random, operator)], random) if column else None


@shape("rows between two numbers", LIST, LIST_COLUMNS)
def rows_between(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.numbers, random)
    return list_draft(table, [c.number_condition(column, random, "BETWEEN")], random) if column else None


@shape("rows with an exact number", LIST, LIST_COLUMNS)
def rows_exact(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.of_kind("count"), random)
    return list_draft(table, [c.equal_number(column, random)], random) if column else None


@shape("rows of a category", LIST, LIST_COLUMNS, weight=2)
def rows_of_category(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.of_kind("category"), random)
    return list_draft(table, [c.category_condition(table, column, random)], random) if column else None


@shape("rows not of a category", LIST, LIST_COLUMNS)
def rows_not_of_category(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.of_kind("category"), random)
    return list_draft(table, [c.category_condition(table, column, random, "<>")], random) if column else None


@shape("rows of one of several categories", LIST, LIST_COLUMNS)
def rows_of_categories(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.of_kind("category"), random)
    return list_draft(table, [c.category_condition(table, column, random, "IN")], random) if column else None


@shape("rows whose name is like", LIST)
def rows_like(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    columns = [column for column in (*table.titles[-1:], *table.of_kind("name", "text")) if column.kind != "id"]
    column = pick_column(columns, random)
    return list_draft(table, [c.like_condition(column, random)], random) if column else None


@shape("rows without a value", LIST, LIST_COLUMNS)
def rows_null(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column([x for x in table.columns.values() if x.nulls and x.kind != "key"], random)
    return list_draft(table, [c.null_condition(column, random, missing=True)], random) if column else None


@shape("rows with a value", LIST, LIST_COLUMNS)
def rows_not_null(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column([x for x in table.columns.values() if x.nulls and x.kind != "key"], random)
    return list_draft(table, [c.null_condition(column, random, missing=False)], random) if column else None


@shape("rows that belong to nothing", LIST, LIST_COLUMNS)
def rows_without_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    links = [link for link in lexicon.links if link.column.nulls and link.alone]
    if not links:
        return None
    link = random.choice(links)
    says = link.role if link.to_itself else link.parent.one
    posts = (("with", f"no {says}"), ("plain", f"without {grammar.a(says)}"), ("with", f"no {says} on record"))
    verbs = (f"have no {says}", f"do not have {grammar.a(says)}", f"have no {says} on file")
    condition = c.Condition(f"{link.column.ref} IS NULL", posts, verbs, (link.column,))
    return list_draft(link.child, [condition], random)


@shape("rows by the time of day", LIST, LIST_COLUMNS)
def rows_by_time_of_day(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.of_kind("time"), random)
    if not column:
        return None
    time = random.choice(column.values)[:2] + ":00"
    operator, word = random.choice((("<", "before"), (">", "after"), (">=", "at or after"), ("<=", "no later than")))
    when = f"{grammar.a(c.choose_says(column, random))} {word} {time}"
    condition = c.Condition(f"{column.ref} {operator} '{time}'", (("with", when),), (f"have {when}",), (column,))
    return list_draft(table, [condition], random)


@shape("rows with a flag", LIST, LIST_COLUMNS)
def rows_flag(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.of_kind("flag"), random)
    return list_draft(table, [c.flag_condition(column, random)], random) if column else None


@shape("rows of a year or month", LIST, LIST_COLUMNS, weight=2)
def rows_of_time(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.of_kind("date", "year"), random)
    form = random.choice(("year", "month", "month", "any month", "on"))
    return list_draft(table, [c.date_condition(table, column, random, form)], random) if column else None


@shape("rows before, after or between dates", LIST, LIST_COLUMNS)
def rows_bounded_in_time(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column(table.of_kind("date", "year"), random)
    form = random.choice(("before", "before year", "after", "since", "until", "between", "between"))
    return list_draft(table, [c.date_condition(table, column, random, form)], random) if column else None


@shape("rows with two conditions", LIST, LIST_COLUMNS, weight=2)
def rows_two_conditions(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    first = c.any_condition(table, random)
    second = c.any_condition(table, random, without=first.columns) if first else None
    return list_draft(table, [first, second], random)


@shape("rows with three conditions", LIST, LIST_COLUMNS)
def rows_three_conditions(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    first = c.any_condition(table, random, kinds=("category",))
    second = c.any_condition(table, random, first.columns, ("date", "year", "flag")) if first else None
    third = c.any_condition(table, random, (*first.columns, *second.columns)) if first and second else None
    return list_draft(table, [first, second, third], random)


@shape(
    "rows with one condition or another",
    (
        "Which {many} {first} or {second}?",
        "Which {many} {first}, or {second}?",
        "Who {who_first} or {who_second}?",
        "List the {many} that {first} or {second}.",
        "Give me the {names} of {many} that either {first} or {second}.",
        "I'd like all {many} that {first}, as well as those that {second}.",
        "Could you tell me which {many} either {first} or {second}?",
        "{many} that {first} or {second}",
        "Show the {many} for which one of these is true: they {first}, or they {second}.",
        "find {many} that {first} or {second}",
    ),
)
def rows_either(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    first = c.any_condition(table, random)
    second = c.any_condition(table, random, without=first.columns) if first else None
    if not first or not second:
        return None
    words = random.choice(first.verbs), random.choice(second.verbs)
    slots = {"many": c.choose_noun(table, random), "first": words[0], "second": words[1]}
    slots |= {"names": grammar.plural(table.title_noun), "that": "who" if table.person else "that"}
    if table.person and "their" not in " ".join(words):
        slots["who_first"], slots["who_second"] = map(grammar.singular_verb, words)
    sql = f"SELECT {table.title_sql} FROM {table.name} WHERE {first.sql} OR {second.sql}"
    return Draft(sql, slots, (*first.columns, *second.columns))


@shape(
    "different values",
    (
        "What different {says} are there among the {many}?",
        "Which {says} occur among the {many}?",
        "List the different {says} of the {many}.",
        "all {says} of {many}, each once",
        "Give me every distinct {one_says} of the {many}.",
        "What {says} do our {many} have? Each just once.",
        "I'd like to see which {says} there are for {many}, without repeats.",
        "{says} found among the {many}, no duplicates",
        "Could you list the various {says} of the {many}?",
        "what are the possible {says} of {many}?",
    ),
)
def different_values(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column([x for x in table.of_kind("category") if not x.nulls], random)
    if not column:
        return None
    says = c.choose_says(column, random)
    slots = {"says": grammar.plural(says), "one_says": says, "many": c.choose_noun(table, random)}
    return Draft(f"SELECT DISTINCT {column.ref} FROM {table.name}", slots, (column,))


@shape(
    "different values under a condition",
    (
        "What different {says} do the {np} have?",
        "Which {says} occur among the {np}?",
        "List the different {says} of the {np}.",
        "{says} of {np}, each once",
        "Give me every distinct {one_says} among the {np}.",
        "I'd like to know which {says} the {np} have, without repeats.",
        "Could you list the various {says} of {np}?",
        "different {says} of {np}?",
    ),
)
def different_values_where(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = pick_column([x for x in table.of_kind("category") if not x.nulls], random)
    condition = c.any_condition(table, random, without=(column,)) if column else None
    if not column or not condition:
        return None
    says = c.choose_says(column, random)
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition], random)
    slots = {"says": grammar.plural(says), "one_says": says, "np": noun}
    sql = f"SELECT DISTINCT {column.ref} FROM {table.name} WHERE {condition.sql}"
    return Draft(sql, slots, (column, *condition.columns))


@shape(
    "names with another column",
    (
        "List all {many} with their {says}.",
        "{many} and their {says}",
        "What are the {names} and {says} of all {many}?",
        "Give me every {one} along with its {one_says}.",
        "I'd like a list of the {many} with the {one_says} of each.",
        "Could you show me the {names} of the {many} and their {says}?",
        "For each {one}, show the {name} and the {one_says}.",
        "{names} and {says} of the {many}, please",
        "Show each {one} with the {one_says}.",
    ),
)
def names_with_column(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = pick_column([x for x in _told(table) if not x.nulls], random)
    if not column:
        return None
    says = c.choose_says(column, random)
    slots = _named_slots(table, random) | {"says": grammar.plural(says), "one_says": says}
    return Draft(f"SELECT {table.title_sql}, {column.ref} FROM {table.name}", slots, (column,))


@shape(
    "names with another column under a condition",
    (
        "What are the {names} and {says} of the {np}?",
        "List the {np} with their {says}.",
        "{np} and their {says}",
        "Give me the {name} and {one_says} of each of the {np}.",
        "I'd like to see the {np} along with their {says}.",
        "Could you list {np}, showing {name} and {one_says}?",
        "Which {subject} {verb}? Include the {one_says} of each.",
        "show {name} and {one_says} for {np}",
        "For all {np}: {name} and {one_says}, please.",
    ),
)
def names_with_column_where(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = pick_column([x for x in _told(table) if not x.nulls], random)
    condition = c.any_condition(table, random, without=(column,)) if column else None
    if not column or not condition:
        return None
    says, noun = c.choose_says(column, random), c.choose_noun(table, random)
    slots = _named_slots(table, random) | {"says": grammar.plural(says), "one_says": says, "subject": noun}
    slots |= {"np": c.noun_phrase(table, noun, [condition], random), "verb": random.choice(condition.verbs)}
    sql = f"SELECT {table.title_sql}, {column.ref} FROM {table.name} WHERE {condition.sql}"
    return Draft(sql, slots, (column, *condition.columns))


@shape(
    "rows in order",
    (
        "List the {np} by {says}, {highest} first.",
        "{np} sorted by {says}, {highest} first",
        "Show all {np} in order of {says}, starting with the {highest}.",
        "Give me the {names} of the {np}, {highest} {says} first.",
        "I'd like the {np} ranked by {says}, from {highest} to {other}.",
        "Can you sort the {np} by {says}, {highest} to {other}?",
        "{names} of {np}, ordered by {says} ({highest} first)",
        "Put the {np} in order of {says}, {highest} first, please.",
        "What are the {names} of the {np}, from {highest} to {other} {says}?",
    ),
)
def rows_in_order(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = pick_column([x for x in sortable(table) if not x.nulls], random)
    if not column:
        return None
    condition = c.any_condition(table, random, without=(column,)) if random.random() < 0.6 else None
    descending = random.random() < 0.5
    ends = ("latest", "earliest") if column.kind in ("date", "year") else ("highest", "lowest")
    high, low = ends if descending else ends[::-1]
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"np": noun, "says": c.choose_says(column, random), "highest": high, "other": low}
    slots["names"] = grammar.plural(table.title_noun)
    order = f" ORDER BY {column.ref}{' DESC' if descending else ''}"
    sql = f"SELECT {table.title_sql} FROM {table.name}{where([condition.sql] if condition else [])}{order}"
    return Draft(sql, slots, (column,))


@shape(
    "names in alphabetical order",
    (
        "List the {np} in alphabetical order.",
        "{np}, alphabetically",
        "Which {subject} {verb}? Sort them by {name}.",
        "Give me the {names} of the {np} from A to Z.",
        "I'd like an alphabetical list of {np}.",
        "Could you list the {np} in alphabetical order of {name}?",
        "{names} of {np}, a to z",
        "Show the {np} sorted by {name}.",
        "What are the {names} of the {np}, in alphabetical order?",
    ),
)
def rows_alphabetical(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    if len(table.titles) != 1 or table.titles[0].kind != "name":
        return None
    order, extra = f" ORDER BY {table.title_sql}", {"name": table.title_noun}
    return list_draft(table, [c.any_condition(table, random)], random, order=order, extra=extra)


TOP_ONE = (
    "Which {one} is the {short}?",
    "What is the {title} of the {extreme}?",
    "{extreme}?",
    "Which is the {extreme}?",
    "Find the {extreme}.",
    "Tell me the {title} of the {extreme}.",
    "Who is the {who_extreme}?",
    "I'd like to know which {one} is the {short}.",
    "Can you name the {extreme}?",
    "the {extreme}, please",
    "Which {one} has the {has}?",
    "Which {one} has the {has}?",
    "Who has the {who_has}?",
    "{one} with the {has}",
)


def _top_slots(table: Table, phrase: str, one: str) -> dict[str, str]:
    """The words for the one extreme row; `phrase` is "heaviest dog" or "dog with the highest price"."""
    slots = {"one": one, "title": table.title_noun, "extreme": phrase}
    before, _, after = phrase.partition(one)
    if after.startswith(" with the "):
        slots["has"] = after.removeprefix(" with the ")
    elif not after:
        slots["short"] = before.strip()
    if table.person:
        slots["who_extreme"] = phrase
        slots["who_has"] = slots.get("has", "")
    return slots


@shape("row with the largest or smallest value", TOP_ONE, weight=2)
def top_one(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = pick_column(sortable(table), random)
    found = extreme(table, column, table.one, random) if column else None
    if not found:
        return None
    phrase, order = found
    slots = _top_slots(table, phrase, table.one)
    parts = where(not_null(column, order))
    return Draft(f"SELECT {table.title_sql} FROM {table.name}{parts} ORDER BY {order} LIMIT 1", slots, (column,))


TOP_WHERE = (
    "Among the {np}, which is the {short}?",
    "Among the {np}, which has the {has}?",
    "Of all the {np}, which one is the {short}?",
    "Of all {np}, which one has the {has}?",
    "Which of the {np} is the {short}?",
    "Which of the {np} has the {has}?",
    "{short} of the {np}",
    "{np}: which has the {has}?",
    "Looking only at {np}, tell me the one with the {has}.",
    "Looking only at {np}, which is the {short}?",
    "I'd like to know which of the {np} is the {short}.",
    "Could you tell me which of the {np} has the {has}?",
)


@shape("row with the largest value under a condition", TOP_WHERE)
def top_one_where(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = pick_column(sortable(table), random)
    condition = c.any_condition(table, random, without=(column,)) if column else None
    found = extreme(table, column, table.one, random) if column else None
    if not found or not condition:
        return None
    phrase, order = found
    noun = c.noun_phrase(table, c.choose_noun(table, random), [condition], random)
    slots = _top_slots(table, phrase, table.one) | {"np": noun}
    parts = where([condition.sql, *not_null(column, order)])
    sql = f"SELECT {table.title_sql} FROM {table.name}{parts} ORDER BY {order} LIMIT 1"
    return Draft(sql, slots, (column, *condition.columns))


TOP_MANY = (
    "What are the {n} {extreme}?",
    "Which are the {n} {extreme}?",
    "{n} {extreme}",
    "top {n}: {extreme}",
    "List the {n} {extreme}.",
    "Give me the {names} of the {n} {extreme}.",
    "Who are the {n} {who_extreme}?",
    "I'd like to see the {n} {extreme}.",
    "Could you name the {n} {extreme}?",
    "show me the {n} {extreme}",
    "the {n} {extreme}, please",
)


@shape("top few rows", TOP_MANY)
def top_few(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = pick_column(sortable(table), random)
    noun = c.choose_noun(table, random)
    found = extreme(table, column, noun, random) if column else None
    if not found:
        return None
    phrase, order = found
    count = random.choice((2, 3, 3, 4, 5, 5, 10))
    slots = {"n": grammar.number_word(count, random), "extreme": phrase, "names": grammar.plural(table.title_noun)}
    slots["who_extreme"] = phrase if table.person else ""
    parts = where(not_null(column, order))
    sql = f"SELECT {table.title_sql} FROM {table.name}{parts} ORDER BY {order} LIMIT {count}"
    return Draft(sql, slots, (column,))


@shape(
    "top few rows with the value",
    (
        "What are the {n} {extreme}, and what is the {says} of each?",
        "{n} {extreme} with their {plural_says}",
        "List the {n} {extreme} together with their {plural_says}.",
        "Give me the {n} {extreme}, {name} and {says}.",
        "Which are the {n} {extreme}? Include the {plural_says}.",
        "I'd like the {n} {extreme} and the {says} of each.",
        "Show the {name} and {says} of the {n} {extreme}.",
        "Could you show me the {n} {extreme}, with the {says} next to each {name}?",
        "top {n} - {extreme} - {name} and {says}",
    ),
)
def top_few_with_value(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = pick_column(sortable(table), random)
    found = extreme(table, column, c.choose_noun(table, random), random) if column else None
    if not found:
        return None
    phrase, order = found
    count = random.choice((2, 3, 3, 5))
    says = c.choose_says(column, random)
    slots = {"n": grammar.number_word(count, random), "extreme": phrase, "name": table.title_noun, "says": says}
    slots["plural_says"] = grammar.plural(says)
    parts = where(not_null(column, order))
    sql = f"SELECT {table.title_sql}, {column.ref} FROM {table.name}{parts} ORDER BY {order} LIMIT {count}"
    return Draft(sql, slots, (column,))


def _named_slots(table: Table, random: Random) -> dict[str, str]:
    return {
        "many": c.choose_noun(table, random),
        "one": table.one,
        "name": table.title_noun,
        "names": grammar.plural(table.title_noun),
    }
