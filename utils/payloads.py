"""What a request to the server asks for, checked and in one form. What the engine would ignore or choke on is refused.

A request names nothing but its messages or text, how long the answer may be, and how to sample; the rest of OpenAI's
interface is accepted only where it asks for what happens anyway.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from utils.gate import Refusal
from utils.prompts import Message
from utils.records import kind_of

ROLES = ("system", "user", "assistant")
KNOWN = ("model", "temperature", "top_p", "seed", "stream", "max_tokens", "max_completion_tokens")
IGNORED = ("user", "metadata", "store", "stream_options")  # they change nothing of the answer
# Fields with the value that asks for what happens anyway.
USUAL = {
    "n": 1,
    "best_of": 1,
    "echo": False,
    "logprobs": False,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "response_format": {"type": "text"},
}
LOWEST_TEMPERATURE = 0.01  # below it the division of the logits overflows, and the most probable token wins anyway
HALF_CHARACTER = re.compile("[\ud800-\udfff]")
Body = Mapping[str, object]


@dataclass(frozen=True)
class Rules:
    """What this server allows: the one model that it has, the longest answer, the marks that no message may contain."""

    model: str
    max_tokens: int
    marks: Sequence[str] = ()
    sampling: bool = True

    def chat(self, body: Body) -> dict[str, object]:
        """A request to /v1/chat/completions. Raises Refusal."""
        return self._common(body, "messages") | {"messages": self._messages(body.get("messages"))}

    def completion(self, body: Body) -> dict[str, object]:
        """A request to /v1/completions, which continues a text as it is. Raises Refusal."""
        prompt = _text(body.get("prompt"), "prompt")
        if not prompt:
            raise _fault("`prompt` is empty: give a text to continue.")
        return self._common(body, "prompt") | {"prompt": prompt}

    def _common(self, body: Body, content: str) -> dict[str, object]:
        given = {name: value for name, value in body.items() if value is not None and name not in IGNORED}
        _refuse_unusual(given, (content, *KNOWN))
        if given.get("model", self.model) != self.model:
            message = f"This server has no model {str(given['model'])[:80]!r}, only {self.model!r}."
            raise Refusal(404, message, "model_not_found")
        stream = given.get("stream", False)
        if not isinstance(stream, bool):
            raise _fault(f"`stream` must be true or false, not {kind_of(stream)}.")
        longest = _whole(given, "max_completion_tokens") or _whole(given, "max_tokens") or self.max_tokens
        max_tokens = min(longest, self.max_tokens)
        return {"model": self.model, "max_tokens": max_tokens, "stream": stream} | self._sampling(given)

    def _sampling(self, given: Body) -> dict[str, object]:
        """Temperature, top_p and seed; none of them for the greedy answer, which is the usual one."""
        temperature, top_p = _number(given, "temperature", 2), _number(given, "top_p", 1)
        seed = _whole(given, "seed", least=0)
        if temperature is None or temperature < LOWEST_TEMPERATURE:
            return {}
        if not self.sampling:
            raise _fault("This server answers requests together and greedily: leave `temperature` out, or send 0.")
        asked = {"temperature": temperature, "top_p": top_p, "seed": seed}
        return {name: value for name, value in asked.items() if value is not None}

    def _messages(self, messages: object) -> list[Message]:
        if not isinstance(messages, list) or not messages:
            raise _fault("`messages` must be a list of at least one message.")
        return [self._message(message, f"messages[{number}]") for number, message in enumerate(messages)]

    def _message(self, message: object, where: str) -> Message:
        if not isinstance(message, dict):
            raise _fault(f"`{where}` must be an object with `role` and `content`, not {kind_of(message)}.")
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            raise _fault(f"`{where}.role` must be one of {', '.join(ROLES)}.")
        for name in message.keys() - {"role", "content"}:
            if message[name]:
                raise _fault(f"This server does not know the field `{where}.{name[:40]}`.")
        if isinstance(content, list):  # parts, as clients send them that also know pictures
            content = " ".join(_part(part, f"{where}.content[{number}]") for number, part in enumerate(content))
        text = _text(content, f"{where}.content")
        found = next((mark for mark in self.marks if mark in text), None)
        if found:
            raise _fault(f"`{where}.content` contains {found}, which the model reads as a mark of its own.")
        return {"role": role, "content": text}


def fit(prompt_tokens: int, max_tokens: int, context: int) -> int:
    """How many tokens the answer may have, so that prompt and answer fit into the model's context.

    Raises:
        Refusal: the prompt alone fills it.
    """
    if prompt_tokens >= context:
        message = f"The prompt has {prompt_tokens:,} tokens; the model reads {context:,}, its answer included."
        raise Refusal(400, message, "context_length_exceeded")
    return min(max_tokens, context - prompt_tokens)


def _refuse_unusual(given: Body, known: Sequence[str]) -> None:
    for name in given.keys() - set(known):
        if name not in USUAL:
            raise _fault(f"This server does not know the field `{name[:40]}`. It knows {', '.join(known)}.")
        if given[name] != USUAL[name]:
            raise _fault(f"This server supports no other value of `{name}` than {json.dumps(USUAL[name])}.")


def _part(part: object, where: str) -> str:
    if not isinstance(part, dict) or part.get("type") != "text":
        raise _fault(f"`{where}` must be an object with the `type` text: this model reads nothing else.")
    return _text(part.get("text"), f"{where}.text")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise _fault(f"`{name}` must be a text, not {kind_of(value)}.")
    half = HALF_CHARACTER.search(value)
    if half:
        raise _fault(f"`{name}` contains half a character (U+{ord(half[0]):04X}), which no tokenizer can read.")
    return value


def _whole(given: Body, name: str, least: int = 1) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
        raise _fault(f"`{name}` must be a whole number from {least} up.")
    return value


def _number(given: Body, name: str, most: float) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise _fault(f"`{name}` must be a number from 0 to {most}.")
    return float(value)


def _fault(message: str) -> Refusal:
    return Refusal(400, message, "invalid_request")
