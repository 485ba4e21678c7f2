"""Where an API is, and with what right it is used."""

import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any, ClassVar
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import SecretStr

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.options import SharedSettings
from bruno_llm_base.values import shown

__all__ = ["Access", "Vendor", "checked_url", "find_access", "public_url", "unquoted"]

_SECRET_HEADER = re.compile(r"auth|cookie|key|secret|token", re.IGNORECASE)
_SHORTEST_SECRET = 8  # a stand-in such as "none" is a word of its own, and no secret
_REDACTED = "***"
_PORTS = {"http": 80, "https": 443}
_PLACE = re.compile(r"(\w+://)?[\w.-]*(:\d+)?(/.*)?")
_DOUBLED = re.compile(r"(/v\d\w*)\1+$")


class Vendor:
    """Where a vendor's API is, and what its users need.

    A provider declares this itself. A vendor of chat and embeddings declares it once, in a class that
    both its providers are derived from.

    Attributes:
        name: What the provider is called in configuration, errors and logs.
        default_base_url: The vendor's own address.
        api_key_env: Environment variables that may hold the key, the first set one wins.
        needs_key: Whether the vendor's own address wants a key.
        base_url_env: The environment variable for an address of one's own.
        endpoints: What requests add to an address, the API's version too: left off the end of one
            that was copied with it.
        client_type: What makes a client that users may give; None if any object will do.
        client_call: One of such a client's methods, which is asynchronous.
        sdk: The module that `open_transport` imports; loaded at the first request. "" for none.
        price_name: What lists of prices call the vendor; None if none does.
        free: Why its answers cost nothing; None if they do.
        fixed_windows: Whether a model's window stays as large as the server has once said.
    """

    name: ClassVar[str]
    default_base_url: ClassVar[str]
    api_key_env: ClassVar[tuple[str, ...]] = ()
    needs_key: ClassVar[bool] = True
    base_url_env: ClassVar[str | None] = None
    endpoints: ClassVar[tuple[str, ...]] = ()
    client_type: ClassVar[str | None] = None
    client_call: ClassVar[str] = ""
    sdk: ClassVar[str] = "httpx"
    price_name: ClassVar[str | None] = None
    free: ClassVar[str | None] = None
    fixed_windows: ClassVar[bool] = True

    @staticmethod
    def plain_name(model: str) -> str:
        """Return the one name of *model*, where users may write it in several ways."""
        return model

    @staticmethod
    def read_address(value: str) -> str:
        """Return the URL that a value of the variable `base_url_env` stands for."""
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a transport is opened with.

    Attributes:
        provider: The provider's name.
        client: A client of the user's own, or None.
        base_url: An address of the user's own; None for the client's, or the vendor's.
        url: Where requests go: the client's own address, `base_url`, or the vendor's.
        endpoint: What was left off the end of the given address, such as "/v1/models".
        api_key: The key.
        key_source: Where the key was found: "api_key", or an environment variable.
        secrets: What must never be shown, in every form in which it may come back.
        address: Where requests go, without what may be secret in it; for people.
    """

    provider: str
    client: Any
    base_url: str | None = field(repr=False)
    url: str = field(repr=False)
    endpoint: str = field(repr=False, default="")
    api_key: SecretStr | None
    key_source: str | None
    address: str
    secrets: tuple[str, ...] = field(repr=False, default=())

    def redact(self, said: Any) -> Any:
        """Return what a server *said*, any JSON, without our secrets: some repeat what they were sent."""
        if isinstance(said, str):
            for secret in self.secrets:
                said = said.replace(secret, _REDACTED)
        elif isinstance(said, dict):
            return {self.redact(name): self.redact(value) for name, value in said.items()}
        elif isinstance(said, list):
            return [self.redact(value) for value in said]
        return said

    @property
    def key(self) -> str | None:
        """The key in clear: for opening a transport only."""
        return None if self.api_key is None else self.api_key.get_secret_value()

    @property
    def client_address(self) -> str:
        """Where the user's own client points, if it says so."""
        return str(getattr(self.client, "base_url", ""))


def find_access(vendor: type[Vendor], settings: SharedSettings, client: Any) -> Access:
    """Return the access that the arguments and the environment give.

    Raises:
        ConfigurationError: Something is wrong, contradictory or missing.
    """
    for name in ("api_key", "base_url"):
        if client is not None and settings.get(name) is not None:
            raise ConfigurationError(f"client= brings its own {name}: give one of the two")
    if client is not None:
        _check_client(vendor, client)
    client_address = str(getattr(client, "base_url", ""))
    base_url, endpoint = (None, "") if client_address else _base_url(vendor, settings)
    url = client_address or base_url or vendor.default_base_url
    key, source = (None, None) if client is not None else _key(vendor, settings)
    if key is None and vendor.needs_key and client is None and base_url is None:
        raise ConfigurationError(
            f"{vendor.name} needs an API key: set {vendor.api_key_env[0]} or pass api_key"
        )
    return Access(
        provider=vendor.name,
        client=client,
        base_url=base_url,
        url=url,
        endpoint=endpoint,
        api_key=key,
        key_source=source,
        address=public_url(url),
        secrets=_forms(
            [
                key.get_secret_value() if key else "",
                *_login(client_address or base_url or ""),
                *_of_client(client),
            ]
        ),
    )


def _login(url: str) -> Iterator[str]:
    """Yield the password in *url*, and the login as a header spells it."""
    parts = urlsplit(url)
    if parts.username is None:
        return
    name, password = unquote(parts.username), unquote(parts.password or "")
    yield parts.password or ""  # as it is spelled there
    yield password or name  # some take a key as a name without a password
    yield b64encode(f"{name}:{password}".encode()).decode()


def _of_client(client: Any) -> Iterator[str]:
    """Yield what a client of the user's says with every request, as far as it tells."""
    for name in ("api_key", "auth_token"):
        yield getattr(client, name, "")
    for name in ("headers", "default_headers"):
        headers = getattr(client, name, {})
        for header, value in headers.items() if isinstance(headers, Mapping) else ():
            if isinstance(value, str) and _SECRET_HEADER.search(header):
                yield value.rpartition(" ")[2]  # behind "Bearer"


def _forms(secrets: list[Any]) -> tuple[str, ...]:
    """Return *secrets* as they are and as in a URL, the longest first, since one may hold another."""
    sound = [text for text in secrets if isinstance(text, str) and len(text) >= _SHORTEST_SECRET]
    forms = {form for text in sound for form in (text, quote(text), quote(text, safe=""))}
    return tuple(sorted(forms, key=len, reverse=True))


def _check_client(vendor: type[Vendor], client: Any) -> None:
    """Raise if *client* is not what the vendor's requests can be sent with.

    No SDK is imported to ask: an object of its classes shows by their modules.

    Raises:
        ConfigurationError: Says what to give.
    """
    if vendor.client_type is None:
        return
    package = vendor.client_type.rpartition(".")[0]
    kinds = client.__class__.__mro__  # of what a proxy or a mock stands for
    is_known = any(each.__module__.startswith(package) for each in kinds)
    call = client
    for name in vendor.client_call.split("."):
        call = getattr(call, name, None)
    if isinstance(client, type) or not is_known or not iscoroutinefunction(call):
        what = (
            f"the class {client.__name__}"
            if isinstance(client, type)
            else f"of the class {client.__class__.__name__}"
        )
        raise ConfigurationError(
            f"client is {what}: give an asynchronous client, made by {vendor.client_type}(...) or a"
            " variant of it"
        )


def _base_url(vendor: type[Vendor], settings: SharedSettings) -> tuple[str | None, str]:
    """Return the address of a server of one's own, and what was left off its end.

    None is the vendor's, however it is spelled.
    """
    if (own_url := settings.get("base_url")) is not None:
        origin, value = "base_url", unquoted(own_url)
    else:
        origin = str(vendor.base_url_env)
        value = unquoted(os.environ.get(origin, ""))
        if not value:
            return None, ""
        value = vendor.read_address(value)
    given = checked_url(origin, value)
    url, own = _without_endpoint(given, vendor.endpoints), vendor.default_base_url
    is_own = _place(url) in (_place(own), _place(own)._replace(path=""))
    return None if is_own else url, given.removeprefix(url)


def _without_endpoint(url: str, endpoints: tuple[str, ...]) -> str:
    """Return *url* without what requests add to it: an endpoint, or its version for a second time."""
    shorter = url.rstrip("/")
    longest_first = sorted(endpoints, key=len, reverse=True)
    while tail := next((each for each in longest_first if shorter.endswith(each)), ""):
        shorter = shorter.removesuffix(tail).rstrip("/")
    shorter = _DOUBLED.sub(r"\1", shorter)
    return url if shorter == url.rstrip("/") else shorter


def _place(url: str) -> SplitResult:
    """Return *url* in one spelling, for comparisons."""
    parts = urlsplit(url.rstrip("/"))
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@{host}:{port}")


def _key(vendor: type[Vendor], settings: SharedSettings) -> tuple[SecretStr | None, str | None]:
    if (key := settings.get("api_key")) is not None:
        clear = key if isinstance(key, str) else key.get_secret_value()
        return checked_key("api_key", clear), "api_key"
    for variable in vendor.api_key_env:
        if value := unquoted(os.environ.get(variable, "")):
            return checked_key(variable, value), variable
    return None, None


def checked_url(origin: str, url: str) -> str:
    """Return *url*, which came from *origin*, if it is one.

    Paths are added to it, so it has no query and no fragment. An "@" in its path would most likely be
    that of a login with a "/" in its password, which everybody would read as a port and a path.

    Raises:
        ConfigurationError: It is not; the message holds nothing that may be secret.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.port != 0 and "@" not in parts.path
        sound = sound and _is_host(parts.hostname or "") and url.isprintable() and " " not in url
    except ValueError:
        sound = False
    if not sound:
        raise ConfigurationError(
            f"{origin} is {_without_secrets(url)}: give an address like http://host:port/path"
        )
    if "?" in url or "#" in url:
        raise ConfigurationError(
            f"{origin} has a query or a fragment: give an address like http://host:port/path, with"
            " %3F and %23 for ? and # in a login"
        )
    return url


def _is_host(name: str) -> bool:
    """Whether *name* may be that of a host (RFC 1035, 2.3.4); it need not exist."""
    if ":" in name:  # IPv6
        return True
    return len(name) < 254 and all(0 < len(part) < 64 for part in name.removesuffix(".").split("."))


def _without_secrets(url: str) -> str:
    login, _, place = url.rpartition("@")
    place = place.partition("?")[0].partition("#")[0]
    found = _PLACE.fullmatch(place)
    if found is not None and (login or any(found.groups())):
        return shown(place)
    return "no address"  # it may as well be a key, in the wrong place


def unquoted(value: str) -> str:
    """Return *value* without white space and quotes around it, as files of variables leave them."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1].strip()
    return value


def checked_key(origin: str, key: str) -> SecretStr:
    """Return *key*, which came from *origin*, without white space and quotes around it.

    Raises:
        ConfigurationError: No header can hold it; the message does not show it.
    """
    key = unquoted(key)
    if not key or not key.isascii() or not key.isprintable():
        raise ConfigurationError(f"{origin} holds characters that no key has: copy it again")
    return SecretStr(key)


def public_url(url: str) -> str:
    """Return *url* without what may be secret in it: user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
