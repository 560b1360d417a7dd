"""Runtimes and the loops they meet: blocks, first use, several loops, sync code, stops and starts."""

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import agnt5
from agnt5 import (
    InvalidInput,
    JournalLockedError,
    OutcomeUnknown,
    Runtime,
    Unavailable,
    WorkflowContext,
    ctx,
    function,
    get_run,
    workflow,
)
from agnt5.core.engine.queue import CRASHES_MAX
from agnt5.core.model.errors import StoreError, StoreFull
from agnt5.core.model.run import Status
from agnt5.embedded import default_runtime
from agnt5.store.port import Batch
from agnt5.store.sqlite.store import SqliteStore

from ..making import batch
from .world import Memory, World, raises_once, until, until_status


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A journal of the test's own."""
    return f"sqlite:///{tmp_path / 'orders.db'}"


@pytest.fixture
def stopped_at_the_end() -> Iterator[None]:
    """The runtime that starts by itself is the test's own, and is stopped after it."""
    yield
    home = Path(os.environ["AGNT5_HOME"])
    if home.exists():
        default_runtime().stop()


@workflow(name="waits for go")
async def _waits(ctx: WorkflowContext) -> str:
    return await ctx.wait_for_signal("go")


@pytest.fixture
def waits():
    """A workflow that waits for a signal; registered for the test."""
    return workflow(name="waits for go")(_waits.fn)


# Blocks


async def test_a_block_has_a_runtime_of_its_own(url: str, waits):
    """Calls inside it go there; what is unfinished at its end goes on in the next."""
    async with Runtime(store=url):
        handle = await waits.submit()
        await until_status(handle, "suspended")

    async with Runtime(store=url):
        await handle.signal("go", "went")
        assert await handle.result(timeout=5) == "went"


async def test_blocks_side_by_side_keep_apart(url: str, waits):
    """Each task's calls go to the innermost block that it stands in."""
    async with Runtime(store=url):
        handle = await waits.submit()
        async with Runtime(store="memory://"):
            with pytest.raises(agnt5.UnknownRun):
                await handle.status()
        assert await handle.status() in ("running", "suspended")


async def test_a_second_runtime_on_a_journal_is_refused(url: str):
    """It names the pid that has it, and the first goes on."""
    async with Runtime(store=url):
        with pytest.raises(JournalLockedError) as refused:
            async with Runtime(store=url):
                pass

        assert refused.value.pid == os.getpid()
        assert await function(name="one")(_one)() == 1

    async with Runtime(store=url):
        pass


async def _one() -> int:
    return 1


@pytest.mark.parametrize("store", ["", "orders.db", "postgresql://x", "sqlite://orders.db", "memory:"])
def test_a_store_that_this_version_does_not_know_is_refused(store: str):
    """With those that it knows."""
    with pytest.raises(InvalidInput, match="store"):
        Runtime(store=store)


async def test_a_runtime_that_has_stopped_says_so(world: World, waits):
    """A handle from its time still knows its id."""
    async with Runtime(store="memory://") as runtime:
        handle = await waits.submit()
        embedded = runtime._embedded

    with pytest.raises(Unavailable, match="stopped"):
        await embedded.status(handle.run_id)


async def test_a_call_that_a_stop_cuts_short_is_told(url: str, waits):
    """Nobody is left waiting for ever."""
    async with Runtime(store=url):
        waiting = asyncio.create_task(waits())
        await asyncio.sleep(0.02)

    with pytest.raises((asyncio.CancelledError, Unavailable)):
        async with asyncio.timeout(5):
            await waiting


# Loops


def test_two_loops_one_after_the_other(stopped_at_the_end: None, waits):
    """The runtime that started by itself outlives the first loop, and so does what it began."""

    async def begin() -> str:
        handle = await waits.submit()
        await until_status(handle, "suspended")
        return handle.id

    async def end(run_id: str) -> str:
        handle = get_run(run_id)
        await handle.signal("go", "went")
        return await handle.result(timeout=5)

    run_id = asyncio.run(begin())
    assert asyncio.run(end(run_id)) == "went"


def test_a_run_whose_loop_has_closed_goes_on_elsewhere(stopped_at_the_end: None):
    """What nobody waits for any more is finished by a loop of the runtime's own."""
    release = threading.Event()
    done = threading.Event()

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step(release.wait, 5)
        await ctx.step(done.set)

    async def begin() -> str:
        return (await flow.submit()).id

    run_id = asyncio.run(begin())
    release.set()

    assert done.wait(5)
    assert get_run_sync(run_id) == "completed"


def get_run_sync(run_id: str) -> str:
    """The status of a run, once it has ended."""

    async def ask() -> str:
        handle = get_run(run_id)
        await handle.result(timeout=5)
        return await handle.status()

    return asyncio.run(ask())


def test_code_without_a_loop_blocks_for_its_results(stopped_at_the_end: None):
    """From the main thread and from others, at the same time."""

    @function
    async def double(n: int) -> int:
        return n * 2

    @workflow
    async def flow(ctx: WorkflowContext, n: int) -> int:
        return await ctx.step(double, n) + await double(n)

    results: list[int] = []
    threads = [threading.Thread(target=lambda n=n: results.append(flow.run_sync(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert sorted(results) == [0, 4, 8, 12]
    assert flow.run_sync(5, idempotency_key="k") == 20


def test_an_exception_reaches_code_without_a_loop(stopped_at_the_end: None):
    """With its own type."""

    @function(retries=1)
    async def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        fail.run_sync()


async def test_run_sync_on_a_loops_own_thread_is_refused(world: World):
    """It would wait for what only the loop can do; the error names `await`."""

    @function
    async def one() -> int:
        return 1

    @workflow
    async def flow(ctx: WorkflowContext) -> int:
        return one.run_sync()

    with pytest.raises(InvalidInput) as refused:
        one.run_sync()
    assert "await one.run(" in refused.value.fix
    with pytest.raises(InvalidInput):
        await flow()


async def test_run_sync_works_in_threads_of_a_loop(world: World):
    """Which is where blocking code belongs."""

    @function
    async def one() -> int:
        return 1

    assert await asyncio.to_thread(one.run_sync) == 1


async def test_a_component_that_is_defined_later_is_known(world: World):
    """Also one that was imported in a thread while the runtime runs."""
    made = await asyncio.to_thread(lambda: function(name="late")(_one))

    assert await made() == 1


async def test_a_run_executes_on_the_loop_that_submitted_it(world: World):
    """So that it may use what belongs to that loop."""
    here = threading.get_ident()

    @function
    async def where() -> list:
        return [threading.get_ident(), asyncio.get_running_loop() is loop]

    loop = asyncio.get_running_loop()

    assert await where() == [here, True]


# Crashes and failures of the store


async def test_a_run_that_kills_its_process_again_and_again_is_blocked(world: World, waits):
    """Alone, so many times in a row without progress; neighbours of a crash are not counted."""

    @function
    async def deadly() -> str:
        began.append(1)
        await release.wait()
        return "lived"

    began: list[int] = []
    release = asyncio.Event()
    handle = await deadly.submit()
    bystander = await waits.submit()
    await until_status(bystander, "suspended")
    await world.turn(1)  # After a while the store too knows that it only waits.
    for count in range(1, CRASHES_MAX + 1):
        await until(lambda count=count: len(began) == count)
        await world.crash()

    with pytest.raises(agnt5.RunBlockedError, match=f"{CRASHES_MAX} times"):
        await handle.result(timeout=5)
    assert len(began) == CRASHES_MAX
    release.set()
    await handle.resume()
    assert await handle.result(timeout=5) == "lived"
    await bystander.signal("go", "went")
    assert await bystander.result(timeout=5) == "went"


async def test_a_full_store_delays_but_loses_nothing(caplog: pytest.LogCaptureFixture):
    """What could not be written is refused to whoever asked; runs go on when there is space again."""
    caplog.set_level(logging.CRITICAL)
    memory = Memory()
    world = World(memory)
    await world.start()
    ran: list[int] = []

    @workflow
    async def flow(ctx: WorkflowContext) -> list:
        return [await ctx.wait_for_signal("go"), await ctx.step("note", lambda: ran.append(1) or "noted")]

    handle = await flow.submit()
    await until_status(handle, "suspended")
    fail = raises_once(StoreFull("the disk is full"))
    memory.rows.before_commit = lambda _: fail()
    with pytest.raises(StoreFull):
        await handle.signal("go", 1)

    await handle.signal("go", 2)

    assert await handle.result(timeout=5) == [2, "noted"]
    assert ran == [1]
    await world.stop()


@pytest.mark.parametrize("was_written", [False, True])
async def test_an_unknown_commit_is_resolved_by_reading(caplog: pytest.LogCaptureFixture, was_written: bool):
    """The runtime stops and says that it can't know; the next one finds out, and nothing happens twice."""
    caplog.set_level(logging.CRITICAL + 1)
    memory = Memory()
    world = World(memory)
    await world.start()
    ran: list[str] = []

    @workflow
    async def order(ctx: WorkflowContext) -> str:
        await ctx.step("charge", ran.append, ctx.run_id)
        return ctx.run_id

    fail = raises_once(StoreError("the disk went away"))

    def broken(_: Batch) -> None:
        fail()

    store = memory.rows
    store.before_commit, store.after_commit = (None, broken) if was_written else (broken, None)
    with pytest.raises(OutcomeUnknown):
        await order.run(idempotency_key="order-42")
    with pytest.raises((Unavailable, StoreError)):
        await order.run(idempotency_key="order-42")

    await world.restart()
    run_id = await order.run(idempotency_key="order-42")

    assert ran == [run_id]
    await world.stop()


async def test_a_damaged_journal_blocks_its_run_and_no_other(tmp_path: Path, waits):
    """The error says which entry; the others go on."""
    path = tmp_path / "journal.db"
    async with Runtime(store=f"sqlite:///{path}"):
        broken, whole = await waits.submit(), await waits.submit()
        for handle in (broken, whole):
            await until_status(handle, "suspended")
    store = SqliteStore(path)
    await store.open()
    store._connection.execute("UPDATE journal SET body = body || ' ' WHERE run_id = ?", (broken.id,))
    await store.commit(batch())
    await store.close()

    async with Runtime(store=f"sqlite:///{path}"):
        await whole.signal("go", "went")
        assert await whole.result(timeout=5) == "went"
        await broken.signal("go", "went")
        with pytest.raises(agnt5.StoreCorrupt, match=broken.id):
            await broken.result(timeout=5)
        assert await broken.status() == Status.BLOCKED.value


async def test_nothing_of_a_context_leaks_into_callers(world: World):
    """After a call, there is no current run here."""

    @function
    async def one() -> int:
        return 1

    await one()

    with pytest.raises(agnt5.NoContextError):
        _ = ctx.run_id
