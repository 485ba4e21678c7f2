"""Anthropic's Claude, and every server that speaks its Messages API, for bruno."""

from bruno_llm_claude.provider import ClaudeProvider

__all__ = ["ClaudeProvider"]
