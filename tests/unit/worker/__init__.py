"""Unit tests of worker: pure, without input and output, in milliseconds."""
