"""Chat messages as people store them, checked and brought into one form: system, user and assistant, all text.

Names are those of OpenAI (`role`, `content`) or ShareGPT (`from`, `value`). Functions and calls are written as text, in
the form of Hermes and Qwen, because most chat templates leave them out in silence: the list of functions goes into the
system message, a call is `<tool_call>{"name": …, "arguments": …}</tool_call>`, its result stands in `<tool_response>`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from utils.cells import Unusable, is_missing, sound_text
from utils.records import kind_of

if TYPE_CHECKING:
    from utils.prompts import Message

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "ipython": "tool",
}
TOOLS_HEADER = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
"""
TOOLS_FOOTER = """
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""


@dataclass(frozen=True)
class Turns:
    """Which answers of conversations are trained on, and why; no reason where each has only one."""

    every: bool
    reason: str = ""


def read_messages(value: object, column: str, tools: object = None, system_prompt: str | None = None) -> list[Message]:
    """The messages in a cell, a list or its JSON text, ending with the last one of the assistant.

    Neighbours of the same role become one message. `system_prompt` is put before a conversation that brings none.

    Raises:
        Unusable: no list of messages, an unknown role, an empty message, nothing said by user or assistant, malformed
            functions or calls.
    """
    items = _from_json(value, f"the column {column!r}")
    if not isinstance(items, list) or not items:
        raise Unusable(f"The column {column!r} holds {_what(items)}, where a list of messages is expected.")
    messages: list[Message] = []
    for number, item in enumerate(items, start=1):
        role, content = _read_message(item, f"Message {number}")
        if role == "system" and messages:
            raise Unusable(f"Message {number} has the role system, which only the first message may have.")
        if messages and messages[-1]["role"] == role:
            separator = "\n" if content.startswith("<tool_response>") else "\n\n"
            content = messages.pop()["content"] + separator + content
        messages.append({"role": role, "content": content})
    spoken = [message["role"] for message in messages]
    if "assistant" not in spoken:
        raise Unusable("No message has the role assistant, so there is no answer to learn.")
    messages = messages[: len(spoken) - spoken[::-1].index("assistant")]
    if "user" not in spoken[: len(messages)]:
        raise Unusable("No message of a user comes before the assistant's.")
    return with_system_prompt(messages, system_prompt, tools)


def with_system_prompt(messages: list[Message], system_prompt: str | None, tools: object = None) -> list[Message]:
    """The messages with the system prompt, unless they bring one, and the functions in the first message."""
    own = messages[0]["content"] if messages and messages[0]["role"] == "system" else None
    rest = messages[1:] if own is not None else messages
    parts = [own if own is not None else system_prompt, None if is_missing(tools) else _tools_text(tools)]
    content = "\n\n".join(part for part in parts if part)
    return [{"role": "system", "content": content}, *rest] if content else rest


def choose_turns(conversations: Sequence[list[Message]], wanted: str = "auto") -> Turns:
    """Whether every answer of a conversation is trained on or the last one only.

    By default every one: each was given to a real question. The last only if the answers before it mostly repeat each
    other from one conversation to the next, as solved examples in a prompt do.
    """
    earlier = [m["content"] for messages in conversations for m in messages[:-1] if m["role"] == "assistant"]
    if not earlier:
        return Turns(True)
    if wanted != "auto":
        return Turns(wanted == "every", "as trained_turns says")
    if len(set(earlier)) < len(earlier) / 2:
        return Turns(False, "earlier answers mostly repeat each other, as solved examples do")
    return Turns(True, "each answer of a conversation was given to a question of its own")


def answers_of(messages: Sequence[Message], *, every: bool) -> list[int]:
    """The positions of the answers that are trained on: those of the assistant with a user's message before them."""
    first = next(i for i, message in enumerate(messages) if message["role"] == "user")
    found = [i for i, message in enumerate(messages) if message["role"] == "assistant" and i > first]
    return found if every else found[-1:]


def _read_message(item: object, where: str) -> tuple[str, str]:
    """Role and text of a message."""
    if not isinstance(item, dict):
        raise Unusable(f"{where} is {kind_of(item)}, where an object with role and content is expected.")
    name = item.get("role", item.get("from"))
    role = ROLES.get(name.lower()) if isinstance(name, str) else None
    if role is None:
        raise Unusable(f"{where} has the role {name!r}; known are {', '.join(ROLES)}.")
    calls = item.get("tool_calls")
    content = _content(item.get("content", item.get("value")), where, may_be_empty=bool(calls) and role == "assistant")
    if calls and role == "assistant":
        content = sound_text("\n".join([*([content] if content else []), *_calls_text(calls, where)]), where)
    if role == "tool":
        return "user", f"<tool_response>\n{content}\n</tool_response>"
    return role, content


def _content(value: object, where: str, *, may_be_empty: bool) -> str:
    if isinstance(value, list):
        value = "\n".join(_part(part, where) for part in value)
    if is_missing(value):
        if may_be_empty:
            return ""
        raise Unusable(f"{where} has no content.")
    if not isinstance(value, str):
        raise Unusable(f"{where} has {kind_of(value)} for its content, where text is expected.")
    return sound_text(value, where)


def _part(part: object, where: str) -> str:
    if isinstance(part, dict) and isinstance(part.get("text"), str) and part.get("type", "text") == "text":
        return part["text"]
    kind = part.get("type") if isinstance(part, dict) else kind_of(part)
    raise Unusable(f"{where} has a part that is no text ({kind}).")


def _tools_text(tools: object) -> str:
    listed = _from_json(tools, "the list of functions")
    if not isinstance(listed, list) or not all(isinstance(tool, dict) for tool in listed):
        raise Unusable(f"The functions are {_what(listed)}, where a list of objects is expected.")
    for number, tool in enumerate(listed, start=1):
        function = tool.get("function", tool)
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Unusable(f"Function {number} has no name.")
    lines = "\n".join(json.dumps(_without_nothing(tool), ensure_ascii=False) for tool in listed)
    return sound_text(TOOLS_HEADER + lines + TOOLS_FOOTER, "The list of functions") if lines else ""


def _calls_text(calls: object, where: str) -> list[str]:
    if not isinstance(calls, list):
        raise Unusable(f"{where} has {kind_of(calls)} for its tool_calls, where a list is expected.")
    texts = []
    for call in calls:
        function = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Unusable(f"{where} has a call without the name of a function.")
        arguments = _from_json(function.get("arguments") or {}, f"the arguments of {function['name']}")
        if not isinstance(arguments, dict):
            raise Unusable(f"{where}: the arguments of {function['name']} are {kind_of(arguments)}, not an object.")
        body = json.dumps({"name": function["name"], "arguments": _without_nothing(arguments)}, ensure_ascii=False)
        texts.append(f"<tool_call>\n{body}\n</tool_call>")
    return texts


def _from_json(value: object, what: str) -> object:
    """A value itself, or what its JSON text stands for."""
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return json.loads(value)
    except (RecursionError, ValueError):
        raise Unusable(f"{what[0].upper()}{what[1:]} is text, but not JSON.") from None


def _without_nothing(value: object) -> object:
    """Without the empty fields that a Parquet file adds to objects with different keys."""
    if isinstance(value, dict):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None}
    return [_without_nothing(item) for item in value] if isinstance(value, list) else value


def _what(value: object) -> str:
    return "an empty list" if value == [] else kind_of(value)
