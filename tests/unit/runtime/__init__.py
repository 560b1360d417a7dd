"""Unit tests of runtime: pure, without input and output, in milliseconds."""
