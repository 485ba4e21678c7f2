"""0.2.0's factories, deprecated: see `bruno_llm.LLMFactory`."""

from bruno_llm._old import old_names

_MOVED = {"LLMFactory": "bruno_llm.LLMFactory"}

__all__ = list(_MOVED)
__getattr__ = old_names(__name__, _MOVED)
