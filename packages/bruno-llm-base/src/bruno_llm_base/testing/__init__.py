"""What providers are tested with: a fake server to build a vendor's API on, and the contracts.

The contracts are the behaviour that all providers share, as tests: subclass one and name the parts.
`ModelContract` needs a model that answers, real or not; `ProviderContract` adds what only a fake
server can provoke; `EmbeddingContract` is for providers of embeddings. They run their own event loops, so pytest needs no plugin.

Each provider ships its own fake in `bruno_llm_<provider>.testing`. Install the extra `[testing]`.
"""

from bruno_llm_base.testing.contract import ProviderContract
from bruno_llm_base.testing.embedding_contract import EmbeddingContract
from bruno_llm_base.testing.model_contract import ModelContract
from bruno_llm_base.testing.received import Received
from bruno_llm_base.testing.script import FakeAnswer, FakeError, Fault, RawReply
from bruno_llm_base.testing.server import FakeServer
from bruno_llm_base.testing.vectors import vector_of

__all__ = [
    "EmbeddingContract",
    "FakeAnswer",
    "FakeError",
    "FakeServer",
    "Fault",
    "ModelContract",
    "ProviderContract",
    "RawReply",
    "Received",
    "vector_of",
]
