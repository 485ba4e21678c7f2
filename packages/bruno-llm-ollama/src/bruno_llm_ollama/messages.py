"""Conversations and answers in the words of Ollama's chat (https://docs.ollama.com/api/chat)."""

from collections.abc import Iterator

from bruno_llm_base import (
    Conversation,
    FinishReason,
    Json,
    Media,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
    VendorBlock,
)
from bruno_llm_base.lenient import forgiving, read_arguments, read_text, read_word
from bruno_llm_base.parts import arguments_of

API = "ollama"
"""Whose thoughts go back."""

FINISH_REASONS: dict[str, FinishReason] = {
    "load": "error",  # the model was only loaded, or unloaded: that is not an answer
    "unload": "error",
}


def build(conversation: Conversation) -> list[Json]:
    """Return the `messages` of a request.

    Thoughts go back while the model is still at work on the last question, as when it calls tools.
    """
    system = [{"role": "system", "content": conversation.system}] if conversation.system else []
    turns = conversation.turns
    users = (place for place, turn in enumerate(turns) if turn.role == "user")
    # right behind a tool's result stands what the tool has shown: that is not a question
    asked = max((place for place in users if turns[place - 1].role != "tool"), default=0)
    said = (m for place, turn in enumerate(turns) for m in _messages(turn, place > asked))
    return [*system, *said]


def _messages(turn: Turn, is_thinking: bool) -> Iterator[Json]:  # noqa: FBT001 - a question
    if turn.role == "tool":
        yield from map(_tool_result, turn.tool_results)
        return
    message: Json = {"role": turn.role, "content": turn.text}
    if media := [part for part in turn.parts if isinstance(part, Media)]:
        # wherever pictures and sounds stand, models get them before the words
        said = (part.text if isinstance(part, Text) else "\n\n" for part in turn.parts)
        message |= {"content": "".join(said).strip(), "images": [each.encoded for each in media]}
    thoughts = [part for part in turn.parts if isinstance(part, Reasoning) and _is_ours(part)]
    if thoughts and is_thinking:
        message["thinking"] = "".join([thought.text for thought in thoughts])
    if calls := turn.tool_calls:
        message["tool_calls"] = [_call(call) for call in calls]
    if calls or media or turn.text:
        yield message


def _is_ours(thought: Reasoning) -> bool:
    return thought.state is not None and thought.state.vendor == API


def _call(call: ToolCall) -> Json:
    named = {"id": call.id} if call.id else {}
    # Ollama wants the object, not its text
    return named | {"function": {"name": call.name, "arguments": arguments_of(call)}}


def _tool_result(result: ToolResult) -> Json:
    message = {"role": "tool", "content": result.told}
    if result.name:
        message["tool_name"] = result.name
    if result.id:
        message["tool_call_id"] = result.id
    return message


def parts(message: Json) -> tuple[Part, ...]:
    """Return the parts of a message, or of one document of a stream."""
    found: list[Part] = []
    if thought := read_text(message.get("thinking"), "thinking"):
        found.append(Reasoning(thought, VendorBlock(API, {})))
    if text := read_text(message.get("content"), "content"):
        found.append(Text(text))
    return tuple(found + [_tool_call(call) for call in message.get("tool_calls") or ()])


def _tool_call(call: Json) -> ToolCall:
    """Return a call, which is whole.

    Its `function.index` means nothing: in a stream, most models' are all 0
    (https://github.com/ollama/ollama/issues/15457).
    """
    function = call["function"]
    return ToolCall(
        id=read_word(call.get("id")),
        name=read_word(function.get("name")),
        arguments=read_arguments(function.get("arguments")) or "{}",
    )


@forgiving
def usage(data: Json) -> Usage:
    """Return the tokens that the last document reports.

    The server leaves out what is 0. No output is possible; no input is not, so a missing count of
    it is unknown: older servers counted only what their cache did not hold.
    """
    return Usage(
        input_tokens=data.get("prompt_eval_count"),
        output_tokens=data.get("eval_count") or 0,
        cache_read_tokens=data.get("prompt_eval_cached_count"),
    )
