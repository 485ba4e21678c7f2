"""Record what real servers answer, and replay it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args
from unittest.mock import patch

from bruno_llm_base import Access, ConfigurationError
from bruno_llm_base.transport import PerLoop, Transport
from bruno_llm_base.values import shown

from bruno_llm_testing.recording import Recording
from bruno_llm_testing.scrub import Scrubber
from bruno_llm_testing.tape import Player, Recorder

Mode = Literal["replay", "missing", "rewrite"]


class Cassette:
    """Replays the answers of real servers from a file, which it can record.

        with Cassette("tests/cassettes/weather.json"):
            answer = await llm.generate("Will it rain?")

    While it is open, it holds for every provider of the process but `MockLLM`. A request is answered
    by the first exchange on file that has not been replayed yet and has its provider, method, path
    and body; streams come in the pieces in which they came. Nothing is sent, no SDK is loaded, and
    any key will do. A request that is not on file is a `CassetteError`, which says what differs;
    one that the code under test has swallowed is raised again at the end.

    Of a picture or another file that is sent, it holds a hash. It holds no request headers and, of the response headers, only those that providers read.
    The provider's own key, values of the environment's variables for keys, tokens, secrets and
    passwords, `secrets`, and whatever looks like a vendor's key are removed from everything else.
    Connections that fail are not recorded; script them with a fake server.
    """

    def __init__(
        self, path: str | Path, *, mode: Mode = "replay", secrets: Sequence[str] = ()
    ) -> None:
        """Set up a cassette; nothing is read before it is entered.

        Args:
            path: The file, JSON.
            mode: "replay" only replays; "missing" records if the file does not exist, else replays;
                "rewrite" always records. Recording needs a key and the network.
            secrets: Further texts to remove.

        Raises:
            ConfigurationError: A value is wrong.
        """
        if not isinstance(path, str | Path) or not str(path):
            raise ConfigurationError(f"path is {shown(path)}: give the path of a file")
        if mode not in get_args(Mode):
            known = ", ".join(map(repr, get_args(Mode)))
            raise ConfigurationError(f"mode is {shown(mode)}: give one of {known}")
        self._path = Path(path)
        self._mode = mode
        self._scrubber = Scrubber(secrets)
        self._recording: Recording | None = None
        self._records = False
        self._patch: Any = None

    def __enter__(self) -> Self:
        """Take the place of all connections.

        Raises:
            CassetteError: The recording is missing, or cannot be read.
        """
        if self._patch is not None:
            raise ConfigurationError("this cassette is in use: make one for each test")
        self._records = self._mode == "rewrite" or (
            self._mode == "missing" and not self._path.exists()
        )
        recording = (
            Recording([], self._scrubber)
            if self._records
            else Recording.load(self._path, self._scrubber)
        )
        connect, records = PerLoop.get, self._records

        async def get(connections: PerLoop, open_transport: Callable[[], Transport]) -> Transport:
            # `partial(open_transport, access, timeouts)`; a mock's has no access
            access = next(iter(getattr(open_transport, "args", ())), None)
            if not isinstance(access, Access):
                return await connect(connections, open_transport)
            if not records:
                return Player(recording, access)
            return Recorder(recording, access, await connect(connections, open_transport))

        self._recording = recording
        self._patch = patch.object(PerLoop, "get", get)
        self._patch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let connections through again, and write what was recorded.

        Raises:
            CassetteError: A request was not on file, and the code under test has hidden that error.
        """
        self._patch.stop()
        self._patch = None
        if self._recording is None:
            return
        if self._records:
            self._recording.save(self._path)
        if self._recording.missed is not None and error is None:
            raise self._recording.missed
