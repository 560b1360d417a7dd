"""What happened in a run, entry by entry."""
