"""What providers, and applications that use them, are tested with.

`MockLLM` stands in for a provider in an application's tests. It needs neither pytest nor a server.

For providers there are a fake server to build a vendor's API on, and the contracts: the behaviour
that all providers share, as tests. Subclass one and name the parts. `ModelContract` needs a model
that answers, real or not; `ProviderContract` adds what only a fake server can provoke;
`EmbeddingContract` is for providers of embeddings. They run
their own event loops, so pytest needs no plugin. Each provider ships its own fake in
`bruno_llm_<provider>.testing`. All this needs the extra `[testing]`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bruno_llm_base.testing.contract import ProviderContract
    from bruno_llm_base.testing.embedding_contract import EmbeddingContract
    from bruno_llm_base.testing.fakes import FakeAnswer, FakeError, Fault, RawReply
    from bruno_llm_base.testing.memory import Call
    from bruno_llm_base.testing.mock import MockLLM
    from bruno_llm_base.testing.model_contract import ModelContract
    from bruno_llm_base.testing.received import Received
    from bruno_llm_base.testing.replies import MockReply, NoReplyError
    from bruno_llm_base.testing.server import FakeServer
    from bruno_llm_base.testing.vectors import vector_of

__all__ = [
    "Call",
    "EmbeddingContract",
    "FakeAnswer",
    "FakeError",
    "FakeServer",
    "Fault",
    "MockLLM",
    "MockReply",
    "ModelContract",
    "NoReplyError",
    "ProviderContract",
    "RawReply",
    "Received",
    "vector_of",
]

# Loaded when first used: a mock needs neither pytest nor a server, a fake server no pytest.
_LATE = {
    "Call": "memory",
    "EmbeddingContract": "embedding_contract",
    "FakeAnswer": "fakes",
    "FakeError": "fakes",
    "FakeServer": "server",
    "Fault": "fakes",
    "MockLLM": "mock",
    "MockReply": "replies",
    "ModelContract": "model_contract",
    "NoReplyError": "replies",
    "ProviderContract": "contract",
    "RawReply": "fakes",
    "Received": "received",
    "vector_of": "vectors",
}
_EXTRA = ("aiohttp", "pytest")


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        if _LATE[name].endswith("contract"):
            _show_values_in_contracts()
        value = globals()[name] = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        raise ModuleNotFoundError(
            f"{name} needs {error.name}: pip install 'bruno-llm-base[testing]'", name=error.name
        ) from error
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _show_values_in_contracts() -> None:
    """Let pytest show the values in the contracts' failures, as it does in tests of one's own."""
    import sys

    import pytest

    names = tuple(f"{__name__}.{part}contract" for part in ("", "model_", "embedding_"))
    if sys.modules.keys().isdisjoint(names):
        pytest.register_assert_rewrite(*names)
