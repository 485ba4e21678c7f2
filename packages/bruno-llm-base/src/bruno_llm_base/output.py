"""Typed output: what an answer is to be, how it is asked for, and how it is read."""

import inspect
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bruno_core.models import Message, MessageRole
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import from_json

from bruno_llm_base.adapter import ChatAdapter
from bruno_llm_base.exceptions import (
    InvalidRequestError,
    LLMError,
    OutputInvalidError,
    OutputLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.messages import Conversation, Messages, read_messages
from bruno_llm_base.options import under
from bruno_llm_base.parts import Json, is_json
from bruno_llm_base.response import ModelResponse, totals_of
from bruno_llm_base.schemas import changed, flaw_in, is_object, without_added_nulls, without_titles
from bruno_llm_base.stream import StreamState, TextStream, answer_text
from bruno_llm_base.values import is_whole, reason_of, shown

if TYPE_CHECKING:
    from typing_extensions import TypeForm

_T = TypeVar("_T")
_RESULT = "result"  # where a root stands that is not an object, for vendors that want one
_MOST_ERRORS = 5
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)(?:\n```|\Z)", re.DOTALL)
_ROOTS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "integer": int,
}


@dataclass(frozen=True, slots=True)
class Output(Generic[_T]):
    """What an answer is to be, where a type alone does not say enough.

        answer = await llm.request("...", output=Output(City, retries=2))

    Attributes:
        type: A pydantic model, a dataclass, a TypedDict, a union, a list or any other type that
            pydantic can validate; or a JSON schema as a dict, for plain JSON.
        retries: How often the model is asked again, with what is wrong, if its answer does not fit.
    """

    type: "TypeForm[_T]"
    retries: int = 1
    _form: "Form" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the type.

        Raises:
            InvalidRequestError: It has no JSON schema, or `retries` is not a number.
        """
        if not is_whole(self.retries, least=0):
            raise InvalidRequestError(
                f"Output.retries is {shown(self.retries)}: give a whole number, 0 or more"
            )
        object.__setattr__(self, "_form", _form_of(self.type))

    @classmethod
    def of(cls, given: Any) -> "Output[Any]":
        """Return what a call was given as `output`."""
        return given if isinstance(given, Output) else cls(given)

    @property
    def form(self) -> "Form":
        """What the type tells."""
        return self._form

    def told(self, messages: Messages) -> Messages:
        """Return *messages* with what is wanted in words, for models that are not asked otherwise."""
        system = Message(role=MessageRole.SYSTEM, content=self._form.instructions())
        return [system, *read_messages(messages)]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What a type says about the JSON that fits it.

    Attributes:
        name: What it is called.
        schema: What the JSON must fit.
        adapter: Validates; None where the schema is all there is.
    """

    name: str
    schema: Json
    adapter: TypeAdapter[Any] | None

    def wrapped(self) -> Json:
        """Return the schema of an object, which holds what fits if that is not an object itself."""
        if is_object(self.schema):
            return self.schema
        inner = changed(self.schema, _moved)
        whole: Json = {name: inner.pop(name) for name in ("$defs", "definitions") if name in inner}
        properties = {"properties": {_RESULT: inner}, "required": [_RESULT]}
        return {"title": self.name, "type": "object", **properties, **whole}

    def data(self, text: str) -> Any:
        """Return the JSON that *text* holds, unwrapped.

        Raises:
            ValueError: It holds none.
        """
        data = without_added_nulls(self.unwrapped(_json_in(text)), self.schema)
        root = _ROOTS.get(str(self.schema.get("type")), object)
        if self.adapter is None and not isinstance(data, root):
            raise ValueError(f"Input should be of type {self.schema['type']}")
        return data

    def unwrapped(self, data: Any) -> Any:
        """Return what *data* holds, if it is a wrapped root."""
        is_wrapped = isinstance(data, dict) and data.keys() == {_RESULT}
        return data[_RESULT] if is_wrapped and not is_object(self.schema) else data

    def instructions(self) -> str:
        """Return what a model is told that is not shown the schema by its server."""
        schema = json.dumps(without_titles(self.schema), ensure_ascii=False)
        return f"Answer with JSON alone, without any other text. It must fit this schema:\n{schema}"


def _moved(schema: Json) -> Json:
    """Return *schema* with a reference that starts at the root as it is once that is wrapped."""
    path = str(schema.get("$ref", "")).removeprefix("#")
    if "$ref" not in schema or path.startswith(("/$defs/", "/definitions/")):
        return schema
    return schema | {"$ref": f"#/properties/{_RESULT}{path}"}


def _form_of(kind: Any) -> Form:
    try:
        return _read_type(kind)
    except TypeError:  # it cannot be hashed: a schema, or a type that is annotated with one
        return _read_type.__wrapped__(kind)


@lru_cache(maxsize=256)
def _read_type(kind: Any) -> Form:
    if isinstance(kind, str):
        raise InvalidRequestError(
            f"output is {shown(kind)}, of which there is no JSON schema: give the type, not its name"
        )
    if inspect.isroutine(kind):  # pydantic would call it
        raise InvalidRequestError(f"output is the function {shown(kind)}: give a type")
    if isinstance(kind, BaseModel) or (is_dataclass(kind) and not isinstance(kind, type)):
        raise InvalidRequestError(f"output is {shown(kind)}: give its type, {type(kind).__name__}")
    if isinstance(kind, Mapping):
        schema = dict(kind)
        if not schema.keys() & {"type", "anyOf", "oneOf", "allOf", "$ref", "enum", "properties"}:
            raise InvalidRequestError(f"output is {shown(kind)}: give a JSON schema, or a type")
        if not is_json(schema):
            raise InvalidRequestError("output is a schema with something in it that is not JSON")
        if flaw := flaw_in(schema):
            raise InvalidRequestError(f"output is not a JSON schema: {flaw}")
        return Form(str(schema.get("title") or "output"), schema, None)
    try:
        adapter = TypeAdapter(kind)
        schema = adapter.json_schema()
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise InvalidRequestError(
            f"output is {shown(kind)}, of which there is no JSON schema: {reason_of(error)} Give a"
            " model, a dataclass, a TypedDict, or what is made of these, such as list[City]"
        ) from error
    name = schema.get("title") or getattr(kind, "__name__", None) or "output"
    return Form(str(name), schema, adapter)


def _json_in(text: str) -> Any:
    """Return the JSON that a model has written, whatever it has put around it."""
    try:
        return from_json(text)
    except ValueError as error:
        fenced = _FENCED.search(text)
        inner = fenced[1] if fenced else text
        starts = [place for place in map(inner.find, "{[") if place >= 0]
        if not starts:
            raise ValueError(f"Input is not JSON: {error}") from None
        try:
            return json.JSONDecoder().raw_decode(inner, min(starts))[0]
        except (ValueError, RecursionError):
            raise ValueError(f"Input is not JSON: {error}") from None


def read_output(response: ModelResponse, output: Output[_T]) -> ModelResponse[_T]:
    """Return *response* with its output, unless it calls tools or pauses before there is one.

    Raises:
        ContentBlockedError: The model refused, or a filter took the answer.
        OutputLimitError: The output budget was spent before the end of it.
        OutputInvalidError: It does not fit.
    """
    reason, form = response.finish_reason, output.form
    if reason == "content_filter" or (reason == "length" and not response.text.strip()):
        answer_text(response, str(response.provider))
    if reason == "length":
        raise OutputLimitError(
            f"the output limit was reached within the output of type {form.name} (reasoning counts"
            " as output): raise max_tokens or lower the reasoning effort",
            **_facts(response),
        )
    if response.tool_calls or reason == "pause":
        return response
    errors: list[str] = []
    try:
        data = form.data(response.text)
        value = data if form.adapter is None else form.adapter.validate_json(json.dumps(data))
    except ValidationError as error:
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            place = ".".join(map(str, item["loc"])) or "the answer"
            errors.append(f"{place}: {item['msg']}")
    except (ValueError, RecursionError) as error:
        errors.append(f"the answer: {error}")
    if errors:
        more = len(errors) - _MOST_ERRORS
        told = "; ".join(errors[:_MOST_ERRORS]) + (f"; and {more} more" if more > 0 else "")
        raise OutputInvalidError(
            f"the answer does not fit {form.name}: {told}",
            errors=tuple(errors),
            **_facts(response),
        )
    return replace(response, _output=(value,))


def _facts(response: ModelResponse) -> Json:
    """Return what an error says about the answer that it is about."""
    names = ("provider", "model", "request_id", "attempts")
    return {name: getattr(response, name) for name in names} | {"partial": response}


def output_text(response: ModelResponse, output: Any) -> str:
    """Return the output of a *response* that has one as JSON, without what stands around it."""
    if response.tool_calls or response.finish_reason == "pause":
        return answer_text(response, str(response.provider))
    return json.dumps(Output.of(output).form.data(response.text), ensure_ascii=False)


async def request_output(
    ask: Callable[[Messages], Awaitable[ModelResponse]], messages: Messages, output: Output[_T]
) -> ModelResponse[_T]:
    """Ask until the answer fits, and return it with the usage and the cost of all requests.

    Raises:
        LLMError: As `read_output` does, or as *ask* does.
    """
    earlier: ModelResponse | None = None
    left = output.retries
    while True:
        response = await ask(messages)
        total = response if earlier is None else replace(response, **totals_of([earlier, response]))
        try:
            return read_output(total, output)
        except OutputInvalidError as error:
            if not left:
                raise
            messages = [*read_messages(messages), response.to_message(), _correction(error, output)]
        left, earlier = left - 1, total


def _correction(error: OutputInvalidError, output: Output[Any]) -> Message:
    wrong = "\n".join(f"- {line}" for line in error.errors)
    words = f"That does not fit what was asked for:\n{wrong}\n{output.form.instructions()}"
    return Message(role=MessageRole.USER, content=words)


# What servers say that do not know the field, or the schema in it.
_REFUSAL = re.compile(
    r"schema|response[_ ]?(?:format|mime)|output_(?:config|format)|\bformat\b|grammar|json_object"
    r"|structured|generation_?config",
    re.IGNORECASE,
)
_NATIVE, _JSON_MODE, _IN_WORDS = range(3)


@dataclass(slots=True, eq=False)
class OutputRequest:
    """How one request asks for its output: by the API's own field, its JSON mode, or in words alone.

    Attributes:
        form: What is asked for.
        adapter: How the API spells things.
        options: The options of the request, in the vendor's spelling, the model among them.
        refused: How each model was asked in vain for each form, which is remembered for the next.
    """

    form: Form
    adapter: ChatAdapter
    options: Json
    refused: dict[tuple[str, str], int]
    _way: int = _NATIVE
    _is_told: bool = False

    def prepare(self, conversation: Conversation) -> tuple[Conversation, Json]:
        """Return the conversation and the options to send."""
        adapter = self.adapter
        self._way = self.refused.get(self._key, self._way)
        schema = self.form.wrapped() if adapter.wraps_output else self.form.schema
        fields: Json | None = None
        if self._way == _NATIVE:
            fields = adapter.build_output(schema, self.options["model"])
        if fields is None and self._way <= _JSON_MODE and adapter.json_mode:
            self._way, fields = _JSON_MODE, dict(adapter.json_mode)
        if fields is None:
            self._way, fields = _IN_WORDS, {}
        if not self._is_told and (
            self._way != _NATIVE or not adapter.shows_schema(self.options["model"])
        ):
            self._is_told = True
            said = (conversation.system, self.form.instructions())
            conversation = conversation._replace(system="\n\n".join(filter(None, said)))
        return conversation, under(fields, self.options)

    def is_refused(self, error: LLMError) -> bool:
        """Whether *error* says that it cannot be asked for in this way, but in another."""
        kinds = (InvalidRequestError, ServiceUnavailableError)  # llama.cpp's answer is a 500
        is_refusal = type(error) in kinds and _REFUSAL.search(f"{error.param} {error.message}")
        is_of_tools = (error.param or error.message).startswith("tools")
        if not is_refusal or is_of_tools or self._way == _IN_WORDS:
            return False
        self._way += 1
        self.refused[self._key] = max(self._way, self.refused.get(self._key, _NATIVE))
        return True

    @property
    def _key(self) -> tuple[str, str]:
        return self.options["model"], json.dumps(self.form.schema)


def typed_stream(stream: TextStream, output: Output[Any]) -> TextStream:
    """Return *stream* with its output."""
    state = StreamState()
    return TextStream(_OutputTexts(stream, output, state), state)


@dataclass(slots=True, eq=False)
class _OutputTexts(AsyncIterator[str]):
    """The pieces of an answer that is to be of a type, which is checked at its end."""

    stream: TextStream
    output: Output[Any]
    state: StreamState
    _texts: list[str] = field(default_factory=list)
    _ended: bool = False

    async def __anext__(self) -> str:
        if self._ended:
            raise StopAsyncIteration
        if self.state.announce:
            self.state.announce = False
            await self.stream
            return ""
        try:
            text = await anext(self.stream)
        except BaseException as error:
            self._ended = True
            self.state.response = self.stream.complete
            if isinstance(error, StopAsyncIteration):
                self.state.response = read_output(self.stream.response, self.output)
            raise
        self._texts.append(text)
        return text

    def partial(self) -> Any:
        """Return the output as far as it has come: JSON, not validated; None before it begins."""
        text = "".join(self._texts)
        starts = [place for place in map(text.find, "{[") if place >= 0]
        try:
            data = from_json(text[min(starts, default=0) :], allow_partial="trailing-strings")
        except ValueError:
            return None
        return self.output.form.unwrapped(data)

    async def aclose(self) -> None:
        self._ended = True
        await self.stream.aclose()
