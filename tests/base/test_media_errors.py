"""What servers say about media, and which of a request's media they mean."""

import zlib

import pytest
from bruno_llm_base import Conversation, Media
from bruno_llm_base.error_mapping import error_from, read_error_document
from bruno_llm_base.exceptions import (
    MediaTooLargeError,
    MediaTypeError,
    MediaUnavailableError,
)
from bruno_llm_base.file_formats import pages_of
from bruno_llm_base.media_conversation import advice_on_media
from bruno_llm_base.messages import question

# as servers have been seen to say it
SEEN = [
    (400, "messages.2.content.0.image.source.base64: image exceeds 10 MB maximum: 11174516 bytes > 10485760 bytes", MediaTooLargeError),
    (400, "messages.7.content.2.image.source.base64.data: At least one of the image dimensions exceed max allowed size: 8000 pixels", MediaTooLargeError),
    (400, "messages.4.content.0.pdf.source.base64.data: A maximum of 100 PDF pages may be provided.", MediaTooLargeError),
    (400, "messages.0.content.1.image.source.base64: The image was specified using the image/png media type, but the image appears to be a image/jpeg image", MediaTypeError),
    (400, "messages.36.content.2.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'", MediaTypeError),
    (400, "messages.6.content.5.image.source.base64.data: Image does not match the provided media type image/png", MediaTypeError),
    (400, "messages.34.content.2.image.source.base64.data: Image format image/png not supported", MediaTypeError),
    (400, "messages.4.content.1.pdf.source.base64.data: The PDF specified is password protected.", MediaTypeError),
    (400, "Could not process image", MediaTypeError),
    (500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj", MediaTypeError),
    (500, "audio input is not supported - hint: if this is unexpected, you may need to provide the mmproj", MediaTypeError),
    (500, "this model is missing data required for image input", MediaTypeError),
    (400, "Failed to create new sequence: failed to process inputs: this model is missing data required for image input", MediaTypeError),
    (500, "failed to process inputs: image: unknown format", MediaTypeError),
    (400, "Failed to load image or audio file", MediaTypeError),
    (400, '"registry.ollama.ai/library/llama3.2:latest" does not support vision', MediaTypeError),
    (400, "this model only supports one image while more than one image requested", MediaTypeError),
    (404, "No endpoints found that support image input", MediaTypeError),
    (400, "Unable to download the file. Please verify the URL and try again.", MediaUnavailableError),
    (400, "Only HTTPS URLs are supported.", MediaUnavailableError),
    (400, "This URL is disallowed by the website's robots.txt file.", MediaUnavailableError),
    (404, "File not found: file_011CNha8iCJcU1wXNR6q4V8w", MediaUnavailableError),
    (400, "The image you provided requires 41334 patches after processing, exceeding the limit of 30000. Please resize the image and try again.", MediaTooLargeError),
    (400, "Invalid content type. image_url is only supported by certain models.", MediaTypeError),
    (400, "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].", MediaTypeError),
    (400, "Expected a base64-encoded data URL with an application/pdf MIME type, but got unsupported MIME type 'text/markdown'.", MediaTypeError),
    (400, "Timeout while downloading https://host/a.png.", MediaUnavailableError),
    # servers of OpenAI's protocol, of models that read text alone
    (400, "Failed to deserialize the JSON body into the target type: messages[13]: unknown variant `image_url`, expected `text` at line 1 column 62", MediaTypeError),
    (422, "messages[2]: data did not match any variant of untagged enum ChatCompletionRequestContent at line 1 column 15700", MediaTypeError),
    (400, "Invalid value: file. Supported values are: 'text','image_url','video_url' and 'video'.", MediaTypeError),
    (400, "'messages.0' : for 'role:user' the following must be satisfied[('messages.0.content' : value must be a string)]", MediaTypeError),
    (400, "messages[1].content must be a string", MediaTypeError),
    (400, "Model do not support image input. Request id: 1", MediaTypeError),
    (400, "llama-3 is not a multimodal model", MediaTypeError),
    (400, "At most 0 image(s) may be provided in one prompt.", MediaTypeError),
    (400, "Cannot fetch content from the provided URL.", MediaUnavailableError),
    (400, "Cannot fetch content from the provided URL. Status: URL_ROBOTED-ROBOTED_DENIED", MediaUnavailableError),
    (400, "Invalid or unsupported file uri: files/x1", MediaUnavailableError),
    (403, "You do not have permission to access the File x1 or it may not exist.", MediaUnavailableError),
    (400, "Unable to process input image. Please retry or report in https://developers.generativeai.google/guide/troubleshooting", MediaTypeError),
    (400, "Unsupported MIME type: image/gif", MediaTypeError),
    (400, "* GenerateContentRequest.contents[0].parts[1].inline_data.mime_type: MIME type must be image/png or image/jpeg.", MediaTypeError),
    (400, "The document has no pages.", MediaTypeError),
    (400, "Request payload size exceeds the limit: 20971520 bytes.", MediaTooLargeError),
]  # fmt: skip


@pytest.mark.parametrize(("status", "said", "kind"), SEEN)
def test_what_servers_say_of_media_is_understood(status, said, kind):
    facts = read_error_document(status, {"error": {"message": said, "type": "server_error"}})
    error = error_from(facts, status, {})
    assert type(error) is kind
    assert not error.retryable
    assert error.another_may_answer


SMALL, LARGE = Media(data=b"small", name="small.png"), Media(data=b"large", name="large.png")


@pytest.mark.parametrize(
    ("param", "named"),
    [
        ("messages.0.content.1", "large.png"),
        ("messages[0].content[0].image_url", "small.png"),
        ("messages.0.content.0.tool_result.content.9", "small.png"),
        ("messages", "small.png, large.png"),
        (None, "small.png, large.png"),
    ],
)
def test_an_error_names_the_media_that_the_server_means(param, named):
    conversation = Conversation.of(question("Look", {"attachments": [SMALL, LARGE]}))
    for media, content in zip(conversation.media, ("AAAA", "BBBB"), strict=True):
        media.encoded = content
    blocks = [{"source": {"data": "AAAA"}}, {"image_url": {"url": "data:image/png;base64,BBBB"}}]
    body = {"messages": [{"content": blocks}]}
    error = MediaTooLargeError("too large", param=param)
    assert advice_on_media(error, conversation, body).startswith(f"this is about {named}: make it")
    assert error.media == named


def test_an_error_without_media_has_the_cure_alone():
    error = MediaTypeError("no")
    assert advice_on_media(error, None, {}) == "convert it, or use a model that reads it"
    assert error.media is None


PAGES = b"<< /Type /Pages /Count 2 >> << /Type /Page /Parent 1 0 R >> <</Type/Page>>"


def packed(content):
    return (
        b"5 0 obj << /Type /ObjStm /N 3 /First 9 /Filter /FlateDecode >> stream\r\n"
        + zlib.compress(content)
        + b"\r\nendstream"
    )


@pytest.mark.parametrize(
    ("pdf", "pages"),
    [
        (PAGES, 2),
        (packed(PAGES), 2),
        (packed(PAGES) + packed(PAGES) + PAGES, 6),
        (packed(b"")[:-30] + b"broken", 1),
        (b"x" * 4001, 3),
        (b"5 0 obj << /Type /ObjStm >> stream\nnot packed" + PAGES, 2),
    ],
)
def test_pages_are_counted(pdf, pages):
    assert pages_of(b"%PDF-1.7 " + pdf) == pages


@pytest.mark.parametrize(
    "piece",
    [
        b"/Type/ObjStm ",
        b"/Type/ObjStm stream\n",
        b"/Type/ObjStm stream\nendstream",
        packed(b"\0" * 2**24),  # a thousand times as large, unpacked
        b"/Type" + b" " * 4000,
    ],
)
def test_hostile_documents_are_given_up(piece):
    data = piece * (10_000_000 // len(piece))
    assert pages_of(b"%PDF-1.7 " + data) > 4_500
    assert pages_of(b"%PDF-1.7 " + data + b"endstream") > 4_500
