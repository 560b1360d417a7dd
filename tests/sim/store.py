"""A store that is slow, full, or unsure, and whose commits can be cut in two by a crash.

What is written is kept by the memory store, which refuses what no store may write. A commit has
three parts: before the write, the write, and after it; a process can die in each of them.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final, Protocol

from msgspec import Struct

from agnt5.core.journal.entry import AttemptBegan, Begun, Ended, Outcome, Retrying, Signal, Started
from agnt5.core.model.errors import StoreError, StoreFull
from agnt5.store.memory import MemoryStore
from agnt5.store.port import Batch, StoreInfo

# How likely a fault that is due strikes a commit with such entries. Most commits are of steps that came to
# something; the others tell more when they fail.
WEIGHTS: Final = {
    Started: 0.3,
    Outcome: 0.15,
    Ended: 0.4,
    Begun: 0.4,
    Retrying: 0.8,
    Signal: 0.2,
    AttemptBegan: 0.3,
}


def weight_of(batch: Batch) -> float:
    """How likely a fault that is due strikes this commit."""
    if batch.trimmed or batch.served or batch.heartbeats:
        return 1.0
    if not batch.entries:
        return 1.0 if any(run.is_stored_suspended for run in batch.changed) else 0.3
    return max(WEIGHTS.get(type(entry.body), 1.0) for _, entry in batch.entries)


class Faults(Struct):
    """What a store does at the moment.

    Attributes:
        slow: Seconds that a commit takes at the most.
        lag: The chance that a read takes a while.
        full: How many commits are refused next.
        unknown: Of how many nobody will know whether they took place.
        die_before: The process dies in a commit, before it is written.
        die_after: Likewise, after it is written.
    """

    slow: float = 0.0
    lag: float = 0.0
    full: int = 0
    unknown: int = 0
    die_before: int = 0
    die_after: int = 0

    def take(self) -> str:
        """The fault that strikes next, if any."""
        for name in ("full", "unknown", "die_before", "die_after"):
            left: int = getattr(self, name)
            if left:
                setattr(self, name, left - 1)
                return name
        return ""

    def end(self) -> None:
        """From now on all goes well."""
        self.slow = self.lag = 0.0
        self.full = self.unknown = self.die_before = self.die_after = 0


class Watcher(Protocol):
    """Who wants to know what becomes of commits."""

    def committing(self, batch: Batch) -> None:
        """A commit begins."""

    def written(self, batch: Batch) -> None:
        """It is in the store."""

    def commit_over(self, outcome: str) -> None:
        """The lane is told: `ok`, `full` or `unknown`."""


class SimStore:
    """The store of one process over rows that outlive it.

    Args:
        rows: What is durable.
        faults: What goes wrong.
        chance: When.
        watcher: Is told.
        kill: Ends the process.
    """

    def __init__(
        self, rows: MemoryStore, faults: Faults, chance: Random, watcher: Watcher, kill: Callable[[], None]
    ) -> None:
        self._rows = rows
        self._faults = faults
        self._chance = chance
        self._watcher = watcher
        self._kill = kill
        self._is_unsure = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._rows, name)

        async def read(*args: Any) -> Any:
            assert not self._is_unsure, f"{name} is asked of a store whose last commit may or may not be there"
            if self._faults.lag and self._chance.random() < self._faults.lag:
                await asyncio.sleep(self._chance.random() * 0.01)
            return await method(*args)

        return read

    async def open(self) -> StoreInfo:
        return await self._rows.open()

    async def close(self) -> None:
        await self._rows.close()

    async def commit(self, batch: Batch) -> None:
        assert not self._is_unsure, "something is written to a store whose last commit may or may not be there"
        faults, chance = self._faults, self._chance
        self._watcher.committing(batch)
        fault = faults.take() if chance.random() < weight_of(batch) else ""
        is_applied = chance.random() < 0.5
        await asyncio.sleep(chance.random() * faults.slow)
        if fault == "die_before":
            await self._die()
        if fault == "full":
            self._watcher.commit_over("full")
            raise StoreFull("the simulated disk is full", why="it was its turn", fix="wait")
        if fault == "unknown" and not is_applied:
            self._unsure()
        await self._rows.commit(batch)
        self._watcher.written(batch)
        await asyncio.sleep(chance.random() * faults.slow)
        if fault == "die_after":
            await self._die()
        if fault == "unknown":
            self._unsure()
        self._watcher.commit_over("ok")

    def _unsure(self) -> None:
        self._is_unsure = True
        self._watcher.commit_over("unknown")
        raise StoreError("the simulated disk doesn't say", why="it was its turn", fix="open it again")

    async def _die(self) -> None:
        self._kill()
        await asyncio.get_running_loop().create_future()
