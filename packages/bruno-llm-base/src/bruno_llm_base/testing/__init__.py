"""What providers are tested with: a fake server to build a vendor's API on, and the contracts.

Each provider ships its own fake in `bruno_llm_<provider>.testing`. Install the extra `[testing]`.
"""

from bruno_llm_base.testing.contract import ModelContract, ProviderContract
from bruno_llm_base.testing.server import FakeServer, Received
from bruno_llm_base.testing.script import FakeAnswer, FakeError

__all__ = [
    "FakeAnswer",
    "FakeError",
    "FakeServer",
    "ModelContract",
    "ProviderContract",
    "Received",
]
