"""Choose among providers before the first request."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bruno_core.interfaces import LLMInterface

from bruno_llm_base.events import ProviderPassedOver
from bruno_llm_base.exceptions import AllProvidersFailedError, ConfigurationError, LLMError
from bruno_llm_base.log import log_event
from bruno_llm_base.wrappers.bare import in_full

__all__ = ["Candidate", "first_healthy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A provider that may be chosen.

    Attributes:
        label: What it is called in errors.
        llm: The provider; None if it cannot be built.
        error: Why it cannot be built.
        ours: Whether it was built to be chosen, and is to be closed if it is not.
    """

    label: str
    llm: LLMInterface | None = None
    error: ConfigurationError | None = None
    ours: bool = False


async def first_healthy(candidates: Sequence[Candidate]) -> LLMInterface:
    """Return the first of *candidates* that can be used; all are checked at once.

    Those that come after it are not waited for. Those before it are logged, with their errors.

    Raises:
        ConfigurationError: None can be built.
        AllProvidersFailedError: None can be used.
    """
    errors: list[LLMError] = []
    chosen: LLMInterface | None = None
    try:
        async with asyncio.TaskGroup() as group:
            checks = [group.create_task(_error_of(candidate)) for candidate in candidates]
            for candidate, check in zip(candidates, checks, strict=True):
                error = await check
                if error is None:
                    chosen = candidate.llm
                    break
                errors.append(error)
            for check in checks:
                check.cancel()
    finally:
        async with AsyncExitStack() as stack:  # one that fails keeps no other from being closed
            for candidate in candidates:
                if candidate.llm is not None and candidate.ours and candidate.llm is not chosen:
                    stack.push_async_callback(in_full(candidate.llm).aclose)
    if chosen is None:
        pairs = zip(candidates, errors, strict=True)
        reasons = "; ".join(f"{candidate.label}: {error}" for candidate, error in pairs)
        message = f"no provider can be used: {reasons}"
        if all(candidate.llm is None for candidate in candidates):
            raise ConfigurationError(message)
        raise AllProvidersFailedError(message, errors=errors)
    for candidate, error in zip(candidates, errors, strict=False):
        log_event(
            ProviderPassedOver(
                provider=candidate.label, model=error.model, operation="select", error=error
            )
        )
    return chosen


async def _error_of(candidate: Candidate) -> LLMError | None:
    """Return why *candidate* cannot be used."""
    if candidate.llm is None:
        return candidate.error
    diagnosis = await in_full(candidate.llm).diagnose()
    if diagnosis.ok:
        return None
    return diagnosis.error or LLMError(diagnosis.reason or "it cannot be used")
