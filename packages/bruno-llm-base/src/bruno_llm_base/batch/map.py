"""Ask the same of many rows: some at once, into a file that is resumed from."""

import asyncio
import os
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from bruno_llm_base.batch.answers_file import AnswersFile, key_digest
from bruno_llm_base.batch.template import field_of, fingerprint, question_of
from bruno_llm_base.events import MapProgress, Observer
from bruno_llm_base.exceptions import (
    AllProvidersFailedError,
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    InvalidRequestError,
    LLMError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
)
from bruno_llm_base.log import Observers
from bruno_llm_base.messages import Messages
from bruno_llm_base.options import PORTABLE
from bruno_llm_base.parts import Json
from bruno_llm_base.policies import check_whole
from bruno_llm_base.response import ModelResponse
from bruno_llm_base.stream import answer_text
from bruno_llm_base.values import shown

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bruno_llm_base.call_keywords import RequestKeywords

# What no other row would be spared.
_OF_ALL_ROWS = (
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
)
_MOST_PAUSES = 5  # that one row waits through
_NO_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "messages", "prompt")

Rows = Iterable[Any] | AsyncIterable[Any]
Prompt = str | Callable[[Any], Messages]
Key = str | Callable[[Any], str | int]


class Answered(Protocol):
    """A row and its answer, of a map or a batch."""

    @property
    def key(self) -> str | int: ...
    @property
    def response(self) -> ModelResponse[Any] | None: ...
    @property
    def error(self) -> LLMError | None: ...
    @property
    def text(self) -> str | None: ...


class Model(Protocol):
    """What is used of a provider or a fallback."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def observers(self) -> tuple[Observer, ...]: ...

    async def request(
        self,
        messages: Messages,
        **options: "Unpack[RequestKeywords]",
    ) -> ModelResponse: ...
    def get_model_info(self) -> dict[str, Any]: ...
    def get_system_prompt(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MapItem:
    """A row and the answer to it, or the error in its place.

    Attributes:
        key: What the row is called in the file.
        row: The row.
        response: The answer; None where there is an error.
        error: Why there is none.
    """

    key: str | int
    row: Any
    response: ModelResponse[Any] | None = None
    error: LLMError | None = None

    @property
    def text(self) -> str | None:
        """The answer in words."""
        return None if self.response is None else self.response.text


def map_rows(
    llm: Model,
    rows: Rows,
    prompt: Prompt,
    *,
    key: Key | None,
    concurrency: int,
    into: str | os.PathLike[str] | None,
    options: Json,
) -> AsyncGenerator[MapItem, None]:
    """Return the answers of *llm*; `BaseProvider.map` tells the rest."""
    check_whole("concurrency", concurrency)
    if not isinstance(rows, Iterable | AsyncIterable) or isinstance(rows, str | Mapping):
        raise InvalidRequestError(f"rows is {shown(rows)}: give an iterable of rows")
    if key is not None and not isinstance(key, str) and not callable(key):
        raise InvalidRequestError(f"key is {shown(key)}: give the name of a field, or a function")
    for name in _NO_TOOLS:
        if name in options:
            raise InvalidRequestError(f"map takes no {name}: it asks one question of each row")
    attachments = options.pop("attachments", None)
    if attachments is not None and not callable(attachments):
        raise InvalidRequestError(
            f"attachments is {shown(attachments)}: give a function of a row, which returns a list"
        )
    if (output := options.get("output")) is not None:
        from bruno_llm_base.output import Output

        options["output"] = Output.of(output)
    run = _Run(llm, question_of(prompt), attachments, key, options)
    asked = "" if into is None else _fingerprint(llm, prompt, attachments, options)
    return _items(run, rows, concurrency, None if into is None else partial(run.open, into, asked))


def _fingerprint(llm: Model, prompt: Prompt, attachments: Any, options: Json) -> str:
    """Return what changes with all that is asked of every row."""
    defaults = {name: value for name, value in llm.get_model_info().items() if name in PORTABLE}
    given = {name: value for name, value in options.items() if value is not None}
    given.pop("refresh", None)  # it changes no answer's meaning
    if (output := given.pop("output", None)) is not None:
        from bruno_llm_base.output import Output

        given["output"] = Output.of(output).form.schema
    told = [llm.name, llm.model, llm.get_system_prompt(), prompt, attachments, defaults | given]
    try:
        return fingerprint(told)
    except TypeError as error:
        raise InvalidRequestError(
            f"an option of map is {error}: with into=, give JSON or functions"
        ) from None


async def _items(
    run: "_Run", rows: Rows, concurrency: int, open_file: Callable[[], None] | None
) -> AsyncGenerator[MapItem, None]:
    # the tasks do not know the generator: dropped, it is closed, and closes them
    disk = ThreadPoolExecutor(1, thread_name_prefix="bruno-llm-map")
    workers: list[asyncio.Task[None]] = []
    try:
        if open_file is not None:
            opening = asyncio.get_running_loop().run_in_executor(disk, open_file)
            await asyncio.shield(opening)
        run.begin(rows, disk, concurrency)
        workers += [asyncio.create_task(run.work()) for _ in range(concurrency)]
        ended = 0
        while ended < concurrency:
            if (item := await run.finished.get()) is not None:
                yield item
            else:
                ended += 1
        if run.failure is not None:
            raise run.failure
    finally:
        for worker in workers:
            worker.cancel()
        try:
            await asyncio.gather(*workers, return_exceptions=True)
        finally:  # behind all that is still to be written, even if this is cancelled too
            closing = asyncio.get_running_loop().run_in_executor(disk, run.close)
            disk.shutdown(wait=False)
            run.failure = None  # its traceback holds this frame: together, a cycle
            await asyncio.shield(closing)


@dataclass(slots=True, eq=False)
class _Run:
    """What the workers of one map share; each asks for one row after the other."""

    llm: Model
    question: Callable[[Any], Messages]
    attachments: Callable[[Any], Any] | None
    key: Key | None
    options: Json
    file: AnswersFile | None = None
    failure: Exception | None = None  # after which no further row is begun
    finished: asyncio.Queue[MapItem | None] = field(init=False)
    _rows: Iterator[Any] | AsyncIterator[Any] = field(init=False)
    _pulling: asyncio.Lock = field(init=False)
    _disk: ThreadPoolExecutor = field(init=False)
    _seen: set[int] = field(default_factory=set)  # digests of keys, where there is a file
    _paused_until: float = 0.0
    _under_way: int = 0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)  # for money that is held
    _answered: int = 0
    _failed: int = 0
    _skipped: int = 0
    _cost: Decimal = Decimal(0)

    def open(self, into: str | os.PathLike[str], asked: str) -> None:
        self.file = AnswersFile(into, asked)

    def begin(self, rows: Rows, disk: ThreadPoolExecutor, concurrency: int) -> None:
        """Take what belongs to the running loop."""
        self._rows = aiter(rows) if isinstance(rows, AsyncIterable) else iter(rows)
        self._disk = disk
        self._pulling = asyncio.Lock()
        self.finished = asyncio.Queue(concurrency)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()

    async def work(self) -> None:
        try:
            while (found := await self._next()) is not None:
                item = await self._answer(*found)
                self._wake()  # not when a row was refused: two would wake each other for ever
                if item is None:
                    break
                try:
                    await self._write(item)
                except OSError as error:  # the answer is there, even if it could not be written
                    self._fail(error)
                self._count(item)
                await self.finished.put(item)
        except Exception as error:  # noqa: BLE001 - the user's own too: raised when all have ended
            self._fail(error)
        await self.finished.put(None)

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        while self._waiting:
            self._wake()

    def _wake(self) -> None:
        """Let one row that waits for money try again."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _next(self) -> tuple[str | int, Any] | None:
        """Return the next row that has no answer yet, and its key; None at the end."""
        async with self._pulling:
            while self.failure is None:
                try:
                    if isinstance(self._rows, AsyncIterator):
                        row = await anext(self._rows)
                    else:
                        row = next(self._rows)
                except (StopIteration, StopAsyncIteration):
                    self._rows = iter(())
                    return None
                key = self._key(row)
                if not self._is_known(key):
                    return key, row
                self._skipped += 1
                if self._skipped % 100 == 0:
                    await asyncio.sleep(0)  # a million of them take seconds
        return None

    def _key(self, row: Any) -> str | int:
        if self.key is None:
            try:
                return fingerprint(row)
            except TypeError as error:
                raise InvalidRequestError(
                    f"a row is {error}: say what to call it with key="
                ) from None
        key = self.key(row) if callable(self.key) else field_of(row, self.key, "key")
        if not isinstance(key, str | int):
            raise InvalidRequestError(f"the key of a row is {shown(key)}: give a text or a number")
        return key

    def _is_known(self, key: str | int) -> bool:
        """Whether the row called *key* is answered, or as good as that: equal rows are asked once."""
        if self.file is None:
            return False
        digest = key_digest(key)
        if digest in self._seen and self.key is not None:
            raise InvalidRequestError(f"two rows have the key {shown(key)}: give each its own")
        is_known = digest in self._seen or digest in self.file.answered
        self._seen.add(digest)
        return is_known

    async def _answer(self, key: str | int, row: Any) -> MapItem | None:
        """Ask for *row*; None where it was not asked, since the end has come."""
        question, options = self.question(row), dict(self.options)
        if self.attachments is not None:
            options["attachments"] = self.attachments(row)
        try:
            response = await self._ask(question, options)
        except LLMError as error:
            if not _is_of_all_rows(error):
                return MapItem(key=key, row=row, error=error)
            self._fail(error)
            return None
        return None if response is None else MapItem(key=key, row=row, response=response)

    async def _ask(self, question: Messages, options: Json) -> ModelResponse | None:
        loop, pauses = asyncio.get_running_loop(), 0
        while True:
            while (wait := self._paused_until - loop.time()) > 0:  # noqa: ASYNC110 - a known time
                await asyncio.sleep(wait)
            if self.failure is not None:
                return None
            try:
                self._under_way += 1
                try:
                    response = await self.llm.request(question, **options)
                finally:
                    self._under_way -= 1
            except BudgetExceededError:
                if not self._under_way:
                    raise
                # the rows under way hold the most that they can cost, and give back most of it
                waiter = loop.create_future()
                self._waiting.append(waiter)
                await waiter
            except RateLimitError as error:
                pauses += 1
                if not error.retryable or pauses > _MOST_PAUSES:
                    raise
                wait = 2.0**pauses if error.retry_after is None else error.retry_after
                self._paused_until = max(self._paused_until, loop.time() + wait)
            else:
                if options.get("output") is None:
                    answer_text(response, self.llm.name)
                return response

    async def _write(self, item: MapItem) -> None:
        if self.file is None:
            return
        writing = asyncio.get_running_loop().run_in_executor(
            self._disk, self.file.append, entry_of(item)
        )
        await asyncio.shield(writing)  # what was paid for is written, though this is cancelled

    def _count(self, item: MapItem) -> None:
        self._answered += item.error is None
        self._failed += item.error is not None
        response = _response(item)
        if response is not None and response.cost is not None:
            self._cost += response.cost.total
        Observers(self.llm.observers).tell(
            MapProgress,
            provider=self.llm.name,
            model=self.options.get("model") or self.llm.model,
            operation="map",
            answered=self._answered,
            failed=self._failed,
            skipped=self._skipped,
            cost=self._cost,
        )


def _is_of_all_rows(error: LLMError) -> bool:
    if isinstance(error, AllProvidersFailedError) and error.errors:
        return all(map(_is_of_all_rows, error.errors))
    return isinstance(error, _OF_ALL_ROWS)


def _response(item: Answered) -> ModelResponse | None:
    """Return what was paid for: the answer, or as much as there is of it."""
    partial_answer: ModelResponse | None = item.response or getattr(item.error, "partial", None)
    return partial_answer


def entry_of(item: Answered) -> Json:
    """Return the line of *item* in a file of answers."""
    from pydantic_core import to_jsonable_python

    response, error = _response(item), item.error
    output = None
    if item.response is not None and item.response._output is not None:  # noqa: SLF001
        output = to_jsonable_python(item.response.output)
    usage = {} if response is None else asdict(response.usage)
    return {
        "key": item.key,
        "text": item.text,
        "output": output,
        "usage": {name: count for name, count in usage.items() if count is not None},
        "cost": float(response.cost.total) if response and response.cost else None,
        "error": None if error is None else {"type": type(error).__name__, "message": str(error)},
    }
