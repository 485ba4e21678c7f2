"""Exchanges on file: what was asked, what was answered, and which answer belongs to a request."""

import difflib
import json
import threading
from pathlib import Path
from typing import Any

from bruno_llm_base import Access, ConfigurationError, Json

from bruno_llm_testing.scrub import Scrubber, without_files

FORMAT = 1
HOW_TO_RECORD = "mode='rewrite', or pytest's --llm-record=rewrite, records it"
_MOST_LINES = 40


class CassetteError(ConfigurationError):
    """A recording is missing, or a request is not in it.

    It says that a test and its recording do not match, so nothing is sent again, or to another
    model.
    """


class Recording:
    """Exchanges in the order in which they were begun.

    Attributes:
        missed: What the first request that is not among them was told; None if all are.
    """

    def __init__(self, exchanges: list[Json], scrubber: Scrubber) -> None:
        """Take exchanges.

        Args:
            exchanges: Each a "request" and, once it is known, a "response".
            scrubber: Keeps secrets out of requests and responses.
        """
        self.missed: CassetteError | None = None
        self._scrubber = scrubber
        self._exchanges = exchanges
        self._left = list(exchanges)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path, scrubber: Scrubber) -> "Recording":
        """Return what *path* holds.

        Raises:
            CassetteError: It is not there, or not a recording.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            version, exchanges = data["format"], data["exchanges"]
            for exchange in exchanges:
                exchange["request"], exchange["response"]["status"]
        except FileNotFoundError:
            raise CassetteError(
                f"{path} does not exist: {HOW_TO_RECORD}, which needs a key and the network"
            ) from None
        except (LookupError, TypeError, ValueError) as error:
            raise CassetteError(f"{path} is not a recording ({error}): {HOW_TO_RECORD}") from error
        if version != FORMAT:
            raise CassetteError(f"{path} is of format {version}, not {FORMAT}: {HOW_TO_RECORD}")
        return cls(exchanges, scrubber)

    def save(self, path: Path) -> None:
        """Write to *path* the exchanges that came to an end."""
        whole = [exchange for exchange in self._exchanges if "response" in exchange]
        text = json.dumps({"format": FORMAT, "exchanges": whole}, ensure_ascii=False, indent=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".new")
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(path)

    def asked(self, access: Access, method: str, path: str, body: Json | None) -> Json:
        """Return a request as it stands on file."""
        sent = without_files(body)
        request = {"provider": access.provider, "method": method, "path": path, "body": sent}
        on_file: Json = self._scrubber.scrub(json.loads(json.dumps(request)), access.secrets)
        return on_file

    def answered(self, access: Access, response: Json) -> Json:
        """Return a response as it stands on file."""
        secrets = access.secrets
        if "batches" in response:
            batches = self._scrubber.scrub_batches(response["batches"], secrets)
            response = response | {"batches": batches}
        on_file: Json = self._scrubber.scrub(response, secrets)
        return on_file

    def begin(self, request: Json) -> Json:
        """Return a new exchange, in its place, that wants a "response"."""
        exchange = {"request": request}
        with self._lock:
            self._exchanges.append(exchange)
        return exchange

    def answer(self, request: Json) -> Json:
        """Return the response to *request*; each is given once, in the order of the recording.

        Raises:
            CassetteError: There is none; says what differs.
        """
        wanted = _canonical(request)
        with self._lock:
            for place, exchange in enumerate(self._left):
                if _canonical(exchange["request"]) == wanted:
                    response: Json = self._left.pop(place)["response"]
                    return response
        error = CassetteError(self._explanation(request))
        self.missed = self.missed or CassetteError(error.message)  # each with a story of its own
        raise error

    def _explanation(self, request: Json) -> str:
        what = f"{request['method']} {request['path']} of {request['provider']}"
        recorded = [exchange["request"] for exchange in self._exchanges]
        same = sum(_canonical(other) == _canonical(request) for other in recorded)
        if same:
            times = "once" if same == 1 else f"{same} times"
            return f"{what} was recorded {times}, and asked once more: {HOW_TO_RECORD}"
        if not recorded:
            return f"{what} was not recorded, nor was anything else: {HOW_TO_RECORD}"
        return (
            f"{what} was not recorded: {HOW_TO_RECORD}. From the closest that was, it differs so:\n"
            + _difference(max(recorded, key=lambda other: _likeness(other, request)), request)
        )


def _canonical(request: Json) -> str:
    return json.dumps(request, sort_keys=True)


def _lines(request: Json) -> list[str]:
    return json.dumps(request, sort_keys=True, ensure_ascii=False, indent=2).splitlines()


def _likeness(one: Json, other: Json) -> tuple[int, float]:
    same = sum(one.get(name) == other[name] for name in ("provider", "method", "path"))
    matcher: difflib.SequenceMatcher[Any] = difflib.SequenceMatcher(
        None, _lines(one), _lines(other), autojunk=False
    )
    return same, matcher.quick_ratio()


def _difference(recorded: Json, asked: Json) -> str:
    diff = list(
        difflib.unified_diff(_lines(recorded), _lines(asked), "recorded", "asked", n=2, lineterm="")
    )
    more = [f"... and {len(diff) - _MOST_LINES} more lines"] if len(diff) > _MOST_LINES else []
    return "\n".join(diff[:_MOST_LINES] + more)
