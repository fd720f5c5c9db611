"""Shapes with a query inside the query: averages and extremes to compare with, rows that others lack."""

from __future__ import annotations

from random import Random

from data.generator import conditions as c
from data.generator import grammar
from data.generator.conditions import Condition
from data.generator.lexicon import Column, Lexicon, Link, Table
from data.generator.shapes.aggregates import measure_name, summable
from data.generator.shapes.base import Draft, clear, pick_column, pick_link, pick_table, shape
from data.generator.shapes.joins import child_noun, down, junctions, parent_condition, parent_slots, self_join, up

ABOVE_AVERAGE = (
    "Which {many} have {a_says} {above} average?",
    "Which {many} have {a_says} {above} the average {says}?",
    "{many} with {a_says} {above} average",
    "List the {many} whose {says} is {above} the average.",
    "Who has {who_says} {above} average?",
    "Give me the {names} of the {many} whose {says} is {above} average.",
    "I'd like to know which {many} have {a_says} {above} the overall average.",
    "Could you tell me which {many} have {a_says} {above} average?",
    "Which {many} are {comparative} than average?",
    "{many} {comparative} than the average {one}",
    "Find the {many} that are {comparative} than the average {one}.",
)


def average_slots(table: Table, column: Column, operator: str, random: Random) -> dict[str, str]:
    says = c.choose_says(column, random)
    slots = {"many": c.choose_noun(table, random), "one": table.one, "says": says}
    if grammar.is_plural(says):
        says = grammar.amount_of(says, column.kind)
        # "Whose takings is above" is no English.
        slots["says"] = "" if grammar.is_plural(says) else says
    slots |= {"a_says": grammar.a(says), "names": grammar.plural(table.title_noun)}
    slots["above"] = random.choice(("above", "higher than") if operator == ">" else ("below", "lower than"))
    if slots["above"].endswith("than"):
        slots["above"] = "above" if operator == ">" else "below"
    slots["who_says"] = slots["a_says"] if table.person else ""
    for pattern, _, more, less in c.MEASURE_WORDS:
        if more and c.re.search(pattern, column.says[0]):
            slots["comparative"] = more if operator == ">" else less
            break
    return slots


def averaged(table: Table, random: Random) -> Column | None:
    columns = [x for x in table.numbers if "average" not in x.all_says and len(x.distinct) > 3]
    return pick_column(columns, random)


@shape("rows above the average", ABOVE_AVERAGE, weight=2)
def above_average(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = averaged(table, random)
    if not column:
        return None
    operator = random.choice((">", ">", "<"))
    slots = average_slots(table, column, operator, random)
    inner = f"SELECT AVG({column.ref}) FROM {table.name}"
    sql = f"SELECT {table.title_sql} FROM {table.name} WHERE {column.ref} {operator} ({inner})"
    return Draft(sql, slots, (column,))


@shape(
    "rows of a kind above the average of all",
    (
        "Which of the {np} have {a_says} {above} the average of all {many}?",
        "{np} with {a_says} {above} the overall average",
        "Among the {np}, which have {a_says} {above} the average over all {many}?",
        "List the {np} whose {says} is {above} the average of all {many}.",
        "I'd like to know which {np} have {a_says} {above} the average of all {many}.",
        "Could you find the {np} with {a_says} {above} the average for all {many}?",
        "Give me the {names} of {np} with {a_says} {above} the overall average.",
        "Find {np} having {a_says} {above} the average of all {many}.",
    ),
)
def above_average_where(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = averaged(table, random)
    condition = c.any_condition(table, random, without=(column,)) if column else None
    if not column or not condition:
        return None
    operator = random.choice((">", ">", "<"))
    slots = average_slots(table, column, operator, random)
    slots["np"] = c.noun_phrase(table, slots["many"], [condition], random)
    inner = f"SELECT AVG({column.ref}) FROM {table.name}"
    sql = f"SELECT {table.title_sql} FROM {table.name} WHERE {condition.sql} AND {column.ref} {operator} ({inner})"
    return Draft(sql, slots, (column, *condition.columns))


@shape(
    "count above the average",
    (
        "How many {many} have {a_says} {above} average?",
        "number of {many} with {a_says} {above} average",
        "Count the {many} whose {says} is {above} the average.",
        "How many of the {many} have {a_says} {above} the average {says}?",
        "I'd like to know how many {many} have {a_says} {above} the average.",
        "Could you count the {many} with {a_says} {above} average?",
        "how many {many} are {comparative} than average",
        "Tell me the number of {many} with {a_says} {above} average.",
        "How many {many} are {comparative} than the average {one}?",
    ),
)
def count_above_average(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column = averaged(table, random)
    if not column:
        return None
    operator = random.choice((">", ">", "<"))
    slots = average_slots(table, column, operator, random) if table.titles else None
    if slots is None:
        says = c.choose_says(column, random)
        if grammar.is_plural(says):
            return None
        slots = {"many": c.choose_noun(table, random), "one": table.one, "says": says, "a_says": grammar.a(says)}
        slots["above"] = "above" if operator == ">" else "below"
    inner = f"SELECT AVG({column.ref}) FROM {table.name}"
    return Draft(f"SELECT COUNT(*) FROM {table.name} WHERE {column.ref} {operator} ({inner})", slots, (column,))


@shape(
    "more than twice the average",
    (
        "Which {many} have {a_says} of more than {times} the average?",
        "{many} with {a_says} over {times} the average",
        "List the {many} whose {says} is more than {times} the average {says}.",
        "Give me the {names} of {many} with {a_says} above {times} the average.",
        "I'd like to know which {many} have {a_says} of more than {times} the average.",
        "Could you find the {many} whose {says} is over {times} the average?",
        "Which {many} exceed {times} the average {says}?",
        "Find {many} with {a_says} of more than {times} the average of all {many}.",
    ),
)
def times_the_average(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = averaged(table, random)
    if not column:
        return None
    factor, times = random.choice(
        (("2", "twice"), ("2", "double"), ("1.5", "one and a half times"), ("3", "three times"))
    )
    slots = average_slots(table, column, ">", random) | {"times": times}
    inner = f"SELECT AVG({column.ref}) FROM {table.name}"
    sql = f"SELECT {table.title_sql} FROM {table.name} WHERE {column.ref} > {factor} * ({inner})"
    return Draft(sql, slots, (column,))


@shape(
    "all rows with the extreme value",
    (
        "Which {np} have the {highest} {says}? Include ties.",
        "all {np} with the {highest} {says}, ties included",
        "List every one of the {np} that has the {highest} {says} of all.",
        "Give me all {np} that share the {highest} {says}.",
        "I'd like all the {np} whose {says} is the {highest} there is among the {np}.",
        "Could you name the {np} with the {highest} {says}, all of them if several tie?",
        "Which of the {np} share the {highest} {says}?",
        "{np} tied for the {highest} {says}",
        "Show the {np} with the {highest} {says}, including any that tie.",
    ),
)
def extreme_with_ties(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = pick_column(table.numbers, random)
    if not column:
        return None
    condition = c.any_condition(table, random, without=(column,)) if random.random() < 0.35 else None
    highest = random.random() < 0.6
    np = c.noun_phrase(table, c.choose_noun(table, random), [condition] if condition else [], random)
    slots = {"np": np, "says": measure_name(column, random)}
    slots["highest"] = grammar.extreme_words(slots["says"])[0 if highest else 1]
    inner = f"SELECT {'MAX' if highest else 'MIN'}({column.ref}) FROM {table.name}"
    outer = f"SELECT {table.title_sql} FROM {table.name} WHERE "
    if condition:
        sql = f"{outer}{condition.sql} AND {column.ref} = ({inner} WHERE {condition.sql})"
    else:
        sql = f"{outer}{column.ref} = ({inner})"
    return Draft(sql, slots, (column,))


@shape(
    "rows compared with a named row",
    (
        "Which {many} have {a_says} {above} that of {name}?",
        "{many} with {a_says} {above} that of {name}",
        "List the {many} whose {says} is {above} that of {name}.",
        "Which {many} are {comparative} than {name}?",
        "Which {many} are {comparative} than {name}?",
        "{many} {comparative} than {name}",
        "I'd like to know which {many} have {a_says} {above} {name}'s.",
        "Could you tell me which {many} have {a_says} {above} that of {name}?",
        "Find the {many} that are {comparative} than {name}.",
        "Give me the {names} of {many} whose {says} is {above} that of {name}.",
        "Compared with {name}, which {many} have a {higher} {says}?",
    ),
)
def compared_with_named(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column, found = pick_column(table.numbers, random), c.named(table, random)
    if not column or not found:
        return None
    operator = random.choice((">", ">", "<"))
    sql, name = found
    slots = average_slots(table, column, operator, random) | {"name": name}
    slots["higher"] = "higher" if operator == ">" else "lower"
    inner = f"SELECT {column.ref} FROM {table.name} WHERE {sql}"
    query = f"SELECT {table.title_sql} FROM {table.name} WHERE {column.ref} {operator} ({inner})"
    return Draft(query, slots, (column,))


@shape(
    "rows earlier or later than a named row",
    (
        "Which {many} {verb} {before} {name}?",
        "{many} that {verb} {before} {name}",
        "List the {many} that {verb} {before} {name}.",
        "Who {who} {before} {name}?",
        "Give me the {names} of all {many} that {verb} {before} {name}.",
        "I'd like to know which {many} {verb} {before} {name}.",
        "Could you tell me which {many} {verb} {before} {name}?",
        "Find all {many} that {verb} {before} {name}.",
        "which {many} {verb} {before} {name} did",
    ),
)
def earlier_than_named(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column, found = pick_column(table.of_kind("date", "year"), random), c.named(table, random)
    if not column or not found:
        return None
    participle, past, _ = c.date_verb(column)
    if not participle and not past:
        return None
    sql, name = found
    verb = past or f"were {participle}"
    later = random.random() < 0.5
    slots = {"many": c.choose_noun(table, random), "verb": verb, "before": "after" if later else "before", "name": name}
    slots |= {"names": grammar.plural(table.title_noun), "who": grammar.singular_verb(verb) if table.person else ""}
    slots["that"] = "who" if table.person else "that"
    inner = f"SELECT {column.ref} FROM {table.name} WHERE {sql}"
    query = f"SELECT {table.title_sql} FROM {table.name} WHERE {column.ref} {'>' if later else '<'} ({inner})"
    return Draft(query, slots, (column,))


@shape(
    "rows above the average of their own group",
    (
        "Which {many} have {a_says} {above} the average of their own {group}?",
        "{many} with {a_says} {above} the average for their {group}",
        "List the {many} whose {says} is {above} the average of all {every} of the same {group}.",
        "Which {many} are {comparative} than the average {one} of the same {group}?",
        "Give me the {names} of {many} whose {says} is {above} the average for their {group}.",
        "I'd like to know which {many} have {a_says} {above} the average within their {group}.",
        "Could you find the {many} with {a_says} {above} the average of their {group}?",
        "Compared with others of the same {group}, which {many} have {a_says} {above} average?",
        "{many} {comparative} than the average of their {group}",
    ),
)
def above_own_average(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column, groups = averaged(table, random), groupings(table)
    if not column or not groups:
        return None
    group, word = random.choice(groups)
    operator = random.choice((">", ">", "<"))
    condition = c.any_condition(table, random, (column, group)) if random.random() < 0.5 else None
    slots = average_slots(table, column, operator, random) | {"group": word, "every": table.many}
    inner = f"SELECT AVG(b.{column.name}) FROM {table.name} AS b WHERE b.{group.name} = a.{group.name}"
    parts = f"a.{column.name} {operator} ({inner})"
    if condition:
        slots["many"] = c.noun_phrase(table, slots["many"], [condition], random)
        slots.pop("comparative", None)
        parts = f"{condition.sql.replace(f'{table.name}.', 'a.')} AND {parts}"
    titles = ", ".join(f"a.{title.name}" for title in table.titles)
    return Draft(f"SELECT {titles} FROM {table.name} AS a WHERE {parts}", slots, (column, group))


def groupings(table: Table) -> list[tuple[Column, str]]:
    """Columns whose values put rows in one group, with a word: "species", "owner"."""
    found = [(column, column.says[0]) for column in table.categories]
    return found + [
        (x.column, x.parent.one) for x in table.parents if not x.to_itself and not x.column.nulls and x.alone
    ]


@shape(
    "the extreme row of each group",
    (
        "Which {one} has the {highest} {says} in each {group}? Give the {group} and the {name}.",
        "{one} with the {highest} {says} in each {group}, with the {group}",
        "For every {group}, name the {one} with the {highest} {says}. Show the {group} first.",
        "List each {group} with the {one} that has the {highest} {says}.",
        "I'd like to see, {group} by {group}, the {one} with the {highest} {says}.",
        "Could you show each {group} and the {one} with the {highest} {says} in it?",
        "Per {group}: {group} and {name} of the {one} with the {highest} {says}",
        "Show every {group} together with its {one} of {highest} {says}.",
    ),
)
def extreme_of_group(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column, group = pick_column(table.numbers, random), pick_column(table.categories, random)
    if not column or not group:
        return None
    highest = random.random() < 0.7
    slots = {"one": table.one, "says": measure_name(column, random), "group": group.says[0], "name": table.title_noun}
    slots["highest"] = grammar.extreme_words(slots["says"])[0 if highest else 1]
    function = "MAX" if highest else "MIN"
    titles = ", ".join(f"a.{title.name}" for title in table.titles)
    inner = f"SELECT {function}(b.{column.name}) FROM {table.name} AS b WHERE b.{group.name} = a.{group.name}"
    sql = f"SELECT a.{group.name}, {titles} FROM {table.name} AS a WHERE a.{column.name} = ({inner})"
    return Draft(sql, slots, (column, group))


WITHOUT = (
    "Which {many} have no {children}?",
    "Which {many} have no {children}?",
    "{many} without any {children}",
    "Who has no {who_children}?",
    "List the {many} that have no {children}.",
    "Are there {many} without any {children}? Which ones?",
    "Give me the {names} of all {many} with no {children}.",
    "I'd like to know which {many} don't have any {children}.",
    "Could you tell me which {many} have no {children} at all?",
    "Find the {many} with no {children}.",
    "which {many} never had any {children}",
)


def without(link: Link, inner: Condition | None = None) -> tuple[str, bool]:
    """(condition on the parent, whether names stay bare) for having no such children; NOT EXISTS where NULLs are."""
    parts = f" WHERE {inner.sql}" if inner else ""
    if not link.column.nulls:
        return (
            f"{link.parent.name}.{link.parent_key} NOT IN (SELECT {link.column.ref} FROM {link.child.name}{parts})",
            True,
        )
    more = f" AND {inner.sql}" if inner else ""
    return f"NOT EXISTS (SELECT 1 FROM {link.child.name} WHERE {link.join}{more})", False


def parent_query(link: Link, conditions: list[str], bare: bool) -> str:
    """SELECT of parents; with NOT EXISTS the outer columns are bare and the inner ones are not."""
    titles = link.parent.title_sql if bare else ", ".join(column.name for column in link.parent.titles)
    outer = [x if bare or x.startswith("NOT EXISTS") else x.replace(f"{link.parent.name}.", "") for x in conditions]
    return f"SELECT {titles} FROM {link.parent.name} WHERE {' AND '.join(outer)}"


@shape("parents without children", WITHOUT, weight=2)
def parents_without(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    if not link:
        return None
    sql, bare = without(link)
    slots = parent_slots(link, child_noun(link, random), random)
    return Draft(parent_query(link, [sql], bare), slots, (link.column,), bare)


@shape("parents without such children", WITHOUT)
def parents_without_such(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    condition = c.any_condition(link.child, random) if link else None
    if not link or not condition:
        return None
    sql, bare = without(link, condition)
    slots = parent_slots(link, child_noun(link, random, condition), random)
    return Draft(parent_query(link, [sql], bare), slots, (link.column, *condition.columns), bare)


@shape("parents of a kind without children", WITHOUT)
def parents_of_kind_without(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    own = c.any_condition(link.parent, random) if link else None
    if not link or not own:
        return None
    condition = c.any_condition(link.child, random) if random.random() < 0.5 else None
    sql, bare = without(link, condition)
    slots = parent_slots(link, child_noun(link, random, condition), random)
    slots["many"] = c.noun_phrase(link.parent, slots["many"], [own], random)
    slots.pop("who_children", None)
    return Draft(parent_query(link, [own.sql, sql], bare), slots, (link.column, *own.columns), bare)


@shape(
    "count of parents without children",
    (
        "How many {many} have no {children}?",
        "number of {many} without {children}",
        "Count the {many} that have no {children}.",
        "How many {many} are there without any {children}?",
        "I'd like to know how many {many} don't have any {children}.",
        "Could you count the {many} with no {children}?",
        "Tell me how many {many} have no {children} at all.",
        "How many of the {many} are without {children}?",
    ),
)
def count_without(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, alone=True)
    if not link or link.column.nulls:
        return None
    condition = c.any_condition(link.child, random) if random.random() < 0.5 else None
    slots = {"many": c.choose_noun(link.parent, random), "children": child_noun(link, random, condition)}
    return Draft(f"SELECT COUNT(*) FROM {link.parent.name} WHERE {without(link, condition)[0]}", slots, (link.column,))


@shape(
    "parents with more children than a named one",
    (
        "Which {many} have more {children} than {name}?",
        "{many} with more {children} than {name}",
        "Who has more {who_children} than {name}?",
        "List the {many} that have more {children} than {name}.",
        "Give me the {names} of all {many} with more {children} than {name}.",
        "I'd like to know which {many} have more {children} than {name}.",
        "Could you tell me which {many} have more {children} than {name} does?",
        "Compared with {name}, which {many} have more {children}?",
        "Find the {many} that beat {name} in number of {children}.",
    ),
)
def more_children_than_named(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    found = c.named(link.parent, random) if link else None
    if not link or not found:
        return None
    sql, name = found
    slots = parent_slots(link, child_noun(link, random), random) | {"name": name}
    inner = f"SELECT COUNT(*) FROM {link.child.name}{up(link)} WHERE {sql}"
    query = (
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)} "
        f"GROUP BY {link.parent.key_ref} HAVING COUNT(*) > ({inner})"
    )
    return Draft(query, slots, (link.column,))


@shape(
    "parents whose children are above the average of all",
    (
        "Which {many} have {children} with an average {says} {above} the average of all {every}?",
        "{many} whose {children} have an average {says} {above} the overall average",
        "For which {many} is the average {says} of their {children} {above} that of all {every}?",
        "List the {many} whose average {says} per {child} is {above} the overall average.",
        "I'd like to know which {many} have an average {says} {above} the average over all {every}.",
        "Could you find the {many} whose {children} have a mean {says} {above} that of all {every}?",
        "Whose {whose_children} have an average {says} {above} that of all {every}?",
        "Find {many} with {children} whose average {says} is {above} the average of all {every}.",
    ),
)
def parents_above_average(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    column = averaged(link.child, random) if link else None
    if not link or not column:
        return None
    operator, above = random.choice(((">", "above"), (">", "higher than"), ("<", "below"), ("<", "lower than")))
    slots = parent_slots(link, link.child.many, random) | {"says": measure_name(column, random), "above": above}
    slots |= {"every": link.child.many, "child": link.child.one}
    slots["whose_children"] = slots["children"] if link.parent.person else ""
    inner = f"SELECT AVG({column.ref}) FROM {link.child.name}"
    query = (
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)} "
        f"GROUP BY {link.parent.key_ref} HAVING AVG({column.ref}) {operator} ({inner})"
    )
    return Draft(query, slots, (column, link.column))


@shape(
    "categories above the average of all",
    (
        "For which {groups} is the average {says} of the {many} {above} the overall average?",
        "{groups} whose {many} have an average {says} {above} that of all {many}",
        "Which {groups} have an average {says} {above} the average of all {many}?",
        "List the {groups} where the average {says} of the {many} is {above} the average over all of them.",
        "I'd like to know the {groups} in which {many} have an average {says} {above} the general average.",
        "Could you find the {groups} with an average {says} {above} that of all {many} together?",
        "In which {groups} is the mean {says} of the {many} {above} that of all {many}?",
        "Find {groups} with an average {says} of {many} {above} the overall one.",
    ),
)
def categories_above_average(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column, group = averaged(table, random), pick_column(table.categories, random)
    if not column or not group or len(group.distinct) < 3:
        return None
    operator, above = random.choice(((">", "above"), (">", "higher than"), ("<", "below"), ("<", "lower than")))
    slots = {"groups": grammar.plural(c.choose_says(group, random)), "says": measure_name(column, random)}
    slots |= {"many": c.choose_noun(table, random), "above": above}
    inner = f"SELECT AVG({column.ref}) FROM {table.name}"
    sql = f"SELECT {group.ref} FROM {table.name} GROUP BY {group.ref} HAVING AVG({column.ref}) {operator} ({inner})"
    return Draft(sql, slots, (column, group))


@shape(
    "children above the average, of a named parent",
    (
        "Which {np} have {a_says} {above} the average of all {many}?",
        "{np} with {a_says} {above} the average of all {many}",
        "How about the {np}: which have {a_says} {above} the average over all {many}?",
        "List the {np} whose {says} is {above} the average of all {many}.",
        "I'd like to know which {np} have {a_says} {above} the overall average.",
        "Could you find the {np} with {a_says} {above} the average of all {many}?",
        "Give me the {names} of the {np} with {a_says} {above} the average of all {many}.",
        "Find {np} with {a_says} {above} the general average of {many}.",
    ),
)
def children_above_average(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, child_titled=True)
    column = averaged(link.child, random) if link else None
    condition = c.link_condition(link, random) if link else None
    if not link or not column or not condition:
        return None
    operator = random.choice((">", ">", "<"))
    slots = average_slots(link.child, column, operator, random)
    slots["np"] = c.noun_phrase(link.child, slots["many"], [condition], random)
    inner = f"SELECT AVG({column.ref}) FROM {link.child.name}"
    sql = (
        f"SELECT {link.child.title_sql} FROM {link.child.name}{up(link)} "
        f"WHERE {condition.sql} AND {column.ref} {operator} ({inner})"
    )
    return Draft(sql, slots, (column, link.column))


@shape(
    "things never linked to a named thing",
    (
        "Which {many} have no {children}?",
        "{many} without any {children}",
        "List the {many} that have no {children}.",
        "Which {many} are there without {children}?",
        "Give me the {names} of all {many} that never had {children}.",
        "I'd like to know which {many} don't have any {children}.",
        "Could you find the {many} with no {children}?",
        "Who has no {who_children}?",
        "Find {many} for which there are no {children}.",
    ),
)
def never_linked(lexicon: Lexicon, random: Random) -> Draft | None:
    pairs = [
        (first, second)
        for first, second in junctions(lexicon)
        if second.alone and clear(second) and not second.column.nulls
    ]
    if not pairs:
        return None
    first, second = random.choice(pairs)
    condition = c.link_condition(first, random)
    if not condition:
        return None
    children = c.noun_phrase(first.child, c.choose_noun(first.child, random), [condition], random)
    slots = parent_slots(second, children, random)
    inner = f"SELECT {second.column.ref} FROM {second.child.name}{up(first)} WHERE {condition.sql}"
    key = f"{second.parent.name}.{second.parent_key}"
    sql = f"SELECT {second.parent.title_sql} FROM {second.parent.name} WHERE {key} NOT IN ({inner})"
    return Draft(sql, slots, (first.column, second.column))


@shape(
    "rows compared with the row over them in the same table",
    (
        "Which {many} {verb} before their {role}?",
        "{many} that {verb} earlier than their {role}",
        "List the {many} that {verb} before their own {role}.",
        "Give me the names of {many} that {verb} before their {role}.",
        "I'd like to know which {many} {verb} before the {role} they have.",
        "Could you tell me which {many} {verb} before their {role}?",
        "Are there {many} that {verb} before their {role}? Which?",
        "Find {many} that {verb} earlier than their {role} did.",
    ),
)
def before_own_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    links = [x for x in lexicon.links if x.to_itself and x.child.titles and x.role != x.parent.one]
    if not links:
        return None
    link = random.choice(links)
    column = pick_column(link.child.of_kind("date", "year"), random)
    if not column:
        return None
    participle, past, _ = c.date_verb(column)
    if not participle and not past:
        return None
    slots = {"many": link.child.many, "verb": past or f"were {participle}", "role": link.role}
    titles = ", ".join(f"a.{title.name}" for title in link.child.titles)
    condition = f"a.{column.name} < b.{column.name}"
    own = c.any_condition(link.child, random) if random.random() < 0.5 else None
    if own:
        slots["many"] = c.noun_phrase(link.child, link.child.many, [own], random)
        condition = f"{own.sql.replace(f'{link.child.name}.', 'a.')} AND {condition}"
    return Draft(f"SELECT {titles} {self_join(link)} WHERE {condition}", slots, (column, link.column))


@shape(
    "parents with a larger total than a named one",
    (
        "Which {many} have {a_word} {says} of {children} higher than that of {name}?",
        "{many} with a higher {word} {says} of {children} than {name}",
        "For which {many} is the {word} {says} of the {children} higher than for {name}?",
        "List the {many} that beat {name} in {word} {says} of {children}.",
        "I'd like to know which {many} have a higher {word} {says} of {children} than {name}.",
        "Could you tell me whose {whose_children} have a higher {word} {says} than those of {name}?",
        "Compared with {name}, which {many} have a higher {word} {says} over their {children}?",
        "Find {many} whose {children} have a higher {word} {says} than those of {name}.",
        "Which {many} are ahead of {name} in {word} {says} of {children}?",
    ),
)
def larger_total_than_named(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    found = c.named(link.parent, random) if link else None
    if not link or not found:
        return None
    function = random.choice(("SUM", "AVG"))
    column = pick_column(summable(link.child) if function == "SUM" else link.child.numbers, random)
    if not column or "average" in column.all_says:
        return None
    sql, name = found
    word = "total" if function == "SUM" else "average"
    slots = parent_slots(link, c.choose_noun(link.child, random), random) | {"name": name, "word": word}
    slots |= {"a_word": grammar.a(word), "says": measure_name(column, random)}
    slots["whose_children"] = slots["children"] if link.parent.person else ""
    inner = f"SELECT {function}({column.ref}) FROM {link.child.name}{up(link)} WHERE {sql}"
    query = (
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)} "
        f"GROUP BY {link.parent.key_ref} HAVING {function}({column.ref}) > ({inner})"
    )
    return Draft(query, slots, (column, link.column))


@shape(
    "things linked to both of two named things",
    (
        "Which {many} have {first} and also {second}?",
        "{many} with {first} as well as {second}",
        "Who has {who_first} and {who_second}?",
        "List the {many} that have both {first} and {second}.",
        "Give me the {names} of {many} with {first} and with {second} too.",
        "I'd like to know which {many} have {first} as well as {second}.",
        "Could you find the {many} that have {first} and {second} both?",
        "For which {many} are there {first} and {second} alike?",
    ),
    (
        "Which {many} have {first} but no {not_second}?",
        "{many} with {first} but without {not_second}",
        "List the {many} that have {first} but never had {not_second}.",
        "I'd like to know which {many} have {first}, yet no {not_second}.",
    ),
)
def linked_to_both(lexicon: Lexicon, random: Random) -> Draft | None:
    pairs = [(f, s) for f, s in junctions(lexicon) if s.alone and clear(s) and not s.column.nulls]
    if not pairs:
        return None
    first, second = random.choice(pairs)
    conditions = [c.link_condition(first, random) for _ in "ab"]
    if None in conditions or conditions[0].sql == conditions[1].sql:
        return None
    noun = c.choose_noun(first.child, random)
    words = [c.noun_phrase(first.child, noun, [condition], random) for condition in conditions]
    slots = parent_slots(second, "", random) | {"first": words[0]}
    both = random.random() < 0.5
    slots["second" if both else "not_second"] = words[1]
    if second.parent.person and both:
        slots |= {"who_first": words[0], "who_second": words[1]}
    key, links = f"{second.parent.name}.{second.parent_key}", f"{second.child.name}{up(first)}"
    inner = [
        f"{key} {word} (SELECT {second.column.ref} FROM {links} WHERE {condition.sql})"
        for word, condition in zip(("IN", "IN" if both else "NOT IN"), conditions, strict=True)
    ]
    sql = f"SELECT {second.parent.title_sql} FROM {second.parent.name} WHERE {inner[0]} AND {inner[1]}"
    return Draft(sql, slots, (first.column, second.column))


@shape(
    "children above the average of children like them",
    (
        "Which {np} have {a_says} {above} the average of just those {many}?",
        "{np} with {a_says} {above} the average among exactly these {many}",
        "Among the {np}, which have {a_says} {above} the average of that group?",
        "Take the {np}: which of them have {a_says} {above} the average of that set?",
        "List the {np} whose {says} is {above} the average of this very group.",
        "I'd like to know which {np} have {a_says} {above} the average of that group alone.",
        "Could you find the {np} with {a_says} {above} the average for this group only?",
        "Looking only at {np}, which have {a_says} {above} average?",
    ),
)
def above_average_of_such(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, child_titled=True)
    column = averaged(link.child, random) if link else None
    if not link or not column:
        return None
    condition = parent_condition(link, random) if random.random() < 0.6 else c.link_condition(link, random)
    if not condition:
        return None
    operator = random.choice((">", ">", "<"))
    slots = average_slots(link.child, column, operator, random)
    slots["np"] = c.noun_phrase(link.child, slots["many"], [condition], random)
    inner = f"SELECT AVG({column.ref}) FROM {link.child.name}{up(link)} WHERE {condition.sql}"
    sql = (
        f"SELECT {link.child.title_sql} FROM {link.child.name}{up(link)} "
        f"WHERE {condition.sql} AND {column.ref} {operator} ({inner})"
    )
    return Draft(sql, slots, (column, link.column))


@shape(
    "rows of a kind above the average of that kind",
    (
        "Which {np} have {a_says} {above} the average of those {many}?",
        "{np} with {a_says} {above} the average among them",
        "Among the {np}, which have {a_says} {above} the average of just that group?",
        "List the {np} whose {says} is {above} the average for {np}.",
        "Looking only at {np}, which have {a_says} {above} average?",
        "I'd like to know which {np} have {a_says} {above} the average of {np}.",
        "Could you find the {np} with {a_says} {above} the average of that group alone?",
        "Of the {np}, name those with {a_says} {above} the group's average.",
    ),
)
def above_average_of_kind(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column = averaged(table, random)
    condition = c.any_condition(table, random, (column,), ("category", "flag")) if column else None
    if not column or not condition:
        return None
    operator = random.choice((">", ">", "<"))
    slots = average_slots(table, column, operator, random)
    slots["np"] = c.noun_phrase(table, slots["many"], [condition], random)
    inner = f"SELECT AVG({column.ref}) FROM {table.name} WHERE {condition.sql}"
    sql = f"SELECT {table.title_sql} FROM {table.name} WHERE {condition.sql} AND {column.ref} {operator} ({inner})"
    return Draft(sql, slots, (column, *condition.columns))


@shape(
    "parents with a child above the average",
    (
        "Which {many} have at least one {child} with {a_says} {above} the average {child}'s?",
        "{many} that have {children} with {a_says} {above} average",
        "List the {many} with {children} whose {says} is {above} the average of all {children}.",
        "Which {many} have {children} with {a_says} {above} the average of all {children}?",
        "Who has {who_children} with {a_says} {above} the average of all {children}?",
        "I'd like to know which {many} have any {children} with {a_says} {above} average.",
        "Could you name the {many} having {children} with {a_says} {above} the overall average?",
        "Find the {many} that have {children} with {a_says} {above} the average, each once.",
    ),
)
def parents_with_child_above_average(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    column = averaged(link.child, random) if link else None
    if not link or not column:
        return None
    own = c.any_condition(link.parent, random) if random.random() < 0.5 else None
    operator = random.choice((">", ">", "<"))
    slots = average_slots(link.child, column, operator, random)
    slots |= parent_slots(link, link.child.many, random) | {"child": link.child.one}
    if own:
        slots["many"] = c.noun_phrase(link.parent, slots["many"], [own], random)
        slots.pop("who_children", None)
    inner = f"{column.ref} {operator} (SELECT AVG({column.ref}) FROM {link.child.name})"
    parts = f"{own.sql} AND {inner}" if own else inner
    sql = f"SELECT DISTINCT {link.parent.title_sql} FROM {link.parent.name}{down(link)} WHERE {parts}"
    return Draft(sql, slots, (column, link.column))


@shape(
    "the extreme child of each parent",
    (
        "Which {one} has the {highest} {says} for each {group}? Give the {group} first.",
        "{one} with the {highest} {says} of each {group}, with the {group}",
        "For every {group}, give its name and the {one} with the {highest} {says}.",
        "List each {group} with its {one} of {highest} {says}.",
        "I'd like to see, {group} by {group}, the {one} with the {highest} {says}.",
        "Could you show each {group} together with its {one} that has the {highest} {says}?",
        "one line for every {group}: its name, and its {one} with the {highest} {says}",
        "Show every {group} and, next to it, its {one} with the {highest} {says}.",
    ),
)
def extreme_child_of_each(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, child_titled=True, alone=True)
    column = pick_column(link.child.numbers, random) if link else None
    if not link or not column:
        return None
    own = c.any_condition(link.parent, random) if random.random() < 0.6 else None
    highest = random.random() < 0.7
    group = c.noun_phrase(link.parent, "", [own], random, single=True) if own else link.parent.one
    slots = {"one": link.child.one, "says": measure_name(column, random), "group": group}
    slots["highest"] = grammar.extreme_words(slots["says"])[0 if highest else 1]
    titles = ", ".join(f"a.{title.name}" for title in link.child.titles)
    key = link.column.name
    function = "MAX" if highest else "MIN"
    inner = f"SELECT {function}(b.{column.name}) FROM {link.child.name} AS b WHERE b.{key} = a.{key}"
    sql = (
        f"SELECT {link.parent.title_sql}, {titles} FROM {link.child.name} AS a "
        f"JOIN {link.parent.name} ON a.{key} = {link.parent.name}.{link.parent_key} "
        f"WHERE {f'{own.sql} AND ' if own else ''}a.{column.name} = ({inner})"
    )
    return Draft(sql, slots, (column, link.column))


@shape(
    "categories with a higher average than a named one",
    (
        "Which {groups} have a higher average {says} of {many} than {value}?",
        "{groups} with a higher average {says} of {many} than {value}",
        "For which {groups} is the average {says} of the {many} higher than for {value}?",
        "List the {groups} whose {many} have a higher average {says} than those of {value}.",
        "I'd like to know which {groups} beat {value} in average {says} of {many}.",
        "Could you tell me the {groups} with a higher average {says} of {many} than {value}?",
        "Compared with {value}, which {groups} have a higher average {says} of {many}?",
        "Going by average {says} of {many}, which {groups} are ahead of {value}?",
    ),
)
def categories_above_named(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random)
    column, group = averaged(table, random), pick_column(table.categories, random)
    if not column or not group or len(group.distinct) < 3:
        return None
    value = random.choice(group.distinct)
    slots = {"groups": grammar.plural(c.choose_says(group, random)), "says": measure_name(column, random)}
    slots |= {"many": c.choose_noun(table, random), "value": c.spoken(value, random)}
    inner = f"SELECT AVG({column.ref}) FROM {table.name} WHERE {group.ref} = {c.literal(value)}"
    sql = f"SELECT {group.ref} FROM {table.name} GROUP BY {group.ref} HAVING AVG({column.ref}) > ({inner})"
    return Draft(sql, slots, (column, group))


@shape(
    "other rows of the same category as a named row",
    (
        "Which other {many} have the same {says} as {name}?",
        "other {many} with the same {says} as {name}",
        "List the {many} that share their {says} with {name}, leaving out {name}.",
        "Apart from {name}, which {many} have the same {says}?",
        "Give me the {names} of the other {many} with {name}'s {says}.",
        "I'd like to know which other {many} have the same {says} as {name}.",
        "Could you tell me which {many}, besides {name}, have the same {says} as {name}?",
        "Who else has the same {who_says} as {name}?",
        "{name}: which others have the same {says}?",
    ),
)
def same_as_named(lexicon: Lexicon, random: Random) -> Draft | None:
    table = pick_table(lexicon, random, titled=True)
    column, found = pick_column(table.categories, random), c.named(table, random)
    if not column or not found or len(table.titles) != 1:
        return None
    sql, name = found
    says = c.choose_says(column, random)
    slots = {"many": c.choose_noun(table, random), "says": says, "name": name}
    slots |= {"names": grammar.plural(table.title_noun), "that": "who" if table.person else "that"}
    slots["who_says"] = says if table.person else ""
    inner = f"SELECT {column.ref} FROM {table.name} WHERE {sql}"
    query = (
        f"SELECT {table.title_sql} FROM {table.name} WHERE {column.ref} = ({inner}) AND {sql.replace(' = ', ' <> ', 1)}"
    )
    return Draft(query, slots, (column,))


@shape(
    "rows above the average without children",
    (
        "Which {many} with {a_says} {above} average have no {children}?",
        "{many} with {a_says} {above} average and no {children}",
        "Among the {many} with {a_says} {above} average, which have no {children}?",
        "List the {many} whose {says} is {above} the average but that have no {children}.",
        "I'd like to know which {many} have {a_says} {above} average and still no {children}.",
        "Could you find the {many} without {children} whose {says} is {above} the average?",
        "Which {many} have {a_says} {above} the average of all, yet no {children}?",
        "Find {many} that have no {children} though their {says} is {above} average.",
    ),
)
def above_average_without(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    column = averaged(link.parent, random) if link else None
    if not link or not column:
        return None
    condition = c.any_condition(link.child, random) if random.random() < 0.75 else None
    sql, bare = without(link, condition)
    if not bare:
        return None
    operator = random.choice((">", ">", "<"))
    slots = average_slots(link.parent, column, operator, random)
    slots |= {"children": child_noun(link, random, condition), "that": "who" if link.parent.person else "that"}
    inner = f"{column.ref} {operator} (SELECT AVG({column.ref}) FROM {link.parent.name})"
    return Draft(parent_query(link, [inner, sql], bare), slots, (column, link.column))


@shape(
    "rows above the average with enough children",
    (
        "Which {many} with {a_says} {above} average have at least {n} {children}?",
        "{many} with {a_says} {above} average and at least {n} {children}",
        "Among the {many} with {a_says} {above} average, which have {n} or more {children}?",
        "List the {many} whose {says} is {above} the average and that have at least {n} {children}.",
        "I'd like to know which {many} have {a_says} {above} average and {n} or more {children}.",
        "Could you find the {many} with at least {n} {children} whose {says} is {above} the average?",
        "Which {many} have {a_says} {above} the average of all and at least {n} {children} too?",
        "Find {many} that have {n} or more {children} and {a_says} {above} average.",
    ),
)
def above_average_with_enough(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    column = averaged(link.parent, random) if link else None
    if not link or not column:
        return None
    condition = c.any_condition(link.child, random) if random.random() < 0.4 else None
    operator = random.choice((">", ">", "<"))
    number = random.randint(2, 5)
    slots = average_slots(link.parent, column, operator, random) | {"n": grammar.number_word(number, random)}
    slots |= {"children": child_noun(link, random, condition), "that": "who" if link.parent.person else "that"}
    parts = f"{column.ref} {operator} (SELECT AVG({column.ref}) FROM {link.parent.name})"
    parts += f" AND {condition.sql}" if condition else ""
    sql = (
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)} WHERE {parts} "
        f"GROUP BY {link.parent.key_ref} HAVING COUNT(*) >= {number}"
    )
    return Draft(sql, slots, (column, link.column))
