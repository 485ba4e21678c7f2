"""Choose among providers before the first request."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

from bruno_core.interfaces import LLMInterface

from bruno_llm_base.events import ProviderPassedOver
from bruno_llm_base.exceptions import AllProvidersFailedError, ConfigurationError, LLMError
from bruno_llm_base.log import log_event
from bruno_llm_base.wrappers.bare import in_full


class Candidate(NamedTuple):
    """A provider that may be chosen.

    Attributes:
        label: What it is called in errors.
        llm: The provider, or why it cannot be built.
        ours: Whether it was built to be chosen, and is to be closed if it is not.
    """

    label: str
    llm: LLMInterface | ConfigurationError
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
            checks = [group.create_task(_error_of(candidate.llm)) for candidate in candidates]
            for candidate, check in zip(candidates, checks, strict=True):
                if (error := await check) is not None:
                    errors.append(error)
                elif isinstance(candidate.llm, LLMInterface):
                    chosen = candidate.llm
                    break
            for check in checks:
                check.cancel()
    finally:
        async with AsyncExitStack() as stack:  # one that fails keeps no other from being closed
            for _, llm, is_ours in candidates:
                if is_ours and llm is not chosen and isinstance(llm, LLMInterface):
                    stack.push_async_callback(in_full(llm).aclose)
    passed_over = list(zip((candidate.label for candidate in candidates), errors, strict=False))
    if chosen is None:
        message = "; ".join(f"{label}: {error}" for label, error in passed_over)
        message = f"no provider can be used: {message}"
        if not any(isinstance(candidate.llm, LLMInterface) for candidate in candidates):
            raise ConfigurationError(message)
        raise AllProvidersFailedError(message, errors=errors)
    for label, error in passed_over:
        log_event(
            ProviderPassedOver(provider=label, model=error.model, operation="select", error=error)
        )
    return chosen


async def _error_of(llm: LLMInterface | ConfigurationError) -> LLMError | None:
    """Return why *llm* cannot be used."""
    if isinstance(llm, ConfigurationError):
        return llm
    diagnosis = await in_full(llm).diagnose()
    if diagnosis.ok:
        return None
    return diagnosis.error or LLMError(diagnosis.reason or "it cannot be used")
