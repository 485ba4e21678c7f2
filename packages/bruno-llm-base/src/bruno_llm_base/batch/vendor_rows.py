"""The rows of a vendor's batch: checked, called by keys that the vendor takes, cut into parts."""

import asyncio
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bruno_llm_base.batch.adapter import BatchAdapter
from bruno_llm_base.exceptions import InvalidRequestError, LLMError
from bruno_llm_base.messages import Messages
from bruno_llm_base.parts import Json
from bruno_llm_base.request import Endpoint, Request
from bruno_llm_base.response import ModelResponse
from bruno_llm_base.values import shown

BatchKey = str | int
BatchRows = (
    Mapping[str, Messages]  # a `dict[str, str]` is not a mapping of `str | int`
    | Mapping[int, Messages]
    | Mapping[BatchKey, Messages]
    | Iterable[tuple[BatchKey, Messages]]
)

_TEXT, _NUMBER = "b64-", "int-"  # how keys begin that are sent in other letters
AT_ONCE = 100
"""Rows that are made ready before others have their turn."""


@dataclass(slots=True, kw_only=True)
class BatchRow:
    """A row, ready to be sent.

    Attributes:
        key: Its key, as it is sent.
        body: What the same request alone would be.
        sent: The row of the vendor's batch.
        size: How many bytes that has.
        most_input: The most tokens that its input can take.
        media_tokens: Of these, what its media can take, by their kind.
    """

    key: str
    body: Json
    sent: Json
    size: int
    most_input: int
    media_tokens: Mapping[str, int]


def row_of(batches: BatchAdapter, key: str, request: Request[Any]) -> BatchRow:
    """Return the row called *key* that asks what *request* does."""
    body = request.body or {}
    sent = batches.build_row(key, body)
    return BatchRow(
        key=key,
        body=body,
        sent=sent,
        size=len(json.dumps(sent)) + 1,  # and a line break, or a comma
        most_input=request.most_input,
        media_tokens=request.media_tokens(),
    )


async def read_rows(
    rows: BatchRows,
    batches: BatchAdapter,
    compose: Callable[[Messages], Request[ModelResponse]],
    endpoint: Endpoint,
) -> tuple[list[BatchRow], Request[ModelResponse]]:
    """Return all *rows* as they are to be sent, and one of their requests: all have the same options.

    Raises:
        InvalidRequestError: There are none, two have the same key, or one is wrong.
        LLMError: One does not fit the context window, or its media cannot be read.
    """
    if isinstance(rows, str) or not isinstance(rows, Iterable):
        raise InvalidRequestError(f"rows is {shown(rows)}: give a dict of keys and messages")
    ready: dict[str, BatchRow] = {}
    request: Request[ModelResponse] | None = None
    for place, row in enumerate(rows.items() if isinstance(rows, Mapping) else rows):
        if not isinstance(row, Sequence) or isinstance(row, str) or len(row) != 2:
            raise InvalidRequestError(f"row {place} is {shown(row)}: give a key and its messages")
        own, messages = row
        key = sent_key(own, batches.keys)
        if key in ready:
            raise InvalidRequestError(f"two rows have the key {shown(own)}: give each its own")
        try:
            request = compose(messages)
            if (load := request.load) is not None:
                await load(request)
            if (fit := request.fit) is not None:
                await fit(request, partial(endpoint.tell, request))
        except LLMError as error:
            error.advice = "; ".join(filter(None, (error.advice, f"it is the row {shown(own)}")))
            raise
        ready[key] = row_of(batches, key, request)
        if place % AT_ONCE == 0:
            await asyncio.sleep(0)
    if request is None:
        raise InvalidRequestError("the batch is empty: give it rows")
    return list(ready.values()), request


def parts_of(rows: Iterable[BatchRow], batches: BatchAdapter) -> list[list[BatchRow]]:
    """Return *rows* in as many parts as the vendor's limits need.

    Raises:
        InvalidRequestError: One is too large by itself.
    """
    parts: list[list[BatchRow]] = []
    size = 0
    for row in rows:
        if row.size > batches.max_bytes:
            raise InvalidRequestError(
                f"the row {own_key(row.key)!r} has {row.size:,} bytes, and a batch may have"
                f" {batches.max_bytes:,}: shorten it"
            )
        size += row.size
        if not parts or len(parts[-1]) == batches.max_rows or size > batches.max_bytes:
            parts.append([])
            size = row.size
        parts[-1].append(row)
    return parts


def sent_key(key: object, taken: re.Pattern[str]) -> str:
    """Return what stands for *key* where only what is *taken* may; `own_key` is the way back.

    That way needs no memory, since another process may read the results.
    """
    if isinstance(key, int) and not isinstance(key, bool):
        sent = f"{_NUMBER}{key}"
    elif isinstance(key, str):
        is_plain = taken.fullmatch(key) and not key.startswith((_TEXT, _NUMBER))
        encoded = urlsafe_b64encode(key.encode(errors="surrogatepass")).decode().rstrip("=")
        sent = key if is_plain else _TEXT + encoded
    else:
        raise InvalidRequestError(f"a key is {shown(key)}: give a text or a whole number")
    if not taken.fullmatch(sent):
        raise InvalidRequestError(
            f"the key {shown(key)} is too long for the vendor, or its letters are: give a shorter one"
        )
    return sent


def own_key(sent: str) -> BatchKey:
    """Return the key that `sent_key` was given; one that others have sent is itself."""
    try:
        if sent.startswith(_NUMBER):
            return int(sent.removeprefix(_NUMBER))
        if sent.startswith(_TEXT):
            code = sent.removeprefix(_TEXT)
            return urlsafe_b64decode(code + "=" * (-len(code) % 4)).decode(errors="surrogatepass")
    except ValueError:
        pass
    return sent
