"""Answers of Anthropic's Messages API.

An answer is a list of blocks. A stream announces each with its index and then sends pieces of it, so
both modes are read by the same functions.
"""

from bruno_llm_base import (
    FinishReason,
    Json,
    ModelResponse,
    Part,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    VendorBlock,
)
from bruno_llm_base.cost.prices import reported_cost
from bruno_llm_base.lenient import (
    finish_reason,
    forgiving,
    inner,
    read_arguments,
    read_text,
    read_word,
)

__all__ = ["API", "CITATIONS", "block", "delta", "end", "start"]

API = "anthropic"
"""Whose state it is, whichever provider, proxy or cloud carries it."""

CITATIONS = "citations"
"""What we call a block that holds the citations of the text before it."""

_OF_A_CALL = frozenset(("id", "input", "name", "type"))
_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def start(message: Json) -> ModelResponse:
    """Return what is known before the first block; the output is counted at the end."""
    usage = _input(message.get("usage") or {})
    model, name = read_word(message.get("model")), read_word(message.get("id"))
    return ModelResponse(model=model, id=name, usage=usage)


def block(index: int, content: Json, *, whole: bool) -> tuple[Part, ...]:
    """Return a block of an answer, or what a stream says when one begins."""
    match content.get("type"):
        case "text":
            text = read_text(content.get("text"), "text")
            cited = content.get("citations")
            said: tuple[Part, ...] = (Text(text, index),) if text else ()
            return (*said, _citations(index, cited)) if cited else said
        case "thinking":
            thought, state = read_text(content.get("thinking"), "thinking"), _state(content)
            return (Reasoning(thought, state, index),) if thought or state else ()
        case "tool_use":
            return (_tool_call(index, content, whole=whole),)
    return (VendorBlock(API, content, index),) if read_word(content.get("type")) else ()


def _state(content: Json) -> VendorBlock | None:
    signature = content.get("signature")
    return VendorBlock(API, {"signature": signature}) if signature else None


def _citations(index: int, cited: list[Json]) -> VendorBlock:
    # an index of its own: what has the index of a text is text
    return VendorBlock(API, {"type": CITATIONS, "citations": cited}, -1 - index)


def _tool_call(index: int, content: Json, *, whole: bool) -> ToolCall:
    arguments = content.get("input") or {}
    own = {name: value for name, value in content.items() if name not in _OF_A_CALL and value}
    return ToolCall(
        id=read_word(content.get("id")),
        name=read_word(content.get("name")),
        # {} at the beginning stands for what is still to come
        arguments=read_arguments(arguments) if arguments or whole else "",
        state=VendorBlock(API, own) if own else None,
        index=index,
    )


def delta(index: int, piece: Json) -> ModelResponse:
    """Return a piece of a streamed block."""
    text = piece.get("text")
    if type(text) is str:  # nearly every event of a stream is of this sort
        return ModelResponse(parts=(Text(text, index),))
    match piece.get("type"):
        case "text_delta":
            part: Part = Text(read_text(text, "text"), index)
        case "thinking_delta":
            part = Reasoning(read_text(piece.get("thinking"), "thinking"), None, index)
        case "signature_delta":
            part = Reasoning("", _state(piece), index)
        case "input_json_delta":
            part = ToolCall(arguments=read_arguments(piece.get("partial_json")), index=index)
        case "citations_delta":
            part = _citations(index, [piece["citation"]])
        case _:  # of a block that only Anthropic can read
            own = {name: value for name, value in piece.items() if name != "type"}
            part = VendorBlock(API, own, index)
    return ModelResponse(parts=(part,))


def end(stop: Json, counts: Json | None) -> ModelResponse:
    """Return why the model stopped, and what it cost."""
    word = read_word(stop.get("stop_reason"))
    details = stop.get("stop_details")
    category = details.get("category") if isinstance(details, dict) else None
    reason: FinishReason | None = finish_reason(word)
    return ModelResponse(
        finish_reason=reason,
        finish_detail=read_word(category) or word,
        usage=_total(counts or {}),
        cost=reported_cost(counts or {}),
    )


@forgiving
def _input(counts: Json) -> Usage:
    """Return the input: Anthropic's count leaves out what has to do with its cache."""
    fresh, read, written = (counts.get(name) for name in _INPUT)
    if not (fresh or read or written):
        return Usage()  # no input is impossible: a gateway that does not know it yet says 0
    kept = inner(counts, "cache_creation")
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=kept.get("ephemeral_1h_input_tokens"),
    )


@forgiving
def _total(counts: Json) -> Usage:
    counts = _with_compaction(counts)
    details = inner(counts, "output_tokens_details")
    usage = Usage(
        output_tokens=counts.get("output_tokens"), reasoning_tokens=details.get("thinking_tokens")
    )
    return _input(counts).updated(usage)  # a stream's end may leave out the input, or parts of it


def _with_compaction(counts: Json) -> Json:
    """Return *counts* with what the server spent to compact the conversation.

    It is billed, but the totals leave it out
    (https://platform.claude.com/docs/en/build-with-claude/compaction, "Understanding usage"). An
    advisor's tokens they leave out too, and so do we: they cost what another model costs.
    """
    rows = [r for r in counts.get("iterations") or () if r.get("type") != "advisor_message"]
    if all(row.get("type") != "compaction" for row in rows):
        return counts
    kept = [row["cache_creation"] for row in rows if row.get("cache_creation")]
    sums = {name: sum(row.get(name) or 0 for row in rows) for name in (*_INPUT, "output_tokens")}
    return counts | sums | ({"cache_creation": _sum(kept)} if kept else {})


def _sum(rows: list[Json]) -> Json:
    names = {name for row in rows for name in row}
    return {name: sum(row.get(name) or 0 for row in rows) for name in names}
