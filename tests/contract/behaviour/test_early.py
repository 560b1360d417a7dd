"""A body that waits for one outcome alone is shown it early; nothing that follows from it leaves before the commit."""

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


async def test_the_last_step_and_the_end_are_one_commit(store: MemoryStore):
    """A run of three steps is four commits: its start, two steps, and the third with the end."""
    commits: list[list[type]] = []
    store.after_commit = lambda batch: commits.append(bodies_of(batch))

    async def double(number: int) -> int:
        return 2 * number

    @workflow
    async def three(ctx: WorkflowContext, number: int) -> int:
        for _ in range(3):
            number = await ctx.step(double, number)
        return number

    assert await three(1) == 8

    written = [commit for commit in commits if commit]
    assert len(written) == 4
    assert written[1:] == [[Outcome], [Outcome], [Outcome, Ended]]


async def test_nothing_is_begun_before_what_it_depends_on_is_committed(store: MemoryStore):
    """The body goes on at once; its next step waits for the commit of the one before, and so does its caller."""
    may_commit = threading.Event()
    seen: list[str] = []

    def hold(batch: Batch) -> None:
        if Outcome in bodies_of(batch):
            assert may_commit.wait(PATIENCE_SECONDS)

    async def first() -> str:
        store.before_commit = hold
        return "first"

    async def second() -> str:
        seen.append("second began")
        return "second"

    @workflow
    async def two(ctx: WorkflowContext) -> str:
        await ctx.step(first)
        seen.append("the body went on")
        return await ctx.step(second)

    run = asyncio.ensure_future(two())
    await until(lambda: seen)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    assert seen == ["the body went on"]
    assert not run.done()

    may_commit.set()
    assert await run == "second"
    assert seen == ["the body went on", "second began"]


async def test_an_end_that_is_refused_its_commit_is_no_end(store: MemoryStore):
    """Where the commit of the last step and the end is thrown away, both are made again."""
    ran: list[int] = []
    refused: list[Batch] = []

    def refuse_once(batch: Batch) -> None:
        if Ended in bodies_of(batch) and not refused:
            refused.append(batch)
            raise RuntimeError("planted: the batch is not written")

    async def work() -> int:
        ran.append(len(ran))
        return len(ran)

    @workflow
    async def one(ctx: WorkflowContext) -> int:
        return await ctx.step(work)

    store.before_commit = refuse_once

    assert await one() == 2
    assert ran == [0, 1]
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
