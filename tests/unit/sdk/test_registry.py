"""A name stands for one piece of code: the same again is fine, another is a mistake that names both places."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agnt5 import InvalidInput, UnknownComponent, durable, function, workflow
from agnt5.sdk.registry import REGISTRY, Registry


def test_two_components_under_one_name_are_a_mistake():
    """The error names both, with file and line, and how to give one another name."""

    @function(name="charge")
    async def first() -> None: ...

    with pytest.raises(InvalidInput) as caught:

        @function(name="charge")
        async def second() -> None: ...

    said = caught.value.what
    assert "first" in said
    assert "second" in said
    assert said.count(f"{Path(__file__).name}:") == 2
    assert 'name="charge_2"' in caught.value.fix
    assert REGISTRY.get("charge").fn.__name__ == "first", "the first keeps its name"


def make(answer: int) -> Any:
    @function(name="same")
    def same() -> int:
        return answer

    return same


def test_the_same_code_again_replaces_itself():
    """A component inside a function that is called twice, or a module that is imported twice."""
    make(1)

    second = make(2)

    assert REGISTRY.get("same") is second


def test_kinds_share_their_names():
    """A workflow can't have the name of a function: runs find their component by it."""

    @function(name="shared")
    async def one() -> None: ...

    with pytest.raises(InvalidInput, match="two components"):

        @workflow(name="shared")
        async def two() -> None: ...


def typed_in(source: str) -> Callable[..., Any]:
    """A function as a prompt or a notebook cell makes it."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "<stdin>", "exec"), namespace)
    found: Callable[..., Any] = namespace["typed"]
    return found


def test_what_is_typed_in_again_is_changed():
    """In a notebook a cell that is run again means the new version."""
    function(typed_in("def typed(): return 1"))

    changed = function(typed_in("def typed(): return 2"))

    assert REGISTRY.get("typed") is changed


def test_an_unknown_name_lists_the_known_ones():
    """The commonest mistake is a module that nobody imported."""

    @function(name="known")
    async def known() -> None: ...

    with pytest.raises(UnknownComponent) as caught:
        REGISTRY.get("unknown")
    assert "known" in caught.value.why
    assert "import" in caught.value.fix


def test_listeners_hear_of_what_comes_later():
    """A worker that is up already offers what is defined while it runs."""
    registry = Registry()
    heard: list[Any] = []
    first, second, third = (_component(f"c{number}") for number in range(3))
    registry.add(first)

    known = registry.listen(heard.append)
    registry.add(second)
    registry.unlisten(heard.append)
    registry.unlisten(heard.append)
    registry.add(third)

    assert (known, heard) == ([first], [second])
    assert registry.all() == [first, second, third]


def _component(name: str) -> Any:
    with REGISTRY.isolated():
        return function(name=name)(lambda: None)


def test_isolation_forgets():
    """What a test defines is gone after it."""
    with REGISTRY.isolated():

        @durable.flow
        async def passing() -> None: ...

        assert REGISTRY.get("passing") is passing

    with pytest.raises(UnknownComponent):
        REGISTRY.get("passing")
