"""The pytest plugin: a fixture that gives each test a harness of its own, on or off the event loop.

It is loaded by pytest itself wherever agnt5 is installed, and does nothing until a test asks for
the fixture; what it needs is imported then.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # To be imported only by a test that uses it.
    from agnt5.testing.harness import Harness

MARKER = "agnt5"
OPTION = "agnt5_always_replay"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the configuration say that runs are always replayed."""
    said = "Forget the runs of a `harness` at every wait, and replay them from their journal."
    parser.addini(OPTION, said, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marker is for."""
    said = f"{MARKER}(always_replay=True, **options): how the `harness` of this test is made, see agnt5.testing.Harness"
    config.addinivalue_line("markers", said)


@pytest.fixture
def harness(request: pytest.FixtureRequest) -> "Iterator[Harness]":
    """A runtime in memory for this test alone, with a clock that the test turns.

    Calls of components go to it. What the test defines (`@workflow`, `@function`, services) is
    forgotten when it is over. Options come from `@pytest.mark.agnt5(...)`.
    """
    testing = import_module("agnt5.testing.isolation")
    marker = request.node.get_closest_marker(MARKER)
    options = {"always_replay": request.config.getini(OPTION), **(marker.kwargs if marker is not None else {})}
    with testing.isolated_harness(**options) as made:
        yield made
