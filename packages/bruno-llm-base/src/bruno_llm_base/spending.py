"""What a request costs: reserved before each attempt, settled after it, estimated where need be."""

from dataclasses import replace
from typing import TYPE_CHECKING

from bruno_llm_base.exchange import Request
from bruno_llm_base.observe import Tell
from bruno_llm_base.tokens import estimate_tokens
from bruno_llm_base.types import ModelResponse

if TYPE_CHECKING:
    from bruno_llm_base.cost.account import Charge
    from bruno_llm_base.pipeline import Pipeline

__all__ = ["Spending", "fill_in"]


def fill_in(response: ModelResponse, request: Request, *, unread: int = 0) -> None:
    """Estimate what the server did not say of the usage, and flag it.

    Args:
        response: The answer, or what arrived of it.
        request: What was asked.
        unread: Tokens of an answer that nobody has seen.
    """
    usage = response.usage
    if not request.is_billed or usage.total_tokens is not None:
        return
    read, written = usage.input_tokens, usage.output_tokens
    if read is None:
        read = request.estimated_input
    if written is None:
        texts = (response.text, response.reasoning, *(c.arguments for c in response.tool_calls))
        written = max(unread, sum(map(estimate_tokens, texts)))
    response.usage = replace(usage, input_tokens=read, output_tokens=written)
    response.usage_estimated = True


class Spending:
    """What the attempts of one request cost."""

    __slots__ = ("_charge", "_pipeline")

    def __init__(self, pipeline: "Pipeline") -> None:
        self._pipeline = pipeline
        self._charge: Charge | None = None

    async def prepare(self) -> None:
        """Load the prices, which may take a while the first time."""
        if self._pipeline.account is not None:
            await self._pipeline.account.ready()

    def reserve(self, request: Request, tell: Tell) -> None:
        """Reserve the most that the next attempt can cost.

        Raises:
            BudgetExceededError: The budget has less left.
            ConfigurationError: Nobody knows how much that is.
        """
        pipeline = self._pipeline
        if pipeline.account is not None and request.is_billed:
            self._charge = pipeline.account.open(
                model=request.model or "",
                most_input=lambda: request.most_input,
                most_output=pipeline.most_output(request.body or {}),
                labels=request.labels or pipeline.account.tracker.labels(),
                unlisted=request.unlisted,
                tell=tell,
            )

    def settle(self, response: ModelResponse | None) -> None:
        """Book what the attempt has cost: *response*, or what arrived of it; None for nothing."""
        charge, self._charge = self._charge, None
        if charge is None:
            return
        if response is None:
            charge.cancel()
        else:
            charge.settle(response)
