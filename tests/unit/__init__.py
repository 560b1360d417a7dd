"""Unit tests: pure, without input and output, in milliseconds; one file for each source module."""
