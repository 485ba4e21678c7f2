"""Embeddings that keep the vectors of texts."""

import asyncio
import json
import struct
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from functools import partial
from math import isfinite
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

from bruno_core.interfaces import EmbeddingInterface
from bruno_core.models import Message

from bruno_llm_base.embeddings import words_of
from bruno_llm_base.events import CacheHit, Observer
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.log import Observers
from bruno_llm_base.parts import Json
from bruno_llm_base.values import digest, shown
from bruno_llm_base.wrappers.cache_lookup import open_cache
from bruno_llm_base.wrappers.cache_store import CacheStore

if TYPE_CHECKING:
    from bruno_llm_base.sync import SyncEmbeddings

_SCHEMA = 1  # of what is kept: change it with what `_encoded` writes
_AT_ONCE = 64  # texts that are looked up together


class CachedEmbeddings(EmbeddingInterface):
    """Asks for the vector of each text once; what is known costs nothing and takes no place in a limit.

    Of a thousand texts of which ten are new, ten are sent. The same is the same text for the same model
    of the same provider, with the same settings. Processes that share a store may ask for a new text at
    the same time, each for itself.
    """

    def __init__(
        self,
        embeddings: EmbeddingInterface,
        *,
        store: "CacheStore | str | PathLike[str] | None" = None,
        max_age: float | None = None,
        namespace: str | None = None,
    ) -> None:
        """Set it up.

        Args:
            embeddings: The embeddings; any `EmbeddingInterface` will do. It is closed with this one.
            store: Where vectors are kept, as in `CachedLLM`, with which it may be shared.
            max_age: For how many seconds a vector is good; for ever if None.
            namespace: Keeps its vectors apart from those of others in the same store.

        Raises:
            ConfigurationError: A value is wrong, or the store cannot be opened.
        """
        if not isinstance(embeddings, EmbeddingInterface):
            raise ConfigurationError(
                f"embeddings is {shown(embeddings)}: give an EmbeddingInterface"
            )
        self._embeddings: Any = embeddings
        self._dimension: int | None = None
        self._settings: Json = {"store": store, "max_age": max_age, "namespace": namespace}
        self._cache = open_cache(
            **self._settings,
            observers=Observers(self.observers),
            provider=getattr(embeddings, "name", type(embeddings).__name__),
            operation="embeddings",
        )

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Those of the embeddings, who also hear of calls that the cache has answered."""
        return getattr(self._embeddings, "observers", ())

    @property
    def sync(self) -> "SyncEmbeddings":
        """The same methods without `await`, for programs without an event loop."""
        from bruno_llm_base.sync import SyncEmbeddings

        return SyncEmbeddings(self)

    async def embed_text(self, text: str) -> list[float]:
        """Return the vector of *text*, kept or new."""
        return (await self.embed_texts([text]))[0]

    async def embed_texts(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors of *texts*, in their order, kept or new; equal texts are sent once.

        Raises:
            LLMError: As the embeddings raise it. Nothing is returned then, as without a cache.
        """
        is_list = isinstance(texts, Sequence) and not isinstance(texts, str)
        if not is_list or not all(isinstance(text, str) and text.strip() for text in texts):
            asked: list[list[float]] = await self._embeddings.embed_texts(texts)
            return asked  # which says what is wrong
        began = time.monotonic()
        keys = {text: self._key(text) for text in texts}
        found, ages = await self._known(keys)
        if new := [text for text in keys if text not in found]:
            vectors = await self._embeddings.embed_texts(new)
            found |= dict(zip(new, vectors, strict=True))
            await self._keep({keys[text]: found[text] for text in new})
        elif ages:
            facts = {"duration": time.monotonic() - began, "model": self.get_model_name()}
            self._cache.tell(CacheHit, age=max(ages), **facts)
        if texts:
            self._dimension = len(found[texts[0]])
        return [list(found[text]) for text in texts]

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors of *texts*: another name of `embed_texts`, which bruno-memory uses."""
        return await self.embed_texts(texts)

    async def embed_message(self, message: Message) -> list[float]:
        """Return the vector of what *message* says, kept or new."""
        return await self.embed_text(words_of(message))

    def _key(self, text: str) -> str:
        fingerprint = getattr(self._embeddings, "fingerprint", None)
        kind = type(self._embeddings)
        place = kind.__module__, kind.__qualname__, self._embeddings.get_model_name(), text
        key: str = digest(place) if fingerprint is None else fingerprint(text)
        namespace = self._settings["namespace"]
        return f"{namespace}:{key}" if namespace else key

    async def _known(self, keys: dict[str, str]) -> tuple[dict[str, list[float]], list[float]]:
        """Return the vectors that are kept, by their texts, and how old they are, in seconds."""
        cache, found, ages = self._cache, {}, []
        texts, max_age = list(keys), self._settings["max_age"]
        for start in range(0, len(texts), _AT_ONCE):
            some = texts[start : start + _AT_ONCE]
            values = await asyncio.gather(
                *(cache.tried(cache.store.get(keys[text]), None) for text in some)
            )
            for text, value in zip(some, values, strict=True):
                read = _decoded(value)
                if read is not None and (max_age is None or read[0] <= max_age):
                    ages.append(read[0])
                    found[text] = read[1]
        return found, ages

    async def _keep(self, vectors: dict[str, list[float]]) -> None:
        cache, pairs = self._cache, list(vectors.items())
        for start in range(0, len(pairs), _AT_ONCE):
            some = pairs[start : start + _AT_ONCE]
            await asyncio.gather(
                *(cache.tried(cache.store.put(key, _encoded(one)), None) for key, one in some)
            )

    def calculate_similarity(
        self, embedding1: Sequence[float], embedding2: Sequence[float]
    ) -> float:
        """Return how alike two vectors are, as the embeddings do."""
        alike: float = self._embeddings.calculate_similarity(embedding1, embedding2)
        return alike

    def get_dimension(self) -> int:
        """Return how many numbers a vector has, as the embeddings do, or as those that were kept had."""
        try:
            dimension: int = self._embeddings.get_dimension()
        except ConfigurationError:
            if self._dimension is None:
                raise
            return self._dimension
        return dimension

    def get_model_name(self) -> str:
        """Return the model's name."""
        name: str = self._embeddings.get_model_name()
        return name

    async def check_connection(self) -> bool:
        """Say whether the embeddings can be used. Never raises."""
        is_well: bool = await self._embeddings.check_connection()
        return is_well

    def supports_batch(self) -> bool:
        """Say whether several texts go into one request."""
        does: bool = self._embeddings.supports_batch()
        return does

    def get_max_batch_size(self) -> int | None:
        """Return the most texts that one request has; `embed_texts` takes any number."""
        most: int | None = self._embeddings.get_max_batch_size()
        return most

    async def aclose(self) -> None:
        """Close the embeddings and the store; they are opened again when needed."""
        try:
            if hasattr(self._embeddings, "aclose"):
                await self._embeddings.aclose()
        finally:
            await self._cache.store.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._embeddings!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the embeddings and where vectors are kept; what is in memory stays here."""
        return partial(type(self), self._embeddings, **self._settings), ()


def _encoded(vector: Sequence[float]) -> bytes:
    """Return *vector* as it is kept: JSON, with its numbers in 64 bits, so nothing is lost."""
    numbers = b64encode(struct.pack(f"<{len(vector)}d", *vector)).decode()
    return json.dumps({"schema": _SCHEMA, "time": time.time(), "vector": numbers}).encode()


def _decoded(value: bytes | None) -> tuple[float, list[float]] | None:
    """Return the age of a kept vector in seconds, and the vector; None if it is none that we can read."""
    if value is None:
        return None
    try:
        said = json.loads(value)
        data = b64decode(said["vector"], validate=True)
        vector = list(struct.unpack(f"<{len(data) // 8}d", data))
        age = abs(time.time() - said["time"])  # a clock may have been set back
        is_sound = said["schema"] == _SCHEMA and isfinite(age) and vector
    except (KeyError, TypeError, ValueError, RecursionError, struct.error):
        return None
    return (age, vector) if is_sound and all(map(isfinite, vector)) else None
