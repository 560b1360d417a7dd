"""Unit tests of core.protocol: pure, without input and output, in milliseconds."""
