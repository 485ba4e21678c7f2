"""How a provider counts tokens without asking a server, and what it learns from how its server does."""

import json

from bruno_llm_base.adapter import ChatAdapter
from bruno_llm_base.calibration import Calibration
from bruno_llm_base.context.windows import most_tokens
from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.messages import Conversation
from bruno_llm_base.response import Json
from bruno_llm_base.tokens import TokenCount, texts
from bruno_llm_base.values import shown

__all__ = ["TokenCounter", "tool_list"]

_MOST_MODELS = 100
_LARGE = 50_000  # characters, which take some milliseconds to count
_TOOLS_ERROR = 0.5  # vendors rewrite tools in words of their own before the model sees them
_PLAUSIBLE = 8  # bytes that a token may stand for; where it were more, the prompt is counted
_CUT = 256  # tokens: what is left of a prompt that was cut still fills half a window


class TokenCounter:
    """Counts by the vendor's own vocabulary where there is one, else by what was learned."""

    def __init__(self, adapter: ChatAdapter) -> None:
        self._adapter = adapter
        self._calibrations: dict[str, Calibration] = {}

    def calibration(self, model: str) -> Calibration:
        """Return what is known of *model*; of too many, the one that came first is forgotten."""
        known = self._calibrations.get(model)
        if known is None:
            if len(self._calibrations) >= _MOST_MODELS:
                self._calibrations.pop(next(iter(self._calibrations)), None)
            known = self._calibrations[model] = Calibration()
        return known

    def count_text(self, text: str, model: str) -> TokenCount:
        """Count *text* alone.

        Raises:
            InvalidRequestError: It is not a text.
        """
        if not isinstance(text, str):
            raise InvalidRequestError(f"text is {shown(text)}: give a text")
        counted = self._adapter.text_tokens(text, model)
        return counted or self.calibration(model).count_text(text)

    def count_conversation(self, conversation: Conversation, model: str) -> TokenCount:
        """Count all that is said in *conversation*, and what marks who says it."""
        counted = self._adapter.conversation_tokens(conversation, model)
        return counted or self.calibration(model).count_conversation(conversation)

    def count_request(self, conversation: Conversation, body: Json, model: str) -> TokenCount:
        """Count *conversation* and the tools that *body* offers beside it."""
        count, tools = self.count_conversation(conversation, model), tool_list(body)
        if not tools:
            return count
        tokens = count.tokens + self.count_text(tools, model).tokens
        error = max(count.error, _TOOLS_ERROR)
        return TokenCount(tokens=tokens, exact=False, source=count.source, error=error)

    def takes_long(self, conversation: Conversation, model: str) -> bool:
        """Whether the event loop should not wait for the count of *conversation*."""
        is_large = sum(map(len, texts(conversation))) > _LARGE
        return is_large or not self._adapter.counts_at_once(model)

    def learn(
        self, conversation: Conversation, body: Json, model: str, reported: int
    ) -> TokenCount | None:
        """Learn from the input tokens that the server *reported*.

        Returns:
            Our own count where the server has read only a part of the conversation, else None.
        """
        may_be_cut = _CUT < reported < most_tokens(conversation, {}) / _PLAUSIBLE
        if may_be_cut and self._adapter.cuts_prompts:
            sent = self.count_conversation(conversation, model)
            if sent.least > 2 * reported:
                return sent
        calibration = self.calibration(model)
        if calibration.due and not body.get("tools"):
            calibration.learn(conversation, reported)
        return None


def tool_list(body: Json) -> str:
    """Return the tools that a request offers to the model, as text; "" for none."""
    tools = body.get("tools")
    return json.dumps(tools, ensure_ascii=False) if tools else ""
