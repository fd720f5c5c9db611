"""What a shape is, and the phrasings and drafts that many shapes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from string import Formatter

from data.generator import grammar
from data.generator.conditions import Condition, choose_noun, choose_says, noun_phrase
from data.generator.lexicon import Column, Lexicon, Link, Table


@dataclass
class Draft:
    """SQL with every column written table.column, the words for the phrasings, and the columns asked about.

    `bare` tells that the table names are to be left out when the query has no join, as the house style wants.
    """

    sql: str
    slots: dict[str, str]
    columns: tuple[Column, ...] = ()
    bare: bool = True


@dataclass(frozen=True)
class Shape:
    """A shape of question: its phrasings, and the function that fills it for a database or gives None.

    `weight` is how many questions it gives in each round of choosing: the shapes that people ask most have 2.
    """

    name: str
    phrasings: tuple[str, ...]
    make: Callable[[Lexicon, Random], Draft | None]
    weight: int = 1

    def question(self, draft: Draft, random: Random) -> str:
        """One of the phrasings whose words the draft has, filled."""
        fitting = [text for text in self.phrasings if all(draft.slots.get(slot) for slot in slots_of(text))]
        if not fitting:
            return ""
        text = random.choice(fitting)
        if draft.slots.get("that") == "who":
            text = text.replace(" that {", " who {").replace(" that have", " who have")
        return text.format(**draft.slots)


SHAPES: list[Shape] = []


def shape(
    name: str, *banks: Sequence[str], weight: int = 1
) -> Callable[[Callable[[Lexicon, Random], Draft | None]], Callable[[Lexicon, Random], Draft | None]]:
    """Register a function as a shape with these phrasings."""

    def register(make: Callable[[Lexicon, Random], Draft | None]) -> Callable[[Lexicon, Random], Draft | None]:
        SHAPES.append(Shape(name, tuple(text for bank in banks for text in bank), make, weight))
        return make

    return register


def slots_of(text: str) -> list[str]:
    """The slots of a phrasing."""
    return [slot for _, slot, _, _ in Formatter().parse(text) if slot]


# "Which owners are from Ballymore?" and its kin, for rows with a name …
LIST = (
    "Which {subject} {verb}?",
    "Which {subject} {verb}?",
    "Who {who}?",
    "List the {np}.",
    "{np}",
    "{np}, please",
    "Give me the {names} of all {np}.",
    "Can you tell me which {subject} {verb}?",
    "Could you show me all the {np}?",
    "I'd like to know which {subject} {verb}.",
    "do we have any {np}? which ones?",
    "Name all {np}.",
    "What are the {names} of the {np}?",
    "{names} of {np}",
    "Tell me which {subject} {verb}.",
    "I need a list of {np}.",
    "Find all {np}.",
    "show {np}",
    "Are there any {np}? Give me the {names}.",
)
# … and for rows that only their columns describe.
LIST_COLUMNS = (
    "What are the {wanted} of the {unnamed}?",
    "{wanted} of {unnamed}",
    "List the {wanted} of all {unnamed}.",
    "Show me the {wanted} for {unnamed}.",
    "I'd like to see the {wanted} of all {unnamed}.",
    "For the {unnamed}, give me the {wanted}.",
    "{unnamed}: {wanted}, please",
    "Could you list the {wanted} of the {unnamed}?",
)
COUNT = (
    "How many {subject} {verb}?",
    "How many {subject} {verb}?",
    "How many {np} are there?",
    "Number of {np}",
    "number of {np}?",
    "Count the {np}.",
    "Could you tell me how many {subject} {verb}?",
    "I'd like to know how many {np} there are.",
    "How many {np} do we have?",
    "What's the number of {np}?",
    "Tell me how many {subject} {verb}.",
    "count of {np}",
)


def list_draft(
    table: Table,
    conditions: list[Condition | None],
    random: Random,
    joins: str = "",
    distinct: bool = False,
    where: str = "",
    order: str = "",
    extra: dict[str, str] | None = None,
) -> Draft | None:
    """The rows that meet the conditions: their titles, or some columns if they have none."""
    found = [condition for condition in conditions if condition]
    if len(found) < len(conditions):
        return None
    used = tuple(column for condition in found for column in condition.columns)
    noun = choose_noun(table, random)
    slots = list_slots(table, found, noun, random) | (extra or {})
    wanted: tuple[Column, ...] = table.titles
    if not wanted:
        wanted = tuple(describing_columns(table, used, random))
        if not wanted:
            return None
        slots["wanted"] = " and ".join(grammar.plural(column.says[0]) for column in wanted)
        slots["unnamed"] = slots["np"]
        for slot in ("subject", "verb", "who", "names", "np"):
            slots.pop(slot, None)
    select = "SELECT DISTINCT" if distinct else "SELECT"
    where = where or " AND ".join(condition.sql for condition in found)
    columns = ", ".join(column.ref for column in wanted)
    sql = f"{select} {columns} FROM {table.name}{joins} WHERE {where}{order}"
    return Draft(sql, slots, used)


def list_slots(table: Table, conditions: list[Condition], noun: str, random: Random) -> dict[str, str]:
    """subject + verb ("vets hired in 2020", "are ..."), np (all in one phrase), names, and who for people."""
    verb = random.choice(conditions[-1].verbs)
    slots = {
        "np": noun_phrase(table, noun, conditions, random),
        "subject": noun_phrase(table, noun, conditions[:-1], random),
        "verb": verb,
        "many": noun,
        "that": "who" if table.person else "",
    }
    if table.titles:
        slots["names"] = grammar.plural(table.title_noun)
        if table.person and len(conditions) == 1 and "their" not in verb:
            slots["who"] = grammar.singular_verb(verb)
    return slots


def describing_columns(table: Table, without: tuple[Column, ...], random: Random) -> list[Column]:
    """One or two columns that tell most about a row without a name."""
    columns = [
        column
        for column in table.columns.values()
        if column not in without and not column.nulls and (column.kind in ("date", "category") or column.is_number)
    ]
    return random.sample(columns, min(len(columns), random.choice((1, 2, 2))))


def count_draft(table: Table, conditions: list[Condition | None], random: Random, joins: str = "") -> Draft | None:
    """How many rows meet the conditions."""
    found = [condition for condition in conditions if condition]
    if len(found) < len(conditions):
        return None
    slots = list_slots(table, found, choose_noun(table, random), random)
    where = " AND ".join(condition.sql for condition in found)
    used = tuple(column for condition in found for column in condition.columns)
    return Draft(f"SELECT COUNT(*) FROM {table.name}{joins} WHERE {where}", slots, used)


def pick_table(lexicon: Lexicon, random: Random, *, titled: bool = False) -> Table:
    """A table by chance, those with more columns more often."""
    tables = [t for t in lexicon.tables.values() if t.titles or not titled]
    return random.choices(tables, [len(t.columns) * min(1.0, len(t.rows) / 30) for t in tables])[0]


def pick_column(columns: list[Column], random: Random) -> Column | None:
    return random.choice(columns) if columns else None


def pick_link(
    lexicon: Lexicon,
    random: Random,
    *,
    parent_titled: bool = False,
    child_titled: bool = False,
    alone: bool = False,
) -> Link | None:
    """A foreign key between two tables by chance. `alone`: the only one between the two."""
    links = [
        link
        for link in lexicon.links
        if not link.to_itself
        and (link.parent.titles or not parent_titled)
        and (link.child.titles or not child_titled)
        and (not alone or (link.alone and clear(link)))
    ]
    return (
        random.choices(links, [len(link.child.columns) * min(1.0, len(link.parent.rows) / 20) for link in links])[0]
        if links
        else None
    )


def clear(link: Link) -> bool:
    """False where "treatments with treatments given" would say the same word twice."""
    return not set(link.parent.many.split()) & set(link.child.many.split())


def superlative(column: Column, random: Random) -> tuple[str, str, bool] | None:
    """(words before the noun, words after it, descending) for the row with the largest or smallest value."""
    largest = random.random() < 0.6
    adjective = column.more if largest else column.less
    # Many rows without a value would come first in rising order.
    if column.nulls and not largest and random.random() < 0.7:
        return None
    clear = adjective and (
        adjective not in VAGUE or any(word in column.all_says for word in ("area", "size", "capacity"))
    )
    if clear and random.random() < 0.8:
        return adjective, "", largest
    if column.kind in ("date", "year"):
        if not adjective or column.says[0] in ("date", "day"):
            return None
        return "", f"with the {'latest' if largest else 'earliest'} {choose_says(column, random)}", largest
    says = choose_says(column, random)
    thing = grammar.counted(says) if column.kind == "count" else None
    if thing:
        return "", f"with the {'most' if largest else 'fewest'} {thing}", largest
    high, low = grammar.extreme_words(says)
    return "", f"with the {high if largest else low} {says}", largest


VAGUE = frozenset(
    (
        "highest lowest largest smallest biggest best latest earliest last first richest poorest most least "
        "fattest leanest strongest weakest"
    ).split()
)


def extreme(table: Table, column: Column, noun: str, random: Random) -> tuple[str, str] | None:
    """(noun phrase without article, ORDER BY) for the extreme row or rows; `noun` is singular or plural."""
    found = superlative(column, random)
    if not found:
        return None
    before, after, descending = found
    return f"{before} {noun} {after}".strip(), f"{column.ref}{' DESC' if descending else ''}"


def not_null(column: Column, order: str) -> list[str]:
    """In rising order missing values come first: they must be left out."""
    return [f"{column.ref} IS NOT NULL"] if column.nulls and not order.endswith("DESC") else []


def where(parts: list[str]) -> str:
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def sortable(table: Table) -> list[Column]:
    """Columns by which rows are ranked."""
    return [*table.numbers, *table.of_kind("date", "year")]


def of_all(text: str, random: Random) -> str:
    return random.choice((f"all {text}", f"the {text}", text))
