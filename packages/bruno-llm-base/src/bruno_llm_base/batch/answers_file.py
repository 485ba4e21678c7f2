"""The file into which answers are written, a line of JSON each, and which is resumed from."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.parts import Json

_SYNC_SECONDS = 1.0
_BEGIN = b'{"key": '


def key_digest(key: object) -> int:
    """Return what stands for *key*: a million of them take some 70 MB, however long they are."""
    return int.from_bytes(
        blake2b(str(key).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    )


def _is_torn(line: bytes) -> bool:
    """Whether *line* may be the beginning of one of ours, or what a power cut leaves of it."""
    return line.startswith(_BEGIN[: len(line)]) or not line.strip(b"\0")


class AnswersFile:
    """A file of answers, open for more. Its methods wait for the disk: call them in one thread.

    Each line is handed to the operating system at once, so it outlives the process. It is forced to
    the disk every second, and at the end: a power cut may take what came in the last second.

    Attributes:
        answered: The digests of the keys that have an answer; those of failed rows are not among them.
    """

    def __init__(self, path: str | os.PathLike[str], asked: str) -> None:
        """Open the file at *path*, made if it is not there, for the answers to what *asked* names.

        A last line that was torn when the program was killed is removed.

        Raises:
            ConfigurationError: It holds something else, answers to another question, or cannot be opened.
        """
        self.answered: set[int] = set()
        self._asked = asked
        try:
            self.path = Path(path)
            if self.path.exists() and not self.path.is_file():
                raise ConfigurationError(
                    f"into is {str(path)!r}: give a regular file; its answers are read to go on"
                )
            self._file: BinaryIO = open(self.path, "a+b", buffering=0)  # noqa: SIM115, PTH123
        except (OSError, TypeError, ValueError) as error:  # no path, or one with a zero character
            why = getattr(error, "strerror", error)
            raise ConfigurationError(f"into is {str(path)!r}: {why}") from error
        try:
            self._end = self._read()
        except BaseException:
            self._file.close()
            raise
        self._synced_at = time.monotonic()

    def _read(self) -> int:
        """Note what was answered, mend a torn last line, and return where the file ends."""
        end, is_whole = 0, True
        with open(self.path, "rb") as file:  # noqa: PTH123
            for number, line in enumerate(file, start=1):
                is_whole = line.endswith(b"\n")
                try:
                    entry = json.loads(line)
                    self._note(entry, number)
                except ValueError:
                    if is_whole or not _is_torn(line):
                        raise self._foreign(number) from None
                    self._file.truncate(end)
                    return end
                end += len(line)
        return end if is_whole else end + self._file.write(b"\n")

    def _note(self, entry: Any, number: int) -> None:
        if not isinstance(entry, Mapping) or not {"key", "asked", "error"} <= entry.keys():
            raise self._foreign(number)
        if entry["asked"] != self._asked:
            raise ConfigurationError(
                f"into is {str(self.path)!r}, whose line {number} answers another prompt, model or"
                " options: give another file, or ask as before"
            )
        if entry["error"] is None:
            self.answered.add(key_digest(entry["key"]))

    def _foreign(self, number: int) -> ConfigurationError:
        return ConfigurationError(
            f"into is {str(self.path)!r}, whose line {number} is not one that map has written: give"
            " another file"
        )

    def append(self, entry: Json) -> None:
        """Write a line, all of it or nothing.

        Raises:
            OSError: The disk is full, or gone.
        """
        entry = entry | {"asked": self._asked}
        try:
            line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        except UnicodeEncodeError:  # half a character
            line = json.dumps(entry).encode() + b"\n"
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with suppress(OSError):  # what cannot be removed is mended when the file is next opened
                self._file.truncate(self._end)
            raise OSError(
                error.errno,
                f"{error.strerror}: make room and map again, all lines before this one are kept",
                str(self.path),
            ) from error
        self._end += len(line)
        if time.monotonic() - self._synced_at >= _SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced_at = time.monotonic()

    def close(self) -> None:
        """Force all of it to the disk, and close it."""
        with self._file:
            os.fsync(self._file.fileno())
