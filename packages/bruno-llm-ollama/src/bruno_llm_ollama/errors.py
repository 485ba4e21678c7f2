"""Ollama's errors (https://docs.ollama.com/api/errors): a status and one sentence, no code.

The sentence may be llama-server's whole error document, which Ollama passes on as text.
"""

import re
from dataclasses import replace

from bruno_llm_base import ErrorFacts, Json, ModelNotFoundError
from bruno_llm_base.error_mapping import read_error_document

__all__ = ["read"]

_NO_SUCH = re.compile(r"pull model manifest: .*(file does not exist|not found)")


def read(status: int, data: Json) -> ErrorFacts:
    """Read an error document, or the error inside a stream."""
    facts = read_error_document(status, data)
    return replace(facts, kind=ModelNotFoundError) if _NO_SUCH.search(facts.message) else facts
