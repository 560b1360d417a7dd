"""The limit: the same journal writes with group commit, and no engine."""
