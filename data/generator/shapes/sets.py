"""Shapes that combine two answers: UNION, INTERSECT, EXCEPT, and membership in both or one of two subqueries."""

from __future__ import annotations

from random import Random

from data.generator import conditions as c
from data.generator import grammar
from data.generator.conditions import Condition
from data.generator.lexicon import Column, Lexicon, Link
from data.generator.shapes.base import Draft, pick_link, pick_table, shape
from data.generator.shapes.joins import child_noun, down, parent_slots


def two_conditions(link: Link, random: Random) -> tuple[Condition, Condition] | None:
    """Two different conditions on children, often two values of the same column."""
    first = c.any_condition(link.child, random)
    if not first:
        return None
    column = first.columns[0]
    if column.kind == "category" and random.random() < 0.7:
        second = c.category_condition(link.child, column, random)
    elif column.kind == "date" and random.random() < 0.6:
        first = c.date_condition(link.child, column, random, "year")
        second = c.date_condition(link.child, column, random, "year")
    else:
        second = c.any_condition(link.child, random, first.columns)
    if not first or not second or first.sql == second.sql:
        return None
    return first, second


def _pair(lexicon: Lexicon, random: Random) -> tuple[Link, Condition, Condition, dict[str, str]] | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    found = two_conditions(link, random) if link else None
    if not link or not found:
        return None
    slots, noun = parent_slots(link, "", random), c.choose_noun(link.child, random)
    slots["first"], slots["second"] = (c.noun_phrase(link.child, noun, [condition], random) for condition in found)
    if link.parent.person:
        slots["who_first"], slots["who_second"] = slots["first"], slots["second"]
    return link, *found, slots


def _member(link: Link, condition: Condition, negated: bool = False) -> str:
    inner = f"SELECT {link.column.ref} FROM {link.child.name} WHERE {condition.sql}"
    if negated and link.column.nulls:
        inner += f" AND {link.column.ref} IS NOT NULL"
    return f"{link.parent.name}.{link.parent_key} {'NOT IN' if negated else 'IN'} ({inner})"


@shape(
    "parents with both kinds of children",
    (
        "Which {many} have both {first} and {second}?",
        "{many} with {first} as well as {second}",
        "Who has both {who_first} and {who_second}?",
        "List the {many} that have {first} and also {second}.",
        "Give me the {names} of {many} with both {first} and {second}.",
        "I'd like to know which {many} have {first} as well as {second}.",
        "Could you find the {many} that have both {first} and {second}?",
        "Which {many} have {first}, and {second} too?",
    ),
)
def both_kinds(lexicon: Lexicon, random: Random) -> Draft | None:
    found = _pair(lexicon, random)
    if not found:
        return None
    link, first, second, slots = found
    conditions = f"{_member(link, first)} AND {_member(link, second)}"
    sql = f"SELECT {link.parent.title_sql} FROM {link.parent.name} WHERE {conditions}"
    return Draft(sql, slots, (link.column, *first.columns))


@shape(
    "parents with one kind of children but not another",
    (
        "Which {many} have {first} but no {second}?",
        "{many} with {first} but without {second}",
        "Who has {who_first} but no {who_second}?",
        "List the {many} that have {first} but never had {second}.",
        "Give me the {names} of {many} with {first} and no {second}.",
        "I'd like to know which {many} have {first} but no {second}.",
        "Could you find the {many} that have {first} but not any {second}?",
        "Leaving out those with {second}, which {many} have {first}?",
    ),
)
def one_kind_only(lexicon: Lexicon, random: Random) -> Draft | None:
    found = _pair(lexicon, random)
    if not found:
        return None
    link, first, second, slots = found
    conditions = f"{_member(link, first)} AND {_member(link, second, negated=True)}"
    return Draft(f"SELECT {link.parent.title_sql} FROM {link.parent.name} WHERE {conditions}", slots, (link.column,))


SET_OF_NAMES = {
    "INTERSECT": (
        "Which {many} have {first} and also {second}?",
        "{many} that have {first} and {second} alike",
        "Name the {many} found on both lists: those with {first} and those with {second}.",
        "List the {many} with {first} who also have {who_second}.",
        "Which {many} turn up both among those with {first} and among those with {second}?",
        "I'd like the {many} with {first} that have {second} too.",
        "Could you list the {many} that have {first} and {second} as well?",
        "Give me {many} with both: {first}, and {second}.",
        "Find the {many} that have {first} and {second} both.",
    ),
    "EXCEPT": (
        "Which {many} have {first}, leaving out any with {second}?",
        "{many} with {first}, except those with {second}",
        "List the {many} that have {first}, minus those that have {second}.",
        "All {many} with {first} but not {second}, please.",
        "I'd like the {many} with {first}, excluding those with {second}.",
        "Could you list the {many} that have {first} and leave out the ones with {second}?",
        "Name the {many} with {first} that do not have {second}.",
        "Take the {many} with {first} and drop those with {second}: who or what is left?",
    ),
    "UNION": (
        "Which {many} have {first} or {second}?",
        "{many} with {first} or {second}, each once",
        "List the {many} that have either {first} or {second}.",
        "One list of the {many} with {first} and the {many} with {second}.",
        "I'd like all {many} that have {first}, together with those that have {second}.",
        "Could you name the {many} with {first} or {second}?",
        "Who has {who_first} or {who_second}?",
        "Find every one of the {many} that has {first} or {second}.",
    ),
}


def _set_of_names(operator: str, lexicon: Lexicon, random: Random) -> Draft | None:
    found = _pair(lexicon, random)
    if not found:
        return None
    link, first, second, slots = found
    if not link.parent.titles_unique:
        return None
    base = f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)} WHERE "
    return Draft(f"{base}{first.sql} {operator} {base}{second.sql}", slots, (link.column, *first.columns))


@shape("intersection of parents", SET_OF_NAMES["INTERSECT"])
def intersection_of_parents(lexicon: Lexicon, random: Random) -> Draft | None:
    return _set_of_names("INTERSECT", lexicon, random)


@shape("parents of one kind of children except another", SET_OF_NAMES["EXCEPT"])
def difference_of_parents(lexicon: Lexicon, random: Random) -> Draft | None:
    return _set_of_names("EXCEPT", lexicon, random)


@shape("union of parents", SET_OF_NAMES["UNION"])
def union_of_parents(lexicon: Lexicon, random: Random) -> Draft | None:
    return _set_of_names("UNION", lexicon, random)


def _categories(lexicon: Lexicon, random: Random) -> tuple[Column, dict[str, str], str, str] | None:
    table = pick_table(lexicon, random)
    columns = [column for column in table.categories if len(column.distinct) >= 3]
    first = c.any_condition(table, random, tuple(columns)) if columns else None
    if not first:
        return None
    column = random.choice(columns)
    other = first.columns[0]
    second = c.any_condition(table, random, (column, other))
    if other.kind == "category":
        second = c.category_condition(table, other, random)
    elif other.kind == "date":
        second = c.date_condition(table, other, random, "year")
    if not second or first.sql == second.sql:
        return None
    noun = c.choose_noun(table, random)
    says = c.choose_says(column, random)
    slots = {"says": grammar.plural(says), "one_says": says}
    slots |= {
        "first": c.noun_phrase(table, noun, [first], random),
        "second": c.noun_phrase(table, noun, [second], random),
    }
    base = f"SELECT {column.ref} FROM {table.name} WHERE "
    return column, slots, base + first.sql, base + second.sql


@shape(
    "categories found in both of two sets",
    (
        "Which {says} occur both among {first} and among {second}?",
        "{says} of both {first} and {second}",
        "List the {says} that {first} and {second} have in common.",
        "What {says} do {first} share with {second}?",
        "I'd like to know the {says} found among {first} and also among {second}.",
        "Could you tell me which {says} {first} and {second} have in common?",
        "Give me the {says} that appear for {first} as well as for {second}.",
        "For which {says} are there both {first} and {second}?",
    ),
)
def common_categories(lexicon: Lexicon, random: Random) -> Draft | None:
    found = _categories(lexicon, random)
    if not found:
        return None
    column, slots, first, second = found
    return Draft(f"{first} INTERSECT {second}", slots, (column,))


@shape(
    "categories found in one of two sets only",
    (
        "Which {says} occur among {first} but not among {second}?",
        "{says} of {first} but not of {second}",
        "List the {says} found for {first} and never for {second}.",
        "What {says} do {first} have that {second} do not?",
        "I'd like to know the {says} found among {first} but not {second}.",
        "Could you tell me which {says} occur for {first}, except those of {second}?",
        "Give me the {says} that appear for {first} only, not for {second}.",
        "For which {says} are there {first} but no {second}?",
    ),
)
def different_categories(lexicon: Lexicon, random: Random) -> Draft | None:
    found = _categories(lexicon, random)
    if not found:
        return None
    column, slots, first, second = found
    return Draft(f"{first} EXCEPT {second}", slots, (column,))


@shape(
    "same kind of place or thing in two tables",
    (
        "List every {says} that occurs for a {first} or a {second}, each once.",
        "all {says} of {first_many} and {second_many} together, no repeats",
        "Which {says} do we have for either {first_many} or {second_many}?",
        "Give me one list of all {says} of the {first_many} and the {second_many}.",
        "I'd like a single list with the {says} of {first_many} and {second_many}.",
        "Could you combine the {says} of the {first_many} with those of the {second_many}?",
        "What {says} turn up among {first_many} or {second_many}?",
        "{says}, whether of {first_many} or of {second_many}",
    ),
    (
        "Which {common_says} are there for both {first_many} and {second_many}?",
        "{common_says} that {first_many} and {second_many} have in common",
        "In which {common_says} do we find {first_many} as well as {second_many}?",
    ),
)
def across_tables(lexicon: Lexicon, random: Random) -> Draft | None:
    columns = [x for t in lexicon.tables.values() for x in t.of_kind("category", "name") if x not in t.titles]
    pairs = [
        (x, y) for x in columns for y in columns if x.table != y.table and set(x.says) & set(y.says) and _shared(x, y)
    ]
    if not pairs:
        return None
    first, second = random.choice(pairs)
    says = grammar.plural(next(phrase for phrase in first.says if phrase in second.says))
    tables = lexicon.tables[first.table], lexicon.tables[second.table]
    slots = {"first": tables[0].one, "second": tables[1].one}
    slots |= {"first_many": tables[0].many, "second_many": tables[1].many}
    operator = random.choice(("UNION", "INTERSECT"))
    slots["says" if operator == "UNION" else "common_says"] = says
    parts = [
        f"SELECT {x.ref} FROM {x.table}{f' WHERE {x.ref} IS NOT NULL' if x.nulls else ''}" for x in (first, second)
    ]
    return Draft(f"{parts[0]} {operator} {parts[1]}", slots, (first, second))


def _shared(first: Column, second: Column) -> bool:
    return bool(set(map(str, first.distinct)) & set(map(str, second.distinct)))


@shape(
    "parents of a kind or with such children",
    (
        "Which {many} {verb} or have {children}?",
        "{many} that {verb} or have {children}",
        "List the {many} that {verb}, and those with {children}.",
        "Give me the {names} of {many} that either {verb} or have {children}.",
        "I'd like the {many} that {verb} together with those that have {children}, each once.",
        "Could you tell me which {many} {verb} or have {children}?",
        "One list, please: {many} that {verb}, plus {many} with {children}.",
        "Find the {many} that {verb} or that have {children}.",
    ),
)
def of_kind_or_with_children(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    own = c.any_condition(link.parent, random) if link else None
    condition = c.any_condition(link.child, random) if link else None
    if not link or not own or not condition or not link.parent.titles_unique:
        return None
    slots = parent_slots(link, child_noun(link, random, condition), random) | {"verb": random.choice(own.verbs)}
    titles, name = link.parent.title_sql, link.parent.name
    of_kind = f"SELECT {titles} FROM {name} WHERE {own.sql}"
    sql = f"{of_kind} UNION SELECT {titles} FROM {name}{down(link)} WHERE {condition.sql}"
    return Draft(sql, slots, (link.column, *own.columns))
