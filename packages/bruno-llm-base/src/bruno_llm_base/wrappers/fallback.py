"""Several models behind one: where one cannot answer, the next one is asked."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from bruno_core.interfaces import LLMInterface

from bruno_llm_base.events import Diagnosis, Observer
from bruno_llm_base.exceptions import (
    ConfigurationError,
    InvalidRequestError,
    LLMError,
)
from bruno_llm_base.language_model import LanguageModel
from bruno_llm_base.log import Observers
from bruno_llm_base.messages import Messages
from bruno_llm_base.parts import Json
from bruno_llm_base.policies import policy
from bruno_llm_base.response import ModelResponse, TokenCount
from bruno_llm_base.stream import StreamState, TextStream
from bruno_llm_base.values import shown
from bruno_llm_base.wrappers.bare import FullLLM, NoBatches, in_full
from bruno_llm_base.wrappers.breaker import Breaker, Circuit
from bruno_llm_base.wrappers.failover import (
    Failover,
    FallbackTexts,
    Member,
    all_failed,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bruno_llm_base.call_keywords import RequestKeywords

_T = TypeVar("_T")


class FallbackLLM(NoBatches, LanguageModel):
    """Asks the first of several models, and the next one where that cannot answer.

    Each model keeps its own retries, timeouts and limits; a call moves on when those are spent. It
    moves on where another model can help (the documentation has a table of errors), in a stream
    only before the first character. A model that fails again and again is left alone for a while.

    Calls take no `model`; what only one vendor knows belongs into that provider's own `options`. Where no
    model can answer, or all are being left alone, that is an `AllProvidersFailedError`. Of a model that
    offers no more than `LLMInterface`, only the text is known. Which one answered is told to observers,
    as `ProviderAnswered`.
    """

    name: ClassVar[str] = "fallback"

    def __init__(
        self,
        members: Sequence[LLMInterface],
        *,
        breaker: Breaker | None = None,
        observers: Sequence[Observer] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up a fallback. Nothing is sent.

        Args:
            members: The models, the preferred one first; any `LLMInterface` will do. They are
                closed, and given their system prompt, with this one.
            breaker: When a failing model is left alone, and for how long.
            observers: Callables that hear who was passed over and who answered.
            clock: Tells the time in seconds to the circuit breakers.

        Raises:
            ConfigurationError: A value is wrong.
        """
        self._given: tuple[LLMInterface, ...] = listed(members, "model")
        for place, member in enumerate(self._given):
            if not isinstance(member, LLMInterface):
                raise ConfigurationError(
                    f"members[{place}] is a {type(member).__name__}: give an LLMInterface, or names"
                    " and mappings to LLMFactory.fallback"
                )
        self._breaker = policy(Breaker, "breaker", breaker)
        self._observers = Observers(observers)
        if not callable(clock):
            raise ConfigurationError(f"clock is {shown(clock)}: give a callable")
        self._clock = clock
        self._members = [Member(in_full(llm), Circuit(self._breaker, clock)) for llm in self._given]

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Those who hear who was passed over, and of the tools that `run_tools` runs."""
        return self._observers.given

    async def _answer_text(self, messages: Messages | None, output: Any, call: Json) -> str:
        failover = self._failover("chat", call)
        return await failover.ask(lambda llm: llm.generate(messages, output=output, **call))

    async def _answer(
        self, messages: Messages | None, output: Any, call: Json
    ) -> ModelResponse[Any]:
        failover = self._failover("chat", call)
        return await failover.ask(lambda llm: llm.request(messages, output=output, **call))

    def _stream(self, messages: Messages | None, output: Any, call: Json) -> TextStream:
        state, failover = StreamState(), self._failover("stream", call)
        texts = FallbackTexts(
            failover, lambda llm: llm.stream(messages, output=output, **call), state
        )
        return TextStream(texts, state)

    def _check_options(self, call: Json) -> None:
        _refuse_model(call)
        if isinstance(first := self._members[0].llm, LanguageModel):
            first._check_options(call)  # noqa: SLF001 - it is one of ours

    async def count_tokens(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> TokenCount:
        """Count the input tokens of a request as the first model does that can.

        No circuit breaker is asked or told: an estimate does not show that a model is well.

        Raises:
            AllProvidersFailedError: No model can.
            LLMError: An error that another model cannot help with.
        """
        call: Json = {**options}
        _refuse_model(call)
        return await self._first(lambda llm: llm.count_tokens(messages, output=output, **call))

    async def fingerprint(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> str:
        """Return what is the same for all calls that ask the same: that of the first model that takes it.

        The errors are those of `count_tokens`.
        """
        call: Json = {**options}
        _refuse_model(call)
        return await self._first(lambda llm: llm.fingerprint(messages, output=output, **call))

    async def _first(self, question: Callable[[FullLLM], Awaitable[_T]]) -> _T:
        errors: list[LLMError] = []
        for member in self._members:
            try:
                return await question(member.llm)
            except LLMError as error:
                if not error.another_may_answer:
                    raise
                errors.append(error)
        raise all_failed(self._members, errors)

    def get_token_count(self, text: str) -> int:
        """Count the tokens of *text*: the most that any model makes of it."""
        return max(member.llm.get_token_count(text) for member in self._members)

    async def list_models(self) -> list[str]:
        """Return the names of the models on offer anywhere; providers that fail are left out.

        Raises:
            AllProvidersFailedError: All of them fail.
        """
        lists = await asyncio.gather(*(_models_of(member) for member in self._members))
        errors = [found for found in lists if isinstance(found, LLMError)]
        if len(errors) == len(lists):
            raise all_failed(self._members, errors)
        names = (name for found in lists if isinstance(found, list) for name in found)
        return list(dict.fromkeys(names))

    def get_model_info(self) -> dict[str, Any]:
        """Describe the models, under "members": plain JSON, no secrets, no network."""
        return {
            "provider": self.name,
            "model": self.model,
            "capabilities": sorted(self.capabilities),
            "members": [member.llm.get_model_info() for member in self._members],
        }

    def set_system_prompt(self, prompt: str) -> None:
        """Begin every conversation of every model with *prompt*; an empty one removes it."""
        for member in self._members:
            member.llm.set_system_prompt(prompt)

    def get_system_prompt(self) -> str | None:
        """Return the system prompt of the first model."""
        return self._members[0].llm.get_system_prompt()

    @property
    def members(self) -> tuple[LLMInterface, ...]:
        """The models, the preferred one first."""
        return self._given

    @property
    def model(self) -> str:
        """The model that is asked first."""
        return self._members[0].llm.model

    @property
    def capabilities(self) -> frozenset[str]:
        """What every one of the models can do."""
        common = frozenset.intersection(*(member.llm.capabilities for member in self._members))
        return common - {"batch"}

    async def diagnose(self) -> Diagnosis:
        """Find out whether any model can be used; all are checked at once, without cost."""
        found = await asyncio.gather(*(member.llm.diagnose() for member in self._members))
        models = tuple(dict.fromkeys(name for diagnosis in found for name in diagnosis.models))
        if any(diagnosis.ok for diagnosis in found):
            return Diagnosis(ok=True, models=models)
        errors = [one.error or LLMError(one.reason or "it cannot be used") for one in found]
        pairs = zip(self._members, found, strict=True)
        reason = "; ".join(f"{member.llm.name}: {one.reason}" for member, one in pairs)
        error = all_failed(self._members, errors)
        return Diagnosis(ok=False, reason=reason, error=error, models=models)

    async def aclose(self) -> None:
        """Close the connections of all models; they are opened again when needed."""
        async with AsyncExitStack() as stack:  # one that fails keeps no other from being closed
            for member in self._members:
                stack.push_async_callback(member.llm.aclose)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[member.llm for member in self._members]!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the models and the policy; each process has its own experience of them."""
        settings: Json = {"breaker": self._breaker, "observers": self._observers.given}
        return partial(type(self), self._given, clock=self._clock, **settings), ()

    def _failover(self, operation: str, options: Json) -> Failover:
        _refuse_model(options)
        return Failover(self._members, operation, self._observers)


def _refuse_model(options: Json) -> None:
    if (model := options.pop("model", None)) is not None:
        raise InvalidRequestError(
            f"model is {shown(model)}, but several providers may answer, and none knows another's"
            " models: name each one's model when you build it"
        )


async def _models_of(member: Member) -> list[str] | LLMError:
    try:
        return await member.llm.list_models()
    except LLMError as error:
        return error


def listed(members: Any, kind: str) -> tuple[Any, ...]:
    """Return the members of a fallback or a selection, each a *kind* of thing.

    Raises:
        ConfigurationError: It is not a list, or empty.
    """
    if not isinstance(members, Sequence) or isinstance(members, str):
        raise ConfigurationError(f"members is a {type(members).__name__}: give a list of {kind}s")
    if not members:
        raise ConfigurationError(f"members is empty: give at least one {kind}")
    return tuple(members)
