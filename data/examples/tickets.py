"""Messages to a shop's support, and the desk that each belongs to, as conversations with a system message."""

from __future__ import annotations

import random

SYSTEM = "Say which desk the message belongs to: billing, delivery, returns, account, repair or praise. One word."

CORES = {
    "billing": (
        "I was charged twice for {thing}",
        "the invoice for {thing} shows the wrong amount",
        "my card was declined although there is money on it",
        "can I pay for {thing} in instalments",
        "the discount code did not come off the total",
        "I need a receipt with our VAT number on it",
        "there is a payment to you on my statement that I do not recognise",
        "you still owe me {amount} from last month",
        "please send the bill to our company address instead",
        "I paid by bank transfer a week ago and still get reminders",
        "why did the price of {thing} go up between basket and checkout",
        "the subscription fee was taken after I had cancelled",
        "I'd like to switch from card to direct debit",
        "{amount} was taken from my account and I never confirmed it",
    ),
    "delivery": (
        "{thing} should have been here {when}",
        "the tracking has said 'in transit' for nine days",
        "the driver left {thing} in the rain",
        "the parcel went to my old street",
        "only half of the boxes came",
        "can you ring before you bring {thing}",
        "could {thing} come in the evening, nobody is home during the day",
        "the courier says nobody was in, but I was home all day",
        "is it possible to collect {thing} myself",
        "how long does shipping to Norway take",
        "the parcel shop has never heard of my package",
        "someone else's order was at my door",
        "do you bring {thing} up to the fourth floor",
        "my order is stuck at customs since {when}",
    ),
    "returns": (
        "I want to send back {thing}",
        "{thing} does not fit, can I swap it for a larger one",
        "where do I get the label for sending something back",
        "how many days do I have to change my mind",
        "I sent {thing} back {when} and have heard nothing since",
        "the colour is not what the picture showed, I'd rather have my money",
        "I bought two by mistake and would like to give one back",
        "may I return {thing} without the original box",
        "you refused my return because of a scratch that was there before",
        "a gift that I would like to exchange",
        "the refund for {thing} has not arrived",
        "who pays the postage when I send it back",
        "I opened {thing} once, is it still possible to return it",
        "please cancel one of the two, I only keep the smaller one",
    ),
    "account": (
        "I cannot log in any more",
        "the link for a new password never arrives",
        "please change my e-mail address",
        "I'd like to delete my profile and all my data",
        "somebody ordered in my name",
        "my points have disappeared",
        "how do I turn off the newsletter",
        "I moved, where do I enter the new address",
        "the site says my name is already taken",
        "can my wife and I share one login",
        "the code on my phone is always wrong",
        "I got married and want my surname changed",
        "your page logs me out every few minutes",
        "which data about me do you store",
    ),
    "repair": (
        "{thing} stopped working {when}",
        "{thing} makes a grinding noise",
        "a screw was missing in the box of {thing}",
        "the display stays black",
        "it worked for two days, then smoke came out",
        "where do I get spare parts for {thing}",
        "is {thing} still under warranty",
        "the battery lasts ten minutes",
        "one leg of {thing} is shorter than the others",
        "the manual is missing and I cannot put {thing} together",
        "the zip of {thing} broke the second time I used it",
        "water runs out at the bottom",
        "{thing} arrived with a crack, can it be mended",
        "your technician did not turn up {when}",
    ),
    "praise": (
        "just wanted to say thank you, {thing} is lovely",
        "your colleague on the phone was a star",
        "best service I have had in years",
        "{thing} came a day early, well done",
        "my daughter has not put {thing} down since {when}",
        "keep it up, I will be back",
        "so kind of you to add a handwritten card",
        "I told all my neighbours about you",
        "{thing} is even nicer than in the pictures",
        "you solved my problem in five minutes, chapeau",
        "finally a shop that answers its mail",
        "the packaging without plastic is great",
        "five stars from me and the cat",
        "after ten years {thing} still runs like on the first day",
    ),
}
THINGS = (
    "the kettle,the blue armchair,the lamp,my bicycle,the garden table,the headphones,the winter coat,the tent,"
    "the coffee grinder,the bookshelf,the mixer,the rucksack,the toy train,the office chair,the carpet,the toaster,"
    "the desk,the raincoat,the pram,the radio"
).split(",")
AMOUNTS = "£12.50,€40,19.99,£7,€120,$35.80,£63.20,€8.90".split(",")
TIMES = "yesterday,last Tuesday,on Friday,two weeks ago,this morning,at Easter,on 3 May,the other day".split(",")
GREETINGS = ("", "", "", "Hello, ", "Hi, ", "Dear team, ", "good morning, ", "Hey there, ", "Dear Sir or Madam, ")
DETAILS = (
    "",
    "",
    " Order number {number}.",
    " (order {number})",
    " My number is {number}.",
    " It was a present for my mother.",
    " I have written twice already.",
    " I'm a customer since 2011.",
    " We need it for a party.",
    " I'm writing from my phone, sorry for typos.",
    " My neighbour says the same.",
)
ENDINGS = ("", "", "", " Thanks!", " Regards, {name}", " Please help.", " {name}", " cheers", " Kind regards", " Thx")
NAMES = "Ada,J. Okoro,Mrs Lindqvist,Tom,Fatima,B. Novak,Chen,Luisa,P. Murphy,Anouk,Raj,Greta".split(",")

Message = dict[str, str]


def tickets(count: int, seed: int) -> list[list[Message]]:
    """Conversations of a system message, a customer's message and the name of a desk; no message twice."""
    generator = random.Random(seed)
    found: dict[str, str] = {}
    while len(found) < count:
        desk = generator.choices(list(CORES), (22, 24, 18, 14, 14, 8))[0]
        found.setdefault(_message(generator.choice(CORES[desk]), generator), desk)
    return [
        [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": text},
            {"role": "assistant", "content": desk},
        ]
        for text, desk in found.items()
    ]


def _message(core: str, generator: random.Random) -> str:
    """The core of a message between greeting, details and ending, as hurried as people write."""
    values = {
        "thing": generator.choice(THINGS),
        "amount": generator.choice(AMOUNTS),
        "when": generator.choice(TIMES),
        "number": str(generator.randrange(10_000, 99_999)),
        "name": generator.choice(NAMES),
    }
    greeting = generator.choice(GREETINGS)
    text = core.format(**values)
    text = greeting + (text if greeting and generator.random() < 0.7 else text[0].upper() + text[1:])
    asks = core.startswith(("can ", "could ", "how ", "is ", "who ", "where ", "why ", "may ", "which ", "do "))
    text += "?" if asks else generator.choice((".", ".", "!", "..."))
    text += generator.choice(DETAILS).format(**values) + generator.choice(ENDINGS).format(**values)
    return text.lower() if generator.random() < 0.2 else text
