"""A runtime that a test starts, stops and starts again over the same journal, with a clock that it turns."""

import asyncio
import copy
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, time_ns
from typing import Any, Final, Protocol

from agnt5 import UnknownRun, WorkerSettings
from agnt5.core.model.ids import RunId
from agnt5.embedded import Embedded, default_runtime
from agnt5.sdk import backend
from agnt5.store.memory import MemoryStore
from agnt5.store.port import Store
from agnt5.store.sqlite.store import SqliteStore

PATIENCE_SECONDS: Final = 10.0  # How long anything here may take; far more than it does.
LOOK_SECONDS: Final = 0.003  # Between two looks at something that tells nobody when it changes.


class TurnedClock:
    """The machine's clock, put forward at will."""

    def __init__(self) -> None:
        self._ahead = 0

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return time_ns() // 1000 + self._ahead

    def turn(self, seconds: float) -> None:
        """Put it forward."""
        self._ahead += round(seconds * 1_000_000)


class Medium(Protocol):
    """What outlives a runtime."""

    def store(self) -> Store:
        """A store over what is there."""

    def part(self) -> None:
        """Go on with a copy of what is there: whoever has the store open writes to what was."""


class Memory:
    """Rows in memory."""

    def __init__(self) -> None:
        self.rows = MemoryStore()

    def store(self) -> Store:
        return self.rows

    def part(self) -> None:
        self.rows = copy.deepcopy(self.rows)


class File:
    """A journal file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def store(self) -> Store:
        return SqliteStore(self._folder / "journal.db")

    def part(self) -> None:
        self._folder = Path(shutil.copytree(self._folder, self._folder / "copy", ignore=lambda *_: ["copy"]))


class World:
    """One journal, and the runtime that has it at the moment.

    Attributes:
        medium: Where the journal is.
        settings: Of the workers of the next start.
        clock: Of the runtime.
    """

    def __init__(self, medium: Medium, settings: WorkerSettings | None = None) -> None:
        self.medium = medium
        self.settings = settings or WorkerSettings()
        self.clock = TurnedClock()
        self._runtime: Embedded | None = None

    async def start(self) -> None:
        """Start a runtime, for all calls of the process, with the running loop as a worker."""
        runtime = Embedded(self.medium.store(), self.settings, self.clock)
        await asyncio.get_running_loop().run_in_executor(None, runtime.start)
        self._runtime = runtime
        backend.set_default(lambda: runtime)
        runtime.attach()

    async def stop(self) -> None:
        """Stop it, as the end of a program does: what is unfinished stays in the journal."""
        runtime, self._runtime = self._runtime, None
        backend.set_default(default_runtime)
        if runtime is not None:
            runtime.detach()
            await asyncio.get_running_loop().run_in_executor(None, runtime.stop)

    async def restart(self) -> None:
        """Stop it, and start another one over the same journal."""
        await self.stop()
        await self.start()

    async def crash(self) -> None:
        """Start another one over the journal as it is now: of what the first still does, nothing gets there."""
        self.medium.part()
        await self.restart()

    async def turn(self, seconds: float) -> None:
        """Let time pass, as far as runs can tell."""
        self.clock.turn(seconds)
        assert self._runtime is not None, "time passes for a runtime"
        # It looks at its clock whenever somebody asks it something.
        with suppress(UnknownRun):
            await self._runtime.status(RunId("0" * 32))


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something holds.

    Args:
        condition: Says whether it does; what it returns may have to be awaited.
    """
    deadline = monotonic() + PATIENCE_SECONDS
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        assert monotonic() < deadline, "what was waited for didn't come"
        await asyncio.sleep(LOOK_SECONDS)


async def until_status(handle: Any, status: str) -> None:
    """Wait until a run is there."""

    async def is_there() -> bool:
        return await handle.status() == status

    await until(is_there)


async def events_of(handle: Any, kind: str) -> list[Any]:
    """What has happened of one kind in a run that has ended."""
    return [event async for event in handle.events() if event.kind == kind]


def raises_once(error: Exception) -> Callable[[], None]:
    """Something that raises this when it is called first, and never again."""
    errors = [error]

    def maybe_raise() -> None:
        if errors:
            raise errors.pop()

    return maybe_raise
