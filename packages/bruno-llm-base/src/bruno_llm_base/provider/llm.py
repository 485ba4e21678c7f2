"""One language model behind bruno-core's `LLMInterface`: what all providers share."""

from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

from bruno_core.interfaces import LLMInterface

from bruno_llm_base.attempt import Request
from bruno_llm_base.call import result_of, text_stream
from bruno_llm_base.context import Window, fit
from bruno_llm_base.context.windows import most_tokens, surely_fits
from bruno_llm_base.conversation import Conversation, Messages, question
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.finish import is_known
from bruno_llm_base.observe import FinishReasonUnknown, OptionDropped, Tell
from bruno_llm_base.provider.counter import Counter, tool_list
from bruno_llm_base.stream import TextStream, answer_text
from bruno_llm_base.tokens import TokenCount, estimate_conversation, estimate_tokens
from bruno_llm_base.types import Json, ModelResponse
from bruno_llm_base.values import shown

__all__ = ["BaseProvider"]


class BaseProvider(Counter, LLMInterface):
    """Everything the providers share; a provider says only how its API spells things."""

    async def generate(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        prompt: str | None = None,
        **kwargs: Any,
    ) -> str:
        """Return the model's answer, which is never empty.

        Args:
            messages: The conversation, or one question.
            temperature: Sampling temperature, 0 to 2.
            max_tokens: The most tokens to generate, reasoning included.
            prompt: One question, instead of `messages`.
            **kwargs: `top_p`, `stop`, `seed`, `model`, and the vendor's own request fields.

        Raises:
            ContentBlockedError: The model refused, or a filter took the answer.
            OutputLimitError: The output budget was spent before any text.
            LLMError: Any other failure; see `bruno_llm_base.exceptions`.
        """
        kwargs |= {"temperature": temperature, "max_tokens": max_tokens, "prompt": prompt}
        return answer_text(await self.request(messages, **kwargs), self.name)

    def stream(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        prompt: str | None = None,
        **kwargs: Any,
    ) -> TextStream:
        """Return the model's answer piece by piece.

        The arguments are those of `generate`.

        Raises:
            InvalidRequestError: An argument is wrong. All other errors are raised while reading.
        """
        kwargs |= {"temperature": temperature, "max_tokens": max_tokens}
        request = self._request(question(messages, prompt), kwargs, stream=True)
        return text_stream(self._endpoint, request)

    async def request(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        prompt: str | None = None,
        **kwargs: Any,
    ) -> ModelResponse:
        """Return the model's answer with all that is known about it, whatever its finish reason.

        The arguments are those of `generate`.

        Raises:
            LLMError: There is no answer; see `bruno_llm_base.exceptions`.
        """
        kwargs |= {"temperature": temperature, "max_tokens": max_tokens}
        request = self._request(question(messages, prompt), kwargs, stream=False)
        return await result_of(self._endpoint, request)

    async def count_tokens(
        self, messages: Messages | None = None, *, prompt: str | None = None, **kwargs: Any
    ) -> TokenCount:
        """Count the input tokens of a request, system prompt and tools included.

        The vendor is asked where it offers that. Where it cannot be asked, the count is estimated,
        which observers and the log are told.

        Args:
            messages: The conversation, or one question.
            prompt: One question, instead of `messages`.
            **kwargs: The options that the request would have; see `generate`.

        Raises:
            InvalidRequestError: An argument is wrong, or the vendor refuses the request.
            LLMError: The vendor refuses the key or the model.
        """
        said = question(messages, prompt)
        request = self._request(said, kwargs, stream=False)
        conversation = Conversation.of(said, self._system_prompt)
        counted = await self._count_there(conversation, request)
        return counted or await self._count_here(conversation, request)

    def get_model_info(self) -> dict[str, Any]:
        """Describe the provider: plain JSON, no secrets, no network."""
        return {
            "provider": self.name,
            "model": self._model,
            "base_url": self._access.address,
            "capabilities": sorted(self.capabilities),
            **deepcopy(self._fitting.defaults),
        }

    def set_system_prompt(self, prompt: str) -> None:
        """Begin every conversation with *prompt*; an empty one removes it.

        Raises:
            InvalidRequestError: It is no text.
        """
        if not isinstance(prompt, str | None):
            raise InvalidRequestError(f"the system prompt is {shown(prompt)}: give a text")
        self._system_prompt = prompt or None

    def get_system_prompt(self) -> str | None:
        """Return the system prompt."""
        return self._system_prompt

    def _request(self, messages: Messages, call: Json, *, stream: bool) -> Request[ModelResponse]:
        """Return what to send: conversation, options, body."""
        conversation = Conversation.of(messages, self._system_prompt)
        labels = None if self._spending is None else self._spending.tracker.labels()
        model = self._named(call.pop("model", None))
        options, dropped = self._fitting.options(model, call)
        body = self._body(conversation, options, stream=stream)
        request = Request(
            operation="chat",
            path=(stream and self._adapter.stream_path) or self._adapter.chat_path,
            parse=self._adapter.parse_event if stream else self._adapter.parse,
            stream=stream,
            parse_whole=self._adapter.parse if stream else None,
            think_tags=self._think_tags,
            body=self._fitting.recall(model, body),
            model=model,
            tokens=self._tokens(conversation, call),
            conversation=conversation,
            labels=labels,
            unpriced_field=self._adapter.unpriced_field(body),
            amend=self._amend,
            advise=self._advise_on_model,
            learn=self._heed,
        )
        for name in dropped:
            self._endpoint.tell(request, OptionDropped, option=name)
        most = most_tokens(conversation, options)
        window, most_output = self._window(request), self._adapter.max_output(request.body or {})
        if not surely_fits(most, window, self._context, most_output):
            request.fit = partial(self._fit, options)
        return request

    def _body(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        body = self._adapter.build(conversation, options, stream=stream)
        window = self._context.window
        return body if window is None else self._adapter.with_window(body, window)

    def _window(self, request: Request[ModelResponse]) -> Window | None:
        tokens = self._adapter.requested_window(request.body or {})
        if tokens is not None:
            return Window(tokens=tokens, source="the request")
        return self._windows.of(str(request.model))

    async def _fit(
        self, options: Json, request: Request[ModelResponse], tell: Tell
    ) -> Request[ModelResponse]:
        """Return *request* as it fits the context window; see `ContextPolicy`."""
        model, conversation = str(request.model), request.conversation
        window = self._window(request) or await self._listed_window(model)
        if window is None or conversation is None:
            return request
        max_output = self._adapter.max_output(request.body or {})
        if surely_fits(most_tokens(conversation, options), window, self._context, max_output):
            return request  # a list of prices knows a window that is large enough
        fits = await fit(
            conversation,
            self._context,
            window,
            max_output=max_output,
            extra=estimate_tokens(tool_list(options)),
            count=lambda part: self.count_conversation(part, model),
            tell=tell,
        )
        if fits is conversation:
            return request
        body = self._body(fits, options, stream=request.stream)
        return replace(
            request,
            body=self._fitting.recall(model, body),
            tokens=_recounted(request.tokens, conversation, fits),
            conversation=fits,
        )

    def _tokens(self, conversation: Conversation, call: Json) -> int:
        """Return about how many tokens a request takes, for a limit that counts them.

        Output counts as far as it is limited; what comes beyond is counted when it is known.
        """
        if self._rate_limit is None or not self._rate_limit.tokens_per_minute:
            return 0
        most = call.get("max_tokens") or self._fitting.defaults.get("max_tokens") or 0
        return estimate_conversation(conversation) + int(most)

    def _heed(self, request: Request[ModelResponse], response: ModelResponse) -> None:
        """Learn from an answer, and tell once of a word for its end that we do not know."""
        self._learn(request, response)
        word = response.finish_detail
        if response.finish_reason not in ("stop", "tool_call") or word is None:
            return
        if word not in self._unknown_words and not is_known(word, self._adapter.finish_reasons):
            self._unknown_words.add(word)
            self._endpoint.tell(request, FinishReasonUnknown, word=word)


def _recounted(tokens: int, before: Conversation, after: Conversation) -> int:
    """Return what a request of about *tokens* takes with another conversation; 0 stays 0."""
    if not tokens:
        return 0
    return tokens - estimate_conversation(before) + estimate_conversation(after)
