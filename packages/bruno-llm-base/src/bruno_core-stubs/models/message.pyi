from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

class MessageRole(str, Enum):  # noqa: UP042 - as it is
    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    FUNCTION = "function"
    TOOL = "tool"

class MessageType(str, Enum):  # noqa: UP042 - as it is
    TEXT = "text"
    AUDIO = "audio"
    IMAGE = "image"
    FILE = "file"
    COMMAND = "command"
    ACTION = "action"

class Message(BaseModel):
    id: UUID = ...
    role: MessageRole
    content: str
    message_type: MessageType = ...
    timestamp: datetime = ...
    metadata: dict[str, Any] = ...
    parent_id: UUID | None = ...
    conversation_id: str | None = ...

    def to_llm_format(self) -> dict[str, str]: ...
    def add_metadata(self, key: str, value: Any) -> None: ...
    def get_metadata(self, key: str, default: Any = None) -> Any: ...
