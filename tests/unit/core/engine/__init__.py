"""Unit tests of core.engine: pure, without input and output, in milliseconds."""
