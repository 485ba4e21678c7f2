"""What media an API takes, and where they stand in a conversation."""

import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import Conversation, Media, MediaRules, Text, ToolCall, ToolResult
from bruno_llm_base.exceptions import MediaTooLargeError, MediaTypeError
from bruno_llm_base.media_conversation import with_media_ready
from bruno_llm_base.messages import question
from bruno_llm_base.parts import part_from_json, part_to_json
from bruno_llm_base.response import ModelResponse

PICTURE = Media(data=b"\x89PNG", type="image/png")
IMAGES = MediaRules(types=("image/*",), url_types=("image/png",))


def ready(conversation, rules, read=lambda media: media):
    return with_media_ready(conversation, rules, "m of acme", read)


def roles(conversation):
    return [(role, [type(part).__name__ for part in parts]) for role, parts in conversation.turns]


def test_attachments_stand_before_the_last_words_of_the_user():
    asked = question("What is this?", {"attachments": [PICTURE, "a.png"]})
    (turn,) = Conversation.of(asked).turns
    assert turn.parts == (PICTURE, Media("a.png"), Text("What is this?"))


def test_a_message_keeps_what_it_had_and_the_caller_s_own_is_not_changed():
    message = Message(role=MessageRole.USER, content="Look", metadata={"media": [PICTURE]})
    asked = question([message], {"attachments": ["https://host/b.png"]})
    assert Conversation.of(asked).media == [Media(url="https://host/b.png"), PICTURE]
    assert message.metadata == {"media": [PICTURE]}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "nothing"),
        ({"path": "a", "url": "https://b"}, "path and url"),
        ({"path": ""}, "path is empty"),
        ({"data": "text"}, "data is a str"),
        (
            {"url": "file:///etc/passwd"},
            "Media.url is 'file:///etc/passwd', and its scheme is none of",
        ),
        (
            {"url": "https://[::1"},
            r"Media.url is 'https://\[::1': give an address like https://host",
        ),
        ({"url": "https://host/a\nb"}, "Media.url is .*: give an address like https://host"),
        ({"url": "data:image/png;base64,?"}, "nothing readable"),
    ],
)
def test_media_without_sense_are_refused(given, text):
    with pytest.raises(ValueError, match=text):
        Media(**given)


def test_an_address_that_holds_the_content_is_content():
    media = Media(url="data:image/png;base64,AAAA")
    assert (media.data, media.type, media.url) == (b"\0\0\0", "image/png", None)


def test_what_an_api_does_not_take_is_named_with_its_cure():
    rules = MediaRules(types=("image/png",), max_bytes=3, max_total_bytes=5)
    with pytest.raises(MediaTypeError, match=r"song\.mp3, which is audio/mpeg: it reads image/png"):
        rules.check(Media(data=b"x", type="audio/mpeg", name="song.mp3"), "m of acme")
    with pytest.raises(MediaTypeError, match="takes no ids"):
        rules.check(Media(id="file_1"), "m of acme")
    with pytest.raises(MediaTypeError, match=r"does not fetch a\.png: download it"):
        rules.check(Media(url="https://host/a.png"), "m of acme")
    large = Media(data=b"1234", type="image/png", name="large.png")
    large.size = 4
    with pytest.raises(MediaTooLargeError, match=r"large\.png has 4 bytes") as caught:
        rules.check(large, "m of acme")
    assert caught.value.media == "large.png"
    large.size = 3
    with pytest.raises(MediaTooLargeError, match="more than the 5 bytes"):
        ready(Conversation.of(question("Look", {"attachments": [large, large]})), rules)
    MediaRules(types=("image/*",), url_types=("image/png",)).check(
        Media(url="https://host/unknown"), "m of acme"
    )


def test_media_go_to_the_user_where_the_api_wants_them_nowhere_else():
    said = [
        {"role": "user", "content": "Draw"},
        ModelResponse(parts=(PICTURE, ToolCall("c", "look", "{}"))).to_message(),
        ToolResult("c", "look", "seen", parts=(Text("seen"), PICTURE)).to_message(),
    ]
    conversation = Conversation.of(said)
    assert roles(ready(conversation, IMAGES)) == [
        ("user", ["Text"]),
        ("assistant", ["ToolCall"]),
        ("tool", ["ToolResult"]),
        ("user", ["Text", "Media", "Text", "Media"]),
    ]
    everywhere = MediaRules(types=("image/*",), in_results=True, in_answers=True)
    assert ready(conversation, everywhere) == conversation


def test_a_picture_that_the_assistant_made_opens_the_next_question():
    said = [
        {"role": "user", "content": "Draw"},
        ModelResponse(parts=(Text("Here."), PICTURE)).to_message(),
        {"role": "user", "content": "Redder"},
    ]
    turns = ready(Conversation.of(said), IMAGES).turns
    assert [turn.role for turn in turns] == ["user", "assistant", "user"]
    assert turns[1].parts == (Text("Here."),)
    assert turns[2].parts == (Text("What the assistant made:"), PICTURE, Text("Redder"))


def test_media_survive_json():
    for part in (PICTURE, ToolResult("c", "look", "seen", parts=(Text("seen"), PICTURE))):
        assert part_from_json(part_to_json(part)) == part


def test_pieces_of_a_sound_are_one():
    pieces = [Media(data=b"ab", type="audio/wav", index=1), Media(data=b"cd", index=1)]
    whole = ModelResponse.join([ModelResponse(parts=(piece,)) for piece in pieces])
    assert whole.media == (Media(data=b"abcd", type="audio/wav", index=1),)


def test_a_made_picture_can_be_saved(tmp_path):
    PICTURE.save(tmp_path / "made.png")
    assert (tmp_path / "made.png").read_bytes() == b"\x89PNG"
    with pytest.raises(RuntimeError, match="not here"):
        Media(url="https://host/a.png").save(tmp_path / "none.png")
