"""The `agnt5` command: one file per group of commands."""
