from typing import Any

from bruno_core.models.ability import AbilityRequest as AbilityRequest
from bruno_core.models.config import BrunoConfig as BrunoConfig
from bruno_core.models.config import LLMConfig as LLMConfig
from bruno_core.models.message import Message as Message
from bruno_core.models.message import MessageRole as MessageRole
from bruno_core.models.message import MessageType as MessageType

def __getattr__(name: str) -> Any: ...
