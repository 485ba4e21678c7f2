"""Pictures and documents at Anthropic's Messages API."""

import json
import struct
import zlib
from base64 import b64encode

import anthropic.types
import pytest
from bruno_llm_base import (
    FallbackLLM,
    Media,
    MediaPolicy,
    ModelResponse,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    VendorBlock,
)
from bruno_llm_base.exceptions import (
    MediaTooLargeError,
    MediaTypeError,
    MediaUnavailableError,
)
from bruno_llm_testing import FakeAnswer, RawReply


def png(width=3, height=2):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IEND", b"")


PNG, JPEG = png(), b"\xff\xd8\xff\xe0" + b"\0" * 20
PDF = b"%PDF-1.7 << /Type /Pages >> << /Type /Page >> << /Type /Page >>"
PICTURE = Media(data=PNG, type="image/png")
CALL = ToolCall("c1", "look", "{}")
KIND = anthropic.types.message_create_params.MessageCreateParamsNonStreaming


def base64(data, kind):
    return {"type": "base64", "media_type": kind, "data": b64encode(data).decode()}


def image(data=PNG, kind="image/png"):
    return {"type": "image", "source": base64(data, kind)}


def shown(server, message=-1):
    return server.bodies[-1]["messages"][message]["content"]


@pytest.fixture
def ask(llm, server, fits):
    """Ask with attachments, and return the blocks that were sent, which fit the SDK's types."""

    async def ask(*attachments, text="What is this?", **options):
        await llm.request(text, attachments=attachments, **options)
        fits(KIND, server.bodies[-1])
        *blocks, words = shown(server)
        assert words == {"type": "text", "text": text}
        return blocks

    return ask


# -- what is sent -----------------------------------------------------------------------------------


async def test_pictures_by_content_address_and_id(ask):
    url = "https://example.com/a.png"
    assert await ask(
        Media(data=JPEG, type="image/png"),
        url,
        Media(id="file_1"),
        Media(url=f"data:image/gif;base64,{b64encode(PNG).decode()}"),
    ) == [
        image(JPEG, "image/jpeg"),  # a lie about it is put right, or the API would refuse it
        {"type": "image", "source": {"type": "url", "url": url}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        image(),
    ]


async def test_documents_have_the_name_of_their_file(ask, tmp_path):
    for name, content in (("report.pdf", PDF), ("notes.md", "\ufeff# Grüße".encode())):
        (tmp_path / name).write_bytes(content)
    url = "https://example.com/paper.pdf"
    text = {"type": "text", "media_type": "text/plain", "data": "# Grüße"}
    assert await ask(
        tmp_path / "report.pdf",
        tmp_path / "notes.md",
        url,
        Media(id="file_2", type="application/pdf", name="Old"),
        Media(data=b'{"a": 1}', type="application/json"),
    ) == [
        {"type": "document", "source": base64(PDF, "application/pdf"), "title": "report.pdf"},
        {"type": "document", "source": text, "title": "notes.md"},
        {"type": "document", "source": {"type": "url", "url": url}, "title": "paper.pdf"},
        {"type": "document", "source": {"type": "file", "file_id": "file_2"}, "title": "Old"},
        {"type": "document", "source": text | {"data": '{"a": 1}'}},
    ]


async def test_a_long_name_is_cut(ask):
    (document,) = await ask(Media(data=PDF, name="x" * 600))
    assert document["title"] == "x" * 500


async def test_detail_is_what_becomes_of_a_picture_that_is_too_large(ask):
    blocks = await ask(*(Media(data=PNG, detail=word) for word in ("error", "downsize", "high")))
    told = [block.get("transformations") for block in blocks]
    # "high" is another vendor's word, which the next one in a chain may know
    assert told == [{"oversized_image": "error"}, {"oversized_image": "downsize"}, None]


async def test_files_need_no_beta_header(ask, server):
    await ask(Media(id="file_1"))
    headers = server.received[-1].headers
    assert "anthropic-beta" not in headers
    assert headers["anthropic-version"] == "2026-10-21"


async def test_the_users_order_is_kept(llm, server, fits):
    await llm.request([{"role": "user", "content": ["First", PICTURE, "then", PICTURE, "Same?"]}])
    fits(KIND, server.bodies[-1])
    assert [b.get("text", b["type"]) for b in shown(server)] == [
        *("First", "image", "then", "image", "Same?")
    ]


async def test_an_address_in_openais_shape(llm, server):
    said = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    await llm.request([{"role": "user", "content": [said, {"type": "text", "text": "Look"}]}])
    assert shown(server)[0]["source"] == {"type": "url", "url": "https://example.com/a.png"}


async def test_a_streamed_request_has_them_too(llm, server):
    stream = llm.stream("What?", attachments=[PICTURE])
    assert "".join([piece async for piece in stream])
    assert shown(server)[0] == image()
    assert server.bodies[-1]["stream"] is True


async def test_results_of_tools_hold_media(llm, server, fits):
    document = Media(data=PDF, name="report.pdf")
    result = ToolResult("c1", "look", "Seen.", parts=(Text("Seen."), PICTURE, document))
    asked = [{"role": "user", "content": "Look"}, ModelResponse(parts=(CALL,)).to_message()]
    await llm.request([*asked, result.to_message()])
    fits(KIND, server.bodies[-1])
    (block,) = shown(server)
    assert block == {
        "type": "tool_result",
        "tool_use_id": "c1",
        "content": [
            {"type": "text", "text": "Seen."},
            image(),
            {"type": "document", "source": base64(PDF, "application/pdf"), "title": "report.pdf"},
        ],
    }
    failed = ToolResult("c1", "look", "", is_error=True, parts=(PICTURE,))
    await llm.request([*asked, failed.to_message()])
    assert shown(server)[0]["content"] == [image()]
    assert shown(server)[0]["is_error"] is True


async def test_results_stand_before_pictures_of_the_same_turn(llm, server):
    asked = [{"role": "user", "content": "Look"}, ModelResponse(parts=(CALL,)).to_message()]
    await llm.request([*asked, {"role": "user", "content": [PICTURE, "Hurry"]}])
    assert [block["type"] for block in shown(server)] == ["tool_result", "image", "text"]


async def test_what_another_model_drew_is_shown_by_the_user(llm, server, fits):
    drawn = ModelResponse(parts=(Text("Here."), PICTURE)).to_message()
    await llm.request(
        [{"role": "user", "content": "Draw"}, drawn, {"role": "user", "content": "?"}]
    )
    fits(KIND, server.bodies[-1])
    roles = [(m["role"], [b["type"] for b in m["content"]]) for m in server.bodies[-1]["messages"]]
    assert roles == [
        ("user", ["text"]),
        ("assistant", ["text"]),
        ("user", ["text", "image", "text"]),
    ]


# -- beside thoughts, marks and citations ------------------------------------------------------------


async def test_thoughts_stay_where_they_were_between_pictures(llm, server, fits):
    signed = VendorBlock("anthropic", {"signature": "abc"})
    answer = ModelResponse(parts=(Reasoning("Hm", signed), CALL)).to_message()
    result = ToolResult("c1", "look", "Seen.", parts=(PICTURE,)).to_message()
    asked = [{"role": "user", "content": [PICTURE, "Look"]}, answer, result]
    first = await llm.request(asked)
    before = server.bodies[-1]["messages"]
    await llm.request([*asked, first.to_message(), {"role": "user", "content": "And?"}])
    after = server.bodies[-1]["messages"]
    fits(KIND, server.bodies[-1])
    # newer models refuse thoughts behind anything but what they were thought after
    assert after[: len(before)] == before
    assert [block["type"] for block in after[1]["content"]] == ["thinking", "tool_use"]


@pytest.mark.parametrize("cache", [None, "1h"])
async def test_marks_stand_behind_media(llm, server, fits, cache):
    options = {"cache": cache} if cache else {}
    asked = {"role": "user", "content": "Look", "metadata": {"cache": True, "media": [PICTURE]}}
    await llm.request(
        [asked, {"role": "assistant", "content": "Yes"}, {"role": "user", "content": [PICTURE]}],
        **options,
    )
    fits(KIND, server.bodies[-1])
    picture, words = shown(server, 0)
    assert "cache_control" not in picture
    ttl = {"ttl": cache} if cache else {}
    assert words["cache_control"] == {"type": "ephemeral"} | ttl
    assert shown(server) == [image()]


async def test_a_mark_behind_a_picture(llm, server, fits):
    asked = {"role": "user", "content": [PICTURE], "metadata": {"cache": True}}
    await llm.request([asked, {"role": "assistant", "content": "Yes"}, asked])
    fits(KIND, server.bodies[-1])
    assert shown(server, 0) == [image() | {"cache_control": {"type": "ephemeral"}}]
    assert PICTURE.encoded == ""  # what was read is a copy


CITATION = {
    "type": "page_location",
    "cited_text": "It rains.",
    "document_index": 0,
    "document_title": "report.pdf",
    "start_page_number": 1,
    "end_page_number": 2,
    "file_id": "file_1",
}


@pytest.mark.parametrize("asked", [True, {"enabled": True}])
async def test_citations_are_asked_for_in_all_documents(llm, server, fits, asked):
    said = [{"role": "user", "content": "Look"}, ModelResponse(parts=(CALL,)).to_message()]
    result = ToolResult("c1", "look", "", parts=(Media(data=PDF), PICTURE)).to_message()
    more = {"role": "user", "content": [Media(data=b"words", type="text/plain"), "And?"]}
    await llm.request([*said, result, more], citations=asked)
    fits(KIND, server.bodies[-1])
    assert "citations" not in server.bodies[-1]
    (inner, picture), document, _ = shown(server)[0]["content"], *shown(server)[1:]
    assert inner["citations"] == document["citations"] == {"enabled": True}
    assert "citations" not in picture
    await llm.count_tokens([*said, result, more], citations=asked)
    assert "citations" not in server.received[-1].body


@pytest.mark.parametrize("order", ["whole", "text first", "citations first"])
async def test_citations_go_back_with_their_text(llm, server, fits, order):
    before = {"type": "text", "text": "So: "}
    text = {"type": "text", "text": "It rains.", "citations": [CITATION, CITATION]}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5"}
    message |= {"content": [before, text], "stop_reason": "end_turn", "usage": {"input_tokens": 5}}
    pieces = [{"type": "text_delta", "text": piece} for piece in ("It ", "rains.")]
    pieces += [{"type": "citations_delta", "citation": CITATION}] * 2
    start = {"type": "text", "text": ""}
    if order == "citations first":  # as the search of the web has them
        pieces.reverse()
        pieces[2:] = pieces[:1:-1]
        start["citations"] = []
    events = [
        {"type": "message_start", "message": message | {"content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": before},
        {"type": "content_block_start", "index": 1, "content_block": start},
        *({"type": "content_block_delta", "index": 1, "delta": piece} for piece in pieces),
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
        {"type": "message_stop"},
    ]
    body = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
    server.say(RawReply(body=(json.dumps(message) if order == "whole" else body).encode()))
    document = [Media(data=PDF, name="report.pdf")]
    if order == "whole":
        answer = await llm.request("What?", attachments=document, citations=True)
    else:
        stream = llm.stream("What?", attachments=document, citations=True)
        assert "".join([piece async for piece in stream]) == "So: It rains."
        answer = stream.response
    (cited,) = [part for part in answer.parts if isinstance(part, VendorBlock)]
    assert cited.data["type"] == "citations"
    assert cited.data["citations"] == [CITATION, CITATION]
    asked = {"role": "user", "content": "What?"}
    await llm.request([asked, answer.to_message(), {"role": "user", "content": "Sure?"}])
    fits(KIND, server.bodies[-1])
    taken = {name: value for name, value in CITATION.items() if name != "file_id"}
    assert shown(server, 1) == [before, text | {"citations": [taken, taken]}]
    assert taken.keys() == anthropic.types.CitationPageLocationParam.__annotations__.keys()


async def test_a_mark_stands_on_the_text_that_is_cited(llm, server, fits):
    cited = VendorBlock("anthropic", {"type": "citations", "citations": [CITATION]})
    answer = ModelResponse(parts=(Text("It rains."), cited)).to_message()
    answer.metadata["cache"] = True
    await llm.request([{"role": "user", "content": "?"}, answer, {"role": "user", "content": "!"}])
    fits(KIND, server.bodies[-1])
    (text,) = shown(server, 1)
    assert text.keys() == {"type", "text", "citations", "cache_control"}


async def test_what_anthropics_own_tools_found_goes_back_whole(llm, server, fits):
    use = {"type": "server_tool_use", "id": "s1", "name": "web_fetch", "input": {"url": "u"}}
    document = {"type": "document", "source": base64(PDF, "application/pdf"), "title": "Found"}
    fetched = {"type": "web_fetch_result", "url": "u", "content": document}
    result = {"type": "web_fetch_tool_result", "tool_use_id": "s1", "content": fetched}
    made = {"type": "code_execution_output", "file_id": "file_9"}
    ran = {
        "type": "code_execution_tool_result",
        "tool_use_id": "s2",
        "content": {
            "type": "code_execution_result",
            "return_code": 0,
            "stdout": "",
            "stderr": "",
            "content": [made],
        },
    }
    run = use | {"id": "s2", "name": "code_execution"}
    blocks = [use, result, run, ran, {"type": "container_upload", "file_id": "file_9"}]
    blocks.append({"type": "text", "text": "Done."})
    message = {"id": "m", "content": blocks, "stop_reason": "end_turn", "usage": {}}
    server.say(RawReply(body=json.dumps(message).encode()))
    answer = await llm.request("Fetch")
    await llm.request([{"role": "user", "content": "Fetch"}, answer.to_message(), "Next"][:2])
    fits(KIND, server.bodies[-1])
    assert shown(server, 1) == blocks


# -- tokens and limits -------------------------------------------------------------------------------

# https://platform.claude.com/docs/en/build-with-claude/vision, "Calculate image costs"
SIZES = [
    ((200, 200), 64, 64),
    ((1000, 1000), 1296, 1296),
    ((1092, 1092), 1521, 1521),
    ((1920, 1080), 1560, 2691),
    ((2000, 1500), 1564, 3888),
    ((3840, 2160), 1560, 4784),
]


@pytest.mark.parametrize(("size", "older", "newer"), SIZES)
def test_a_picture_takes_no_more_than_is_reckoned(llm, size, older, newer):
    picture = Media(data=png(*size), type="image/png")
    picture.pixels = size
    for model, taken in (("claude-sonnet-4-6", older), ("claude-opus-4-7", newer)):
        most = llm.adapter.media_tokens(picture, model)
        assert taken <= most <= taken * 1.01
    assert llm.adapter.media_tokens(Media(id="file_1"), "claude-haiku-5-5") == 4784
    assert llm.adapter.media_tokens(Media(id="file_1"), "claude-opus-4-1-20250805") == 1568


def test_a_document_takes_no_more_than_is_reckoned(llm):
    pdf = Media(data=PDF, type="application/pdf")
    # a page of words takes 2,481 at most (huggingface.co/datasets/JOHNISKING/pdf-token-cost)
    assert llm.adapter.media_tokens(pdf, "claude-sonnet-5-5") == 2 * 4600
    far = Media(url="https://example.com/a.pdf", type="application/pdf")
    assert llm.adapter.media_tokens(far, "claude-sonnet-5-5") == 100 * 4600
    words = Media(data=b"x" * 1001, type="text/plain")
    words.size = 1001
    assert llm.adapter.media_tokens(words, "claude-sonnet-5-5") == 501


async def test_anthropic_counts_them_itself(llm, server, fits):
    alone = await llm.count_tokens("What?")
    seen = await llm.count_tokens("What?", attachments=[Media(data=png(280, 280))])
    assert seen.source == "claude, /v1/messages/count_tokens"
    assert 100 <= seen.tokens - alone.tokens <= 103
    fits(anthropic.types.MessageCountTokensParams, server.received[-1].body)
    assert server.received[-1].body["messages"][0]["content"][0]["type"] == "image"


async def test_all_media_of_a_request_are_bounded(server, kind_of_llm):
    llm = kind_of_llm(media=MediaPolicy(max_bytes=100_000_000))
    with pytest.raises(MediaTooLargeError, match="more than the 24,000,000 bytes"):
        await llm.request("Look", attachments=[Media(data=PNG + b"\0" * 12_000_000)] * 2)
    assert server.received == []


# -- errors ------------------------------------------------------------------------------------------


async def test_what_claude_does_not_read_is_not_sent(llm, server):
    for media, why in (
        (
            Media(data=b"ID3\x03" + b"\0" * 20, name="song.mp3"),
            r"does not read song\.mp3, .*audio/mpeg",
        ),
        (Media(data=b"II*\0" + b"\0" * 20), "image/tiff"),
        (
            Media(url="https://example.com/a.csv", type="text/csv"),
            "does not fetch a.csv: download it",
        ),
    ):
        with pytest.raises(MediaTypeError, match=why):
            await llm.request("Look", attachments=[media])
    assert server.received == []


async def test_a_picture_that_is_too_large_is_named(llm, server):
    large = Media(data=png(9000, 20), name="wide.png")
    with pytest.raises(
        MediaTooLargeError, match=r"8000 pixels.*this is about wide\.png: make"
    ) as seen:
        await llm.request("Look", attachments=[PICTURE, large])
    error = seen.value
    assert (error.media, error.param) == ("wide.png", "messages.0.content.1")
    assert (error.code, error.status_code) == ("image_dimensions_too_large", 400)
    many = [Media(data=PNG)] * 20 + [Media(data=png(2001, 20), name="21.png")]
    with pytest.raises(MediaTooLargeError, match="many-image requests: 2000") as seen:
        await llm.request("Look", attachments=many)
    assert seen.value.media == "21.png"


async def test_a_picture_in_a_result_is_named_too(llm):
    large = Media(data=png(9000, 20), name="wide.png")
    asked = [
        {"role": "user", "content": [PICTURE, "Look"]},
        ModelResponse(parts=(CALL,)).to_message(),
    ]
    result = ToolResult("c1", "look", "", parts=(PICTURE, large)).to_message()
    with pytest.raises(MediaTooLargeError) as seen:
        await llm.request([*asked, result])
    assert (seen.value.media, seen.value.param) == ("wide.png", "messages.2.content.0.content.1")


@pytest.mark.parametrize(
    ("status", "message", "details", "kind", "named"),
    [
        (
            400,
            "messages.0.content.1.image.source.base64: image exceeds 10 MB maximum: 11 > 10 bytes",
            None,
            MediaTooLargeError,
            "b.png",
        ),
        (
            400,
            "messages.0.content.0.pdf.source.base64.data: A maximum of 100 PDF pages may be provided.",
            None,
            MediaTooLargeError,
            "a.pdf",
        ),
        (
            400,
            "messages.0.content.0.pdf.source.base64.data: The PDF specified is password protected.",
            None,
            MediaTypeError,
            "a.pdf",
        ),
        (
            400,
            "Unable to download the file. Please verify the URL and try again.",
            None,
            MediaUnavailableError,
            "a.pdf, b.png",
        ),
        (
            413,
            "Request exceeds the maximum size",
            {"error_code": "request_too_large"},
            MediaTooLargeError,
            "a.pdf, b.png",
        ),
        (404, "Gone.", {"error_code": "file_expired"}, MediaUnavailableError, "a.pdf, b.png"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_anthropic_says_is_typed(
    llm, server, status, message, details, kind, named, streamed
):
    error = {"type": "invalid_request_error", "message": message, "details": details}
    document = json.dumps({"type": "error", "error": error}).encode()
    server.say(RawReply(status=status, body=document))
    media = [Media(data=PDF, name="a.pdf"), Media(data=PNG, name="b.png")]
    asked = (
        anext(llm.stream("?", attachments=media))
        if streamed
        else llm.request("?", attachments=media)
    )
    with pytest.raises(kind) as seen:
        await asked
    assert seen.value.media == named
    assert f"this is about {named}: " in str(seen.value)
    assert len(server.bodies) == 1  # it would be refused again


async def test_another_model_may_read_what_this_one_does_not(llm, server, kind_of_llm):
    server.say(
        RawReply(
            status=500,
            body=b'{"error": {"code": 500, "message": "image input is not supported - hint: if this'
            b' is unexpected, you may need to provide the mmproj", "type": "server_error"}}',
        )
    )
    server.say(FakeAnswer(text="A cat."))
    async with FallbackLLM([llm, kind_of_llm("claude-opus-5-5")]) as chain:
        assert await chain.generate("What?", attachments=[PICTURE]) == "A cat."
    assert [body["model"] for body in server.bodies] == ["claude-sonnet-5-5", "claude-opus-5-5"]


async def test_the_fake_refuses_what_the_api_refuses(server):
    async with anthropic.AsyncAnthropic(**server.connection(), max_retries=0) as client:
        for block, why in (
            (image(JPEG), "appears to be a image/jpeg image"),
            (image(PNG, "image/tiff"), "Input should be 'image/jpeg'"),
            (image(b"BM"), "Could not process image"),
            (
                {"type": "image", "source": base64(PNG, "image/png") | {"data": "?"}},
                "Invalid base64",
            ),
            ({"type": "image", "source": {"type": "url", "url": "http://a"}}, "Only HTTPS"),
            ({"type": "document", "source": base64(PNG, "application/pdf")}, "was not valid"),
            (
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/csv", "data": "x"},
                },
                "Input should be 'text/plain'",
            ),
            ({"type": "document", "source": {"type": "file"}}, "file_id: Field required"),
            ({"type": "image"}, "source: Field required"),
        ):
            with pytest.raises(anthropic.BadRequestError, match=why):
                await client.messages.create(
                    model="claude-sonnet-5-5",
                    max_tokens=9,
                    messages=[{"role": "user", "content": [block]}],
                )
