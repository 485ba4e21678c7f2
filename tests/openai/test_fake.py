"""The fake is what the official SDK expects."""

import base64

import openai
import pytest
from bruno_llm_base import Media, ToolCall, Usage
from bruno_llm_testing import FakeAnswer, FakeError, vector_of

HELLO = [{"role": "user", "content": "Hi"}]
MODEL = "gpt-6.1-terra"
FULL = FakeAnswer(
    text="It rains, 世界.",
    tool_calls=(
        ToolCall(index=0, id="call_1", name="weather", arguments='{"city": "Paris"}'),
        ToolCall(index=1, id="call_2", name="time", arguments="{}"),
    ),
    finish_reason="tool_call",
    usage=Usage(input_tokens=60, output_tokens=20, cache_read_tokens=40, reasoning_tokens=5),
)


@pytest.fixture
async def client(server):
    async with openai.AsyncOpenAI(
        **server.connection(), max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


async def test_a_whole_answer(client, server):
    server.say(FULL)
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == (FULL.text, "tool_calls")
    assert [call.function.name for call in choice.message.tool_calls] == ["weather", "time"]
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (60, 80)
    assert answer.usage.prompt_tokens_details.cached_tokens == 40
    assert answer.usage.completion_tokens_details.reasoning_tokens == 5


async def test_a_stream_sums_to_the_whole_answer(client, server):
    server.say(FULL)
    async with client.chat.completions.stream(
        model=MODEL, messages=HELLO, stream_options={"include_usage": True}
    ) as stream:
        answer = await stream.get_final_completion()
    (choice,) = answer.choices
    assert choice.message.content == FULL.text
    assert [call.function.arguments for call in choice.message.tool_calls] == [
        '{"city": "Paris"}',
        "{}",
    ]
    assert answer.usage.completion_tokens == 20


async def test_a_whole_response(client, server):
    server.say(FULL, FakeAnswer(text="", finish_reason="length"), FakeError(kind="rate_limit"))
    answer = await client.responses.create(model=MODEL, input="Hi")
    assert (answer.output_text, answer.status) == (FULL.text, "completed")
    assert [item.type for item in answer.output] == ["message", "function_call", "function_call"]
    assert (answer.usage.input_tokens_details.cached_tokens, answer.usage.total_tokens) == (40, 80)
    cut = await client.responses.create(model=MODEL, input="Hi")
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    with pytest.raises(openai.RateLimitError):
        await client.responses.create(model=MODEL, input="Hi")


async def test_the_events_of_a_response_sum_to_the_whole(client, server):
    thought = FakeAnswer(text=FULL.text, reasoning="Hm.", tool_calls=FULL.tool_calls)
    server.say(thought, thought)
    whole = await client.responses.create(model=MODEL, input="Hi")
    async with client.responses.stream(model=MODEL, input="Hi") as stream:
        kinds = {event.type async for event in stream}
        streamed = await stream.get_final_response()
    assert {"response.reasoning_summary_text.delta", "response.output_text.delta"} < kinds
    assert streamed.output_text == whole.output_text == FULL.text
    for ours, theirs in zip(streamed.output, whole.output, strict=True):
        assert (ours.type, ours.id) == (theirs.type, theirs.id)
        if ours.type == "function_call":
            assert (ours.call_id, ours.arguments) == (theirs.call_id, theirs.arguments)
    assert streamed.output[0].encrypted_content == whole.output[0].encrypted_content


PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (40).to_bytes(4) + (30).to_bytes(4)
PICTURE = Media(data=PNG, type="image/png")
SOUND = Media(data=b"RIFF\x24\0\0\0WAVEfmt ", type="audio/wav")


def data_url(content, kind):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


async def test_an_answer_may_be_spoken(client, server):
    said = FakeAnswer(text="It rains, 世界.", media=(SOUND,))
    server.say(said, said)
    server.models = (*server.models, "gpt-audio")
    asked = {"model": "gpt-audio", "messages": HELLO}
    whole = (await client.chat.completions.create(**asked)).choices[0].message
    assert whole.content is None
    assert (whole.audio.transcript, whole.audio.expires_at > 0) == (said.text, True)
    assert base64.b64decode(whole.audio.data) == SOUND.data
    words, sound = "", b""
    async for chunk in await client.chat.completions.create(stream=True, **asked):
        piece = chunk.choices[0].delta.audio
        words += (piece and piece.transcript) or ""
        sound += base64.b64decode((piece and piece.data) or "")
    assert (words, sound) == (said.text, SOUND.data)


async def test_a_response_may_hold_a_picture(client, server):
    said = FakeAnswer(text="", media=(PICTURE,))
    server.say(said, said)
    whole = await client.responses.create(model=MODEL, input="Draw")
    assert base64.b64decode(whole.output[0].result) == PNG
    async with client.responses.stream(model=MODEL, input="Draw") as stream:
        kinds = [event.type async for event in stream]
        streamed = await stream.get_final_response()
    assert "response.image_generation_call.partial_image" in kinds
    assert streamed.output == whole.output


async def test_what_was_asked_for_is_made(client, server):
    drawn = await client.responses.create(
        model=MODEL, input="Draw", tools=[{"type": "image_generation"}]
    )
    assert base64.b64decode(drawn.output[-1].result).startswith(PNG[:8])
    spoken = await client.chat.completions.create(
        model=MODEL, messages=HELLO, modalities=["text", "audio"]
    )
    assert spoken.choices[0].message.audio.transcript


@pytest.mark.parametrize(
    ("piece", "code"),
    [
        ({"type": "image_url", "image_url": {"url": data_url(PNG, "image/png")}}, ""),
        ({"type": "image_url", "image_url": {"url": "https://host/a.png", "detail": "low"}}, ""),
        ({"type": "image_url", "image_url": {"url": "a.png"}}, "invalid_image_url"),
        (
            {"type": "image_url", "image_url": {"url": data_url(b"BM", "image/png")}},
            "invalid_image_format",
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}},
            "invalid_base64_image",
        ),
        ({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}, None),
        ({"type": "video_url", "video_url": {"url": "https://host/a.mp4"}}, "invalid_value"),
        ({"type": "file", "file": {"file_id": "file-1"}}, ""),
        (
            {
                "type": "file",
                "file": {"file_data": data_url(b"%PDF-", "application/pdf"), "filename": "a.pdf"},
            },
            "",
        ),
        (
            {"type": "file", "file": {"file_data": data_url(b"a", "text/plain"), "filename": "a"}},
            "invalid_value",
        ),
        ({"type": "file", "file": {"filename": "a.pdf"}}, "missing_required_parameter"),
    ],
)
async def test_media_of_a_question(client, piece, code):
    asked = [{"role": "user", "content": [{"type": "text", "text": "What?"}, piece]}]
    if code == "":
        assert await client.chat.completions.create(model=MODEL, messages=asked)
        return
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model=MODEL, messages=asked)
    assert caught.value.code == code


async def test_media_of_a_response_may_be_files_of_any_kind_and_stand_in_results(client):
    pieces = [
        {"type": "input_image", "image_url": data_url(PNG, "image/png"), "detail": "auto"},
        {"type": "input_file", "file_data": data_url(b"a,b", "text/csv"), "filename": "a.csv"},
        {"type": "input_file", "file_url": "https://host/a.pdf"},
    ]
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": pieces}
    assert await client.responses.create(
        model=MODEL, input=[{"role": "user", "content": pieces}, call, result]
    )
    few = await client.responses.input_tokens.count(model=MODEL, input=HELLO)
    many = await client.responses.input_tokens.count(
        model=MODEL, input=[{"role": "user", "content": pieces}]
    )
    assert many.input_tokens > few.input_tokens + 5_000
    for content in ([{"type": "input_audio"}], [{"type": "input_file"}]):
        with pytest.raises(openai.BadRequestError):
            await client.responses.create(model=MODEL, input=[{"role": "user", "content": content}])


async def test_pictures_that_are_too_large_or_not_seen(client, server):
    wide = PNG[:16] + (8000).to_bytes(4) + (5344).to_bytes(4)
    asked = [
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": data_url(wide, "image/png")}}],
        }
    ]
    with pytest.raises(openai.BadRequestError, match="41750 patches"):
        await client.chat.completions.create(model=MODEL, messages=asked)
    server.models = ("gpt-3.5-turbo",)
    with pytest.raises(openai.BadRequestError, match="only supported by certain models"):
        await client.chat.completions.create(model="gpt-3.5-turbo", messages=asked)


async def test_usage_comes_only_if_asked_for(client):
    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    assert [chunk.usage async for chunk in stream if chunk.usage] == []


async def test_a_refusal(client, server):
    server.say(FakeAnswer(text="I cannot.", finish_reason="content_filter"))
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.refusal == "I cannot."


async def test_models(client, server):
    assert [model.id async for model in client.models.list()] == list(server.models)


@pytest.mark.parametrize(
    ("kind", "expected", "code"),
    [
        ("authentication", openai.AuthenticationError, "invalid_api_key"),
        ("quota", openai.RateLimitError, "insufficient_quota"),
        ("model_not_found", openai.NotFoundError, "model_not_found"),
        ("context_length", openai.BadRequestError, "context_length_exceeded"),
        ("overloaded", openai.InternalServerError, "server_overloaded"),
    ],
)
async def test_errors(client, server, kind, expected, code):
    server.say(FakeError(kind=kind))
    with pytest.raises(expected) as caught:
        await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.code == code


async def test_an_error_inside_a_stream(client, server):
    server.say(FakeError(kind="server_error", in_stream=True))
    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="server_error"):
        [chunk async for chunk in stream]


async def test_what_the_api_would_refuse(client, server):
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model=MODEL, messages=[])
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model="gpt-4", messages=HELLO)
    with pytest.raises(openai.NotFoundError):
        await client.embeddings.create(model=MODEL, input="x")


async def test_a_count(client, server):
    count = client.responses.input_tokens.count
    few = await count(model=MODEL, input=HELLO)
    many = await count(model=MODEL, input=HELLO * 9)
    assert 0 < few.input_tokens < many.input_tokens
    assert few == await count(model=MODEL, input=HELLO)
    for wrong in ({"input": []}, {"input": HELLO, "extra_body": {"max_tokens": 9}}):
        with pytest.raises(openai.BadRequestError):
            await count(model=MODEL, **wrong)
    with pytest.raises(openai.BadRequestError):
        await count(model=MODEL, input=HELLO, tools=[{"type": "function"}])
    server.say(FakeError(kind="rate_limit"), to="count_tokens")
    with pytest.raises(openai.RateLimitError):
        await count(model=MODEL, input=HELLO)


async def test_embeddings(client, server):
    server.say(FakeAnswer(usage=Usage(input_tokens=9)), to="embeddings")
    answer = await client.embeddings.create(
        model="text-embedding-3-small", input=["a", "b"], dimensions=8, encoding_format="float"
    )
    assert [row.index for row in answer.data] == [0, 1]
    assert answer.data[1].embedding == vector_of("b", 8)
    assert (answer.model, answer.usage.total_tokens) == ("text-embedding-3-small", 9)
    # the SDK unpacks only what it has not validated
    async with openai.AsyncOpenAI(**server.connection()) as lenient:
        packed = await lenient.embeddings.create(model="text-embedding-3-large", input="a")
    assert list(packed.data[0].embedding) == pytest.approx(vector_of("a", 3072), abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"model": MODEL}, openai.NotFoundError),
        ({"input": ""}, openai.BadRequestError),
        ({"input": []}, openai.BadRequestError),
        ({"input": ["a"] * 2049}, openai.BadRequestError),
        ({"dimensions": 0}, openai.BadRequestError),
        ({"model": "text-embedding-ada-002", "dimensions": 8}, openai.BadRequestError),
    ],
)
async def test_embeddings_that_openai_refuses(client, wrong, kind):
    asked = {"model": "text-embedding-3-small", "input": "a"} | wrong
    with pytest.raises(kind):
        await client.embeddings.create(**asked)
