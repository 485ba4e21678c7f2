"""What the user gives to be worked on: as arguments, on stdin, in files."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

from bruno_llm_base.exceptions import InvalidRequestError

from bruno_llm_cli.output import say

_PATIENCE = 3.0  # seconds until the user is told what is waited for


def read_text(
    arguments: list[str], file: Path | None = None, *, timeout: float | None = None
) -> str:
    """Return the text to be worked on: what is piped or in *file*, then what the *arguments* say.

    Args:
        arguments: The words of the command line.
        file: What is read in place of stdin.
        timeout: How long that may take, in seconds; any time if None.

    Raises:
        InvalidRequestError: There is none, it is no UTF-8, or it does not end in time.
    """
    words = " ".join(arguments)
    if any("\udc80" <= character <= "\udcff" for character in words):  # bytes that are no text
        raise InvalidRequestError(f"the argument is not text in {sys.getfilesystemencoding()}")
    if file is not None:
        material = _whole(file.read_bytes, str(file), timeout)
    else:
        material = "" if sys.stdin.isatty() else _whole(_read_stdin, "stdin", timeout)
    text = "\n\n".join(part for part in (material.rstrip("\r\n"), words) if part.strip())
    if not text:
        raise InvalidRequestError("there is no text: give it as an argument or on stdin")
    return text


def read_questions(arguments: list[str], file: Path | None, *, timeout: float | None) -> list[str]:
    """Return the question of the *arguments* and stdin, and those of a file, one a line.

    With a file, stdin is not read. The errors are those of `read_text`.
    """
    if file is None:
        return [read_text(arguments, timeout=timeout)]
    lines = read_text([], file, timeout=timeout).splitlines()
    return [text.strip() for text in (" ".join(arguments), *lines) if text.strip()]


def read_lines() -> Iterator[str]:
    """Yield the lines of stdin as they come.

    Raises:
        InvalidRequestError: One is no UTF-8.
    """
    for line in sys.stdin.buffer:
        yield _decoded(line, "stdin").rstrip("\r\n")


def _read_stdin() -> bytes:
    pipe = sys.stdin.buffer
    raw = getattr(pipe, "raw", pipe)  # its buffer's lock would be held to the end of the process
    return raw.read()


def _whole(read: Callable[[], bytes], origin: str, timeout: float | None) -> str:
    """Return what is read from *origin*, and tell a user who waits what for."""
    done: Future[bytes] = Future()
    reader = Thread(target=_fulfil, args=(done, read), daemon=True)
    reader.start()
    silent = _PATIENCE if timeout is None else min(_PATIENCE, timeout)
    reader.join(silent)
    if reader.is_alive() and silent != timeout:
        say(f"waiting for {origin} to end; where nothing comes from it, let it be /dev/null")
        reader.join(None if timeout is None else timeout - silent)
    if reader.is_alive():
        raise InvalidRequestError(f"{origin} has not ended within {timeout:g} s")
    try:
        return _decoded(done.result(), origin)
    except OSError as error:
        raise InvalidRequestError(f"{origin} cannot be read: {error.strerror}") from error


def _fulfil(done: Future[bytes], read: Callable[[], bytes]) -> None:
    try:
        done.set_result(read())
    except OSError as error:
        done.set_exception(error)


def _decoded(data: bytes, origin: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequestError(f"{origin} is not text in UTF-8: convert it first") from None
