"""Columns are recognised by their names or told, and rows become prompts and answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.data_settings import DataSettings
from utils.errors import CourseError
from utils.formats import (
    Example,
    PromptRecipe,
    detect_format,
    make_examples,
    make_recipe,
    read_conversations,
    usual_system_prompt,
)
from utils.records import Row
from utils.sql import build_database

PAIR = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}]


def settings(**values: object) -> DataSettings:
    """Settings for data that is given by hand."""
    return DataSettings("data.jsonl", **values)


def rows_of(*values: dict) -> list[Row]:
    """Rows with these values."""
    return [Row("data.jsonl", number, row) for number, row in enumerate(values, start=1)]


def examples_of(*values: dict, every: bool = True, **given: object) -> tuple[list[Example], PromptRecipe]:
    """The examples of rows with these values, and the recipe of their prompts."""
    chosen, rows = settings(**given), rows_of(*values)
    columns = list(dict.fromkeys(name for row in values for name in row))
    form = detect_format("data.jsonl", columns, rows, chosen)
    recipe = make_recipe(form, rows, chosen)
    conversations, rejects = read_conversations(rows, form, recipe)
    assert rejects == []
    database = Path(chosen.database) if chosen.database else None
    return make_examples(conversations, form, recipe, every=every, database=database), recipe


def kind_of(*columns: str, value: object = "x", **given: object) -> str:
    """What columns of these names are read as."""
    return detect_format("data.jsonl", columns, rows_of(dict.fromkeys(columns, value)), settings(**given)).kind


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (["prompt", "completion"], "prompt/completion"),
        (["completion", "prompt", "source"], "prompt/completion"),
        (["instruction", "input", "output"], "instruction/output"),
        (["Instruction", "Output"], "Instruction/Output"),
        (["id", "title", "context", "question", "answer"], "question/answer"),
        (["question", "query"], "question/query"),
        (["question", "sql", "db_id"], "question/sql"),
        (["query", "response"], "query/response"),
        (["text", "label"], "text/label"),
        (["sentence", "label", "idx"], "sentence/label"),
        (["document", "summary"], "document/summary"),
        (["input", "target"], "input/target"),
        (["text"], "text"),
        (["text", "url", "timestamp"], "text"),
        (["dialogue", "summary"], "dialogue/summary"),
    ],
)
def test_columns_are_recognised_by_their_names(columns: list[str], kind: str) -> None:
    assert kind_of(*columns) == kind


@pytest.mark.parametrize("name", ["messages", "conversations", "Conversation"])
@pytest.mark.parametrize("value", [PAIR, '[{"role": "user"}]'])
def test_conversations_come_before_other_columns(name: str, value: object) -> None:
    assert kind_of("prompt", name, value=value) == "messages"


def test_named_columns_win() -> None:
    assert kind_of("prompt", "completion", "q", "a", prompt_column="q", completion_column="a") == "q/a"
    assert kind_of("messages", "q", "a", value=PAIR, prompt_column="q", completion_column="a") == "q/a"
    assert kind_of("q", "answer", prompt_column="q") == "q/answer"
    assert kind_of("q", "a", completion_column="a") == "q/a"
    assert kind_of("prompt", "completion", "body", text_column="body") == "text"


@pytest.mark.parametrize(
    ("columns", "given", "sentence"),
    [
        (["anfrage", "antwort"], {}, r"They are 'anfrage', 'antwort'\. Known are messages"),
        (["instructon", "output"], {}, "Did you mean instruction by 'instructon'"),
        (["prompt", "chosen", "rejected"], {}, "do not tell which is the prompt"),
        (
            ["prompt", "answer"],
            {"prompt_column": "promt"},
            r"no column 'promt' \(prompt_column\).* Did you mean 'prompt'",
        ),
        (["a", "b", "c"], {"prompt_column": "a"}, "do not tell"),
        (["prompt", "answer"], {"group_column": "customer"}, "no column 'customer'"),
    ],
)
def test_columns_that_do_not_fit_end_in_a_sentence(columns: list[str], given: dict, sentence: str) -> None:
    with pytest.raises(CourseError, match=sentence):
        kind_of(*columns, **given)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"trained_turns": "some"}, "it can be auto, every, last"),
        ({"test_share": 0}, "test_share is 0; a share lies between 0 and 1"),
        ({"validation_share": 20}, "validation_share is 20"),
        ({"test_share": 0.6, "validation_share": 0.3}, "less than a fifth"),
        ({"leak_threshold": 0}, "leak_threshold is 0"),
        ({"max_length": 4}, "max_length is 4 tokens"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict, sentence: str) -> None:
    with pytest.raises(CourseError, match=sentence):
        settings(**values)


# --- Examples ----------------------------------------------------------------------------------------------------


def test_a_pair_becomes_a_user_message_and_an_answer() -> None:
    (example,), recipe = examples_of({"prompt": " Hi? ", "completion": "Hello.\n"})
    assert example.row == {"prompt": [PAIR[0]], "completion": [PAIR[1]]}
    assert (example.id, example.place) == ("data.jsonl:1", "data.jsonl, line 1")
    assert recipe.ask("Hi?") == example.prompt


def test_an_input_stands_below_its_instruction() -> None:
    rows = [{"instruction": f"Do {n}", "input": below, "output": "x"} for n, below in enumerate(["this", None, ""])]
    examples, recipe = examples_of(*rows)
    assert [example.question for example in examples] == ["Do 0\n\nthis", "Do 1", "Do 2"]
    assert recipe.system_prompt is None


def test_an_instruction_that_all_rows_share_becomes_the_system_prompt() -> None:
    rows = [{"instruction": "Translate.", "input": text, "output": text.upper()} for text in ("one", "two")]
    examples, recipe = examples_of(*rows)
    assert recipe.system_prompt == "Translate."
    assert [example.question for example in examples] == ["one", "two"]
    assert examples[0].prompt == recipe.ask("one")
    assert examples[0].prompt[0] == {"role": "system", "content": "Translate."}


def test_a_system_prompt_is_given_or_comes_from_a_column() -> None:
    rows = [{"prompt": "a", "completion": "b", "system": system} for system in ("Be kind.", None)]
    examples, _ = examples_of(*rows, system_prompt="Be brief.")
    assert [example.prompt[0]["content"] for example in examples] == ["Be kind.", "Be brief."]


def test_prompts_may_be_conversations() -> None:
    row = {"prompt": [{"role": "system", "content": "Be kind."}, PAIR[0]], "completion": [PAIR[1]]}
    (example,), _ = examples_of(row)
    assert example.row == row
    (example,), _ = examples_of(row | {"completion": "Hello."})
    assert example.row == row


def test_every_answer_of_a_conversation_is_an_example_of_one_group() -> None:
    more = [{"role": "user", "content": "And?"}, {"role": "assistant", "content": "So."}]
    examples, _ = examples_of({"messages": PAIR + more})
    assert [(e.id, len(e.prompt), e.completion) for e in examples] == [
        ("data.jsonl:1.1", 1, "Hello."),
        ("data.jsonl:1.2", 3, "So."),
    ]
    assert len({example.group for example in examples}) == 1
    (last,), _ = examples_of({"messages": PAIR + more}, every=False)
    assert (last.completion, last.question) == ("So.", "And?")


def test_groups_are_those_of_the_column_and_else_of_the_question() -> None:
    rows = [
        {"prompt": text, "completion": str(n), "who": who}
        for n, (text, who) in enumerate([("A", 1), ("a", 2), ("b", 1)])
    ]
    by_question, _ = examples_of(*rows)
    assert by_question[0].group == by_question[1].group != by_question[2].group
    by_column, _ = examples_of(*rows, group_column="who")
    assert by_column[0].group == by_column[2].group != by_column[1].group


def test_plain_text_has_no_prompt() -> None:
    (example,), _ = examples_of({"text": "Once upon a time."})
    assert example.row == {"text": "Once upon a time."}
    assert example.asked == "Once upon a time."


def test_rows_on_one_line_have_names_of_their_own() -> None:
    rows = [Row("a.json", 1, {"prompt": str(n), "completion": "x"}) for n in range(3)]
    form = detect_format("a.json", ["prompt", "completion"], rows, settings())
    conversations, _ = read_conversations(rows, form, PromptRecipe(form.kind))
    examples = make_examples(conversations, form, PromptRecipe(form.kind))
    assert [example.id for example in examples] == ["a.json:1", "a.json:1-2", "a.json:1-3"]


def test_the_usual_system_prompt_is_that_of_most_examples() -> None:
    turns = [[{"role": "system", "content": text}, *PAIR] for text in ("Be kind.", "Be kind.", "Be brief.")]
    examples, _ = examples_of(*({"messages": messages} for messages in turns))
    assert usual_system_prompt(examples) == "Be kind."
    assert usual_system_prompt(examples[1:]) is None
    assert usual_system_prompt([]) is None


# --- Databases ---------------------------------------------------------------------------------------------------


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A database of one table."""
    text = "CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO pets VALUES (1, 'Rex');"
    return build_database(text, tmp_path / "pets.sqlite")


def test_questions_about_a_database_get_its_schema(pets: Path) -> None:
    (example,), recipe = examples_of(
        {"question": "Which pets are there?", "sql": "SELECT name FROM pets"}, database=str(pets)
    )
    assert recipe.uses_database
    assert "pets: id, name" in example.prompt[0]["content"]
    assert example.question == example.asked == "Which pets are there?"
    assert recipe.ask("Which pets are there?", pets) == example.prompt
    with pytest.raises(CourseError, match="pass the SQLite file"):
        recipe.ask("Which pets are there?")


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Which?", "context": "CREATE TABLE pets (id, name)", "answer": "SELECT name FROM pets"},
        {"messages": PAIR},
        {"prompt": [PAIR[0]], "completion": "SELECT name FROM pets"},
    ],
)
def test_prompts_that_bring_a_schema_or_a_conversation_stay_as_they_are(row: dict, pets: Path) -> None:
    _, recipe = examples_of(row, database=str(pets))
    assert not recipe.uses_database


def test_a_recipe_survives_being_written() -> None:
    recipe = PromptRecipe("question/answer", "Be kind.", uses_database=True)
    assert PromptRecipe.from_dict(recipe.as_dict()) == recipe


def test_earlier_messages_come_before_the_question() -> None:
    asked = PromptRecipe("messages", "Be kind.").ask("And?", earlier=PAIR)
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "user"]
