"""0.2.0's words for OpenAI."""

from typing import Any

import bruno_llm_openai
from bruno_llm_base import ConfigurationError
from pydantic import BaseModel, ConfigDict, SecretStr

from bruno_llm._old import deprecated
from bruno_llm._old.provider import OldProvider, renewed

__all__ = ["OpenAIConfig", "OpenAIProvider"]


_RENAMED = {
    "frequency_penalty": "options.frequency_penalty",
    "presence_penalty": "options.presence_penalty",
}


class OpenAIProvider(OldProvider, bruno_llm_openai.OpenAIProvider):
    """`bruno_llm_openai.OpenAIProvider` that also understands 0.2.0's keywords."""

    def __init__(
        self,
        api_key: str | SecretStr | None = None,
        model: str | None = None,
        organization: str | None = None,
        timeout: float | None = None,
        track_cost: object = None,
        **keywords: Any,
    ) -> None:
        if organization is not None:
            raise ConfigurationError(
                "OpenAIProvider takes no organization any more: set OPENAI_ORG_ID, or give"
                " client=openai.AsyncOpenAI(organization=...)"
            )
        if track_cost is not None:
            deprecated("the keyword track_cost", "cost=bruno_llm_base.CostTracker()")
        new = renewed(keywords, _RENAMED)
        super().__init__(model, api_key=api_key, timeout=timeout, **new)


class OpenAIConfig(BaseModel):
    """0.2.0's keywords as an object, for `OpenAIProvider(**config.model_dump())`.

    What is not set is None, and means what it means to the provider.
    """

    model_config = ConfigDict(frozen=True)

    api_key: SecretStr | None = None
    model: str | None = None
    organization: str | None = None
    base_url: str | None = None
    timeout: float | None = None
    max_retries: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: list[str] | None = None
