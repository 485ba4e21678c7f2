"""For tests: a mock, the vendors' fake servers, contracts for providers, recordings, no network.

pytest finds the fixtures by itself; see `plugin`. The rest serves without pytest, but for the
contracts: `ModelContract` needs a model that answers, real or not; `ProviderContract` and
`EmbeddingContract` add what only a fake server can provoke.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bruno_llm_testing.batches import FakeBatch, FakeBatches
    from bruno_llm_testing.cassette import Cassette
    from bruno_llm_testing.contracts.embedding import EmbeddingContract
    from bruno_llm_testing.contracts.model import ModelContract
    from bruno_llm_testing.contracts.provider import ProviderContract
    from bruno_llm_testing.contracts.rerank import RerankContract
    from bruno_llm_testing.fakes._vendors import FakeVendor
    from bruno_llm_testing.fakes.claude import FakeClaude
    from bruno_llm_testing.fakes.gemini import FakeGemini
    from bruno_llm_testing.fakes.ollama import FakeOllama
    from bruno_llm_testing.fakes.openai import FakeOpenAI
    from bruno_llm_testing.mock import MockLLM
    from bruno_llm_testing.mock_replies import MockReply, NoReplyError
    from bruno_llm_testing.mock_transport import Call
    from bruno_llm_testing.network import NetworkBlockedError, network_blocked
    from bruno_llm_testing.recording import CassetteError
    from bruno_llm_testing.reranking import FakeReranker
    from bruno_llm_testing.script import FakeAnswer, FakeError, Fault, RawReply, Received
    from bruno_llm_testing.server import FakeServer, vector_of

__all__ = [
    "Call",
    "Cassette",
    "CassetteError",
    "EmbeddingContract",
    "FakeAnswer",
    "FakeBatch",
    "FakeBatches",
    "FakeClaude",
    "FakeError",
    "FakeGemini",
    "FakeOllama",
    "FakeOpenAI",
    "FakeReranker",
    "FakeServer",
    "FakeVendor",
    "Fault",
    "MockLLM",
    "MockReply",
    "ModelContract",
    "NetworkBlockedError",
    "NoReplyError",
    "ProviderContract",
    "RawReply",
    "Received",
    "RerankContract",
    "network_blocked",
    "vector_of",
]

# Loaded when first used: pytest loads this package in every run, and a mock needs no server.
_MODULES = {
    "batches": ("FakeBatch", "FakeBatches"),
    "cassette": ("Cassette",),
    "contracts.embedding": ("EmbeddingContract",),
    "contracts.model": ("ModelContract",),
    "contracts.provider": ("ProviderContract",),
    "contracts.rerank": ("RerankContract",),
    "fakes._vendors": ("FakeVendor",),
    "fakes.claude": ("FakeClaude",),
    "fakes.gemini": ("FakeGemini",),
    "fakes.ollama": ("FakeOllama",),
    "fakes.openai": ("FakeOpenAI",),
    "mock": ("MockLLM",),
    "mock_replies": ("MockReply", "NoReplyError"),
    "mock_transport": ("Call",),
    "network": ("NetworkBlockedError", "network_blocked"),
    "recording": ("CassetteError",),
    "reranking": ("FakeReranker",),
    "script": ("FakeAnswer", "FakeError", "Fault", "RawReply", "Received"),
    "server": ("FakeServer", "vector_of"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
