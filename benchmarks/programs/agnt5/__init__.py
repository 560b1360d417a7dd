"""agnt5 embedded, on one SQLite file."""
