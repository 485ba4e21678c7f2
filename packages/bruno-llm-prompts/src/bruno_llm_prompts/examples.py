"""Examples of questions with their answers, of which the most similar are shown to the model."""

import asyncio
import json
import struct
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from operator import mul
from os import PathLike
from pathlib import Path
from secrets import token_hex
from weakref import WeakKeyDictionary

from bruno_core.interfaces import EmbeddingInterface
from bruno_core.models import Message
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.messages import assistant, user
from bruno_llm_base.values import is_whole, shown
from bruno_llm_base.vectors import unit_vector

_CURE = "delete the file, or give the name of another"


class Examples:
    """Questions with their answers, from which those most like a new question are chosen.

        examples = Examples([("2 apples", "fruit"), ("a trout", "fish")], embeddings=OpenAIEmbeddings())
        answer = await llm.generate([*await examples.near("a pear"), *classify(text="a pear")])

    All are compared with each question: in plain Python, a few thousand take tenths of a second.
    """

    def __init__(
        self,
        examples: Iterable[tuple[str, str]],
        *,
        embeddings: EmbeddingInterface,
        file: str | PathLike[str] | None = None,
    ) -> None:
        """Take the examples. Nothing is sent before the first question.

        Args:
            examples: Pairs of a question and its answer.
            embeddings: What makes vectors of questions; it is not closed here.
            file: Where the vectors are kept, so that the next process need not ask for them; only new
                questions are embedded then.

        Raises:
            ConfigurationError: There are no examples, or one is something else.
        """
        if not isinstance(embeddings, EmbeddingInterface):
            raise ConfigurationError(
                f"embeddings is {shown(embeddings)}: give an EmbeddingInterface"
            )
        self._pairs = [_pair(place, given) for place, given in enumerate(examples)]
        if not self._pairs:
            raise ConfigurationError(
                "there are no examples: give pairs of a question and its answer"
            )
        self._embeddings = embeddings
        self._file = None if file is None else Path(file)
        self._vectors: list[array[float]] = []
        self._embedding = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]()

    async def near(self, text: str, k: int = 3) -> list[Message]:
        """Return the *k* examples most like *text* as messages, the most similar last.

        The first call embeds all questions of the examples. Of equal ones the first given are chosen.

        Raises:
            InvalidRequestError: `text` is empty, or `k` is not a whole number above 0.
            ConfigurationError: The file is one of another model, or cannot be read or written.
            LLMError: The embeddings fail.
        """
        if not is_whole(k, least=1):
            raise InvalidRequestError(f"k is {shown(k)}: give a whole number above 0")
        vectors = await self._all_vectors()
        asked = _direction(await self._embeddings.embed_text(text))
        if lengths := {len(each) for each in vectors} - {len(asked)}:
            raise ConfigurationError(
                f"the vectors of the examples have {lengths.pop()} numbers, and that of the question"
                f" {len(asked)}: {_CURE}"
            )
        # in a thread, since thousands take a while
        alike = await asyncio.to_thread(lambda: [sum(map(mul, asked, each)) for each in vectors])
        best = sorted(range(len(alike)), key=lambda place: (-alike[place], place))[:k]
        return [message for place in reversed(best) for message in self._messages(place)]

    def _messages(self, place: int) -> list[Message]:
        question, answer = self._pairs[place]
        return [user(question), assistant(answer)]

    async def _all_vectors(self) -> list["array[float]"]:
        """Return the vectors of all questions; the first call makes them."""
        if not self._vectors:
            lock = self._embedding.setdefault(asyncio.get_running_loop(), asyncio.Lock())
            async with lock:
                if not self._vectors:
                    self._vectors = await self._made()
        return self._vectors

    async def _made(self) -> list["array[float]"]:
        questions = dict.fromkeys(question for question, _ in self._pairs)
        kept = {} if self._file is None else await asyncio.to_thread(self._read, self._file)
        known = {each: kept[key] for each in questions if (key := _key(each)) in kept}
        if new := [each for each in questions if each not in known]:
            made = await self._embeddings.embed_texts(new)
            known |= dict(zip(new, map(_direction, made), strict=True))
            if self._file is not None:
                await asyncio.to_thread(self._write, self._file, known)
        return [known[question] for question, _ in self._pairs]

    def _read(self, path: Path) -> dict[str, "array[float]"]:
        """Return the vectors in a file, by the digests of their texts."""
        try:
            said = json.loads(path.read_bytes())
            model = said["model"]
            kept = {key: _unpacked(vector) for key, vector in said["vectors"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
        except (AttributeError, KeyError, TypeError, ValueError, struct.error):
            raise ConfigurationError(
                f"{path} is not a file of vectors: delete it, or give the name of another"
            ) from None
        if model != (own := self._embeddings.get_model_name()):
            raise ConfigurationError(
                f"{path} holds vectors of the model {model!r}, and these are of {own!r}: {_CURE}"
            )
        return kept

    def _write(self, path: Path, vectors: Mapping[str, "array[float]"]) -> None:
        """Replace a file at once, so that one who reads it meanwhile finds all of it."""
        packed = {_key(text): _packed(vector) for text, vector in vectors.items()}
        said = {"model": self._embeddings.get_model_name(), "vectors": packed}
        written = path.with_name(f"{path.name}.{token_hex(4)}.tmp")
        try:
            written.write_text(json.dumps(said), encoding="ascii")
            written.replace(path)
        except OSError as error:
            with suppress(OSError):  # there may be none
                written.unlink()
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def _pair(place: int, given: object) -> tuple[str, str]:
    if isinstance(given, list | tuple) and len(given) == 2:
        question, answer = given
        if all(isinstance(text, str) and text.strip() for text in given):
            return question, answer
    raise ConfigurationError(
        f"examples[{place}] is {shown(given)}: give a pair of texts, a question and its answer"
    )


def _direction(vector: Sequence[float]) -> "array[float]":
    """Return *vector* as it is compared and kept: of length 1, in 32 bits a number."""
    return array("f", unit_vector("embedding", vector))


def _key(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _packed(vector: "array[float]") -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _unpacked(text: str) -> "array[float]":
    data = b64decode(text, validate=True)
    return array("f", struct.unpack(f"<{len(data) // 4}f", data))
