"""Which files may be read, what their bytes are, and how large pictures are."""

import os
import socket
import struct
import threading
import zlib
from base64 import b64decode
from contextlib import suppress
from pathlib import Path

import pytest
from bruno_llm_base import ConfigurationError, InvalidRequestError
from bruno_llm_base.exceptions import (
    MediaTooLargeError,
    MediaTypeError,
    MediaUnavailableError,
)
from bruno_llm_base.file_formats import pixels_of, sniff
from bruno_llm_base.media import MediaPolicy, read_media
from bruno_llm_base.parts import Media
from hypothesis import given
from hypothesis import strategies as st

CANARY = b"canary-4f1c"


def png(width=3, height=2):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = zlib.compress(b"".join(b"\0" + b"\0\0\0" * width for _ in range(min(height, 4))))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def jpeg(width=3, height=2, start=0xC0, before=b""):
    app = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    frame = struct.pack(">HBHHB", 8 + 3, 8, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8" + app + before + bytes([0xFF, start]) + frame + b"\xff\xd9"


def gif(width=3, height=2):
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;"


def webp(chunk, data):
    body = b"WEBP" + chunk + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8(width=3, height=2):
    return webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + b"\0\0")


def vp8l(width=3, height=2):
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + b"\0" * 5)


def vp8x(width=3, height=2):
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp(b"VP8X", b"\0\0\0\0" + sides)


PICTURES = {"png": png, "jpeg": jpeg, "gif": gif, "vp8": vp8, "vp8l": vp8l, "vp8x": vp8x}
TYPES = {
    "image/png": png(),
    "image/jpeg": jpeg(),
    "image/gif": gif(),
    "image/webp": vp8(),
    "image/bmp": b"BM" + struct.pack("<IHHI", 70, 0, 0, 54) + b"\0" * 56,
    "image/tiff": b"II*\0\x08\0\0\0",
    "image/heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "image/avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1",
    "application/pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "audio/wav": b"RIFF\x24\0\0\0WAVEfmt ",
    "audio/mpeg": b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\x64",
    "audio/flac": b"fLaC\0\0\0\x22",
    "audio/ogg": b"OggS\0\x02\0\0",
    "audio/mp4": b"\0\0\0\x20ftypM4A \0\0\0\0",
    "audio/aac": b"\xff\xf1\x50\x80\x00\x1f\xfc",
    "audio/aiff": b"FORM\0\0\0\x20AIFFCOMM",
    "video/mp4": b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41",
    "video/quicktime": b"\0\0\0\x14ftypqt  \0\0\0\0",
    "video/3gpp": b"\0\0\0\x14ftyp3gp5\0\0\0\0",
    "video/webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm",
    "video/x-matroska": b"\x1aE\xdf\xa3\xa3B\x86\x81\x01B\x82\x88matroska",
    "text/plain": "# Größe\n\n| a | b |\n".encode(),
}


@pytest.mark.parametrize(("kind", "data"), TYPES.items(), ids=TYPES)
def test_types_are_known_by_their_first_bytes(kind, data):
    assert sniff(data) == kind


def test_mp3_is_known_by_its_first_frame_too():
    assert sniff(b"\xff\xfb\x90\x64" + b"\0" * 400) == "audio/mpeg"
    assert sniff(b"\xff\xf3\x84\xc4" + b"\0" * 400) == "audio/mpeg"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\xff",
        b"\x00\x01binary",
        b"\xff\xfe" + "UTF-16".encode("utf-16-le"),
        b"caf\xe9",  # Latin-1
        b"text with \x1b[31m escapes",
        b"\xff\xff\xff\xff",
        b"PK\x03\x04\x14\0\x06\0word/document.xml",
        b"RIFF\0\0\0\0????",
    ],
)
def test_what_the_bytes_do_not_tell_is_not_guessed(data):
    assert sniff(data) is None


@pytest.mark.parametrize(
    "text", ["BMW is a car", "MM", "FORM", "RIFF", "GIF", "ID", "ftyp, ftyp", "%"]
)
def test_a_text_may_begin_like_a_signature(text):
    assert sniff(text.encode()) == "text/plain"


@given(st.text(min_size=1))
def test_texts_are_texts_unless_they_hold_what_no_text_does(text):
    found = sniff(f".{text}".encode(errors="replace"))
    is_plain = all(mark in "\t\n\f\r" or (mark >= " " and mark != "\x7f") for mark in text)
    assert (found == "text/plain") == is_plain


@given(st.binary())
def test_no_bytes_are_too_much(data):
    sniff(data)
    pixels_of(data)


@given(
    st.sampled_from(sorted(PICTURES)),
    st.integers(1, 16_383),
    st.integers(1, 16_383),
    st.integers(0, 80),
    st.binary(max_size=40),
)
def test_headers_may_be_cut_or_lie(name, width, height, place, noise):
    data = PICTURES[name](width, height)
    assert pixels_of(data) == (width, height)
    for wrong in (
        data[:place],
        data[:place] + noise,
        data[:place] + noise + data[place + len(noise) :],
    ):
        sides = pixels_of(wrong)
        assert sides is None or all(side > 0 for side in sides)


@pytest.mark.parametrize("start", sorted(set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}))
def test_every_kind_of_jpeg_tells_its_size(start):
    assert pixels_of(jpeg(640, 480, start)) == (640, 480)


def test_a_thumbnail_within_a_jpeg_is_passed_over():
    thumbnail = jpeg(16, 12)
    exif = b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    tables = b"\xff\xc4\x00\x04ab\xff\xd0\xff\xff\xff\xfe\x00\x03c"
    assert pixels_of(jpeg(640, 480, before=exif + tables)) == (640, 480)


def test_a_hostile_jpeg_ends():
    segments = b"\xff\xe0\x00\x02" * 1_000_000
    assert pixels_of(b"\xff\xd8" + segments + jpeg()[2:]) is None
    assert pixels_of(b"\xff\xd8" + b"\xff\xe0\x00\x00" * 1_000_000) is None
    assert pixels_of(b"\xff\xd8" + b"\xff" * 5_000_000) is None


def test_a_picture_without_a_side_has_no_size():
    assert pixels_of(png(0, 2)) is None
    assert pixels_of(jpeg(3, 0)) is None  # the height follows after the picture
    assert pixels_of(webp(b"VP8?", b"\0" * 20)) is None


# -- reading -----------------------------------------------------------------------------------------


def untrusted(path):
    media = Media(str(path))
    media.is_trusted = False
    return media


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "photo.png").write_bytes(png())
    (tmp_path / "secret.png").write_bytes(png() + CANARY)
    return folder


def test_a_file_is_read_with_all_that_is_known_of_it(folder):
    media = Media(folder / "photo.png", detail="low")
    read = read_media(media)
    assert b64decode(read.encoded) == read.data == png()
    assert (read.type, read.pixels, read.size) == ("image/png", (3, 2), len(png()))
    assert (read.name, read.detail, read.kind) == ("photo.png", "low", "image")
    assert media.encoded == ""
    assert media.data is None


def test_bytes_need_no_file():
    read = read_media(Media(data=jpeg(), name="a.jpg"))
    assert (read.type, read.pixels, read.name) == ("image/jpeg", (3, 2), "a.jpg")
    assert read.data_url.startswith("data:image/jpeg;base64,/9j/")


@given(st.binary(min_size=1, max_size=400).map(lambda data: png() + data * 2_000))
def test_base64_is_made_in_pieces_that_fit(data):
    assert b64decode(read_media(Media(data=data)).encoded) == data


def test_addresses_and_ids_stay_as_they_are():
    for media in (Media(url="https://host/a.png", type="image/png"), Media(id="file_1")):
        media.index = 4
        read = read_media(media)
        assert read == media
        assert read is not media
        assert read.index == 4
        assert read.encoded == ""


@pytest.mark.parametrize(
    ("name", "said", "data", "kind"),
    [
        ("photo.jpg", None, png(), "image/png"),
        ("photo.jpg", "image/jpeg", png(), "image/png"),
        ("photo.png", "image/jpg", jpeg(), "image/jpeg"),
        ("notes.png", "image/png", b"only text", "text/plain"),
        ("notes.pdf", "application/pdf", b"only text", "text/plain"),
        ("data.csv", "text/csv; charset=utf-8", b"a,b\n1,2\n", "text/csv"),
        ("data.json", "application/json", b"{}", "application/json"),
        ("drawing.svg", "image/svg+xml", b"<svg/>", "image/svg+xml"),
        ("voice.webm", "audio/webm", TYPES["video/webm"], "audio/webm"),
        ("voice.mp4", "audio/mp4", TYPES["video/mp4"], "audio/mp4"),
        ("voice.mp4", "audio/m4a", TYPES["video/mp4"], "audio/mp4"),
        ("film.mp4", "video/webm", TYPES["video/mp4"], "video/mp4"),
        ("letter.docx", "APPLICATION/msword", b"PK\x03\x04\0", "application/msword"),
        ("what.bin", "image/png", b"\0\1\2", "image/png"),
    ],
)
def test_the_bytes_tell_the_type_and_else_the_user(tmp_path, name, said, data, kind):
    (tmp_path / name).write_bytes(data)
    assert read_media(Media(tmp_path / name, type=said)).type == kind


@pytest.mark.parametrize("said", [None, "", "png", "image/", "image/png\r\nx: y", "image/p ng"])
def test_what_cannot_be_told_is_named(tmp_path, said):
    (tmp_path / "what.bin").write_bytes(b"\0\1" + CANARY)
    with pytest.raises(
        MediaTypeError, match=r"what\.bin' is cannot be told.*type='\.\.\.'"
    ) as caught:
        read_media(Media(tmp_path / "what.bin", type=said))
    assert caught.value.media == "what.bin"
    assert CANARY.decode() not in repr(caught.value)


def test_files_that_cannot_be_read_are_named(folder):
    (folder / "empty.png").touch()
    os.mkfifo(folder / "pipe")
    wrong = {
        folder / "missing.png": "does not exist",
        folder / "photo.png" / "x": "cannot be opened",
        folder: "is a folder",
        folder / "empty.png": "is empty",
        folder / "pipe": "is a pipe, a socket or a device",
        "/dev/zero": "is a pipe, a socket or a device",
        "a\0b": "cannot be opened",
        "/proc/self/mem": "cannot be read",
        folder / ("x" * 300): "cannot be opened",
    }
    for path, why in wrong.items():
        for policy in (None, MediaPolicy(roots=[folder])):
            with pytest.raises(MediaUnavailableError, match=why) as caught:
                read_media(Media(path), policy)
            assert caught.value.media == Path(path).name
            assert isinstance(caught.value, InvalidRequestError)
            assert len(str(caught.value)) < 200


def test_sockets_are_no_files(folder, monkeypatch):
    monkeypatch.chdir(folder)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(MediaUnavailableError, match="cannot be opened"):
            read_media(Media(folder / "s"))


def test_a_file_without_the_right_is_named(folder, monkeypatch):
    def refuse(*_, **__):  # for tests that run as root, whom nothing is forbidden
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(MediaUnavailableError, match="may not be read by this process"):
        read_media(Media(folder / "photo.png"))


def test_what_is_too_large_is_not_read(folder):
    size = len(png())
    policy = MediaPolicy(max_bytes=size - 1)
    with (folder / "sparse.png").open("wb") as file:
        file.truncate(2**40)
    for media in (Media(folder / "photo.png"), Media(data=png()), Media(folder / "sparse.png")):
        with pytest.raises(
            MediaTooLargeError, match=rf"and {size - 1} are allowed: make it"
        ) as caught:
            read_media(media, policy)
        assert caught.value.media == media.label
    assert read_media(Media(folder / "photo.png"), MediaPolicy(max_bytes=size)).size == size


def test_all_media_of_a_request_are_summed(folder):
    size = len(png())
    policy = MediaPolicy(max_bytes=2 * size)
    assert read_media(Media(folder / "photo.png"), policy, taken=size).size == size
    with pytest.raises(
        MediaTooLargeError, match=f"the media up to .*photo.png' have {2 * size + 1:,}"
    ):
        read_media(Media(folder / "photo.png"), policy, taken=size + 1)


def test_a_file_that_does_not_tell_its_size_is_read_as_far_as_allowed():
    assert read_media(Media("/proc/self/status")).type == "text/plain"
    with pytest.raises(MediaTooLargeError):
        read_media(Media("/proc/self/status"), MediaPolicy(max_bytes=10))


# -- what messages name ------------------------------------------------------------------------------


def test_a_file_that_a_message_names_needs_a_policy(folder):
    for policy in (None, MediaPolicy()):
        with pytest.raises(MediaUnavailableError, match=r"media=MediaPolicy\(roots=\[\.\.\.\]\)"):
            read_media(untrusted(folder / "photo.png"), policy)
    read = read_media(untrusted(folder / "photo.png"), MediaPolicy(roots=[folder]))
    assert read.data == png()


def test_roots_may_be_relative_and_links(folder, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(folder)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "a.png").write_bytes(png())
    monkeypatch.chdir(tmp_path)
    policy = MediaPolicy(roots=["link"])
    monkeypatch.chdir("/")
    assert read_media(untrusted(folder / "deep" / "er" / "a.png"), policy).size
    assert read_media(untrusted(tmp_path / "link" / "photo.png"), policy).size
    monkeypatch.chdir(folder)
    assert read_media(untrusted("photo.png"), policy).size
    assert read_media(untrusted("photo.png"), MediaPolicy(roots=["/"])).size
    with pytest.raises(MediaUnavailableError, match="is a folder"):
        read_media(untrusted(folder), policy)


def test_no_way_leads_out_of_the_roots(folder, tmp_path):
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "out").symlink_to(tmp_path)
    (tmp_path / "uploads-too").mkdir()
    (tmp_path / "uploads-too" / "a.png").write_bytes(png())
    policy = MediaPolicy(roots=[folder])
    texts = set()
    for path in (
        tmp_path / "secret.png",
        folder / ".." / "secret.png",
        folder / "link.png",
        folder / "out" / "secret.png",
        tmp_path / "uploads-too" / "a.png",
        tmp_path / "missing.png",
        "/proc/self/environ",
        f"/proc/self/root{tmp_path}/secret.png",
    ):
        with pytest.raises(MediaUnavailableError, match="not below one of the folders") as caught:
            read_media(untrusted(path), policy)
        texts.add(caught.value.message.replace(str(path)[-60:], ""))
        assert CANARY.decode() not in str(caught.value)
    assert all("does not exist" not in text for text in texts)  # what is outside is not told of


def test_systems_that_open_by_whole_paths_alone_keep_to_the_roots_too(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "supports_dir_fd", frozenset())  # as on Windows
    policy = MediaPolicy(roots=[folder])
    assert read_media(untrusted(folder / "photo.png"), policy).data == png()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(MediaUnavailableError, match="not below one of the folders"):
        read_media(untrusted(folder / "link.png"), policy)


@pytest.mark.parametrize("swapped", ["folder", "file"])
def test_a_link_that_is_put_there_meanwhile_is_not_followed(folder, tmp_path, monkeypatch, swapped):
    """The path is sound when it is looked at, and a link out of the roots when it is opened."""
    inside = folder / "inside"
    inside.mkdir()
    (inside / "secret.png").write_bytes(png())
    look = os.path.realpath

    def look_and_swap(path, **settings):
        found = look(path, **settings)
        (inside / "secret.png").unlink()
        if swapped == "file":
            (inside / "secret.png").symlink_to(tmp_path / "secret.png")
        else:
            inside.rmdir()
            inside.symlink_to(tmp_path)
        return found

    policy = MediaPolicy(roots=[folder])
    monkeypatch.setattr(os.path, "realpath", look_and_swap)
    with pytest.raises(MediaUnavailableError, match="cannot be opened"):
        read_media(untrusted(inside / "secret.png"), policy)


def test_a_race_is_never_won(folder, tmp_path):
    """One thread swaps a file for a link out of the roots, again and again; the other reads."""
    name, link = folder / "a.png", folder / "b.png"
    policy, over = MediaPolicy(roots=[folder]), threading.Event()

    def swap():
        while not over.is_set():
            link.symlink_to(tmp_path / "secret.png")
            link.replace(name)
            link.write_bytes(png())
            link.replace(name)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(300):
            with suppress(MediaUnavailableError):
                assert CANARY not in read_media(untrusted(name), policy).data
    finally:
        over.set()
        thread.join()


def test_addresses_that_a_message_names_may_be_refused():
    media = Media(url="https://host/a.png?token=x")
    assert read_media(media, MediaPolicy(urls="refuse")).url == media.url
    media.is_trusted = False
    assert read_media(media).url == media.url
    assert read_media(media, MediaPolicy()).url == media.url
    with pytest.raises(MediaUnavailableError, match=r"urls='refuse'") as caught:
        read_media(media, MediaPolicy(urls="refuse"))
    assert "token" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"roots": "uploads"}, "MediaPolicy.roots is 'uploads': give a list of folders"),
        ({"roots": [""]}, "give a list of folders"),
        ({"roots": [3]}, "give a list of folders"),
        ({"max_bytes": 0}, "MediaPolicy.max_bytes is 0"),
        ({"urls": "fetch"}, "a later version will know"),
        ({"urls": True}, "MediaPolicy.urls is True: give 'pass' or 'refuse'"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(setting, text):
    with pytest.raises(ConfigurationError, match=text):
        MediaPolicy(**setting)


def test_a_policy_is_a_value(folder):
    policy = MediaPolicy(roots=[folder], urls="refuse")
    assert policy == MediaPolicy(roots=(str(folder),), urls="refuse")
    assert hash(policy)
    with pytest.raises(AttributeError):
        policy.urls = "pass"


@pytest.mark.parametrize("said", ["IMAGE/JPEG", "image/jpg", "image/jpeg; q=1"])
def test_the_type_of_an_address_is_spelt_as_vendors_spell_it(said):
    read = read_media(Media(url="https://host/picture", type=said))
    assert (read.type, read.kind) == ("image/jpeg", "image")


def test_a_name_that_is_not_utf_8_can_be_sent():
    assert Media("/folder/caf\udce9.png").label == "caf?.png"
    assert read_media(Media(data=b"words", name="caf\udce9.txt")).name == "caf?.txt"
    assert read_media(Media(data=b"words")).name is None


@pytest.mark.parametrize("field", ["id", "type", "detail"])
def test_what_cannot_be_sent_is_refused_at_once(field):
    given = {"data": b"words", field: "\ud800"}
    if field == "id":
        del given["data"]
    with pytest.raises(ValueError, match=f"Media.{field} is no Unicode text"):
        Media(**given)
