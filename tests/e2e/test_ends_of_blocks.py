"""When the block of a runtime ends, tasks that still wait for one of its runs are told so, and nobody hangs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agnt5 import Runtime, Unavailable, workflow
from agnt5.sdk.handle import Handle

SECONDS_MAX = 5.0


async def result(handle: Handle[Any]) -> None:
    await handle.result()


async def events(handle: Handle[Any]) -> None:
    async for _ in handle.events():
        pass


@pytest.mark.parametrize("wait", [result, events])
async def test_whoever_waits_when_the_block_ends_is_told_that_nobody_serves(
    tmp_path: Path, wait: Callable[[Handle[Any]], Awaitable[None]]
) -> None:
    """Nobody has cancelled the waiting task, and nothing will ever come: it gets `Unavailable`."""

    @workflow
    async def waiting(ctx: Any) -> None:
        await ctx.wait_for_event("never")

    async with Runtime(store=f"sqlite:///{tmp_path / 'journal.db'}"):
        handle = await waiting.submit()
        task = asyncio.ensure_future(wait(handle))
        # What was asked first is answered first: by then the task waits for the runtime.
        await asyncio.sleep(0)
        await handle.status()

    done, _ = await asyncio.wait([task], timeout=SECONDS_MAX)
    task.cancel()
    assert done
    assert not task.cancelled()
    assert isinstance(task.exception(), Unavailable)
