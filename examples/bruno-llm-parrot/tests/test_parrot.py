"""Parrot's API on a loopback socket, and the provider's contract with it."""

import asyncio
import json

from bruno_llm_parrot import ParrotProvider
from bruno_llm_testing import FakeAnswer, FakeError, FakeServer, ProviderContract

ERRORS = {
    "authentication": 401,
    "permission": 403,
    "quota": 402,
    "rate_limit": 429,
    "overloaded": 503,
    "server_error": 500,
    "model_not_found": 404,
    "context_length": 413,
    "invalid_request": 400,
}
CODES = {"model_not_found": "no_such_bird", "context_length": "too_long"}


class FakeParrot(FakeServer):
    """A server that speaks Parrot's API, and repeats what it hears."""

    models = ("grey", "macaw")
    content_type = "application/x-ndjson"
    ping = b"\n"
    garbage = b'{"broken\n'

    def connection(self):
        return {"base_url": self.address, "api_key": self.api_key}

    def operation(self, request):
        if request.path == "/v1/repeat":
            return "stream" if request.body.get("stream") else "chat"
        return "models" if request.path == "/v1/birds" else "unknown"

    def refuse(self, request):
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return FakeError(kind="authentication")
        if request.method == "POST" and request.body["model"] not in self.models:
            return FakeError(kind="model_not_found")
        return None

    def default(self, request):
        return FakeAnswer(text=request.body["messages"][-1]["text"])

    def render_answer(self, answer, request):
        usage = {"heard": answer.usage.input_tokens, "said": answer.usage.output_tokens}
        return {
            "model": request.body["model"],
            "text": answer.text,
            "end": answer.finish_reason,
        } | usage

    def render_stream(self, answer, request):
        parts = [{"text": piece} for piece in answer.pieces]
        parts.append(self.render_answer(answer, request) | {"text": ""})
        return [json.dumps(part).encode() + b"\n" for part in parts]

    def render_error(self, error, request):
        status = ERRORS[error.kind]
        said = {"code": CODES.get(error.kind), "message": error.kind, "status": status}
        figures = {"limit": error.limit, "words": error.actual}
        return status, {"error": said | (figures if error.kind == "context_length" else {})}

    def render_stream_error(self, error, request):
        return json.dumps(self.render_error(error, request)[1]).encode() + b"\n"

    def render_models(self):
        return {"birds": self.models}


class TestParrot(ProviderContract):
    provider = ParrotProvider
    fake = FakeParrot
    reports_reasoning = False
    filters_content = False
    calls_tools = False
    counts_tokens = False


def test_it_repeats_what_it_hears():
    async def test():
        async with ParrotProvider(**server.connection(), max_tokens=9) as llm:
            whole = await llm.generate("Polly wants a cracker.")
            return whole, [piece async for piece in llm.stream("Polly wants a cracker.")]

    with FakeParrot() as server:
        whole, pieces = asyncio.run(test())
    assert whole == "Polly wants a cracker."
    assert pieces == ["Polly", " wants", " a", " cracker."]
    assert server.bodies[0]["messages"] == [{"who": "user", "text": "Polly wants a cracker."}]
    assert server.bodies[0]["max_words"] == 9
