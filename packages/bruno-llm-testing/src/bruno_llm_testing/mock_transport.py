"""A mock's wire: documents of our own, and a transport that never leaves the process."""

import asyncio
import copy
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.messages import Conversation, Turn
from bruno_llm_base.parts import Json, part_from_json, part_to_json
from bruno_llm_base.response import ModelResponse, Usage
from bruno_llm_base.transport import Reply

from bruno_llm_testing.mock_replies import Part, Script

MODELS = "/models"

_PLAIN = ("finish_reason", "finish_detail", "usage_estimated", "model", "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that reached a mock: what a vendor's server would have been sent.

    Attributes:
        conversation: What was said, as it went out: with the system prompt, and as it fits the
            context window.
        model: The model that was asked.
        options: The options, the provider's own and the call's: temperature, max_tokens, ...
        streamed: Whether the answer was to be streamed.
    """

    conversation: Conversation
    model: str
    options: Json
    streamed: bool

    @property
    def messages(self) -> list[tuple[str, str]]:
        """The conversation as pairs of role and text, the system text first."""
        system = [("system", self.conversation.system)] if self.conversation.system else []
        return [*system, *((turn.role, _text(turn)) for turn in self.conversation.turns)]

    @property
    def prompt(self) -> str:
        """What was said last."""
        return self.messages[-1][1]


class MemoryTransport:
    """Answers from a script."""

    def __init__(
        self,
        script: Script,
        calls: list[Call],
        *,
        models: tuple[str, ...],
        delay: float,
        count: Callable[[str | Conversation], int],
    ) -> None:
        """Take what the mock shares with its transports.

        Args:
            script: What is answered.
            calls: Where the requests are noted.
            models: The models on offer.
            delay: How long each piece of an answer takes, in seconds.
            count: Counts tokens.
        """
        self._script = script
        self._calls = calls
        self._models = models
        self._delay = delay
        self._count = count

    async def send(self, method: str, path: str, body: Json | None = None) -> Reply:
        """Note a request, and answer it.

        Raises:
            Exception: The script says so.
        """
        if body is None:
            return Reply(_HttpReply([{"models": list(self._models)}], 0), "ndjson")
        options = {name: value for name, value in body.items() if name not in _NO_OPTIONS}
        conversation = _read_conversation(body["conversation"])
        call = Call(
            conversation=conversation,
            model=body["model"],
            options=copy.deepcopy(options),
            streamed=body["stream"],
        )
        self._calls.append(call)
        parts = await self._script.reply(conversation)
        errors = [part for part in parts if isinstance(part, Exception)]
        if errors and (not call.streamed or parts[0] is errors[0]):
            raise _copy_of(errors[0])
        if not errors:
            parts = [*parts, self._end(parts, call)]
        if not call.streamed:
            parts = [ModelResponse.join(part for part in parts if isinstance(part, ModelResponse))]
        documents = [part if isinstance(part, Exception) else _write_answer(part) for part in parts]
        return Reply(_HttpReply(documents, self._delay), "ndjson")

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""

    def _end(self, parts: list[Part], call: Call) -> ModelResponse:
        """Return what the answer in *parts* leaves open."""
        answer = ModelResponse.join(part for part in parts if isinstance(part, ModelResponse))
        usage = answer.usage
        if usage.input_tokens is None:
            usage = replace(usage, input_tokens=self._count(call.conversation))
        if usage.output_tokens is None:
            said = [answer.reasoning + answer.text]
            said += [f"{call.name} {call.arguments}" for call in answer.tool_calls]
            usage = replace(usage, output_tokens=self._count(" ".join(said)))
        return ModelResponse(
            finish_reason=answer.finish_reason or "stop",
            finish_detail=answer.finish_detail,
            usage=usage,
            model=answer.model or call.model,
        )


class _HttpReply:
    """An HTTP response, as far as a `Reply` wants one."""

    status_code = 200
    headers: ClassVar[Mapping[str, str]] = {"content-type": "application/x-ndjson"}

    def __init__(self, documents: list[Json | Exception], delay: float) -> None:
        self._documents = documents
        self._delay = delay

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        for document in self._documents:
            if self._delay:
                await asyncio.sleep(self._delay)
            if isinstance(document, Exception):
                raise _copy_of(document)
            yield json.dumps(document).encode() + b"\n"

    async def aclose(self) -> None:
        pass


_NO_OPTIONS = ("conversation", "model", "stream")


def _copy_of(error: Exception) -> Exception:
    """Return *error* for one request: the request's own story is written on errors of ours."""
    return copy.copy(error) if isinstance(error, LLMError) else error


def _text(turn: Turn) -> str:
    calls = [f"{call.name}({call.arguments})" for call in turn.tool_calls]
    results = [result.content for result in turn.tool_results]
    return "\n\n".join([*([turn.text] if turn.text else []), *calls, *results])


def write_conversation(conversation: Conversation) -> Json:
    """Return *conversation* as JSON."""
    turns = [
        {"role": turn.role, "parts": list(map(part_to_json, turn.parts))}
        for turn in conversation.turns
    ]
    return {"system": conversation.system, "turns": turns}


def _read_conversation(data: Json) -> Conversation:
    turns = (
        Turn(turn["role"], tuple(map(part_from_json, turn["parts"]))) for turn in data["turns"]
    )
    return Conversation(data["system"], tuple(turns))


def _write_answer(part: ModelResponse) -> Json:
    usage = {name: count for name, count in asdict(part.usage).items() if count is not None}
    return {name: getattr(part, name) for name in _PLAIN} | {
        "parts": list(map(part_to_json, part.parts)),
        **({"usage": usage} if usage else {}),
    }


def read_answer(data: Json) -> ModelResponse:
    """Return the answer, or the part of one, that *data* holds."""
    given: dict[str, Any] = data | {"parts": tuple(map(part_from_json, data["parts"]))}
    if "usage" in data:
        given["usage"] = Usage(**data["usage"])
    return ModelResponse(**given)
