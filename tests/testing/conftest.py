"""Gives the tests in here the workflows that they share, and the plugin's fixture, installed or not."""

import pytest

from agnt5.sdk.registry import REGISTRY
from agnt5.testing.plugin import harness

with REGISTRY.isolated():
    # Other tests define components of the same names; these are known in here alone.
    from . import example, planted, workflows

    MODULES = {example.NAME, planted.__name__, workflows.__name__}
    SHARED = [component for component in REGISTRY.all() if component.fn.__module__ in MODULES]

__all__ = ["harness"]


@pytest.fixture(autouse=True)
def shared_components(own_world: None) -> None:
    """The components of the modules that the tests share are known to each test."""
    for component in SHARED:
        REGISTRY.add(component)
