"""English: plurals, articles, agreement of verbs, units, dates in words, and the finishing touches of a sentence."""

from __future__ import annotations

import re
from random import Random

IRREGULAR = {
    "person": "people", "child": "children", "aircraft": "aircraft", "species": "species", "series": "series",
    "staff": "staff", "man": "men", "woman": "women",
}  # fmt: skip
NOT_PLURAL = frozenset("status address species class process illness access surplus bus gas headcount".split())
PLURAL = frozenset("children people casualties homes points stars likes litres days hours minutes".split())
PAST = frozenset(
    (
        "came went left died took began ran gave got ended started opened closed joined affected used consisted "
        "showed became premiered registered signed first"
    ).split()
)
AUXILIARIES = {"are": "is", "were": "was", "have": "has", "do": "does"}
ORDINAL = re.compile(
    r"\b(floor|page|shirt|matchday|round|attempt number|place in the programme|minute of play|slot|grade)\b"
)
MONTHS = "January February March April May June July August September October November December".split()
UNITS = {
    "kg": "kilos", "eur": "euros", "gbp": "pounds", "cm": "centimetres", "km": "kilometres", "ha": "hectares",
    "m2": "square metres", "sqm": "square metres", "mw": "megawatts", "kv": "kilovolts", "pct": "percent",
    "percent": "percent", "min": "minutes", "minutes": "minutes", "mins": "minutes", "hrs": "hours",
    "hours": "hours", "litres": "litres", "ft": "feet", "miles": "miles", "celsius": "degrees", "yrs": "years",
    "g": "grams", "grams": "grams", "m": "metres", "gross": "euros", "alt": "metres",
}  # fmt: skip
# What can follow the head of a noun phrase: "minutes at the door", "tickets sold".
AFTER_HEAD = re.compile(
    r" (?:of|to|in|per|for|at|on|from|by|cut|sold|worked|hurt|without|lost|injured|affected|"
    r"held|off|online|posted|received|passed|driven)\b ?"
)
SMALL_NUMBERS = "zero one two three four five six seven eight nine ten".split()


def is_noun_phrase(phrase: str) -> bool:
    """False for what cannot follow "the ... of": "date they joined", "what they teach"."""
    return not re.search(
        r"\b(it|they|their|she|what|or|was|were|came|ran|began|who)\b|^(highest|lowest|latest)\b", phrase
    )


def is_ordinal(phrase: str) -> bool:
    """True for numbers that stand for a place in an order, which nobody adds up or averages."""
    return bool(ORDINAL.search(phrase))


def pieces(name: str) -> list[str]:
    """The words in a column name: "weight_kg" and "weightKg" give ["weight", "kg"]."""
    return [piece.lower() for piece in re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).split("_")]


def unit_of(name: str, says: str) -> str:
    """The unit in a column name, in words, or "" if there is none or the noun phrases tell it already."""
    unit = UNITS.get(pieces(name)[-1], "")
    if len(pieces(name)) == 1 and unit not in ("euros",):
        unit = {"kg": "kilos"}.get(name, "")
    return unit


def plural(phrase: str) -> str:
    """Plural of a noun phrase, whose head is the last word before "of", "to", "in", "per"."""
    match = re.match(r"(.+?)( (?:of|to|in|per|for|at|on|from|by|with|posted|received|passed)\b.*)?$", phrase)
    head, rest = match.group(1), match.group(2) or ""
    *before, noun = head.split(" ")
    return " ".join([*before, _plural_noun(noun)]) + rest


def _plural_noun(noun: str) -> str:
    if noun in IRREGULAR:
        return IRREGULAR[noun]
    if is_plural(noun):
        return noun
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search(r"(s|x|z|ch|sh)$", noun) else "s")


def is_plural(phrase: str) -> bool:
    """True if the head of the noun phrase is a plural."""
    head = re.split(AFTER_HEAD, phrase)[0].split()[-1]
    return head in PLURAL or (head.endswith("s") and not head.endswith("ss") and head not in NOT_PLURAL)


def a(phrase: str) -> str:
    """The phrase with its indefinite article, if it takes one."""
    if is_plural(phrase) or re.match(
        r"(overtime|stock|energy|tax|damage|pay|postage|take-home pay|net pay|gross pay|luggage)\b", phrase
    ):
        return phrase
    return f"{'an' if _starts_with_vowel_sound(phrase) else 'a'} {phrase}"


def _starts_with_vowel_sound(phrase: str) -> bool:
    return bool(re.match(r"(?!uni|eu|one\b|use|uk)[aeiou]|hour|honour|11\b|8", phrase, re.IGNORECASE))


def counted(phrase: str) -> str | None:
    """The thing counted, as a plural ("number of seats" gives "seats"), or None if the phrase counts nothing."""
    match = re.fullmatch(r"number of (?!the\b)(.+)", phrase)
    thing = match.group(1) if match else phrase
    return thing if is_plural(thing) else None


def singular_verb(phrase: str) -> str:
    """A verb phrase in the third person singular: "belong to Ann" gives "belongs to Ann"."""
    verb, _, rest = phrase.partition(" ")
    are_things = re.fullmatch(r"(are|were)( not)? (?!for |in|out)([\w -]*[^s ])s", phrase)
    if are_things:
        return f"{AUXILIARIES[verb]}{are_things[2] or ''} {a(are_things[3])}"
    if verb in AUXILIARIES:
        found = AUXILIARIES[verb]
    elif verb in PAST or verb.endswith("ed"):
        found = verb
    else:
        found = verb + ("es" if re.search(r"(s|x|z|ch|sh|o)$", verb) else "s")
    return f"{found} {rest}".strip()


def inverted(has: str, subject: str) -> str | None:
    """A question's word order: "belong to" gives "does Ann belong to", "were made by" gives "was Ann made by"."""
    verb, _, rest = has.partition(" ")
    if not re.search(r"(to|in|at|by|for|with|from|of|on|use|used|affected|during)$", has):
        return None
    if verb in AUXILIARIES and verb not in ("have", "do"):
        return f"{AUXILIARIES[verb]} {subject} {rest}"
    if verb in ("came", "took", "went"):
        return f"did {subject} { {'came': 'come', 'took': 'take', 'went': 'go'}[verb] } {rest}"
    if verb.endswith("ed"):
        base = verb[:-1] if verb in ("used",) else verb[:-2]
        return f"did {subject} {base} {rest}".strip()
    return f"does {subject} {verb} {rest}".strip()


def strandable(has: str, one: str) -> bool:
    """True if the phrase can end a clause: "the barn that Bella lives in", but not "plays the"."""
    return inverted(has, "x") is not None and not has.endswith(one)


def number_text(value: float | int) -> str:
    """A number as people write it: no needless decimals."""
    return str(int(value)) if float(value).is_integer() else f"{value:g}"


def number_word(value: int, random: Random) -> str:
    """A small whole number in digits or in words."""
    return SMALL_NUMBERS[value] if value < len(SMALL_NUMBERS) and random.random() < 0.6 else str(value)


def day_in_words(day: str, random: Random) -> str:
    """2023-03-14 as "14 March 2023", "March 14, 2023" or as it is."""
    year, month, number = day[:4], MONTHS[int(day[5:7]) - 1], int(day[8:10])
    return random.choice(
        (f"{number} {month} {year}", f"{number} {month} {year}", f"{month} {number}, {year}", day)
    )  # fmt: skip


def month_in_words(month: str) -> str:
    """2023-03 as "March 2023"."""
    return f"{MONTHS[int(month[5:7]) - 1]} {month[:4]}"


def join_words(words: list[str], last: str) -> str:
    """ "a, b or c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def tidy(text: str) -> str:
    """No double spaces, no double words, a capital at the start."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\b(of|the|in|with|at|for|a|to|that|on|by) \1\b", r"\1", text)
    text = re.sub(r"\s+([,.?:!])", r"\1", text)
    text = re.sub(r"\b([Aa]) (?=(?!uni|eu|one\b|use|uk)[aeiou])", r"\1n ", text)
    text = re.sub(r"\.\.$", ".", text)
    return text[:1].upper() + text[1:]


def amount_of(says: str, kind: str) -> str:
    """What is averaged or added up: "number of seats" for "seats"."""
    return f"number of {says}" if kind == "count" and is_plural(says) and not says.startswith("number") else says


def extreme_words(says: str) -> tuple[str, str]:
    """What the largest and the smallest of these values are called."""
    if re.match(r"(duration|running time|playing time|response time)", says):
        return "longest", "shortest"
    if re.match(r"(area|size|capacity|amount|quantity|length|distance)", says):
        return "largest", "smallest"
    return "highest", "lowest"


def hurried(text: str) -> str:
    """How it is typed in a hurry: no capital at the start, no mark at the end."""
    first = text.split(" ")[0]
    keep = first.isupper() or re.match(r"[A-Z]\w*\d|I\b", first)
    text = text if keep else text[:1].lower() + text[1:]
    return re.sub(r"[.?]$", "", text)
