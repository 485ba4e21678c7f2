from typing import Any

from bruno_core.interfaces.embedding import EmbeddingInterface as EmbeddingInterface
from bruno_core.interfaces.llm import LLMInterface as LLMInterface

def __getattr__(name: str) -> Any: ...
