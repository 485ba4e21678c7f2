"""What a provider is built with, checked before anything is built."""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError, LLMError
from bruno_llm_base.types import Json
from bruno_llm_base.values import INT64, shown

__all__ = [
    "PORTABLE",
    "Basics",
    "Options",
    "Settings",
    "WholeNumber",
    "check",
    "check_options",
    "checked_key",
    "checked_url",
    "did_you_mean",
    "keywords_of",
    "public_url",
    "refuse",
    "unquoted",
]

_M = TypeVar("_M", bound=BaseModel)


def _maybe_number(value: object) -> object:
    # pydantic takes these for numbers, and wants a ValueError
    if isinstance(value, bool):
        raise ValueError("a truth value is not a number")  # noqa: TRY004
    if isinstance(value, bytes):
        raise ValueError("bytes are not a number")  # noqa: TRY004
    return value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


WholeNumber = Annotated[int, BeforeValidator(_maybe_number), Field(ge=-INT64, le=INT64)]
"""A whole number that every server can read."""

_Number = Annotated[float, BeforeValidator(_maybe_number), Field(allow_inf_nan=False)]


class Options(BaseModel):
    """The options that every provider understands, in bruno-core's words.

    Attributes:
        temperature: Sampling temperature, 0 to 2.
        max_tokens: The most tokens to generate, reasoning included.
        top_p: Nucleus sampling, above 0 to 1.
        stop: Texts that end the answer; one text or several.
        seed: A number that makes sampling repeatable, where the vendor can.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    temperature: Annotated[_Number, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[WholeNumber, Field(ge=1)] | None = None
    top_p: Annotated[_Number, Field(gt=0, le=1)] | None = None
    stop: (
        Annotated[
            list[Annotated[str, Field(min_length=1)]],
            BeforeValidator(_as_list),
            Field(min_length=1),
        ]
        | None
    ) = None
    seed: WholeNumber | None = None


_PLACE = re.compile(r"(\w+://)?[\w.-]*(:\d+)?(/.*)?")

_SECRET = ("api_key", "base_url", "options")

PORTABLE = tuple(Options.model_fields)


class Basics(BaseModel):
    """What identifies any provider; policies and clients are given beside it.

    Attributes:
        model: The model's name.
        api_key: The secret; never shown.
        base_url: Where the API is, if not at the vendor's own address.
        options: The vendor's own request fields, sent as they are.
        free: Whether answers cost nothing, whatever lists of prices say.
        price_name: What lists of prices call the vendor whose prices hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    model: Annotated[str, Field(min_length=1)] | None = None
    api_key: SecretStr | None = None
    base_url: Annotated[str | None, Field(repr=False)] = None
    options: Annotated[dict[str, Any], Field(repr=False)] = {}
    free: bool = False
    price_name: Annotated[str, Field(min_length=1)] | None = None


class Settings(Basics, Options):
    """What identifies and tunes a provider of chat.

    Attributes:
        system_prompt: What every conversation begins with.
        strict: Whether an option that the model refuses is an error instead of being dropped.
        think_tags: Whether thoughts stand in the text, between tags, and are moved to `reasoning`.
    """

    system_prompt: Annotated[str, Field(min_length=1)] | None = None
    strict: bool = False
    think_tags: bool = False


def check(model: type[_M], values: Mapping[str, Any], error: type[LLMError]) -> _M:
    """Return *values* as a *model*.

    Raises:
        LLMError: Of kind *error*; names each field, its value and the rule that it breaks.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as problems:
        rules = [_rule(item) for item in problems.errors(include_url=False)]
    raise error("; ".join(rules))


def _rule(item: ErrorDetails) -> str:
    path = [str(step) for step in item["loc"] if not str(step).startswith("function-")]
    value = "" if path[0] in _SECRET else f" is {shown(item['input'])}"
    return f"{'.'.join(path)}{value}: {item['msg'].removeprefix('Value error, ')}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ": did you mean ...?" where a name in *known* is close to *name*."""
    import difflib  # for errors only, and slow to load

    close = difflib.get_close_matches(name, list(known), n=1)
    return f": did you mean {close[0]!r}?" if close else f" (known: {', '.join(sorted(known))})"


def check_options(values: Mapping[str, Any]) -> Json:
    """Return the options of one call, checked and without those that are None.

    Raises:
        InvalidRequestError: A value is of the wrong type or out of range.
    """
    portable = {name: values[name] for name in PORTABLE if values.get(name) is not None}
    if not portable:
        return portable
    checked = check(Options, portable, InvalidRequestError)
    return {name: getattr(checked, name) for name in portable}


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
    """Whether *name* may be that of a host (RFC 1035, 2.3.4); whether there is one, nobody knows."""
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


def keywords_of(kind: type) -> set[str]:
    """Return what a provider class can be built with."""
    names = {
        name
        for base in kind.__mro__
        if "__init__" in vars(base)
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    return names - {"self"}


def refuse(unknown: Mapping[str, Any], known: Iterable[str], owner: str) -> None:
    """Raise if a keyword is not one of *known*.

    Raises:
        ConfigurationError: Names the keyword and the closest known one.
    """
    for name in unknown:
        raise ConfigurationError(f"{owner} takes no {name!r}{did_you_mean(name, known)}")
