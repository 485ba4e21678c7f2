"""What each API takes and makes of media, and what becomes of them at the others.

The tables are the promise; the columns of the APIs are what they document.
"""

import base64
import importlib
import json
import logging
import struct
import zlib
from contextlib import asynccontextmanager
from functools import partial

import anthropic.types
import bruno_llm_testing
import google.genai.types
import ollama
import openai
import openai.types.chat.completion_create_params
import openai.types.responses.response_create_params
import pytest
from bruno_llm_base import (
    Media,
    MediaTypeError,
    MediaUnavailableError,
    Retry,
    Text,
    ToolCall,
    ToolResult,
)
from bruno_llm_base.events import AttemptFailed
from bruno_llm_testing import FakeAnswer, FakeError

HELLO = {"role": "user", "content": "Hello"}
MORE = {"role": "user", "content": "And now?"}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width=8, height=4):
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80\x40\x20" * width) * height)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


WAV = (
    b"RIFF"
    + struct.pack("<I", 40)
    + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
)
WAV += b"data" + struct.pack("<I", 4) + b"\x80\x81\x82\x83"
CONTENTS = {
    "png": (png(), "image/png"),
    "jpeg": (b"\xff\xd8\xff\xe0" + b"\1" * 20, "image/jpeg"),
    "gif": (b"GIF89a\x08\0\x04\0" + b"\1" * 20, "image/gif"),
    "bmp": (b"BM\x46\0\0\0\0\0\0\0" + b"\1" * 60, "image/bmp"),
    "wav": (WAV, "audio/wav"),
    "mp3": (b"ID3\x04" + b"\1" * 20, "audio/mpeg"),
    "mp4": (b"\0\0\0\x18ftypisom" + b"\1" * 20, "video/mp4"),
    "pdf": (b"%PDF-1.4\n<< /Type /Page >>\n%\xe2\xe3\n", "application/pdf"),
    "text": (b"It rained on Monday.", "text/plain"),
    "zip": (b"PK\x03\x04" + b"\1" * 20, "application/zip"),
}
PICTURE, SOUND = (Media(data=CONTENTS[kind][0], type=CONTENTS[kind][1]) for kind in ("png", "wav"))

# -- the APIs --------------------------------------------------------------------------------------


class Api:
    """One API of one vendor, at its fake, which it takes for the vendor itself."""

    def __init__(self, vendor, model, *, hears=None, api=None):
        self.vendor, self.api = vendor, api
        self.models = {"": model, "audio": hears or model}

    def fake(self):
        return getattr(bruno_llm_testing, f"Fake{self.vendor}")()

    @asynccontextmanager
    async def open(self, server, **keywords):
        """Open a provider, whose default model is the one that takes most."""
        module = importlib.import_module(f"bruno_llm_{self.vendor.lower()}")
        provider = partial(getattr(module, f"{self.vendor}Provider"), self.model(), **keywords)
        if self.api is None:
            async with provider(**server.connection()) as llm:
                yield llm
            return
        server.models = (*server.models, *self.models.values())
        async with openai.AsyncOpenAI(**server.connection()) as client:
            yield provider(client=client, api=self.api)

    def model(self, kind=""):
        """Return the model that is asked with media of *kind*."""
        return self.models["audio" if kind in ("wav", "mp3") else ""]


APIS = {
    "openai chat": Api("OpenAI", "gpt-6.1-terra", hears="gpt-audio-1.5", api="chat"),
    "openai responses": Api("OpenAI", "gpt-6.1-terra", api="responses"),
    "claude": Api("Claude", "claude-sonnet-5-5"),
    "gemini": Api("Gemini", "gemini-3.8-flash"),
    "ollama": Api("Ollama", "gemma4:e4b"),
}


def check_openai(fits, body):
    streamed = "Streaming" if body.get("stream") else "NonStreaming"
    if "input" in body:
        kinds, name = openai.types.responses.response_create_params, "ResponseCreateParams"
    else:
        kinds, name = openai.types.chat.completion_create_params, "CompletionCreateParams"
    fits(getattr(kinds, name + streamed), body)


def check_claude(fits, body):
    streamed = "Streaming" if body.get("stream") else "NonStreaming"
    fits(getattr(anthropic.types.message_create_params, f"MessageCreateParams{streamed}"), body)


def check_gemini(fits, body):
    for content in body["contents"]:
        google.genai.types.Content.model_validate(content)


def check_ollama(fits, body):
    for message in body["messages"]:
        images = {"images": [ollama.Image(value=image) for image in message.get("images", ())]}
        ollama.Message.model_validate(message | images)


CHECKS = {"OpenAI": check_openai, "Claude": check_claude, "Gemini": check_gemini}
CHECKS["Ollama"] = check_ollama


@pytest.fixture(params=APIS)
def api(request):
    return request.param


@pytest.fixture
def server(api):
    with APIS[api].fake() as server:
        yield server


@pytest.fixture
async def llm(api, server):
    async with APIS[api].open(server) as llm:
        yield llm


@pytest.fixture
def check(fits):
    """Check that a body is of its vendor's types, to its ends."""
    return lambda api, body: CHECKS[APIS[api].vendor](fits, body)


def coded(data):
    return base64.b64encode(data).decode()


async def asked(llm, streamed, messages, **options):
    """Return an answer, whole or of a stream."""
    if not streamed:
        return await llm.request(messages, **options)
    stream = llm.stream(messages, **options)
    async for _ in stream:
        pass
    return stream.response


# -- from the user ---------------------------------------------------------------------------------

YES, NO, WORDS = "yes", "no", "as words"
TAKES = {
    "openai chat": {"bmp": NO, "mp4": NO, "text": WORDS, "zip": NO},
    "openai responses": {"bmp": NO, "wav": NO, "mp3": NO, "mp4": NO},
    "claude": {"bmp": NO, "wav": NO, "mp3": NO, "mp4": NO, "text": WORDS, "zip": NO},
    "gemini": {"bmp": NO, "gif": NO, "zip": NO},
    "ollama": {"mp4": NO, "pdf": NO, "text": WORDS, "zip": NO},
}
"""What is not sent as it is; "as words" means that the body holds the text itself."""


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", CONTENTS)
async def test_media_of_a_question(api, server, llm, check, kind, streamed):
    content, mime = CONTENTS[kind]
    media = Media(data=content, type=mime, name=f"file.{kind}")
    options = {"attachments": [media], "model": APIS[api].model(kind)}
    taken = TAKES[api].get(kind, YES)
    if taken is NO:
        with pytest.raises(MediaTypeError, match=mime) as caught:
            await asked(llm, streamed, [HELLO], **options)
        assert caught.value.media == f"file.{kind}"
        assert server.received == []
        return
    await asked(llm, streamed, [HELLO], **options)
    (body,) = server.bodies
    check(api, body)
    assert json.dumps(body).count(coded(content)) == (taken is YES)
    if taken is WORDS:
        assert content.decode() in json.dumps(body)


FETCHES = {
    "openai chat": {"png"},
    "openai responses": {"png", "pdf"},
    "claude": {"png", "pdf"},
    "gemini": {"png", "pdf", "wav", "mp4"},
    "ollama": set(),
}


@pytest.mark.parametrize("kind", ["png", "pdf", "wav", "mp4"])
async def test_addresses(api, server, llm, check, kind):
    media = Media(url=f"https://host/file.{kind}", type=CONTENTS[kind][1])
    if kind not in FETCHES[api]:
        with pytest.raises(MediaTypeError) as caught:
            await llm.request([HELLO], attachments=[media], model=APIS[api].model(kind))
        assert caught.value.media == f"file.{kind}"
        assert server.received == []
        return
    await llm.request([HELLO], attachments=[media])
    check(api, server.bodies[0])
    assert json.dumps(server.bodies[0]).count(media.url) == 1


IDS = {"gemini": "https://generativelanguage.googleapis.com/v1beta/files/abc"}


async def test_ids_of_uploaded_files(api, server, llm, check):
    media = Media(id=IDS.get(api, "file-1"), type="application/pdf")
    if api == "ollama":
        with pytest.raises(MediaTypeError, match="takes no ids"):
            await llm.request([HELLO], attachments=[media])
        return
    await llm.request([HELLO], attachments=[media])
    check(api, server.bodies[0])
    assert media.id in json.dumps(server.bodies[0])


async def test_media_stand_before_the_words(api, server, llm):
    if api == "ollama":  # which has a list of its own for them
        return
    await llm.request([HELLO], attachments=[PICTURE, CONTENTS_PDF])
    sent = json.dumps(server.bodies[0])
    places = [sent.index(text) for text in (coded(png()), coded(CONTENTS["pdf"][0]), "Hello")]
    assert places == sorted(places)


CONTENTS_PDF = Media(data=CONTENTS["pdf"][0])


async def test_a_picture_of_some_megabytes_is_sent_whole(api, server, llm):
    large = png()[:-12] + chunk(b"tEXt", b"x" * 3_000_000) + chunk(b"IEND", b"")
    await llm.request([HELLO], attachments=[Media(data=large)])
    assert coded(large) in json.dumps(server.bodies[0])


async def test_a_file_that_is_not_there_is_no_request(api, server, llm):
    with pytest.raises(MediaUnavailableError, match=r"none\.png"):
        await llm.request([HELLO], attachments=["/no/such/none.png"])
    assert server.received == []


async def test_a_file_goes_out_as_its_bytes_say(api, server, llm, check, tmp_path):
    (tmp_path / "liar.jpg").write_bytes(png())
    await llm.request([HELLO], attachments=[tmp_path / "liar.jpg"])
    check(api, server.bodies[0])
    assert "image/jpeg" not in json.dumps(server.bodies[0])


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_a_file_is_read_once_for_all_attempts(api, server, tmp_path, streamed):
    file = tmp_path / "cat.png"
    file.write_bytes(first := png()[:20])  # the fakes need no more of it
    server.say(FakeError(kind="server_error"), FakeAnswer(text="A cat."))

    def replaced(event):
        if isinstance(event, AttemptFailed):
            file.write_bytes(png(64, 64))

    retry = Retry(wait_initial=0.001, wait_max=0.001)
    async with APIS[api].open(server, retry=retry, observers=[replaced]) as llm:
        answer = await asked(llm, streamed, [HELLO], attachments=[file])
    assert answer.text == "A cat."
    assert file.read_bytes() != first
    bodies = server.bodies
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    assert coded(first) in json.dumps(bodies[1])


# -- from tools ------------------------------------------------------------------------------------

IN_RESULTS = {"openai responses", "claude", "gemini"}
CALL = ToolCall(id="call_1", name="look", arguments="{}")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_media_in_the_result_of_a_tool(api, server, llm, check, streamed):
    server.say(FakeAnswer(text="I look.", tool_calls=(CALL,), finish_reason="tool_call"))
    answer = await asked(llm, streamed, [HELLO])
    result = ToolResult(answer.tool_calls[0].id, "look", "seen", parts=(Text("seen"), PICTURE))
    await asked(llm, streamed, [HELLO, answer.to_message(), result.to_message()])
    body = server.bodies[-1]
    check(api, body)
    assert json.dumps(body).count(coded(png())) == 1
    *_, last = body["contents" if api == "gemini" else "input" if "input" in body else "messages"]
    holds = "seen" in json.dumps(last)
    assert holds == (api in IN_RESULTS)


async def test_what_a_tool_shows_and_a_model_cannot_read_is_told_in_words(api, server, llm, check):
    server.say(FakeAnswer(text="I look.", tool_calls=(CALL,), finish_reason="tool_call"))
    answer = await llm.request([HELLO])
    film = Media(data=CONTENTS["zip"][0], type="application/zip", name="all.zip")
    result = ToolResult(answer.tool_calls[0].id, "look", "got all.zip", parts=(film,))
    await llm.request([HELLO, answer.to_message(), result.to_message()])
    check(api, server.bodies[-1])
    assert "all.zip" in json.dumps(server.bodies[-1])


# -- from models -----------------------------------------------------------------------------------

MAKES = {
    "openai chat": {"picture": PICTURE, "sound": SOUND},  # pictures: OpenRouter's field
    "openai responses": {"picture": PICTURE},
    "gemini": {"picture": PICTURE, "sound": SOUND},
}
MADE = [(api, kind) for api, kinds in MAKES.items() for kind in kinds]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("other", APIS)
@pytest.mark.parametrize(("maker", "kind"), MADE, ids=["-".join(made) for made in MADE])
async def test_what_a_model_made_can_be_sent_to_any_other(check, maker, kind, other, streamed):
    made = MAKES[maker][kind]
    with APIS[maker].fake() as server:
        server.say(FakeAnswer(text="Here it is.", media=(made,)))
        async with APIS[maker].open(server) as llm:
            model = APIS[maker].model("wav" if kind == "sound" else "")
            answer = await asked(llm, streamed, [HELLO], model=model)
    assert answer.text == "Here it is."
    assert [(each.data, each.type) for each in answer.media] == [(made.data, made.type)]
    with APIS[other].fake() as server:
        async with APIS[other].open(server) as llm:
            await asked(llm, streamed, [HELLO, answer.to_message(), MORE])
        (body,) = server.bodies
    check(other, body)
    sent = json.dumps(body)
    goes_by_its_id = maker == other == "openai chat" and kind == "sound"
    assert "Here it is." in sent
    if kind == "picture":
        assert sent.count(coded(made.data)) == 1
    elif goes_by_its_id:
        assert body["messages"][1]["audio"] == {"id": answer.media[0].state.data["id"]}
    elif other in ("gemini", "ollama"):
        assert sent.count(coded(made.data)) == 1
    else:
        assert coded(made.data) not in sent


# -- what nobody may see ---------------------------------------------------------------------------


async def test_content_is_in_no_log_event_or_error(api, server, caplog):
    caplog.set_level(logging.DEBUG)
    events = []
    canary = png()[:-12] + chunk(b"tEXt", b"a canary of nineteen") + chunk(b"IEND", b"")
    secret = coded(canary)[-60:-20]
    async with APIS[api].open(server, observers=[events.append]) as llm:
        media = Media(data=canary, name="a.png")
        answer = await llm.request([HELLO], attachments=[media])
        with pytest.raises(MediaTypeError) as caught:
            await llm.request([HELLO], attachments=[media, Media(data=b"\x80?", type="x/y")])
    error = caught.value
    seen = [caplog.text, *map(repr, events), repr(answer), repr(media), repr(error), vars(error)]
    for told in map(str, seen):
        assert "canary" not in told
        assert secret not in told
