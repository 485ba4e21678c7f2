"""What servers send that no documentation shows, and mean well: it is read for what it means."""

import json

import pytest
from bruno_llm_base import (
    ContentBlockedError,
    ContextLengthExceededError,
    FallbackLLM,
    LLMError,
    OutputLimitError,
    Retry,
    StreamError,
)
from bruno_llm_base.events import FinishReasonUnknown
from bruno_llm_testing import MockLLM

HOW = pytest.mark.parametrize("how", ["request", "stream"])
OPENAI = pytest.mark.parametrize("name", ["openai"])
CLAUDE = pytest.mark.parametrize("name", ["claude"])
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


async def ask(llm, how):
    """Return the answer, asked for in one of the two modes."""
    if how == "request":
        return await llm.request("hi")
    stream = llm.stream("hi")
    pieces = []
    try:
        async for piece in stream:
            pieces.append(piece)  # noqa: PERF401 - what came before the error counts
    except LLMError as error:
        if "only calls tools" not in str(error):
            raise
    assert "".join(pieces) == stream.response.text
    return stream.response


# -- OpenAI's protocol -------------------------------------------------------------------------------


def openai(how, message, reason="stop", usage=USAGE, **more):
    """Return an answer, or the documents of a stream that says the same."""
    named = {"id": "x", "model": "m", "usage": usage} | more
    if how == "request":
        return {"choices": [{"index": 0, "message": message, "finish_reason": reason}]} | named
    deltas = [{name: value} for name, value in message.items()] or [{}]
    chunks = [{"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]} | named
    return [*chunks, end, b"[DONE]"]


TEXTS = [
    [{"type": "text", "text": "Hello"}],
    ["Hel", "lo"],
    [{"type": "output_text", "text": "Hel"}, {"type": "text", "text": "lo"}],
    {"type": "text", "text": "Hello"},
    {"content": "Hello"},
]


@HOW
@OPENAI
@pytest.mark.parametrize("content", TEXTS)
async def test_content_of_another_shape(how, raw, client, content):
    raw.say(openai(how, {"role": "assistant", "content": content}))
    assert (await ask(client, how)).text == "Hello"


@HOW
@OPENAI
async def test_a_number_in_place_of_text_is_named(how, raw, client):
    raw.say(openai(how, {"content": 5}))
    with pytest.raises(LLMError, match="content is a number"):
        await ask(client, how)


CALLS = [
    {"id": 7, "function": {"name": "f", "arguments": {"a": 1}}},
    {"id": "", "function": {"name": "f", "arguments": '{"a": 1}'}},
    {"function": {"name": "f", "arguments": '{"a": 1}'}, "type": "function"},
]


@HOW
@OPENAI
@pytest.mark.parametrize("call", CALLS)
async def test_calls_of_another_shape(how, raw, client, call):
    raw.say(openai(how, {"tool_calls": [call]}, "tool_calls"))
    (read,) = (await ask(client, how)).tool_calls
    assert (read.id, read.name) == ("7" if call.get("id") else None, "f")
    assert json.loads(read.arguments) == {"a": 1}


@HOW
@OPENAI
@pytest.mark.parametrize("arguments", ["", None, {}])
async def test_a_call_without_arguments_has_none_in_both_modes(how, raw, client, arguments):
    function = {"name": "now", "arguments": arguments}
    raw.say(openai(how, {"tool_calls": [{"id": "c1", "function": function}]}, "tool_calls"))
    assert (await ask(client, how)).tool_calls[0].arguments == "{}"


@HOW
@OPENAI
async def test_the_old_kind_of_call(how, raw, client):
    raw.say(openai(how, {"function_call": {"name": "f", "arguments": "{}"}}, "function_call"))
    answer = await ask(client, how)
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("f", "{}")]
    assert answer.finish_reason == "tool_call"


@OPENAI
async def test_two_calls_of_one_id_in_a_whole_answer_stay_two(raw, client):
    calls = [{"id": "call_0", "function": {"name": "f", "arguments": "{}"}} for _ in "ab"]
    raw.say(openai("request", {"tool_calls": calls}, "tool_calls"))
    assert len((await client.request("hi")).tool_calls) == 2


@HOW
@OPENAI
async def test_an_answer_without_a_message_was_filtered(how, raw, client):
    choice = {"index": 0, "finish_reason": "content_filter", "content_filter_results": {}}
    answer = {"choices": [choice]}
    raw.say(answer if how == "request" else [answer, b"[DONE]"])
    with pytest.raises(ContentBlockedError):
        _ = await client.generate("hi") if how == "request" else await ask(client, how)


@HOW
@OPENAI
@pytest.mark.parametrize(
    "place",
    [
        {"usage": {"prompt_tokens": 5.0, "completion_tokens": 3.0}},
        {"usage": {"prompt_tokens": "5", "completion_tokens": "3"}},
        {"usage": USAGE | {"prompt_tokens_details": "none", "completion_tokens_details": 5}},
        {"usage": None, "x_groq": {"usage": USAGE}},
    ],
)
async def test_usage_in_another_shape_or_place(how, raw, client, place):
    raw.say(openai(how, {"content": "Hello"}, **place))
    usage = (await ask(client, how)).usage
    assert (usage.input_tokens, usage.output_tokens) == (5, 3)


@HOW
@OPENAI
async def test_usage_inside_the_choice(how, raw, client):
    said = openai(how, {"content": "Hello"}, usage=None)
    (said if how == "request" else said[-2])["choices"][0]["usage"] = USAGE
    raw.say(said)
    assert (await ask(client, how)).usage.output_tokens == 3


@HOW
@OPENAI
async def test_usage_that_cannot_be_read_costs_nothing_else(how, raw, client):
    raw.say(openai(how, {"content": "Hello"}, usage={"prompt_tokens": {}, "completion_tokens": []}))
    answer = await ask(client, how)
    assert (answer.text, answer.usage_estimated) == ("Hello", True)


@OPENAI
async def test_usage_that_is_revised_at_the_end(raw, client):
    first = {"choices": [{"index": 0, "delta": {"content": "Hello"}}], "usage": USAGE}
    last = openai("stream", {}, usage=USAGE | {"completion_tokens": 9})
    raw.say([first, *last])
    assert (await ask(client, "stream")).usage.output_tokens == 9


@HOW
@OPENAI
@pytest.mark.parametrize(("given", "expected"), [(7, "7"), ("", None), (None, None)])
async def test_ids_that_are_numbers_or_empty(how, raw, client, given, expected):
    raw.say(openai(how, {"content": "Hello"}, id=given))
    assert (await ask(client, how)).id == expected


# -- Claude's ----------------------------------------------------------------------------------------


@HOW
@CLAUDE
async def test_a_block_that_begins_without_its_text(how, raw, client):
    if how == "request":
        raw.say({"content": [{"type": "text"}, {"type": "text", "text": "Hello"}]})
    else:
        said = {"type": "text_delta", "text": "Hello"}
        raw.say(
            [
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
                {"type": "content_block_delta", "index": 0, "delta": said},
                {"type": "message_stop"},
            ]
        )
    assert (await ask(client, how)).text == "Hello"


@CLAUDE
@pytest.mark.parametrize("given", [{"a": 1}, '{"a": 1}'])
async def test_the_input_of_a_call_may_be_text(raw, client, given):
    raw.say({"content": [{"type": "tool_use", "id": 5, "name": "f", "input": given}]})
    (call,) = (await client.request("hi")).tool_calls
    assert (call.id, json.loads(call.arguments)) == ("5", {"a": 1})


# -- Gemini's and Ollama's ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gemini"])
@pytest.mark.parametrize("given", [{"a": 1}, '{"a": 1}'])
async def test_the_arguments_of_geminis_calls_may_be_text(raw, client, given):
    parts = [{"functionCall": {"name": "f", "args": given, "id": 5}}]
    raw.say({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]})
    (call,) = (await client.request("hi")).tool_calls
    assert (call.id, json.loads(call.arguments)) == ("5", {"a": 1})


@HOW
@pytest.mark.parametrize("name", ["ollama"])
@pytest.mark.parametrize("given", [{"a": 1}, '{"a": 1}'])
async def test_the_arguments_of_ollamas_calls_may_be_text(how, raw, client, given):
    message = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": given}}]}
    said = {"model": "m", "message": message, "done": True, "done_reason": "stop"}
    raw.say(said if how == "request" else [said])
    (call,) = (await ask(client, how)).tool_calls
    assert json.loads(call.arguments) == {"a": 1}


@pytest.mark.parametrize("name", ["ollama"])
async def test_a_last_line_without_a_message(raw, client):
    raw.say([{"message": {"content": "Hello"}}, {"done": True, "eval_count": 3}])
    answer = await ask(client, "stream")
    assert (answer.text, answer.usage.output_tokens) == ("Hello", 3)


MODELS = {
    "openai": [{"data": [{"id": "m"}]}, {"models": [{"name": "m"}]}, {"data": ["m"]}],
    "claude": [{"data": [{"id": "m"}]}, {"models": [{"name": "m"}]}, {"data": ["m"]}],
    "gemini": [{"models": [{"name": "models/m"}]}, {"data": [{"id": "m"}]}],
    "ollama": [{"models": [{"model": "m"}]}, {"data": [{"id": "m"}]}],
}


async def test_lists_of_models_under_another_name(name, raw, client):
    for document in MODELS[name]:
        raw.say(document)
    for _ in MODELS[name]:
        assert await client.list_models() == ["m"]


# -- why an answer ended -----------------------------------------------------------------------------


def ended(name, how, word, text="Half an ans"):
    """Return an answer that ends with *word*."""
    if name == "openai":
        return openai(how, {"content": text}, word)
    if name == "gemini":
        candidate = {"content": {"parts": [{"text": text}] if text else []}, "finishReason": word}
        return {"candidates": [candidate]} if how == "request" else [{"candidates": [candidate]}]
    if name == "ollama":
        said = {"message": {"content": text}, "done": True, "done_reason": word, "eval_count": 3}
        return said if how == "request" else [said]
    block = {"type": "text", "text": text}
    if how == "request":
        return {"content": [block] if text else [], "stop_reason": word}
    return [
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "message_delta", "delta": {"stop_reason": word}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]


@HOW
@pytest.mark.parametrize(
    "word", ["error", "abort", "network_error", "insufficient_system_resource", "NETWORK_ERROR"]
)
async def test_an_interrupted_answer_is_an_error_that_keeps_what_came(name, how, raw, client, word):
    raw.say(ended(name, how, word))
    with pytest.raises(StreamError, match=word) as caught:
        await ask(client, how)
    assert caught.value.retryable
    assert caught.value.partial.text == "Half an ans"


async def test_an_interrupted_answer_is_asked_for_again(name, kind, raw):
    raw.say(ended(name, "request", "error"), ended(name, "request", "stop"))
    async with kind(retry=Retry(attempts=2, wait_initial=0), **raw.connection()) as llm:
        assert (await llm.request("hi")).text == "Half an ans"
    assert len(raw.bodies) == 2


async def test_a_fallback_answers_for_an_interrupted_one(name, raw, client):
    raw.say(ended(name, "request", "error"))
    assert await FallbackLLM([client, MockLLM("whole")]).generate("hi") == "whole"


@HOW
@pytest.mark.parametrize("word", ["max_tokens", "MAX_TOKENS", "length", "max_output_tokens"])
async def test_the_output_limit_in_any_spelling(name, how, raw, client, word):
    raw.say(ended(name, how, word))
    answer = await ask(client, how)
    assert (answer.finish_reason, answer.finish_detail) == ("length", word)


async def test_a_spent_output_limit_says_what_to_raise(name, raw, client):
    raw.say(ended(name, "request", "max_tokens", text=""))
    with pytest.raises(OutputLimitError, match="raise max_tokens"):
        await client.generate("hi")


async def test_a_full_context_window_is_not_a_spent_output_limit(name, raw, client):
    raw.say(ended(name, "request", "model_context_window_exceeded", text=""))
    with pytest.raises(ContextLengthExceededError, match="context window") as caught:
        await client.generate("hi")
    assert "raise max_tokens" not in str(caught.value)


async def test_a_paused_turn_without_text_says_so(name, raw, client):
    raw.say(ended(name, "request", "pause_turn", text=""))
    with pytest.raises(LLMError, match="paused"):
        await client.generate("hi")


async def test_an_unknown_word_is_kept_and_told_of_once(name, kind, raw):
    heard = []
    raw.say(ended(name, "request", "a_new_word"))
    async with kind(observers=[heard.append], **raw.connection()) as llm:
        for _ in range(3):
            answer = await llm.request("hi")
            assert (answer.finish_reason, answer.finish_detail) == ("stop", "a_new_word")
    told = [event.word for event in heard if isinstance(event, FinishReasonUnknown)]
    assert told == ["a_new_word"]


# -- thoughts between tags ---------------------------------------------------------------------------

THOUGHTS = [
    ("<think>\nHm.\n\nYes.\n</think>\n\nIt is blue.", "It is blue.", "Hm.\n\nYes."),
    ("No <b>thoughts</b> <thin here.", "No <b>thoughts</b> <thin here.", ""),
    ("A <think>b</think> c <think>d</think>e", "A c e", "bd"),
    ("<think>never closed", "", "never closed"),
    ("<think></think>Hi", "Hi", ""),
    ("ends with <thi", "ends with <thi", ""),
]


def chunks(name, text, size):
    """Return a stream that says *text* in pieces of *size* characters."""
    pieces = [text[place : place + size] for place in range(0, len(text), size)]
    if name == "ollama":
        return [*({"message": {"content": piece}} for piece in pieces), {"done": True}]
    choices = [{"index": 0, "delta": {"content": piece}} for piece in pieces]
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    return [*({"choices": [choice]} for choice in (*choices, end)), b"[DONE]"]


@pytest.mark.parametrize("name", ["openai", "ollama"])
@pytest.mark.parametrize("thought", THOUGHTS)
async def test_thoughts_between_tags(name, kind, raw, thought):
    said, text, reasoning = thought
    replies = [ended(name, "request", "stop", said)]
    replies += [chunks(name, said, size) for size in (1, 2, 3, 5, 100)]
    raw.say(*replies)
    async with kind(think_tags=True, **raw.connection()) as llm:
        answers = [await llm.request("hi")]
        for _ in replies[1:]:
            stream = llm.stream("hi")
            pieces = []
            try:
                async for piece in stream:
                    pieces.append(piece)  # noqa: PERF401 - an answer without text is an error
            except LLMError:
                assert not text
            assert "".join(pieces) == text
            answers.append(stream.response)
    assert [(a.text, a.reasoning) for a in answers] == [(text, reasoning)] * len(answers)


@OPENAI
async def test_without_the_option_tags_are_text(raw, client):
    raw.say(ended("openai", "request", "stop", "<think>a</think>b"))
    assert (await client.request("hi")).text == "<think>a</think>b"


# -- torn characters ---------------------------------------------------------------------------------


def raw_chunks(name, *texts):
    """Return a stream whose documents hold *texts* as they stand, escapes and bytes as well."""
    form = {
        "openai": b'{"choices": [{"index": 0, "delta": {"content": "%b"}}]}',
        "gemini": b'{"candidates": [{"content": {"parts": [{"text": "%b"}]}}]}',
        "ollama": b'{"message": {"content": "%b"}, "done": false}',
        "claude": b'{"type": "content_block_delta", "index": 0,'
        b' "delta": {"type": "text_delta", "text": "%b"}}',
    }
    end = {
        "openai": [b"[DONE]"],
        "gemini": [{"candidates": [{"finishReason": "STOP"}]}],
        "ollama": [{"done": True}],
        "claude": [{"type": "message_stop"}],
    }
    return [form[name] % text for text in texts] + end[name]


TORN = [
    ((rb"a\ud83d", rb"\ude00b"), "a\U0001f600b"),
    ((rb"a\ud83d\ude00b",), "a\U0001f600b"),
    ((rb"a\ud83d", b"b"), "a\ufffdb"),
    ((rb"a\ude00b",), "a\ufffdb"),
    ((rb"a\ud83d",), "a\ufffd"),
    ((b"a\xffb",), "a\ufffdb"),
]


@pytest.mark.parametrize(("texts", "expected"), TORN)
async def test_torn_characters_are_joined_or_marked(name, raw, client, texts, expected):
    raw.say(raw_chunks(name, *texts))
    stream = client.stream("hi")
    pieces = [piece async for piece in stream]
    assert "".join(pieces) == stream.response.text == expected
    assert all(piece.encode() for piece in pieces)


async def test_a_torn_character_in_a_whole_answer_is_marked(name, raw, client):
    raw.say(ended(name, "request", "stop", text="a\ud83db"))
    answer = await client.request("hi")
    assert answer.text == "a\ufffdb"
    assert await client.generate([answer.to_message()]) == "a\ufffdb"
