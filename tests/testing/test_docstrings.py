"""The examples in the docstrings of `agnt5.testing` are programs, and give what they say."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("module", ["harness", "crash"])
def test_examples_in_docstrings_run(module: str) -> None:
    """Whoever reads one in an editor can paste it."""
    ran = doctest.testmod(import_module(f"agnt5.testing.{module}"))

    assert ran.attempted > 0
    assert ran.failed == 0
