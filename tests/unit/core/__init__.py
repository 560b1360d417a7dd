"""Unit tests of core: pure, without input and output, in milliseconds."""
