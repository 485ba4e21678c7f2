"""All of bruno-llm under one name: `from bruno_llm import LLMFactory, OllamaProvider`.

A provider is imported when its name is first used, so those that are not used cost nothing.
"""
