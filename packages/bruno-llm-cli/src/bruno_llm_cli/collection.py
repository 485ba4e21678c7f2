"""Texts and their vectors in one SQLite file, in collections that each belong to one model."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from heapq import nlargest
from math import hypot
from operator import mul
from pathlib import Path
from struct import pack, unpack

from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.options import did_you_mean
from bruno_llm_base.sqlite_file import PlainSqliteFile

from bruno_llm_cli import settings

_TABLES = (
    """CREATE TABLE collections (
        name TEXT PRIMARY KEY, provider TEXT, model TEXT, dimensions INTEGER
    )""",
    # Vectors have the length 1 and are numbers of 32 bits, the lowest byte first.
    """CREATE TABLE entries (
        collection TEXT REFERENCES collections (name), id TEXT, text TEXT, digest TEXT, vector BLOB,
        PRIMARY KEY (collection, id)
    )""",
    "CREATE INDEX entries_of_texts ON entries (digest)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What the vectors of a collection are of.

    Attributes:
        dimensions: How many numbers each vector has; 0 before that is known.
        entries: How many texts there are.
    """

    name: str
    provider: str
    model: str
    dimensions: int
    entries: int = 0

    def __str__(self) -> str:
        return f"{self.provider}/{self.model} ({self.dimensions} dimensions)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A text that was found, and the cosine between its vector and the one that was looked for."""

    id: str
    score: float
    text: str


class CollectionsFile(PlainSqliteFile):
    """The file."""

    kind = "file of collections"
    holds = "a file of collections"
    application = 0x42724C65  # "BrLe"
    schema = _TABLES

    @classmethod
    def at(cls, path: Path, *, new: bool) -> "CollectionsFile":
        """Return the file at *path*, made if it may be *new*.

        Raises:
            ConfigurationError: It is not there, or cannot be used.
        """
        path = path.absolute()
        if new:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigurationError(f"{path} cannot be made: {error.strerror}") from error
        elif not settings.is_there(path):
            raise ConfigurationError(
                f"{path} does not exist: make a collection with `bruno-llm embed NAME TEXT`"
            )
        return cls(path)

    def all(self) -> list[Collection]:
        """Return the collections by name."""
        query = (
            "SELECT name, provider, model, dimensions,"
            " (SELECT count(*) FROM entries WHERE collection = name) FROM collections ORDER BY name"
        )
        fields = Collection.__annotations__
        rows = self.read(lambda file: file.execute(query).fetchall())
        return [Collection(**dict(zip(fields, row, strict=True))) for row in rows]

    def find(self, name: str) -> Collection | None:
        """Return the collection *name*, None if there is none."""
        return next((found for found in self.all() if found.name == name), None)

    def get(self, name: str) -> Collection:
        """Return the collection *name*, or raise which there are."""
        if (found := self.find(name)) is None:
            names = [each.name for each in self.all()]
            cure = did_you_mean(name, names) or ": it has none"
            raise InvalidRequestError(f"no collection of {self._path} is called {name!r}{cure}")
        return found

    def delete(self, name: str) -> None:
        """Delete a collection and its entries."""

        def delete(file: sqlite3.Connection) -> None:
            file.execute("DELETE FROM entries WHERE collection = ?", (name,))
            file.execute("DELETE FROM collections WHERE name = ?", (name,))

        self.write(delete)

    def unchanged(self, collection: str, texts: Mapping[str, str]) -> set[str]:
        """Return the ids of those *texts*, by id, that the collection holds as they are."""
        query = "SELECT digest FROM entries WHERE collection = ? AND id = ?"

        def read(file: sqlite3.Connection) -> set[str]:
            held = {id_: file.execute(query, (collection, id_)).fetchone() for id_ in texts}
            return {id_ for id_, row in held.items() if row and row[0] == digest_of(texts[id_])}

        return self.read(read)

    def vectors(self, like: Collection, texts: Iterable[str]) -> dict[str, bytes]:
        """Return the vectors of those *texts* that any collection of the same model holds."""
        query = (
            "SELECT vector FROM entries JOIN collections ON name = collection"
            " WHERE digest = ? AND provider = ? AND model = ? AND dimensions = ? LIMIT 1"
        )
        space = (like.provider, like.model, like.dimensions)

        def read(file: sqlite3.Connection) -> dict[str, bytes]:
            found = {text: file.execute(query, (digest_of(text), *space)) for text in texts}
            rows = {text: cursor.fetchone() for text, cursor in found.items()}
            return {text: row[0] for text, row in rows.items() if row}

        return self.read(read)

    def put(
        self, collection: Collection, texts: Mapping[str, str], vectors: Mapping[str, bytes]
    ) -> None:
        """Write *texts*, by id, and their *vectors*, by text; what had these ids is replaced.

        Raises:
            ConfigurationError: Another process has given the collection another model meanwhile.
        """
        space = (collection.name, collection.provider, collection.model, collection.dimensions)
        there = "SELECT * FROM collections WHERE name = ?"

        def put(file: sqlite3.Connection) -> None:
            file.execute("INSERT OR IGNORE INTO collections VALUES (?, ?, ?, ?)", space)
            if (found := file.execute(there, (collection.name,)).fetchone()) != space:
                raise ConfigurationError(
                    f"{collection.name} holds vectors of {found[1]}/{found[2]}, not of {collection}"
                )
            file.executemany(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)",
                (
                    (collection.name, id_, text, digest_of(text), vectors[text])
                    for id_, text in texts.items()
                ),
            )

        self.write(put)

    def vector_of(self, collection: str, id_: str) -> bytes:
        """Return the vector of an entry.

        Raises:
            InvalidRequestError: The collection has no such entry.
        """
        query = "SELECT vector FROM entries WHERE collection = ? AND id = ?"
        row = self.read(lambda file: file.execute(query, (collection, id_)).fetchone())
        if row is None:
            raise InvalidRequestError(f"{collection} holds nothing with the id {id_!r}")
        vector: bytes = row[0]
        return vector

    def nearest(
        self, collection: str, vector: bytes, number: int, *, without: str | None = None
    ) -> list[Match]:
        """Return the *number* entries whose vectors are most like *vector*, the best first.

        Args:
            collection: Its name.
            vector: As `packed` returns it.
            number: How many at most.
            without: The id of an entry that is left out.
        """
        wanted = _unpacked(vector)
        every = "SELECT id, vector FROM entries WHERE collection = ?"
        text = "SELECT text FROM entries WHERE collection = ? AND id = ?"

        def read(file: sqlite3.Connection) -> list[Match]:
            scores = (
                (sum(map(mul, wanted, _unpacked(kept))), id_)
                for id_, kept in file.execute(every, (collection,))
                if id_ != without
            )
            best = nlargest(number, scores)
            texts = [file.execute(text, (collection, id_)).fetchone()[0] for _, id_ in best]
            return [
                Match(id=id_, score=score, text=said)
                for (score, id_), said in zip(best, texts, strict=True)
            ]

        return self.read(read)


def digest_of(text: str) -> str:
    """Return what stands for *text* in the index."""
    return sha256(text.encode()).hexdigest()


def packed(vector: list[float]) -> bytes:
    """Return *vector* as it is kept: with the length 1."""
    length = hypot(*vector) or 1.0
    return pack(f"<{len(vector)}f", *(number / length for number in vector))


def _unpacked(vector: bytes) -> tuple[float, ...]:
    return unpack(f"<{len(vector) // 4}f", vector)
