"""Nothing that follows from an outcome happens before that is committed: the body itself goes on only then."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from agnt5 import WorkflowContext, workflow
from agnt5.core.journal.entry import Ended, Outcome
from agnt5.store.memory import MemoryStore
from agnt5.store.port import Batch

from .world import PATIENCE_SECONDS, Memory, World, until

TURNS = 50  # Of the loop, in which what must not happen would have happened.


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    """Where the runs of the test are, with its commits open to view."""
    medium = Memory()
    made = World(medium)
    await made.start()
    yield medium.rows
    await made.stop()


def bodies_of(batch: Batch) -> list[type]:
    """What sorts of entries a commit writes."""
    return [type(entry.body) for _, entry in batch.entries]


async def test_a_body_goes_on_only_when_the_outcome_is_committed(store: MemoryStore):
    """Whatever it does next, a step or its own end, a kill can't make it forget what it went by."""
    may_commit = threading.Event()
    held = threading.Event()
    seen: list[str] = []

    def hold(batch: Batch) -> None:
        if Outcome in bodies_of(batch):
            held.set()
            assert may_commit.wait(PATIENCE_SECONDS)

    async def first() -> str:
        return "first"

    async def second() -> str:
        seen.append("second began")
        return "second"

    @workflow
    async def two(ctx: WorkflowContext) -> str:
        await ctx.step(first)
        seen.append("the body went on")
        return await ctx.step(second)

    store.before_commit = hold
    run = asyncio.ensure_future(two())
    await until(held.is_set)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert seen == []
    assert not run.done()

    may_commit.set()
    assert await run == "second"
    assert seen == ["the body went on", "second began"]


@pytest.mark.parametrize(("what", "times"), [(Outcome, 2), (Ended, 1)], ids=["a step", "an end"])
async def test_what_is_refused_its_commit_has_not_happened(store: MemoryStore, what: type, times: int):
    """Where the commit of a step is thrown away, the step runs again; where that of the end is, only that is."""
    ran: list[int] = []
    refused: list[Batch] = []

    def refuse_once(batch: Batch) -> None:
        if what in bodies_of(batch) and not refused:
            refused.append(batch)
            raise RuntimeError("planted: the batch is not written")

    async def work() -> int:
        ran.append(len(ran))
        return len(ran)

    @workflow
    async def one(ctx: WorkflowContext) -> int:
        return await ctx.step(work)

    store.before_commit = refuse_once

    assert await one() == times
    assert len(ran) == times
    assert len(refused) == 1


async def test_signals_that_come_in_between_change_nothing(world: World):
    """Whatever becomes the next entry, a step that is done isn't done again, and the journal's order is the body's."""
    ran: Counter[str] = Counter()
    ends: dict[str, asyncio.Event] = {}

    async def work(name: str) -> str:
        ran[name] += 1
        ends[name.partition(".")[0]].set()
        return name

    @workflow
    async def busy(ctx: WorkflowContext, name: str) -> list[str]:
        done = [await ctx.step(work, f"{name}.{n}") for n in range(5)]
        return [*done, await ctx.wait_for_signal("s"), await ctx.wait_for_signal("s")]

    async def play(name: str) -> list[str]:
        ends[name] = asyncio.Event()
        handle = await busy.submit(name)
        for n in range(2):
            await ends[name].wait()
            ends[name].clear()
            await handle.signal("s", f"signal {n}")
        return await handle.result(timeout=PATIENCE_SECONDS)

    names = [f"r{n}" for n in range(40)]
    results = await asyncio.gather(*map(play, names))

    assert results == [[*(f"{name}.{n}" for n in range(5)), "signal 0", "signal 1"] for name in names]
    assert set(ran.values()) == {1}
