"""The world outside of a run, as `crash_everywhere` plays it: it sends what the run waits for."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from agnt5.sdk.handle import Handle, send_event
from agnt5.testing.memory import MemoryRuntime


class Waiting:
    """A run that waits for something from outside.

    Attributes:
        run: The run.
        kind: `event` or `signal`.
        name: The event's id, or the signal's name.
    """

    def __init__(self, run: Handle[Any], kind: str, name: str) -> None:
        self.run = run
        self.kind = kind
        self.name = name
        self.is_dealt_with = False

    async def send(self, payload: Any = None) -> None:
        """Send it what it waits for."""
        self.is_dealt_with = True
        if self.kind == "event":
            await send_event(self.name, payload)
        else:
            await self.run.signal(self.name, payload)

    async def cancel(self) -> None:
        """Ask the run to stop."""
        self.is_dealt_with = True
        await self.run.cancel()


Outside = Mapping[str, Any] | Callable[[Waiting], Awaitable[None] | None]


async def deal_with(outside: Outside | None, runtime: MemoryRuntime) -> bool:
    """Let the outside world look at who waits; returns whether it did anything."""
    has_dealt = False
    for waiting in waits(runtime):
        if isinstance(outside, Mapping):
            await _send_listed(outside, waiting)
        elif outside is not None:
            done = outside(waiting)
            if inspect.isawaitable(done):
                await done
        has_dealt |= waiting.is_dealt_with
    return has_dealt


async def _send_listed(outside: Mapping[str, Any], waiting: Waiting) -> None:
    for pattern, payload in outside.items():
        if waiting.name == pattern or fnmatchcase(waiting.name, pattern):
            await waiting.send(payload)
            return


def waits(runtime: MemoryRuntime) -> list[Waiting]:
    """Who waits for an event or a signal."""
    return [Waiting(Handle(run_id), kind, name) for run_id, kind, name in runtime.waits()]
