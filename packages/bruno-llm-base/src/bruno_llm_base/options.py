"""The options that every provider understands, in one table, and what else a provider is built with.

A row of `CallOptions` is all there is to an option: its type and range, what it does, and a value
that the contract of providers sends. From it follow the keyword of every constructor and its check,
the environment variable `BRUNO_LLM_<NAME>`, the flag `--<name>` of the command, and the table in
`docs/configuration.md`.
"""

import inspect
from collections.abc import Container, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import (
    BeforeValidator,
    Field,
    GetPydanticSchema,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict, Unpack

from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError, LLMError
from bruno_llm_base.response import Json
from bruno_llm_base.values import INT64, shown

__all__ = [
    "PORTABLE",
    "CallOptions",
    "ChatSettings",
    "EmbeddingSettings",
    "SharedSettings",
    "check",
    "check_options",
    "closest",
    "did_you_mean",
    "keywords_of",
    "merged",
    "refuse",
    "spelled",
]

_T = TypeVar("_T")
_SECRET = ("api_key", "base_url", "options")
_CLOSEST, _NEAR_MISS = 5, 0.85
_MOST_COMPARED, _LONGEST_COMPARED = 2000, 100  # the list is a server's, and comparing is slow


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of an option beside its type.

    Attributes:
        help: What it does, for people.
        sample: A value that the contract of providers sends.
    """

    help: str
    sample: Any


def _maybe_number(value: object) -> object:
    # pydantic takes these for numbers, and wants a ValueError
    if isinstance(value, bool):
        raise ValueError("a truth value is not a number")  # noqa: TRY004
    if isinstance(value, bytes):
        raise ValueError("bytes are not a number")  # noqa: TRY004
    return value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _read_as(kind: Any) -> GetPydanticSchema:
    """Let pydantic read a value as a *kind*, whatever users may give it as."""
    return GetPydanticSchema(lambda _, handler: handler(kind))


_Number = Annotated[float, BeforeValidator(_maybe_number), Field(allow_inf_nan=False)]
_Whole = Annotated[int, BeforeValidator(_maybe_number), Field(ge=-INT64, le=INT64)]
_Text = Annotated[str, Field(min_length=1)]
_Stops = Annotated[list[_Text], BeforeValidator(_as_list), Field(min_length=1)]


class CallOptions(TypedDict, total=False):
    """The options that every provider understands, for all calls or for one."""

    temperature: Annotated[
        _Number | None, Field(ge=0, le=2), Row("Sampling temperature, 0 to 2.", 0.5)
    ]
    max_tokens: Annotated[
        _Whole | None, Field(ge=1), Row("The most tokens of an answer, reasoning included.", 99)
    ]
    top_p: Annotated[_Number | None, Field(gt=0, le=1), Row("Nucleus sampling, above 0 to 1.", 0.5)]
    stop: Annotated[
        str | list[str] | None,
        _read_as(_Stops | None),
        Row("A text that ends the answer; a list of texts for several.", ["END"]),
    ]
    seed: Annotated[
        _Whole | None, Row("A number that makes sampling repeatable, where the vendor can.", 7)
    ]


class SharedSettings(TypedDict, total=False):
    """What identifies any provider.

    Attributes:
        api_key: The key; from the environment if None.
        base_url: The API's address; from the environment, or the vendor's own, if None.
        options: The vendor's own request fields, sent as they are.
        free: Whether answers cost nothing, as from a server of your own, or on a free tier.
        price_name: What `genai-prices` calls the vendor whose prices hold, such as "openai". By
            default that of the vendor's own address, or of the vendor known to be at `base_url`; what
            answers on this machine is free.
    """

    api_key: Annotated[str | SecretStr | None, _read_as(SecretStr | None)]
    base_url: str | None
    options: Annotated[dict[str, Any] | None, Field()]
    free: bool
    price_name: _Text | None


class ChatSettings(SharedSettings, CallOptions, total=False):
    """What identifies and tunes a provider of chat, beside the options of `CallOptions`.

    Attributes:
        system_prompt: What every conversation begins with.
        strict: Raise for an option that the model refuses, instead of leaving it out.
        think_tags: Move what stands between `<think>` and `</think>` in the text to `reasoning`, for
            servers that leave thoughts there.
    """

    system_prompt: _Text | None
    strict: bool
    think_tags: bool


class EmbeddingSettings(SharedSettings, total=False):
    """What identifies and tunes a provider of embeddings.

    Attributes:
        dimensions: How many numbers a vector has: asked for where the model can have fewer than its
            own, and known before any call where the model is not known.
        batch_size: The most texts in one request; if None, 256 or what the vendor takes.
    """

    dimensions: Annotated[_Whole | None, Field(ge=1)]
    batch_size: Annotated[_Whole | None, Field(ge=1)]


def _rows() -> dict[str, tuple[type, Row]]:
    plain = get_type_hints(CallOptions)
    return {
        name: (get_args(plain[name])[0], next(m for m in get_args(hint) if isinstance(m, Row)))
        for name, hint in get_type_hints(CallOptions, include_extras=True).items()
    }


PORTABLE = _rows()
"""The table: of each option the type in which a user may write one value, and its row."""


@cache
def _validator(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def check(kind: type[_T], values: Mapping[str, Any], error: type[LLMError]) -> _T:
    """Return those of *values* that a *kind* of settings has.

    Raises:
        LLMError: Of kind *error*; names each field, its value and the rule that it breaks.
    """
    try:
        checked: _T = _validator(cast(Hashable, kind)).validate_python(dict(values))
    except ValidationError as problems:
        rules = [_rule(item) for item in problems.errors(include_url=False)]
    else:
        return checked
    raise error("; ".join(rules))


def _rule(item: ErrorDetails) -> str:
    path = [str(step) for step in item["loc"] if not str(step).startswith("function-")]
    value = "" if path[0] in _SECRET else f" is {shown(item['input'])}"
    return f"{'.'.join(path)}{value}: {item['msg'].removeprefix('Value error, ')}"


def check_options(call: Mapping[str, Any], own: Container[str] = ()) -> Json:
    """Return the portable options of one call, checked and without those that are None.

    Args:
        call: All options of the call.
        own: Fields of the vendor that are spelled nearly like an option.

    Raises:
        InvalidRequestError: A value is of the wrong type or out of range, or a name is nearly that
            of an option.
    """
    given = {name: value for name, value in call.items() if value is not None}
    for name in given.keys() - PORTABLE.keys():
        if name not in own and (meant := _near_miss(name)):
            raise InvalidRequestError(f"{name!r} is not known: did you mean {meant!r}?")
    portable = {name: given[name] for name in PORTABLE if name in given}
    return dict(check(CallOptions, portable, InvalidRequestError)) if portable else portable


@cache
def _near_miss(name: str) -> str:
    """Return the portable option that *name* is nearly called, or ""."""
    short = name[:_LONGEST_COMPARED]
    return next(iter(_matches(short, PORTABLE, 1, _NEAR_MISS)), "")


def keywords_of(kind: type) -> set[str]:
    """Return what a provider class can be built with."""
    names: set[str] = set()
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                if get_origin(parameter.annotation) is Unpack:
                    names.update(get_args(parameter.annotation)[0].__annotations__)
            elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                names.add(name)
    return names - {"self"}


def refuse(unknown: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Raise if a keyword is not one of *known*.

    Raises:
        ConfigurationError: Names the keyword and the closest known one.
    """
    names = sorted(known)
    for name in unknown:
        if name not in names:
            raise ConfigurationError(f"{owner} takes no {name!r}{did_you_mean(name, names)}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ": did you mean ...?" where a name in *known* is close to *name*, else all of them."""
    names = sorted(known)
    close = _matches(name, names, 1, 0.6)
    return f": did you mean {close[0]!r}?" if close else f" (known: {', '.join(names)})"


def spelled(options: Mapping[str, object], names: Mapping[str, str]) -> Json:
    """Return *options* under the names that *names* gives them, others as they are.

    Args:
        options: Options by name.
        names: The vendor's names; dots lead into nested objects ("options.num_ctx").
    """
    return merged(*(_nested(names.get(name, name), value) for name, value in options.items()))


def _nested(path: str, value: object) -> Json:
    outer, _, inner = path.partition(".")
    return {outer: _nested(inner, value) if inner else value}


def merged(*bodies: Json) -> Json:
    """Return *bodies* as one: later values win, objects join. None of them is changed."""
    whole: Json = {}
    for body in bodies:
        for name, value in body.items():
            before = whole.get(name)
            if isinstance(before, dict) and isinstance(value, dict):
                whole[name] = merged(before, value)
            else:
                whole[name] = value
    return whole


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Return the five of *known* that are most like *name*, the closest first."""
    names = [other for other in islice(known, _MOST_COMPARED) if len(other) <= _LONGEST_COMPARED]
    return _matches(name[:_LONGEST_COMPARED], names, _CLOSEST, 0.0)


def _matches(name: str, names: Iterable[str], most: int, cutoff: float) -> list[str]:
    import difflib  # for errors only, and slow to load

    return difflib.get_close_matches(name, list(names), most, cutoff)
