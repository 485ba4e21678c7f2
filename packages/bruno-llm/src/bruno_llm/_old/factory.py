"""`LLMFactory` with what 0.2.0's could do."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Never

import bruno_llm_base
from bruno_core.models.config import LLMConfig
from bruno_llm_base import BaseProvider, ConfigurationError
from bruno_llm_base.config import keywords_of
from bruno_llm_base.installed import canonical
from bruno_llm_base.values import shown

from bruno_llm._old import deprecated
from bruno_llm._old.environment import environment

__all__ = ["LLMFactory"]

_OLD = {
    "bruno_llm_ollama.provider.OllamaProvider": "bruno_llm._old.ollama",
    "bruno_llm_openai.provider.OpenAIProvider": "bruno_llm._old.openai",
}
"""The providers that 0.2.0 had, and where they understand its keywords."""


class LLMFactory(bruno_llm_base.LLMFactory):
    """Build providers by name, so that a program is free to change its model."""

    @classmethod
    def create(
        cls,
        name: str | None = None,
        config: LLMConfig | Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> BaseProvider:
        """Return a provider.

        Args:
            name: The provider: "openai", "claude", "gemini", "ollama" or any that is installed.
            config: Its keywords as a mapping, or bruno-core's `LLMConfig`.
            **keywords: Its keywords; they win over *config*. See `BaseProvider`.

        Raises:
            ProviderNotFoundError: It is not installed; the message says what to install.
            ConfigurationError: A keyword is unknown or its value wrong.
        """
        if name is None and "provider" in keywords:
            deprecated("LLMFactory.create(provider=...)", "LLMFactory.create(name, ...)")
            name = keywords.pop("provider")
        return super().create(name, config, **keywords)  # type: ignore[arg-type]  # it says so

    @classmethod
    def create_from_env(cls, provider: str, prefix: str | None = None) -> BaseProvider:
        """Return the provider that `<PREFIX>_<PROVIDER>_<FIELD>` describe; deprecated.

        Raises:
            ConfigurationError: None of them is set, or a value is wrong.
        """
        deprecated("LLMFactory.create_from_env()", "LLMFactory.from_env()")
        start = f"{prefix or 'BRUNO_LLM'}_{canonical(provider).upper()}_"
        kind = cls._kind_of(provider)
        found = environment(start, keywords_of(kind) | set(getattr(kind, "renamed", ())))
        if not found:
            raise ConfigurationError(f"no environment variable begins with {start}")
        return cls.create(provider, found)

    @classmethod
    async def create_with_fallback(
        cls, providers: Sequence[str], configs: Sequence[Mapping[str, Any]] | None = None
    ) -> BaseProvider:
        """Return the first of several providers that is healthy; deprecated.

        Raises:
            ConfigurationError: None can be built, or there are more or fewer *configs*.
            AllProvidersFailedError: None can be used.
        """
        deprecated("LLMFactory.create_with_fallback()", "LLMFactory.select(), or .fallback()")
        if configs and len(configs) != len(providers):
            raise ConfigurationError(
                f"configs are {len(configs)}, providers {len(providers)}: give one for each"
            )
        given = configs or [{} for _ in providers]
        return await cls.select(
            [
                dict(config) | {"provider": name}
                for name, config in zip(providers, given, strict=True)
            ]
        )

    @classmethod
    def list_providers(cls) -> list[str]:
        """Return the names of the installed providers; deprecated."""
        deprecated("LLMFactory.list_providers()", "LLMFactory.providers()")
        return [info.name for info in cls.providers() if info.error is None]

    @classmethod
    def is_registered(cls, provider: str) -> bool:
        """Return whether *provider* is installed; deprecated."""
        deprecated("LLMFactory.is_registered()", "LLMFactory.providers()")
        return any(info.name == canonical(provider) for info in cls.providers() if not info.error)

    @classmethod
    def register(cls, name: str, provider_class: object) -> Never:  # noqa: ARG003 - as it was
        """Raise: who offers a provider says so in its distribution.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            f"LLMFactory.register() is gone: declare {shown(name)} as an entry point in the group"
            " 'bruno.llm_providers'"
        )

    @classmethod
    def _kind_of(cls, name: str) -> type[BaseProvider]:
        kind = super()._kind_of(name)
        home = _OLD.get(f"{kind.__module__}.{kind.__qualname__}")
        if home is None:
            return kind
        old: type[BaseProvider] = getattr(import_module(home), kind.__name__)
        return old
