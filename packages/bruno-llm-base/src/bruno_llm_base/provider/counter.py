"""How a provider counts tokens, and what it learns from how its server does."""

import asyncio
import json

from bruno_llm_base.attempt import Request
from bruno_llm_base.call import result_of
from bruno_llm_base.context.windows import most_tokens
from bruno_llm_base.conversation import Conversation
from bruno_llm_base.exceptions import (
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    ModelNotFoundError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.observe import CountEstimated, PromptCut
from bruno_llm_base.provider.chat import Chat
from bruno_llm_base.tokens import TokenCount, texts
from bruno_llm_base.types import Json, ModelResponse
from bruno_llm_base.values import is_whole, shown

__all__ = ["Counter", "tool_list"]

_PLAUSIBLE = 8  # bytes that a token may stand for; where it were more, somebody has to count
_LARGE = 50_000  # characters, which take some milliseconds to count
_TOOLS_ERROR = 0.5  # vendors rewrite tools in words of their own before the model sees them
_CUT = 256  # tokens: what is left of a prompt that was cut still fills half a window

_CANNOT_TELL = (
    InvalidResponseError,
    LLMTimeoutError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
_NO_SUCH_ENDPOINT = (404, 405)


class Counter(Chat):
    """A provider's counts of tokens."""

    def get_token_count(self, text: str) -> int:
        """Count the tokens of *text* for the provider's model, without asking anyone.

        Never raises: what is no text is counted as it is printed, None as nothing. `count_text`
        says how far to trust the number.
        """
        return self.count_text(_printed(text)).tokens

    def count_text(self, text: str, model: str | None = None) -> TokenCount:
        """Count the tokens of *text*, without asking anyone.

        Args:
            text: The text alone, with nothing around it.
            model: The model that counts; the provider's own if None.

        Raises:
            InvalidRequestError: It is no text, or the model has no name.
        """
        if not isinstance(text, str):
            raise InvalidRequestError(f"text is {shown(text)}: give a text")
        model = self._named(model)
        return self._adapter.text_tokens(text, model) or self._calibrations.of(model).count_text(
            text
        )

    def count_conversation(
        self, conversation: Conversation, model: str | None = None
    ) -> TokenCount:
        """Count the tokens of *conversation*, without asking anyone.

        Args:
            conversation: What has been said.
            model: The model that counts; the provider's own if None.

        Raises:
            InvalidRequestError: The model has no name.
        """
        model = self._named(model)
        counted = self._adapter.conversation_tokens(conversation, model)
        return counted or self._calibrations.of(model).count_conversation(conversation)

    async def _count_there(
        self, conversation: Conversation, request: Request[ModelResponse]
    ) -> TokenCount | None:
        """Return the server's count of *request*, or None where it has none."""
        body = self._adapter.build_count(conversation, request.body or {})
        if self._adapter.count_path is None or body is None:
            return None
        # vendors limit counting by itself, so it takes no place in the user's rate_limit
        question = Request(
            operation="count_tokens",
            path=self._adapter.count_path,
            body=body,
            model=request.model,
            parse=self._parse_tokens,
            amend=self._amend,
            advise=self._advise_on_model,
        )
        try:
            tokens = await result_of(self._endpoint, question)
        except LLMError as error:
            if not _may_estimate(error):
                raise
            self._endpoint.tell(question, CountEstimated, error=error)
            return None
        await self._learn_window(str(request.model))
        exact = self._adapter.count_error == 0
        source = f"{self.name}, {self._adapter.count_path}"
        return TokenCount(
            tokens=tokens, exact=exact, source=source, error=self._adapter.count_error
        )

    async def _count_here(
        self, conversation: Conversation, request: Request[ModelResponse]
    ) -> TokenCount:
        """Return our own count of *request*, made in a thread where it takes long."""
        model, tools = request.model or self._model, tool_list(request.body or {})

        def count() -> TokenCount:
            counted = self.count_conversation(conversation, model)
            return _with_tools(counted, self.count_text(tools, model)) if tools else counted

        if self._adapter.counts_at_once(model) and not _is_large(conversation):
            return count()
        return await asyncio.to_thread(count)

    def _parse_tokens(self, data: Json) -> int:
        tokens = self._adapter.parse_count(data)
        if not is_whole(tokens, least=0):
            raise TypeError("a number of tokens")
        return tokens

    def _learn(self, request: Request[ModelResponse], response: ModelResponse) -> None:
        """Learn from what the server has counted how it counts, and whether it has read all."""
        conversation, read = request.conversation, response.usage.input_tokens
        if conversation is None or read is None or response.usage_estimated:
            return
        if self._adapter.cuts_prompts and _CUT < read < most_tokens(conversation, {}) / _PLAUSIBLE:
            sent = self.count_conversation(conversation, str(request.model))
            if sent.least > 2 * read:
                self._endpoint.tell(request, PromptCut, tokens=sent.tokens, read=read)
                return
        calibration = self._calibrations.of(str(request.model))
        if calibration.due and not (request.body or {}).get("tools"):
            calibration.learn(conversation, read)


def _printed(value: object) -> str:
    """Return *value* as it is printed, None as nothing, and nothing where it cannot be printed."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else str(value)
    except Exception:  # noqa: BLE001 - bruno-core's get_token_count never raises
        return ""


def _is_large(conversation: Conversation) -> bool:
    """Whether counting *conversation* takes so long that the event loop should not wait for it."""
    return sum(map(len, texts(conversation))) > _LARGE


def tool_list(body: Json) -> str:
    """Return the tools that a request offers to the model, as text; "" for none."""
    tools = body.get("tools")
    return json.dumps(tools, ensure_ascii=False) if tools else ""


def _with_tools(count: TokenCount, tools: TokenCount) -> TokenCount:
    """Return what a conversation takes together with the tools that are offered beside it."""
    return TokenCount(
        tokens=count.tokens + tools.tokens,
        exact=False,
        source=count.source,
        error=max(count.error, _TOOLS_ERROR),
    )


def _may_estimate(error: LLMError) -> bool:
    """Whether a guess will do for a count that ended with *error*.

    It will where the server cannot be asked, is too busy or knows no such endpoint; not where it
    refuses the key, the model or the request, which it would refuse the request itself for.
    """
    if isinstance(error, InvalidRequestError) and not isinstance(error, ModelNotFoundError):
        return error.status_code in _NO_SUCH_ENDPOINT
    return isinstance(error, _CANNOT_TELL)
