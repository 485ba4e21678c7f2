"""The command's own log: where it is, and that it is there."""

from pathlib import Path
from typing import TYPE_CHECKING

from bruno_llm_base.exceptions import InvalidRequestError

from bruno_llm_cli import settings

if TYPE_CHECKING:
    from bruno_llm_cli.log import RequestLog


def log_path() -> Path:
    """Return the file of the log, which need not be there."""
    return settings.folder() / "logs.db"


def open_log(*, there: bool = False) -> "RequestLog":
    """Return the command's log.

    Raises:
        InvalidRequestError: It is to be *there*, and is not.
        ConfigurationError: It cannot be used.
    """
    if there and not settings.is_there(log_path()):
        cure = "" if settings.read().log else ": `bruno-llm logs on` records from then on"
        raise InvalidRequestError(f"nothing is logged yet{cure}")
    from bruno_llm_cli.log import RequestLog  # slow to load, and seldom needed

    return RequestLog(log_path())
