"""0.2.0's words for Ollama."""

from typing import Any

import bruno_llm_ollama
from pydantic import BaseModel, ConfigDict

from bruno_llm._old.provider import OldProvider, renewed

__all__ = ["OllamaConfig", "OllamaProvider"]


class OllamaProvider(OldProvider, bruno_llm_ollama.OllamaProvider):
    """`bruno_llm_ollama.OllamaProvider` that also understands 0.2.0's keywords."""

    def __init__(
        self,
        base_url: str | None = None,
        model: str | None = None,
        timeout: float | None = None,
        **keywords: Any,
    ) -> None:
        new = renewed(keywords, {"num_predict": "max_tokens", "top_k": "options.top_k"})
        super().__init__(model, base_url=base_url, timeout=timeout, **new)


class OllamaConfig(BaseModel):
    """0.2.0's keywords as an object, for `OllamaProvider(**config.model_dump())`.

    What is not set is None, and means what it means to the provider.
    """

    model_config = ConfigDict(frozen=True)

    base_url: str | None = None
    model: str | None = None
    timeout: float | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    num_predict: int | None = None
    stop: list[str] | None = None
