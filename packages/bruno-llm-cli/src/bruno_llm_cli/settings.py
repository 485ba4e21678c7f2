"""What the user has settled for the command: one small file of TOML, in which no key is kept."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.options import close_matches
from bruno_llm_base.values import shown

from bruno_llm_cli.output import say_once


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the command, which its options and the environment win over.

    Attributes:
        model: Who is asked: a provider, perhaps with its model, as "claude/claude-opus-5-5".
        log: Whether questions and answers are recorded.
    """

    model: str | None = None
    log: bool = False


_ELSEWHERE = "BRUNO_LLM_HOME may name another folder"
_KINDS = {"model": str, "log": bool}


class _NoAccess(ConfigurationError):  # noqa: N818 - ends up in a warning
    """The system gives no access to the settings."""


def folder() -> Path:
    """Return where the command keeps its files: the folder that `BRUNO_LLM_HOME` names, or the system's.

    Raises:
        ConfigurationError: It would be in the user's home folder, and there is none.
    """
    from typer import get_app_dir

    own = os.environ.get("BRUNO_LLM_HOME", "").strip()
    named = Path(own or get_app_dir("bruno-llm"))
    try:
        found = named.expanduser()
    except RuntimeError:
        raise _NoAccess(
            f"{named} cannot be found, as this user has no home folder; {_ELSEWHERE}"
        ) from None
    return found


def path() -> Path:
    """Return the file of the settings, which need not be there."""
    return folder() / "config.toml"


def is_there(file: Path) -> bool:
    """Say whether one of the command's files exists.

    Raises:
        ConfigurationError: Its folder cannot be read.
    """
    try:
        return file.exists()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error


def read() -> Settings:
    """Return the settings: the defaults where the file does not exist, or cannot be read, which is told.

    Raises:
        ConfigurationError: The file holds something else.
    """
    try:
        text = _text()
    except _NoAccess as error:
        say_once(f"{error.message}; this goes on without settings")
        return Settings()
    return _parsed(text)


def _parsed(text: str) -> Settings:
    if not text.strip():
        return Settings()
    import tomllib  # slow to load

    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path()} is not TOML: {error}; correct or delete it") from None
    for name, value in found.items():
        if name not in _KINDS:
            close = close_matches(name, _KINDS)
            cure = f"did you mean {close[0]}?" if close else f"the known ones: {', '.join(_KINDS)}"
            raise ConfigurationError(f"{path()} sets {name}, which is not a setting: {cure}")
        if not isinstance(value, _KINDS[name]):
            cure = "true or false" if _KINDS[name] is bool else 'a text, such as "claude"'
            raise ConfigurationError(f"{path()}: {name} is {shown(value)}: give {cure}")
    return Settings(**found)


def change(**values: str | bool | None) -> None:
    """Set some of the settings, or forget them for None; what else is in the file, comments too, stays.

    Raises:
        ConfigurationError: The file cannot be read or written.
    """
    text = _text()
    _parsed(text)  # what is broken is not written over
    kept = [line for line in text.splitlines() if line.partition("=")[0].strip() not in values]
    added = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in values.items()
        if value is not None
    ]
    file = path()
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text("\n".join([*kept, *added, ""]), encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written: {error.strerror}; {_ELSEWHERE}"
        ) from error


def _text() -> str:
    try:
        file = path()
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _NoAccess(f"{file} cannot be read: {error.strerror}; {_ELSEWHERE}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is not text in UTF-8: convert or delete it") from None
