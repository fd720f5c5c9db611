"""Conditions on rows, each as SQL and in words: after the noun ("born in 2023") and as a verb ("were born in 2023")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Any

from data.generator import grammar
from data.generator.lexicon import Column, Link, Table

# What people say of a date instead of its name: (words in the YAML, participle, past tense, base form).
DATE_VERBS = (
    (r"birth", "born", None, None),
    (r"death", None, "died", "die"),
    (r"leaving|departure\b(?!.*check)|they left", None, "left", "leave"),
    (r"year of registration", "registered", None, None),
    (r"registration", None, "registered", "register"),
    (r"pay day", "paid", None, None),
    (r"became a (customer|client)", None, r"became \1s", r"become a \1"),
    (r"hiring|hired", "hired", None, None),
    (r"sign-up", None, "signed up", "sign up"),
    (r"joining|joined", None, "joined", "join"),
    (r"first gift", None, "first gave", "first give"),
    (r"sending|posting\b.*sent|date of posting", "sent", None, None),
    (r"acquisition", "acquired", None, None),
    (r"purchase|bought", "bought", None, None),
    (r"borrowing", "borrowed", None, None),
    (r"day it came back", "returned", None, None),
    (r"date passed", "passed", None, None),
    (r"date received", "received", None, None),
    (r"handed over", "handed over", None, None),
    (r"publication", "published", None, None),
    (r"date posted|posting date", "posted", None, None),
    (r"date it ran", None, "ran", "run"),
    (r"order date", "placed", None, None),
    (r"signing", "signed", None, None),
    (r"date of issue", "issued", None, None),
    (r"collection", "collected", None, None),
    (r"last inspection", "last inspected", None, None),
    (r"refurbishment", "last refurbished", None, None),
    (r"premiere", None, "premiered", "premiere"),
    (r"bottling", "bottled", None, None),
    (r"came to the zoo", None, "arrived", "arrive"),
    (r"came online", None, "came online", "come online"),
    (r"retirement", "retired", None, None),
    (r"opening", None, "opened", "open"),
    (r"closing", None, "closed", "close"),
    (r"release", "released", None, None),
    (r"construction|building|it was built", "built", None, None),
    (r"founding|foundation", "founded", None, None),
    (r"it was written", "written", None, None),
    (r"it was made|of make|of making|model year", "made", None, None),
    (r"of planting|planting year", "planted", None, None),
    (r"started|starting date|first day|start date", None, "started", "start"),
    (r"enrolment date|booking date", "made", None, None),
    (r"milking|of treatment", None, "took place", "take place"),
)
EVENT = re.compile(r"^(date|day)$|^date of (sale|the \w+|picking)$|^(weighing|concert|visit) (day|date)$")
FROM_PLACE = re.compile(r"^(town|city|country|home (town|city|country)|nationality|country of origin)\b")
AT_PLACE = re.compile(r"^(venue|cinema|practice)\b")
COMPOUND = re.compile(
    r"^(kind|type|genre|species|breed|colour|style|fuel|medium|make|brand|class|technique|form|subject|category|"
    r"status|payment status|state|condition|speciality|age group|family|kind of \w+|type of \w+)$"
)
CODE = re.compile(r"^[A-Z]{1,3}$|^[IVX]+$|^\d+$")
ON_DAY = re.compile(r"^(day of the week|weekday)$")
IN_PART_OF_DAY = re.compile(r"^(part of the day|time of day|session)$")
# Values that are nouns themselves: "dogs" rather than "patients of the species dog".
VALUE_NOUNS = frozenset(
    (
        "cat dog guinea_pig parrot rabbit tortoise cake roll pastry biscuit professor lecturer senior_lecturer "
        "reporter columnist trainee crew_manager station_commander chairlift cable_car gondola drag_lift "
        "magic_carpet overture symphony concerto suite comedy western hotel restaurant shop importer school club "
        "farm"
    ).split()
)
NOUN_COLUMNS = re.compile(r"^(species|category|rank|role|type|genre|kind of (business|organisation)|type of client)$")
VALUE_WORDS = {("sex", "F"): "female", ("sex", "M"): "male"}
# (verb, adjective for more, adjective for less) by the word in the first noun phrase.
MEASURE_WORDS = (
    (r"^weight", "weigh", "heavier", "lighter"),
    (r"^(price|cost|fee|fare|ticket price|purchase price|monthly cost|list price|unit price|entry price)\b",
     "cost", "more expensive", "cheaper"),
    (r"^(salary|yearly pay|hourly wage|pay)\b", "earn", None, None),
    (r"^(length|duration|running time|playing time)", None, "longer", "shorter"),
    (r"^height(?! above)", None, "taller", "shorter"),
    (r"^(area|size)\b", None, "larger", "smaller"),
)  # fmt: skip
OPERATORS = {
    ">": ("more than", "over", "above"),
    ">=": ("at least", "no less than"),
    "<": ("less than", "under", "below"),
    "<=": ("at most", "no more than", "up to"),
}


@dataclass(frozen=True)
class Condition:
    """A condition. `posts` stand after a plural noun: (kind, words); `verbs` after "which owners ..."."""

    sql: str
    posts: tuple[tuple[str, str], ...]
    verbs: tuple[str, ...]
    columns: tuple[Column, ...]
    pres: tuple[str, ...] = ()
    noun: str | None = None


def literal(value: Any) -> str:
    """A value as SQL."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return grammar.number_text(value) if float(value).is_integer() else repr(value)


def spoken(value: Any, random: Random) -> str:
    """A value as people type it: now and then in lower case."""
    text = grammar.number_text(value) if isinstance(value, int | float) else str(value)
    return text.lower() if random.random() < 0.12 and not CODE.match(text) else text


def choose_noun(table: Table, random: Random) -> str:
    """The plural of the table's noun, or a synonym."""
    return random.choice(table.also) if table.also and random.random() < 0.3 else table.many


def choose_says(column: Column, random: Random) -> str:
    """How the column is called: mostly its first noun phrase, less often if that is just the column's name."""
    usual = 0.2 if column.says[0].lower() in (column.name.lower(), *grammar.pieces(column.name)) else 0.65
    return column.says[0] if random.random() < usual else random.choice(column.says)


def noun_phrase(table: Table, noun: str, conditions: list[Condition], random: Random, *, single: bool = False) -> str:
    """ "dogs born in 2023 that belong to Ann Lee": the noun with its conditions around it, plural or `single`."""
    noun = table.one if single else noun
    simple = " of " not in noun and not noun.endswith("given")
    before, posts = "", []
    for condition in conditions:
        if condition.noun and simple and not single and random.random() < 0.7:
            noun, simple = condition.noun, False
        elif condition.pres and simple and not before and random.random() < 0.6:
            before = random.choice(condition.pres)
        else:
            posts.append(random.choice(condition.posts))
    order = ("plain", "with", "that", "whose")
    posts.sort(key=lambda post: order.index(post[0]))
    text, last = f"{before} {noun}".strip(), ""
    for kind, words in posts:
        lead = {"plain": "", "with": "with ", "whose": "whose ", "that": "who " if table.person else "that "}[kind]
        joint = " and " if kind == last or (kind == "whose" and last in ("with", "that")) else " "
        words = grammar.singular_verb(words) if single and kind == "that" else words
        text += joint + lead + words
        last = kind
    return text


def number_condition(column: Column, random: Random, operator: str | None = None) -> Condition | None:
    """A comparison with a round number, or BETWEEN two."""
    operator = operator or random.choice((">", ">", "<", "<", ">=", "<=", "BETWEEN"))
    values = sorted(column.values)
    if len(column.distinct) < 4:
        return None
    if operator == "BETWEEN":
        low, high = (rounded(values[int(len(values) * share)]) for share in random.choice(((0.3, 0.6), (0.4, 0.8))))
        if low >= high:
            return None
        return _between(column, low, high, random)
    share = random.uniform(0.5, 0.9) if operator.startswith(">") else random.uniform(0.15, 0.5)
    value = rounded(values[int(len(values) * share)])
    beyond = value >= values[-1] if operator.startswith(">") else value <= values[0]
    if beyond or (value <= 0 and operator != ">"):
        return None
    return compared(column, operator, value, random)


def compared(column: Column, operator: str, value: float | int, random: Random) -> Condition | None:
    """`column operator value` in words: "heavier than 20 kilos", "with a fee over 50 euros"."""
    says = choose_says(column, random)
    amount = _amount(value, _unit(column, says), random)
    than = random.choice(OPERATORS[operator])
    if operator == ">=" and random.random() < 0.35:
        than, amount = "", f"{amount} or more"
    thing = grammar.counted(says) if column.kind == "count" else None
    posts, verbs = [], []
    if thing and value in (0, 1):
        return None
    if thing:
        bare = grammar.number_text(value)
        words = {">": "more than", "<": "fewer than", ">=": "at least", "<=": "at most"}[operator]
        posts.append(("with", f"{words} {bare} {thing}"))
        verbs.append(f"have {words} {bare} {thing}")
    else:
        of = "" if than in ("over", "under", "above", "below") else "of "
        posts += [("with", f"{grammar.a(says)} {of}{than} {amount}")]
        verbs += [f"have {grammar.a(says)} {of}{than} {amount}"]
        if operator in "<>" and not grammar.is_plural(says):
            beyond = "above" if operator == ">" else "below"
            posts.append(("whose", f"{says} is {beyond} {amount}"))
    for pattern, verb, more, less in MEASURE_WORDS:
        if re.search(pattern, column.says[0]) and (verb != "earn" or _of_person(column)):
            if verb:
                posts.append(("that", f"{verb} {than} {amount}"))
                verbs += [f"{verb} {than} {amount}"] * 2
            if operator in "<>" and more:
                posts += [("plain", f"{more if operator == '>' else less} than {amount}")] * 2
                verbs.append(f"are {more if operator == '>' else less} than {amount}")
            break
    return Condition(f"{column.ref} {operator} {literal(value)}", tuple(posts), tuple(verbs), (column,))


def equal_number(column: Column, random: Random) -> Condition | None:
    """A whole number that several rows have."""
    often = [v for v in column.distinct if float(v).is_integer() and column.values.count(v) >= 2]
    if not often or column.kind != "count":
        return None
    value = random.choice(often)
    says = choose_says(column, random)
    thing = grammar.counted(says)
    if thing and value >= 2 and not grammar.is_ordinal(column.all_says):
        words = random.choice(("exactly ", "")) + grammar.number_word(value, random) + f" {thing}"
        posts, verbs = (("with", words),), (f"have {words}",)
    elif thing:
        return None
    elif says in ("floor", "page"):
        posts, verbs = (("plain", f"on {says} {value}"),), (f"are on {says} {value}",)
    elif grammar.is_ordinal(column.all_says):
        posts, verbs = (("with", f"{says} {value}"), ("whose", f"{says} is {value}")), (f"have {says} {value}",)
    else:
        posts = (("with", f"{grammar.a(says)} of {value}"), ("whose", f"{says} is {value}"))
        verbs = (f"have {grammar.a(says)} of {value}", f"have {grammar.a(says)} of exactly {value}")
    return Condition(f"{column.ref} = {value}", posts, verbs, (column,))


def category_condition(table: Table, column: Column, random: Random, operator: str = "=") -> Condition | None:
    """A category that has, has not, or is one of some values."""
    if operator == "IN":
        if len(column.distinct) < 4:
            return None
        values = random.sample(column.distinct, random.choice((2, 2, 2, 3)))
        text = grammar.join_words([_value_text(column, value, random) for value in values], "or")
        sql = f"{column.ref} IN ({', '.join(literal(value) for value in values)})"
        return Condition(sql, *_category_words(column, text, random, plain_only=True), (column,))
    value = random.choice(column.values)
    text = _value_text(column, value, random)
    if operator == "<>":
        if column.nulls:
            return None
        posts, verbs = _negative_words(column, text, random)
        return Condition(f"{column.ref} <> {literal(value)}", posts, verbs, (column,))
    posts, verbs = _category_words(column, text, random)
    adjectives, noun = _adjectives(column, value, text), _value_noun(column, value)
    return Condition(f"{column.ref} = {literal(value)}", posts, verbs, (column,), adjectives, noun)


def flag_condition(column: Column, random: Random) -> Condition | None:
    """Yes or no, in the words of the YAML."""
    value = random.choice((0, 1))
    words = column.yes if value else column.no
    if not words or len(column.distinct) < 2:
        return None
    return Condition(f"{column.ref} = {value}", (("that", words),), (words,), (column,))


def null_condition(column: Column, random: Random, missing: bool | None = None) -> Condition | None:
    """A value that is missing, or is there."""
    if not column.nulls or not column.values:
        return None
    missing = random.random() < 0.6 if missing is None else missing
    says = choose_says(column, random)
    if not grammar.is_noun_phrase(says):
        return None
    if column.is_number:
        # "Without stock" could also mean a stock of zero.
        says = grammar.amount_of(says, column.kind)
        if missing:
            posts = (("with", f"no {says} on record"), ("whose", f"{says} is not known"))
            verbs = (f"have no {says} on file", f"have no {says} on record", f"have an unknown {says}")
        else:
            posts = (("with", f"{grammar.a(says)} on record"), ("whose", f"{says} is known"))
            verbs = (f"have {grammar.a(says)} on record", f"have a known {says}")
        return Condition(f"{column.ref} IS {'' if missing else 'NOT '}NULL", posts, verbs, (column,))
    if missing:
        posts = (("with", f"no {says}"), ("plain", f"without {grammar.a(says)}"), ("with", f"no {says} on record"))
        verbs = (f"have no {says}", f"have no {says} on file", f"are missing {grammar.a(says)}")
        return Condition(f"{column.ref} IS NULL", posts, verbs, (column,))
    posts = (("with", f"{grammar.a(says)} on record"), ("whose", f"{says} {_is(says)} known"))
    verbs = (f"have {grammar.a(says)} on record", f"have a known {says}" if not grammar.is_plural(says) else "")
    return Condition(f"{column.ref} IS NOT NULL", posts, tuple(filter(None, verbs)), (column,))


def like_condition(column: Column, random: Random) -> Condition | None:
    """A name that starts with a letter, or contains a word."""
    if random.random() < 0.5:
        letters = [value[0] for value in column.values if isinstance(value, str) and re.match(r"[A-Z][a-z]", value)]
        if not letters:
            return None
        letter = random.choice(letters)
        words = random.choice(("starts with", "begins with"))
        says = choose_says(column, random)
        shown = random.choice((letter, f"the letter {letter}", f"'{letter}'"))
        posts = (("whose", f"{says} {words} {shown}"), ("with", f"{grammar.a(says)} starting with {shown}"))
        verbs = (f"have {grammar.a(says)} that {words} {shown}", f"have {grammar.a(says)} beginning with {shown}")
        return Condition(f"{column.ref} LIKE '{letter}%'", posts, verbs, (column,))
    found = [word for value in column.values for word in re.findall(r"[A-Za-z]{4,}", str(value))]
    if not found:
        return None
    word = random.choice(found)
    says = choose_says(column, random)
    shown = random.choice((f"'{word}'", f"the word {word}", word))
    posts = (("with", f"{shown} in the {says}"), ("whose", f"{says} contains {shown}"))
    verbs = (f"have {shown} in their {says}", f"have {grammar.a(says)} containing {shown}")
    return Condition(f"{column.ref} LIKE '%{word}%'", posts, verbs, (column,))


def date_condition(table: Table, column: Column, random: Random, form: str | None = None) -> Condition | None:
    """A year, a month, a month of any year, a day's bounds: in words that suit the column."""
    form = form or random.choice(("year", "year", "month", "before", "since", "before year", "between", "after"))
    when, sql = _year_when(column, form, random) if column.kind == "year" else _date_when(column, form, random)
    if not when:
        return None
    posts, verbs = date_words(table, column, when, random)
    return Condition(sql, posts, verbs, (column,))


def date_words(
    table: Table, column: Column, when: str, random: Random
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """ "born in 2023" / "were born in 2023", or with the column's name if no verb is known for it."""
    participle, past, _ = date_verb(column)
    if past:
        return (("that", f"{past} {when}"),), (f"{past} {when}",)
    if participle:
        return (("plain", f"{participle} {when}"),), (f"were {participle} {when}",)
    if EVENT.match(column.says[0]):
        return (("plain", when), ("plain", when), ("that", f"took place {when}")), (f"took place {when}",)
    says = choose_says(column, random)
    return (("with", f"{grammar.a(says)} {when}"),), (f"have {grammar.a(says)} {when}",)


def date_verb(column: Column) -> tuple[str | None, str | None, str | None]:
    """(participle, past tense, base form) of what happened on the date."""
    for pattern, participle, past, base in DATE_VERBS:
        match = re.search(pattern, column.all_says)
        if match:
            return participle, match.expand(past) if past else None, match.expand(base) if base else None
    return None, None, None


def is_event(column: Column) -> bool:
    """True for the date on which the thing itself happened: "visits in 2023"."""
    return bool(EVENT.match(column.says[0]))


def named(table: Table, random: Random, title: tuple[Any, ...] | None = None) -> tuple[str, str] | None:
    """A row that its title names: (SQL, words)."""
    if not table.titles or not table.named_rows:
        return None
    title = title or random.choice(table.named_rows)
    sql = " AND ".join(f"{c.ref} = {literal(v)}" for c, v in zip(table.titles, title, strict=True))
    text = spoken(" ".join(str(value) for value in title), random)
    if table.titles[0].kind != "name":
        text = f"{table.one} {text}"
    elif not table.person and random.random() < 0.12:
        text = f'"{text}"'
    return sql, text


def link_condition(link: Link, random: Random, title: tuple[Any, ...] | None = None) -> Condition | None:
    """Children of a parent called by name: "that belong to Ann Lee". The SQL needs the join."""
    found = named(link.parent, random, title)
    if not found or link.to_itself:
        return None
    sql, text = found
    words = f"{link.has} {text}"
    if link.has.endswith(f" {link.parent.one}") and text.startswith(link.parent.one):
        words = f"{link.has.removesuffix(link.parent.one)}{text}"
    return Condition(sql, (("that", words),), (words,), (link.column, *link.parent.titles))


def any_condition(
    table: Table, random: Random, without: tuple[Column, ...] = (), kinds: tuple[str, ...] = ()
) -> Condition | None:
    """A condition on one of the table's own columns, by chance."""
    columns = [c for c in table.columns.values() if c.values and c not in without and (not kinds or c.kind in kinds)]
    columns = [c for c in columns if c.kind in ("category", "flag", "date", "year") or c in table.numbers]
    if not columns:
        return None
    column = random.choice(columns)
    if column.kind == "category":
        return category_condition(table, column, random) if len(column.distinct) > 1 else None
    if column.kind == "flag":
        return flag_condition(column, random)
    if column.kind in ("date", "year"):
        return date_condition(table, column, random)
    return number_condition(column, random)


def rounded(value: float) -> float | int:
    """A rounder number near the value."""
    if abs(value) < 10:
        return round(value * 2) / 2 if value != int(value) else int(value)
    digits = 10 ** (len(str(int(abs(value)))) - 2)
    rounded = round(value / digits) * digits
    return int(rounded)


def _amount(value: float | int, unit: str, random: Random) -> str:
    text = grammar.number_text(value)
    if value >= 1000 and float(value).is_integer() and random.random() < 0.3:
        text = f"{int(value):,}"
    return f"{text} {unit}" if unit and random.random() < 0.6 else text


def _unit(column: Column, says: str) -> str:
    """The unit, unless the noun phrase says it."""
    return "" if " in " in says or column.unit in says or "per " in says else column.unit


def _between(column: Column, low: float, high: float, random: Random) -> Condition:
    says = choose_says(column, random)
    sql = f"{column.ref} BETWEEN {literal(low)} AND {literal(high)}"
    text = f"between {_amount(low, '', random)} and {_amount(high, _unit(column, says), random)}"
    thing = grammar.counted(says) if column.kind == "count" else None
    if thing:
        text = f"between {grammar.number_text(low)} and {grammar.number_text(high)} {thing}"
        return Condition(sql, (("with", text),), (f"have {text}",), (column,))
    posts = [("with", f"{grammar.a(says)} {text}"), ("with", f"{grammar.a(says)} of {text}")]
    verbs = [f"have {grammar.a(says)} {text}"]
    for pattern, verb, _, _ in MEASURE_WORDS:
        if verb and re.search(pattern, column.says[0]) and (verb != "earn" or _of_person(column)):
            posts.append(("that", f"{verb} {text}"))
            verbs.append(f"{verb} {text}")
    return Condition(sql, tuple(posts), tuple(verbs), (column,))


def _of_person(column: Column) -> bool:
    return column.says[0] in ("salary", "yearly pay", "hourly wage")


def _is(says: str) -> str:
    return "are" if grammar.is_plural(says) else "is"


def _value_text(column: Column, value: Any, random: Random) -> str:
    text = VALUE_WORDS.get((column.says[0], value), spoken(value, random))
    if COMPOUND.match(column.says[0]) and column.says[0] not in ("make", "brand") and len(text) > 3:
        text = text.lower() if random.random() < 0.5 and not re.search(r"\d|[A-Z]{2}", text) else text
    return text


def _category_words(
    column: Column, text: str, random: Random, plain_only: bool = False
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    says = choose_says(column, random)
    if text in ("female", "male"):
        return (("that", f"are {text}"),), (f"are {text}",)
    for pattern, words in (
        (FROM_PLACE, "from" if _people(column) else "in"),
        (AT_PLACE, "at"),
        (ON_DAY, "on"),
        (IN_PART_OF_DAY, "in the"),
    ):
        if pattern.match(column.says[0]) and not _is_adjective(column.distinct[0]):
            return (("plain", f"{words} {text}"),), (f"are {words} {text}",)
    if column.says[0] == "payment method":
        return (("plain", f"paid by {text}"),), (f"were paid by {text}",)
    general = re.match(r"(kind|type)\b", says)
    if general:
        words = f"of the {general.group()} {text}"
        return (("plain", words), ("whose", f"{says} is {text}")), (f"are {words}",)
    the = random.choice(("the ", ""))
    posts = [("with", f"{the}{says} {text}"), ("whose", f"{says} is {text}"), ("with", f"{text} as {says}")]
    verbs = (f"have {the}{says} {text}", f"have {text} as their {says}")
    if column.says[0] in ("reason", "cause"):
        posts.append(("plain", f"because of {text}"))
    return tuple(posts[:2] if plain_only else posts), verbs


def _is_adjective(value: Any) -> bool:
    """True for "Dutch" and "Austrian", which nobody is from."""
    return bool(re.search(r"(ish|ian|ean|ese|tch|nch|ech)$", str(value)))


def _people(column: Column) -> bool:
    """True if a place is where someone or something comes from rather than where it is."""
    return bool(re.search(r"home|national|origin|country", column.all_says))


def _negative_words(column: Column, text: str, random: Random) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    says = choose_says(column, random)
    if FROM_PLACE.match(column.says[0]):
        where = "from" if _people(column) else "in"
        return (("plain", f"not {where} {text}"), ("plain", f"outside {text}")), (f"are not {where} {text}",)
    posts = (("whose", f"{says} is not {text}"), ("with", f"{grammar.a(says)} other than {text}"))
    return posts, (f"have {grammar.a(says)} other than {text}",)


def _value_noun(column: Column, value: Any) -> str | None:
    """The plural of a value that is a noun itself."""
    name = str(value).lower()
    known = name.replace(" ", "_") in VALUE_NOUNS and NOUN_COLUMNS.match(column.says[0])
    return grammar.plural(name) if known else None


def _adjectives(column: Column, value: Any, text: str) -> tuple[str, ...]:
    """The value as an adjective before the noun, where that is English: "diesel cars", "cancelled visits"."""
    if text in ("female", "male"):
        return (text,)
    words = str(value).split()
    if _value_noun(column, value):
        return ()
    if CODE.match(str(value)) or len(words) > 2 or re.search(r"[-+(]|\d|s$", str(value)):
        return ()
    if column.says == ("nationality",):
        return (str(value),)
    if not COMPOUND.match(column.says[0]):
        return ()
    if column.says[0] in ("status", "payment status", "state", "condition"):
        good = re.search(r"(ed|paid|new|good|worn|dry|sold)$", str(value).lower()) and len(words) == 1
        return (str(value).lower(),) if good else ()
    return (text,)


def _date_when(column: Column, form: str, random: Random) -> tuple[str, str]:
    ref, day = column.ref, random.choice(column.values)
    year, month = day[:4], day[:7]
    if form == "year":
        return random.choice((f"in {year}", f"in {year}", f"during {year}")), f"strftime('%Y', {ref}) = '{year}'"
    if form == "month":
        return f"in {grammar.month_in_words(month)}", f"strftime('%Y-%m', {ref}) = '{month}'"
    if form == "any month":
        name = grammar.MONTHS[int(day[5:7]) - 1]
        return f"in {name} of any year", f"strftime('%m', {ref}) = '{day[5:7]}'"
    if form == "before":
        return f"before {grammar.day_in_words(month + '-01', random)}", f"{ref} < '{month}-01'"
    if form == "before year":
        return f"before {year}", f"{ref} < '{year}-01-01'"
    if form == "after":
        return f"after {grammar.day_in_words(day, random)}", f"{ref} > '{day}'"
    if form == "on":
        return f"on {grammar.day_in_words(day, random)}", f"{ref} = '{day}'"
    if form == "until":
        return f"up to and including {grammar.day_in_words(day, random)}", f"{ref} <= '{day}'"
    if form == "since":
        words = (f"in {year} or later", f"since the start of {year}", f"on or after 1 January {year}")
        return random.choice(words), f"{ref} >= '{year}-01-01'"
    first, last = sorted(random.sample(range(1, 13), 2))
    end = {2: 28 + (int(year) % 4 == 0), 4: 30, 6: 30, 9: 30, 11: 30}.get(last, 31)
    start, stop = f"{year}-{first:02}-01", f"{year}-{last:02}-{end}"
    names = grammar.MONTHS[first - 1], grammar.MONTHS[last - 1]
    words = random.choice(
        (
            f"between {names[0]} and {names[1]} {year}",
            f"from {names[0]} to {names[1]} {year}",
            f"between 1 {names[0]} and {end} {names[1]} {year}",
        )
    )
    return words, f"{ref} BETWEEN '{start}' AND '{stop}'"


def _year_when(column: Column, form: str, random: Random) -> tuple[str, str]:
    values = sorted(column.values)
    year = random.choice(values)
    if form in ("year", "month", "any month", "on"):
        return f"in {year}", f"{column.ref} = {year}"
    if form in ("before", "before year"):
        return f"before {year}", f"{column.ref} < {year}"
    if form == "after":
        return f"after {year}", f"{column.ref} > {year}"
    if form == "since":
        return random.choice((f"in {year} or later", f"from {year} on")), f"{column.ref} >= {year}"
    if form == "until":
        return f"in {year} or earlier", f"{column.ref} <= {year}"
    low, high = values[int(len(values) * 0.3)], values[int(len(values) * 0.7)]
    low, high = (low // 5) * 5, (high // 5) * 5
    if low >= high:
        return "", ""
    return f"between {low} and {high}", f"{column.ref} BETWEEN {low} AND {high}"
