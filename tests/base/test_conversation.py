import pytest
from bruno_core.models import Message, MessageType
from bruno_llm_base import (
    Conversation,
    InvalidRequestError,
    ModelResponse,
    Text,
    ToolCall,
    ToolResult,
)


def message(role, content="x", **metadata):
    return Message(role=role, content=content, metadata=metadata)


def roles(conversation):
    return [turn.role for turn in conversation.turns]


def test_a_question_is_enough():
    conversation = Conversation.of("Why?")
    assert (conversation.system, roles(conversation)) == (None, ["user"])


def test_system_texts_are_gathered_in_order_without_duplicates():
    conversation = Conversation.of(
        [message("user"), message("system", "b"), message("system", "a"), message("system", "b")],
        system_prompt="a",
    )
    assert conversation.system == "a\n\nb"
    assert roles(conversation) == ["user"]


def test_neighbours_of_one_role_become_one_turn():
    conversation = Conversation.of(
        [
            message("user", "a"),
            message("user", "b"),
            message("assistant", "c"),
            message("user", "d"),
        ]
    )
    assert roles(conversation) == ["user", "assistant", "user"]
    assert conversation.turns[0].text == "a\n\nb"


@pytest.mark.parametrize("first", [[], [message("assistant", "Hi")]])
def test_vendors_that_insist_get_a_user_first(first):
    conversation = Conversation.of([message("system", "s"), *first]).opened()
    assert conversation.turns[0].role == "user"
    assert conversation.opened() == conversation


def test_commands_are_text():
    command = Message(role="user", content="go", message_type=MessageType.ACTION)
    assert Conversation.of([command]).turns[0].parts == (Text("go"),)


def test_results_find_their_calls():
    calls = [{"id": "1", "name": "f"}, {"id": "2", "name": "g"}, {"id": "3", "name": "h"}]
    conversation = Conversation.of(
        [
            message("assistant", "(tool call)", tool_calls=calls),
            message("tool", "by id", tool_call_id="2"),
            message("function", "by name", name="h"),
            message("tool", "in order"),
        ]
    )
    assert conversation.turns[0].text == ""
    assert conversation.turns[1].parts == (
        ToolResult("1", "f", "in order"),
        ToolResult("2", "g", "by id"),
        ToolResult("3", "h", "by name"),
    )


def test_a_result_that_nothing_asked_for_is_told_by_the_user():
    conversation = Conversation.of(
        [message("tool", "21 C", name="weather"), message("tool", "late", tool_call_id="gone")]
    )
    assert roles(conversation) == ["user"]
    assert conversation.turns[0].text == "Result of weather: 21 C\n\nlate"


def test_tool_calls_may_come_in_three_shapes():
    openai = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    flat = {"name": "g", "arguments": {"b": 2}}
    calls = [openai, flat, ToolCall(id="3", name="h", arguments="{}")]
    turn, _ = Conversation.of([message("assistant", "words", tool_calls=calls)]).turns
    assert [(c.name, c.arguments) for c in turn.tool_calls] == [
        ("f", '{"a":1}'),
        ("g", '{"b": 2}'),
        ("h", "{}"),
    ]
    assert turn.text == "words"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ([message("assistant", tool_calls="f")], "give a list"),
        ([message("assistant", tool_calls=["f"])], "give id, name, arguments"),
        ([message("assistant", tool_calls=[{"id": "1"}])], "has no name"),
        (" ", "the prompt is empty"),
        (None, "give a list"),
        ([], "messages is empty"),
        (["hi"], r"messages\[0\] is a str"),
    ],
)
def test_what_cannot_be_sent_is_named(wrong, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        Conversation.of(wrong)


def test_results_follow_their_calls_whatever_comes_between():
    def call(number):
        metadata = {"tool_calls": [{"id": str(number), "name": "f"}]}
        return Message(role="assistant", content="(tool call)", metadata=metadata)

    conversation = Conversation.of(
        [
            call(1),
            message("assistant", "Let me check."),
            call(2),
            message("user", "Hurry."),
            message("tool", "one", tool_call_id="1"),
            message("tool", "two", tool_call_id="2"),
        ]
    )
    assert roles(conversation) == ["assistant", "tool", "assistant", "tool", "user"]
    assert [turn.tool_results[0].content for turn in conversation.turns if turn.tool_results] == [
        "one",
        "two",
    ]


def test_a_call_without_a_result_says_so():
    calls = [{"id": "1", "name": "f"}, {"id": "2", "name": "g"}]
    conversation = Conversation.of(
        [message("assistant", tool_calls=calls), message("tool", "two", tool_call_id="2")]
    )
    assert [result.content for result in conversation.turns[1].tool_results] == [
        "(no result)",
        "two",
    ]


def test_what_cannot_be_encoded_is_named_and_not_quoted():
    broken = message("user")
    broken.content = "secret \ud800"
    for messages in ("secret \ud800", [broken]):
        with pytest.raises(InvalidRequestError, match="half of a surrogate pair") as caught:
            Conversation.of(messages)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "part",
    [
        "x",
        {},
        {"type": "text"},
        {"type": "text", "text": 5},
        {"type": "text", "text": "\ud800"},
        {"type": "text", "text": "a", "more": 1},
        {"type": "reasoning", "text": "a", "state": "signed"},
        {"type": "tool_call", "id": 5, "name": "f", "arguments": "{}"},
        {"type": "vendor_block", "vendor": "v", "data": [1]},
        {"type": "picture"},
    ],
)
def test_parts_must_be_what_they_were(part):
    with pytest.raises(InvalidRequestError, match="leave it as it was"):
        Conversation.of([message("assistant", parts=[part])])


def test_the_latest_round_of_calls_gets_the_result():
    def ask(identifier):
        calls = [{"id": identifier, "name": "f"}]
        return Message(role="assistant", content="(tool call)", metadata={"tool_calls": calls})

    for result in ({"tool_call_id": "c0"}, {"name": "f"}, {}):
        conversation = Conversation.of(
            [ask("c0"), message("user"), ask("c0"), message("tool", "new", **result)]
        )
        found = [turn.tool_results[0].content for turn in conversation.turns if turn.tool_results]
        assert found == ["(no result)", "new"]


def test_calls_of_one_id_are_told_apart():
    calls = [{"id": "x", "name": "f"}, {"id": "x", "name": "g"}, {"name": "h"}]
    results = [
        message("tool", "for g", tool_call_id="x", name="g"),
        message("tool", "for f", tool_call_id="x"),
        message("tool", "for h", name="h"),
    ]
    _, turn = Conversation.of([message("assistant", tool_calls=calls), *results]).turns
    assert [(r.name, r.content) for r in turn.tool_results] == [
        ("f", "for f"),
        ("g", "for g"),
        ("h", "for h"),
    ]
    assert len({result.id for result in turn.tool_results}) == 3


@pytest.mark.parametrize("arguments", [{"x": object()}, {"x": float("nan")}, [1], 5])
def test_arguments_that_are_no_json_object_are_named(arguments):
    with pytest.raises(InvalidRequestError, match="'f' are not a JSON object"):
        Conversation.of([message("assistant", tool_calls=[{"name": "f", "arguments": arguments}])])


def test_an_id_that_is_no_text_is_named():
    with pytest.raises(InvalidRequestError, match="id is not text"):
        Conversation.of([message("assistant", tool_calls=[{"name": "f", "id": 5}])])


def test_an_answer_that_said_nothing_is_no_turn():
    conversation = Conversation.of([message("user", "q"), ModelResponse().to_message()])
    assert roles(conversation) == ["user"]


def test_a_system_prompt_that_cannot_be_encoded_is_named():
    with pytest.raises(InvalidRequestError, match="the system prompt holds half"):
        Conversation.of("hi", "\ud800")


def test_plain_dicts_are_messages():
    plain = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Rain "}, {"text": "in Rome?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "rain", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "no"},
    ]
    conversation = Conversation.of(plain)
    assert conversation.system == "Be brief."
    asked, called, answered = conversation.turns
    assert asked.text == "Rain in Rome?"
    assert called.tool_calls == [ToolCall(id="c1", name="rain", arguments="{}")]
    assert answered.tool_results == [ToolResult("c1", "rain", "no")]
    assert Conversation.of(plain[1]) == Conversation.of("Rain in Rome?")
    assert Conversation.of([message("user", "a"), {"role": "assistant", "content": "b"}]).turns


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        ({"content": "x"}, r"messages\[0\].role is None: give system, user"),
        ({"role": "robot", "content": "x"}, "role is 'robot'"),
        ({"role": "user"}, "content is a NoneType"),
        ({"role": "user", "content": 5}, "content is a int"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "Media has nothing"),
        ({"role": "user", "content": "x", "contents": 1}, "has 'contents', which is not known"),
        ({"role": "user", "content": "x", "metadata": 1}, "metadata is a int"),
    ],
)
def test_a_wrong_dict_says_what_is_wrong(plain, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        Conversation.of([plain])


def test_a_dict_and_a_message_say_the_same_whatever_is_around_the_words():
    for role in ("user", "assistant"):
        said = [{"role": "user", "content": "hi"}, {"role": role, "content": "\n so \n"}]
        assert Conversation.of(said) == Conversation.of([Message(**each) for each in said])
