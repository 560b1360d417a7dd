"""How fast agnt5 is, beside its peers and beside what the disk allows: `python -m benchmarks`."""
