"""What the log says of a request: a row for the question and its answer."""

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from bruno_core.models import Message, MessageRole
from bruno_llm_base.messages import Conversation as Asked
from bruno_llm_base.messages import Messages, read_messages
from bruno_llm_base.parts import Json, Media
from bruno_llm_base.response import ModelResponse

from bruno_llm_cli.log_media import Attachment, put_away


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedResponse:
    """A question and its answer, as the table `responses` has them.

    Attributes:
        id: Their number.
        conversation_id: The conversation of which they are a part.
        created: When the answer had ended, in UTC, as ISO 8601.
        provider: Who was asked.
        model: The model that was asked.
        resolved_model: The model that answered, in the vendor's word.
        prompt: The question, in words.
        response: The answer, in words.
        finish_reason: Why it stopped; None where the user stopped it.
        options: The options of the request, as JSON.
        schema: The JSON schema of the answer.
        tools: The names of the tools that were offered, as JSON.
        tool_calls: What was called, as JSON.
        cached_tokens: How many of the input were read from the vendor's cache.
        cost: USD; None where it is unknown.
        duration: Seconds, over all attempts and rounds; None if the answer broke off.
        attachments: What went with the question, each by the SHA-256 of its content, or of its address.
    """

    id: int
    conversation_id: str
    created: str
    provider: str
    model: str
    resolved_model: str | None
    system: str | None
    prompt: str
    response: str
    reasoning: str | None
    finish_reason: str | None
    options: str | None
    schema: str | None
    tools: str | None
    tool_calls: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost: float | None
    duration: float | None
    attachments: tuple[str, ...]


COLUMNS = tuple(item.name for item in fields(LoggedResponse))[:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedConversation:
    """What was said, so that it can go on.

    Attributes:
        id: Its name in the log.
        name: How it began.
        provider: Who was asked last.
        model: The model that was asked last.
        system: What it began with, when it was asked last.
        messages: All of it, to be sent with the next question.
    """

    id: str
    name: str
    provider: str
    model: str
    system: str | None
    messages: tuple[Message, ...]


def row_of(messages: Messages, response: ModelResponse) -> tuple[Json, list[Attachment]]:
    """Return what the messages and the answer say of a row, and the media among the messages."""
    asked = read_messages(messages)
    said = [*asked, *(getattr(response, "messages", None) or [response.to_message()])]
    media: list[Attachment] = []
    written = [put_away(each, media) for each in said]
    users = [each.content for each in asked if each.role is MessageRole.USER]
    systems = [each.content for each in asked if each.role is MessageRole.SYSTEM]
    parts = [part for each in written for part in each.get("metadata", {}).get("parts", ())]
    calls = [
        {"name": part["name"], "arguments": part["arguments"]}
        for part in parts
        if part["type"] == "tool_call"
    ]
    usage, cost = response.usage, response.cost
    row = {
        "created": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "resolved_model": response.model,
        "system": "\n\n".join(systems) or None,
        "prompt": "\n\n".join(users),
        "response": response.text,
        "reasoning": response.reasoning or None,
        "finish_reason": response.finish_reason,
        "tool_calls": as_json(calls),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cache_read_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost": None if cost is None else float(cost.total),
        "duration": sum(each.duration for each in response.attempts) or None,
        "messages": json.dumps(written),
    }
    return row, media


def last_asked(conversation: Asked) -> list[Message]:
    """Return what was said since the model's last answer."""
    asked: list[Message] = []
    for turn in reversed(conversation.turns):
        if turn.role == "assistant":
            break
        if turn.role == "tool":
            asked[:0] = [result.to_message() for result in turn.tool_results]
        else:
            media = [part for part in turn.parts if isinstance(part, Media)]
            asked.insert(
                0,
                Message(
                    role=MessageRole.USER,
                    content=turn.text.strip() or "(media)",
                    metadata={"media": media} if media else {},
                ),
            )
    return asked


def as_json(value: object) -> str | None:
    """Return *value* as JSON, in which what is none is text; None where nothing is said."""
    return json.dumps(value, default=str) if value else None
