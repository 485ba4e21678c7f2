"""0.2.0's words for OpenAI."""

from collections.abc import Mapping
from typing import Any, ClassVar

import bruno_llm_openai
from bruno_llm_base import ConfigurationError
from pydantic import BaseModel, ConfigDict, SecretStr

from bruno_llm._old import deprecated
from bruno_llm._old.embeddings import OldEmbeddings
from bruno_llm._old.provider import OldProvider, renewed

__all__ = [
    "OpenAIConfig",
    "OpenAIEmbeddingConfig",
    "OpenAIEmbeddingProvider",
    "OpenAIProvider",
]


class OpenAIProvider(OldProvider, bruno_llm_openai.OpenAIProvider):
    """`bruno_llm_openai.OpenAIProvider` that also understands 0.2.0's keywords."""

    renamed: ClassVar[Mapping[str, str]] = {
        "frequency_penalty": "options.frequency_penalty",
        "presence_penalty": "options.presence_penalty",
    }

    def __init__(
        self,
        api_key: str | SecretStr | None = None,
        model: str | None = None,
        organization: str | None = None,
        timeout: float | None = None,
        track_cost: object = None,
        **keywords: Any,
    ) -> None:
        _refuse_organization(organization)
        if track_cost is not None:
            deprecated("the keyword track_cost", "cost=bruno_llm_base.CostTracker()")
        new = renewed(keywords, self.renamed)
        super().__init__(model, api_key=api_key, timeout=timeout, **new)


class OpenAIEmbeddingProvider(OldEmbeddings, bruno_llm_openai.OpenAIEmbeddings):
    """`bruno_llm_openai.OpenAIEmbeddings` with 0.2.0's order of arguments, and its variables.

    The default model stays 0.2.0's: vectors of two models cannot be compared, and those that are
    stored are of that one.
    """

    default_model = "text-embedding-ada-002"
    variables: ClassVar[Mapping[str, str]] = {
        "model": "OPENAI_EMBEDDING_MODEL",
        "dimensions": "OPENAI_EMBEDDING_DIMENSIONS",
        "timeout": "EMBEDDING_TIMEOUT",
        "batch_size": "EMBEDDING_BATCH_SIZE",
    }

    def __init__(  # noqa: PLR0917 - as it was
        self,
        api_key: str | SecretStr | None = None,
        model: str | None = None,
        organization: str | None = None,
        dimensions: int | None = None,
        batch_size: int | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        **keywords: Any,
    ) -> None:
        _refuse_organization(organization)
        super().__init__(
            model,
            api_key=api_key,
            dimensions=dimensions,
            batch_size=batch_size,
            timeout=timeout,
            max_retries=max_retries,
            **keywords,
        )


def _refuse_organization(organization: str | None) -> None:
    if organization is not None:
        raise ConfigurationError(
            "organization is no keyword any more: set OPENAI_ORG_ID, or give"
            " client=openai.AsyncOpenAI(organization=...)"
        )


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


class OpenAIEmbeddingConfig(BaseModel):
    """0.2.0's keywords of embeddings as an object."""

    model_config = ConfigDict(frozen=True)

    api_key: SecretStr | None = None
    model: str | None = None
    organization: str | None = None
    base_url: str | None = None
    dimensions: int | None = None
    batch_size: int | None = None
    timeout: float | None = None
    max_retries: int | None = None
