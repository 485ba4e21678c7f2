"""The behaviour that all providers share, as tests: subclass one, and name its parts."""
