"""One process: the real runtime and the real worker on simulated threads, to be killed at any moment."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Protocol

from agnt5.core.engine.state import State, Turn
from agnt5.embedded import Embedded
from agnt5.runtime.clock import Clock
from agnt5.runtime.lane import Lane, has_stopped
from agnt5.runtime.runtime import RuntimeThread
from agnt5.sdk import backend as sdk_backend
from agnt5.session import Session
from agnt5.worker.settings import WorkerSettings

from .loop import Scheduler, SimLoop

START_US = 1_700_000_000_000_000  # When the world begins; any time will do.


class Lost(Exception):
    """The process died before it answered."""


class SimClock:
    """The wall clock: as time passes, and ahead or behind by as much as it has jumped.

    Attributes:
        latest: The latest time that it has ever told.
        was_put_back: It has jumped back, ever.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._offset = START_US
        self.latest = 0
        self.was_put_back = False

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        now = self._scheduler.now + self._offset
        self.latest = max(self.latest, now)
        return now

    def jump(self, us: int) -> None:
        """Put it forward or back."""
        self._offset += us
        self.was_put_back |= us < 0

    def latest_at(self, stamp: int) -> int:
        """The latest time that anybody can have seen at this stamp: the clock may have been put back since."""
        return self.latest if self.was_put_back else stamp


class LaneWatcher(Protocol):
    """Who wants to know what goes in and out of a lane."""

    def posted(self, port: Any, messages: list[Any]) -> None:
        """Messages came in."""

    def decided(self, state: State, turn: Turn) -> None:
        """A turn is committed, and nothing of it has been released yet."""


class WatchedLane(Lane):
    """A lane that somebody looks at."""

    watcher: LaneWatcher

    def post(self, port: Any, messages: list[Any]) -> None:
        self.watcher.posted(port, messages)
        super().post(port, messages)

    async def _after_commit(self, turn: Turn, queries: Any) -> None:
        self.watcher.decided(self._state, turn)
        await super()._after_commit(turn, queries)

    @property
    def state(self) -> State:
        """What the engine remembers."""
        return self._state


class SimThread(RuntimeThread):
    """The runtime's thread, as a loop among others."""

    def __init__(
        self, store: Any, clock: Clock, loop: SimLoop, watcher: LaneWatcher, on_over: Callable[[], None]
    ) -> None:
        super().__init__(store, clock, _nothing)
        self._on_over = on_over
        self.lane = self._lane = WatchedLane(store, clock)
        self.lane.watcher = watcher
        self._sim_loop = loop
        self.is_over = False

    def start(self) -> None:
        task = self._sim_loop.create_task(self._serve())
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.is_over = True
        if not task.cancelled() and (error := task.exception()) is not None:
            self._sim_loop.call_exception_handler({"message": "in the runtime's callback", "exception": error})
        self._on_over()

    def stop(self) -> None:
        if not self.is_over:
            self._sim_loop.call_soon_threadsafe(self.lane.stop)

    @property
    def is_serving(self) -> bool:
        """Whether it has taken up what the store holds, and not ended since."""
        return self._started.is_set() and not self.is_over


class SimThreads:
    """The pool for plain functions: each takes its time, then it happens at once."""

    def __init__(self, loop: SimLoop, chance: Random) -> None:
        self._loop = loop
        self._chance = chance

    def submit(self, fn: Callable[..., Any], *args: Any) -> None:
        """Call a function on a thread."""
        self._loop.call_later(self._chance.random() * 0.01, fn, *args)


class NoWatchdog:
    """Nobody computes for long in simulated time."""

    def watch(self, worker: Any) -> None:
        """Look at nothing."""

    unwatch = watch

    def stop(self) -> None:
        """There is nothing to stop."""


class Process(Embedded):
    """An embedded runtime whose threads are loops of the simulation.

    Args:
        number: How many processes there were before.
        scheduler: Runs its threads.
        watcher: Is told what goes in and out.
        outside: The loop of who talks to it.
    """

    def __init__(
        self,
        number: int,
        scheduler: Scheduler,
        store: Any,
        clock: SimClock,
        settings: WorkerSettings,
        watcher: LaneWatcher,
        outside: SimLoop,
        seed: str,
    ) -> None:
        self._scheduler = scheduler
        self._outside = outside
        self._watcher = watcher
        self._calls: dict[asyncio.Future[Any], None] = {}
        self.lane_loop = scheduler.loop("lane")
        self.user_loop = scheduler.loop("user")
        self.pool_loop = scheduler.loop("pool")
        self.over: asyncio.Future[None] = outside.create_future()  # It is dead, or its runtime has stopped.
        super().__init__(store, settings, clock)
        self.number = number
        self._chance = Random(f"{seed}/{number}")
        self._watchdog = NoWatchdog()  # type: ignore[assignment]  # It has the same face.
        self.session: Session | None = None
        self.is_dead = False

    def _make_serving(self) -> SimThread:
        self.thread = SimThread(self._store, self._clock, self.lane_loop, self._watcher, self._over)
        return self.thread

    # Life

    async def begin(self) -> None:
        """Start the runtime, then attach the user's loop, as `async with Runtime()` does."""
        self.start()
        while not self.thread.is_serving and not self.over.done():  # noqa: ASYNC110  It tells nobody.
            await asyncio.sleep(0.001)
        if self.thread.is_serving and not self.is_dead:
            self.attach_session()

    def attach_session(self) -> None:
        """Let the user's loop execute runs."""
        if not self.is_dead:
            self.user_loop.call_soon_threadsafe(self._attach_here)

    def _attach_here(self) -> None:
        if self.session is None and not self.is_stopped and self.thread.is_serving:
            self._attach(self.user_loop)

    def _attach(self, loop: asyncio.AbstractEventLoop) -> Session:
        session = self.session = super()._attach(loop)
        session.worker.threads = SimThreads(self.pool_loop, self._chance)  # type: ignore[assignment]
        session.worker.chance = self._chance
        return session

    def lose_session(self) -> None:
        """The user's loop lets go of everything: its runs go elsewhere."""
        session, self.session = self.session, None
        if session is not None:
            self.user_loop.call_soon_threadsafe(session.close, has_stopped())

    def _detached(self, session: Session) -> None:
        # No loop of the runtime's own adopts the runs: the user's comes back.
        self._sessions.pop(session.loop, None)
        if self.session is session:
            self.session = None

    def kill(self) -> None:
        """End it between two instructions: nothing more gets out of it."""
        if self.is_dead:
            return
        self.is_dead = True
        loops = (self.lane_loop, self.pool_loop, self.user_loop)
        for loop in loops:
            self._scheduler.remove(loop)
        self.lane_loop.die()
        for session in list(self._sessions.values()):
            session.close()
        self.pool_loop.die()
        self.user_loop.die()
        for call in list(self._calls):
            if not call.done():
                call.set_exception(Lost())
        self._calls.clear()
        self._over()

    def _over(self) -> None:
        """Tell whoever starts the next one."""
        if not self.over.done():
            self.over.set_result(None)

    # Talking to it

    async def ask(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Have a coroutine run on the user's loop, from the outside.

        Raises:
            Lost: The process died, or had died, before it was through.
        """
        if self.is_dead or self.session is None:
            raise Lost
        answer: asyncio.Future[Any] = self._outside.create_future()
        self._calls[answer] = None
        self.user_loop.call_soon_threadsafe(self._begin, make, answer)
        try:
            return await answer
        finally:
            self._calls.pop(answer, None)

    def _begin(self, make: Callable[[], Coroutine[Any, Any, Any]], answer: "asyncio.Future[Any]") -> None:
        if self.session is None:
            self._outside.call_soon_threadsafe(_settle, answer, None, Lost())
            return
        task = self.user_loop.create_task(self._with_backend(make))

        def over(task: "asyncio.Task[Any]") -> None:
            error = Lost() if task.cancelled() else task.exception()
            self._outside.call_soon_threadsafe(_settle, answer, None if error else task.result(), error)

        task.add_done_callback(over)

    async def _with_backend(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        sdk_backend.choose(self)
        return await make()


def _settle(answer: "asyncio.Future[Any]", value: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(value)


def _nothing() -> None:
    """Nobody has to be told."""
