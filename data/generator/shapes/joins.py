"""Shapes that follow foreign keys: children of a parent, parents of children, chains of three tables, self-joins."""

from __future__ import annotations

from random import Random

from data.generator import conditions as c
from data.generator import grammar
from data.generator.conditions import Condition
from data.generator.lexicon import Lexicon, Link, Table
from data.generator.shapes.aggregates import (
    AGGREGATE,
    aggregate,
    measure_name,
    percentage,
    share_condition,
    summable,
)
from data.generator.shapes.base import (
    COUNT,
    LIST,
    LIST_COLUMNS,
    Draft,
    clear,
    count_draft,
    extreme,
    list_draft,
    not_null,
    pick_column,
    pick_link,
    shape,
    sortable,
    where,
)
from data.generator.shapes.groups import COUNT_EACH


def up(link: Link) -> str:
    """From the child to its parent."""
    return f" JOIN {link.parent.name} ON {link.join}"


def down(link: Link) -> str:
    """From the parent to its children."""
    return f" JOIN {link.child.name} ON {link.join}"


def parent_condition(link: Link, random: Random) -> Condition | None:
    """A condition on the child through its parent: "that belong to owners from Ballymore"."""
    inner = c.any_condition(link.parent, random)
    if not inner or link.has.endswith((" the", f" {link.parent.one}")):
        return None
    words = f"{link.has} {c.noun_phrase(link.parent, link.parent.many, [inner], random)}"
    return Condition(inner.sql, (("that", words),), (words,), (link.column, *inner.columns))


def child_noun(link: Link, random: Random, condition: Condition | None = None) -> str:
    """The children in the plural, with a condition if there is one."""
    found = [condition] if condition else []
    return c.noun_phrase(link.child, c.choose_noun(link.child, random), found, random)


def grandparents(lexicon: Lexicon) -> list[tuple[Link, Link]]:
    """Chains child -> parent -> grandparent of three different tables."""
    return [
        (first, second)
        for first in lexicon.links
        for second in first.parent.parents
        if len({first.child.name, first.parent.name, second.parent.name}) == 3
    ]


def junctions(lexicon: Lexicon) -> list[tuple[Link, Link]]:
    """Pairs of links from one table to two different tables with named rows."""
    return [
        (first, second)
        for table in lexicon.tables.values()
        for first in table.parents
        for second in table.parents
        if first.parent is not second.parent
        and not first.to_itself
        and not second.to_itself
        and first.parent.titles
        and second.parent.titles
    ]


def pick_junction(lexicon: Lexicon, random: Random) -> tuple[Link, Link] | None:
    """A junction whose second side can be asked about by itself, or None if the database has none."""
    pairs = [(first, second) for first, second in junctions(lexicon) if second.alone and clear(second)]
    return random.choice(pairs) if pairs else None


@shape("children of a named parent", LIST, LIST_COLUMNS, weight=2)
def children_of_named(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True)
    return list_draft(link.child, [c.link_condition(link, random)], random, up(link)) if link else None


@shape("children of a named parent with a condition", LIST, LIST_COLUMNS, weight=2)
def children_of_named_where(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True)
    if not link:
        return None
    return list_draft(
        link.child, [c.any_condition(link.child, random), c.link_condition(link, random)], random, up(link)
    )


@shape("count of children of a named parent", COUNT, weight=2)
def count_of_named(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True)
    return count_draft(link.child, [c.link_condition(link, random)], random, up(link)) if link else None


@shape("count of children of a named parent with a condition", COUNT)
def count_of_named_where(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True)
    if not link:
        return None
    found = [c.any_condition(link.child, random), c.link_condition(link, random)]
    return count_draft(link.child, found, random, up(link))


@shape("children by what their parent is like", LIST, LIST_COLUMNS)
def children_by_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random)
    return list_draft(link.child, [parent_condition(link, random)], random, up(link)) if link else None


@shape("count of children by what their parent is like", COUNT)
def count_by_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random)
    if not link:
        return None
    own = c.any_condition(link.child, random) if random.random() < 0.4 else None
    found = [parent_condition(link, random)]
    return count_draft(link.child, [own, *found] if own else found, random, up(link))


@shape(
    "parent of a named child",
    (
        "Which {one} {question}?",
        "Which {one} {question}?",
        "What is the {title} of the {one} that {name} {has}?",
        "{one} that {name} {has}?",
        "Could you tell me which {one} {name} {has}?",
        "I'd like to know the {one} that {name} {has}.",
        "Tell me which {one} {name} {has}.",
        "For {name}: which {one}?",
        "Give me the {title} of the {one} that {name} {has}.",
        "Who {who_question}?",
    ),
)
def parent_of_named(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, child_titled=True)
    found = c.named(link.child, random) if link else None
    if not found or not link or not grammar.strandable(link.has, link.parent.one):
        return None
    sql, name = found
    slots = {"one": link.parent.one, "title": link.parent.title_noun, "name": name}
    slots |= {"has": grammar.singular_verb(link.has), "question": grammar.inverted(link.has, name) or ""}
    if link.parent.person and link.has.endswith("by"):
        slots["who_question"] = slots["question"]
    return Draft(
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)} WHERE {sql}", slots, (link.column,)
    )


@shape(
    "column of a named child's parent",
    (
        "What is the {says} of the {one} that {name} {has}?",
        "{says} of the {one} {name} {has}",
        "Can you give me the {says} of the {one} that {name} {has}?",
        "I need the {says} of the {one} that {name} {has}.",
        "What {says} does the {one} have that {name} {has}?",
        "Tell me the {says} of the {one} {name} {has}.",
        "Look up the {says} of the {one} that {name} {has}.",
        "The {one} that {name} {has}: what {says}?",
    ),
)
def column_of_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, child_titled=True)
    found = c.named(link.child, random) if link else None
    if not found or not link or not grammar.strandable(link.has, link.parent.one):
        return None
    columns = [
        x for x in link.parent.columns.values() if x.kind not in ("id", "key", "flag") and x not in link.parent.titles
    ]
    column = pick_column(columns, random)
    if not column or grammar.is_plural(column.says[0]):
        return None
    sql, name = found
    slots = {"says": c.choose_says(column, random), "one": link.parent.one, "name": name}
    slots["has"] = grammar.singular_verb(link.has)
    return Draft(f"SELECT {column.ref} FROM {link.parent.name}{down(link)} WHERE {sql}", slots, (column, link.column))


HAVING_CHILDREN = (
    "Which {many} have {children}?",
    "Which {many} have {children}?",
    "{many} with {children}",
    "List the {many} that have {children}.",
    "Give me the {names} of all {many} with {children}.",
    "Could you tell me which {many} have {children}?",
    "I'd like to know which {many} have {children}.",
    "Who has {who_children}?",
    "Find the {many} that have {children}.",
    "For which {many} are there {children}?",
    "Name the {many} with {children}, each once.",
)


def parent_slots(link: Link, children: str, random: Random) -> dict[str, str]:
    parent = link.parent
    slots = {"many": c.choose_noun(parent, random), "one": parent.one, "children": children}
    slots |= {"names": grammar.plural(parent.title_noun), "title": parent.title_noun}
    if parent.person:
        slots |= {"who_children": children, "that": "who"}
    return slots


@shape("parents with such children", HAVING_CHILDREN, weight=2)
def parents_with_children(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    condition = c.any_condition(link.child, random) if link else None
    if not link or not condition:
        return None
    slots = parent_slots(link, child_noun(link, random, condition), random)
    sql = f"SELECT DISTINCT {link.parent.title_sql} FROM {link.parent.name}{down(link)} WHERE {condition.sql}"
    return Draft(sql, slots, (link.column, *condition.columns))


@shape("parents of a kind with such children", HAVING_CHILDREN)
def parents_where_with_children(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    condition = c.any_condition(link.child, random) if link else None
    own = c.any_condition(link.parent, random) if link else None
    if not link or not condition or not own:
        return None
    slots = parent_slots(link, child_noun(link, random, condition), random)
    slots["many"] = c.noun_phrase(link.parent, slots["many"], [own], random)
    slots.pop("who_children", None)
    parent = f"{link.parent.name}{down(link)}"
    sql = f"SELECT DISTINCT {link.parent.title_sql} FROM {parent} WHERE {own.sql} AND {condition.sql}"
    return Draft(sql, slots, (link.column, *condition.columns, *own.columns))


@shape("aggregate over the children of a named parent", AGGREGATE)
def aggregate_of_named(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True)
    found = aggregate(link.child, random) if link else None
    condition = c.link_condition(link, random) if link else None
    if not link or not found or not condition:
        return None
    function, word, column = found
    own = c.any_condition(link.child, random, (column,)) if random.random() < 0.4 else None
    conditions = [own, condition] if own else [condition]
    noun = c.noun_phrase(link.child, c.choose_noun(link.child, random), conditions, random)
    slots = {"word": word, "says": measure_name(column, random), "np": noun}
    parts = where([x.sql for x in conditions])
    return Draft(
        f"SELECT {function}({column.ref}) FROM {link.child.name}{up(link)}{parts}", slots, (column, link.column)
    )


@shape("aggregate over children by what their parent is like", AGGREGATE)
def aggregate_by_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random)
    found = aggregate(link.child, random) if link else None
    condition = parent_condition(link, random) if link else None
    if not link or not found or not condition:
        return None
    function, word, column = found
    noun = c.noun_phrase(link.child, c.choose_noun(link.child, random), [condition], random)
    slots = {"word": word, "says": measure_name(column, random), "np": noun}
    sql = f"SELECT {function}({column.ref}) FROM {link.child.name}{up(link)} WHERE {condition.sql}"
    return Draft(sql, slots, (column, *condition.columns))


COUNT_PER_PARENT = (
    "How many {children} does each {one} have?",
    "Number of {children} per {one}",
    "{children} per {one}: how many?",
    "For each {one}, how many {children} are there?",
    "Count the {children} for each {one}.",
    "List the {many} with the number of {children} each has, leaving out those with none.",
    "I'd like to know how many {children} every {one} has; skip those with none.",
    "Could you show each {one} and the number of {children}, if there are any?",
    "how many {children} for every {one}",
    "Give me each {one} together with the number of {children}, zeros left out.",
)


@shape("number of children for each parent", COUNT_PER_PARENT, weight=2)
def count_per_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    if not link:
        return None
    condition = c.any_condition(link.child, random) if random.random() < 0.5 else None
    slots = parent_slots(link, child_noun(link, random, condition), random)
    parts = where([condition.sql] if condition else [])
    sql = (
        f"SELECT {link.parent.title_sql}, COUNT(*) FROM {link.parent.name}{down(link)}{parts} "
        f"GROUP BY {link.parent.key_ref}"
    )
    return Draft(sql, slots, (link.column,))


@shape(
    "number of children for each parent, zero included",
    (
        "How many {children} does each {one} have, counting those with none as zero?",
        "Number of {children} per {one}, including {many} with none",
        "For every {one}, even those without any, how many {children} are there?",
        "List all {many} with their number of {children}, also the ones that have none.",
        "I want every {one} listed with the number of {children}, zero included.",
        "Could you count the {children} of each {one}? Keep the {many} with none in the list.",
        "{children} per {one} (show 0 where there are none)",
        "Show all {many} and how many {children} each has, not leaving out those with zero.",
    ),
)
def count_per_parent_with_zero(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    if not link or len(set(link.column.values)) == len(link.parent.rows):
        return None
    own = c.any_condition(link.parent, random) if random.random() < 0.4 else None
    slots = parent_slots(link, child_noun(link, random), random)
    if own:
        slots["many"] = c.noun_phrase(link.parent, slots["many"], [own], random)
        slots["one"] = c.noun_phrase(link.parent, link.parent.one, [own], random, single=True)
    counted = link.column.ref if len(link.child.key) > 1 else link.child.key_ref
    parts = where([own.sql] if own else [])
    sql = (
        f"SELECT {link.parent.title_sql}, COUNT({counted}) FROM {link.parent.name} "
        f"LEFT JOIN {link.child.name} ON {link.join}{parts} GROUP BY {link.parent.key_ref}"
    )
    return Draft(sql, slots, (link.column,))


@shape(
    "parent with the most children",
    (
        "Which {one} has the {most} {children}?",
        "Which {one} has the {most} {children}?",
        "Who has the {most} {who_children}?",
        "{one} with the {most} {children}",
        "Tell me the {one} with the {most} {children}.",
        "Could you find the {one} that has the {most} {children}?",
        "I'd like to know which {one} has the {most} {children}.",
        "What is the {title} of the {one} with the {most} {children}?",
        "the {one} with the {most} {children}, please",
        "Looking at {children}, which {one} has the {most}?",
    ),
    weight=2,
)
def parent_with_most(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    if not link:
        return None
    condition = c.any_condition(link.child, random) if random.random() < 0.6 else None
    slots = parent_slots(link, child_noun(link, random, condition), random) | {"most": "most"}
    parts = where([condition.sql] if condition else [])
    sql = (
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)}{parts} "
        f"GROUP BY {link.parent.key_ref} ORDER BY COUNT(*) DESC LIMIT 1"
    )
    return Draft(sql, slots, (link.column,))


@shape(
    "top parents by number of children",
    (
        "Which {n} {many} have the most {children}?",
        "Top {n} {many} by number of {children}",
        "List the {n} {many} with the most {children}, and how many each has.",
        "The {n} {many} with the most {children}, with the number",
        "Who are the {n} {who_many} with the most {children}?",
        "I'd like the {n} {many} that have the most {children}.",
        "Could you name the {n} {many} with the most {children}?",
        "{n} {many} with most {children}",
        "Show the {n} {many} with the most {children}, including the count.",
        "What are the {n} {many} with the most {children}? Give the numbers too.",
    ),
)
def top_parents(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    if not link:
        return None
    condition = c.any_condition(link.child, random) if random.random() < 0.4 else None
    slots = parent_slots(link, child_noun(link, random, condition), random)
    count = random.choice((2, 3, 3, 5))
    slots |= {"n": grammar.number_word(count, random), "who_many": slots["many"] if link.parent.person else ""}
    parts = where([condition.sql] if condition else [])
    sql = (
        f"SELECT {link.parent.title_sql}@ FROM {link.parent.name}{down(link)}{parts} "
        f"GROUP BY {link.parent.key_ref} ORDER BY COUNT(*) DESC LIMIT {count}"
    )
    return Draft(sql, slots, (link.column,))


@shape(
    "parents with at least so many children",
    (
        "Which {many} have {bound} {children}?",
        "Which {many} have {bound} {children}?",
        "{many} with {bound} {children}",
        "Who has {bound} {who_children}?",
        "List the {many} that have {bound} {children}.",
        "Give me the {names} of {many} with {bound} {children}.",
        "I'd like to know which {many} have {bound} {children}.",
        "Could you find the {many} with {bound} {children}?",
        "For which {many} are there {bound} {children}?",
    ),
    weight=2,
)
def parents_with_count(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    if not link:
        return None
    condition = c.any_condition(link.child, random) if random.random() < 0.5 else None
    own = c.any_condition(link.parent, random) if random.random() < 0.35 else None
    mean = len(link.child.rows) // max(1, len(set(link.column.values)))
    number = random.randint(1, max(2, min(mean, 8)))
    # "Fewer than" would leave open whether none counts.
    bound, words = random.choice(
        (
            (f">= {number + 1}", f"at least {grammar.number_word(number + 1, random)}"),
            (f"> {number + 1}", f"more than {grammar.number_word(number + 1, random)}"),
            (f">= {number + 1}", f"{grammar.number_word(number + 1, random)} or more"),
        )
    )
    slots = parent_slots(link, child_noun(link, random, condition), random) | {"bound": words}
    if own:
        slots["many"] = c.noun_phrase(link.parent, slots["many"], [own], random)
        slots.pop("who_children", None)
    parts = where([x.sql for x in (own, condition) if x])
    sql = (
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)}{parts} "
        f"GROUP BY {link.parent.key_ref} HAVING COUNT(*) {bound}"
    )
    return Draft(sql, slots, (link.column,))


AGGREGATE_PER_PARENT = (
    "What is the {word} {says} of the {children} of each {one}?",
    "{word} {says} of {children} per {one}",
    "For each {one}, what is the {word} {says} of their {children}?",
    "Show the {word} {says} of {children} by {one}.",
    "I'd like to see every {one} with the {word} {says} of their {children}.",
    "Could you work out the {word} {says} of {children} for each {one}?",
    "{one} by {one}: {word} {says} of {children}",
    "Give each {one} with the {word} {says} of its {children}.",
    "Break down the {word} {says} of the {children} by {one}.",
)


@shape("aggregate over children for each parent", AGGREGATE_PER_PARENT, weight=2)
def aggregate_per_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    found = aggregate(link.child, random) if link else None
    if not link or not found:
        return None
    function, word, column = found
    condition = c.any_condition(link.child, random, (column,)) if random.random() < 0.5 else None
    slots = parent_slots(link, child_noun(link, random, condition), random)
    slots |= {"word": word, "says": measure_name(column, random)}
    parts = where([condition.sql] if condition else [])
    sql = (
        f"SELECT {link.parent.title_sql}, {function}({column.ref}) FROM {link.parent.name}{down(link)}{parts} "
        f"GROUP BY {link.parent.key_ref}"
    )
    return Draft(sql, slots, (column, link.column))


@shape(
    "parent with the highest aggregate over children",
    (
        "Which {one} has the {highest} {word} {says} over its {children}?",
        "{one} with the {highest} {word} {says} of {children}",
        "Which {one}'s {children} have the {highest} {word} {says}?",
        "Whose {whose_children} have the {highest} {word} {says}?",
        "Tell me the {one} whose {children} have the {highest} {word} {says}.",
        "I'd like to know the {one} with the {highest} {word} {says} across all its {children}.",
        "Could you find the {one} whose {children} show the {highest} {word} {says}?",
        "By {word} {says} of {children}, which {one} comes out {highest}?",
        "For which {one} is the {word} {says} of the {children} {highest}?",
    ),
    weight=2,
)
def parent_with_highest(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    if not link:
        return None
    function = random.choice(("SUM", "AVG"))
    column = pick_column(summable(link.child) if function == "SUM" else link.child.numbers, random)
    if not column or "average" in column.all_says:
        return None
    condition = c.any_condition(link.child, random, (column,)) if random.random() < 0.5 else None
    slots = parent_slots(link, child_noun(link, random, condition), random)
    slots |= {"word": "total" if function == "SUM" else "average", "says": measure_name(column, random)}
    highest = random.random() < 0.75
    slots["highest"] = "highest" if highest else "lowest"
    slots["whose_children"] = slots["children"] if link.parent.person else ""
    parts = where([condition.sql] if condition else [])
    sql = (
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)}{parts} "
        f"GROUP BY {link.parent.key_ref} ORDER BY {function}({column.ref}){' DESC' if highest else ''} LIMIT 1"
    )
    return Draft(sql, slots, (column, link.column))


@shape(
    "parents whose children add up to more than a bound",
    (
        "Which {many} have {children} with {a_word} {says} {bound} {value}?",
        "{many} whose {children} have {a_word} {says} {bound} {value}",
        "For which {many} is the {word} {says} of the {children} {bound} {value}?",
        "List the {many} for which the {word} {says} of {children} is {bound} {value}.",
        "I'd like to know whose {whose_children} have {a_word} {says} {bound} {value}.",
        "Could you tell me which {many} have {a_word} {says} of {children} {bound} {value}?",
        "Find {many} with {a_word} {says} of {children} {bound} {value}.",
        "Show the {many} where {children} have {a_word} {says} {bound} {value}.",
    ),
)
def parents_with_aggregate(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    if not link:
        return None
    function = random.choice(("SUM", "AVG"))
    column = pick_column(summable(link.child) if function == "SUM" else link.child.numbers, random)
    if not column or "average" in column.all_says or len(column.distinct) < 5:
        return None
    condition = c.any_condition(link.child, random, (column,)) if random.random() < 0.4 else None
    mean = sum(column.values) / len(column.values)
    parents = max(1, len(set(link.column.values)))
    value = c.rounded(mean if function == "AVG" else sum(column.values) / parents * (0.4 if condition else 1.2))
    slots = parent_slots(link, child_noun(link, random, condition), random)
    slots |= {"word": "total" if function == "SUM" else "average", "says": measure_name(column, random)}
    slots |= {"a_word": "a total" if function == "SUM" else "an average", "value": grammar.number_text(value)}
    slots |= {
        "bound": random.choice(("above", "over")),
        "whose_children": slots["children"] if link.parent.person else "",
    }
    parts = where([condition.sql] if condition else [])
    sql = (
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)}{parts} "
        f"GROUP BY {link.parent.key_ref} HAVING {function}({column.ref}) > {c.literal(value)}"
    )
    return Draft(sql, slots, (column, link.column))


@shape(
    "parent of the extreme child",
    (
        "Which {one} {question}?",
        "Which {one} {question}?",
        "What is the {title} of the {one} that the {extreme} {has}?",
        "{one} that the {extreme} {has}",
        "Tell me which {one} the {extreme} {has}.",
        "Could you tell me which {one} the {extreme} {has}?",
        "I'd like to know the {one} that the {extreme} {has}.",
        "Take the {extreme}: which {one} {question_it}?",
        "Find the {one} that the {extreme} {has}.",
        "Who {who_question}?",
    ),
)
def parent_of_extreme(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True)
    column = pick_column(sortable(link.child), random) if link else None
    found = extreme(link.child, column, link.child.one, random) if link and column else None
    if not link or not column or not found or not grammar.strandable(link.has, link.parent.one):
        return None
    phrase, order = found
    condition = c.any_condition(link.child, random, (column,), ("category", "flag")) if random.random() < 0.3 else None
    adjective = random.choice(condition.pres) if condition and condition.pres else ""
    if condition and not adjective:
        return None
    if adjective:
        phrase = phrase.replace(link.child.one, f"{adjective} {link.child.one}", 1)
    slots = {"one": link.parent.one, "title": link.parent.title_noun, "extreme": phrase}
    slots |= {"has": grammar.singular_verb(link.has), "question": grammar.inverted(link.has, f"the {phrase}") or ""}
    slots["question_it"] = grammar.inverted(link.has, "it") or ""
    if link.parent.person and link.has.endswith("by"):
        slots["who_question"] = slots["question"]
    parts = where([*([condition.sql] if condition else []), *not_null(column, order)])
    sql = f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)}{parts} ORDER BY {order} LIMIT 1"
    return Draft(sql, slots, (column, link.column))


@shape(
    "children with the name of their parent",
    (
        "List the {np} with the {one} each of them {has}.",
        "{np}, each with its {one}",
        "Show the {np} and the {title} of the {one} they {have}.",
        "Give me the {names} of the {np}, along with the {one} each {has}.",
        "I'd like a list of {np} with the {one} of each.",
        "Could you list the {np} together with the {one} each one {has}?",
        "For all {np}, show the {name} and the {one}.",
        "{np}: {name} and {one}",
        "What are the {names} of the {np}, and which {one} does each go with?",
    ),
)
def children_with_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, child_titled=True)
    condition = c.any_condition(link.child, random) if link else None
    if not link or not condition or not grammar.strandable(link.has, link.parent.one):
        return None
    noun = c.noun_phrase(link.child, c.choose_noun(link.child, random), [condition], random)
    name = link.child.title_noun
    slots = {"np": noun, "one": link.parent.one, "title": link.parent.title_noun, "have": link.has, "name": name}
    slots |= {"has": grammar.singular_verb(link.has), "names": grammar.plural(name)}
    sql = (
        f"SELECT {link.child.title_sql}, {link.parent.title_sql} FROM {link.child.name}{up(link)} WHERE {condition.sql}"
    )
    return Draft(sql, slots, (link.column, *condition.columns))


PER_PARENT_CATEGORY = COUNT_EACH[:8]


@shape("number of children for each category of parent", PER_PARENT_CATEGORY)
def count_per_parent_category(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, alone=True)
    column = pick_column(link.parent.categories, random) if link else None
    if not link or not column:
        return None
    condition = c.any_condition(link.child, random) if random.random() < 0.5 else None
    says = f"{c.choose_says(column, random)} of {link.parent.one}"
    if " of " in says.removesuffix(f" of {link.parent.one}"):
        return None
    slots = {"np": child_noun(link, random, condition), "says": says}
    parts = where([condition.sql] if condition else [])
    sql = f"SELECT {column.ref}, COUNT(*) FROM {link.parent.name}{down(link)}{parts} GROUP BY {column.ref}"
    return Draft(sql, slots, (column, link.column))


@shape(
    "aggregate over children for each category of parent",
    (
        "What is the {word} {measure} of {np} for each {says} of {one}?",
        "{word} {measure} of {np} by {says} of the {one}",
        "For each {says} of {one}, what is the {word} {measure} of the {np}?",
        "Show the {word} {measure} of {np} per {says} of {one}.",
        "I'd like to see the {word} {measure} of {np}, broken down by the {one}'s {says}.",
        "Could you give the {word} {measure} of {np} for every {says} of {one}?",
        "{word} {measure} of {np}, grouped by the {says} of their {one}",
        "By {says} of the {one}: {word} {measure} of {np}",
    ),
)
def aggregate_per_parent_category(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, alone=True)
    column = pick_column(link.parent.categories, random) if link else None
    found = aggregate(link.child, random) if link else None
    if not link or not column or not found:
        return None
    function, word, measure = found
    condition = c.any_condition(link.child, random, (measure,)) if random.random() < 0.4 else None
    slots = {"word": word, "measure": measure_name(measure, random), "np": child_noun(link, random, condition)}
    slots |= {"says": column.says[0], "one": link.parent.one}
    if " of " in column.says[0]:
        return None
    parts = where([condition.sql] if condition else [])
    sql = (
        f"SELECT {column.ref}, {function}({measure.ref}) FROM {link.parent.name}{down(link)}{parts} "
        f"GROUP BY {column.ref}"
    )
    return Draft(sql, slots, (column, measure))


@shape(
    "percentage of children for each parent",
    (
        "For each {one}, what percentage of the {children} {verb}?",
        "percentage of {children} that {verb}, per {one}",
        "What share of the {children} of each {one} {verb}, in percent?",
        "By {one}, what percentage of {children} {verb}?",
        "Show every {one} with the percentage of {children} that {verb}.",
        "I'd like to know, for every {one}, what percentage of the {children} {verb}.",
        "Could you work out for each {one} what percentage of {children} {verb}?",
        "Give me each {one} and the percentage of its {children} that {verb}.",
    ),
)
def percentage_per_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    condition = share_condition(link.child, random) if link else None
    if not link or not condition:
        return None
    slots = parent_slots(link, c.choose_noun(link.child, random), random) | {"verb": random.choice(condition.verbs)}
    slots["that"] = "who" if link.child.person else "that"
    own = c.any_condition(link.parent, random) if random.random() < 0.4 else None
    if own:
        slots["one"] = c.noun_phrase(link.parent, link.parent.one, [own], random, single=True)
    parts = where([own.sql] if own else [])
    sql = (
        f"SELECT {link.parent.title_sql}, {percentage(condition)} FROM {link.parent.name}{down(link)}{parts} "
        f"GROUP BY {link.parent.key_ref}"
    )
    return Draft(sql, slots, (link.column, *condition.columns))


@shape("things linked to a named thing through a third table", HAVING_CHILDREN)
def through_junction(lexicon: Lexicon, random: Random) -> Draft | None:
    pair = pick_junction(lexicon, random)
    if not pair:
        return None
    first, second = pair
    condition = c.link_condition(first, random)
    if not condition:
        return None
    own = c.any_condition(first.child, random) if random.random() < 0.35 else None
    found = [own, condition] if own else [condition]
    children = c.noun_phrase(first.child, c.choose_noun(first.child, random), found, random)
    slots = parent_slots(second, children, random)
    sql = (
        f"SELECT DISTINCT {second.parent.title_sql} FROM {second.parent.name}{down(second)}{up(first)}"
        f"{where([x.sql for x in found])}"
    )
    return Draft(sql, slots, (first.column, second.column))


@shape("things linked to a kind of thing through a third table", HAVING_CHILDREN)
def through_junction_by_kind(lexicon: Lexicon, random: Random) -> Draft | None:
    pair = pick_junction(lexicon, random)
    if not pair:
        return None
    first, second = pair
    condition = parent_condition(first, random)
    if not condition:
        return None
    children = c.noun_phrase(first.child, c.choose_noun(first.child, random), [condition], random)
    slots = parent_slots(second, children, random)
    sql = (
        f"SELECT DISTINCT {second.parent.title_sql} FROM {second.parent.name}{down(second)}{up(first)} "
        f"WHERE {condition.sql}"
    )
    return Draft(sql, slots, (first.column, second.column))


@shape("number of links to a named thing for each other thing", COUNT_PER_PARENT)
def count_through_junction(lexicon: Lexicon, random: Random) -> Draft | None:
    pair = pick_junction(lexicon, random)
    if not pair:
        return None
    first, second = pair
    condition = c.link_condition(first, random) if random.random() < 0.5 else parent_condition(first, random)
    if not condition:
        return None
    children = c.noun_phrase(first.child, c.choose_noun(first.child, random), [condition], random)
    slots = parent_slots(second, children, random)
    sql = (
        f"SELECT {second.parent.title_sql}, COUNT(*) FROM {second.parent.name}{down(second)}{up(first)} "
        f"WHERE {condition.sql} GROUP BY {second.parent.key_ref}"
    )
    return Draft(sql, slots, (first.column, second.column))


def grandparent_condition(first: Link, second: Link, random: Random, named: bool) -> Condition | None:
    """Children through their parent's parent: "that were for pets that belong to Ann Lee"."""
    inner = c.link_condition(second, random) if named else parent_condition(second, random)
    if not inner or first.has.endswith((" the", f" {first.parent.one}")):
        return None
    words = f"{first.has} {c.noun_phrase(first.parent, first.parent.many, [inner], random)}"
    return Condition(inner.sql, (("that", words),), (words,), (first.column, *inner.columns))


@shape("count of grandchildren", COUNT)
def count_of_grandchildren(lexicon: Lexicon, random: Random) -> Draft | None:
    chains = grandparents(lexicon)
    if not chains:
        return None
    first, second = random.choice(chains)
    condition = grandparent_condition(first, second, random, named=random.random() < 0.7)
    return count_draft(first.child, [condition], random, up(first) + up(second))


@shape("list of grandchildren", LIST, LIST_COLUMNS)
def list_of_grandchildren(lexicon: Lexicon, random: Random) -> Draft | None:
    chains = grandparents(lexicon)
    if not chains:
        return None
    first, second = random.choice(chains)
    condition = grandparent_condition(first, second, random, named=random.random() < 0.6)
    return list_draft(first.child, [condition], random, up(first) + up(second))


@shape("aggregate over grandchildren", AGGREGATE)
def aggregate_of_grandchildren(lexicon: Lexicon, random: Random) -> Draft | None:
    chains = grandparents(lexicon)
    if not chains:
        return None
    first, second = random.choice(chains)
    found = aggregate(first.child, random)
    condition = grandparent_condition(first, second, random, named=random.random() < 0.6)
    if not found or not condition:
        return None
    function, word, column = found
    noun = c.noun_phrase(first.child, c.choose_noun(first.child, random), [condition], random)
    slots = {"word": word, "says": measure_name(column, random), "np": noun}
    sql = f"SELECT {function}({column.ref}) FROM {first.child.name}{up(first)}{up(second)} WHERE {condition.sql}"
    return Draft(sql, slots, (column, *condition.columns))


PER_GRANDPARENT = (
    "Which {one} has the most {children}, counted over all its {middle}?",
    "Counting the {children} of all its {middle}, which {one} has the most?",
    "{one} with the most {children} (over its {middle})",
    "Taking all {middle} of each {one} together, which {one} has the most {children}?",
    "Which {one}'s {middle} have the most {children} in total?",
    "I'd like to know the {one} whose {middle} have the most {children} altogether.",
    "Could you find the {one} whose {middle} have the most {children}?",
    "Tell me which {one} has the most {children} through its {middle}.",
    "Add up the {children} of the {middle} of each {one}: which one has the most?",
)


@shape("grandparent with the most grandchildren", PER_GRANDPARENT)
def grandparent_with_most(lexicon: Lexicon, random: Random) -> Draft | None:
    chains = [(f, s) for f, s in grandparents(lexicon) if s.parent.titles and f.alone and s.alone and clear(f)]
    if not chains:
        return None
    first, second = random.choice(chains)
    condition = c.any_condition(first.child, random) if random.random() < 0.75 else None
    slots = {"one": second.parent.one, "middle": second.child.many, "children": child_noun(first, random, condition)}
    parts = where([condition.sql] if condition else [])
    sql = (
        f"SELECT {second.parent.title_sql} FROM {second.parent.name}{down(second)}{down(first)}{parts} "
        f"GROUP BY {second.parent.key_ref} ORDER BY COUNT(*) DESC LIMIT 1"
    )
    return Draft(sql, slots, (first.column, second.column))


@shape(
    "aggregate over grandchildren for each grandparent",
    (
        "For each {one}, what is the {word} {says} of the {children} of its {middle}?",
        "{word} {says} of {children} per {one}, through the {middle}",
        "What is the {word} {says} of {children} for the {middle} of each {one}?",
        "Show every {one} with the {word} {says} of the {children} of its {middle}.",
        "I'd like the {word} {says} of {children} by {one}, over all its {middle}.",
        "Could you work out, {one} by {one}, the {word} {says} of the {children} of its {middle}?",
        "By {one}: {word} {says} of {children}, counting all its {middle}",
        "Give each {one} and the {word} {says} over all {children} of its {middle}.",
    ),
)
def aggregate_per_grandparent(lexicon: Lexicon, random: Random) -> Draft | None:
    chains = [(f, s) for f, s in grandparents(lexicon) if s.parent.titles and f.alone and s.alone and clear(f)]
    if not chains:
        return None
    first, second = random.choice(chains)
    found = aggregate(first.child, random)
    if not found:
        return None
    function, word, column = found
    condition = c.any_condition(first.child, random, (column,)) if random.random() < 0.6 else None
    slots = {"one": second.parent.one, "middle": second.child.many, "children": child_noun(first, random, condition)}
    slots |= {"word": word, "says": measure_name(column, random)}
    parts = where([condition.sql] if condition else [])
    sql = (
        f"SELECT {second.parent.title_sql}, {function}({column.ref}) FROM {second.parent.name}{down(second)}"
        f"{down(first)}{parts} GROUP BY {second.parent.key_ref}"
    )
    return Draft(sql, slots, (first.column, second.column, column))


@shape(
    "thing with the most different other things",
    (
        "Which {one} has {children} for the most different {others}?",
        "{one} with the most different {others} among its {children}",
        "Counting each {other} once, which {one} has {children} for the most {others}?",
        "Who has {who_children} for the most different {others}?",
        "Tell me the {one} whose {children} cover the most different {others}.",
        "I'd like to know which {one} has {children} for the largest number of different {others}.",
        "Could you find the {one} with {children} for the most different {others}?",
        "Looking at {children}, which {one} has the most different {others}?",
    ),
)
def most_different(lexicon: Lexicon, random: Random) -> Draft | None:
    pairs = [(first, second) for first, second in junctions(lexicon) if second.alone and first.alone and clear(second)]
    if not pairs:
        return None
    first, second = random.choice(pairs)
    condition = c.any_condition(first.child, random) if random.random() < 0.4 else None
    slots = parent_slots(second, child_noun(second, random, condition), random)
    slots |= {"others": first.parent.many, "other": first.parent.one}
    parts = where([condition.sql] if condition else [])
    sql = (
        f"SELECT {second.parent.title_sql} FROM {second.parent.name}{down(second)}{parts} "
        f"GROUP BY {second.parent.key_ref} ORDER BY COUNT(DISTINCT {first.column.ref}) DESC LIMIT 1"
    )
    return Draft(sql, slots, (first.column, second.column))


def own_links(lexicon: Lexicon) -> list[Link]:
    return [link for link in lexicon.links if link.to_itself and link.child.titles]


def aliased(table: Table, alias: str) -> str:
    return ", ".join(f"{alias}.{column.name}" for column in table.titles)


def self_join(link: Link) -> str:
    table = link.child.name
    return f"FROM {table} AS a JOIN {table} AS b ON a.{link.column.name} = b.{link.parent_key}"


@shape(
    "rows of a table under one of its own rows",
    (
        "Which {many} {has} {name}?",
        "{many} that {has} {name}",
        "List the {many} that {has} {name}.",
        "Who {who} {name}?",
        "Give me the names of all {many} that {has} {name}.",
        "I'd like to know which {many} {has} {name}.",
        "Could you tell me which {many} {has} {name}?",
        "Do any {many} {base} {name}? Which?",
        "Name the {many} whose {role} is {name}.",
        "Whose {role} is {name}?",
        "{many} with {name} as {role}",
    ),
)
def under_named(lexicon: Lexicon, random: Random) -> Draft | None:
    links = own_links(lexicon)
    if not links:
        return None
    link = random.choice(links)
    found = c.named(link.child, random)
    if not found:
        return None
    sql, name = found
    slots = {"many": link.child.many, "has": link.has, "name": name, "role": link.role}
    slots["base"] = link.has if link.has.startswith("report") else ""
    if link.child.person:
        slots |= {"who": grammar.singular_verb(link.has), "that": "who"}
    condition = sql.replace(f"{link.child.name}.", "b.")
    return Draft(f"SELECT {aliased(link.child, 'a')} {self_join(link)} WHERE {condition}", slots, (link.column,))


@shape(
    "the row over a row of the same table",
    (
        "Who is the {role} of {name}?",
        "Who is {name}'s {role}?",
        "{role} of {name}?",
        "What is the name of {name}'s {role}?",
        "Tell me who the {role} of {name} is.",
        "I'd like to know the {role} of {name}.",
        "Could you look up the {role} of {name}?",
        "Name {name}'s {role}.",
        "Which {one} is the {role} of {name}?",
    ),
)
def over_named(lexicon: Lexicon, random: Random) -> Draft | None:
    links = [link for link in own_links(lexicon) if link.role != link.parent.one]
    if not links:
        return None
    link = random.choice(links)
    found = c.named(link.child, random)
    if not found:
        return None
    sql, name = found
    slots = {"role": link.role, "name": name, "one": link.parent.one}
    condition = sql.replace(f"{link.child.name}.", "a.")
    return Draft(f"SELECT {aliased(link.child, 'b')} {self_join(link)} WHERE {condition}", slots, (link.column,))


@shape(
    "number of rows under each row of the same table",
    (
        "For each {role}, how many {many} {has} them?",
        "Number of {many} per {role}",
        "How many {many} {has} each {role}?",
        "Count the {many} for every {role}.",
        "I'd like to see each {role} with the number of {many} that {has} them.",
        "Could you list every {role} and how many {many} {has} them?",
        "{role} by {role}: how many {many}?",
        "Give me the {role}s and the number of {many} for each.",
    ),
)
def count_under_each(lexicon: Lexicon, random: Random) -> Draft | None:
    links = [link for link in own_links(lexicon) if link.role != link.parent.one]
    if not links:
        return None
    link = random.choice(links)
    condition = c.any_condition(link.child, random) if random.random() < 0.7 else None
    noun = c.noun_phrase(link.child, link.child.many, [condition] if condition else [], random)
    slots = {"role": link.role, "many": noun, "has": link.has}
    parts = where([condition.sql.replace(f"{link.child.name}.", "a.")] if condition else [])
    sql = f"SELECT {aliased(link.child, 'b')}, COUNT(*) {self_join(link)}{parts} GROUP BY b.{link.parent_key}"
    return Draft(sql, slots, (link.column,))


@shape(
    "percentage of grandchildren for each grandparent",
    (
        "For each {one}, what percentage of the {children} of its {middle} {verb}?",
        "percentage of {children} that {verb}, per {one}, over all its {middle}",
        "What share of the {children} of each {one}'s {middle} {verb}, in percent?",
        "By {one}, what percentage of the {children} of its {middle} {verb}?",
        "Show every {one} with the percentage of its {middle}' {children} that {verb}.",
        "I'd like to know, {one} by {one}, what percentage of the {children} of its {middle} {verb}.",
        "Could you work out for each {one} what percentage of the {children} of its {middle} {verb}?",
        "Take all {children} of the {middle} of each {one}: what percentage of them {verb}?",
    ),
)
def percentage_per_grandparent(lexicon: Lexicon, random: Random) -> Draft | None:
    chains = [(f, s) for f, s in grandparents(lexicon) if s.parent.titles and f.alone and s.alone and clear(f)]
    if not chains:
        return None
    first, second = random.choice(chains)
    condition = share_condition(first.child, random)
    if not condition:
        return None
    slots = {"one": second.parent.one, "middle": second.child.many, "children": c.choose_noun(first.child, random)}
    slots["verb"] = random.choice(condition.verbs)
    sql = (
        f"SELECT {second.parent.title_sql}, {percentage(condition)} FROM {second.parent.name}{down(second)}"
        f"{down(first)} GROUP BY {second.parent.key_ref}"
    )
    return Draft(sql, slots, (first.column, second.column, *condition.columns))


@shape(
    "grandparents with at least so many grandchildren",
    (
        "Which {many} have at least {n} {children}, counted over all their {middle}?",
        "{many} whose {middle} have at least {n} {children} between them",
        "Taking all {middle} of each {one} together, which {many} have {n} or more {children}?",
        "List the {many} whose {middle} have at least {n} {children} in total.",
        "I'd like to know which {many} have {n} or more {children} through their {middle}.",
        "Could you find the {many} with at least {n} {children} over all their {middle}?",
        "For which {many} do the {middle} add up to at least {n} {children}?",
        "Give me the {names} of {many} whose {middle} together have {n} or more {children}.",
    ),
)
def grandparents_with_count(lexicon: Lexicon, random: Random) -> Draft | None:
    chains = [(f, s) for f, s in grandparents(lexicon) if s.parent.titles and f.alone and s.alone and clear(f)]
    if not chains:
        return None
    first, second = random.choice(chains)
    condition = c.any_condition(first.child, random) if random.random() < 0.7 else None
    own = c.any_condition(second.parent, random) if random.random() < 0.4 else None
    mean = len(first.child.rows) // max(1, len(second.parent.rows))
    number = random.randint(2, max(3, min(mean, 12)))
    many = c.noun_phrase(second.parent, c.choose_noun(second.parent, random), [own] if own else [], random)
    slots = {
        "many": many,
        "one": second.parent.one,
        "middle": second.child.many,
        "n": grammar.number_word(number, random),
    }
    slots |= {"children": child_noun(first, random, condition), "names": grammar.plural(second.parent.title_noun)}
    if own:
        slots.pop("one")
    parts = where([x.sql for x in (own, condition) if x])
    sql = (
        f"SELECT {second.parent.title_sql} FROM {second.parent.name}{down(second)}{down(first)}{parts} "
        f"GROUP BY {second.parent.key_ref} HAVING COUNT(*) >= {number}"
    )
    return Draft(sql, slots, (first.column, second.column))


@shape(
    "highest average among parents with enough children",
    (
        "Among the {many} with at least {n} {children}, which has the {highest} average {says}?",
        "{one} with the {highest} average {says} of {children}, among those with {n} or more",
        "Of all {many} that have at least {n} {children}, whose have the {highest} average {says}?",
        "Looking only at {many} with {n} or more {children}, which one has the {highest} average {says}?",
        "I'd like to know which of the {many} with at least {n} {children} has the {highest} average {says}.",
        "Could you find the {one} with the {highest} average {says} of {children}? Only those with at least {n} count.",
        "Which {one} has the {highest} average {says} of {children}, leaving out those with fewer than {n}?",
        "Tell me the {one} with the {highest} average {says} over its {children}, if it has at least {n} of them.",
    ),
)
def highest_average_with_enough(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    column = pick_column([x for x in link.child.numbers if not x.nulls], random) if link else None
    if not link or not column or "average" in column.all_says:
        return None
    first = c.any_condition(link.child, random, (column,)) if random.random() < 0.7 else None
    second = c.any_condition(link.child, random, (column, *first.columns)) if first and random.random() < 0.5 else None
    found = [condition for condition in (first, second) if condition]
    highest = random.random() < 0.75
    number = random.randint(2, 5)
    children = c.noun_phrase(link.child, c.choose_noun(link.child, random), found, random)
    slots = parent_slots(link, children, random) | {"says": measure_name(column, random)}
    slots |= {"highest": "highest" if highest else "lowest", "n": grammar.number_word(number, random)}
    sql = (
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)}{where([x.sql for x in found])} "
        f"GROUP BY {link.parent.key_ref} HAVING COUNT(*) >= {number} "
        f"ORDER BY AVG({column.ref}){' DESC' if highest else ''} LIMIT 1"
    )
    return Draft(sql, slots, (column, link.column))


@shape(
    "two counts of children for each parent",
    (
        "For each {one}, how many {children} {first}, and how many {second}?",
        "per {one}: number of {children} that {first} and number that {second}",
        "How many {children} of each {one} {first} and how many {second}?",
        "Show every {one} with two numbers: the {children} that {first} and those that {second}.",
        "I'd like to see, for each {one}, how many {children} {first} and how many {second}.",
        "Could you count for each {one} the {children} that {first} and, beside it, the ones that {second}?",
        "Compare for every {one} the number of {children} that {first} with the number that {second}.",
        "{one} by {one}: how many {children} {first}, how many {second}",
    ),
)
def two_counts_per_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    if not link:
        return None
    column = pick_column([x for x in link.child.of_kind("category", "flag") if not x.nulls], random)
    if not column:
        return None
    make = c.flag_condition if column.kind == "flag" else None
    first, second = (make(column, random) if make else c.category_condition(link.child, column, random) for _ in "ab")
    if not first or not second or first.sql == second.sql:
        return None
    slots = parent_slots(link, c.choose_noun(link.child, random), random)
    slots |= {"first": random.choice(first.verbs), "second": random.choice(second.verbs)}
    slots["that"] = "who" if link.child.person else "that"
    sums = ", ".join(f"SUM(CASE WHEN {x.sql} THEN 1 ELSE 0 END)" for x in (first, second))
    sql = f"SELECT {link.parent.title_sql}, {sums} FROM {link.parent.name}{down(link)} GROUP BY {link.parent.key_ref}"
    return Draft(sql, slots, (column, link.column))


@shape(
    "percentage of children for parents with enough of them",
    (
        "For each {one} with at least {n} {children}, what percentage of them {verb}?",
        "percentage of {children} that {verb}, per {one}, only where there are at least {n}",
        "Looking only at {many} with {n} or more {children}: what percentage of these {verb}?",
        "For {many} that have at least {n} {children}, show the percentage that {verb}.",
        "I'd like to know, for every {one} with {n} or more {children}, what percentage of them {verb}.",
        "Could you work out for each {one} with at least {n} {children} what percentage of those {verb}?",
        "Take the {many} with {n} {children} or more. What percentage of the {children} {verb} in each case?",
        "By {one}, leaving out those with fewer than {n} {children}: what percentage of {children} {verb}?",
    ),
)
def percentage_where_enough(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    condition = share_condition(link.child, random) if link else None
    if not link or not condition:
        return None
    number = random.randint(2, 6)
    slots = parent_slots(link, c.choose_noun(link.child, random), random) | {"verb": random.choice(condition.verbs)}
    slots |= {"n": grammar.number_word(number, random), "that": "who" if link.child.person else "that"}
    sql = (
        f"SELECT {link.parent.title_sql}, {percentage(condition)} FROM {link.parent.name}{down(link)} "
        f"GROUP BY {link.parent.key_ref} HAVING COUNT(*) >= {number}"
    )
    return Draft(sql, slots, (link.column, *condition.columns))


@shape(
    "parents with more of one kind of children than of another",
    (
        "Which {many} have more {first} than {second}?",
        "{many} with more {first} than {second}",
        "Who has more {who_first} than {who_second}?",
        "List the {many} that have more {first} than {second}.",
        "Give me the {names} of all {many} with more {first} than {second}.",
        "I'd like to know which {many} have more {first} than {second}.",
        "Could you find the {many} that have more {first} than {second}?",
        "For which {many} are there more {first} than {second}?",
    ),
)
def more_of_one_kind(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    column = (
        pick_column([x for x in link.child.of_kind("category", "date", "flag") if not x.nulls], random)
        if link
        else None
    )
    if not link or not column:
        return None
    makers = {
        "category": lambda: c.category_condition(link.child, column, random),
        "date": lambda: c.date_condition(link.child, column, random, "year"),
        "flag": lambda: c.flag_condition(column, random),
    }
    first, second = makers[column.kind](), makers[column.kind]()
    if not first or not second or first.sql == second.sql:
        return None
    noun = c.choose_noun(link.child, random)
    words = [c.noun_phrase(link.child, noun, [condition], random) for condition in (first, second)]
    slots = parent_slots(link, "", random) | {"first": words[0], "second": words[1]}
    if link.parent.person:
        slots |= {"who_first": words[0], "who_second": words[1]}
    sums = [f"SUM(CASE WHEN {x.sql} THEN 1 ELSE 0 END)" for x in (first, second)]
    sql = (
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)} "
        f"GROUP BY {link.parent.key_ref} HAVING {sums[0]} > {sums[1]}"
    )
    return Draft(sql, slots, (column, link.column))


@shape(
    "first or last date over the children of each parent",
    (
        "What is the {latest} {says} of the {children} of each {one}?",
        "{latest} {says} of {children} per {one}",
        "For each {one}, what is the {latest} {says} among the {children}?",
        "Show every {one} with the {latest} {says} of its {children}.",
        "I'd like to see, {one} by {one}, the {latest} {says} of the {children}.",
        "Could you give me the {latest} {says} of {children} for each {one}?",
        "When was the {event} {child} of each {one}?",
        "For every {one}, when was the {event} {child}?",
        "List the {many} with the {latest} {says} of their {children}.",
    ),
)
def date_per_parent(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    column = pick_column(link.child.of_kind("date"), random) if link else None
    if not link or not column:
        return None
    condition = c.any_condition(link.child, random, (column,)) if random.random() < 0.4 else None
    last = random.random() < 0.6
    slots = parent_slots(link, child_noun(link, random, condition), random)
    slots |= {"latest": "latest" if last else "earliest", "says": c.choose_says(column, random)}
    if c.is_event(column):
        kind = [condition] if condition else []
        slots["child"] = c.noun_phrase(link.child, "", kind, random, single=True)
        slots["event"] = random.choice(("last", "most recent") if last else ("first", "earliest"))
    parts = where([condition.sql] if condition else [])
    sql = (
        f"SELECT {link.parent.title_sql}, {'MAX' if last else 'MIN'}({column.ref}) FROM {link.parent.name}{down(link)}"
        f"{parts} GROUP BY {link.parent.key_ref}"
    )
    return Draft(sql, slots, (column, link.column))


@shape(
    "parents by the date of their last child",
    (
        "Which {many} had their last {child} before {day}?",
        "{many} whose last {child} was before {day}",
        "List the {many} whose most recent {child} was before {day}.",
        "Give me the {names} of {many} that had their last {child} before {day}.",
        "I'd like to know which {many} had their most recent {child} before {day}.",
        "Could you find the {many} whose latest {child} dates from before {day}?",
        "For which {many} was the last {child} before {day}?",
        "Find {many} with {children}, but none on or after {day}.",
    ),
)
def parents_by_last_date(lexicon: Lexicon, random: Random) -> Draft | None:
    link = pick_link(lexicon, random, parent_titled=True, alone=True)
    column = pick_column([x for x in link.child.of_kind("date") if c.is_event(x)], random) if link else None
    if not link or not column:
        return None
    days = sorted(column.values)
    day = days[int(len(days) * random.uniform(0.5, 0.95))][:7] + "-01"
    slots = parent_slots(link, link.child.many, random) | {"child": link.child.one}
    slots["day"] = grammar.day_in_words(day, random)
    sql = (
        f"SELECT {link.parent.title_sql} FROM {link.parent.name}{down(link)} "
        f"GROUP BY {link.parent.key_ref} HAVING MAX({column.ref}) < '{day}'"
    )
    return Draft(sql, slots, (column, link.column))
