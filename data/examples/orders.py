"""Orders by mail, and the record that an office would make of them, in columns whose names no program guesses."""

from __future__ import annotations

import datetime
import json
import random

ITEMS = {
    "mug": "mugs",
    "tea towel": "tea towels",
    "notebook": "notebooks",
    "candle": "candles",
    "tote bag": "tote bags",
    "apron": "aprons",
    "vase": "vases",
    "cushion": "cushions",
    "postcard": "postcards",
    "umbrella": "umbrellas",
    "picture frame": "picture frames",
    "soup bowl": "soup bowls",
}
COLOURS = "blue,dark green,red,yellow,white,black,grey,orange,turquoise,cream".split(",")
CUSTOMERS = (
    "Bell & Sons,Café Morgenrot,Harbour Hotel,Ms Adeyemi,Kindergarten Sonnenhof,The Reading Room,Olsen Interiors,"
    "Museum Shop,Mr Kaplan,Villa Rosa,City Library,Atelier Dupont,Green Grocers,Studio Nine,Mrs O'Brien,Parish Office,"
    "Hotel Zur Post,Yoga Loft,Bakery Hansen,Dr Singh,Theatre Foyer,Old Mill Inn,School Board,Rowing Club"
).split(",")
NUMBERS = "no one two three four five six seven eight nine ten eleven twelve".split()
REQUESTS = (
    "Please send us {goods}{date}.",
    "We'd like to order {goods}{date}.",
    "could you put {goods} aside for us{date}",
    "Hi, we need {goods}{date}, thanks!",
    "Same as last year: {goods}{date}.",
    "I'd take {goods}{date} if you have them.",
    "Order for the shop: {goods}{date}",
    "Kindly supply {goods}{date}.",
    "can we get {goods}{date}?",
    "We are running out, so {goods}{date} please.",
    "My colleague forgot to order {goods}; we need them{date}.",
    "{goods}{date}. As always by invoice.",
    "After looking through your catalogue we decided on {goods}{date}.",
)
DATES = (" by {}", " until {}", " for {}", " before {} at the latest", ", delivered on {}", ", to be here on {}")
FIRST_DAY = datetime.date(2026, 1, 5)


def orders(count: int, seed: int) -> list[dict[str, str]]:
    """Rows with `sender`, `mail_text` and `office_record`, a JSON text; no mail twice."""
    generator = random.Random(seed)
    rows: dict[str, dict[str, str]] = {}
    while len(rows) < count:
        record = _record(generator)
        text = _mail(record, generator)
        rows.setdefault(
            text,
            {
                "sender": generator.choice(CUSTOMERS),
                "mail_text": text,
                "office_record": json.dumps(record, ensure_ascii=False),
            },
        )
    return list(rows.values())


def _record(generator: random.Random) -> dict[str, object]:
    record: dict[str, object] = {"item": generator.choice(list(ITEMS)), "quantity": _quantity(generator)}
    if generator.random() < 0.7:
        record["colour"] = generator.choice(COLOURS)
    if generator.random() < 0.6:
        record["deliver_by"] = (FIRST_DAY + datetime.timedelta(days=generator.randrange(340))).isoformat()
    return record


def _quantity(generator: random.Random) -> int:
    return generator.choice(
        (generator.randint(1, 12), generator.randrange(15, 100, 5), generator.randrange(100, 600, 50))
    )


def _mail(record: dict[str, object], generator: random.Random) -> str:
    quantity, item = record["quantity"], str(record["item"])
    noun = item if quantity == 1 else ITEMS[item]
    spelled = quantity <= 12 and generator.random() < 0.6
    number = NUMBERS[quantity] if spelled else str(quantity)
    if quantity == 12 and generator.random() < 0.4:
        number = "a dozen"
    colour = record.get("colour")
    if colour is None:
        goods = f"{number} {noun}"
    else:
        goods = generator.choice(
            (f"{number} {colour} {noun}", f"{number} {noun} in {colour}", f"{number} {noun} ({colour})")
        )
    date = ""
    if "deliver_by" in record:
        date = generator.choice(DATES).format(_written_date(str(record["deliver_by"]), generator))
    text = generator.choice(REQUESTS).format(goods=goods, date=date)
    return text[0].upper() + text[1:] if generator.random() < 0.8 else text.lower()


def _written_date(date: str, generator: random.Random) -> str:
    day = datetime.date.fromisoformat(date)
    month = f"{day:%B}"
    suffix = "th" if 10 <= day.day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    ways = (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"the {day.day}{suffix} of {month} {day.year}",
        f"{day.day:02d}.{day.month:02d}.{day.year}",
        f"{day.day}/{day.month}/{day.year}",
        f"{day.day} {month[:3]} {day.year}",
        date,
    )
    return generator.choice(ways)
