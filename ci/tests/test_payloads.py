"""A request is checked before the engine sees it; what is wrong with it is a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from utils.gate import Refusal
from utils.payloads import Rules, fit

RULES = Rules("shop", 100, ["<|im_end|>"])
MESSAGES = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello?"}]
PLAIN = {"model": "shop", "max_tokens": 100, "stream": False}


def fault(body: dict[str, Any], rules: Rules = RULES) -> Refusal:
    with pytest.raises(Refusal) as caught:
        rules.chat({"messages": MESSAGES} | body)
    return caught.value


def test_usual_request() -> None:
    assert RULES.chat({"model": "shop", "messages": MESSAGES}) == PLAIN | {"messages": MESSAGES}
    assert RULES.completion({"prompt": "Once <|im_end|>"}) == PLAIN | {"prompt": "Once <|im_end|>"}


def test_answer_is_as_long_as_asked_and_allowed() -> None:
    assert RULES.chat({"messages": MESSAGES, "max_tokens": 7})["max_tokens"] == 7
    assert RULES.chat({"messages": MESSAGES, "max_completion_tokens": 7, "max_tokens": 9})["max_tokens"] == 7
    assert RULES.chat({"messages": MESSAGES, "max_tokens": 10**9})["max_tokens"] == 100


def test_answers_are_greedy_unless_asked_otherwise() -> None:
    for sampling in ({}, {"temperature": 0}, {"temperature": 0.0, "seed": 3}, {"top_p": 0.5}, {"temperature": 1e-9}):
        assert RULES.chat({"messages": MESSAGES} | sampling) == PLAIN | {"messages": MESSAGES}
    sampling = {"temperature": 0.7, "top_p": 0.9, "seed": 0}
    assert RULES.chat({"messages": MESSAGES} | sampling) == PLAIN | {"messages": MESSAGES} | sampling


def test_what_happens_anyway_may_be_asked_for() -> None:
    usual = {"n": 1, "presence_penalty": 0.0, "logprobs": False, "user": "me", "stop": None}
    assert RULES.chat({"messages": MESSAGES, "response_format": {"type": "text"}} | usual)["stream"] is False


def test_parts_of_text_are_joined() -> None:
    parts = [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    assert RULES.chat({"messages": [{"role": "user", "content": parts}]})["messages"][0]["content"] == "One. Two."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": None}, "at least one message"),
        ({"messages": []}, "at least one message"),
        ({"messages": "Hello?"}, "must be a list"),
        ({"messages": ["Hello?"]}, "`messages[0]` must be an object with `role` and `content`, not text"),
        ({"messages": [*MESSAGES, {"role": "robot", "content": ""}]}, "`messages[2].role` must be one of system, user"),
        ({"messages": [{"role": "user"}]}, "`messages[0].content` must be a text, not nothing"),
        ({"messages": [{"role": "user", "content": 7}]}, "not a number"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "reads nothing else"),
        ({"messages": [{"role": "user", "content": [7]}]}, "`messages[0].content[0]`"),
        ({"messages": [{"role": "user", "content": "", "tool_calls": [{}]}]}, "`messages[0].tool_calls`"),
        ({"messages": [{"role": "user", "content": "a <|im_end|> b"}]}, "contains <|im_end|>"),
        ({"messages": [{"role": "user", "content": "\ud83d"}]}, "half a character (U+D83D)"),
        ({"generation_config": "{}"}, "does not know the field `generation_config`"),
        ({"tools": [{}]}, "`tools`"),
        ({"stop": "x"}, "`stop`"),
        ({"n": 2}, "no other value of `n` than 1"),
        ({"response_format": {"type": "json_object"}}, 'than {"type": "text"}'),
        ({"stream": "yes"}, "`stream` must be true or false, not text"),
        ({"max_tokens": 0}, "a whole number from 1 up"),
        ({"max_tokens": 1.5}, "a whole number from 1 up"),
        ({"max_tokens": True}, "a whole number from 1 up"),
        ({"seed": -1, "temperature": 1}, "`seed` must be a whole number from 0 up"),
        ({"seed": 2**64, "temperature": 1}, "`seed`"),
        ({"temperature": 3}, "`temperature` must be a number from 0 to 2"),
        ({"temperature": float("nan")}, "`temperature`"),
        ({"temperature": "hot"}, "`temperature`"),
        ({"top_p": 1.1}, "`top_p` must be a number from 0 to 1"),
    ],
)
def test_faults_are_sentences(body: dict[str, Any], said: str) -> None:
    refusal = fault(body)
    assert said in str(refusal)
    assert (refusal.status, str(refusal)[-1]) == (400, ".")


def test_no_other_model_can_be_named() -> None:
    refusal = fault({"model": "Qwen/Qwen3-0.6B"})
    assert (refusal.status, refusal.code) == (404, "model_not_found")
    assert "only 'shop'" in str(refusal)
    assert len(str(fault({"model": ["x" * 10**6]}))) < 200
    assert len(str(fault({"x" * 10**6: 1}))) < 300


@pytest.mark.parametrize("prompt", [None, "", 7, ["a", "b"], [1, 2]])
def test_prompt_must_be_a_text(prompt: object) -> None:
    with pytest.raises(Refusal, match="`prompt`"):
        RULES.completion({"prompt": prompt})


def test_a_batch_is_not_sampled() -> None:
    together = Rules("shop", 100, sampling=False)
    assert "greedily" in str(fault({"temperature": 1.0}, together))
    assert together.chat({"messages": MESSAGES, "temperature": 0})["max_tokens"] == 100


def test_prompt_and_answer_fit_into_the_context() -> None:
    assert fit(10, 100, 1000) == 100
    assert fit(950, 100, 1000) == 50
    with pytest.raises(Refusal, match=r"1,000 tokens; the model reads 1,000") as caught:
        fit(1000, 100, 1000)
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")
