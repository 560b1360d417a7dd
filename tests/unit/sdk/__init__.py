"""Unit tests of sdk: pure, without input and output, in milliseconds."""
