"""What an answer took, estimated where the server did not count it."""

from dataclasses import replace

from bruno_llm_base.exchange import Request
from bruno_llm_base.tokens import estimate_tokens
from bruno_llm_base.types import ModelResponse

__all__ = ["fill_in"]


def fill_in(response: ModelResponse, request: Request) -> None:
    """Estimate what the server did not say of the usage, and flag it.

    A count of 0 says nothing where something was read or written: some servers count nothing, and
    say 0 for that.

    Args:
        response: The answer, or what arrived of it.
        request: What was asked.
    """
    usage = response.usage
    if not request.is_billed or (usage.input_tokens and usage.output_tokens):
        return
    counted = replace(
        usage,
        input_tokens=usage.input_tokens or request.estimated_input,
        output_tokens=usage.output_tokens or _written(response),
    )
    if counted != usage:
        response.usage, response.usage_estimated = counted, True


def _written(response: ModelResponse) -> int:
    """Return about how many tokens of an answer have arrived."""
    calls = (text for call in response.tool_calls for text in (call.name or "", call.arguments))
    return sum(map(estimate_tokens, (response.text, response.reasoning, *calls)))
