"""0.2.0's words for OpenAI, deprecated: see `bruno_llm_openai`."""

from bruno_llm._old import alias, old_names

_KEPT = {
    "OpenAIConfig": ("bruno_llm._old.openai.OpenAIConfig", "a dict"),
    "OpenAIProvider": ("bruno_llm._old.openai.OpenAIProvider", "bruno_llm_openai.OpenAIProvider"),
}

__all__ = list(_KEPT)
__getattr__ = old_names(__name__, {}, kept=_KEPT)
alias(__name__, "config", "embedding_provider", "provider")
