"""The seam between the base and a provider: how one API of chat spells things."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from bruno_llm_base.conversation import Conversation
from bruno_llm_base.tokens import TokenCount
from bruno_llm_base.types import FinishReason, Json, ModelResponse
from bruno_llm_base.values import is_whole
from bruno_llm_base.vendor import Vendor

__all__ = ["Dialect"]

_UNSUPPORTED = ("unsupported_parameter", "unsupported_value")


class Dialect(Vendor):
    """What a provider of chat fills in: names, and pure functions over plain JSON.

    Attributes:
        chat_path: The endpoint of chat.
        stream_path: The endpoint of streamed chat, where that is another one.
        count_path: The endpoint that counts the tokens of a request, where there is one.
        count_error: How far its count may be from what the request will take, as a fraction of
            it; 0 where the vendor documents it as exact.
        option_names: bruno-core's words for options in the vendor's, dots for nesting.
        structure: Fields of the body that are no options, so that no request does without them.
        finish_reasons: What the vendor's words for the end of an answer mean, where they are its
            own; see `finish.py` for those that all vendors use.
        cuts_prompts: Whether a server may read a part of the conversation only, and not say so.
    """

    chat_path: ClassVar[str]
    stream_path: ClassVar[str | None] = None
    count_path: ClassVar[str | None] = None
    count_error: ClassVar[float] = 0.0
    option_names: ClassVar[Mapping[str, str]] = {}
    structure: ClassVar[frozenset[str]] = frozenset({"messages", "model", "stream"})
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {}
    capabilities: ClassVar[frozenset[str]] = frozenset({"chat", "streaming"})
    cuts_prompts: ClassVar[bool] = False

    @abstractmethod
    def build_request(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        """Return the body that asks for the next turn.

        Args:
            conversation: What has been said.
            options: The model and the options, in the vendor's spelling; they belong in the body.
            stream: Whether the answer is to be streamed.
        """

    @abstractmethod
    def parse_response(self, data: Json) -> ModelResponse:
        """Read a whole answer."""

    @abstractmethod
    def parse_event(self, data: Json) -> ModelResponse:
        """Read one document of a stream: a part of the answer, or `NOTHING`."""

    def text_tokens(self, text: str, model: str) -> TokenCount | None:
        """Count *text* by the vocabulary of *model*, or return None where nobody knows it.

        It may take long, but asks nobody and never fails.
        """
        del text, model
        return None

    def conversation_tokens(self, conversation: Conversation, model: str) -> TokenCount | None:
        """Count *conversation* by the vocabulary of *model*, as `text_tokens` counts a text."""
        del conversation, model
        return None

    def counts_at_once(self, model: str) -> bool:
        """Whether counting for *model* need not load a vocabulary first, which takes a while."""
        del model
        return True

    def build_count(self, conversation: Conversation, body: Json) -> Json | None:
        """Return the body that asks `count_path` how many tokens a request takes.

        Args:
            conversation: What has been said.
            body: The body that asks for the next turn, from `build_request`.

        Returns:
            The body, or None where this server, or this request, is not to be asked about.
        """
        del conversation, body
        return None

    def parse_count(self, data: Json) -> int:
        """Read how many tokens a request takes."""
        raise NotImplementedError

    def most_output(self, body: Json) -> int | None:
        """Return how many tokens *body* lets the model generate, reasoning included; None: any."""
        value: object = body
        for name in self.option_names.get("max_tokens", "max_tokens").split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, int) and is_whole(value, least=0) else None

    def asked_window(self, body: Json) -> int | None:
        """Return the context window that *body* itself asks for, in tokens; None if none."""
        del body
        return None

    def refused_options(self, model: str, options: Json) -> frozenset[str]:
        """Return the names of those *options*, in bruno-core's words, that *model* refuses."""
        del model, options
        return frozenset()

    def respell(self, body: Json, code: str, field: str) -> Json | None:
        """Return *body* in a way that the API takes, after it has refused *field*, or None.

        Args:
            body: What was sent.
            code: The API's word for the error.
            field: The field of the body that it named.
        """
        if code not in _UNSUPPORTED or field in self.structure:
            return None
        return {name: value for name, value in body.items() if name != field}
