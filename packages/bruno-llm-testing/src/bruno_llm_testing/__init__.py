"""For applications that use bruno-llm: mocks, fake servers and recordings of real exchanges.

pytest finds the fixtures by itself; see `plugin`. `Cassette` and `network_blocked` serve without
pytest as well, and so does `MockLLM`, which `bruno_llm_base.testing` has.
"""

from bruno_llm_base.testing import Call, MockLLM, MockReply, NoReplyError

from bruno_llm_testing.cassette import Cassette
from bruno_llm_testing.network import NetworkBlockedError, network_blocked
from bruno_llm_testing.recording import CassetteError

__all__ = [
    "Call",
    "Cassette",
    "CassetteError",
    "MockLLM",
    "MockReply",
    "NetworkBlockedError",
    "NoReplyError",
    "network_blocked",
]
