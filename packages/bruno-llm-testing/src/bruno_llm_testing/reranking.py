"""The API of rerankers on a loopback socket, in the shapes of several vendors, for tests.

They are those of docs.cohere.com/reference/rerank, docs.voyageai.com/reference/reranker-api,
api.jina.ai/scalar, docs.together.ai/reference/rerank and of llama.cpp's server.
"""

from typing import Any, ClassVar, Literal

from bruno_llm_base import Json

from bruno_llm_testing.fakes.openai import FakeOpenAI
from bruno_llm_testing.script import FakeError, Received
from bruno_llm_testing.server import Operation

__all__ = ["FakeReranker", "Shape", "score_of"]

Shape = Literal["cohere", "fireworks", "jina", "llamacpp", "together", "vllm", "voyage"]
_OWN_FIELDS: dict[str, set[str]] = {
    "cohere": {"max_tokens_per_doc", "priority", "relevant_spans"},
    "voyage": {"return_documents", "truncation"},
}
_ERRORS: dict[str, tuple[int, str]] = {
    "authentication": (401, "invalid api token"),
    "permission": (403, "You do not have permission to use this model."),
    "quota": (402, "insufficient balance"),
    "rate_limit": (429, "You are past the rate limit per minute."),
    "overloaded": (503, "The service is overloaded, try again later."),
    "server_error": (500, "internal server error"),
    "model_not_found": (404, "model '{model}' not found, make sure the correct model ID was used."),
    "context_length": (
        400,
        "request ({actual} tokens) exceeds the maximum context length of {limit}",
    ),
    "invalid_request": (422, "{param}: this field is not valid"),
}


class FakeReranker(FakeOpenAI):
    """A server that ranks documents by the share of the query's words in them.

    Attributes:
        shape: Whose API it is.
    """

    rerank_models: ClassVar[tuple[str, ...]] = ("a-reranker",)

    def __init__(self, shape: Shape = "jina") -> None:
        """Prepare one in the *shape* of a vendor's."""
        super().__init__()
        self.shape = shape

    def connection(self) -> dict[str, Any]:
        return super().connection() | {"model": self.rerank_models[0]}

    def operation(self, request: Received) -> Operation:
        is_ranking = request.method == "POST" and request.path == "/v1/rerank"
        return "rerank" if is_ranking else super().operation(request)

    def refuse(self, request: Received) -> FakeError | None:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return FakeError(kind="authentication")
        if self.operation(request) != "rerank":
            return super().refuse(request)
        body, top = request.body, "top_k" if self.shape == "voyage" else "top_n"
        if body.get("model") not in self.rerank_models:
            return FakeError(kind="model_not_found")
        known = {"model", "query", "documents", top}
        own = _OWN_FIELDS.get(self.shape, {"return_documents"})
        for name in body:
            if name not in known | own and not name.startswith("x_"):
                return FakeError(kind="invalid_request", param=name)
        documents = body.get("documents")
        if not documents or not all(isinstance(each, str) for each in documents):
            return FakeError(kind="invalid_request", param="documents")
        return None

    def render_ranking(self, tokens: int, request: Received) -> Json:
        documents, query = request.body["documents"], request.body["query"]
        rows: list[Json] = [
            {"index": place, "relevance_score": score_of(query, document)}
            for place, document in enumerate(documents)
        ]
        rows.sort(key=lambda row: -row["relevance_score"])
        rows = rows[: request.body.get("top_n", request.body.get("top_k"))]
        if request.body.get("return_documents", self.shape == "jina"):
            for row in rows:
                text = documents[row["index"]]
                row["document"] = text if self.shape == "voyage" else {"text": text}
        model = request.body["model"]
        match self.shape:
            case "cohere":
                units = {"billed_units": {"search_units": -(-len(documents) // 100)}}
                return {"id": "07734bd2", "results": rows, "meta": units}
            case "voyage" | "fireworks":
                usage = {"total_tokens": tokens}
                return {"object": "list", "data": rows, "model": model, "usage": usage}
        counts = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"model": model, "object": "list", "usage": counts, "results": rows}

    def render_error(self, error: FakeError, request: Received) -> tuple[int, Json]:
        status, text = _ERRORS[error.kind]
        told = {"actual": error.actual, "limit": error.limit, "param": error.param}
        message = text.format(model=request.body.get("model"), **told)
        match self.shape:
            case "cohere":
                return status, {"id": "07734bd2", "message": message}
            case "jina" | "voyage":
                return status, {"detail": message}
        return status, {"error": {"code": status, "message": message, "type": "error"}}


def score_of(query: str, document: str) -> float:
    """Return which share of the words of *query* stands in *document*: 0 to 1."""
    words = {word.strip(".,;:!?") for word in query.lower().split()}
    return len(words & {word.strip(".,;:!?") for word in document.lower().split()}) / len(words)
