"""Conversations from several sources become the same plain messages; which answers to learn is chosen with a reason."""

from __future__ import annotations

import json

import pytest

from utils.conversations import answers_of, choose_turns, read_messages


def says(role: str, content: object, **more: object) -> dict[str, object]:
    """A message."""
    return {"role": role, "content": content} | more


SYSTEM, USER, ANSWER = says("system", "Be kind."), says("user", "Hi?"), says("assistant", "Hello.")
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"town": {"type": "string"}}, "strict": None},
}
CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Ely"}'}}


def roles(messages: list[dict]) -> str:
    """The roles of messages by their first letters."""
    return "".join(message["role"][0] for message in messages)


def test_sharegpt_names_and_json_text_are_understood() -> None:
    shared = [
        {"from": "system", "value": "Be kind."},
        {"from": "human", "value": "Hi?"},
        {"from": "gpt", "value": "Hello."},
    ]
    assert read_messages(json.dumps(shared), "conversations") == [SYSTEM, USER, ANSWER]


def test_text_parts_are_joined_and_white_space_is_cut() -> None:
    parts = [{"type": "text", "text": "One"}, {"type": "text", "text": "two "}]
    assert read_messages([says("user", parts), ANSWER], "messages")[0]["content"] == "One\ntwo"


def test_neighbours_of_one_role_become_one_message_and_the_end_is_an_answer() -> None:
    messages = read_messages([USER, says("user", "Anyone?"), ANSWER, says("user", "Bye.")], "messages")
    assert messages == [says("user", "Hi?\n\nAnyone?"), ANSWER]


def test_a_system_prompt_is_given_only_to_conversations_without_one() -> None:
    assert read_messages([USER, ANSWER], "messages", None, "Be brief.")[0] == says("system", "Be brief.")
    assert read_messages([SYSTEM, USER, ANSWER], "messages", None, "Be brief.")[0] == SYSTEM
    assert read_messages([says("developer", "Be kind."), USER, ANSWER], "messages") == [SYSTEM, USER, ANSWER]


@pytest.mark.parametrize("arguments", ['{"town": "Ely"}', {"town": "Ely", "street": None}])
def test_functions_calls_and_results_become_text(arguments: object) -> None:
    call = CALL | {"function": {"name": "weather", "arguments": arguments}}
    turns = [
        SYSTEM,
        says("user", "Is it raining?"),
        says("assistant", None, tool_calls=[call]),
        says("tool", '{"rain": true}'),
        says("tool", "2 mm"),
        says("assistant", "Yes."),
    ]
    messages = read_messages(turns, "messages", [WEATHER])
    assert roles(messages) == "suaua"
    assert messages[0]["content"].startswith("Be kind.\n\n# Tools")
    assert (
        '{"type": "function", "function": {"name": "weather", "parameters": {"town": {"type": "string"}}}}'
        in messages[0]["content"]
    )
    assert messages[2]["content"] == '<tool_call>\n{"name": "weather", "arguments": {"town": "Ely"}}\n</tool_call>'
    assert messages[3]["content"] == (
        '<tool_response>\n{"rain": true}\n</tool_response>\n<tool_response>\n2 mm\n</tool_response>'
    )


def test_functions_without_a_system_message_make_one() -> None:
    messages = read_messages([USER, ANSWER], "messages", json.dumps([WEATHER]))
    assert roles(messages) == "sua"
    assert read_messages([USER, ANSWER], "messages", []) == [USER, ANSWER]


def test_an_answer_before_any_question_is_read_but_not_learned() -> None:
    messages = read_messages([says("assistant", "Welcome!"), USER, ANSWER], "messages")
    assert answers_of(messages, every=True) == [2]


def test_every_answer_or_the_last() -> None:
    messages = [SYSTEM, USER, ANSWER, USER, ANSWER]
    assert answers_of(messages, every=True) == [2, 4]
    assert answers_of(messages, every=False) == [4]


def test_turns_are_chosen_by_what_earlier_answers_are() -> None:
    varied = [[USER, says("assistant", f"Answer {n}."), USER, ANSWER] for n in range(9)]
    solved = [[USER, says("assistant", "42"), says("user", f"{n}?"), ANSWER] for n in range(9)]
    assert choose_turns(varied).every
    assert not choose_turns(solved).every
    assert "solved examples" in choose_turns(solved).reason
    assert choose_turns(solved, "every").every
    assert not choose_turns(varied, "last").every
    assert choose_turns([[USER, ANSWER]]).reason == ""
