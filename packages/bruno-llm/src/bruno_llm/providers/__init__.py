"""0.2.0's providers, deprecated: they are in `bruno_llm` and in packages of their own."""
