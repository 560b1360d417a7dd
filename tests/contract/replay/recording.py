"""Runs a workflow on a real runtime and keeps its journal, to be replayed by `rehearsal`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from agnt5 import WorkerSettings, Workflow, workflow
from agnt5.core.journal.entry import Ended, Entry, Fired
from agnt5.core.model.ids import RunId
from agnt5.embedded import Embedded
from agnt5.runtime.clock import Clock
from agnt5.sdk import backend as sdk_backend
from agnt5.sdk.handle import Handle
from agnt5.store.memory import MemoryStore

DEADLINE_SECONDS = 30.0
EVICT_ALWAYS = WorkerSettings(max_cached_runs=0)

Body = Callable[..., Any]


class Recording(Struct):
    """A run that has ended.

    Attributes:
        entries: Its journal, without the end.
        ended: That end.
    """

    component: Workflow[Any, Any]
    run_id: RunId
    entries: list[Entry]
    ended: Ended

    @property
    def result(self) -> bytes:
        """What the run returned, encoded."""
        return bytes(self.ended.result)


class Stage(Struct):
    """A runtime over a store in memory, for one loop."""

    store: MemoryStore
    runtime: Embedded

    async def journal(self, run_id: str) -> list[Entry]:
        """What the store holds of a run."""
        return await self.store.journal(RunId(run_id))

    async def wait_until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something holds, with a deadline."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await condition():  # noqa: ASYNC110  What changes it is on another thread.
                await asyncio.sleep(0.001)

    async def wait_status(self, handle: Handle[Any], *wanted: str) -> None:
        """Wait until the run is in one of these states."""

        async def is_there() -> bool:
            return await handle.status() in wanted

        await self.wait_until(is_there)

    async def wait_entries(self, handle: Handle[Any], count: int) -> None:
        """Wait until the journal has so many entries."""

        async def has_them() -> bool:
            return len(await self.journal(handle.id)) >= count

        await self.wait_until(has_them)


@asynccontextmanager
async def stage(
    settings: WorkerSettings | None = None, store: MemoryStore | None = None, clock: Clock | None = None
) -> AsyncIterator[Stage]:
    """A runtime that the block's calls go to; the store can be used again by the next one."""
    store = store or MemoryStore()
    runtime = Embedded(store, settings, clock)
    runtime.start()
    token = sdk_backend.choose(runtime)
    runtime.attach()
    try:
        yield Stage(store, runtime)
    finally:
        sdk_backend.unchoose(token)
        runtime.detach()
        await asyncio.get_running_loop().run_in_executor(None, runtime.stop)


async def record(body: Body, settings: WorkerSettings | None = None, clock: Clock | None = None) -> Recording:
    """Run a body to its end, and keep what it left."""
    component = workflow(body)
    async with stage(settings, clock=clock) as on:
        handle = await component.submit()
        async with asyncio.timeout(DEADLINE_SECONDS):
            # Whatever it came to is in the journal.
            await asyncio.gather(handle.result(), return_exceptions=True)
        journal = await on.journal(handle.id)
    ended = journal[-1].body
    assert isinstance(ended, Ended), f"the run didn't end, but is at {journal[-1]}"
    for entry in journal:
        if isinstance(entry.body, Fired):
            assert entry.at >= entry.body.due, f"a timer fired early: {entry}"
    return Recording(component, RunId(handle.id), journal[:-1], ended)

