from abc import ABC, abstractmethod
from typing import Any

from bruno_core.models.message import Message

class LLMInterface(ABC):
    @abstractmethod
    async def generate(
        self,
        messages: list[Message],
        temperature: float | None = None,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> str: ...
    # declared as a coroutine of an iterator, and used as an iterator: authors do either
    @abstractmethod
    def stream(
        self,
        messages: list[Message],
        temperature: float | None = None,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> Any: ...
    @abstractmethod
    def get_token_count(self, text: str) -> int: ...
    @abstractmethod
    async def check_connection(self) -> bool: ...
    @abstractmethod
    async def list_models(self) -> list[str]: ...
    @abstractmethod
    def get_model_info(self) -> dict[str, Any]: ...
    @abstractmethod
    def set_system_prompt(self, prompt: str) -> None: ...
    @abstractmethod
    def get_system_prompt(self) -> str | None: ...
