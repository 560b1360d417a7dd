"""Unit tests of core.journal: pure, without input and output, in milliseconds."""
