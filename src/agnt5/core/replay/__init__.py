"""The worker's decisions."""
