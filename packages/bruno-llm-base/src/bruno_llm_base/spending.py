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

    async def reserve(self, request: Request, tell: Tell) -> None:
        """Reserve the most that the next attempt can cost.

        Raises:
            BudgetExceededError: The budget has less left.
            ConfigurationError: Nobody knows how much that is.
        """
        pipeline = self._pipeline
        if pipeline.account is not None and request.is_billed:
            self._charge = await pipeline.account.open(
                model=request.model or "",
                most_input=lambda: request.most_input,
                most_output=pipeline.most_output(request.body or {}),
                labels=request.labels or pipeline.account.tracker.labels(),
                unlisted=request.unlisted,
                tell=tell,
            )

    def settle(self, response: ModelResponse | None) -> "Charge | None":
        """Book what the attempt has cost: *response*, or what arrived of it; None for nothing.

        Returns:
            The attempt's account, if its being written is to be waited for.
        """
        charge, self._charge = self._charge, None
        if charge is None:
            return None
        if response is None:
            charge.cancel()
        else:
            charge.settle(response)
        return charge if charge.is_writing else None
