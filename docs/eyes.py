"""Eyes for the real language model of `real_model.py`: it sees one colour, as a word.

llama.cpp takes the eyes of a model from a file of their own, a projector: what it makes of a picture stands
in the question as the vectors of words do. This one averages the whole picture, and makes the vector of
"red", "green" or "blue" of it. So all is real from the picture to the answer: it is decoded, scaled, looked
at and read, by a model that has learned nothing of pictures.
"""

import struct
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

COLOURS = ("red", "green", "blue")  # in the order of a picture's channels
_SIDE = 16  # pixels: the picture is scaled to this, and is one patch
_WIDTH = 32  # of what the eyes see with; only the first three count
_SHARPNESS = 20.0  # how much a colour must stand out
_TEXT, _LIST, _ALIGNED, _Q8, _ROW = 8, 9, 32, 32, 34
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_Tensor = tuple[tuple[int, ...], "array[float]"]


def write_eyes(path: Path, weights: Path) -> None:
    """Write the projector for the language model in the file *weights* to *path*."""
    words = _vectors(weights, [f"Ġ{colour}" for colour in COLOURS])
    tensors = {"v.position_embd.weight": _zeros(1, _WIDTH)}
    tensors["v.patch_embd.weight"] = eyes = _zeros(_WIDTH, 3, _SIDE, _SIDE)
    for channel in range(3):  # the average of each channel
        start = (channel * 3 + channel) * _SIDE**2
        eyes[1][start : start + _SIDE**2] = array("f", [_SIDE**-2.0] * _SIDE**2)
    for layer in (0, 1):  # these pass on what they get
        for name in ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down"):
            tensors[f"v.blk.{layer}.{name}.weight"] = _zeros(_WIDTH, _WIDTH)
            tensors[f"v.blk.{layer}.{name}.bias"] = _zeros(_WIDTH)
        for name in ("ln1", "ln2"):
            tensors[f"v.blk.{layer}.{name}.weight"] = (_WIDTH,), array("f", [1.0] * _WIDTH)
            tensors[f"v.blk.{layer}.{name}.bias"] = _zeros(_WIDTH)
    tensors["mm.0.weight"], tensors["mm.0.bias"] = stands_out, threshold = (
        _zeros(_WIDTH, _WIDTH),
        _zeros(_WIDTH),
    )
    tensors["mm.2.weight"] = said = _zeros(len(words[0]), _WIDTH)
    tensors["mm.2.bias"] = _zeros(len(words[0]))
    for channel, word in enumerate(words):
        threshold[1][channel] = -_SHARPNESS
        for other in range(3):
            sign = 1 if other == channel else -1
            stands_out[1][channel * _WIDTH + other] = sign * _SHARPNESS
        for row, number in enumerate(word):
            said[1][row * _WIDTH + channel] = number / (2 * _SHARPNESS)
    path.write_bytes(_gguf(tensors, len(words[0])))


def _zeros(*shape: int) -> _Tensor:
    size = 1
    for side in shape:
        size *= side
    return shape, array("f", bytes(4 * size))


def _gguf(tensors: dict[str, _Tensor], width: int) -> bytes:
    """Return a file in llama.cpp's format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""
    floats = [0.5] * 3  # what is black is -1, what is white 1
    values: dict[str, tuple[int, Any]] = {
        "general.architecture": (_TEXT, "clip"),
        "clip.projector_type": (_TEXT, "mlp"),
        "clip.has_vision_encoder": (7, True),
        "clip.use_gelu": (7, True),
        "clip.vision.image_size": (4, _SIDE),
        "clip.vision.patch_size": (4, _SIDE),
        "clip.vision.embedding_length": (4, _WIDTH),
        "clip.vision.feed_forward_length": (4, _WIDTH),
        "clip.vision.projection_dim": (4, width),
        "clip.vision.block_count": (4, 2),
        "clip.vision.attention.head_count": (4, 1),
        "clip.vision.attention.layer_norm_epsilon": (6, 1e-5),
        "clip.vision.image_mean": (_LIST, floats),
        "clip.vision.image_std": (_LIST, floats),
    }
    rows, content = b"", b""
    for name, (shape, numbers) in tensors.items():
        sides = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        rows += _text(name) + sides + struct.pack("<IQ", 0, len(content))
        content += _padded(numbers.tobytes())
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    return _padded(head + b"".join(map(_value, values.items())) + rows) + content


def _value(item: tuple[str, tuple[int, Any]]) -> bytes:
    name, (kind, value) = item
    if kind == _TEXT:
        said = _text(value)
    elif kind == _LIST:
        said = struct.pack(f"<IQ{len(value)}f", 6, len(value), *value)
    else:
        said = struct.pack(f"<{_NUMBERS[kind]}", value)
    return _text(name) + struct.pack("<I", kind) + said


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNED)


def _vectors(weights: Path, words: Sequence[str]) -> list[list[float]]:
    """Return the vectors of *words*, each of which is one token, in a language model's file."""
    with weights.open("rb") as file:
        _, _, tensors, values = struct.unpack("<4sIQQ", file.read(24))
        known = {_read(file, _TEXT): _read(file, _number(file, "I")) for _ in range(values)}
        for _ in range(tensors):
            name, sides = _read(file, _TEXT), _number(file, "I")
            width, *_ = [_number(file, "Q") for _ in range(sides)]
            kind, start = _number(file, "I"), _number(file, "Q")
            if name == "token_embd.weight":
                found = width, kind, start
        width, kind, start = found
        if kind != _TEXT:  # 8 stands for 8 bits a number here
            raise RuntimeError(f"the vectors of the words are of the unknown kind {kind}")
        start += file.tell() + -file.tell() % _ALIGNED
        tokens, vectors = known["tokenizer.ggml.tokens"], []
        for word in words:
            file.seek(start + tokens.index(word) * width // _Q8 * _ROW)
            blocks = (struct.unpack("<e32b", file.read(_ROW)) for _ in range(width // _Q8))
            vectors.append([scale * number for scale, *numbers in blocks for number in numbers])
        return vectors


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))[0]


def _read(file: BinaryIO, kind: int) -> Any:
    if kind == _TEXT:
        return file.read(_number(file, "Q")).decode(errors="replace")
    if kind == _LIST:
        inner, size = _number(file, "I"), _number(file, "Q")
        return [_read(file, inner) for _ in range(size)]
    return _number(file, _NUMBERS[kind])
