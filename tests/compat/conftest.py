"""Run by `.ci/compat.py`, where 0.2.0 was upgraded and bruno-memory and bruno-abilities are installed."""

import warnings

import pytest
import structlog

with warnings.catch_warnings():  # theirs, and ours about what they use
    warnings.simplefilter("ignore")
    import bruno_abilities.abilities
    import bruno_memory.managers

__all__ = ["bruno_abilities", "bruno_memory"]


@pytest.fixture(autouse=True)
def _quiet():
    """bruno-core logs to stdout unless told otherwise, and so does bruno-abilities."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()
