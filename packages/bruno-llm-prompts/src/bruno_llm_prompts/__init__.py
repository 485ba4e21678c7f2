"""Prompts as templates, from text or files, and examples that are chosen by similarity."""

from bruno_llm_prompts.examples import Examples
from bruno_llm_prompts.prompt import Prompt

__all__ = ["Examples", "Prompt"]
