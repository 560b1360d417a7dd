"""Unit tests of core.model: pure, without input and output, in milliseconds."""
