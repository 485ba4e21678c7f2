"""Pictures, sounds and documents through OpenAI's two APIs, and what its models make."""

import base64
import itertools
import json
import logging
import typing
from dataclasses import replace

import openai.types.chat.completion_create_params
import openai.types.responses.response_create_params
import pytest
from bruno_llm_base import (
    ContentBlockedError,
    Conversation,
    LLMError,
    Media,
    MediaTooLargeError,
    MediaTypeError,
    MediaUnavailableError,
    ModelResponse,
    Retry,
    Text,
    ToolCall,
    ToolResult,
    VendorBlock,
)
from bruno_llm_base.media import read_media
from bruno_llm_base.media_conversation import with_media_ready
from bruno_llm_claude import ClaudeProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_openai.media import chat_piece
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeOpenAI, RawReply
from bruno_llm_testing.script import Received
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.responses.response_error import ResponseError


def png(width=40, height=30):
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4) + height.to_bytes(4)


def wav(seconds=2):
    rate = 16_000
    head = (
        b"fmt \x10\0\0\0\x01\0\x01\0"
        + rate.to_bytes(4, "little")
        + (2 * rate).to_bytes(4, "little")
    )
    return b"RIFF\0\0\0\0WAVE" + head + b"\x02\0\x10\0data" + b"\0" * (2 * rate * seconds)


PDF = b"%PDF-1.4 << /Type /Page >> << /Type /Page >>"
PICTURE, SOUND = Media(data=png(), type="image/png"), Media(data=wav(0), type="audio/wav")
SEES, HEARS = "gpt-6.1-terra", "gpt-audio-1.5"


def url(content, kind):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


PNG_URL, PDF_URL = url(png(), "image/png"), url(PDF, "application/pdf")


@pytest.fixture
def server(server):
    server.models = (*server.models, HEARS, "gpt-4o", "gpt-3.5-turbo")
    return server


@pytest.fixture(params=["chat", "responses"])
def api(request):
    return request.param


@pytest.fixture
async def llm(server, api):
    """A provider that asks the fake as it would ask OpenAI itself."""
    async with openai.AsyncOpenAI(**server.connection()) as client:
        yield OpenAIProvider(client=client, api=api, retry=Retry(attempts=1))


@pytest.fixture
async def chat(server):
    async with openai.AsyncOpenAI(**server.connection()) as client:
        yield OpenAIProvider(client=client, api="chat", retry=Retry(attempts=1))


@pytest.fixture
async def responses(server):
    async with openai.AsyncOpenAI(**server.connection()) as client:
        yield OpenAIProvider(client=client, api="responses", retry=Retry(attempts=1))


@pytest.fixture
async def own(server):
    """A provider that knows nothing of the server but its address."""
    async with OpenAIProvider(**server.connection(), retry=Retry(attempts=1)) as llm:
        yield llm


@pytest.fixture
def check(fits):
    """Check that a body is of the types of OpenAI's SDK, to its ends."""

    def check(body):
        streamed = "Streaming" if body.get("stream") else "NonStreaming"
        if "input" in body:
            kinds, name = openai.types.responses.response_create_params, "ResponseCreateParams"
        else:
            kinds, name = openai.types.chat.completion_create_params, "CompletionCreateParams"
        fits(getattr(kinds, name + streamed), body)

    return check


def content(body):
    """Return the pieces of the user's last turn."""
    return body["input" if "input" in body else "messages"][-1]["content"]


# -- what is sent ----------------------------------------------------------------------------------


async def test_a_question_with_media_through_chat_completions(chat, server, check, tmp_path):
    (tmp_path / "plan.pdf").write_bytes(PDF)
    await chat.request(
        "What?",
        attachments=[
            Media(data=png(), detail="low"),
            "https://host/a.png",
            tmp_path / "plan.pdf",
            Media(data=b"a,b\n1,2", type="text/csv", name="table.csv"),
            Media(id="file-1"),
        ],
    )
    check(server.bodies[0])
    assert content(server.bodies[0]) == [
        {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://host/a.png"}},
        {"type": "file", "file": {"filename": "plan.pdf", "file_data": PDF_URL}},
        {"type": "text", "text": '<document name="table.csv">\na,b\n1,2\n</document>\n\n'},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "text", "text": "What?"},
    ]


async def test_a_question_with_media_through_responses(responses, server, check):
    await responses.request(
        "What?",
        attachments=[
            Media(data=png(), detail="original"),
            "https://host/a.png",
            Media(data=PDF, detail="low"),
            Media(url="https://host/plan.pdf", type="application/pdf"),
            Media(data=b"a,b\n1,2", type="text/csv", name="table.csv"),
            Media(id="file-1"),
            Media(id="file-2", type="image/png"),
        ],
    )
    check(server.bodies[0])
    table = url(b"a,b\n1,2", "text/csv")
    assert content(server.bodies[0]) == [
        {"type": "input_image", "image_url": PNG_URL, "detail": "original"},
        {"type": "input_image", "image_url": "https://host/a.png", "detail": "auto"},
        {
            "type": "input_file",
            "filename": "document.pdf",
            "file_data": PDF_URL,
            "detail": "low",
        },
        {"type": "input_file", "file_url": "https://host/plan.pdf"},
        {"type": "input_file", "filename": "table.csv", "file_data": table},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_image", "file_id": "file-2", "detail": "auto"},
        {"type": "input_text", "text": "What?"},
    ]


@pytest.mark.parametrize(
    ("data", "form"), [(wav(0), "wav"), (b"ID3\x04", "mp3"), (b"\xff\xf3\x84\xc4", "mp3")]
)
async def test_a_model_that_hears_is_sent_sounds(chat, server, check, data, form):
    await chat.request("What?", model=HEARS, attachments=[Media(data=data)])
    check(server.bodies[0])
    sound = {"data": base64.b64encode(data).decode(), "format": form}
    assert content(server.bodies[0])[0] == {"type": "input_audio", "input_audio": sound}


async def test_a_plain_question_stays_a_plain_text(llm, server):
    await llm.generate("What?")
    assert content(server.bodies[0]) == "What?"


async def test_the_order_of_a_message_is_the_users(llm, server, check):
    picture = {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "high"}}
    asked = ["This", picture, "and this", Media(data=png(8, 8))]
    await llm.generate([{"role": "user", "content": asked}])
    check(server.bodies[0])
    kinds = [piece["type"].removeprefix("input_")[:5] for piece in content(server.bodies[0])]
    assert kinds == ["text", "image", "text", "image"]


async def test_media_in_the_result_of_a_tool(llm, server, check, api):
    call = ToolCall(id="call_1", name="look", arguments="{}")
    server.say(FakeAnswer(text="", tool_calls=(call,), finish_reason="tool_call"))
    answer = await llm.request("Look", model="gpt-4o")
    result = ToolResult("call_1", "look", "seen", parts=(Text("seen"), PICTURE))
    said = [{"role": "user", "content": "Look"}, answer.to_message(), result.to_message()]
    await llm.request(said, model="gpt-4o")
    body = server.bodies[-1]
    check(body)
    if api == "responses":
        assert body["input"][-1] == {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [
                {"type": "input_text", "text": "seen"},
                {"type": "input_image", "image_url": PNG_URL, "detail": "auto"},
            ],
        }
    else:
        assert [message["role"] for message in body["messages"]] == [
            *("user", "assistant", "tool", "user")
        ]
        assert content(body)[-1] == {"type": "image_url", "image_url": {"url": PNG_URL}}


async def test_a_failed_tool_may_show_what_it_saw(responses, server):
    call = ToolCall(id="call_1", name="look", arguments="{}")
    server.say(FakeAnswer(text="", tool_calls=(call,), finish_reason="tool_call"))
    answer = await responses.request("Look")
    result = ToolResult("call_1", "look", "no", parts=(Text("no"), PICTURE), is_error=True)
    said = [{"role": "user", "content": "Look"}, answer.to_message(), result.to_message()]
    await responses.request(said)
    output = server.bodies[-1]["input"][-1]["output"]
    assert [piece.get("text") for piece in output] == ["Error:", "no", None]


async def test_a_mark_stands_behind_media_too(llm, server, check, api):
    asked = {"role": "user", "content": ["Read", Media(data=PDF)], "metadata": {"cache": True}}
    await llm.generate([asked, {"role": "user", "content": "What?"}])
    check(server.bodies[0])
    marks = ["prompt_cache_breakpoint" in piece for piece in content(server.bodies[0])]
    assert marks == [False, True, False]


async def test_a_mark_stands_behind_a_result_with_media(responses, server, check):
    call = ToolCall(id="call_1", name="look", arguments="{}")
    server.say(FakeAnswer(text="", tool_calls=(call,), finish_reason="tool_call"))
    answer = await responses.request("Look")
    result = ToolResult("call_1", "look", "seen", parts=(Text("seen"), PICTURE)).to_message()
    result.metadata["cache"] = True
    await responses.request([{"role": "user", "content": "Look"}, answer.to_message(), result])
    check(server.bodies[-1])
    output = server.bodies[-1]["input"][-1]["output"]
    assert ["prompt_cache_breakpoint" in piece for piece in output] == [False, True]


# -- who takes what --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "media", "said"),
    [
        (SEES, SOUND, r"gpt-6\.1-terra of openai does not read .*, which is audio/wav"),
        ("gpt-3.5-turbo", PICTURE, "which is image/png"),
        (SEES, Media(data=b"BM" + b"\0" * 60, type="image/bmp"), "which is image/bmp"),
    ],
)
async def test_what_a_model_does_not_take_is_not_sent(llm, server, model, media, said):
    with pytest.raises(MediaTypeError, match=said) as caught:
        await llm.request("What?", model=model, attachments=[media])
    assert "another model" in str(caught.value)
    assert server.bodies == []


async def test_a_document_that_the_api_does_not_fetch(chat, server):
    with pytest.raises(MediaTypeError, match=r"does not fetch plan\.pdf"):
        await chat.request(
            "What?", attachments=[Media(url="https://host/plan.pdf", type="application/pdf")]
        )
    assert server.bodies == []


async def test_a_server_of_ones_own_says_itself_what_it_takes(own, server):
    await own.request("What?", model=HEARS, attachments=[PICTURE, SOUND, Media(data=PDF)])
    assert len(content(server.bodies[0])) == 4
    with pytest.raises(MediaTypeError, match="image_url is only supported") as caught:
        await own.request("What?", model="gpt-3.5-turbo", attachments=[PICTURE])
    assert caught.value.media == PICTURE.label
    assert caught.value.provider == "openai"


@pytest.mark.parametrize(
    ("media", "piece"),
    [
        (Media(url="https://host/a.mp4", type="video/mp4"), "video_url"),
        (Media(url="https://host/a.mp3", type="audio/mpeg"), "audio_url"),
    ],
)
def test_films_and_sounds_by_address_are_for_other_servers(media, piece):
    assert chat_piece(media) == {"type": piece, piece: {"url": media.url}}
    own = OpenAIProvider(base_url="http://127.0.0.1:1/v1", api_key="k").adapter
    own.media_for("any").check(media, "any")
    with pytest.raises(MediaTypeError):
        OpenAIProvider(api_key="k", api="chat").adapter.media_for(SEES).check(media, SEES)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5.4-mini", "gpt-6-sol", "o3", "ft:gpt-4o", "new"])
def test_models_that_see(model):
    for api in ("chat", "responses"):
        rules = OpenAIProvider(api_key="k", api=api).adapter.media_for(model)
        rules.check(PICTURE, model)


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4-0613", "gpt-3.5-turbo", "o3-mini", "gpt-audio"])
def test_models_without_eyes(model):
    for api in ("chat", "responses"):
        rules = OpenAIProvider(api_key="k", api=api).adapter.media_for(model)
        with pytest.raises(MediaTypeError):
            rules.check(PICTURE, model)


# -- what models make ------------------------------------------------------------------------------


async def ask(llm, streamed, asked, **options):
    """Return an answer, whole or of a stream, and the text that the stream gave."""
    if not streamed:
        answer = await llm.request(asked, **options)
        return answer, answer.text
    stream = llm.stream(asked, **options)
    words = "".join([word async for word in stream])
    return stream.response, words


HELLO = {"role": "user", "content": "Hello"}
SPOKEN = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_spoken_answer(chat, server, check, streamed, tmp_path):
    said = FakeAnswer(text="It rains, 世界.", media=(SOUND,))
    server.say(said)
    answer, words = await ask(chat, streamed, [HELLO], model=HEARS, **SPOKEN)
    (sound,) = answer.media
    assert answer.text == words == said.text
    assert (sound.data, sound.type) == (SOUND.data, "audio/wav")
    sound.save(tmp_path / "rain.wav")
    assert (tmp_path / "rain.wav").read_bytes() == SOUND.data
    again = [HELLO, answer.to_message(), {"role": "user", "content": "And tomorrow?"}]
    await chat.request(again, model=HEARS)
    check(server.bodies[-1])
    assert server.bodies[-1]["messages"][1] == {
        "role": "assistant",
        "content": said.text,
        "audio": {"id": sound.state.data["id"]},
    }


async def test_a_sound_that_openai_keeps_no_more_goes_back_in_words(chat, server, check):
    server.say(FakeAnswer(text="It rains.", media=(SOUND,)), FakeAnswer(text="", media=(SOUND,)))
    spoken, wordless = [await chat.request([HELLO], model=HEARS) for _ in range(2)]
    gone = {
        "message": "Assistant audio audio_1 not found.",
        "type": "invalid_request_error",
        "param": "content.messages[1].audio.id",
        "code": "audio_not_found",
    }
    again = [HELLO, spoken.to_message(), HELLO, wordless.to_message(), HELLO]
    for _ in range(2):
        server.say(RawReply(status=400, body=json.dumps({"error": gone}).encode()))
        assert await chat.generate(again, model=HEARS)
    first, second, third, fourth = server.bodies[2:]
    assert first == third
    assert second == fourth
    check(second)
    assert [message["content"] for message in second["messages"]] == [
        *("Hello", "It rains.", "Hello", "Hello")
    ]


async def test_a_sound_without_its_content_goes_back_by_its_id(chat, server, check):
    audio = {"id": "audio_1", "data": "", "expires_at": 9, "transcript": "It rains."}
    message = {"role": "assistant", "content": None, "audio": audio}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    server.say(RawReply(body=json.dumps({"choices": [choice]}).encode()))
    answer = await chat.request([HELLO], model=HEARS)
    await chat.request([HELLO, answer.to_message(), HELLO], model=HEARS)
    check(server.bodies[-1])
    said = server.bodies[-1]["messages"][1]
    assert (said["content"], said["audio"]) == ("It rains.", {"id": "audio_1"})


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_sound_without_a_header_is_samples(chat, server, streamed):
    server.say(FakeAnswer(text="Hi.", media=(Media(data=b"\x01\x02" * 9, type="audio/pcm"),)))
    answer, _ = await ask(chat, streamed, [HELLO], model=HEARS)
    assert [(each.data, each.type) for each in answer.media] == [(b"\x01\x02" * 9, "audio/pcm")]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_spoken_answer_goes_to_other_vendors_in_words(chat, responses, server, streamed):
    server.say(FakeAnswer(text="It rains.", media=(SOUND,)))
    answer, _ = await ask(chat, streamed, [HELLO], model=HEARS)
    again = [HELLO, answer.to_message(), {"role": "user", "content": "And tomorrow?"}]
    await responses.request(again)
    assert server.bodies[-1]["input"][1]["content"] == "It rains."
    with FakeClaude() as claude:
        async with ClaudeProvider(**claude.connection()) as other:
            await other.request(again)
        roles = [message["role"] for message in claude.bodies[0]["messages"]]
        assert roles == ["user", "assistant", "user"]
        words = [block["text"] for block in claude.bodies[0]["messages"][1]["content"]]
        assert words == ["It rains.", f"(audio {SOUND.label})"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_picture_that_is_drawn_goes_back_as_it_came(responses, server, check, streamed):
    server.say(FakeAnswer(text="Here.", media=(PICTURE,)))
    answer, _ = await ask(responses, streamed, [HELLO], tools=[{"type": "image_generation"}])
    assert answer.media == (
        PICTURE.__class__(data=png(), type="image/png", state=answer.media[0].state),
    )
    await responses.request([HELLO, answer.to_message(), {"role": "user", "content": "Redder"}])
    check(server.bodies[-1])
    item = server.bodies[-1]["input"][2]
    assert (item["type"], item["id"]) == ("image_generation_call", "ig_fake0")
    assert base64.b64decode(item["result"]) == png()


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_picture_goes_to_others_as_the_users(chat, own, server, check, streamed):
    """OpenRouter's and other servers' pictures, in a field of their own."""
    server.say(FakeAnswer(text="Here.", media=(PICTURE,)))
    answer, words = await ask(own, streamed, [HELLO])
    assert (answer.media, words) == ((PICTURE,), "Here.")
    await chat.request([HELLO, answer.to_message(), {"role": "user", "content": "Redder"}])
    check(server.bodies[-1])
    assert content(server.bodies[-1])[1:] == [
        {"type": "image_url", "image_url": {"url": PNG_URL}},
        {"type": "text", "text": "Redder"},
    ]
    with FakeClaude() as claude:
        async with ClaudeProvider(**claude.connection()) as other:
            await other.request([HELLO, answer.to_message(), {"role": "user", "content": "Redder"}])
        assert claude.bodies[0]["messages"][-1]["content"][1]["type"] == "image"


async def test_a_picture_among_the_pieces_of_a_content(own, server):
    piece = {"type": "image_url", "image_url": {"url": PNG_URL}}
    message = {"role": "assistant", "content": [{"type": "text", "text": "Here."}, piece]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    server.say(RawReply(body=json.dumps({"choices": [choice]}).encode()))
    answer = await own.request("Draw")
    assert answer.parts == (Text("Here."), PICTURE)


async def test_a_picture_that_is_none_costs_itself_alone(own, server):
    odd = ["?", {}, {"image_url": {"url": "data:image/png;base64,?"}}, {"image_url": 3}]
    images = [*odd, {"type": "image_url", "image_url": PNG_URL}]
    message = {"role": "assistant", "content": "Here.", "images": images}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    server.say(RawReply(body=json.dumps({"choices": [choice]}).encode()))
    answer = await own.request("Draw")
    assert answer.parts == (Text("Here."), PICTURE)


async def test_a_picture_alone_leaves_no_turn_without_words(chat, responses, server, check):
    server.say(FakeAnswer(text="", media=(PICTURE,)))
    answer = await responses.request("Draw")
    await chat.request([HELLO, answer.to_message(), {"role": "user", "content": "Redder"}])
    check(server.bodies[-1])
    assert [message["role"] for message in server.bodies[-1]["messages"]] == ["user"]


async def test_a_picture_that_failed_is_none(responses, server):
    failed = {"id": "ig_1", "type": "image_generation_call", "status": "failed", "result": None}
    document = {"status": "completed", "output": [failed], "model": SEES, "id": "resp_1"}
    server.say(RawReply(body=json.dumps(document).encode()))
    answer = await responses.request("Draw")
    assert answer.media == ()
    await responses.request([HELLO, answer.to_message(), HELLO])
    assert server.bodies[-1]["input"][1] == failed


DRAWN = VendorBlock(
    "openai/responses", {"id": "ig_1", "type": "image_generation_call", "status": "completed"}
)
HEARD = VendorBlock("openai", {"id": "audio_1", "expires_at": 9})
words = st.text("ab ", max_size=3).map(Text)
media = st.sampled_from(
    [
        Media(data=png(), type="image/png"),
        Media(data=png(), type="image/png", state=DRAWN),
        Media(data=wav(0), type="audio/wav"),
        Media(data=b"\1\2", type="audio/pcm", state=HEARD),
        Media(data=b"", type="audio/pcm", state=HEARD),
        Media(url="https://host/a.png"),
        Media(data=PDF, type="application/pdf"),
        Media(data=b"a,b", type="text/csv"),
        Media(data=b"PK\3\4", type="application/x-odd"),
        Media(data=b"\x80", type="video/mp4"),
    ]
)
calls = st.builds(ToolCall, st.none(), st.just("f"), st.just("{}"))
answers = st.lists(words | media | calls, max_size=4)
results = st.lists(words | media, max_size=3).map(tuple)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(answers, results), min_size=1, max_size=3),
    st.sampled_from(["chat", "responses"]),
)
def test_whatever_was_made_can_be_sent_again(check, turns, api):
    """Bodies are of the SDK's types, and the fake refuses none of them."""
    said = [HELLO]
    for place, (parts, shown) in enumerate(turns):
        answer = ModelResponse(parts=tuple(replace(part) for part in parts))
        for number, call in enumerate(answer.tool_calls):
            call.id = f"call_{place}_{number}"
        said.append(answer.to_message())
        results = [ToolResult(c.id, "f", "done", parts=shown) for c in answer.tool_calls]
        said += [result.to_message() for result in results]
        said.append(HELLO)
    adapter = OpenAIProvider(api_key="k", api=api).adapter
    rules = adapter.media_for(SEES)
    ready = with_media_ready(Conversation.of(said), rules, SEES, read_media)
    roles = [role for role, _ in ready.turns]
    assert all(first != second for first, second in itertools.pairwise(roles))
    body = adapter.build(ready, {"model": SEES}, stream=False)
    check(body)
    headers = {"authorization": f"Bearer {FakeOpenAI.api_key}"}
    path = adapter.chat_path
    request = Received(method="POST", path=f"/v1{path}", query={}, headers=headers, body=body)
    assert FakeOpenAI().refuse(request) is None


# -- tokens ----------------------------------------------------------------------------------------

HIGH = 3_000  # 2,500 patches


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        # the guide's own examples
        ("gpt-5.4", (1024, 1024), "high", 1229),
        ("gpt-5.4", (2048, 2048), "high", HIGH),
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        # its table
        ("gpt-6.1-terra", (1024, 1024), None, 1229),
        ("gpt-6.1-terra", (1024, 1024), "low", 308),
        ("gpt-6.1-terra", (4000, 4000), "high", HIGH),
        ("gpt-6.1-terra", (4000, 4000), None, 18_750),
        ("gpt-5.6-sol", (99_999, 99_999), "original", 36_000),
        ("gpt-5.5", (9000, 9000), None, 12_000),
        ("gpt-5.4-mini", (9000, 9000), "low", 4916),
        ("gpt-5.2", (512, 512), None, 308),
        ("gpt-5-nano", (512, 512), None, 384),
        ("gpt-4.1-mini", (512, 512), None, 415),
        ("gpt-4.1-nano", (512, 512), None, 630),
        ("o4-mini", (512, 512), None, 441),
        ("gpt-4.1", (512, 512), None, 255),
        ("gpt-5.1", (512, 512), None, 210),
        ("gpt-5", (512, 512), None, 210),
        ("o3", (512, 512), None, 225),
        ("gpt-4o-mini", (512, 512), None, 8500),
        ("gpt-9-new", (1024, 1024), None, 1229),
    ],
)
def test_tokens_of_pictures_are_those_of_the_guide(model, size, detail, tokens):
    adapter = OpenAIProvider(api_key="k").adapter
    media = Media(data=png(*size), type="image/png", detail=detail)
    media.pixels = size
    assert adapter.media_tokens(media, model) == tokens
    media.pixels = None  # of an address, or where the header does not tell
    assert adapter.media_tokens(media, model) >= tokens


def read(data, **fields):
    media = Media(data=data, **fields)
    media.size = len(data)
    return media


@pytest.mark.parametrize(
    ("media", "tokens"),
    [
        (read(wav(2), type="audio/wav"), 75),
        (read(b"\xff\xf3" * 6000, type="audio/mpeg"), 75),
        (read(b"\0" * 96_000, type="audio/pcm"), 50),
        (read(PDF, type="application/pdf"), 2 * 4500),
        (read(PDF, type="application/pdf", detail="low"), 2 * (1500 + 308)),
        (Media(url="https://host/plan.pdf", type="application/pdf"), 20 * 4500),
        (Media(id="file-1", type="application/pdf"), 20 * 4500),
        (read(b"one two three", type="text/plain"), 3),
        (read(b"PK\x03\x04" * 5, type="application/vnd.oasis.opendocument.text"), 20),
    ],
)
def test_tokens_of_sounds_and_documents(media, tokens):
    assert OpenAIProvider(api_key="k").adapter.media_tokens(media, SEES) == tokens


def test_a_model_that_is_not_openais_reads_a_text_too():
    adapter = OpenAIProvider(base_url="http://127.0.0.1:1/v1", api_key="k").adapter
    assert adapter.media_tokens(read(b"one two three", type="text/plain"), "llama") > 0
    assert adapter.media_tokens(PICTURE, "llama") == 5_000


async def test_media_are_counted_by_openai_exactly(llm, server):
    plain = await llm.count_tokens("What?")
    count = await llm.count_tokens("What?", attachments=[PICTURE, Media(data=PDF)])
    assert count.tokens > plain.tokens + 3_000
    assert count.source.startswith("openai")
    *_, request = server.received
    assert request.path == "/v1/responses/input_tokens"
    kinds = [piece["type"] for piece in request.body["input"][0]["content"]]
    assert kinds == ["input_image", "input_file", "input_text"]


async def test_sounds_cannot_be_counted_there(chat, server):
    count = await chat.count_tokens("What?", model=HEARS, attachments=[SOUND])
    assert not count.exact
    assert server.received == []


async def test_without_a_server_that_counts_the_bound_is_added(own):
    plain = await own.count_tokens("What?")
    count = await own.count_tokens("What?", attachments=[PICTURE])
    assert (count.tokens, count.exact) == (plain.tokens + 5_000, False)
    assert count.error == 1.0


# -- errors ----------------------------------------------------------------------------------------

KINDS = {
    "image_too_large": MediaTooLargeError,
    "image_file_too_large": MediaTooLargeError,
    "failed_to_download_image": MediaUnavailableError,
    "image_file_not_found": MediaUnavailableError,
    "invalid_image_url": MediaUnavailableError,
    "image_content_policy_violation": ContentBlockedError,
}
CODES = [
    code
    for code in typing.get_args(ResponseError.model_fields["code"].annotation)
    if "image" in code
]


@pytest.mark.parametrize("code", CODES)
async def test_each_of_the_apis_codes_is_an_error_of_ours(llm, server, code):
    error = {"message": "no", "type": "invalid_request_error", "param": "input", "code": code}
    server.say(RawReply(status=400, body=json.dumps({"error": error}).encode()))
    with pytest.raises(LLMError) as caught:
        await llm.request("What?", attachments=[Media(data=png(), name="a.png")])
    assert type(caught.value) is KINDS.get(code, MediaTypeError)
    if isinstance(caught.value, MediaTypeError | MediaTooLargeError | MediaUnavailableError):
        assert caught.value.media == "a.png"
    assert not caught.value.retryable


@pytest.mark.parametrize("code", CODES)
async def test_a_response_that_failed_has_the_same_codes(responses, server, code):
    failed = {"status": "failed", "error": {"code": code, "message": "no"}, "output": []}
    server.say(RawReply(body=json.dumps(failed).encode()))
    with pytest.raises(LLMError) as caught:
        await responses.request("What?", attachments=[PICTURE])
    assert type(caught.value) is KINDS.get(code, MediaTypeError)


async def test_too_many_patches(llm):
    with pytest.raises(MediaTooLargeError, match="41750 patches") as caught:
        await llm.request("What?", attachments=[Media(data=png(8000, 5344), name="wide.png")])
    assert caught.value.media == "wide.png"


async def test_the_content_stands_in_no_log_and_no_error(llm, server, caplog):
    caplog.set_level(logging.DEBUG, "bruno_llm")  # older SDKs tell theirs all that is sent
    canary = png() + b"a canary of nineteen"
    encoded = base64.b64encode(canary).decode()
    answer = FakeAnswer(text="Hi.", media=(Media(data=canary, type="image/png"),))
    server.say(answer)
    got = await llm.request("What?", attachments=[Media(data=canary, name="a.png")])
    error = {"message": "no", "code": "image_too_large", "param": None, "type": "x"}
    server.say(RawReply(status=400, body=json.dumps({"error": error}).encode()))
    with pytest.raises(MediaTooLargeError) as caught:
        await llm.request("What?", attachments=[Media(data=canary, name="a.png")])
    for told in (caplog.text, repr(got), str(caught.value), repr(caught.value), vars(caught.value)):
        assert "canary" not in str(told)
        assert encoded[-20:] not in str(told)
