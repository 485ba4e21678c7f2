"""Conversations and answers in the words of OpenAI's Chat Completions."""

from typing import Any, assert_never

from bruno_llm_base import (
    Conversation,
    Json,
    Media,
    ModelResponse,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
    VendorBlock,
)
from bruno_llm_base.cost.prices import reported_cost
from bruno_llm_base.lenient import finish_reason, forgiving, read_arguments, read_text, read_word
from bruno_llm_base.parts import CACHE_MARK, arguments_text, object_in, state_for
from bruno_llm_base.values import is_whole

from bruno_llm_openai.models import CACHE_BREAKPOINT

# The fields in which servers of open models send thoughts, and want them back. Mistral's reasoning
# models send them among the pieces of the content.
_REASONING, _IN_CONTENT = ("reasoning_content", "reasoning"), "content"
_DETAIL = (
    "reasoning_details"  # OpenRouter's (https://openrouter.ai/docs/use-cases/reasoning-tokens)
)
_PLAIN = {"type", "text"}
_CUSTOM = "custom"  # the type of a call whose arguments are free text
# Fields of a message that their servers want back as they were: Gemini's signature of a text, and
# LiteLLM's blocks of Claude.
_KEPT = ("extra_content", "thinking_blocks")
_OF_THOUGHTS = (*_REASONING, _DETAIL)
_OF_A_CALL = frozenset(("custom", "function", "id", "index", "type"))
_TOTALS = ("completion_tokens", "prompt_tokens", "total_tokens")


def read(data: Json, choice: Json, message: Json, api: str) -> ModelResponse:
    """Return what a whole answer or one document of a stream says: *data*, with one of its choices.

    *message* is the choice's `message` or `delta`, and *api* made the state that it holds.
    """
    model, name = data.get("model"), data.get("id")
    part = ModelResponse(
        parts=_parts(message, api),
        model=model if model and type(model) is str else read_word(model),
        id=name if name and type(name) is str else read_word(name),
    )
    if word := choice.get("finish_reason") or choice.get("finishReason"):
        part.finish_detail = read_word(word)
        part.finish_reason = finish_reason(part.finish_detail)
    if counts := data.get("usage") or _counts(data):
        part.usage, part.cost = _usage(counts), reported_cost(counts)
    if message.get("refusal"):
        part.finish_reason, part.finish_detail = "content_filter", "refusal"
    if error := choice.get("error"):  # OpenRouter, of a provider that broke off
        part.error = {"error": error}
    return part


def _parts(message: Json, api: str) -> tuple[Part, ...]:
    """Return the parts of a message, or the fragments of them in a delta."""
    found: list[Part] = []
    if any(map(message.get, _OF_THOUGHTS)):
        found += _thoughts(message, api)
    content = message.get("content")
    if type(content) is str:
        found += [Text(content)] if content else []
    elif content is not None:
        found += _content(content, api)
    if message.get("audio") or message.get("images"):
        from bruno_llm_openai.media import made  # most models make none

        found += made(message, api)
    if refusal := message.get("refusal"):
        found.append(Text(read_text(refusal, "refusal")))
    if any(map(message.get, _KEPT)):
        found.append(VendorBlock(api, {n: message[n] for n in _KEPT if message.get(n)}))
    if message.get("tool_calls") or message.get("function_call"):
        found += _calls(message, api)
    return tuple(found)


def _thoughts(message: Json, api: str) -> list[Part]:
    details = _details(message.get(_DETAIL), api)
    for name in _REASONING:
        if thought := read_text(message.get(name), name):
            return [Reasoning(thought, VendorBlock(api, {"field": name})), *details]
    thoughts = (block.data.get("text") or block.data.get("summary") for block in details)
    read = [Reasoning(thought) for thought in thoughts if isinstance(thought, str) and thought]
    return [*read, *details]


def _details(rows: Any, api: str) -> list[VendorBlock]:
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    # their indexes are their own: kept apart from those of calls, which count from 0 upwards
    return [
        VendorBlock(api, row, -1 - (row["index"] if is_whole(row.get("index"), least=0) else place))
        for place, row in enumerate(rows)
    ]


def _content(content: Any, api: str) -> list[Part]:
    """Return content that is not a text, but an object or, from reasoning models, a list of pieces."""
    found: list[Part] = []
    for piece in content if isinstance(content, list) else [content]:
        if isinstance(piece, dict) and piece.get("type") in ("thinking", "reasoning"):
            state = VendorBlock(api, {"field": _IN_CONTENT})
            found.append(Reasoning(read_text(piece, "content"), state))
        elif isinstance(piece, dict) and piece.get("type") == "image_url":
            from bruno_llm_openai.media import picture

            found.append(picture(piece))
        elif text := read_text(piece, "content"):
            found.append(Text(text))
    return found


def _calls(message: Json, api: str) -> list[Part]:
    calls = message.get("tool_calls") or []
    if old := _filled(message.get("function_call")):
        calls = [{"index": 0, "function": old}]  # of before there were tools
    if isinstance(calls, dict):
        calls = [calls]
    return [_call(call, api) for call in calls if isinstance(call, dict)]


def _filled(value: Any) -> Json:
    """Return *value* if it holds anything: Snowflake sends each field of a call, most of them empty."""
    return value if isinstance(value, dict) and any(value.values()) else {}


def _call(call: Json, api: str) -> ToolCall:
    custom = _filled(call.get("custom"))
    function = custom or call.get("function") or {}
    state = {name: value for name, value in call.items() if name not in _OF_A_CALL}
    if custom:
        state["type"] = _CUSTOM
    index = call.get("index")
    return ToolCall(
        id=read_word(call.get("id")),
        name=read_word(function.get("name")),
        arguments=read_arguments(function.get("input" if custom else "arguments")),
        state=VendorBlock(api, state) if state else None,
        index=index if isinstance(index, int) else None,
    )


def _counts(data: Json) -> Any:
    # Moonshot counts inside the choice, and Groq in a field of its own
    for place in (*(data.get("choices") or ())[:1], data.get("x_groq")):
        if isinstance(place, dict) and (found := place.get("usage")):
            return found
    return None


@forgiving
def _usage(counts: Json) -> Usage:
    """Return the tokens: OpenAI's totals already include cached input and reasoning.

    So they do with rejected predictions, which are billed as output
    (https://platform.openai.com/docs/guides/predicted-outputs).
    """
    prompt, completion, audio = _totals(counts)
    read = object_in(counts.get("prompt_tokens_details"))
    written = object_in(counts.get("completion_tokens_details"))
    cached = read.get("cached_tokens")
    if cached is None:
        # DeepSeek's own word, which some servers of its models send alone
        # (https://api-docs.deepseek.com/guides/kv_cache)
        cached = counts.get("prompt_cache_hit_tokens")
    if cached is None:  # Moonshot's place (https://platform.kimi.ai/docs/api/chat)
        cached = counts.get("cached_tokens")
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=cached,
        cache_write_tokens=read.get("cache_write_tokens"),
        reasoning_tokens=written.get("reasoning_tokens"),
        input_audio_tokens=read.get("audio_tokens") if audio is None else audio,
        input_image_tokens=read.get("image_tokens"),
        output_audio_tokens=written.get("audio_tokens"),
        output_image_tokens=written.get("image_tokens"),
    )


def _totals(counts: Json) -> tuple[int | None, int | None, int | None]:
    """Return the whole input, the whole output, and the audio that only the total includes.

    xAI, and Gemini's servers of this protocol, leave reasoning out of the completion, but not out
    of the total (https://docs.x.ai/docs/key-information/consumption-and-rate-limits). Of Mistral's
    Voxtral models, what the total has beyond its parts is what they have heard.
    """
    told: tuple[Any, ...] = tuple(map(counts.get, _TOTALS))
    completion, prompt, total = told
    are_counts = type(completion) is type(prompt) is type(total) is int and min(told) >= 0
    if not are_counts or total <= prompt + completion:
        return prompt, completion, None
    rest = total - prompt - completion
    heard = object_in(counts.get("prompt_tokens_details")).get("audio_tokens")
    if "prompt_audio_seconds" in counts or rest == heard:  # Mistral's own field, often 0
        return prompt + rest, completion, rest
    return prompt, completion + rest, None


def build(conversation: Conversation, api: str, *, marks: bool = False) -> list[Json]:
    """Return the `messages` of a request; state that another API than *api* made is left out.

    With *marks*, they go behind what is to be kept.
    """
    messages: list[Json] = []
    if conversation.system:
        messages.append({"role": "system", "content": conversation.system})
    for turn in conversation.turns:
        if turn.role == "tool":
            for part in turn.parts:
                if isinstance(part, ToolResult):
                    result = {"role": "tool", "tool_call_id": part.id, "content": part.told}
                    messages.append(result)
                elif marks and part == CACHE_MARK:
                    text = {"type": "text", "text": messages[-1]["content"]}
                    messages[-1]["content"] = [text | CACHE_BREAKPOINT]
        elif fields := _fields(turn, api, marks=marks):
            messages.append({"role": turn.role} | fields)
    return messages


def _fields(  # noqa: C901, PLR0912 - a case for each kind of part
    turn: Turn, api: str, *, marks: bool
) -> Json:
    """Return the fields of a message, one for each kind of part; none where *api* can read nothing."""
    calls: list[Json] = []
    pieces: list[Json] = []
    own: Json = {}
    for part in turn.parts:
        match part:
            case Text(text):
                pieces.append({"type": "text", "text": text})
            case Reasoning(text):
                # it goes back in the field in which it came; without one it does not go back
                field = state_for(part, api).get("field")
                if field in _REASONING:
                    own[field] = own.get(field, "") + text
                elif field == _IN_CONTENT:
                    inner = [{"type": "text", "text": text}]
                    pieces.append({"type": "thinking", "thinking": inner})
            case ToolCall():
                calls.append(_sent_call(part, api))
            case VendorBlock() if marks and pieces and part == CACHE_MARK:
                pieces[-1] |= CACHE_BREAKPOINT
            case VendorBlock(vendor, data) if vendor == api:
                if str(data.get("type")).startswith("reasoning."):
                    own.setdefault(_DETAIL, []).append(data)
                else:
                    own |= data
            case Media() if state := state_for(part, api):  # what the model itself has spoken
                own["audio"] = {"id": state.get("id")}
            case Media():
                from bruno_llm_openai.media import chat_piece  # most conversations have none

                pieces.append(chat_piece(part))
            case VendorBlock() | ToolResult():
                pass  # another API's, or a result, which has a turn of its own
            case _:
                assert_never(part)
    texts = [piece["text"] for piece in pieces if piece.keys() == _PLAIN]
    said = ("".join(texts) or None) if len(texts) == len(pieces) else pieces
    if said is None and not calls and "audio" not in own:
        return {}
    return {"content": said} | own | ({"tool_calls": calls} if calls else {})


def _sent_call(call: ToolCall, api: str) -> Json:
    state = state_for(call, api)
    if state.get("type") == _CUSTOM:
        custom = {"name": call.name, "input": call.arguments}
        return {"id": call.id, "custom": custom} | state
    function = {"name": call.name, "arguments": arguments_text(call)}
    return {"id": call.id, "type": "function", "function": function} | state
