"""For applications that use bruno-llm: mocks, fake servers and recordings of real exchanges.

pytest finds the fixtures by itself; see `plugin`. `Cassette` and `network_blocked` serve without
pytest as well, and so does `MockLLM`, which `bruno_llm_base.testing` has.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

# Loaded when first used: pytest loads this package in every run of who has it installed.
_LATE = {
    "Call": "bruno_llm_base.testing",
    "Cassette": "bruno_llm_testing.cassette",
    "CassetteError": "bruno_llm_testing.recording",
    "MockLLM": "bruno_llm_base.testing",
    "MockReply": "bruno_llm_base.testing",
    "NetworkBlockedError": "bruno_llm_testing.network",
    "NoReplyError": "bruno_llm_base.testing",
    "network_blocked": "bruno_llm_testing.network",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LATE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
