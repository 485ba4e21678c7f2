"""Pictures, sounds and texts at Ollama."""

import json
import struct
import zlib
from base64 import b64decode, b64encode

import ollama
import pytest
from bruno_llm_base import Media, ModelResponse, Text, ToolCall, ToolResult, run_tools
from bruno_llm_base.exceptions import MediaTypeError
from bruno_llm_ollama import OllamaProvider
from bruno_llm_testing import FakeAnswer, FakeOllama, RawReply

SEEING = "gemma4:e4b"
JPEG, WAV = b"\xff\xd8\xff\xe0" + b"\0" * 20, b"RIFF\0\0\0\0WAVEfmt " + b"\0" * 20
CALL = ToolCall("c1", "look", "{}")


def png(width=3, height=2):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IEND", b"")


PNG = png()
PICTURE = Media(data=PNG)


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
async def llm(server):
    async with OllamaProvider(SEEING, **server.connection()) as llm:
        yield llm


def encoded(*contents):
    return [b64encode(content).decode() for content in contents]


def sent(server):
    """Return the messages that were sent, which the official client would send alike."""
    messages = server.bodies[-1]["messages"]
    for message in messages:
        images = {"images": [ollama.Image(value=image) for image in message.get("images", ())]}
        theirs = ollama.Message.model_validate(message | images).model_dump(exclude_none=True)
        for name in ("role", "content", "thinking", "images"):
            assert theirs.get(name) == message.get(name, [] if name == "images" else None)
    return messages


@pytest.mark.parametrize("streamed", [False, True])
async def test_pictures_and_sounds_are_bare_base64(server, llm, streamed):
    media = [PICTURE, Media(data=JPEG), Media(data=WAV)]
    if streamed:
        async for _ in llm.stream("What?", attachments=media):
            pass
    else:
        await llm.request("What?", attachments=media)
    images = encoded(PNG, JPEG, WAV)
    assert sent(server) == [{"role": "user", "content": "What?", "images": images}]
    assert [b64decode(image) for image in images] == [PNG, JPEG, WAV]


async def test_a_picture_from_a_file_and_from_an_address_that_holds_it(server, llm, tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    address = f"data:image/png;base64,{b64encode(PNG).decode()}"
    await llm.request("What?", attachments=[tmp_path / "a.png", address])
    assert sent(server)[0]["images"] == encoded(PNG, PNG)


async def test_texts_are_told_in_words(server, llm, tmp_path):
    (tmp_path / "notes.md").write_text("It rains.\n")
    await llm.request(
        "When?", attachments=[tmp_path / "notes.md", Media(data=b"a,b", type="text/csv")]
    )
    notes = '<document name="notes.md">\nIt rains.\n\n</document>'
    content = f'{notes}\n\n<document name="csv of 3 bytes">\na,b\n</document>\n\nWhen?'
    assert sent(server) == [{"role": "user", "content": content}]


async def test_words_around_pictures_stay_apart(server, llm):
    said = [{"role": "user", "content": ["Here is", PICTURE, "and here", PICTURE, "Same?"]}]
    await llm.request(said)
    assert sent(server) == [
        {"role": "user", "content": "Here is\n\nand here\n\nSame?", "images": encoded(PNG, PNG)}
    ]
    await llm.request([{"role": "user", "content": [PICTURE]}])
    assert sent(server)[0]["images"] == encoded(PNG)


async def test_what_a_tool_shows_is_shown_by_the_user(server, llm):
    asked = [{"role": "user", "content": "Look"}, ModelResponse(parts=(CALL,)).to_message()]
    result = ToolResult("c1", "look", "Seen.", parts=(Text("Seen."), PICTURE)).to_message()
    await llm.request([*asked, result])
    *_, told, shown = sent(server)
    assert told == {
        "role": "tool",
        "content": "Seen.",
        "tool_name": "look",
        "tool_call_id": "c1",
    }
    assert shown == {
        "role": "user",
        "content": "What the tool look returned:",
        "images": encoded(PNG),
    }


async def test_what_another_model_drew_is_shown_by_the_user(server, llm):
    drawn = ModelResponse(parts=(Text("Here."), PICTURE)).to_message()
    await llm.request(
        [{"role": "user", "content": "Draw"}, drawn, {"role": "user", "content": "?"}]
    )
    assert [(m["role"], m.get("images")) for m in sent(server)] == [
        ("user", None),
        ("assistant", None),
        ("user", encoded(PNG)),
    ]


async def test_thoughts_go_back_behind_a_picture_as_without_one(server, llm):
    said = RawReply(
        body=json.dumps(
            {
                "model": SEEING,
                "message": {
                    "role": "assistant",
                    "content": "",
                    "thinking": "Hm",
                    "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": {}}}],
                },
                "done": True,
                "done_reason": "stop",
            }
        ).encode()
    )
    server.say(said)
    asked = {"role": "user", "content": [PICTURE, "Look"]}
    answer = await llm.request([asked])
    result = ToolResult("c1", "look", "Seen.").to_message()
    await llm.request([asked, answer.to_message(), result])
    assert [m.get("thinking") for m in sent(server)] == [None, "Hm", None]


async def test_thoughts_go_back_before_what_a_tool_shows(server, llm):
    async def look():
        """Look."""
        return PICTURE

    server.say(FakeAnswer(text="", reasoning="Hm", tool_calls=(CALL,)), FakeAnswer(text="A cat."))
    answer = await run_tools(llm, "What is there?", tools=[look], reasoning="high")
    assert answer.text == "A cat."
    assert [m.get("thinking") for m in sent(server)] == [None, "Hm", None, None]
    assert sent(server)[-1]["images"] == encoded(PNG)


async def test_what_is_not_read_is_not_sent(server, llm):
    for media, why in (
        (
            Media(data=b"%PDF-1.7", name="a.pdf"),
            r"does not read a\.pdf, .*application/pdf.*convert",
        ),
        (Media(url="https://example.com/a.png"), r"does not fetch a\.png: download it"),
        (Media(id="file_1"), "takes no ids of uploaded files"),
    ):
        with pytest.raises(MediaTypeError, match=why):
            await llm.request("Look", attachments=[media])
    assert server.received == []


async def test_a_model_without_eyes_says_so(server):
    async with OllamaProvider(**server.connection()) as llm:
        with pytest.raises(MediaTypeError, match="missing data required for image input") as seen:
            await llm.request("Look", attachments=[Media(data=PNG, name="a.png")])
        assert seen.value.media == "a.png"
        assert "this is about a.png: convert it, or use a model that reads it" in str(seen.value)
        assert "`ollama show llama3.2` tells whether it sees" in str(seen.value)
        await llm.request("Look", attachments=[Media(data=b"words", type="text/plain")])


# as versions of the server, which differ, say it
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, "this model is missing data required for image input"),
        (500, "Failed to create new sequence: failed to process inputs: image: unknown format"),
        (400, "Failed to load image or audio file"),
        (400, '"llama3.2" does not support vision'),
        (
            500,
            '{"error":{"code":500,"message":"audio input is not supported - hint: if this is"}}',
        ),
        (500, "this model only supports one image while more than one image requested"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_each_version_is_understood(server, llm, status, said, streamed):
    server.say(RawReply(status=status, body=json.dumps({"error": said}).encode()))
    media = [Media(data=PNG, name="a.png")]
    asked = (
        anext(llm.stream("?", attachments=media))
        if streamed
        else llm.request("?", attachments=media)
    )
    with pytest.raises(MediaTypeError) as seen:
        await asked
    assert seen.value.media == "a.png"
    assert len(server.bodies) == 1


async def test_a_picture_that_is_none_is_refused(server, llm):
    with pytest.raises(MediaTypeError, match="Failed to load image"):
        await llm.request("Look", attachments=[Media(data=b"not a picture\0", type="image/png")])
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("media", "pixels", "tokens"),
    [
        (Media(data=PNG, type="image/png"), (3, 2), 768),
        (Media(data=PNG, type="image/png"), None, 768),
        (Media(data=PNG, type="image/png"), (1400, 1400), 2500),
        (Media(data=PNG, type="image/png"), (9000, 9000), 4096),
        (Media(data=WAV, type="audio/wav"), None, 2),
    ],
)
def test_what_media_may_take(llm, media, pixels, tokens):
    media.pixels, media.size = pixels, 640
    assert llm.adapter.media_tokens(media, SEEING) == tokens


async def test_the_fake_is_as_the_client_expects(server):
    async with ollama.AsyncClient(server.address) as client:
        said = {"role": "user", "content": "What?", "images": [PNG]}
        assert (await client.chat(SEEING, [said])).message.content
        shown = await client.show(SEEING)
        assert {"vision", "audio"} < set(shown.capabilities)
        assert "vision" not in (await client.show("llama3.2")).capabilities
        with pytest.raises(ollama.ResponseError, match="illegal base64"):
            await client._request_raw(
                "POST",
                "/api/chat",
                json={
                    "model": SEEING,
                    "messages": [
                        {"role": "user", "content": "", "images": ["data:image/png;base64,AAAA"]}
                    ],
                },
            )
