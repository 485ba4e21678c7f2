"""What a vendor of OpenAI's protocol does in its own way: the fields of a row of `vendors.py`."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from bruno_llm_base import Json
from bruno_llm_base.access import checked_url, unquoted
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.options import PORTABLE, check, did_you_mean, spelled
from bruno_llm_base.reasoning import LEVELS, level_of, snapped, tokens_of
from bruno_llm_base.values import is_loopback, shown

from bruno_llm_openai.models import efforts

_T = TypeVar("_T")
_VARIABLE = re.compile(r"\{(\w+)\}")
_PART = re.compile(r"[\w.:-]+", re.ASCII)
_SHORT = {"key": "api_key_env", "model": "default_model"}
_KEY_VARIABLE = re.compile("[A-Z]+|[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")  # unlike any vendor's keys

_PLACE = (
    *("name", "base_url", "hosts", "api_key_env", "needs_key", "models_path", "limit_headers"),
    *("price_name", "telemetry_name", "free"),
)

Dialect = Literal["strict", "loose", "json_object"]
"""How an answer of a type is asked for: by a schema that holds the model, by one that it is shown, or
by the word that any JSON will do."""

ErrorKind = Literal[
    "AuthenticationError",
    "ContentBlockedError",
    "ContextLengthExceededError",
    "ModelNotFoundError",
    "QuotaExceededError",
    "RateLimitError",
    "ServiceUnavailableError",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class ReasoningFields:
    """How a model is asked to think.

    Attributes:
        levels: The levels that it takes, in rising order; if none, those that OpenAI's model of that name
            takes, or all.
        effort: The field that takes a level, dots for nesting; "" where none does.
        budget: The field that takes a number of tokens, dots for nesting; "" where none does.
        on: What goes with any level or number.
        off: What stands for the level "none"; empty where that is a level as any other.
    """

    levels: tuple[str, ...] = ()
    effort: str = "reasoning_effort"
    budget: str = ""
    on: Json = field(default_factory=dict)
    off: Json = field(default_factory=dict)

    def ask(self, wanted: str | int, model: str) -> tuple[Json, str | int]:
        """Return the fields that ask *model* for what is *wanted*, and how much that is."""
        levels = self.levels or efforts(model) or LEVELS
        if self.levels and wanted != "none":  # few have a lower level than the one that is meant
            levels = tuple([level for level in self.levels if level != "none"])
        used = snapped(wanted, levels)
        told = wanted if used == level_of(wanted) else used
        if used == "none" and self.off:
            return dict(self.off), told
        if self.budget and (isinstance(wanted, int) or not self.effort):
            return spelled({}, self.on, {self.budget: tokens_of(wanted)}), wanted
        return spelled({}, self.on, {self.effort: used} if self.effort else {}), told


@dataclass(frozen=True, kw_only=True, eq=False)
class VendorRow:
    """What is to be known of a vendor; what a row does not say is as most have it.

    Where models of a vendor differ, a value is a mapping: the first pattern that a model's name
    begins with decides.

    Attributes:
        name: What the provider is called in configuration, errors and logs.
        base_url: The address; `{NAME}` stands for what that environment variable says: a host, an account.
        hosts: What its hosts' names end with, where the address does not tell.
        api_key_env: Environment variables that may hold the key, the first set one wins; `NAME_API_KEY`
            if there are none.
        needs_key: Whether it wants a key.
        default_model: The model where none is named; "" where the user has to.
        output_limit: The field that limits the tokens of an answer.
        option_names: What it calls other fields of Chat Completions, "" for those that it refuses; in
            Responses, those that stay.
        refused_options: The portable options that it refuses.
        reasoning: How models are asked to think; None where they cannot be asked.
        reasoning_field: The field of a message in which thoughts come; "content" for pieces of it.
        sends_back: Whether thoughts go back to it in the following requests.
        needs_thoughts: Whether it refuses a call of a tool that comes back without any.
        needs_answers: Whether it refuses words of the user right behind the result of a tool.
        think_tags: Whether thoughts come in the text, between tags.
        schemas: How an answer of a type is asked for.
        media_types: What models read beside text, as `MediaRules.types`; None where the server will say.
        call_ids: What it takes as the id of a call.
        api: Which of OpenAI's two APIs it speaks.
        models_path: Where it lists its models; None where it does not.
        limit_headers: The headers that tell of its limits, as `read_limits` takes them.
        error_kinds: What its own codes of errors stand for, where others mean something else by them.
        price_name: What `genai-prices` calls it; its name if None.
        telemetry_name: What OpenTelemetry calls it (`gen_ai.provider.name`); its name if None.
        free: Why its answers cost nothing, if they do.
        source: Where that was read, and when.
    """

    name: str
    base_url: str
    hosts: tuple[str, ...] = ()
    api_key_env: tuple[str, ...] = ()
    needs_key: bool = True
    default_model: str = ""
    output_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    option_names: Mapping[str, str] = field(default_factory=dict)
    refused_options: frozenset[str] | Mapping[str, frozenset[str]] = frozenset()
    reasoning: ReasoningFields | Mapping[str, ReasoningFields | None] | None = ReasoningFields()
    reasoning_field: str = "reasoning_content"
    sends_back: bool = True
    needs_thoughts: bool = False
    needs_answers: bool = False
    think_tags: bool = False
    schemas: Dialect | Mapping[str, Dialect] = "strict"
    media_types: tuple[str, ...] | Mapping[str, tuple[str, ...] | None] | None = None
    call_ids: re.Pattern[str] = re.compile(r"(?s).{1,40}")
    api: Literal["chat", "responses"] = "chat"
    models_path: str | None = "/models"
    limit_headers: str = "x-ratelimit-{what}-{unit}"
    error_kinds: Mapping[str, ErrorKind] = field(default_factory=dict)
    price_name: str | None = None
    telemetry_name: str | None = None
    free: str | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if not self.api_key_env:
            object.__setattr__(self, "api_key_env", (f"{self._prefix}_API_KEY",))

    @property
    def base_url_env(self) -> str:
        """The environment variable for an address of one's own."""
        return f"{self._prefix}_BASE_URL"

    @property
    def _prefix(self) -> str:
        return self.name.upper().replace("-", "_")

    def address(self) -> str:
        """Return the address, with what the environment says in it.

        Raises:
            ConfigurationError: It does not say it, or something else.
        """

        def said(variable: re.Match[str]) -> str:
            value = unquoted(os.environ.get(variable[1], ""))
            if not value:
                raise ConfigurationError(
                    f"{self.name} needs an address: set {variable[1]} or pass base_url"
                )
            host = value.removeprefix("https://").removeprefix("http://").rstrip("/")
            rest = self.base_url[variable.end() :]  # some give more than their part, or all of it
            part = host.removesuffix(rest).removesuffix(rest.partition("/")[0])
            if not _PART.fullmatch(part):
                raise ConfigurationError(
                    f"{variable[1]} cannot be a part of an address: give the name of a host or an account"
                )
            return part

        return _VARIABLE.sub(said, self.base_url)

    def place(self) -> dict[str, Any]:
        """Return where the vendor is, and with what right it is used: the beginning of another row."""
        return {name: getattr(self, name) for name in _PLACE}

    def is_at(self, host: str) -> bool:
        """Whether *host* is the vendor's; one on this machine may be anything."""
        own = urlsplit(self.base_url).hostname or ""
        ends = self.hosts or (() if "{" in own or is_loopback(own) else (own,))
        return f".{host}".endswith(tuple(f".{end}" for end in ends))

    def refused(self, model: str) -> frozenset[str]:
        """Return the portable options that *model* refuses."""
        return _of_model(self.refused_options, model, frozenset())

    def reasoning_fields(self, model: str) -> ReasoningFields | None:
        """Return how *model* is asked to think; None if it cannot be asked."""
        return _of_model(self.reasoning, model, None)

    def media_of(self, model: str) -> tuple[str, ...] | None:
        """Return what *model* reads beside text; None where that is not known."""
        return _of_model(self.media_types, model, None)

    def dialect(self, model: str) -> Dialect:
        """Return how *model* is asked for an answer of a type."""
        return _of_model(self.schemas, model, "json_object")

    @classmethod
    def read(cls, name: str, fields: Mapping[str, Any]) -> "VendorRow":
        """Return the row that a user describes.

        Args:
            name: What the vendor is called.
            fields: Those of a row, from a file say; `key` is the environment variable that holds the key,
                and `model` the default one. Without a variable, no key is needed.

        Raises:
            ConfigurationError: A field is unknown or wrong, or the address is missing.
        """
        known = {*cls.__dataclass_fields__, *_SHORT} - {"name", *_SHORT.values()}
        for unknown in fields.keys() - known:
            raise ConfigurationError(
                f"vendors.{name} takes no {unknown!r}{did_you_mean(unknown, known)}"
            )
        if "base_url" not in fields:
            raise ConfigurationError(
                f"vendors.{name}.base_url is missing: give an address like https://host/v1"
            )
        given = {_SHORT.get(field, field): value for field, value in fields.items()}
        if (key := given.pop("api_key_env", None)) is not None:
            if not (isinstance(key, str) and _KEY_VARIABLE.fullmatch(key)):
                raise ConfigurationError(
                    f"vendors.{name}.key is not the name of an environment variable, such as ACME_KEY:"
                    " put the key into one, as keys do not belong into files"
                )
            given["api_key_env"] = (key,)
        try:
            row = check(
                cls, {"name": name, "needs_key": "api_key_env" in given} | given, ConfigurationError
            )
            checked_url("base_url", _VARIABLE.sub("x", row.base_url))
            _check_models(row)
        except ConfigurationError as error:
            raise ConfigurationError(f"vendors.{name}: {error.message}") from error
        return row


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingRow(VendorRow):
    """What is to be known of a vendor of embeddings.

    Attributes:
        dimensions: How many numbers the vectors of each model have, as far as that is known.
        dimensions_field: The field that asks for fewer; None where none does.
        max_batch: The most texts of one request; None where that is not known.
        max_request_tokens: The most tokens of one request, all texts together.
        fields: What goes with every request.
    """

    dimensions: Mapping[str, int] = field(default_factory=dict)
    dimensions_field: str | None = None
    max_batch: int | None = None
    max_request_tokens: int | None = None
    fields: Json = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class RerankRow(VendorRow):
    """What is to be known of a vendor of rerankers.

    Attributes:
        top_field: The field that says how many documents come back.
        fields: What goes with every request.
        max_documents: The most documents of one request; None where that is not known.
    """

    top_field: str = "top_n"
    fields: Json = field(default_factory=dict)
    max_documents: int | None = None


def _check_models(row: VendorRow) -> None:
    """Raise a `ConfigurationError` where what a user says of models makes no sense."""
    for name in ("reasoning", "refused_options", "schemas", "media_types"):
        value = getattr(row, name)
        by_model = value if isinstance(value, Mapping) else {"": value}
        for pattern, said in by_model.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigurationError(
                    f"{name} has the pattern {shown(pattern)}, which is not a regular expression"
                    f" ({error}): give the beginning of a model's name"
                ) from None
            words, known = {
                "reasoning": (getattr(said, "levels", ()), LEVELS),
                "refused_options": (said, PORTABLE),
            }.get(name, ((), ()))
            for word in words:
                if word not in known:
                    hint = did_you_mean(word, known)
                    raise ConfigurationError(
                        f"{name} has {shown(word)}, which is not known{hint}: give"
                        f" {', '.join(known)}"
                    )


def _of_model(value: "_T | Mapping[str, _T]", model: str, default: _T) -> _T:
    if not isinstance(value, Mapping):
        return value
    return next((each for pattern, each in value.items() if re.match(pattern, model)), default)
