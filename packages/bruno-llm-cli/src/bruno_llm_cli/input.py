"""What the user gives to be worked on: as arguments, on stdin, in files."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread

from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.parts import Media
from typer import BadParameter

from bruno_llm_cli.output import say

_PATIENCE = 3.0  # seconds until the user is told what is waited for


def read_text(
    arguments: Sequence[str],
    material: Sequence[str] = (),
    *,
    timeout: float | None = None,
    piped: bool = True,
) -> str:
    """Return the text to be worked on: *material*, then what is piped, then what the *arguments* say.

    Args:
        arguments: The words of the command line.
        material: What is put before the rest.
        timeout: How long stdin may take to end, in seconds; any time if None.
        piped: Whether stdin is part of it.

    Raises:
        BadParameter: There is none.
        InvalidRequestError: It is no UTF-8, or it does not end in time.
    """
    words = " ".join(arguments)
    if any("\udc80" <= character <= "\udcff" for character in words):  # bytes that are no text
        raise BadParameter(f"the argument is not text in {sys.getfilesystemencoding()}")
    parts = [*material, words]
    if piped and not sys.stdin.isatty():
        parts.insert(-1, _decoded(read_stdin(timeout), "stdin").rstrip("\r\n"))
    text = "\n\n".join(part for part in parts if part.strip())
    if not text:
        raise BadParameter("the text is empty: give it as an argument or on stdin")
    return text


def read_file(file: Path, timeout: float | None = None) -> str:
    """Return the text of a file, without the line feeds at its end.

    Raises:
        InvalidRequestError: It cannot be read, or is no UTF-8.
    """
    return _decoded(_whole(file.read_bytes, str(file), timeout), str(file)).rstrip("\r\n")


def read_labelled(file: Path, timeout: float | None = None) -> str:
    """Return the text of a file with its name around it, as `read_file` does."""
    return f'<file name="{file}">\n{read_file(file, timeout)}\n</file>'


def read_attachment(given: str, timeout: float | None = None) -> str | Media:
    """Return what `attachments` of a call takes: a path or an address, or the content of stdin for "-".

    Raises:
        InvalidRequestError: Stdin cannot be read, or is empty.
    """
    if given != "-":
        return given
    data = read_stdin(timeout)
    if not data:
        raise InvalidRequestError("stdin is empty, and --attachment - sends what is piped")
    return Media(data=data)


def read_stdin(timeout: float | None = None) -> bytes:
    """Return what is piped.

    Raises:
        InvalidRequestError: It cannot be read, or does not end in time.
    """
    pipe = sys.stdin.buffer
    raw = getattr(pipe, "raw", pipe)  # its buffer's lock would be held to the end of the process
    return _whole(raw.read, "stdin", timeout)


def read_questions(arguments: list[str], file: Path | None, *, timeout: float | None) -> list[str]:
    """Return the question of the *arguments* and stdin, and those of a file, one a line.

    With a file, stdin is not read. The errors are those of `read_text`.
    """
    if file is None:
        return [read_text(arguments, timeout=timeout)]
    lines = read_text([], [read_file(file, timeout)], piped=False).splitlines()
    return [text.strip() for text in (" ".join(arguments), *lines) if text.strip()]


def read_lines() -> Iterator[str]:
    """Yield the lines of stdin as they come.

    Raises:
        InvalidRequestError: One is no UTF-8.
    """
    for line in sys.stdin.buffer:
        yield _decoded(line, "stdin").rstrip("\r\n")


def _whole(read: Callable[[], bytes], origin: str, timeout: float | None) -> bytes:
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
        return done.result()
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
