"""One call of a tool: its arguments, its run, and what is told of it to the model."""

import asyncio
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from bruno_llm_base.exceptions import LLMError, MediaError, ToolError
from bruno_llm_base.log import LOGGER
from bruno_llm_base.parts import NO_RESULT, Json, Media, Text, ToolCall, ToolResult
from bruno_llm_base.schemas import without_added_nulls
from bruno_llm_base.tools import Tool


@dataclass(frozen=True, slots=True)
class ReadyCall:
    """A call that may happen, with its arguments as the function takes them."""

    call: ToolCall
    tool: Tool
    args: Sequence[Any]
    kwargs: Json


def error_of(call: ToolCall, text: str) -> ToolResult:
    """Return that *call* has no result, and why."""
    return ToolResult(call.id, call.name, text, is_error=True)


def read_arguments(tool: Tool, call: ToolCall) -> tuple[Sequence[Any], Json]:
    """Return the arguments of *call* as *tool* wants them.

    Raises:
        ValueError: They do not fit; it says why to the model.
    """
    given = without_added_nulls(call.parsed, tool.parameters)
    if tool.arguments is None:
        return (), given
    try:
        args, kwargs = tool.arguments.validate_json(json.dumps(given))
    except ValidationError as problems:
        rows = problems.errors(include_url=False, include_context=False, include_input=False)
        wrong = "; ".join(f"{'.'.join(map(str, row['loc']))}: {row['msg']}" for row in rows)
        raise ValueError(f"the arguments of {tool.name} do not fit: {wrong}") from None
    except Exception as error:  # whatever a validator of the user's raises
        wrong = f"{type(error).__name__}: {error}"
        raise ValueError(f"the arguments of {tool.name} do not fit: {wrong}") from error
    return args, kwargs


async def result_of_call(ready: ReadyCall | ToolResult) -> ToolResult:
    """Return the result of a call, whatever happens in it.

    Raises:
        LLMError: The tool has raised it.
    """
    if isinstance(ready, ToolResult):
        return ready
    call, tool = ready.call, ready.tool
    try:
        async with asyncio.timeout(tool.timeout) as limit:
            return await _result(call, await _called(ready))
    except LLMError:
        raise
    except ToolError as error:
        return error_of(call, _clean(str(error)))
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return error_of(call, "CancelledError")
    except Exception as error:  # noqa: BLE001 - whatever a tool raises
        if isinstance(error, TimeoutError) and limit.expired():
            return error_of(call, f"It took longer than {tool.timeout:g} s.")
        LOGGER.warning("tool %s failed: %s", tool.name, type(error).__name__)
        LOGGER.debug("tool %s failed", tool.name, exc_info=error)
        return error_of(call, _clean(f"{type(error).__name__}: {error}"))


async def _called(ready: ReadyCall) -> Any:
    function, args, kwargs = ready.tool.function, ready.args, ready.kwargs
    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)

    def call() -> Any:
        try:
            return function(*args, **kwargs)
        except StopIteration as error:  # which no future can hold
            raise RuntimeError("StopIteration") from error

    result = await asyncio.to_thread(call)
    return await result if inspect.isawaitable(result) else result


async def _result(call: ToolCall, returned: object) -> ToolResult:
    """Return what a tool has returned: words, or media among them, whose files are read now."""
    items = returned if isinstance(returned, list | tuple) else [returned]
    if not any(isinstance(item, Media) for item in items):
        return ToolResult(call.id, call.name, _told(returned))
    from bruno_llm_base.media import read_media  # most tools return none

    parts: list[Text | Media] = []
    for item in items:
        if isinstance(item, Media):
            try:
                parts.append(await asyncio.to_thread(read_media, item))
            except MediaError as error:
                raise ToolError(error.message) from error
        else:
            parts.append(Text(_told(item)))
    words = "\n".join(part.told if isinstance(part, Media) else part.text for part in parts)
    return ToolResult(call.id, call.name, words, parts=tuple(parts))


def _told(result: object) -> str:
    """Return what a tool has returned as text: JSON where it is none."""
    text = result if isinstance(result, str) else "" if result is None else to_json(result).decode()
    return _clean(text)


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode() if text.strip() else NO_RESULT
