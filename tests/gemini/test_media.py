"""Pictures, sounds, films and documents: to Gemini, in results of tools, and from it."""

import json
import struct
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import Media, ModelResponse, Retry, ToolResult
from bruno_llm_base.exceptions import (
    InvalidResponseError,
    MediaError,
    MediaTypeError,
    MediaUnavailableError,
)
from bruno_llm_base.media import read_media
from bruno_llm_base.parts import Text, ToolCall, VendorBlock
from bruno_llm_gemini import GeminiProvider
from bruno_llm_testing import FakeAnswer, FakeGemini, RawReply
from bruno_llm_testing.clouds import FakeVertex
from google import genai
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

OLD, NEW, ARTIST = "gemini-2.5-flash", "gemini-3.8-flash", "gemini-3.1-flash-image-preview"


def png(width: int = 8, height: int = 4) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


def wav(seconds: int = 2, rate: int = 8_000) -> bytes:
    head = struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16)
    data = b"\0\0" * rate * seconds
    body = b"WAVEfmt " + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


PDF = b"%PDF-1.4\n1 0 obj <</Type /Pages /Count 2>>\n<</Type /Page\n>> <</Type /Page\n>>\n%%EOF"
MP4 = b"\0\0\0\x18ftypisom" + b"\0" * 100
PICTURE = Media(data=png())
MADE = Media(data=png(1, 1), type="image/png")
WAVES = Media(data=bytes(range(250)) * 2, type="audio/L16;codec=pcm;rate=24000")


def film(milliseconds: int, version: int = 0) -> bytes:
    times = bytes(16 if version else 8)
    told = struct.pack(">IQ" if version else ">II", 1_000, milliseconds)
    header = b"mvhd" + bytes([version, 0, 0, 0]) + times + told
    return MP4 + b"\0\0\0\x6cmoov\0\0\0\x64" + header + bytes(40)


def coded(data: bytes) -> str:
    return b64encode(data).decode()


@pytest.fixture
async def llm(server: FakeGemini) -> AsyncIterator[GeminiProvider]:
    async with GeminiProvider(**server.connection(), retry=Retry(attempts=1)) as llm:
        yield llm


def contents(server: FakeGemini) -> list[types.Content]:
    """Return what was sent last, as the SDK's types read it: to its ends, nothing left over."""
    return [types.Content.model_validate(content) for content in server.bodies[-1]["contents"]]


# -- to the model ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (PICTURE, {"inlineData": {"mimeType": "image/png", "data": coded(png())}}),
        (Media(data=wav()), {"inlineData": {"mimeType": "audio/wav", "data": coded(wav())}}),
        (Media(data=MP4), {"inlineData": {"mimeType": "video/mp4", "data": coded(MP4)}}),
        (Media(data=PDF), {"inlineData": {"mimeType": "application/pdf", "data": coded(PDF)}}),
        (Media(data=b"Hi"), {"inlineData": {"mimeType": "text/plain", "data": coded(b"Hi")}}),
        (
            Media(data=b"a,b", type="text/csv"),
            {"inlineData": {"mimeType": "text/csv", "data": coded(b"a,b")}},
        ),
        (
            Media(data=png(), detail="low"),
            {
                "inlineData": {"mimeType": "image/png", "data": coded(png())},
                "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
            },
        ),
        (
            Media(url="https://host/a", detail="MEDIA_RESOLUTION_ULTRA_HIGH"),
            {
                "fileData": {"fileUri": "https://host/a"},
                "mediaResolution": {"level": "MEDIA_RESOLUTION_ULTRA_HIGH"},
            },
        ),
        (
            Media(url="https://host/a.pdf", type="application/pdf", detail="auto"),
            {"fileData": {"fileUri": "https://host/a.pdf", "mimeType": "application/pdf"}},
        ),
        (
            Media(url="https://www.youtube.com/watch?v=9hE5-98ZeCg"),
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=9hE5-98ZeCg"}},
        ),
        (
            Media(url="gs://bucket/film.mp4", type="video/mp4"),
            {"fileData": {"fileUri": "gs://bucket/film.mp4", "mimeType": "video/mp4"}},
        ),
        *(
            (
                Media(id=name),
                {
                    "fileData": {
                        "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x1"
                    }
                },
            )
            for name in (
                *("x1", "files/x1"),
                "https://generativelanguage.googleapis.com/v1beta/files/x1",
            )
        ),
    ],
)
async def test_media_stand_before_the_words(
    llm: GeminiProvider, server: FakeGemini, media: Media, part: dict[str, object]
) -> None:
    await llm.generate("What is this?", attachments=[media])
    assert server.bodies[-1]["contents"] == [
        {"role": "user", "parts": [part, {"text": "What is this?"}]}
    ]
    (content,) = contents(server)
    assert content.model_dump(exclude_unset=True, by_alias=True, mode="json")["role"] == "user"


async def test_the_order_is_the_user_s(llm: GeminiProvider, server: FakeGemini) -> None:
    await llm.generate([{"role": "user", "content": ["First", PICTURE, "second"]}])
    parts = server.bodies[-1]["contents"][0]["parts"]
    assert [next(iter(part)) for part in parts] == ["text", "inlineData", "text"]


async def test_a_file_is_read_once_and_its_type_put_right(
    llm: GeminiProvider, server: FakeGemini, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(png())
    stream = llm.stream("What is this?", attachments=[str(path)])
    assert [piece async for piece in stream]
    blob = server.bodies[-1]["contents"][0]["parts"][0]["inlineData"]
    assert blob == {"mimeType": "image/png", "data": coded(png())}


# -- results of tools --------------------------------------------------------------------------------


def round_of_tools() -> list[Message]:
    call = ModelResponse(parts=(ToolCall(id="c1", name="shot", arguments="{}"),))
    result = ToolResult("c1", "shot", "Done.", parts=(Text("Done."), PICTURE))
    asked = Message(role=MessageRole.USER, content="Take a picture.")
    return [asked, call.to_message(), result.to_message()]


async def test_results_of_tools_hold_media(llm: GeminiProvider, server: FakeGemini) -> None:
    await llm.generate(round_of_tools(), model=NEW)
    *_, last = server.bodies[-1]["contents"]
    assert last["parts"] == [
        {
            "functionResponse": {
                "id": "c1",
                "name": "shot",
                "response": {"output": "Done."},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": coded(png())}}],
            }
        }
    ]
    *_, content = contents(server)
    response = (content.parts or [])[0].function_response
    assert response is not None
    (part,) = response.parts or []
    assert part.inline_data is not None
    assert part.inline_data.data == png()


async def test_older_models_are_shown_them_by_the_user(
    llm: GeminiProvider, server: FakeGemini
) -> None:
    await llm.generate(round_of_tools(), model=OLD)
    *_, result, shown = server.bodies[-1]["contents"]
    assert "parts" not in result["parts"][0]["functionResponse"]
    assert shown["role"] == "user"
    assert shown["parts"][-1]["inlineData"]["data"] == coded(png())


# -- from the model ----------------------------------------------------------------------------------

DRAWN = FakeAnswer(text="Here it is.", media=(Media(data=png(20, 10), type="image/png"),))


async def streamed(llm: GeminiProvider, **options: object) -> ModelResponse:
    stream = llm.stream("Draw.", model=ARTIST, **options)
    async for _ in stream:
        pass
    return stream.response


async def test_pictures_that_a_model_makes(
    llm: GeminiProvider, server: FakeGemini, tmp_path: Path
) -> None:
    server.say(DRAWN, DRAWN)
    asked = {"response_modalities": ["TEXT", "IMAGE"], "image_config": {"aspectRatio": "2:1"}}
    whole = await llm.request("Draw.", model=ARTIST, **asked)
    config = server.bodies[-1]["generationConfig"]
    assert config == {
        "responseModalities": ["TEXT", "IMAGE"],
        "imageConfig": {"aspectRatio": "2:1"},
    }
    pieces = await streamed(llm, **asked)
    for answer in (whole, pieces):
        assert answer.text == "Here it is."
        (made,) = answer.media
        assert (made.data, made.type, made.kind) == (png(20, 10), "image/png", "image")
        made.save(tmp_path / "made.png")
        assert (tmp_path / "made.png").read_bytes() == png(20, 10)


async def test_what_was_made_goes_back_with_its_signature(
    llm: GeminiProvider, server: FakeGemini
) -> None:
    server.say(DRAWN)
    answer = await llm.request("Draw.", model=ARTIST)
    message = Message(**json.loads(answer.to_message().model_dump_json()))  # as it is stored
    await llm.generate(
        [{"role": "user", "content": "Draw."}, message, {"role": "user", "content": "In blue."}],
        model=ARTIST,
    )
    _, said, _ = server.bodies[-1]["contents"]
    assert said["role"] == "model"
    (signed,) = [part for part in said["parts"] if "inlineData" in part]
    assert signed["inlineData"] == {"mimeType": "image/png", "data": coded(png(20, 10))}
    assert signed["thoughtSignature"] == "Cl0Bjz1rX3+gQp2fYn9hZ0FrZQ=="
    assert contents(server)


async def test_what_another_model_made_is_marked_as_unsigned(
    llm: GeminiProvider, server: FakeGemini
) -> None:
    made = Media(data=png(), state=VendorBlock("openai", {"id": "audio_1"}))
    conversation = ["Draw.", ModelResponse(parts=(Text("Here."), made)).to_message(), "In blue."]
    asked = [m if isinstance(m, Message) else {"role": "user", "content": m} for m in conversation]
    await llm.generate(asked, model=ARTIST)
    part = server.bodies[-1]["contents"][1]["parts"][1]
    assert part.keys() == {"inlineData", "thoughtSignature"}
    assert part["thoughtSignature"] == "skip_thought_signature_validator"
    await llm.generate(asked, model=OLD)
    assert server.bodies[-1]["contents"][1]["parts"][1].keys() == {"inlineData"}


async def test_a_sound_in_pieces_is_one(llm: GeminiProvider, server: FakeGemini) -> None:
    server.say(FakeAnswer(text="", media=(WAVES,)), FakeAnswer(text="", media=(WAVES,)))
    whole = await llm.request("Say hello.", response_modalities=["AUDIO"])
    stream = llm.stream("Say hello.", response_modalities=["AUDIO"])
    with pytest.raises(InvalidResponseError, match="holds media and no text"):
        assert [piece async for piece in stream] == []
    for answer in (whole, stream.response):
        (sound,) = answer.media
        assert (sound.data, sound.type) == (WAVES.data, WAVES.type)


async def test_a_draft_among_the_thoughts_is_none_of_the_answer(llm: GeminiProvider) -> None:
    draft = {"inlineData": {"mimeType": "image/png", "data": coded(png())}, "thought": True}
    empty = {"inlineData": {"mimeType": "image/png"}}
    document = {"candidates": [{"content": {"parts": [draft, empty]}, "finishReason": "STOP"}]}
    answer = llm.adapter.parse(document)
    assert answer.media == ()
    assert answer.parts == (VendorBlock("gemini", draft), VendorBlock("gemini", empty))


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
async def test_a_client_of_the_user_s_own_sends_and_reads_the_same(server: FakeGemini) -> None:
    tricky = Media(data=b"\xfb\xff\xfe" * 9, type="audio/wav")  # "+" and "/" in base64
    server.say(*[FakeAnswer(text="Hi", media=(tricky, MADE))] * 3)
    async with GeminiProvider(**server.connection()) as own:
        expected = await own.request("x", attachments=[PICTURE])
    options = types.HttpOptions(base_url=server.address)
    with genai.Client(api_key=server.api_key, http_options=options) as client:
        llm = GeminiProvider(client=client)
        whole = await llm.request("x", attachments=[PICTURE])
        stream = llm.stream("x", attachments=[PICTURE])
        assert [piece async for piece in stream]
        await client.aio.aclose()
    first, second, third = (body["contents"] for body in server.bodies)
    assert first == second == third
    for answer in (whole, stream.response):
        assert [m.data for m in answer.media] == [m.data for m in expected.media]


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The `copy` method")  # older SDKs call it
async def test_vertex_ai_takes_and_makes_the_same() -> None:
    film = Media(url="gs://bucket/film.mp4")
    with FakeVertex() as server:
        server.say(FakeAnswer(text="Hi", media=(MADE,)))
        keywords = server.connection()
        llm = GeminiProvider(**keywords)
        answer = await llm.request("x", attachments=[PICTURE, film])
        both = await llm.count_tokens("x", attachments=[PICTURE])
        words = await llm.count_tokens("x")
        await llm.generate(
            [*round_of_tools(), answer.to_message(), Message(role="user", content="y")]
        )
        await keywords["client"].aio.aclose()
    assert [made.data for made in answer.media] == [MADE.data]
    first, last = server.bodies
    picture, address, _ = first["contents"][0]["parts"]
    assert picture["inlineData"] == {"mimeType": "image/png", "data": coded(png())}
    assert address == {"fileData": {"fileUri": "gs://bucket/film.mp4", "mimeType": "video/mp4"}}
    assert both.tokens - words.tokens >= 1120
    _, _, result, said, _ = last["contents"]
    assert result["parts"][0]["functionResponse"]["parts"]
    assert said["parts"][1]["inlineData"]["data"] == coded(png(1, 1))


# -- what is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "error", "words", "is_sent"),
    [
        (Media(data=b"GIF89a" + b"\0" * 20), MediaTypeError, "image/gif", False),
        (Media(data=png(), type="image/jpeg", name="a.jpg"), None, "", True),
        (Media(data=b"\0\1\2", type="image/png"), MediaTypeError, "Unable to process", True),
        (Media(data=b"\0\1\2", type="application/pdf"), MediaTypeError, "has no pages", True),
        (Media(url="https://host.invalid/a.png"), MediaUnavailableError, "Cannot fetch", True),
        (Media(id="ftp://host/a.png"), MediaUnavailableError, "unsupported file uri", True),
    ],
)
async def test_errors_name_the_media(
    llm: GeminiProvider,
    server: FakeGemini,
    media: Media,
    error: type[MediaError] | None,
    words: str,
    *,
    is_sent: bool,
) -> None:
    if error is None:
        await llm.generate("What is this?", attachments=[media])
    else:
        with pytest.raises(error, match=words) as caught:
            await llm.generate("What is this?", attachments=[media])
        assert caught.value.media in (media.label, "gif of 26 bytes")
        assert coded(media.data or b"canary") not in str(caught.value)
    assert len(server.received) == is_sent


async def test_a_file_of_another_key_is_not_there(llm: GeminiProvider, server: FakeGemini) -> None:
    said = "You do not have permission to access the File x1 or it may not exist."
    error = {"code": 403, "message": said, "status": "PERMISSION_DENIED"}
    server.say(RawReply(status=403, body=json.dumps({"error": error}).encode()))
    with pytest.raises(MediaUnavailableError, match="may not exist") as caught:
        await llm.generate("What is this?", attachments=[Media(id="files/x1")])
    assert caught.value.media == "files/x1"


def test_the_whole_of_a_request_is_limited() -> None:
    adapter = GeminiProvider(api_key="k").adapter
    assert adapter.media_for(NEW).max_total_bytes == adapter.media_for(OLD).max_total_bytes
    assert (adapter.media_for(NEW).max_total_bytes or 0) * 4 / 3 <= 100_000_000


# -- tokens ------------------------------------------------------------------------------------------


def read(media: Media, size: int = 0, pixels: tuple[int, int] | None = None) -> Media:
    media.size, media.pixels = size or len(media.data or b""), pixels
    return media


@pytest.mark.parametrize(
    ("media", "model", "tokens"),
    [
        (read(Media(data=b"x"), pixels=(384, 384)), OLD, 258),
        (read(Media(data=b"x"), pixels=(960, 540)), OLD, 6 * 258),  # the documentation's example
        (read(Media(data=b"x"), pixels=(30_000, 20_000)), OLD, 12 * 258),
        (read(Media(data=b"x"), pixels=(30_000, 10)), OLD, 12 * 258),
        (Media(url="https://host/a.png"), OLD, 24 * 258),
        (read(Media(data=b"x"), pixels=(9, 9)), NEW, 1120),
        (Media(url="https://host/a.png"), NEW, 1120),
        (Media(url="https://host/a.png", detail="low"), NEW, 280),
        (Media(url="https://host/a.png", detail="MEDIA_RESOLUTION_ULTRA_HIGH"), NEW, 2240),
        (read(Media(data=PDF, type="application/pdf")), OLD, 2 * 258),
        (read(Media(data=PDF, type="application/pdf")), NEW, 2 * 1120),
        (Media(url="https://host/a.pdf", type="application/pdf"), OLD, 258_000),
        (read(Media(data=wav(60), type="audio/wav")), NEW, 61 * 32),
        (read(Media(data=b"\xff\xfb", type="audio/mpeg"), 10_000), NEW, 160),
        (Media(url="https://host/a.mp3", type="audio/mpeg"), NEW, 2**20),
        (read(Media(data=MP4, type="video/mp4"), 40_000), NEW, 10 * 312),
        (read(Media(data=film(25_500), type="video/mp4")), NEW, 26 * 312),
        (read(Media(data=film(25_500, version=1), type="video/quicktime")), OLD, 26 * 290),
        (read(Media(data=film(25_500), type="audio/mp4")), NEW, 26 * 32),
        (read(Media(data=film(0xFFFFFFFF), type="video/mp4"), 40_000), NEW, 10 * 312),
        (read(Media(data=film(0), type="video/mp4"), 40_000), NEW, 10 * 312),
        (read(Media(data=film(5)[:60], type="video/mp4"), 40_000), NEW, 10 * 312),
        (read(Media(data=b"RIFF....WAVEfmt ", type="audio/wav"), 40_000), NEW, 20 * 32),
        (Media(url="https://youtu.be/9hE5-98ZeCg"), NEW, 2**20),
        (read(Media(data=b"some words", type="text/plain")), NEW, 10),
        (Media(id="files/x"), NEW, 1120),
    ],
)
def test_media_take_so_many_tokens_at_most(media: Media, model: str, tokens: int) -> None:
    assert GeminiProvider(api_key="k").adapter.media_tokens(media, model) == tokens


@given(st.integers(1, 40_000), st.integers(1, 40_000))
def test_no_picture_takes_more_tiles_than_one_of_unknown_size(width: int, height: int) -> None:
    adapter = GeminiProvider(api_key="k").adapter
    known = adapter.media_tokens(read(Media(data=b"x"), pixels=(width, height)), OLD)
    assert 258 <= known <= adapter.media_tokens(Media(url="https://host/a"), OLD)


@pytest.mark.parametrize("media", [PICTURE, Media(data=wav()), Media(data=PDF), Media(data=b"Hi!")])
async def test_the_server_counts_them(
    llm: GeminiProvider, server: FakeGemini, media: Media
) -> None:
    words = await llm.count_tokens("What is this?")
    both = await llm.count_tokens("What is this?", attachments=[media])
    sent = server.received[-1].body["generateContentRequest"]["contents"]
    assert "inlineData" in sent[0]["parts"][0]
    bound = llm.adapter.media_tokens(read_media(media), NEW)
    assert 0 < both.tokens - words.tokens <= bound + 10
