"""Media in bruno-core's messages, and in the content of plain dicts."""

from base64 import b64encode

import pytest
from bruno_core.models import Message, MessageRole, MessageType
from bruno_llm_base import Conversation, InvalidRequestError, Media, Text, ToolCall, ToolResult
from bruno_llm_base.media_blocks import media_of
from bruno_llm_base.messages import question, read_messages
from bruno_llm_base.response import ModelResponse

PNG = b"\x89PNG\r\n\x1a\n canary-4f1c"
BASE64 = b64encode(PNG).decode()
DATA_URL = f"data:image/png;base64,{BASE64}"
URL = "https://host/cat.png"


def message(content, kind=MessageType.IMAGE, role=MessageRole.USER, **metadata):
    return Message(role=role, content=content, message_type=kind, metadata=metadata)


def parts(*messages):
    (turn,) = Conversation.of(list(messages)).turns
    return list(turn.parts)


@pytest.mark.parametrize("kind", [MessageType.IMAGE, MessageType.AUDIO, MessageType.FILE])
@pytest.mark.parametrize(
    ("content", "media"),
    [
        ("a/cat.png", Media("a/cat.png")),
        (URL, Media(url=URL)),
        ("HTTPS://HOST/CAT.PNG", Media(url="HTTPS://HOST/CAT.PNG")),
        (DATA_URL, Media(data=PNG, type="image/png")),
    ],
)
def test_the_content_of_a_message_names_the_media(kind, content, media):
    (found,) = parts(message(content, kind))
    assert found == media
    assert not found.is_trusted


def test_words_and_further_media_stand_in_the_metadata():
    own = Media("mine.png")
    said = parts(message("cat.png", text="Which is larger?", media=["dog.png", URL, own]))
    assert said == [
        Media("cat.png"),
        Media("dog.png"),
        Media(url=URL),
        own,
        Text("Which is larger?"),
    ]
    assert [part.is_trusted for part in said[:4]] == [False, False, False, True]
    assert parts(message("Look", MessageType.TEXT, media=["cat.png"])) == [
        Media("cat.png"),
        Text("Look"),
    ]


def test_the_words_may_be_the_next_message():
    assert parts(message("cat.png"), message("What is this?", MessageType.TEXT)) == [
        Media("cat.png"),
        Text("What is this?"),
    ]


def test_the_assistant_s_media_are_media_too():
    said = Conversation.of([message("cat.png", role=MessageRole.ASSISTANT, text="Here.")])
    assert said.turns[0].parts == (Media("cat.png"), Text("Here."))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (message("cat.png", role=MessageRole.SYSTEM), r"messages\[0\] is of type image and of the"),
        (message("cat.png", role=MessageRole.TOOL), "stand in messages of the user"),
        (message("cat.png", text=5), r"metadata\['text'\] is a int: give a text"),
        (message("cat.png", media="dog.png"), r"metadata\['media'\] is a str: give a list"),
        (message("cat.png", media=[5]), r"metadata\['media'\]\[0\]: it is a int: give a path"),
        (message("data:image/png;base64,!"), "of type image: Media.url is a data: address that"),
        (message("https://host/a b"), "of type image: Media.url"),
        (message("https://host/speak", MessageType.AUDIO), "speak does not tell what is there"),
        (message("https://host/plan", MessageType.FILE), "plan does not tell what is there"),
    ],
)
def test_messages_that_make_no_sense_are_refused(given, text):
    with pytest.raises(InvalidRequestError, match=text):
        Conversation.of([given])


@pytest.mark.parametrize(
    ("block", "media"),
    [
        ({"type": "image_url", "image_url": {"url": URL, "detail": "low"}}, {"url": URL, "detail": "low"}),
        ({"type": "image_url", "image_url": URL}, {"url": URL}),
        ({"type": "image_url", "image_url": {"url": DATA_URL}}, {"data": PNG, "type": "image/png"}),
        ({"type": "image_url", "image_url": {"url": "cat.png"}}, {"path": "cat.png"}),
        ({"type": "input_image", "image_url": URL, "detail": "high"}, {"url": URL, "detail": "high"}),
        ({"type": "input_image", "file_id": "file-1", "detail": "auto"}, {"id": "file-1", "detail": "auto"}),
        ({"type": "input_audio", "input_audio": {"data": BASE64, "format": "wav"}}, {"data": PNG, "type": "audio/wav"}),
        ({"type": "file", "file": {"file_data": DATA_URL, "filename": "a.png"}}, {"data": PNG, "type": "image/png", "name": "a.png"}),
        ({"type": "file", "file": {"file_data": BASE64, "filename": "a.png"}}, {"data": PNG, "name": "a.png"}),
        ({"type": "file", "file": {"file_id": "file-1"}}, {"id": "file-1"}),
        ({"type": "input_file", "file_url": "https://host/a.pdf"}, {"url": "https://host/a.pdf", "type": "application/pdf"}),
        ({"type": "input_file", "file_data": DATA_URL, "filename": "b"}, {"data": PNG, "type": "image/png", "name": "b"}),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BASE64}}, {"data": PNG, "type": "image/png"}),
        ({"type": "image", "source": {"type": "url", "url": URL}}, {"url": URL}),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}, "title": "Plan"}, {"id": "f", "name": "Plan"}),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Größe"}}, {"data": "Größe".encode(), "type": "text/plain"}),
        ({"type": "media", "data": BASE64}, {"data": PNG}),
    ],
)  # fmt: skip
def test_blocks_of_the_vendors_apis_are_read(block, media):
    said = parts({"role": "user", "content": ["Look:", block, {"type": "text", "text": "Well?"}]})
    assert said == [Text("Look:"), Media(**media), Text("Well?")]
    assert not said[1].is_trusted


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"type": "video_url"}, r"messages\[0\].content\[1\]: a block of type 'video_url' is not kn"),
        ({}, "a block of type None is not known"),
        (5, "it is a int: give a path, an address or Media"),
        ({"type": "image_url"}, "Media has nothing: give one of path, url, data and id"),
        ({"type": "file", "file": {"file_data": "canary-4f1c?"}}, "of type 'file' is not base64"),
        ({"type": "image", "source": {"type": "base64", "data": BASE64, "media_type": 5}}, "Media.type is 5"),
        ({"type": "input_image", "file_id": 5}, "Media.id is a int"),
        ({"type": "media", "path": 5}, r"metadata\['parts'\] is not what"),
    ],
)  # fmt: skip
def test_blocks_that_make_no_sense_are_named(block, text):
    with pytest.raises(InvalidRequestError, match=text) as caught:
        parts({"role": "user", "content": [{"type": "text", "text": "Look"}, block]})
    assert "canary-4f1c" not in str(caught.value)


def test_media_in_a_list_keep_their_place_and_their_trust():
    own = Media("mine.png")
    said = parts({"role": "user", "content": [" ", own, "Look", own, "\n"]})
    assert said == [own, Text("Look"), own]
    assert said[0].is_trusted
    assert parts({"role": "user", "content": [own]}) == [own]
    said = parts({"role": "user", "content": ["A", own]}, {"role": "user", "content": "B"})
    assert said == [Text("A"), own, Text("\n\nB")]


@pytest.mark.parametrize("address", ["file:///x", "ftp://x/a.png", "S3://bucket/a.png"])
def test_an_address_that_no_vendor_fetches_is_no_path(address):
    with pytest.raises(InvalidRequestError, match=f"'{address}', and its scheme is none of http"):
        question("Look", {"attachments": [address]})


def test_a_drive_and_a_colon_may_stand_in_a_path():
    paths = ["C://a.png", "a:b/c.png", "at 10://a.png"]
    (turn,) = Conversation.of(question("Look", {"attachments": paths})).turns
    assert [part.path for part in turn.parts[:3]] == paths


def test_attachments_come_before_a_list():
    asked = question(
        [{"role": "user", "content": ["A", Media("b.png")]}], {"attachments": ["c.png"]}
    )
    assert parts(*asked) == [Media("c.png"), Text("A"), Media("b.png")]
    assert parts(*asked)[0].is_trusted


def test_results_of_tools_may_hold_media():
    call = ModelResponse(parts=(ToolCall("c", "look", "{}"),)).to_message()
    block = {"type": "image_url", "image_url": {"url": DATA_URL}}
    result = {"role": "tool", "tool_call_id": "c", "content": ["seen", block]}
    (found,) = Conversation.of([{"role": "user", "content": "Look"}, call, result]).turns[2].parts
    assert found.parts == (Text("seen"), Media(data=PNG, type="image/png"))
    assert found.content == "seen"
    (turn,) = Conversation.of([result]).turns  # which no call has asked for
    assert turn.parts == (Media(data=PNG, type="image/png"), Text("seen"))


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_other_roles_hold_no_blocks(role):
    with pytest.raises(
        InvalidRequestError, match=r"messages\[0\] is of the role .* and holds media"
    ):
        read_messages([{"role": role, "content": [Media("a.png")]}])


def test_what_json_names_is_not_trusted():
    """Messages are stored and sent about: only what the program makes is its own."""
    result = ToolResult("c", "look", "seen", parts=(Media("/etc/passwd"),)).to_message()
    call = ModelResponse(parts=(ToolCall("c", "look", "{}"),)).to_message()
    (media,) = Conversation.of([{"role": "user", "content": "Look"}, call, result]).media
    assert not media.is_trusted
    made = ModelResponse(parts=(Media("/etc/passwd"), Text("Here."))).to_message()
    assert not Conversation.of([made]).media[0].is_trusted
    assert not media_of({"type": "media", "path": "/etc/passwd"}).is_trusted


def test_a_message_is_read_as_often_as_needed():
    given = message("cat.png", text="Look", media=[URL])
    before = given.model_copy(deep=True)
    assert parts(given) == parts(given)
    assert given == before


@pytest.mark.parametrize(
    "media",
    [Media("plan.pdf"), Media(url="https://host/a.png"), Media(data=b"\x89PNG\xff"), Media(id="f")],
    ids=lambda media: media.label,
)
def test_bruno_core_s_messages_with_media_survive_json(media):
    message = Message(role=MessageRole.USER, content="What is it?", metadata={"media": [media]})
    again = Message.model_validate_json(message.model_dump_json())
    assert Conversation.of([again]).media == [media]
    assert not Conversation.of([again]).media[0].is_trusted
