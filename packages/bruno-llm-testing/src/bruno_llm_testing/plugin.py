"""Fixtures, options and a marker for pytest, which finds them by itself.

| fixture | |
|---|---|
| `mock_llm` | a fresh `MockLLM`; tell it what to say with `mock_llm.say(...)` |
| `fake_openai`, `fake_claude`, `fake_gemini`, `fake_ollama` | a running fake server |
| `llm_env` | `llm_env("openai")` points the environment at that fake, and returns it |
| `llm_cassette` | a `Cassette` of the test's own, in `cassettes/` beside the test's file |
| `no_llm_network` | forbids the test to reach another machine |

The ini option `bruno_llm_block_network = true` forbids that to all tests but those marked with
`llm_network` and those that record. `--llm-record=missing` records cassettes that are not there,
`--llm-record=rewrite` all of them.
"""

import hashlib
import re
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from bruno_llm_testing.fakes import FAKES, fake_of

# The rest is imported when it is used: pytest loads this in every run where it is installed.
if TYPE_CHECKING:
    from bruno_llm_testing.cassette import Cassette, Mode
    from bruno_llm_testing.mock import MockLLM
    from bruno_llm_testing.server import FakeServer

_LONGEST = 80  # characters of a file's name, which file systems and Windows's paths bound
_STAND_IN = "a-key-for-replaying"

# as in tests of one's own, their failures show the values
pytest.register_assert_rewrite("bruno_llm_testing.contracts")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.addini(
        "bruno_llm_block_network",
        "forbid tests to reach other machines, but for those marked with llm_network",
        type="bool",
        default=False,
    )
    parser.getgroup("bruno-llm").addoption(
        "--llm-record",
        choices=["missing", "rewrite"],
        help="record the cassettes that are missing, or all; needs keys and the network",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker."""
    config.addinivalue_line(
        "markers", "llm_network: the test may use the network, whatever bruno_llm_block_network is"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Forbid the network for a test, fixtures included."""
    if not item.config.getini("bruno_llm_block_network") or _may_reach_out(item):
        return (yield)
    from bruno_llm_testing.network import network_blocked

    with network_blocked():
        return (yield)


def _may_reach_out(item: pytest.Item) -> bool:
    records = item.config.getoption("llm_record") is not None
    return item.get_closest_marker("llm_network") is not None or (
        records and "llm_cassette" in getattr(item, "fixturenames", ())
    )


@pytest.fixture
def no_llm_network() -> Iterator[None]:
    """Forbid the test to reach another machine; see `network_blocked`."""
    from bruno_llm_testing.network import network_blocked

    with network_blocked():
        yield


@pytest.fixture
def mock_llm() -> "MockLLM":
    """Return a fresh `MockLLM`; tell it what to say with `mock_llm.say(...)`."""
    from bruno_llm_testing.mock import MockLLM

    return MockLLM()


def _fixture(name: str) -> Callable[[], Iterator["FakeServer"]]:
    """Return the fixture that is a running fake of the provider *name*."""

    @pytest.fixture(name=f"fake_{name}")
    def running() -> Iterator["FakeServer"]:
        """Return a running fake server of a vendor's API."""
        with fake_of(name)() as server:
            yield server

    return running


globals().update({f"fake_{name}": _fixture(name) for name in FAKES})


@pytest.fixture
def llm_env(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], "FakeServer"]:
    """Return a function that points the environment at a provider's fake server, by name.

    `LLMFactory.from_env()`, `LLMFactory.create(name)` and the provider's class find it there, and
    nothing that the machine's own environment says about bruno-llm. It returns the fake.
    """
    import os

    from bruno_llm_base.discovery import kind_of

    for name in [name for name in os.environ if name.startswith("BRUNO_LLM_")]:
        monkeypatch.delenv(name)

    def point(name: str) -> "FakeServer":
        if name not in FAKES:
            raise pytest.UsageError(f"llm_env({name!r}): give one of {', '.join(FAKES)}")
        server: FakeServer = request.getfixturevalue(f"fake_{name}")
        kind = kind_of(name)
        for variable in kind.api_key_env[1:]:
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv(kind.api_key_env[0], server.api_key)
        monkeypatch.setenv(str(kind.base_url_env), server.connection()["base_url"])
        monkeypatch.setenv("BRUNO_LLM_PROVIDER", name)
        return server

    return point


@pytest.fixture
def llm_cassette(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator["Cassette"]:
    """Open a `Cassette` in `cassettes/<test file>/<test>.json`, beside the test's file.

    It replays, unless `--llm-record` says otherwise. Where it replays, providers that find no key
    are given a made-up one.
    """
    from bruno_llm_testing.cassette import Cassette

    test = _file_name(request.node.nodeid.partition("::")[2])
    path = request.path.parent / "cassettes" / request.path.stem / f"{test}.json"
    mode: Mode = request.config.getoption("llm_record") or "replay"
    if mode == "replay" or (mode == "missing" and path.exists()):
        _stand_in_for_keys(monkeypatch)
    with Cassette(path, mode=mode) as cassette:
        yield cassette


def _file_name(test: str) -> str:
    """Return a file name for a test, of which a parameter may be any text of any length."""
    name = re.sub(r"[^\w.-]+", "-", test).strip("-")
    if re.fullmatch(r"[\w.-]+(\[[\w.-]+\])?", test.replace("::", "-")) and len(name) <= _LONGEST:
        return name
    # what was left out may be all that tells it from another
    return f"{name[:_LONGEST]}-{hashlib.sha256(test.encode()).hexdigest()[:8]}"


def _stand_in_for_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from bruno_llm_base.discovery import installed, kind_of

    for info in installed():
        kind = None if info.error else kind_of(info.name)
        variables = getattr(kind, "api_key_env", ()) if getattr(kind, "needs_key", False) else ()
        if variables and not any(os.environ.get(variable) for variable in variables):
            monkeypatch.setenv(variables[0], _STAND_IN)
