"""The simulated world of one seed: a store, a process on it, who talks to it, and what goes wrong."""

import gc
import itertools
import logging
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any, TextIO

from msgspec import Struct

from agnt5 import session as session_module
from agnt5.core.engine.state import State, Turn
from agnt5.core.protocol.messages import Report as WorkerReport
from agnt5.runtime import lane as lane_module
from agnt5.runtime import runtime as runtime_module
from agnt5.sdk import methods
from agnt5.sdk.registry import REGISTRY
from agnt5.session import Session
from agnt5.store.memory import MemoryStore
from agnt5.store.port import Batch
from agnt5.worker import attempt as attempt_module
from agnt5.worker.run import RunHost
from agnt5.worker.settings import WorkerSettings
from agnt5.worker.worker import Worker

from . import programs
from .chaos import Chaos
from .coverage import ACCEPTED, CRASHED, REFUSED, Coverage
from .effects import Ledger, keeping
from .loop import MICROSECONDS, Scheduler
from .oracle import Oracle
from .patching import Patch, patched
from .process import Process, SimClock
from .store import Faults, SimStore
from .swarm import Swarm

EVENTS_MAX = 200_000  # Of one seed; one that needs more makes no progress.


class Result(Struct):
    """What came of a seed.

    Attributes:
        violation: The invariant that didn't hold, and how.
        hits: How often each kind of fault met work in flight.
        runs: How many there were in the end.
    """

    seed: int
    events: int
    seconds: float
    trace_hash: str
    violation: tuple[str, str] | None
    hits: dict[str, int]
    runs: int

    @property
    def is_void(self) -> bool:
        """Whether some kind of fault that there was never met any work: it shows nothing."""
        return not all(self.hits.values())


class World:
    """One seed's world.

    Args:
        seed: Decides everything.
        swarm: What there is in it.
        coverage: Counts what happens.
        trace: Takes a line for each thing that happens.
    """

    def __init__(self, seed: int, swarm: Swarm, coverage: Coverage, trace: TextIO | None = None) -> None:
        self.seed = seed
        self.swarm = swarm
        self.violation: tuple[str, str] | None = None
        self.is_over = False
        self.scheduler = Scheduler(f"{seed}/order", self._on_error)
        self.clock = SimClock(self.scheduler)
        self.rows = MemoryStore()
        self.faults = Faults(slow=swarm.slow, lag=swarm.lag)
        self.ledger = Ledger(self.violate)
        self.oracle = Oracle(self.rows, self.clock, self.ledger, self.violate)
        self.outside = self.scheduler.loop("outside")
        self.chaos = Chaos(self, Random(f"{seed}/chaos"))
        self.process: Process
        self._coverage = coverage
        self._trace = trace
        self._numbers = itertools.count()
        self._is_committing = self._is_written = False
        self._disk = Random(f"{seed}/disk")

    # What happens

    def violate(self, invariant: str, what: str) -> None:
        """Something isn't as it must be; the first such thing counts."""
        if self.violation is None:
            self.violation = invariant, what

    def tell(self, *what: object) -> None:
        """Something happened."""
        self.scheduler.mark(*what)
        if self._trace is not None:
            print(self.scheduler.count, f"{self.scheduler.now / MICROSECONDS:.6f}", *what, file=self._trace)

    def _on_error(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.violate("I0", f"{context.get('message')}: {error!r}")

    @property
    def is_busy(self) -> bool:
        """Whether there is work in flight that a fault would hit."""
        lane = self.process.thread.lane
        is_at_work = any(run.worker is not None and not run.is_parked for run in lane.state.runs.values())
        return self._is_committing or self.ledger.under_way > 0 or is_at_work or lane.backlog > 0

    # The process

    def start_process(self) -> Process:
        """Start a process on what the store holds."""
        store = SimStore(self.rows, self.faults, self._disk, self, self._die_in_commit)
        settings = WorkerSettings(self.swarm.capacity, self.swarm.max_cached_runs, grace=0.5)
        number = next(self._numbers)
        seed = f"{self.seed}/process"
        self.process = Process(number, self.scheduler, store, self.clock, settings, self, self.outside, seed)
        self.tell("process", number)
        return self.process

    def kill(self) -> None:
        """The process dies, before the next event."""
        self.scheduler.between = self._kill

    def _kill(self) -> None:
        self.tell("killed", self.process.number)
        self._is_committing = False
        self._coverage.over(CRASHED)
        self.ledger.lose_all()
        self.process.kill()

    def _die_in_commit(self) -> None:
        self.tell("killed in a commit")
        self.chaos.died_in_commit("crash_after" if self._is_written else "crash_before")
        self.kill()

    # What the store tells

    def committing(self, batch: Batch) -> None:
        self._is_committing, self._is_written = True, False
        self.oracle.committing(batch)

    def written(self, batch: Batch) -> None:
        self._is_written = True
        for run_id, entry in batch.entries:
            body = entry.body
            self.tell("entry", run_id, entry.index, entry.at, type(body).__name__, getattr(body, "name", ""))
        self.oracle.written(batch)

    def commit_over(self, outcome: str) -> None:
        self._is_committing = False
        self.tell("commit", outcome)
        self._coverage.over({"ok": ACCEPTED, "full": REFUSED, "unknown": CRASHED}[outcome])
        self.chaos.commit_over(outcome)

    # What the lane tells

    def posted(self, port: Any, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, WorkerReport):
                self.chaos.note_report(message)
        self.oracle.posted(port, messages)

    def decided(self, state: State, turn: Turn) -> None:
        self.oracle.decided(state, turn)

    # Running

    def run(self, story: Coroutine[Any, Any, None]) -> Result:
        """Live through it, until the story is told or something isn't as it must be."""
        with self._stage():
            told = self.outside.create_task(story)
            scheduler = self.scheduler
            while not self.is_over and self.violation is None:
                if not scheduler.step():
                    self.violate("I26", "nothing happens any more")
                if told.done() and (error := told.exception()) is not None:
                    self.violate("I0", f"the story breaks off: {error!r}")
                if scheduler.count >= EVENTS_MAX:
                    self.violate("I26", f"it isn't over after {EVENTS_MAX:,} events")
            self.ledger.lose_all()
            if hasattr(self, "process"):
                self.process.kill()
            scheduler.end()
        return Result(
            self.seed,
            scheduler.count,
            scheduler.now / MICROSECONDS,
            f"{scheduler.hash:08x}",
            self.violation,
            self.chaos.hits,
            len(self.oracle.pasts),
        )

    @contextmanager
    def _stage(self) -> Iterator[None]:
        """All that the world puts in place of the machine's."""
        logs = _Logs(self)
        logger = logging.getLogger("agnt5")
        was = logger.propagate, logger.level
        with ExitStack() as stack:
            stack.enter_context(methods.isolated())
            stack.enter_context(patched([*self._patches(), *self.swarm.bounds()]))
            stack.enter_context(keeping(self.ledger))
            programs.register()
            logger.addHandler(logs)
            logger.propagate = False
            gc.disable()
            try:
                yield
            finally:
                gc.enable()
                logger.removeHandler(logs)
                logger.propagate = was[0]

    def _patches(self) -> list[Patch]:
        return [
            # Only our own components are there, and names and tokens count from one again, so that a seed doesn't
            # depend on what was imported or simulated before it.
            (REGISTRY, "_components", {}),
            (session_module, "_names", itertools.count(1)),
            (session_module, "_tokens", itertools.count(1)),
            (runtime_module, "monotonic_ns", lambda: self.scheduler.now * 1_000),
            (attempt_module, "monotonic", lambda: self.scheduler.now / MICROSECONDS),
            (Session, "send", _before(Session.send, self._sent)),
            (RunHost, "forget", _before(RunHost.forget, self._forgotten)),
            # It forgets what it is through with, too: nobody will hear of that.
            (Worker, "_forget_all", _before(Worker._forget_all, lambda worker: self.ledger.lose_all())),
            (lane_module, "advance", _before(lane_module.advance, self._coverage.took)),
        ]

    def _sent(self, port: Any, messages: list[Any]) -> None:
        if not self.process.is_dead:
            # What a process that is killed would still say is heard by nobody.
            self.oracle.sent(messages)

    def _forgotten(self, host: RunHost) -> None:
        if not host.is_over:
            self.ledger.lose(host.run_id)


def _before(function: Any, look: Any) -> Any:
    def both(*args: Any) -> Any:
        look(*args)
        return function(*args)

    return both


class _Logs(logging.Handler):
    """What the product itself takes for a broken rule is one."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._world.violate("I0", f"{record.getMessage()}: {record.exc_info[1]!r}")

