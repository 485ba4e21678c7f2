"""The path of a request: sent, sent again, read, and ended whatever happens.

`Pipeline.call` serves any JSON endpoint, `Pipeline.stream` any streamed answer of a model, and
`Pipeline.follow` any other stream.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from bruno_llm_base.cost.prices import Prices
from bruno_llm_base.exceptions import LLMError, StreamError
from bruno_llm_base.exchange import ReadError, Request
from bruno_llm_base.failures import answer_text
from bruno_llm_base.limits import LimitState, RateLimit
from bruno_llm_base.observe import Observer
from bruno_llm_base.policies import Retry, Timeouts
from bruno_llm_base.retry import RetryThrottle
from bruno_llm_base.run import Run
from bruno_llm_base.stream import StreamState, TextStream
from bruno_llm_base.transport import Transport
from bruno_llm_base.types import Json, ModelResponse

if TYPE_CHECKING:
    from bruno_llm_base.cost.spending import Spending

__all__ = ["Pipeline"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """All that the requests of one provider have in common.

    Attributes:
        provider: The provider's name.
        transport: Returns the running loop's transport.
        retry: When to send again.
        retry_throttle: How many retries the provider has in hand.
        limits: In each of their lines an attempt waits for a place.
        read_limits: Reads what a server says of its own limits.
        timeouts: How long each step may take.
        read_error: Reads the vendor's error documents.
        blot: Returns what a server said without our secrets.
        amend: Returns a body without what the server has just refused, or None.
        explain: Has the last word on an error before it is raised.
        observers: Hear every event.
        spending: Where costs are recorded and budgets are kept, if anywhere.
        prices: What answers cost.
        most_output: Reads from a body how many tokens the model may generate.
        think_tags: Whether thoughts stand in the text, between tags.
        learn: Hears what a request has really used; None where it is of no use.
    """

    provider: str
    transport: Callable[[], Awaitable[Transport]]
    retry: Retry
    retry_throttle: RetryThrottle
    limits: Sequence[RateLimit]
    read_limits: Callable[[Mapping[str, str]], LimitState | None]
    timeouts: Timeouts
    read_error: ReadError
    blot: Callable[[Any], Any]
    amend: Callable[[Request, LLMError], Json | None]
    explain: Callable[[LLMError], Awaitable[None]]
    observers: Sequence[Observer]
    spending: "Spending | None"
    prices: Prices
    most_output: Callable[[Json], int | None]
    think_tags: bool
    learn: Callable[[Request, ModelResponse], None] | None

    async def call(self, request: Request, parse: Callable[[Json], _T]) -> _T:
        """Send *request* and return what *parse* makes of the answer.

        Raises:
            LLMError: It failed for good.
        """
        run = Run(self, request)
        try:
            while True:
                try:
                    exchange = await run.begin()
                    if request.is_billed:
                        self.prices.start_loading()
                    await exchange.send(run.request, stream=False)
                    result = exchange.parsed(parse, await exchange.document())
                    response = result if isinstance(result, ModelResponse) else None
                    if response is not None and request.conversation is not None:
                        run.check(exchange, response)
                    await run.finish(exchange, response)
                    return result
                except LLMError as error:
                    failure = error
                finally:
                    await run.end()
                try:
                    await run.again(failure)
                finally:
                    del failure  # its traceback holds this frame: together, a cycle
        finally:
            run.close()

    def stream(self, request: Request, parse: Callable[[Json], ModelResponse]) -> TextStream:
        """Return the streamed answer to *request*; it is sent when the stream is first read.

        Args:
            request: What to send.
            parse: Reads one document of the stream.
        """
        state = StreamState()
        return TextStream(_texts(Run(self, request), parse, state), state)

    async def follow(
        self, request: Request, parse: Callable[[Json], _T], is_last: Callable[[_T], bool]
    ) -> AsyncGenerator[_T, None]:
        """Send *request* and yield what *parse* makes of each document of the answer, as it comes.

        Args:
            request: What to send.
            parse: Reads one document.
            is_last: Says whether something is the end of the answer.

        Raises:
            LLMError: It failed for good, or the answer breaks off before its end.
        """
        run = Run(self, request)
        try:
            while True:
                try:
                    exchange = await run.begin()
                    await exchange.send(run.request, stream=True)
                    while (batch := await exchange.batch()) is not None:
                        exchange.expect_more()
                        for document in batch:
                            item = exchange.parsed(parse, exchange.read(document))
                            run.delivered()
                            if is_last(item):
                                await run.finish(exchange, None)
                                yield item
                                return
                            yield item
                    raise StreamError("the stream ended before the answer was complete")
                except LLMError as error:
                    failure = error
                finally:
                    await run.end()
                try:
                    await run.again(failure)
                finally:
                    del failure  # its traceback holds this frame: together, a cycle
        finally:
            run.close()


async def _texts(
    run: Run, parse: Callable[[Json], ModelResponse], state: StreamState
) -> AsyncGenerator[str, None]:
    # A module function over plain objects: a method would hold its owner, and make a cycle that
    # keeps the connection of an abandoned stream open.
    try:
        while True:
            try:
                exchange = await run.begin()
                await exchange.send(run.request, stream=True)
                if state.announce:
                    state.announce = False
                    yield ""
                while (batch := await run.more(exchange)) is not None:
                    for text in run.texts(exchange, batch, parse):
                        yield text
                for text in run.held_texts():
                    yield text
                response = run.streamed()
                response.usage = response.usage.updated(await run.rest(exchange, parse))
                await run.finish(exchange, response)
                break
            except LLMError as error:
                failure = error
            finally:
                await run.end()
            try:
                await run.again(failure)
            finally:
                del failure  # its traceback holds this frame: together, a cycle
    finally:
        run.close()
    state.response = response
    answer_text(response, run.provider)
