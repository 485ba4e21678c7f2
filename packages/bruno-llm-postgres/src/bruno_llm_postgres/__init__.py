"""Costs and budgets that many processes share, in PostgreSQL: `CostTracker("postgresql://...")`."""

from bruno_llm_postgres.store import ledger_store

__all__ = ["ledger_store"]
