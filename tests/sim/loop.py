"""Event loops that take turns on one thread, in an order and at a time that a seed decides.

Each simulated thread has a loop of its own. Within a loop callbacks run first in, first out, as
asyncio promises; which loop is next is chance. Time passes only when no loop has anything to do.
A loop that is removed from the scheduler is a thread that died: nothing on it runs any more.
"""

import asyncio
import heapq
import zlib
from asyncio import events
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from random import Random
from typing import Any, Final

MICROSECONDS: Final = 1_000_000
TASKS_KEPT: Final = 200  # Tasks of a loop, beyond which those that are done are let go of.


class _SimTask(asyncio.Task[Any]):
    """A task whose place in a set doesn't depend on where it lies in memory."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class _SimFuture(asyncio.Future[Any]):
    """A future, likewise."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class SimLoop(asyncio.BaseEventLoop):
    """The loop of one simulated thread.

    Args:
        scheduler: Runs it.
        name: For the trace.

    Attributes:
        paused_until: Nothing runs before this time (microseconds): the thread doesn't get the processor.
    """

    def __init__(self, scheduler: "Scheduler", name: str) -> None:
        super().__init__()
        self.name = name.encode()
        self.paused_until = 0
        self._scheduler = scheduler
        self._tasks: list[asyncio.Task[Any]] = []
        self._prune_at = TASKS_KEPT
        self._made = 0

    def time(self) -> float:
        return self._scheduler.now / MICROSECONDS

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_soon(callback, *args, context=context)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None, **options: Any) -> Any:
        # Asyncio puts the task into a set as it is made, so its hash comes first.
        task: Any = _SimTask.__new__(_SimTask)
        task.number = self._next_number()
        task.__init__(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > self._prune_at:
            self._tasks = [known for known in self._tasks if not known.done()]
            self._prune_at = 2 * len(self._tasks) + TASKS_KEPT
        return task

    def create_future(self) -> "asyncio.Future[Any]":
        future = _SimFuture(loop=self)
        future.number = self._next_number()
        return future

    def _next_number(self) -> int:
        self._made += 1
        return self._made

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if "callback" in context.get("message", ""):
            self._scheduler.on_error(context)

    # For the scheduler

    def next_at(self) -> int | None:
        """When there is something to do, in microseconds; None for never."""
        if self._ready:
            return self.paused_until
        timers = self._scheduled
        while timers and timers[0].cancelled():
            heapq.heappop(timers)
        return max(ceil(round(timers[0].when() * MICROSECONDS, 2)), self.paused_until) if timers else None

    def collect(self, now: int) -> None:
        """Make ready what is due."""
        timers = self._scheduled
        while timers and (timers[0].cancelled() or timers[0].when() * MICROSECONDS <= now + 0.01):
            handle = heapq.heappop(timers)
            handle._scheduled = False
            if not handle.cancelled():
                self._ready.append(handle)

    def take(self) -> asyncio.Handle | None:
        """The next callback."""
        while self._ready:
            handle: asyncio.Handle = self._ready.popleft()
            if not handle.cancelled():
                return handle
        return None

    def die(self) -> None:
        """Close every coroutine that waits here, newest first; of their `finally` blocks nothing gets out."""
        for task in reversed(self._tasks):
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # It is destroyed on purpose.
                with suppress(RuntimeError, ValueError):
                    task.get_coro().close()  # type: ignore[union-attr]  # Tasks here are made of coroutines.
        self._tasks.clear()
        self._ready.clear()
        self._scheduled.clear()
        self.close()


class Scheduler:
    """Runs loops one callback at a time.

    Args:
        seed: Of the order.
        on_error: Takes an exception that a callback didn't handle.

    Attributes:
        now: Microseconds since the world began; never goes back.
        count: Events so far.
        hash: Of all that has happened.
        between: Called before the next event, once.
    """

    def __init__(self, seed: str, on_error: Callable[[dict[str, Any]], None]) -> None:
        self.now = 0
        self.count = 0
        self.hash = 0
        self.on_error = on_error
        self.between: Callable[[], None] | None = None
        self._chance = Random(seed)
        self._loops: list[SimLoop] = []

    def loop(self, name: str) -> SimLoop:
        """A new thread's loop."""
        loop = SimLoop(self, name)
        self._loops.append(loop)
        return loop

    def remove(self, loop: SimLoop) -> None:
        """The thread dies."""
        self._loops.remove(loop)

    def mark(self, *what: object) -> None:
        """Take something that happened into the hash."""
        self.hash = zlib.crc32(repr(what).encode(), self.hash)

    def step(self) -> bool:
        """Let one callback run; returns False if there will never be another one."""
        if self.between is not None:
            between, self.between = self.between, None
            between()
        while True:
            for loop in self._loops:
                loop.collect(self.now)
            ready = [loop for loop in self._loops if loop._ready and loop.paused_until <= self.now]
            if not ready:
                times = [at for loop in self._loops if (at := loop.next_at()) is not None]
                if not times:
                    return False
                self.now = max(self.now, min(times))
                continue
            loop = ready[0] if len(ready) == 1 else ready[int(self._chance.random() * len(ready))]
            handle = loop.take()
            if handle is not None:
                self._run(loop, handle)
                return True

    def _run(self, loop: SimLoop, handle: asyncio.Handle) -> None:
        self.count += 1
        self.hash = zlib.crc32(b"%s %d" % (loop.name, self.now), self.hash)
        events._set_running_loop(loop)
        try:
            handle._run()
        finally:
            events._set_running_loop(None)

    def end(self) -> None:
        """All threads die."""
        for loop in self._loops:
            loop.die()
        self._loops.clear()
