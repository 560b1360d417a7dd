"""The nouns every other part shares."""
