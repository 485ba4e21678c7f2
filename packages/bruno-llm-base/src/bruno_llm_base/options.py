"""The options that every provider understands, in one table, and what else a provider is built with.

A row of `CallOptions` is all there is to an option: its type and range, what it does, and a value
that the contract of providers sends. From it follow the keyword of every constructor and its check,
the environment variable `BRUNO_LLM_<NAME>`, the flag `--<name>` of the command, and the table in
`docs/configuration.md`.
"""

import inspect
from collections.abc import Container, Hashable, Iterable, Mapping
from functools import cache
from itertools import islice
from typing import Annotated, Any, NamedTuple, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import (
    BeforeValidator,
    Field,
    GetPydanticSchema,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import TypedDict, Unpack

from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError, LLMError
from bruno_llm_base.parts import Json, is_json
from bruno_llm_base.reasoning import LEVELS
from bruno_llm_base.values import INT64, is_whole, shown

_T = TypeVar("_T")

TOOL_OPTIONS = ("tools", "tool_choice", "parallel_tool_calls")
"""Options of a call that offer tools to the model; they are no text, and `tools.py` reads them."""

CACHE_TIMES = ("5m", "30m", "1h", "12h")
"""How long what requests have in common may be kept."""

_SECRET = ("api_key", "base_url", "options")
_NEAR_MISS = 0.84
_OF_CALLS = (*TOOL_OPTIONS, "attachments", "output")
_ALSO_KNOWN = (*_OF_CALLS, "messages", "model", "options", "prompt", "refresh")
_ELSEWHERE = (
    {  # what other libraries call what we have; some are a vendor's fields, which ours become
        "api_base": "base_url",
        "history": "messages",
        "instructions": "system_prompt",
        "num_retries": "max_retries",
        "output_type": "output",
        "response_model": "output",
        "system": "system_prompt",
        "system_instruction": "system_prompt",
    }
)
_CURES = {  # of what pydantic finds; what it says of others will do
    "bool_parsing": "give True or False",
    "bool_type": "give True or False",
    "dict_type": "give a dict",
    "finite_number": "give a number",
    "float_parsing": "give a number",
    "float_type": "give a number",
    "greater_than": "give more than {gt}",
    "greater_than_equal": "give {ge} or more",
    "int_from_float": "give a whole number",
    "int_parsing": "give a whole number",
    "int_type": "give a whole number",
    "less_than_equal": "give {le} or less",
    "literal_error": "give {expected}",
    "list_type": "give a text, or a list of texts",
    "string_too_short": "give some text, or leave it out",
    "string_type": "give a text",
}
_MOST_COMPARED, _LONGEST_COMPARED = 2000, 100
_CONTAINERS = ("generationConfig", "options", "output_config", "text")
_DEEPEST = 10  # dots in the name of an option


class Row(NamedTuple):
    """What is said of an option beside its type: for people, and for the contract of providers."""

    help: str
    sample: Any


def _maybe_number(value: object) -> object:
    if isinstance(value, bool | bytes):  # pydantic takes these for numbers, and wants a ValueError
        kind = "a truth value is" if isinstance(value, bool) else "bytes are"
        raise ValueError(f"{kind} not a number")  # noqa: TRY004
    return value


def _maybe_effort(value: object) -> object:
    if isinstance(value, str) and value.isdecimal():  # as the environment has it
        value = int(value)
    if value not in LEVELS and not is_whole(value, least=1):
        raise ValueError(f"give one of {', '.join(LEVELS)}, or a number of tokens")
    return value


def _maybe_time(value: object) -> object:
    value = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if not isinstance(value, bool) and value not in CACHE_TIMES:
        raise ValueError(f"give True, False, {', '.join(CACHE_TIMES)}")
    return value


def _maybe_stops(value: object) -> object:
    if value in ([], ()):
        raise ValueError("give a text or some, or leave it out")
    return [value] if isinstance(value, str) else value


def _read_as(kind: Any) -> GetPydanticSchema:
    """Let pydantic read a value as a *kind*, whatever users may give it as."""
    return GetPydanticSchema(lambda _, handler: handler(kind))


_Number = Annotated[float, BeforeValidator(_maybe_number), Field(allow_inf_nan=False)]
_Whole = Annotated[int, BeforeValidator(_maybe_number), Field(ge=-INT64, le=INT64)]
_Count = Annotated[_Whole | None, Field(ge=1)]
_Text = Annotated[str, Field(min_length=1)]
_Reasoning = Annotated[str | int, BeforeValidator(_maybe_effort)]
_Time = Annotated[bool | str, BeforeValidator(_maybe_time)]
_Stops = Annotated[
    list[Annotated[_Text, Field(strict=True)]],  # bytes are no text
    BeforeValidator(_maybe_stops),
]


class CallOptions(TypedDict, total=False):
    """The options that every provider understands, for all calls or for one."""

    temperature: Annotated[
        _Number | None, Field(ge=0, le=2), Row("Sampling temperature, 0 to 2.", 0.5)
    ]
    max_tokens: Annotated[_Count, Row("The most tokens of an answer, reasoning included.", 99)]
    top_p: Annotated[_Number | None, Field(gt=0, le=1), Row("Nucleus sampling, above 0 to 1.", 0.5)]
    stop: Annotated[
        str | list[str] | None,
        _read_as(_Stops | None),
        Row("A text that ends the answer; a list of texts for several.", ["END"]),
    ]
    seed: Annotated[
        _Whole | None, Row("A number that makes sampling repeatable, where the vendor can.", 7)
    ]
    reasoning: Annotated[
        str | int | None,
        _read_as(_Reasoning | None),
        Row(f"How much the model thinks: {', '.join(LEVELS)}, or a number of tokens.", "low"),
    ]
    cache: Annotated[
        str | bool | None,
        _read_as(_Time | None),
        Row("Keep what requests have in common: true, 5m, 30m, 1h or 12h.", "1h"),
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
    options: dict[str, Any] | None
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

    dimensions: _Count
    batch_size: _Count


_HINTS = get_type_hints(CallOptions, include_extras=True)
PORTABLE: dict[str, tuple[type, Row]] = {
    name: (get_args(kind)[0], next(m for m in get_args(_HINTS[name]) if isinstance(m, Row)))
    for name, kind in get_type_hints(CallOptions).items()
}
"""The table: of each option the type in which a user may write one value, and its row."""


@cache
def _validator(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def check(kind: type[_T], values: Mapping[str, Any], error: type[LLMError]) -> _T:
    """Return those of *values* that a *kind* of settings has.

    What is wrong is an *error* that names each field, its value and the rule that it breaks.
    """
    rules = []
    try:
        return cast(_T, _validator(cast(Hashable, kind)).validate_python(dict(values)))
    except ValidationError as problems:
        for item in problems.errors(include_url=False):
            path = [str(step) for step in item["loc"] if not str(step).startswith("function-")]
            value = "" if path[0] in _SECRET else f" is {shown(item['input'])}"
            if item["type"] in _CURES:
                cure = _CURES[item["type"]].format_map(item.get("ctx", {}))
            else:
                cure = item["msg"].removeprefix("Value error, ")
            if path == ["temperature"] and item["type"] == "less_than_equal":
                cure += "; the length of an answer is max_tokens"
            rules.append(f"{'.'.join(path)}{value}: {cure}")
    raise error("; ".join(rules))  # outside of `except`: the problems hold secrets


def check_options(call: Mapping[str, Any], own: Container[str] = ()) -> Json:
    """Return the portable options of a *call*, checked and without those that are None.

    A name that is nearly that of an option, and none of the vendor's *own*, is an error; so is what
    other libraries call what is ours.
    """
    portable = {}
    for name, value in call.items():
        if name in PORTABLE:
            if value is not None:
                portable[name] = value
        elif name in _ELSEWHERE and value is not None:
            raise InvalidRequestError(_told_elsewhere(name, _ELSEWHERE[name]))
        elif value is not None and name not in own and (meant := _near_miss(name)):
            raise InvalidRequestError(
                f"{name!r} is not known: did you mean {meant!r}? A field of the vendor's own goes into"
                f" options={{{name!r}: ...}}"
            )
    return dict(check(CallOptions, portable, InvalidRequestError)) if portable else portable


def check_sendable(options: Json, reserved: Container[str], error: type[LLMError]) -> None:
    """Raise an *error* if one of *options* belongs to the *reserved* fields of a request, or is no JSON.

    They are in the vendor's own words; dots in a name lead into nested objects.
    """
    for name, value in options.items():
        if name.partition(".")[0] in reserved:
            raise error(
                f"{name!r} is not an option: it belongs to the request itself, leave it out"
            )
        if not is_json(name) or name.count(".") > _DEEPEST:
            raise error(f"{shown(name)} is not the name of an option: leave it out")
        if not is_json(value):
            cure = ": a type goes into output=" if isinstance(value, type) else ""
            raise error(f"the option {name!r} is not JSON, but a {type(value).__name__}{cure}")


def _told_elsewhere(name: str, ours: str) -> str:
    if ours in _ALSO_KNOWN:
        return f"{name!r} is not known: did you mean {ours!r}?"
    cure = f"give {ours} where the model is made"
    if ours == "system_prompt":
        cure += ", or begin the messages with one of the role system"
    return f"{name!r} is not an option of a call: {cure}"


@cache
def _near_miss(name: str) -> str:
    """Return the option of ours that *name* is nearly called, or ""."""
    names = (*PORTABLE, *_ALSO_KNOWN)
    if name in names:
        return ""
    swapped = [other for other in names if sorted(other) == sorted(name)]
    return "".join(swapped or close_matches(name, names, cutoff=_NEAR_MISS))


@cache
def keywords_of(kind: type) -> frozenset[str]:
    """Return what a provider class can be built with."""
    names: set[str] = set()
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items():
            if parameter.kind is not parameter.VAR_KEYWORD:
                names.add(name)
            elif get_origin(parameter.annotation) is Unpack:
                names.update(get_args(parameter.annotation)[0].__annotations__)
                return frozenset(names - {"self"})  # it names all that its bases take
    return frozenset(names - {"self", "args"})


def check_keywords(kind: type, given: Iterable[str]) -> None:
    """Refuse what a provider class cannot be built with, with the closest name that is known."""
    known = keywords_of(kind)
    for name in sorted(set(given) - known):
        if name in _OF_CALLS:
            raise ConfigurationError(
                f"{kind.__name__} takes no {name!r}: give it to each call, as generate(..., {name}=...)"
            )
        raise ConfigurationError(f"{kind.__name__} takes no {name!r}{did_you_mean(name, known)}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ": did you mean ...?" where a name in *known* is close to *name*, else all of them, "" if none."""
    if not (names := sorted(known)):
        return ""
    ours = _ELSEWHERE.get(name)
    close = [ours] if ours in names else close_matches(name, names)
    return f": did you mean {close[0]!r}?" if close else f" (known: {', '.join(names)})"


def close_matches(name: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return *most* of *known* that are like *name* by *cutoff*, 0 to 1, the closest first."""
    import difflib  # for errors only, and slow to load

    # the list may be a server's, and comparing is slow
    names = [other for other in islice(known, _MOST_COMPARED) if len(other) <= _LONGEST_COMPARED]
    return difflib.get_close_matches(name[:_LONGEST_COMPARED], sorted(names), most, cutoff)


def spelled(names: Mapping[str, str], *layers: Json) -> Json:
    """Return *layers* of options as one body, under the names that *names* gives them.

    Dots in a name lead into nested objects ("options.num_ctx"); later layers win.
    """
    return merged(
        *[_nested(names.get(n, n), value) for each in layers for n, value in each.items()]
    )


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
                value = merged(before, value)  # noqa: PLW2901
            whole[name] = value
    return whole


def under(fields: Json, options: Json) -> Json:
    """Return *fields* of ours with the user's *options*, which win as a whole, but for what holds several."""
    both = {
        name: under(value, options[name])
        for name, value in fields.items()
        if name in _CONTAINERS and isinstance(options.get(name), dict)
    }
    return fields | options | both
