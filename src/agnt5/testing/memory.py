"""The embedded runtime on one event loop: in memory, on a turned clock, and able to tell when it is idle.

It is the runtime that users run, with two differences. Engine and store share the loop with the
worker, in place of a thread of their own, so that each test takes the same course each time. And a
run that waits is written down at once, so that the store knows all that is due.
"""

import asyncio
from collections.abc import Coroutine
from random import Random
from time import monotonic
from typing import Any, Final, TypeVar

from agnt5.core.model.errors import InvalidInput, Unavailable
from agnt5.core.model.ids import RunId
from agnt5.embedded import Embedded
from agnt5.runtime.lane import Lane, has_stopped
from agnt5.runtime.port import Port
from agnt5.runtime.requests import ToSession
from agnt5.runtime.runtime import Serving
from agnt5.session import Session
from agnt5.store.memory import MemoryStore
from agnt5.store.port import RunFilter
from agnt5.testing.clock import TurnedClock
from agnt5.testing.watched import NEVER, Calls, Evenly, WatchedWorker
from agnt5.worker.settings import WorkerSettings

T = TypeVar("T")
# Turns of the loop for which all must be quiet: a task of the user's may be about to ask for more.
QUIET_TURNS: Final = 5
SPINS_MAX: Final = 200  # Turns of the loop before it is given a rest between two looks; arbitrary.
LOOK_SECONDS: Final = 0.001  # Then, as long as a step or a thread is at work.
DUE_MAX: Final = 100  # Times that are read from the store at a go, to find the soonest in the future.
RUNS_MAX: Final = 1_000  # Runs that are looked at when it is asked who waits for what.


class LaneOnLoop:
    """Runs a lane on the loop of whoever uses it first.

    Attributes:
        over: Done when the lane serves no more, by a stop, a failure of the store, or a crash.
    """

    def __init__(self, store: MemoryStore, clock: TurnedClock) -> None:
        self._store = store
        self.lane = Lane(store, clock, sweep_us=0)
        self.over: asyncio.Task[None] | None = None

    def start(self) -> None:
        is_crash = at_once(self._store.open()).is_crash
        at_once(self.lane.start(is_crash))
        self.over = asyncio.get_running_loop().create_task(self._serve(), name="agnt5-runtime")

    async def _serve(self) -> None:
        await self.lane.run()
        # Not reached by a crash, which is an exception from the store: who has crashed tells nobody.
        self.lane.refuse()

    def post(self, port: Port, messages: list[Any]) -> None:
        if self.over is None or self.over.done():
            raise Unavailable("the harness has stopped", why="its block is over", fix="use it inside its block")
        self.lane.post(port, messages)

    def stop(self) -> None:
        self.lane.stop()

    @property
    def is_over(self) -> bool:
        """Whether it serves no more."""
        return self.over is not None and self.over.done()


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing, as those of the store in memory do."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise AssertionError("the store in memory never waits")


class WatchedSession(Session):
    """A session that knows what is on its way to it.

    Args:
        calls: Counts the calls of user code.
        session: What any session is made with.
    """

    def __init__(self, calls: Calls, *session: Any) -> None:
        super().__init__(*session)
        old = self.worker
        worker = WatchedWorker(old.id, old.loop, self._send_from_worker, old.backend, old.clock_us, old.settings)
        worker.calls, worker.chance = calls, Evenly()
        self.worker = self.watched = worker
        self._on_way = 0

    def send(self, messages: list[ToSession]) -> bool:
        self._on_way += 1
        return super().send(messages)

    def _receive(self, messages: list[ToSession]) -> None:
        self._on_way -= 1
        super()._receive(messages)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way in either direction, and nothing at work."""
        return not self._on_way and not self._is_flush_due and self.watched.is_idle


class MemoryRuntime(Embedded):
    """A runtime for one event loop, started by whoever uses it first.

    Args:
        store: What outlives it.
        settings: Of its worker.
        clock: To be turned from outside.
        calls: Counts the calls of user code.
    """

    def __init__(self, store: MemoryStore, settings: WorkerSettings, clock: TurnedClock, calls: Calls) -> None:
        self.calls = calls
        self._memory = store
        self._turned = clock
        super().__init__(store, settings, clock)
        # The same ids each time: what a run draws from its seed is then the same too.
        self._chance = Random(len(at_once(store.run_ids("", RUNS_MAX))))  # noqa: S311  Chance that can be repeated is the point.
        self.session: WatchedSession | None = None

    def _make_serving(self) -> Serving:
        self.serving = LaneOnLoop(self._memory, self._turned)
        return self.serving

    def _make_session(self) -> Session:
        if self.session is not None:
            raise InvalidInput(
                "a harness is used on a second event loop",
                why="all of it lives on the loop that used it first, so that it takes the same course each time",
                fix="make a harness for each loop; in a test without one use `harness.run_sync(...)`",
            )
        self.serving.start()
        self.session = WatchedSession(
            self.calls, self.serving, self, self._clock.now_us, self._settings, self._detached
        )
        return self.session

    def _detached(self, session: Session) -> None:
        self._watchdog.unwatch(session.worker)
        self._sessions.pop(session.loop, None)

    async def close(self, *, is_crash: bool = False) -> None:
        """Stop it, on its own loop; after a crash nobody is told."""
        if self.is_stopped:
            return
        self.is_stopped = True
        self._watchdog.stop()
        session, over = self.session, self.serving.over
        if session is None or over is None:
            return
        session.close(None if is_crash else has_stopped())
        self.serving.stop()
        await asyncio.wait({over})
        if over.exception() is None and self.serving.lane.failure is None:
            at_once(self._memory.mark_closed())
        # What it called was told to stop, and may take its time to.
        deadline = monotonic() + self._settings.grace
        spins = 0
        while self.calls.live:
            if monotonic() > deadline:
                raise TimeoutError(self._why_busy(self._settings.grace))
            await asyncio.sleep(0 if spins < SPINS_MAX else LOOK_SECONDS)
            spins += 1

    def close_from_outside(self) -> None:
        """Stop it, where its loop isn't running in this thread, or is gone."""
        loop = self.session.loop if self.session is not None else None
        if self._own is not None:
            self._own.run(self.close, self)
            self._own.stop()
        elif loop is not None and not loop.is_closed() and not loop.is_running():
            loop.run_until_complete(self.close())
        self.is_stopped = True
        self._watchdog.stop()

    # Time and rest

    @property
    def is_idle(self) -> bool:
        """Whether all that is due has been carried as far as it can go."""
        return self.session is None or (self.serving.lane.is_idle and self.session.is_idle)

    async def settle(self, patience: float) -> None:
        """Wait until it is idle.

        Raises:
            TimeoutError: Something is at work for longer than `patience` seconds.
            Unavailable: It serves no more.
        """
        deadline = monotonic() + patience
        quiet = spins = 0
        while quiet < QUIET_TURNS:
            await asyncio.sleep(0 if spins < SPINS_MAX else LOOK_SECONDS)
            if self.serving.is_over:
                raise has_stopped()
            quiet = quiet + 1 if self.is_idle else 0
            spins += 1
            if monotonic() > deadline:
                raise TimeoutError(self._why_busy(patience))

    def _why_busy(self, patience: float) -> str:
        names = sorted({f"{call.name!r}" for call in self.calls.live})
        what = f"{', '.join(names)} still at work" if names else "runs that keep each other going"
        return f"the harness did not come to rest within {patience} s: {what}"

    def next_due(self, until: int) -> int | None:
        """When something is due next, after now and by then; in microseconds since the epoch."""
        now = self._clock.now_us()
        found = at_once(self._memory.due(until, DUE_MAX))
        times: list[float] = [due for due, _ in found if due > now]
        if self.session is not None:
            times.append(self.session.watched.next_due)
        soonest = min(times, default=NEVER)
        return int(soonest) if now < soonest <= until else None

    def look_again(self) -> None:
        """The clock was turned."""
        if self.session is not None and not self.serving.is_over:
            self.serving.lane.clock_was_set()

    # What there is

    def waits(self) -> list[tuple[RunId, str, str]]:
        """Which runs wait for an event or a signal, and its name, in the order in which the runs were made."""
        found = []
        for stored in reversed(at_once(self._memory.runs(RunFilter(limit=RUNS_MAX)))):
            run = self.serving.lane.active(stored.id) or stored
            found += [(run.id, wait.kind, wait.name) for wait in run.waiting.on if wait.kind in ("event", "signal")]
        if self.session is not None:
            found += [(run_id, "event", name) for run_id, name in self.session.watched.events_in_steps]
        return found
