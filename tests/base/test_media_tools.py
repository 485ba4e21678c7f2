"""Media that tools return and that models make, on their way back; and models that take none."""

import asyncio
import json
from base64 import b64encode

import pytest
from bruno_core.interfaces import LLMInterface
from bruno_core.models import Message, MessageRole, MessageType
from bruno_llm_base import (
    AllProvidersFailedError,
    ConfigurationError,
    FallbackLLM,
    InvalidRequestError,
    Media,
    MediaPolicy,
    MediaRules,
    MediaTooLargeError,
    MediaTypeError,
    MediaUnavailableError,
    ModelResponse,
    Text,
    ToolCall,
    run_tools,
    stream_tools,
)
from bruno_llm_openai import OpenAIEmbeddings
from bruno_llm_testing import MockLLM
from bruno_llm_testing.mock import MockAdapter

PNG = b"\x89PNG\r\n\x1a\n canary-4f1c"
PICTURE = Media(data=PNG, type="image/png")
LOOK = ToolCall(id="c", name="look", arguments="{}")


class BlindAdapter(MockAdapter):
    __slots__ = ()
    media = MediaRules()


class BlindLLM(MockLLM):
    adapter_type = BlindAdapter


class EyesAdapter(MockAdapter):
    """One of which neither results nor answers may hold media."""

    __slots__ = ()
    media = MediaRules(types=("image/*",), max_total_bytes=3 * len(PNG))


class EyesLLM(MockLLM):
    adapter_type = EyesAdapter


async def looked(returned, llm, **options):
    """Return what the model is told of a call of a tool that returns *returned*."""

    async def look():
        """Look."""
        return returned

    llm.say(LOOK, "I see.")
    answer = await run_tools(llm, "Look!", tools=[look], **options)
    assert answer.text == "I see."
    return llm.calls[-1].conversation.turns


@pytest.mark.parametrize(
    ("returned", "content", "parts"),
    [
        (PICTURE, "(image png of 20 bytes)", (PICTURE,)),
        (
            ["A cat:", Media(data=PNG, name="cat.jpg"), {"age": 3}],
            'A cat:\n(image cat.jpg)\n{"age":3}',
            (Text("A cat:"), Media(data=PNG, type="image/png", name="cat.jpg"), Text('{"age":3}')),
        ),
        (["no", "media"], '["no","media"]', ()),
        ((Media(url="https://host/a.png"),), "(image a.png)", (Media(url="https://host/a.png"),)),
    ],
)
async def test_tools_return_media(returned, content, parts):
    (result,) = (await looked(returned, MockLLM([])))[-1].tool_results
    assert (result.content, result.parts, result.is_error) == (content, parts, False)


async def test_a_file_that_a_tool_returns_is_read_when_it_returns(tmp_path):
    path = tmp_path / "chart.png"
    path.write_bytes(PNG)
    kept = Media(path)

    def look():
        """Look."""
        return kept

    llm = MockLLM([LOOK, lambda _: path.unlink() or ToolCall(id="d", name="look"), "Gone."])
    answer = await run_tools(llm, "Look!", tools=[look])
    results = [message for message in answer.messages if message.role is MessageRole.TOOL]
    assert results[0].content == "(image chart.png)"
    assert json.dumps(results[0].metadata)
    media = llm.calls[-1].conversation.media
    assert [(each.name, each.data) for each in media] == [("chart.png", PNG)]
    assert "chart.png' does not exist" in results[1].content
    assert results[1].metadata["is_error"]


async def test_streamed_rounds_show_media_too():
    llm = MockLLM([LOOK, "I see."])

    def look():
        """Look."""
        return PICTURE

    attached = Media(data=PNG, name="first.png")
    stream = stream_tools(llm, "Look!", tools=[look], attachments=[attached])
    assert "".join([piece async for piece in stream]) == "I see."
    first, second = llm.calls[-1].conversation.media
    assert (first.name, second.data) == ("first.png", PNG)


async def test_results_are_shown_by_the_user_where_they_may_hold_none():
    turns = await looked(["A cat:", PICTURE], EyesLLM([]))
    assert [turn.role for turn in turns] == ["user", "assistant", "tool", "user"]
    assert turns[2].tool_results[0].content == "A cat:\n(image png of 20 bytes)"
    assert turns[2].tool_results[0].parts == ()
    assert turns[3].parts == (Text("What the tool look returned:"), PICTURE)


async def test_what_a_model_cannot_read_of_a_result_is_told_in_words():
    """A tool's picture ends no loop of a model without eyes."""
    for returned in (PICTURE, [PICTURE]):
        turns = await looked(returned, BlindLLM([]))
        assert [turn.role for turn in turns] == ["user", "assistant", "tool"]
        assert turns[2].tool_results[0].content == "(image png of 20 bytes)"
        assert turns[2].tool_results[0].parts == ()
    turns = await looked([PICTURE, Media(data=b"RIFF....WAVE")], EyesLLM([]))
    assert turns[3].parts == (Text("What the tool look returned:"), PICTURE)
    turns = await looked([PICTURE] * 4, EyesLLM([]))
    assert turns[3].parts[1:] == (PICTURE, PICTURE, PICTURE)


async def test_a_model_s_picture_is_told_to_another_in_words():
    made = await MockLLM([["Here:", PICTURE]]).request("Draw")
    assert made.media == (PICTURE,)
    llm = BlindLLM(["Nice."])
    said = [{"role": "user", "content": "Draw"}, made.to_message()]
    await llm.request([*said, {"role": "user", "content": "And?"}])
    assert llm.calls[0].messages[1] == ("assistant", "Here:(image png of 20 bytes)")
    llm = EyesLLM(["Nice."])
    await llm.request([*said, {"role": "user", "content": "And?"}])
    turns = llm.calls[0].conversation.turns
    assert turns[2].parts == (Text("What the assistant made:"), PICTURE, Text("And?"))


# -- a mock ------------------------------------------------------------------------------------------


async def test_a_mock_answers_with_media():
    for reply in (PICTURE, [PICTURE], ModelResponse(parts=(PICTURE,))):
        llm = MockLLM([reply, reply])
        assert (await llm.request("Draw")).media == (PICTURE,)
        stream = llm.stream("Draw")
        with pytest.raises(Exception, match="use request"):
            _ = [piece async for piece in stream]
        assert stream.response.media == (PICTURE,)


async def test_a_mock_takes_attachments(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(PNG)
    llm = MockLLM(["A cat."] * 3)
    await llm.generate("What is this?", attachments=[tmp_path / "cat.jpg"])
    await llm.generate("And this?", attachments=["https://host/cat.png", Media(id="file_1")])
    (media,) = llm.calls[0].conversation.media
    assert (media.name, media.type, media.data) == ("cat.jpg", "image/png", PNG)
    assert llm.calls[1].conversation.media == [
        Media(url="https://host/cat.png"),
        Media(id="file_1"),
    ]
    assert llm.calls[0].prompt == "What is this?"
    assert (await llm.count_tokens("one two", attachments=[tmp_path / "cat.jpg"])).tokens == 2


@pytest.mark.parametrize("name", ["attachment", "atachments", "attachements"])
async def test_a_misspelt_keyword_sends_nothing(name):
    llm = MockLLM("?")
    for ask in (llm.generate, llm.count_tokens, llm.stream):
        with pytest.raises(InvalidRequestError, match="did you mean 'attachments'"):
            await ask("What is this?", **{name: [PICTURE]})
    assert llm.calls == []


@pytest.mark.parametrize("attachments", ["a.png", PICTURE, {"a.png"}, [None], [5], [b"GIF89a"]])
async def test_attachments_are_a_list(attachments):
    llm = MockLLM("?")
    for model in (llm, FallbackLLM([llm, Bare()])):
        with pytest.raises(InvalidRequestError, match=r"^attachments.* give "):
            await model.generate("What is this?", attachments=attachments)
    assert llm.calls == []


async def test_no_vector_stands_for_media():
    embeddings = OpenAIEmbeddings(api_key="any")
    for message in (image("cat.png"), image("https://host/cat.png", text="A cat.")):
        with pytest.raises(InvalidRequestError, match=r"message holds cat\.png"):
            await embeddings.embed_message(message)
    message = Message(role=MessageRole.USER, content="Look", metadata={"media": [PICTURE]})
    with pytest.raises(InvalidRequestError, match="message holds png of 20 bytes"):
        await embeddings.embed_message(message)


# -- the policy --------------------------------------------------------------------------------------


def image(path, **metadata):
    return Message(
        role=MessageRole.USER, content=str(path), message_type=MessageType.IMAGE, metadata=metadata
    )


async def test_a_path_in_a_message_is_refused_unless_it_is_allowed(tmp_path):
    (tmp_path / "cat.png").write_bytes(PNG)
    asked = [
        [image(tmp_path / "cat.png", text="What is this?")],
        {"role": "user", "content": "Look", "metadata": {"media": [str(tmp_path / "cat.png")]}},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": str(tmp_path / "cat.png")}},
            ],
        },
    ]
    for messages in asked:
        llm = MockLLM("A cat.")
        for ask in (llm.generate, llm.request, llm.count_tokens, llm.stream):
            with pytest.raises(MediaUnavailableError, match=r"cat\.png.*MediaPolicy") as caught:
                await ask(messages)
            assert caught.value.media == "cat.png"
        assert llm.calls == []
        llm = MockLLM("A cat.", media=MediaPolicy(roots=[tmp_path]))
        assert await llm.generate(messages) == "A cat."
        assert llm.calls[0].conversation.media[0].data == PNG
        llm = MockLLM("A cat.", media=MediaPolicy(roots=[tmp_path / "uploads"]))
        with pytest.raises(MediaUnavailableError, match="not below"):
            await llm.generate(messages)


async def test_sizes_are_summed_over_a_request():
    llm = MockLLM("Three.", media=MediaPolicy(max_bytes=3 * len(PNG)))
    await llm.generate("How many?", attachments=[PICTURE] * 3)
    with pytest.raises(MediaTooLargeError, match="have 80 bytes, and 60 are allowed"):
        await llm.generate("How many?", attachments=[PICTURE] * 4)


def test_a_wrong_policy_is_refused():
    with pytest.raises(ConfigurationError, match="media is 'uploads': give MediaPolicy"):
        MockLLM(media="uploads")


# -- several models ----------------------------------------------------------------------------------


class Bare(LLMInterface):
    """What another author wrote."""

    def __init__(self):
        self.asked = []

    async def generate(self, messages, temperature=None, max_tokens=None, **kwargs):
        self.asked.append(messages)
        return "bare"

    async def stream(self, messages, temperature=None, max_tokens=None, **kwargs):
        self.asked.append(messages)
        yield "bare"

    def get_token_count(self, text):
        return len(text)

    async def check_connection(self):
        return True

    async def list_models(self):
        return ["bare"]

    def get_model_info(self):
        return {"provider": "bare"}

    def set_system_prompt(self, prompt):
        pass

    def get_system_prompt(self):
        return None


async def test_a_model_without_eyes_is_passed_over():
    bare, blind, eyes = Bare(), BlindLLM("?"), MockLLM("A cat.")
    told = []
    llm = FallbackLLM([bare, blind, eyes], observers=[told.append])
    for given in (
        {"prompt": "What is this?", "attachments": [PICTURE]},
        {"messages": {"role": "user", "content": [PICTURE, "What is this?"]}},
    ):
        assert await llm.generate(**given) == "A cat."
        assert "".join([piece async for piece in llm.stream(**given)]) == "A cat."
        assert (await llm.count_tokens(**given)).source == "mock, words"
    assert bare.asked == blind.calls == []
    assert len(eyes.calls) == 4
    passed = [type(event.error) for event in told if getattr(event, "error", None)]
    assert passed == [MediaTypeError] * 8
    with pytest.raises(AllProvidersFailedError) as caught:
        await FallbackLLM([bare, blind]).generate("What is this?", attachments=[PICTURE])
    texts = [str(error) for error in caught.value.errors]
    assert "a bare LLMInterface takes no media, such as png of 20 bytes" in texts[0]
    assert "does not read png of 20 bytes, which is image/png" in texts[1]


async def test_a_bare_model_takes_answers_with_media_in_words():
    bare = Bare()
    said = [{"role": "user", "content": "Draw"}]
    said.append(ModelResponse(parts=(Text("Here."), PICTURE)).to_message())
    assert (
        await FallbackLLM([bare]).generate([*said, {"role": "user", "content": "And?"}]) == "bare"
    )
    assert [message.content for message in bare.asked[0]] == ["Draw", "Here.", "And?"]


async def test_a_missing_file_is_missing_for_all():
    blind, eyes = MockLLM("?"), MockLLM("!")
    with pytest.raises(MediaUnavailableError, match="does not exist"):
        await FallbackLLM([blind, eyes]).generate("Look", attachments=["/no/such.png"])
    assert blind.calls == eyes.calls == []


# -- windows -----------------------------------------------------------------------------------------


def test_a_summary_is_told_of_media_in_words():
    from bruno_llm_base.context import ContextPolicy

    told = []

    def write(text):
        told.append(text)
        return "A talk about cats."

    words = "word " * 60
    said = [
        {"role": "user", "content": [Media(data=PNG, name="cat.png"), words]},
        {"role": "assistant", "content": words},
        {"role": "user", "content": "And now?"},
    ]
    policy = ContextPolicy(window=100, strategy="summarize", summarize=write, reserve_output=5)
    llm = MockLLM("Well.", context=policy)
    assert asyncio.run(llm.generate(said)) == "Well."
    assert told[0].startswith("user: (image cat.png)\nuser: word word")
    assert llm.calls[0].conversation.media == []
    assert b64encode(PNG).decode() not in told[0]
