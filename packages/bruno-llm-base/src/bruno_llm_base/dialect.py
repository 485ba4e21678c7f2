"""The seam between the base and a provider: how one API spells things."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from bruno_llm_base.conversation import Conversation
from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.failures import ErrorFacts
from bruno_llm_base.limits import LimitState
from bruno_llm_base.tokens import TokenCount
from bruno_llm_base.transport import Transport
from bruno_llm_base.types import Json, ModelResponse
from bruno_llm_base.values import is_whole

__all__ = ["Dialect"]

_UNSUPPORTED = ("unsupported_parameter", "unsupported_value")


class Dialect(ABC):
    """What a provider fills in: names, and pure functions over plain JSON.

    The functions never touch the network, never call back and need no `try`: a document that does
    not fit is reported by the base. `open_transport` alone reaches outside.

    Attributes:
        name: What the provider is called in configuration, errors and logs.
        default_model: The model where none is named.
        default_base_url: The vendor's own address.
        api_key_env: Environment variables that may hold the key, the first set one wins.
        needs_key: Whether the vendor's own address wants a key.
        base_url_env: The environment variable for an address of one's own.
        sdk: The module that `open_transport` imports; loaded at the first request. "" for none.
        chat_path: The endpoint of chat.
        stream_path: The endpoint of streamed chat, where that is another one.
        models_path: The endpoint that lists the models.
        count_path: The endpoint that counts the tokens of a request, where there is one.
        count_error: How far its count may be from what the request will take, as a fraction of
            it; 0 where the vendor documents it as exact.
        option_names: bruno-core's words for options in the vendor's, dots for nesting.
        structure: Fields of the body that are no options, so that no request does without them.
        capabilities: What it can do, for `LLMFactory.providers()`.
        price_name: What lists of prices call the vendor; None if none does.
        free: Why its answers cost nothing; None if they do.
        firm_windows: Whether a model's window stays as large as the server has once said.
        cuts_prompts: Whether a server may read a part of the conversation only, and not say so.
    """

    name: ClassVar[str]
    default_model: ClassVar[str]
    default_base_url: ClassVar[str]
    api_key_env: ClassVar[tuple[str, ...]] = ()
    needs_key: ClassVar[bool] = True
    base_url_env: ClassVar[str | None] = None
    sdk: ClassVar[str] = "httpx"
    chat_path: ClassVar[str]
    stream_path: ClassVar[str | None] = None
    models_path: ClassVar[str]
    count_path: ClassVar[str | None] = None
    count_error: ClassVar[float] = 0.0
    option_names: ClassVar[Mapping[str, str]] = {}
    structure: ClassVar[frozenset[str]] = frozenset({"messages", "model", "stream"})
    capabilities: ClassVar[frozenset[str]] = frozenset({"chat", "streaming"})
    price_name: ClassVar[str | None] = None
    free: str | None = None
    cuts_prompts: ClassVar[bool] = False
    firm_windows: ClassVar[bool] = True

    @abstractmethod
    def open_transport(self) -> Transport:
        """Return a transport for the running event loop; the SDK is imported here."""

    def read_address(self, value: str) -> str:
        """Return the URL that a value of the variable `base_url_env` stands for."""
        return value

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

    @abstractmethod
    def parse_models(self, data: Json) -> list[str]:
        """Read the names of the models on offer."""

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

    @abstractmethod
    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        """Read an error document; what it leaves open, the HTTP status decides."""

    def read_limits(self, headers: Mapping[str, str]) -> LimitState | None:
        """Read what the server says of its own rate limits; None if nothing."""
        del headers
        return None

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

    def window_requests(self, model: str) -> tuple[tuple[str, str, Json | None], ...]:
        """Return what else tells the windows of models: method, path and body of requests."""
        del model
        return ()

    def parse_windows(self, data: Json, model: str) -> Mapping[str, int]:
        """Read the context windows of models, in tokens.

        Args:
            data: The list of models, or what one of `window_requests` was answered with.
            model: The model that they were asked for.
        """
        del data, model
        return {}

    def refused_options(self, model: str, options: Json) -> frozenset[str]:
        """Return the names of those *options*, in bruno-core's words, that *model* refuses."""
        del model, options
        return frozenset()

    def advise(self, error: LLMError) -> str:
        """Return what the user may do about *error*, to be added to its message; "" for nothing."""
        del error
        return ""

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
