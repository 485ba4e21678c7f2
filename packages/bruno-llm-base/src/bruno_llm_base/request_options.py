"""The options of one provider's requests: spelled as its vendor does, without what a model refuses."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from bruno_llm_base.adapter import ChatAdapter
from bruno_llm_base.events import Event, OptionDropped, ReasoningChanged
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError, LLMError
from bruno_llm_base.messages import Conversation
from bruno_llm_base.options import (
    PORTABLE,
    TOOL_OPTIONS,
    ChatSettings,
    check_options,
    check_sendable,
    spelled,
    under,
)
from bruno_llm_base.parts import Json
from bruno_llm_base.request import Request
from bruno_llm_base.values import shown

_OURS = {*PORTABLE, *TOOL_OPTIONS}
Told = tuple[str, type[Event], Json]
"""What is to be told if its word is new of the model, and what that event holds."""
_NESTED = ("reasoning", "tool_choice")  # as objects they are in a vendor's words
_ANYTHING = Conversation.of("?")


class Asked(NamedTuple):
    """What a call asks for.

    Attributes:
        adapter: How the API that takes it spells things.
        options: The body's options.
        own: Those of them that are the vendor's own and that the user has set: never left out.
        told: What is to be told of them once.
    """

    adapter: ChatAdapter
    options: Json
    own: Json
    told: list[Told]


class RequestOptions:
    """What one provider knows of the options that its models take."""

    def __init__(
        self, settings: ChatSettings, adapter: ChatAdapter, keywords: frozenset[str]
    ) -> None:
        """Start with what the user has set.

        *keywords* are what a provider is built with: taken for fields of a call's body, they would
        reach the server.
        """
        self._adapter = adapter
        self._keywords = keywords
        self._always: Json = settings.get("options") or {}
        self._strict = settings.get("strict", False)
        given = ((name, settings.get(name)) for name in PORTABLE)
        self.defaults: Json = {name: value for name, value in given if value is not None}
        # of each model, where a call says nothing
        self._usual: dict[str, Asked] = {}
        self._told: set[tuple[str, str]] = set()
        self._reasoning_told: Mapping[str, Any] = {}  # by the server, of each model
        self._learned: dict[str, dict[tuple[str, str], None]] = {}
        check_sendable(self._always, adapter.reserved_fields, ConfigurationError)

    def options(self, model: str, call: Mapping[str, Any]) -> Asked:
        """Return what a call asks for.

        A call's options overrule the provider's, and among each the vendor's own the portable ones.

        Raises:
            InvalidRequestError: A value is wrong, or the model refuses an option of a strict user.
        """
        given = {n: value for n, value in call.items() if value is not None or n not in _OURS}
        is_usual = not given
        if is_usual and model in self._usual:
            usual = self._usual[model]
            return usual._replace(options=dict(usual.options))
        nested = {n: given.pop(n) for n in _NESTED if isinstance(given.get(n), Mapping)}
        tools = {name: given.pop(name) for name in TOOL_OPTIONS if name in given}
        portable = check_options(given, self._adapter.own_options)
        own = {name: value for name, value in given.items() if name not in PORTABLE}
        for name in sorted(self._keywords & own.keys()):
            raise InvalidRequestError(
                f"{name!r} is not an option of a call: give it when the provider is built"
            )
        own |= _fields("options", own.pop("options", None) or {}) | nested
        ours = self.defaults | portable | tools
        adapter = self._adapter.adapter_for(model, ours | self._always | own)
        check_sendable(own, adapter.reserved_fields, InvalidRequestError)
        refused = adapter.refused_options(model, ours | self._always | own) & ours.keys()
        wanted = None if "reasoning" in refused else ours.get("reasoning")
        thinking, told = self._reasoning(adapter, model, wanted, ours.get("max_tokens"))
        if thinking is None:
            refused |= {"reasoning"}
        if refused and self._strict:
            names = " and ".join(sorted(refused))
            raise InvalidRequestError(
                f"{model} does not accept {names}: leave it out, or set strict=False", param=names
            )
        defaults, portable = (
            {n: value for n, value in layer.items() if n not in refused and n != "reasoning"}
            for layer in (self.defaults, portable)
        )
        offered = {n: value for n, value in tools.items() if n not in refused}
        has_own = bool(self._always.get("tools"))
        fields = _tool_fields(adapter, model, offered, has_own=has_own) if offered else {}
        options = {"model": model} | spelled(
            adapter.option_names, defaults, self._always, portable, fields, own
        )
        if thinking:
            options = under(thinking, options)
        told += [(name, OptionDropped, {"option": name}) for name in sorted(refused)]
        all_own = spelled(adapter.option_names, self._always, own)
        asked = Asked(adapter, options, all_own, told)
        if is_usual:
            self._usual[model] = asked
        return asked._replace(options=dict(options))

    def _reasoning(
        self, adapter: ChatAdapter, model: str, wanted: str | int | None, most: int | None
    ) -> tuple[Json | None, list[Told]]:
        """Return the fields that ask for reasoning, or None if it is refused, and what is to be told."""
        if wanted is None:
            return {}, []
        if model in self._reasoning_told:
            heard = self._reasoning_told[model]
            found = adapter.build_told_reasoning(wanted, model, most, heard)
        else:
            found = adapter.build_reasoning(wanted, model, most)
        if found is None:
            return None, []
        fields, used = found
        if used == wanted:
            return fields, []
        if self._strict:
            raise InvalidRequestError(
                f"{model} does not accept reasoning={wanted!r}: give {used!r}, or set strict=False",
                param="reasoning",
            )
        facts = {"wanted": wanted, "used": used}
        return fields, [(f"reasoning={wanted}", ReasoningChanged, facts)]

    def learn_reasoning(self, told: Mapping[str, Any]) -> None:
        """Remember what the server's list of models says about how they may think."""
        if told:
            self._reasoning_told = told
            self._usual.clear()

    def amend(self, request: Request[Any], error: LLMError) -> tuple[Json, str | None] | None:
        """Return the body without what the API has just refused, or None if nothing can be done.

        What the user has set in the vendor's own words may be renamed, and is never left out. Beside the
        body comes the name of the field, if it is newly left out.
        """
        body, model, field = request.body, request.model, error.param
        if body is None or model is None or not error.code or not _holds(body, field):
            return None
        field = cast(str, field)
        adapter = cast(ChatAdapter, request.adapter)
        amended = _amended(adapter, model, body, own=request.own, code=error.code, field=field)
        if amended is None:
            return None
        dropped = _size(amended) < _size(body)
        if dropped and self._strict:
            return None
        if error.code not in adapter.conversation_codes:
            self._learned.setdefault(model, {})[error.code, field] = None
        return amended, field if dropped and self.is_new(model, field) else None

    def recall(self, adapter: ChatAdapter, model: str, body: Json, own: Json) -> Json:
        """Return *body* without what the API has refused before, but for the user's *own* fields."""
        for code, field in self._learned.get(model, ()):
            if _holds(body, field):
                body = _amended(adapter, model, body, own=own, code=code, field=field) or body
        return body

    def is_new(self, model: str, word: str) -> bool:
        """Whether nothing was told yet of *word*, the name of an option or an API, and *model*."""
        new = (model, word) not in self._told
        self._told.add((model, word))
        return new


def _fields(name: str, value: object) -> Json:
    if not isinstance(value, Mapping):
        raise InvalidRequestError(
            f"{name} is {shown(value)}: give a dict of the vendor's own fields"
        )
    return dict(value)


def _holds(body: Json, field: str | None) -> bool:
    return field is not None and field.partition(".")[0] in body


def _amended(
    adapter: ChatAdapter, model: str, body: Json, *, own: Json, code: str, field: str
) -> Json | None:
    """Return what the adapter makes of a refusal, unless the user's *own* fields would lose something."""
    amended = adapter.amend(body, code, field)
    is_renamed = amended is not None and [*amended.values()] == [*body.values()]
    return amended if is_renamed or not _is_own(adapter, model, own, field) else None


def _is_own(adapter: ChatAdapter, model: str, own: Json, field: str) -> bool:
    """Whether the user's *own* options say what a body has in *field*, however the API spells them."""
    if not own:
        return False
    if _at(own, field) is not None:
        return True
    plain, with_own = (
        adapter.build(_ANYTHING, {"model": model, **options}, stream=False) for options in ({}, own)
    )
    return _at(with_own, field) != _at(plain, field)


def _at(body: Json, field: str) -> object:
    """Return what *body* has in *field*: a value, or True of what a list holds; None if nothing."""
    outer, _, inner = field.partition(".")
    value = body.get(outer)
    if inner and isinstance(value, list):
        return True if inner in value else None
    return _at(value, inner) if inner and isinstance(value, dict) else value


def _size(body: Json) -> int:
    """Return how many fields *body* has, those in nested objects included."""
    return sum(len(value) if isinstance(value, dict) else 1 for value in body.values())


def _tool_fields(adapter: ChatAdapter, model: str, given: Json, *, has_own: bool) -> Json:
    """Return the fields that offer tools, unless there are none, not even of the vendor's *own*."""
    from bruno_llm_base.tools import read_tool_options  # most requests offer no tools

    tools, choice, parallel = read_tool_options(given)
    if not tools and not has_own:  # then vendors refuse both
        if choice not in (None, "auto", "none"):
            raise InvalidRequestError(f"tool_choice is {choice!r} without any tools: give some")
        return {}
    fields = adapter.build_tools(tools, choice=choice, parallel=parallel, model=model)
    check_sendable(fields, (), InvalidRequestError)
    return fields
