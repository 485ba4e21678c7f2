"""Documents, by how well they answer a question: the API that vendors of rerankers share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from types import new_class
from typing import Any, ClassVar, Self, cast

from bruno_llm_base import Json, LLMError, ModelResponse, Usage
from bruno_llm_base.call import result_of
from bruno_llm_base.client import Client, Policies
from bruno_llm_base.cost.prices import InputPrices, reported_cost
from bruno_llm_base.discovery import EMBEDDINGS, canonical, split_name
from bruno_llm_base.exceptions import (
    ConfigurationError,
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
)
from bruno_llm_base.messages import check_text
from bruno_llm_base.options import SharedSettings, check_sendable, did_you_mean
from bruno_llm_base.parts import object_in
from bruno_llm_base.request import Request
from bruno_llm_base.response import checked
from bruno_llm_base.sources import split_model
from bruno_llm_base.tokens import utf8_size
from bruno_llm_base.values import is_whole
from typing_extensions import Unpack

from bruno_llm_openai.rerank_vendors import ROWS
from bruno_llm_openai.row import RerankRow
from bruno_llm_openai.vendor import OpenAIAdapter, OpenAIVendor


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document, its place in the list that was given, and how well it answers: more is better.

    Scores compare within one answer; what they range over is the model's.
    """

    index: int
    score: float
    document: str


@dataclass(slots=True, kw_only=True)
class Ranking(ModelResponse):
    """What a reranker answers: documents, and no text.

    Attributes:
        results: The best documents, the best one first; of equal ones, in the order they had.
        search_units: By what Cohere charges instead of tokens, where it says so.
    """

    results: list[Ranked] = field(default_factory=list)
    search_units: int | None = None


class RerankAdapter(OpenAIAdapter):
    """How vendors of rerankers spell things."""

    __slots__ = ()

    rerank_path = "/rerank"
    reserved_fields = frozenset({"documents", "model", "query", "top_k", "top_n"})

    def build_probe(self, model: str) -> tuple[str, Json]:
        return self.rerank_path, {"model": model, "query": "", "documents": []}

    def parse(self, data: Json) -> Ranking:
        """Read the places and scores of documents, and what the server says of the tokens."""
        rows = data["results"] if "results" in data else data["data"]
        counts, meta = object_in(data.get("usage")), object_in(data.get("meta"))
        said = (
            *map(counts.get, ("prompt_tokens", "total_tokens")),
            object_in(meta.get("tokens")).get("input_tokens"),
        )
        return Ranking(
            results=[Ranked(*_read(row), "") for row in rows],
            search_units=object_in(meta.get("billed_units")).get("search_units"),
            usage=Usage(input_tokens=next(filter(None, said), None), output_tokens=0),
            cost=reported_cost(counts),
            model=data.get("model") or None,
        )


class RerankKeywords(SharedSettings, Policies, total=False):
    """What a reranker is built with, beside its vendor and model."""


class RerankPrices(InputPrices):
    """What rankings cost, where that goes by tokens."""

    operation = "rerank"


class Reranker(OpenAIVendor, Client):
    """Rank documents by how well they answer a question.

        ranking = await Reranker("jina").rank("Where do cats sleep?", notes, top=5)

    Requests take the path of all others: they are tried again, wait for a place in `rate_limit`, are
    booked in `cost`, kept within `budget`, and told to observers.
    """

    adapter_type = RerankAdapter
    adapter: RerankAdapter
    prices_type = RerankPrices
    endpoints: ClassVar[tuple[str, ...]] = (*OpenAIVendor.endpoints, "/rerank")
    capabilities = frozenset({"rerank"})
    default_model = ""

    def __new__(cls, vendor: str | RerankRow, *_: Any, **__: Any) -> Self:
        """Return one of the class of *vendor*."""
        return cast(Self, object.__new__(_class_of(vendor)))

    def __init__(
        self,
        vendor: str | RerankRow,
        model: str | None = None,
        **keywords: Unpack[RerankKeywords],
    ) -> None:
        """Set up a reranker. Nothing is sent, and no SDK is imported.

        Args:
            vendor: "cohere", "fireworks", "jina", "llamacpp", "together", "vllm", "voyage", perhaps with
                a model ("jina/jina-reranker-v3"), or a row of your own.
            model: The model; the vendor's `default_model` if None.
            **keywords: Those of `SharedSettings` and `Policies`.

        Raises:
            ConfigurationError: The vendor or a keyword is unknown, a value is wrong, or the key or the
                model is missing.
        """
        self._vendor, row = vendor, self._row
        if isinstance(vendor, str):
            model = split_model({"provider": vendor, "model": model}, EMBEDDINGS)["model"]
        if model is None and not row.default_model:
            raise ConfigurationError(f"{row.name} has no reranker of its own choice: give model=")
        super().__init__(row.default_model if model is None else model, keywords, None)
        self._own_fields: Json = row.fields | (self._settings.get("options") or {})
        check_sendable(self._own_fields, self.adapter.reserved_fields, ConfigurationError)

    def make_adapter(self) -> RerankAdapter:
        return self.adapter_type.at(self.access, self._row)

    @property
    def _row(self) -> RerankRow:
        return cast(RerankRow, self.row)

    def __reduce__(self) -> tuple[Any, ...]:
        made, arguments = super().__reduce__()
        return partial(Reranker, self._vendor, **made.keywords), arguments

    async def rank(
        self, query: str, documents: Sequence[str], *, top: int | None = None
    ) -> Ranking:
        """Return the best of *documents* for *query*; no request is made where there are none.

        Args:
            query: The question.
            documents: The texts; a vendor may cut what is too long, see its documentation.
            top: How many come back; all of them if None.

        Raises:
            InvalidRequestError: A text is empty or no text, or there are more than the vendor takes;
                nothing has been sent.
            LLMError: Any other failure; see `bruno_llm_base.exceptions`.
        """
        _check_text("query", query)
        if isinstance(documents, str) or not isinstance(documents, Sequence):
            kind = type(documents).__name__
            raise InvalidRequestError(f"documents is a {kind}: give a list of texts")
        for place, document in enumerate(documents):
            _check_text(f"documents[{place}]", document)
        if top is not None and not is_whole(top, least=1):
            raise InvalidRequestError(f"top is {top!r}: give a whole number from 1 on, or None")
        most = self._row.max_documents
        if most is not None and len(documents) > most:
            raise InvalidRequestError(
                f"documents has {len(documents):,} texts, and {self.name} takes {most:,} at most in"
                " one request: rank fewer"
            )
        if not documents:
            nothing = Usage(input_tokens=0, output_tokens=0)
            return Ranking(usage=nothing, model=self.model, provider=self.name)
        wanted = min(top or len(documents), len(documents))
        return await result_of(self._endpoint, self._request(query, list(documents), wanted))

    def _request(self, query: str, documents: list[str], wanted: int) -> Request[Ranking]:
        endpoint = self._endpoint
        request = _RankRequest(
            operation="rerank",
            is_billed=True,
            adapter=self.adapter,
            path=self.adapter.rerank_path,
            body=self._own_fields
            | {
                "model": self.model,
                "query": query,
                "documents": documents,
                self._row.top_field: wanted,
            },
            model=self.model,
            texts=[query, *documents],
            labels=None if endpoint.spending is None else endpoint.spending.labels(),
            parse=partial(self._parse, documents, wanted),
            advise=self._advise,
        )
        if endpoint.rate_limit is not None and endpoint.rate_limit.tokens_per_minute:
            request.tokens = request.estimated_input
        return request

    def _parse(self, documents: list[str], wanted: int, data: Json) -> Ranking:
        ranking = checked(self.adapter.parse(data))
        seen: set[int] = set()
        for index in [result.index for result in ranking.results]:
            if index in seen or index >= len(documents):
                why = "twice" if index in seen else f"of {len(documents)}, the first being 0"
                raise InvalidResponseError(f"the server ranked document {index} {why}")
            seen.add(index)
        if len(seen) < wanted:
            raise InvalidResponseError(
                f"the server ranked {len(seen)} of {len(documents)} documents, and {wanted} were"
                " asked for"
            )
        best = sorted(ranking.results, key=lambda result: (-result.score, result.index))
        ranking.results = [
            replace(result, document=documents[result.index]) for result in best[:wanted]
        ]
        return ranking

    async def _advise(self, error: LLMError) -> list[str]:
        advice = await super()._advise(error)
        if isinstance(error, ContextLengthExceededError):
            return ["cut the documents into shorter ones", *advice]
        return advice


class _RankRequest(Request[Ranking]):
    __slots__ = ()

    @property
    def most_input(self) -> int:
        """More tokens than its input can take: the query is read with each document."""
        query, *documents = self.texts
        whole: int = Request.most_input.fget(self)  # type: ignore[attr-defined]
        return whole + utf8_size(query) * len(documents)


def _read(row: Json) -> tuple[int, float]:
    index, score = row["index"], row["relevance_score"]
    is_number = isinstance(score, int | float) and not isinstance(score, bool)
    if not is_whole(index, least=0) or not is_number or not math.isfinite(score):
        raise TypeError("a result of a ranking")
    return index, float(score)


def _check_text(name: str, text: str) -> None:
    check_text(name, text)
    if not text.strip():
        raise InvalidRequestError(f"{name} is empty: there is nothing to rank")


@cache
def _class_of(vendor: str | RerankRow) -> type[Reranker]:
    """Return the class of rerankers of *vendor*, or raise which vendors there are."""
    name = canonical(split_name(vendor, EMBEDDINGS)[0]) if isinstance(vendor, str) else ""
    row = vendor if isinstance(vendor, RerankRow) else ROWS.get(name)
    if row is None:
        raise ConfigurationError(
            f"no vendor of rerankers is called {vendor!r}{did_you_mean(name, ROWS)}; a server of your"
            " own most likely speaks as 'vllm' does: give that and base_url"
        )
    kind = new_class(f"{row.name.title()}Reranker", (Reranker,), {"row": row})
    return cast(type[Reranker], kind)
