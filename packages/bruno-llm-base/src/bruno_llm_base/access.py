"""Where an API is, and with what right it is used."""

import os
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from bruno_llm_base.config import Settings, checked_key, checked_url, public_url
from bruno_llm_base.dialect import Dialect
from bruno_llm_base.exceptions import ConfigurationError

__all__ = ["Access", "find_access"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a transport is opened with.

    Attributes:
        client: A client of the user's own, or None.
        base_url: An address of the user's own; None for the client's, or the vendor's.
        api_key: The key.
        key_source: Where the key was found: "api_key", or an environment variable.
        address: Where requests go, without what may be secret in it; for people.
    """

    client: Any
    base_url: str | None
    api_key: SecretStr | None
    key_source: str | None
    address: str

    @property
    def key(self) -> str | None:
        """The key in clear: for opening a transport only."""
        return None if self.api_key is None else self.api_key.get_secret_value()

    @property
    def client_address(self) -> str:
        """Where the user's own client points, if it says so."""
        return str(getattr(self.client, "base_url", ""))


def find_access(dialect: Dialect, settings: Settings, client: Any) -> Access:
    """Return the access that the arguments and the environment give.

    Raises:
        ConfigurationError: Something is wrong, contradictory or missing.
    """
    for name in ("api_key", "base_url"):
        if client is not None and getattr(settings, name) is not None:
            raise ConfigurationError(f"client= brings its own {name}: give one of the two")
    client_address = str(getattr(client, "base_url", ""))
    base_url = None if client_address else _base_url(dialect, settings)
    key, source = (None, None) if client is not None else _key(dialect, settings)
    if key is None and dialect.needs_key and client is None and base_url is None:
        raise ConfigurationError(
            f"{dialect.name} needs an API key: set {dialect.api_key_env[0]} or pass api_key"
        )
    return Access(
        client=client,
        base_url=base_url,
        api_key=key,
        key_source=source,
        address=public_url(client_address or base_url or dialect.default_base_url),
    )


def _base_url(dialect: Dialect, settings: Settings) -> str | None:
    if settings.base_url is not None:
        return checked_url("base_url", settings.base_url)
    variable = dialect.base_url_env
    value = os.environ.get(variable, "").strip() if variable else ""
    return checked_url(str(variable), dialect.read_address(value)) if value else None


def _key(dialect: Dialect, settings: Settings) -> tuple[SecretStr | None, str | None]:
    if settings.api_key is not None:
        return checked_key("api_key", settings.api_key.get_secret_value()), "api_key"
    for variable in dialect.api_key_env:
        if value := os.environ.get(variable, "").strip():
            return checked_key(variable, value), variable
    return None, None
