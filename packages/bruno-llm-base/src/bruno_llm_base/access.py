"""Where an API is, and with what right it is used."""

import os
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from inspect import iscoroutinefunction
from typing import Any, ClassVar
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import SecretStr

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.options import SharedSettings
from bruno_llm_base.values import shown

_SECRET_HEADER = re.compile(r"auth|cookie|key|secret|token", re.IGNORECASE)
_VERSION = re.compile(r"(?!x-).*(version|beta)", re.IGNORECASE)
_SECRETS_OF_CLIENTS = (
    *("api_key", "auth_token", "access_token"),
    *("aws_secret_key", "aws_session_token"),
)
_CLOUDS = (
    (re.compile(r"\.amazonaws\.com|\.api\.aws$"), "aws.bedrock"),
    (re.compile(r"aiplatform\..*googleapis\.com$"), "gcp.vertex_ai"),
    (re.compile(r"\.azure\.com$"), "azure.ai.openai"),
)
_SHORTEST_SECRET = 8  # a stand-in such as "none" is a word of its own, and no secret
_PORTS = {"http": 80, "https": 443}
_PLACE = re.compile(r"(\w+://)?[\w.-]*(:\d+)?(/.*)?")
_DOUBLED = re.compile(r"(/v\d\w*)\1+$")


class Vendor:
    """Where a vendor's API is, and what its users need.

    Attributes:
        name: What the provider is called in configuration, errors and logs.
        default_base_url: The vendor's own address.
        api_key_env: Environment variables that may hold the key, the first set one wins.
        needs_key: Whether the vendor's own address wants a key.
        base_url_env: The environment variable for an address of one's own.
        endpoints: What requests add to an address: left off the end of one that was copied with it.
        client_type: What makes a client that users may give; None if any object will do.
        client_call: One of such a client's methods, which is asynchronous.
        sdk: The module that `open_transport` imports; loaded at the first request. "" for none.
        price_name: What lists of prices call the vendor; None if none does.
        telemetry_name: What OpenTelemetry calls the vendor (`gen_ai.provider.name`); its name if None.
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
    telemetry_name: ClassVar[str | None] = None
    free: ClassVar[str | None] = None
    fixed_windows: ClassVar[bool] = True

    @staticmethod
    def plain_name(model: str) -> str:
        """Return the one name of *model*, where users may write it in several ways."""
        return model

    @classmethod
    def own_address(cls) -> str:
        """Return the vendor's own address; an error where the environment has to say a part of it, and does not."""
        return cls.default_base_url

    @classmethod
    def read_address(cls, value: str) -> str:
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

    @property
    def key(self) -> str | None:
        """The key in clear: for opening a transport only."""
        return None if self.api_key is None else self.api_key.get_secret_value()

    @property
    def cloud(self) -> str | None:
        """What OpenTelemetry calls the cloud that the user's own client asks; None if it is none."""
        if self.client is None:
            return None
        if getattr(self.client, "vertexai", None) is True:  # google-genai does not tell its address
            return "gcp.vertex_ai"
        host = urlsplit(self.address).hostname or ""
        return next((name for hosts, name in _CLOUDS if hosts.search(host)), None)

    @property
    def client_address(self) -> str:
        """Where the user's own client points, if it says so."""
        return str(getattr(self.client, "base_url", ""))


def find_access(vendor: type[Vendor], settings: SharedSettings, client: Any) -> Access:
    """Return the access that the arguments and the environment give, or raise what is wrong there."""
    key, source = None, None
    client_address = str(getattr(client, "base_url", ""))
    base_url, endpoint = (None, "") if client_address else _find_base_url(vendor, settings)
    if client is None:
        key, source = _find_key(vendor, settings.get("api_key"))
        if key is None and base_url is None and vendor.needs_key:
            raise ConfigurationError(
                f"{vendor.name} needs an API key: set {vendor.api_key_env[0]} or pass api_key"
            )
    else:
        for name in ("api_key", "base_url"):
            if settings.get(name) is not None:
                raise ConfigurationError(f"client= brings its own {name}: give one of the two")
        _check_client(vendor, client)
    url = client_address or base_url or vendor.own_address()
    return Access(
        provider=vendor.name,
        client=client,
        base_url=base_url,
        url=url,
        endpoint=endpoint,
        api_key=key,
        key_source=source,
        address=public_url(url),
        secrets=_secrets(key, client_address or base_url or "", client),
    )


def versions_of(client: Any) -> dict[str, str]:
    """Return the versions of an API that a user's own client asks for, in its headers and its query."""
    layers = (getattr(client, name, None) for name in ("default_headers", "default_query"))
    return {
        name.lower(): value
        for layer in layers
        if isinstance(layer, Mapping)
        for name, value in layer.items()
        if _VERSION.fullmatch(name) and isinstance(value, str)
    }


def _secrets(key: SecretStr | None, url: str, client: Any) -> tuple[str, ...]:
    """Return what must not be shown, as it is and as in a URL; the longest first: it may hold others."""
    found = [key.get_secret_value() if key else ""]
    found += [getattr(client, name, "") for name in _SECRETS_OF_CLIENTS]
    if login := basic_login(url):
        # some take a key as a name without a password
        parts = urlsplit(url)
        secret = parts.password or parts.username or ""
        found += [secret, unquote(secret), login.removeprefix("Basic ")]
    for name in ("headers", "default_headers"):
        headers = getattr(client, name, None)
        for header, value in headers.items() if isinstance(headers, Mapping) else ():
            if _SECRET_HEADER.search(header) and isinstance(value, str):
                found.append(value.rpartition(" ")[2])  # behind "Bearer"
    long = [text for text in found if isinstance(text, str) and len(text) >= _SHORTEST_SECRET]
    forms = {form for text in long for form in (text, quote(text), quote(text, safe=""))}
    return tuple(sorted(forms, key=len, reverse=True))


def basic_login(url: str) -> str | None:
    """Return the login in *url* as a header spells it (RFC 7617); None where there is none."""
    parts = urlsplit(url)
    if parts.username is None:
        return None
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(login.encode()).decode()}"


def _check_client(vendor: type[Vendor], client: Any) -> None:
    """Raise if the vendor's requests cannot be sent with *client*; no SDK is imported to ask."""
    if vendor.client_type is None:
        return
    package = vendor.client_type.rpartition(".")[0]
    kind = client.__class__  # of what a proxy or a mock stands for
    is_known = any(each.__module__.startswith(package) for each in kind.__mro__)
    call = reduce(lambda of, name: getattr(of, name, None), vendor.client_call.split("."), client)
    if isinstance(client, type) or not is_known or not iscoroutinefunction(call):
        given = f"the class {client.__name__}" if isinstance(client, type) else f"a {kind.__name__}"
        raise ConfigurationError(
            f"client is {given}: give an asynchronous client, made by {vendor.client_type}(...) or a"
            " variant of it"
        )


def _find_base_url(vendor: type[Vendor], settings: SharedSettings) -> tuple[str | None, str]:
    """Return the address, None for the vendor's own in any spelling, and what was left off its end."""
    origin, value = "base_url", settings.get("base_url")
    if value is None:
        origin = str(vendor.base_url_env)
        if not (found := unquoted(os.environ.get(origin, ""))):
            return None, ""
        value = vendor.read_address(found)
    given = checked_url(origin, unquoted(value))
    url, own = _without_endpoint(given, vendor.endpoints), _place(vendor.default_base_url)
    return None if _place(url) in (own, own._replace(path="")) else url, given.removeprefix(url)


def _without_endpoint(url: str, endpoints: tuple[str, ...]) -> str:
    """Return *url* without what requests add to it: an endpoint, or its version for a second time."""
    shorter = url.rstrip("/")
    while tail := max(filter(shorter.endswith, endpoints), key=len, default=""):
        shorter = shorter.removesuffix(tail).rstrip("/")
    shorter = _DOUBLED.sub(r"\1", shorter)
    return url if shorter == url.rstrip("/") else shorter


def _place(url: str) -> SplitResult:
    """Return *url* in one spelling, for comparisons."""
    parts = urlsplit(url.rstrip("/"))
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@{host}:{port}")


def _find_key(vendor: type[Vendor], given: object) -> tuple[SecretStr | None, str | None]:
    """Return the key and where it was found: *given* as `api_key`, or in the environment."""
    clear = given.get_secret_value() if isinstance(given, SecretStr) else given
    variables = ((name, unquoted(os.environ.get(name, "")) or None) for name in vendor.api_key_env)
    for origin, found in (("api_key", clear), *variables):
        if isinstance(found, str):
            key = unquoted(found)
            if not key:
                raise ConfigurationError(f"{origin} is empty: give a key, or leave it out")
            if not key.isascii() or not key.isprintable():  # no header can hold it
                raise ConfigurationError(
                    f"{origin} holds characters that no key has: copy it again"
                )
            return SecretStr(key), origin
    return None, None


def checked_url(origin: str, url: str) -> str:
    """Return *url*, which came from *origin*, if it is one to which paths can be added.

    If not, it raises an error that holds nothing that may be secret.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")  # a ValueError where a label is empty or too long
        # an "@" in a path is most likely that of a login with a "/" in its password
        is_sound = parts.scheme in _PORTS and host and parts.port != 0 and "@" not in parts.path
    except ValueError:
        is_sound = False
    if not is_sound or not url.isprintable() or " " in url:
        login, _, place = url.rpartition("@")
        place = place.partition("?")[0].partition("#")[0]
        found = _PLACE.fullmatch(place)
        # without any sign of an address it may as well be a key, in the wrong place
        said = shown(place) if found and (login or any(found.groups())) else "no address"
        raise ConfigurationError(f"{origin} is {said}: give an address like http://host:port/path")
    if "?" in url or "#" in url:
        raise ConfigurationError(
            f"{origin} has a query or a fragment: give an address like http://host:port/path, with"
            " %3F and %23 for ? and # in a login"
        )
    return url


def unquoted(value: str) -> str:
    """Return *value* without white space and quotes around it, as files of variables leave them."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1].strip()
    return value


def public_url(url: str) -> str:
    """Return *url* without what may be secret in it: user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
