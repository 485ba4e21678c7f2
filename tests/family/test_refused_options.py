"""What a server refuses: of our own options it is left out, of a vendor's own it is the user's to know."""

import json

import pytest
from bruno_llm_base import InvalidRequestError
from bruno_llm_base.events import OptionDropped
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeClaude, FakeGemini, FakeOllama, FakeOpenAI, RawReply

PROVIDERS = [
    (OpenAIProvider, FakeOpenAI, {"api": "chat"}, "stop"),
    (OpenAIProvider, FakeOpenAI, {"api": "responses"}, "max_output_tokens"),
    (ClaudeProvider, FakeClaude, {}, "stop_sequences"),
    (GeminiProvider, FakeGemini, {}, "generationConfig.stopSequences"),
    (OllamaProvider, FakeOllama, {}, "options.stop"),
]


def refusal(field):
    said = {"message": f"Unsupported: {field}", "code": "unsupported_parameter", "param": field}
    return RawReply(status=400, body=json.dumps({"error": said}).encode())


async def ask(llm, streamed, **options):
    if streamed:
        return "".join([piece async for piece in llm.stream("Hi", **options)])
    return await llm.generate("Hi", **options)


def value_at(body, field):
    for name in field.split("."):
        body = body.get(name, {})
    return body


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("kind", "fake", "keywords", "spelled"), PROVIDERS)
async def test_only_options_of_ours_are_left_out(kind, fake, keywords, spelled, streamed):
    ours = {"max_tokens": 900} if spelled == "max_output_tokens" else {"stop": ["END"]}
    heard = []
    with fake() as server:
        keywords = server.connection() | keywords | {"observers": [heard.append]}
        async with kind(**keywords) as llm, kind(**keywords, options={"tone": "odd"}) as odd:
            for asked, own in [
                (odd, {}),
                (llm, {"tone": "odd"}),
                (llm, {"options": {"tone": "odd"}}),
                (llm, {"options": {"tone.color": "red"}}),
            ]:
                server.say(refusal("tone"))
                with pytest.raises(InvalidRequestError, match="Unsupported: tone"):
                    await ask(asked, streamed, **own)
            assert ["tone" in body for body in server.bodies] == [True] * 4

            server.say(refusal(spelled))
            assert await ask(llm, streamed, **ours)
            assert await ask(llm, streamed, **ours)
            sent = [value_at(body, spelled) for body in server.bodies[4:]]
            assert [bool(value) for value in sent] == [True, False, False]
            dropped = [event.option for event in heard if isinstance(event, OptionDropped)]
            assert dropped == [spelled]

            # what is known to be refused is the user's all the same, where he says it as the vendor does
            server.say(refusal(spelled))
            with pytest.raises(InvalidRequestError, match="Unsupported"):
                await ask(llm, streamed, options={spelled: ["END"]})
            assert len(server.bodies) == 8


OWN_NAMES = [  # a field in the vendor's words as users write it, and as the body has it
    (GeminiProvider, FakeGemini, {}, {"safety_settings": [{"category": "x"}]}, "safetySettings"),
    (GeminiProvider, FakeGemini, {}, {"top_k": 40}, "generationConfig.topK"),
    (OllamaProvider, FakeOllama, {}, {"top_k": 40}, "options.top_k"),
    (ClaudeProvider, FakeClaude, {}, {"stop": ["END"]}, "stop_sequences"),
    (OpenAIProvider, FakeOpenAI, {"api": "responses"}, {"store": False}, "store"),  # as ours is
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("kind", "fake", "keywords", "own", "spelled"), OWN_NAMES)
async def test_the_vendors_own_stay_by_whatever_name(kind, fake, keywords, own, spelled, streamed):
    with fake() as server:
        keywords = server.connection() | keywords
        async with kind(**keywords) as llm, kind(**keywords, options=own) as odd:
            for asked, options in [(odd, {}), (llm, {"options": own})]:
                server.say(refusal(spelled))
                with pytest.raises(InvalidRequestError, match="Unsupported"):
                    await ask(asked, streamed, **options)
        assert len(server.bodies) == 2
        assert all(value_at(body, spelled) not in ({}, None) for body in server.bodies)


async def test_a_field_that_is_only_renamed_is_not_left_out():
    with FakeOpenAI() as server:
        async with OpenAIProvider("gpt-4.1", api="chat", **server.connection()) as llm:
            server.say(refusal("max_tokens"))
            assert await llm.generate("Hi", options={"max_completion_tokens": 50})
        sent = [body.get("max_tokens") or body["max_completion_tokens"] for body in server.bodies]
        assert sent == [50, 50]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_model_of_ollama_that_is_told_to_think_in_its_own_words(streamed):
    with FakeOllama() as server:
        async with OllamaProvider("llama3.2", **server.connection()) as llm:
            assert await ask(llm, streamed, reasoning="high")
            with pytest.raises(InvalidRequestError, match="does not support thinking"):
                await ask(llm, streamed, think=True)
        assert ["think" in body for body in server.bodies] == [True, False, True]
