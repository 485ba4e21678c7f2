"""Money: prices, the ledger, budgets and reports. Its modules are loaded when they are needed."""
