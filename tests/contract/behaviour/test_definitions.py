"""Defining components: which names and settings there may be, and what is refused where it is written."""

import pytest

from agnt5 import InvalidInput, durable, function, workflow

from .world import World


async def test_the_same_definition_twice_is_allowed(world: World):
    """As a component inside a function that is called twice."""

    def make(offset: int):
        @function
        async def inner(n: int) -> int:
            return n + offset

        return inner

    assert await make(1)(1) == 2
    assert await make(2)(1) == 3


def test_two_components_under_one_name_are_refused():
    """The error names both places."""

    @function(name="twin")
    async def one() -> None: ...

    with pytest.raises(InvalidInput, match="twin") as refused:

        @workflow(name="twin")
        async def two() -> None: ...

    assert str(refused.value).count("test_definitions.py:") == 2


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", 3])
def test_a_name_that_cannot_be_one_is_refused(name: object):
    """Names stand in journals, in URLs and in errors."""
    with pytest.raises(InvalidInput):
        function(name=name)(lambda: None)


@pytest.mark.parametrize("settings", [{"retries": 0}, {"retries": True}, {"timeout": 0}, {"timeout": -1}])
def test_settings_out_of_range_are_refused(settings: dict):
    """Where they are written, not where they would matter."""
    with pytest.raises(InvalidInput):
        function(**settings)(lambda: None)


def test_a_workflow_is_an_async_function():
    """A plain one has no steps to await."""
    with pytest.raises(InvalidInput, match="async"):

        @workflow
        def flow() -> None: ...


@pytest.mark.parametrize("settings", [{"max_concurrent_steps": 0}, {"checkpoint_interval": 0}, {"max_retries": -1}])
def test_flow_settings_out_of_range_are_refused(settings: dict):
    """Likewise."""

    async def flow() -> None: ...

    with pytest.raises(InvalidInput):
        durable.flow(**settings)(flow)
