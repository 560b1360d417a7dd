"""The end of a body: what is left in it is closed, quietly, and nothing stays behind."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from agnt5.core.replay.closing import CLOSING_MAX, Evicted
from agnt5.core.replay.loop import ReplayLoop

from .journals import START_US, drive


@pytest.fixture
def loop() -> ReplayLoop:
    """A loop that is to be closed."""
    return ReplayLoop(START_US, 12345, lambda context: None)  # type: ignore[abstract]  # Set one by one.


def test_closing_refuses_what_comes_after(loop: ReplayLoop) -> None:
    """Tasks and timers can't be made any more; callbacks are dropped."""
    order: list[int] = []
    loop.close()
    late = asyncio.sleep(0)

    with pytest.raises(Evicted):
        loop.call_later(1, print)
    with pytest.raises(Evicted):
        loop.create_task(late)
    loop.call_soon(order.append, 1)
    loop.run_until_idle()

    assert order == []
    assert loop.is_closed()


def test_closing_ends_children_before_parents(loop: ReplayLoop) -> None:
    """The task that was made last is closed first, and its frames are gone."""
    order: list[str] = []

    async def child(n: int) -> None:
        try:
            await loop.create_future()
        finally:
            order.append(f"child{n}")

    async def parent() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for n in range(3):
                    group.create_task(child(n))
        finally:
            order.append("parent")

    drive(loop, parent)
    loop.close()

    assert order == ["child2", "child1", "child0", "parent"]


def test_closing_gives_up_on_a_body_that_never_ends(loop: ReplayLoop) -> None:
    """A body that catches everything and waits again is asked so many times, and no more."""
    caught: list[type[BaseException]] = []

    async def stay() -> None:
        while len(caught) < 10 * CLOSING_MAX:
            try:
                await loop.create_future()
            except BaseException as error:  # As hard as a body can try to stay.
                caught.append(type(error))

    task = drive(loop, stay)
    loop.close()
    seen = len(caught)
    coro: Any = task.get_coro()
    caught.extend([Evicted] * 10 * CLOSING_MAX)
    with suppress(StopIteration):
        coro.throw(Evicted())

    assert seen == CLOSING_MAX


def test_a_dropped_generator_is_closed_by_a_task(loop: ReplayLoop) -> None:
    """As on any loop: what it does in its `finally` is done with the next turn."""
    order: list[str] = []

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            order.append("closed")

    async def body() -> None:
        async for _ in items():
            break
        order.append("dropped")

    drive(loop, body)

    assert order == ["dropped", "closed"]


def test_a_generator_that_the_collector_finds_is_kept_until_the_end(loop: ReplayLoop) -> None:
    """When the collector runs differs from life to life, so nothing may follow from it."""
    order: list[str] = []

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            order.append("closed")
            await asyncio.sleep(0)
            order.append("went on")

    async def body() -> None:
        source = items()
        await anext(source)
        cycle: list[Any] = [source]
        cycle.append(cycle)
        del source, cycle
        gc.collect()
        await asyncio.sleep(0)

    drive(loop, body)
    gc.collect()
    before = list(order)
    loop.close()

    assert before == []
    assert order == ["closed"]


def test_a_closed_loop_leaves_nothing_to_the_collector() -> None:
    """Neither tasks nor futures nor the loop are held by a cycle."""
    loop = ReplayLoop(START_US, 1, lambda context: None)  # type: ignore[abstract]  # Set one by one.

    async def body() -> None:
        await asyncio.gather(*(asyncio.sleep(9) for _ in range(3)))

    task = weakref.ref(drive(loop, body))
    loop.close()
    gone = weakref.ref(loop)
    gc.disable()
    try:
        del loop

        assert task() is None
        assert gone() is None
    finally:
        gc.enable()
