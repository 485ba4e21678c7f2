"""One language model, asked through its API: what all providers of chat share."""

import asyncio
import json
from collections.abc import Awaitable
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from typing_extensions import Unpack

from bruno_llm_base.access import versions_of
from bruno_llm_base.adapter import ChatAdapter
from bruno_llm_base.calibration import Calibrations
from bruno_llm_base.call import result_of, text_stream
from bruno_llm_base.client import Client, Policies
from bruno_llm_base.context import ContextPolicy, Window, fit, reserved
from bruno_llm_base.events import (
    AnotherApiAsked,
    CountEstimated,
    FinishReasonUnknown,
    OptionDropped,
    PromptCut,
    Tell,
)
from bruno_llm_base.exceptions import (
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.language_model import LanguageModel
from bruno_llm_base.lenient import is_known
from bruno_llm_base.messages import Conversation, Messages, prompt_of, question
from bruno_llm_base.options import PORTABLE, ChatSettings
from bruno_llm_base.parts import Json, Media
from bruno_llm_base.policies import Retry, policy
from bruno_llm_base.request import Request
from bruno_llm_base.request_options import RequestOptions
from bruno_llm_base.response import ModelResponse, TokenCount
from bruno_llm_base.stream import TextStream
from bruno_llm_base.tokens import estimate_conversation, estimate_tokens, texts
from bruno_llm_base.values import digest, is_whole, shown

if TYPE_CHECKING:
    from bruno_llm_base.batch.adapter import BatchAdapter
    from bruno_llm_base.batch.vendor import Batch, BatchClient
    from bruno_llm_base.batch.vendor_rows import BatchRows
    from bruno_llm_base.call_keywords import RequestKeywords, RowKeywords
    from bruno_llm_base.media import MediaPolicy
    from bruno_llm_base.output import OutputRequest

# A guess will do for a count where the server cannot be asked, is too busy or knows no such endpoint.
_CANNOT_TELL = (
    InvalidResponseError,
    LLMTimeoutError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
_NO_SUCH_ENDPOINT = (None, 404, 405)  # None: the vendor's client says so, and sends nothing
_LARGE = 50_000  # characters, which take some milliseconds to count
_TOOLS_ERROR = 0.5  # vendors rewrite tools in words of their own before the model sees them
_PLAUSIBLE = 8  # bytes that a token may stand for; where it were more, the prompt is counted
_SMALLEST_WINDOW = 8_000  # tokens: of all models that lists of prices know
# fields that say who asks and how, and nothing of the answer
_OF_THE_CALLER = ("stream", "stream_options", "user", "safety_identifier", "metadata")
_CUT = 256  # tokens: what is left of a prompt that was cut still fills half a window


class ProviderKeywords(ChatSettings, Policies, total=False):
    """What every provider of chat is built with, beside its model.

    Attributes:
        context: What is done about a conversation that does not fit the context window.
        media: Which files and addresses that messages name may be sent; by default no files.
    """

    context: ContextPolicy | None
    media: "MediaPolicy | None"


_NO_OPTIONS = frozenset(ProviderKeywords.__annotations__) - {*PORTABLE, "options"}


class BaseProvider(Client, LanguageModel):
    """Everything the providers share; a provider's adapter says how its API spells things.

    Attributes:
        context: What is done about a conversation that does not fit.
        media: Which files and addresses that messages name may be sent.
    """

    adapter_type: ClassVar[type[ChatAdapter]]
    capabilities: ClassVar[frozenset[str]] = frozenset({"chat", "streaming"})
    settings_type: ClassVar[Any] = ChatSettings
    adapter: ChatAdapter

    def __init__(self, model: str | None = None, **keywords: Unpack[ProviderKeywords]) -> None:
        """Set up a provider. Nothing is sent, and no SDK is imported.

        Args:
            model: The model; the provider's `default_model` if None.
            **keywords: The options of `CallOptions`, and those of `ChatSettings`, `Policies` and
                `ProviderKeywords`.

        Raises:
            ConfigurationError: A keyword is unknown, a value is wrong, or the key is missing.
        """
        self.context = policy(ContextPolicy, "context", keywords.get("context"))
        self.media = keywords.get("media")
        if self.media is not None:
            from bruno_llm_base.media import MediaPolicy  # most providers do without

            self.media = policy(MediaPolicy, "media", self.media)
        super().__init__(model, keywords, self.context.window)
        if self.context.window is not None and self.adapter.window_option:
            asked = {self.adapter.window_option: self.context.window}
            self._settings["options"] = asked | (self._settings.get("options") or {})
        self._options = RequestOptions(
            cast(ChatSettings, self._settings),
            self.adapter,
            _NO_OPTIONS | self.settings_type.__annotations__.keys() - {*PORTABLE, "options"},
        )
        self._calibrations = Calibrations()
        self._words_seen: set[str] = set()  # for why an answer has ended
        self._refused_outputs: dict[tuple[str, str], int] = {}

    # -- asking -------------------------------------------------------------------------------------

    def _check_options(self, call: Json) -> None:
        for name in ("attachments", "output", "refresh"):
            call.pop(name, None)
        self._options.options(self._named(call.pop("model", None)), call)

    async def _answer(
        self, messages: Messages | None, output: Any, call: Json
    ) -> ModelResponse[Any]:
        asked = question(messages, call)
        if output is None:
            request = self._request(asked, call, stream=False)
            return await result_of(self._endpoint, request)
        from bruno_llm_base.output import Output, request_output

        output = Output.of(output)

        def ask(said: Messages) -> Awaitable[ModelResponse]:
            request = self._request(said, dict(call), stream=False, output=output)
            return result_of(self._endpoint, request)

        return await request_output(ask, asked, output)

    def _stream(self, messages: Messages | None, output: Any, call: Json) -> TextStream:
        request = self._request(question(messages, call), call, stream=True, output=output)
        stream = text_stream(self._endpoint, request)
        if output is None:
            return stream
        from bruno_llm_base.output import Output, typed_stream

        return typed_stream(stream, Output.of(output))

    async def batch(self, rows: "BatchRows", **options: "Unpack[RowKeywords]") -> "Batch":
        """Send rows that the vendor answers within a day or so, at its lower price for batches.

        All rows are checked before any is sent. What exceeds the vendor's limits for one batch goes out
        in several parts, which the batch holds together. A budget holds the most that all rows can cost,
        until the results are read.

        Args:
            rows: The messages of each row by its key, a text or a whole number: a dict, or pairs.
            **options: Those of `request`, for all rows; attachments are parts of a row's messages. With
                `output`, the model is not asked again where an answer does not fit.

        Raises:
            InvalidRequestError: A row or an option is wrong, or the vendor takes no batches.
            BudgetExceededError: The batch might cost more than is left.
            LLMError: The vendor refuses it. What it has taken before is in `batch` of the error.
        """
        from bruno_llm_base.batch.vendor import Batch

        client, call = self._batch_client(), {**options}
        output = call.pop("output", None)
        for name in ("messages", "prompt", "attachments"):
            if name in call:
                raise InvalidRequestError(f"batch takes no {name}: put them into the rows")

        def compose(messages: Messages) -> Request[ModelResponse]:
            return self._request(messages, dict(call), stream=False, output=output)

        return await Batch.of(client, rows, compose, output)

    def batch_from(self, batch_id: str, *, output: Any = None) -> "Batch":
        """Return the batch with an id, which this or another process has sent; nothing is asked.

        Args:
            batch_id: `Batch.id`.
            output: The type that was asked for.

        Raises:
            InvalidRequestError: It is none, or that of another provider's batch.
        """
        from bruno_llm_base.batch.vendor import Batch

        return Batch.known(self._batch_client(), batch_id, output)

    def _batch_client(self) -> "BatchClient":
        from bruno_llm_base.batch.vendor import BatchClient  # most programs send none

        batches: BatchAdapter | None = self.adapter.make_batches(self.access)
        if batches is None:
            raise InvalidRequestError(
                f"{self.name} takes no batches at {self.access.address}: llm.map() asks row by row"
            )
        return BatchClient(
            llm=self,
            name=self.name,
            model=self.model,
            endpoint=self._endpoint,
            batches=batches,
            advise=self._advise_on_model,
        )

    def get_model_info(self) -> dict[str, Any]:
        """Describe the provider: plain JSON, no secrets, no network."""
        return {
            "provider": self.name,
            "model": self.model,
            "base_url": self.access.address,
            "capabilities": sorted(self.capabilities),
            **deepcopy(self._options.defaults),
        }

    def set_system_prompt(self, prompt: str) -> None:
        """Begin every conversation with *prompt*; an empty one removes it.

        Raises:
            InvalidRequestError: It is not text.
        """
        if not isinstance(prompt, str | None):
            raise InvalidRequestError(f"the system prompt is {shown(prompt)}: give a text")
        self._settings["system_prompt"] = prompt or None

    def get_system_prompt(self) -> str | None:
        """Return the system prompt."""
        prompt: str | None = self._settings.get("system_prompt")
        return prompt

    # -- a request ----------------------------------------------------------------------------------

    def _request(
        self, said: Messages, call: Json, *, stream: bool, output: Any = None
    ) -> Request[ModelResponse]:
        """Return what to send: conversation, options, body."""
        endpoint = self._endpoint
        conversation = Conversation.of(said, self._settings.get("system_prompt"))
        call.pop("refresh", None)  # what is asked here is always new
        model = call.pop("model", None)
        model = self.model if model is None else self._named(model)
        adapter, options, own, told = self._options.options(model, call)
        amend = self._amend
        if output is not None:
            asked = self._output_request(adapter, options, output, self._refused_outputs)
            conversation, options = asked.prepare(conversation)
            amend = partial(self._amend_output, asked)
        request = Request(
            operation="chat",
            is_billed=True,
            adapter=adapter,
            path=(stream and adapter.stream_path) or adapter.chat_path,
            parse=adapter.parse_event if stream else adapter.parse,
            stream=stream,
            parse_whole=adapter.parse if stream else None,
            think_tags=self._settings.get("think_tags", False),
            model=model,
            own=own,
            conversation=conversation,
            labels=None if endpoint.spending is None else endpoint.spending.labels(),
            amend=amend,
            advise=self._advise_on_model,
            learn=self._learn,
        )
        if endpoint.observers.given:
            request.options = self._options.defaults | {
                name: value
                for name, value in (call | {"output": output}).items()
                if value is not None
            }
            request.prompt = prompt_of(said)
        # output counts as far as it is limited; what comes beyond is counted when it is known
        most = int(call.get("max_tokens") or self._options.defaults.get("max_tokens") or 0)
        if conversation.media:
            request.load = partial(self._load, options, most)
        else:
            self._compose(options, most, request)
        if adapter is not self.adapter and self._options.is_new(model, adapter.chat_path):
            endpoint.tell(request, AnotherApiAsked, path=adapter.chat_path)
        for word, kind, facts in told:
            if self._options.is_new(model, word):
                endpoint.tell(request, kind, **facts)
        return request

    @staticmethod
    def _output_request(
        adapter: ChatAdapter, options: Json, output: Any, refused: dict[tuple[str, str], int]
    ) -> "OutputRequest":
        from bruno_llm_base.output import Output, OutputRequest  # most requests do without

        return OutputRequest(Output.of(output).form, adapter, options, refused)

    async def fingerprint(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> str:
        """Return what is the same for all calls that ask the same, in every process; nothing is sent.

        It is made of the body of the request, files included, and of where that would go. Keys and
        labels do not count, nor who asks, nor whether the answer is streamed, nor what is cut or left
        out on the way. The arguments are those of `generate`.

        Raises:
            InvalidRequestError: An argument is wrong.
        """
        call: Json = {**options}
        said = question(messages, call)
        call.pop("refresh", None)  # it changes no answer
        conversation = Conversation.of(said, self._settings.get("system_prompt"))
        model = self._named(call.pop("model", None))
        asked_for = self._options.options(model, call)
        adapter, wanted = asked_for.adapter, asked_for.options
        if output is not None:
            asked = self._output_request(adapter, wanted, output, {})
            conversation, wanted = asked.prepare(conversation)
        is_large = bool(conversation.media)
        if is_large:
            conversation = await self._with_media(conversation, adapter, model)
        wanted.pop("cache", None)
        body = adapter.build(conversation.without_marks(), wanted, stream=False)
        for name in _OF_THE_CALLER:
            body.pop(name, None)
        think_tags = self._settings.get("think_tags", False)
        place = [self.name, self.access.address, adapter.chat_path, think_tags]
        whole = [*place, versions_of(self.access.client), body]
        return await asyncio.to_thread(digest, whole) if is_large else digest(whole)

    def _compose(self, options: Json, most_output: int, request: Request[ModelResponse]) -> None:
        """Make the body of *request*, and what follows from it."""
        rate_limit = self._endpoint.rate_limit
        request.body = self._body(request, options)
        request.unpriced_field = request.adapter.unpriced_field(request.body)
        if rate_limit is not None and rate_limit.tokens_per_minute:
            conversation = cast(Conversation, request.conversation)
            request.tokens = estimate_conversation(conversation) + most_output
        if not self._surely_fits(request, self._window(request)):
            request.fit = partial(self._fit, options)

    async def _load(self, options: Json, most: int, request: Request[ModelResponse]) -> None:
        """Read the media in the conversation of *request*, and make its body."""
        request.conversation = await self._with_media(
            cast(Conversation, request.conversation),
            cast(ChatAdapter, request.adapter),
            str(request.model),
        )
        request.is_large = True
        self._compose(options, most, request)

    async def _with_media(
        self, conversation: Conversation, adapter: ChatAdapter, model: str
    ) -> Conversation:
        """Return *conversation* with its media read."""
        from bruno_llm_base.media import read_media  # most requests have none
        from bruno_llm_base.media_conversation import with_media_ready

        taken = 0

        def read(media: Media) -> Media:
            nonlocal taken
            found = read_media(media, self.media, taken)
            taken += found.size
            found.tokens = adapter.media_tokens(found, model)
            return found

        return await asyncio.to_thread(
            with_media_ready,
            conversation,
            adapter.media_for(model),
            f"{model} of {self.name}",
            read,
        )

    def _parse_windows(self, data: Json) -> None:
        super()._parse_windows(data)
        self._options.learn_reasoning(self.adapter.parse_reasoning(data))

    def _body(self, request: Request[ModelResponse], options: Json) -> Json:
        adapter = cast(ChatAdapter, request.adapter)
        conversation = cast(Conversation, request.conversation)
        options = dict(options)
        keep = options.pop("cache", None)
        if keep is False:
            conversation = conversation.without_marks()
        body = adapter.build(conversation, options, stream=request.stream)
        if keep:
            body = adapter.mark_cache(body, None if keep is True else keep)
        return self._options.recall(adapter, options["model"], body, request.own)

    def _window(self, request: Request[ModelResponse]) -> Window | None:
        if self.adapter.window_option is not None:
            tokens = self.adapter.requested_window(request.body or {})
            if tokens is not None:
                return Window(tokens=tokens, source="the request")
        return self._own_window or self._windows.get(str(request.model))

    def _surely_fits(self, request: Request[ModelResponse], window: Window | None) -> bool:
        """Whether a request need not be counted before it is sent, however many tokens it takes."""
        most = request.most_input
        if window is None:
            return most <= _SMALLEST_WINDOW
        most += reserved(window, self.context, request.adapter.max_output(request.body or {}))
        return most <= self.context.warn_at * window.tokens

    async def _fit(self, options: Json, request: Request[ModelResponse], tell: Tell) -> None:
        """Make *request* fit the context window; see `ContextPolicy`."""
        model, conversation = str(request.model), request.conversation
        window = self._window(request) or await self.context_window(model)
        if window is None or conversation is None or self._surely_fits(request, window):
            return
        fits = await fit(
            conversation,
            self.context,
            window,
            max_output=request.adapter.max_output(request.body or {}),
            extra=estimate_tokens(_tools(options)),
            count=partial(self.count_conversation, model=model),
            tell=tell,
        )
        if fits is not conversation:
            request.conversation = fits
            request.body = self._body(request, options)
            if request.tokens:
                request.tokens -= estimate_conversation(conversation) - estimate_conversation(fits)

    def _amend(self, request: Request[Any], error: LLMError) -> Json | None:
        """Return the body without what the API has just refused, or None if nothing can be done."""
        body, dropped = self._options.amend(request, error) or (None, None)
        if dropped is not None:
            self._endpoint.tell(request, OptionDropped, option=dropped)
        return body

    def _amend_output(
        self, asked: "OutputRequest", request: Request[Any], error: LLMError
    ) -> Json | None:
        """Return a body that asks for the output in another way, after one was refused."""
        conversation = request.conversation
        if conversation is None or not asked.is_refused(error):
            return self._amend(request, error)
        request.conversation, options = asked.prepare(conversation)
        return self._body(request, options)

    def _learn(self, request: Request[ModelResponse], response: ModelResponse) -> None:
        """Learn from an answer how the server counts, and tell once of a word that we do not know."""
        word = response.finish_detail
        if word is not None and word not in self._words_seen:
            self._words_seen.add(word)
            counts_as_stop = response.finish_reason in ("stop", "tool_call")
            if counts_as_stop and not is_known(word, self.adapter.finish_reasons):
                self._endpoint.tell(request, FinishReasonUnknown, word=word)
        conversation, read = request.conversation, response.usage.input_tokens
        if conversation is None or read is None or response.usage_estimated:
            return
        model = str(request.model)
        if self.adapter.cuts_prompts and _CUT < read < request.most_input / _PLAUSIBLE:
            sent = self.count_conversation(conversation, model)
            if sent.least > 2 * read:
                self._endpoint.tell(request, PromptCut, tokens=sent.tokens, read=read)
                return
        if self.adapter.vocabulary(model) is None and not (request.body or {}).get("tools"):
            self._calibrations.learn(model, conversation, read)

    # -- counting -----------------------------------------------------------------------------------

    async def count_tokens(
        self,
        messages: Messages | None = None,
        *,
        output: Any = None,
        **options: "Unpack[RequestKeywords]",
    ) -> TokenCount:
        """Count the input tokens of a request, system prompt and tools included.

        The vendor is asked where it offers that. Where it cannot be asked, the count is estimated,
        which observers and the log are told. The arguments are those of `generate`.

        Raises:
            InvalidRequestError: An argument is wrong, or the vendor refuses the request.
            LLMError: The vendor refuses the key or the model.
        """
        call: Json = {**options}
        request = self._request(question(messages, call), call, stream=False, output=output)
        if request.load is not None:
            await request.load(request)
        model, conversation = str(request.model), cast(Conversation, request.conversation)
        counted = await self._count_there(request, conversation)
        if counted is not None:
            return counted
        # in a thread where the event loop should not wait: a vocabulary may have to be loaded first
        is_large = sum(map(len, texts(conversation))) > _LARGE
        count = partial(self._count_here, conversation, _tools(request.body or {}), model)
        in_thread = is_large or self.adapter.vocabulary(model) is not None
        return await asyncio.to_thread(count) if in_thread else count()

    def get_token_count(self, text: str) -> int:
        """Count the tokens of *text* for the provider's model, without asking a server.

        Never raises: what is not text is counted as it is printed, None as nothing. `count_text`
        says how far to trust the number.
        """
        try:
            printed = "" if text is None else str(text)
        except Exception:  # noqa: BLE001 - it cannot be printed
            printed = ""
        return self.count_text(printed).tokens

    def count_text(self, text: str, model: str | None = None) -> TokenCount:
        """Count the tokens of *text* alone, as *model* does, without asking a server.

        Raises:
            InvalidRequestError: It is not text, or the model has no name.
        """
        if not isinstance(text, str):
            raise InvalidRequestError(f"text is {shown(text)}: give a text")
        model = self._named(model)
        counted = self.adapter.text_tokens(text, model)
        return counted or self._calibrations.of(model).count_text(text)

    def count_conversation(
        self, conversation: Conversation, model: str | None = None
    ) -> TokenCount:
        """Count the tokens of *conversation*, as *model* does, without asking a server.

        Raises:
            InvalidRequestError: The model has no name.
        """
        model = self._named(model)
        counted = self.adapter.conversation_tokens(conversation, model)
        return counted or self._calibrations.of(model).count_conversation(conversation)

    def _count_here(self, conversation: Conversation, tools: str, model: str) -> TokenCount:
        count = self.count_conversation(conversation, model)
        if not tools:
            return count
        tokens = count.tokens + self.count_text(tools, model).tokens
        return replace(count, tokens=tokens, exact=False, error=max(count.error, _TOOLS_ERROR))

    async def _count_there(
        self, request: Request[ModelResponse], conversation: Conversation
    ) -> TokenCount | None:
        """Return the server's count of *request*, or None where it has none."""
        adapter, model = cast(ChatAdapter, request.adapter), str(request.model)
        body = adapter.build_count(conversation, request.body or {})
        if adapter.count_path is None or body is None:
            return None
        counting = Request(
            operation="count_tokens",
            adapter=adapter,
            path=adapter.count_path,
            body=body,
            is_large=request.is_large,
            model=model,
            own=request.own,
            parse=self._parse_count,
            amend=self._amend,
            advise=self._advise_on_model,
        )
        try:
            tokens = await result_of(self._endpoint, counting)
        except LLMError as error:
            # not where it refuses the key, the model or the request: it would refuse what is counted
            lacks_it = type(error) is InvalidRequestError and error.status_code in _NO_SUCH_ENDPOINT
            if not lacks_it and not isinstance(error, _CANNOT_TELL):
                raise
            self._endpoint.tell(counting, CountEstimated, error=error)
            return None
        if self._own_window is None and self._windows.asks_for(model):
            with suppress(LLMError):  # it has been logged, and is not what was asked for
                await self._list_models(retry=Retry(attempts=1))
        return TokenCount(
            tokens=tokens,
            exact=adapter.count_error == 0,
            source=f"{self.name}, {adapter.count_path}",
            error=adapter.count_error,
        )

    def _parse_count(self, data: Json) -> int:
        tokens = self.adapter.parse_count(data)
        if not is_whole(tokens, least=0):
            raise TypeError("a number of tokens")
        return tokens


def _tools(body: Json) -> str:
    """Return the tools that a request offers to the model, as text; "" for none."""
    tools = body.get("tools")
    return json.dumps(tools, ensure_ascii=False) if tools else ""
