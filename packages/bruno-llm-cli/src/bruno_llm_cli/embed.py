"""Texts into a collection of vectors, and those of one that are most like a text."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any

from bruno_llm_base.batch.template import field_of, fingerprint, question_of
from bruno_llm_base.cost.report import dollars
from bruno_llm_base.discovery import EMBEDDINGS, canonical, installed, split_name
from bruno_llm_base.embeddings import BaseEmbeddings
from bruno_llm_base.events import Event, RequestFinished
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.factory import EmbeddingFactory
from typer import BadParameter

from bruno_llm_cli import settings
from bruno_llm_cli.choice import is_set_up
from bruno_llm_cli.collection import Collection, CollectionsFile, Match, digest_of, packed
from bruno_llm_cli.input import read_file, read_text
from bruno_llm_cli.map import read_rows
from bruno_llm_cli.output import say, show_document, show_table

_AT_ONCE = 1024  # texts that are sent and written together: what is written survives Ctrl-C
_SHOWN = 160  # characters of a text that a table has

Entry = tuple[str, str]
"""An id and a text."""


def embeddings_of(
    known: Collection | None,
    provider: str | None,
    model: str | None,
    dimensions: int | None,
    **keywords: Any,
) -> BaseEmbeddings:
    """Return the embeddings of a collection that is *known*, else those that the user has chosen.

    Raises:
        ConfigurationError: Nothing tells which; or the user's are not those of the collection.
    """
    if provider is None and model is not None:
        named, rest = split_name(model, EMBEDDINGS)
        if canonical(named) in {*_names(), *EMBEDDINGS.without}:
            provider, model = named, rest
    elif provider is not None:
        provider, rest = split_name(provider, EMBEDDINGS)
        model = model or rest
    if known is None:
        provider = provider or _set_up()
        return EmbeddingFactory.from_env(provider, model, dimensions=dimensions, **keywords)
    asked = canonical(provider or known.provider), model or known.model
    if (*asked, dimensions or known.dimensions) != (
        known.provider,
        known.model,
        known.dimensions,
    ):
        raise ConfigurationError(
            f"{known.name} holds vectors of {known}, and those of other models cannot be compared"
            " with them: leave the model out, or choose another collection"
        )
    embeddings = EmbeddingFactory.from_env(*asked, **keywords)
    if _dimension(embeddings) in (None, known.dimensions):
        return embeddings
    return EmbeddingFactory.from_env(*asked, dimensions=known.dimensions, **keywords)


def _dimension(embeddings: BaseEmbeddings) -> int | None:
    with suppress(ConfigurationError):
        return embeddings.get_dimension()
    return None


def _names() -> list[str]:
    return [info.name for info in installed(EMBEDDINGS) if "mock" not in info.capabilities]


def _set_up() -> str | None:
    """Return the provider of embeddings that is settled, or the only one that is set up.

    None if the environment names one.
    """
    if os.environ.get("BRUNO_LLM_EMBEDDING_PROVIDER", "").strip():
        return None
    names = _names()
    settled, _ = split_name(settings.read().model or "none")
    if canonical(settled) in names:
        return settled
    set_up = [name for name in names if is_set_up(name, EMBEDDINGS)]
    if len(set_up or names) == 1:
        return (set_up or names)[0]
    if set_up:
        raise ConfigurationError(
            f"several providers of embeddings are set up ({', '.join(set_up)}): choose one, as"
            f" with -m {set_up[0]}; the collection keeps it"
        )
    raise ConfigurationError(
        "no provider of embeddings is set up: set OPENAI_API_KEY or GEMINI_API_KEY; or, without a"
        " key, start Ollama and give -m ollama"
    )


def entries_of(
    words: list[str],
    *,
    id_: str | None,
    files: list[Path],
    rows: Path | None,
    template: str,
    key: str | None,
) -> Iterable[Entry]:
    """Return the texts that are to be embedded, each with its id: those of files and rows come as they are read.

    Without a file or rows, the text is that of the command line and stdin.
    """
    if id_ is not None and not words and (files or rows):
        raise BadParameter("--id names the text, and there is none: files and rows have their own")
    several: list[Iterable[Entry]] = [((str(file), read_file(file)) for file in files)]
    if rows is not None:
        several.append(_entries_of_rows(rows, template, key))
    if words or not (files or rows):
        text = read_text(words, piped=not (files or rows))
        several.append([(id_ or digest_of(text)[:16], text)])
    return chain(*several)


def _entries_of_rows(path: Path, template: str, key: str | None) -> Iterator[Entry]:
    text_of = question_of(template, "--template")
    for row in read_rows(path):
        id_ = fingerprint(row) if key is None else field_of(row, key, "--key")
        yield str(id_), str(text_of(row))


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was done, as an observer of the embeddings.

    Attributes:
        embedded: How many texts were sent.
        there: How many were there already, or elsewhere in the file.
        empty: How many had no text.
        cost: USD; None if a price is unknown.
    """

    embedded: int = 0
    there: int = 0
    empty: int = 0
    tokens: int = 0
    cost: Decimal | None = Decimal(0)

    def __call__(self, event: Event) -> None:
        """Add what a request took."""
        if isinstance(event, RequestFinished):
            self.tokens += event.response.usage.input_tokens or 0
            cost = event.response.cost
            self.cost = None if cost is None or self.cost is None else self.cost + cost.total

    def __str__(self) -> str:
        parts = [f"{self.embedded} embedded"]
        parts += [f"{self.there} were there"] if self.there else []
        parts += [f"{self.empty} empty"] if self.empty else []
        if self.embedded:
            parts.append("price unknown" if self.cost is None else dollars(self.cost))
        return ", ".join(parts)


async def embed(
    file: CollectionsFile,
    name: str,
    embeddings: BaseEmbeddings,
    entries: Iterable[Entry],
    tally: Tally,
    *,
    as_json: bool,
) -> None:
    """Write *entries* into a collection; what is there, or elsewhere in the file, is not sent."""
    collection = file.find(name) or Collection(
        name=name,
        provider=embeddings.name,
        model=embeddings.model,
        dimensions=_dimension(embeddings) or 0,
    )
    left = iter(entries)
    try:
        with _progress() as advance:
            while some := list(islice(left, _AT_ONCE)):
                texts = {id_: text for id_, text in some if text.strip()}
                tally.empty += sum(not text.strip() for _, text in some)
                collection = await _embed(file, collection, embeddings, texts, tally)
                advance(len(some))
    finally:
        await embeddings.aclose()
        if not as_json:
            say(f"{name}: {tally}")
    if as_json:
        about = asdict(collection) | {"collection": name}
        del about["name"], about["entries"]
        cost = None if tally.cost is None else f"{tally.cost:f}"
        show_document(about | asdict(tally) | {"cost": cost})


async def _embed(
    file: CollectionsFile,
    collection: Collection,
    embeddings: BaseEmbeddings,
    texts: dict[str, str],
    tally: Tally,
) -> Collection:
    """Write *texts*, by id, and return the collection, whose dimensions are known then."""
    unchanged = file.unchanged(collection.name, texts)
    changed = {id_: text for id_, text in texts.items() if id_ not in unchanged}
    vectors = file.vectors(collection, changed.values())
    if new := [text for text in dict.fromkeys(changed.values()) if text not in vectors]:
        made = await embeddings.embed_texts(new)
        vectors |= dict(zip(new, map(packed, made), strict=True))
        collection = replace(collection, dimensions=len(made[0]))
    if changed:
        file.put(collection, changed, vectors)
    tally.embedded += len(new)
    tally.there += len(texts) - len(new)
    return collection


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Return what is told how many texts are done, and shows it where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.completed} texts"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda number: progress.advance(task, number)


async def similar(
    file: CollectionsFile, collection: Collection, text: str | None, id_: str, number: int
) -> list[Match]:
    """Return the *number* entries that are most like *text*, or like the entry *id_*."""
    if text is None:
        vector = file.vector_of(collection.name, id_)
        return file.nearest(collection.name, vector, number, without=id_)
    embeddings = embeddings_of(collection, None, None, None)
    try:
        vector = packed(await embeddings.embed_text(text))
    finally:
        await embeddings.aclose()
    return file.nearest(collection.name, vector, number)


def show_matches(collection: str, matches: list[Match], *, as_json: bool) -> None:
    """Print what was found, the best first."""
    if as_json:
        show_document({"collection": collection, "matches": list(map(asdict, matches))})
        return
    rows = [(f"{match.score:.3f}", match.id, _shortened(match.text)) for match in matches]
    show_table(("score", "id", "text"), rows, right=("score",))


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."


def show_collections(found: list[Collection], *, as_json: bool) -> None:
    """Print what collections there are."""
    if as_json:
        show_document({"collections": list(map(asdict, found))})
        return
    rows = [
        (each.name, f"{each.entries:,}", f"{each.provider}/{each.model}", f"{each.dimensions:,}")
        for each in found
    ]
    right = ("texts", "dimensions")
    show_table(("collection", "texts", "model", "dimensions"), rows, right=right)
