"""A run that is dropped from memory goes quietly: nothing happens, nothing is said, nothing is left."""

import asyncio
import contextlib
import gc
import logging
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from agnt5 import FunctionContext, RetryAfter, WorkflowContext, workflow
from agnt5.core.journal.entry import Ended, Outcome, Signal

from .parts import work
from .recording import EVICT_ALWAYS, Stage, stage

LOGGER = logging.getLogger("agnt5")
NOTES: list[tuple[str, int]] = []
MARKS: list[weakref.ref[Any]] = []


class Mark:
    """Something that a body holds."""


def note(what: str) -> None:
    """Remember that a body's own code was reached, and on which thread."""
    NOTES.append((what, threading.get_ident()))


@pytest.fixture(autouse=True)
def clean_notes() -> None:
    """Each test has notes of its own."""
    NOTES.clear()
    MARKS.clear()


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What was raised where nobody could take it; must stay empty."""
    found: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: found.append((told.exc_type, told.exc_value, told.object)))
    yield found
    gc.collect()
    assert found == []


async def clear_up(ctx: WorkflowContext, what: str) -> None:
    """What a careful body does in a `finally`: it asks for things, waits, logs, and may catch what it gets."""
    note(what)
    ctx.logger.error("clearing up %s", what)
    try:
        await ctx.step(work, f"undo-{what}", 0)
        note(f"{what} went on")
    finally:
        try:
            await ctx.sleep(0.001)
        finally:
            await asyncio.sleep(0)
            note(f"{what} slept")


async def hold(ctx: WorkflowContext, what: str) -> None:
    """Wait for a signal, and clear up behind it."""
    mark = Mark()
    MARKS.append(weakref.ref(mark))
    try:
        await ctx.wait_for_signal("go")
    finally:
        await clear_up(ctx, what)


async def in_task_group(ctx: WorkflowContext) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for n in range(3):
                group.create_task(hold(ctx, f"child{n}"))
    finally:
        await clear_up(ctx, "parent")


async def in_gather(ctx: WorkflowContext) -> None:
    try:
        await asyncio.gather(*(hold(ctx, f"child{n}") for n in range(3)))
    finally:
        await clear_up(ctx, "parent")


async def in_timeout(ctx: WorkflowContext) -> None:
    try:
        async with asyncio.timeout(60), asyncio.timeout(50):
            await hold(ctx, "child0")
        await asyncio.wait_for(hold(ctx, "child1"), 60)
        await asyncio.shield(asyncio.create_task(hold(ctx, "child2")))
    finally:
        await clear_up(ctx, "parent")


async def in_exit_stack(ctx: WorkflowContext) -> None:
    @contextlib.asynccontextmanager
    async def room(n: int) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await clear_up(ctx, f"child{n}")

    try:
        async with contextlib.AsyncExitStack() as stack:
            for n in range(3):
                await stack.enter_async_context(room(n))
            stack.push_async_callback(clear_up, ctx, "child3")
            for _ in range(3):
                await ctx.wait_for_signal("go")
    finally:
        await clear_up(ctx, "parent")


async def in_anyio_scopes(ctx: WorkflowContext) -> None:
    try:
        with anyio.move_on_after(60), anyio.CancelScope(shield=True), anyio.fail_after(70):
            async with anyio.create_task_group() as group:
                for n in range(3):
                    group.start_soon(hold, ctx, f"child{n}")
    finally:
        with anyio.CancelScope(shield=True):
            await clear_up(ctx, "parent")


async def in_async_generators(ctx: WorkflowContext) -> None:
    async def items(n: int, first: bool) -> AsyncIterator[int]:
        try:
            if first:
                await hold(ctx, f"child{n}.0")
            yield 0
            await hold(ctx, f"child{n}.1")
            yield 1
        finally:
            await clear_up(ctx, f"generator{n}")

    async def consume(n: int) -> None:
        async for _ in items(n, n == 0):
            if n == 1:
                await hold(ctx, f"child{n}.2")
                return

    held = items(7, False)
    await anext(held)
    try:
        await asyncio.gather(*(consume(n) for n in range(2)), ctx.wait_for_signal("go"))
    finally:
        await clear_up(ctx, "parent")
        await held.aclose()  # type: ignore[attr-defined]  # A generator, as its function shows.


async def in_stubborn_loop(ctx: WorkflowContext) -> None:
    try:
        for _ in range(3):
            try:
                await ctx.wait_for_signal("go")
            except BaseException as error:  # As hard as a body can try to stay.
                note(f"child caught {type(error).__name__}")
                with contextlib.suppress(BaseException):
                    await ctx.step(work, "stay", 0)
                raise
    finally:
        await clear_up(ctx, "parent")


async def in_locks(ctx: WorkflowContext) -> None:
    lock, gate, changed = asyncio.Lock(), asyncio.Semaphore(1), asyncio.Condition()

    async def enter(n: int) -> None:
        async with gate, lock:
            await hold(ctx, f"child{n}")

    async def wait() -> None:
        async with changed:
            await changed.wait()

    waiter = asyncio.create_task(wait())
    try:
        await asyncio.gather(*(enter(n) for n in range(3)))
    finally:
        waiter.cancel()
        await clear_up(ctx, "parent")


BODIES = [value for name, value in list(globals().items()) if name.startswith("in_")]


async def suspended(on: Stage, handle: Any) -> None:
    """Wait until the run waits, and nobody has it in memory."""
    await on.wait_status(handle, "suspended")

    async def is_closed() -> bool:
        return any(what == "parent" for what, _ in NOTES)

    await on.wait_until(is_closed)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
async def test_an_evicted_body_is_closed_quietly(
    body: Any, unraisable: list[Any], caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    """Its `finally` blocks run at once and on its thread, children first; what they ask for is refused."""
    component = workflow(body)
    gc.collect()
    async with stage(EVICT_ALWAYS) as on:
        handle = await component.submit()

        await suspended(on, handle)
        closed, logged, journal = list(NOTES), list(caplog.records), await on.journal(handle.id)

    reached = [what for what, _ in closed]
    assert reached.index("parent") > max(place for place, what in enumerate(reached) if what.startswith("child"))
    assert not any("went on" in what or "slept" in what for what in reached)
    assert {thread for _, thread in closed} == {threading.get_ident()}
    assert [record for record in logged if record.name.startswith(("agnt5.run", "asyncio"))] == []
    assert not any(isinstance(entry.body, Outcome) for entry in journal)
    assert unraisable == []
    assert [str(warning.message) for warning in recwarn.list] == []


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
async def test_an_evicted_body_goes_on_as_if_nothing_had_been(body: Any, unraisable: list[Any]) -> None:
    """Evicted at every wait, it does in the end what it would have done in memory, once."""
    component = workflow(body)
    journals = []

    for settings in (None, EVICT_ALWAYS):
        async with stage(settings) as on:
            handle = await component.submit()
            for _ in range(4):
                await on.wait_status(handle, "suspended", "completed")
                with contextlib.suppress(Exception):
                    await handle.signal("go")
            await handle.result()
            journals.append(await on.journal(handle.id))

    kept = [
        sorted(bytes(entry.body.args) for entry in journal if isinstance(entry.body, Outcome)) for journal in journals
    ]
    assert kept[0] == kept[1]
    assert all(isinstance(journal[-1].body, Ended) for journal in journals)
    assert any(isinstance(entry.body, Signal) for entry in journals[1])


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
async def test_an_evicted_body_leaves_nothing_in_memory(body: Any, unraisable: list[Any]) -> None:
    """Its frames, tasks and loop are gone."""
    component = workflow(body)
    gc.collect()
    before = _replay_loops()
    async with stage(EVICT_ALWAYS) as on:
        handle = await component.submit()
        await suspended(on, handle)

        gc.collect()

        assert [mark for mark in MARKS if mark() is not None] == []
        assert _replay_loops() == before
        assert len(asyncio.all_tasks()) == 1


def _replay_loops() -> int:
    return sum(type(each).__name__ == "ReplayLoop" for each in gc.get_objects())


async def test_an_evicted_plain_body_leaves_nothing_to_the_collector(unraisable: list[Any]) -> None:
    """A body with tasks and timers goes without cycles: forgetting many costs no collection."""
    component = workflow(in_gather)
    gc.collect()
    before = _replay_loops()
    gc.disable()
    try:
        async with stage(EVICT_ALWAYS) as on:
            handle = await component.submit()
            await suspended(on, handle)

            assert [mark for mark in MARKS if mark() is not None] == []
            assert _replay_loops() == before
    finally:
        gc.enable()


async def test_operations_that_were_held_for_later_are_no_mistake(
    unraisable: list[Any], recwarn: pytest.WarningsRecorder
) -> None:
    """An operation that the body would have awaited after its wait is not reported as forgotten."""

    @workflow
    async def holding(ctx: WorkflowContext) -> list[str]:
        held = [ctx.step(work, f"s{n}", 0) for n in range(3)]
        try:
            await ctx.wait_for_signal("go")
        finally:
            note("parent")
        return await asyncio.gather(*held)

    async with stage(EVICT_ALWAYS) as on:
        handle = await holding.submit()
        await suspended(on, handle)
        await handle.signal("go")
        result = await handle.result()

    assert result == ["s0!", "s1!", "s2!"]
    assert [str(warning.message) for warning in recwarn.list] == []


async def test_a_run_is_not_dropped_while_it_begins_what_it_asked_for() -> None:
    """A step that waits for its next attempt makes no wait of a body that has another step to begin."""
    done: list[str] = []

    async def shaky(ctx: FunctionContext) -> str:
        if ctx.attempt == 1:
            raise RetryAfter(600)
        return "second"

    async def once(label: str) -> str:
        await asyncio.sleep(0.01)
        done.append(label)
        return label

    @workflow
    async def retrying(ctx: WorkflowContext) -> list[str]:
        first = asyncio.create_task(ctx.step(shaky))
        await ctx.wait_for_signal("go")
        return [await ctx.step(once, "a"), await ctx.step(once, "b"), await first]

    async with stage(EVICT_ALWAYS) as on:
        handle = await retrying.submit()
        await on.wait_entries(handle, 2)
        await on.wait_status(handle, "suspended")
        await handle.signal("go")

        async def are_done() -> bool:
            return len(await on.journal(handle.id)) == 5

        async with asyncio.timeout(5):
            await on.wait_until(are_done)
        status = await handle.status()

    assert done == ["a", "b"]
    assert status in ("running", "suspended")


async def test_an_eviction_writes_nothing() -> None:
    """Neither a changed place nor a piece of state that is passed in a `finally` comes into the journal."""

    @workflow
    async def writing(ctx: WorkflowContext) -> str:
        try:
            await ctx.wait_for_signal("go")
        finally:
            note("parent")
            try:
                ctx.patched("in-finally")
            finally:
                await ctx.state.set("left", True)
        return "done"

    async with stage(EVICT_ALWAYS) as on:
        handle = await writing.submit()
        await suspended(on, handle)
        await handle.explain()
        evicted = await on.journal(handle.id)
        await handle.signal("go")
        result = await handle.result()

    assert len(evicted) == 1
    assert result == "done"


async def test_a_detached_loop_closes_its_bodies_quietly(
    unraisable: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """When the runtime stops, bodies that wait in memory are closed as in an eviction."""
    for body in BODIES:
        component = workflow(body)
        NOTES.clear()
        async with stage() as on:
            handle = await component.submit()
            await on.wait_status(handle, "suspended")

        assert any(what == "parent" for what, _ in NOTES)
        assert not any("went on" in what for what, _ in NOTES)
    assert [record for record in caplog.records if record.name.startswith(("agnt5.run", "asyncio"))] == []
