"""What the engine keeps in memory, and what it decides in one batch.

In memory are only runs that are at work, about to be, or warm in a worker. All others are loaded
when a command names them and forgotten when the batch is committed, so that what the engine
costs doesn't grow with what the store holds.
"""

from collections import deque
from collections.abc import Generator
from typing import Any, Final

from msgspec import Raw, Struct

from agnt5.core.engine.commands import Command, Waiter
from agnt5.core.engine.effects import Arm, Effect, Tell
from agnt5.core.journal.entry import Entry
from agnt5.core.model.ids import OperationKey, RunId, WorkerId
from agnt5.core.model.run import NOT_WAITING, Run
from agnt5.core.protocol.messages import ComponentInfo, Deliver

READY_MAX: Final = 2_000  # Queued runs of one component that are kept in memory; about 1 MB.


class Event(Struct, frozen=True):
    """An event that was resolved."""

    id: str
    payload: Raw
    at: int


class KeyUse(Struct, frozen=True):
    """Which run an idempotency key stands for."""

    component: str
    key: str
    run_id: RunId
    input_digest: str


# What a command may need from the store. A handler that does is a generator: it yields one of
# these and is sent what was found.


class NeedRun(Struct, frozen=True):
    """The run of this id, or None."""

    run_id: RunId


class NeedJournal(Struct, frozen=True):
    """The entries of this run."""

    run_id: RunId


class NeedEvent(Struct, frozen=True):
    """The event of this id, or None."""

    event_id: str


class NeedWaiters(Struct, frozen=True):
    """Who waits for this target."""

    target: str


class NeedKey(Struct, frozen=True):
    """What this idempotency key of this component was used for, or None."""

    component: str
    key: str


class NeedEnd(Struct, frozen=True):
    """The last entry of this run, which has ended."""

    run_id: RunId


class NeedBlocked(Struct, frozen=True):
    """The blocked runs of this component."""

    component: str


class NeedChildren(Struct, frozen=True):
    """The ids of this run's children that have not ended."""

    run_id: RunId


Need = NeedRun | NeedJournal | NeedEvent | NeedWaiters | NeedKey | NeedEnd | NeedBlocked | NeedChildren
Steps = Generator[Need, Any, None]  # A handler that needs something from the store.


class Worker(Struct):
    """A worker, as far as the engine knows it.

    Attributes:
        active: How many runs are at work there; at most `capacity` are given to it.
        runs: All that it holds, the parked ones too, in the order of claiming.
    """

    id: WorkerId
    capacity: int
    components: dict[str, ComponentInfo]
    active: int = 0
    runs: dict[RunId, None] = {}


class State:
    """All that the engine remembers between two batches."""

    def __init__(self) -> None:
        self.runs: dict[RunId, Run] = {}
        self.workers: dict[WorkerId, Worker] = {}
        self.ready: dict[str, deque[RunId]] = {}
        # Components of which more runs are queued than `ready` holds; the rest is in the store.
        self.overflowing: set[str] = set()
        # The code that some worker offered last for each component, since the runtime started.
        self.known: dict[str, str] = {}
        # Warm runs that wait and are not written down as waiting, with the time since when; oldest first.
        self.parked: dict[RunId, int] = {}


class Turn:
    """What one batch of commands has decided: what to write, and what to do once it is written."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.entries: list[tuple[RunId, Entry]] = []
        self.created: dict[RunId, Run] = {}
        self.changed: dict[RunId, Run] = {}
        self.events: dict[str, Event] = {}
        self.keys: dict[tuple[str, str], KeyUse] = {}
        # Keys that a retry takes over from the run it replaces.
        self.retaken: list[tuple[str, str, RunId]] = []
        self.waiters: list[Waiter] = []
        self.served: list[str] = []
        self.heartbeats: list[tuple[RunId, OperationKey, int, Raw]] = []
        self.trimmed: list[tuple[RunId, int]] = []
        self.effects: list[Effect] = []
        # What the engine tells itself, in this same batch.
        self.told: deque[Command] = deque()
        self.touched: dict[RunId, Run] = {}
        self._deliveries: dict[RunId, Deliver] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (
            self.entries
            or self.created
            or self.changed
            or self.events
            or self.keys
            or self.retaken
            or self.waiters
            or self.served
            or self.heartbeats
            or self.trimmed
        )

    def change(self, run: Run) -> None:
        """Write this run's record with the batch, as it is at the end of it."""
        self.touched[run.id] = run
        if run.id not in self.created:
            self.changed[run.id] = run

    def create(self, run: Run) -> None:
        """Write this new run with the batch."""
        self.touched[run.id] = run
        self.created[run.id] = run

    def deliver(self, run: Run, entry: Entry | None) -> None:
        """Tell the run's worker of an entry, together with the others of this batch."""
        assert run.worker is not None, "a delivery goes to the worker that holds the run"
        delivery = self._deliveries.get(run.id)
        if delivery is None or delivery.epoch != run.epoch:
            delivery = self._deliveries[run.id] = Deliver(run.id, run.epoch, [])
            self.effects.append(Tell(run.worker, delivery))
        if entry is not None:
            delivery.entries.append(entry)

    def arm(self, run: Run) -> None:
        """Have the clock look at this run when it is due."""
        if run.wake_at:
            self.effects.append(Arm(run.wake_at, run.id))


def find(state: State, turn: Turn, run_id: RunId) -> Generator[Need, Any, Run | None]:
    """The run of this id, from memory or the store: one object of it in a batch, whoever asks."""
    # One that found no room in the ready queue is known to the batch alone, and the store is behind it.
    run = state.runs.get(run_id) or turn.touched.get(run_id)
    if run is None:
        run = yield NeedRun(run_id)
        if run is not None:
            state.runs[run_id] = run
            turn.touched[run_id] = run
    return run


def journal_of(turn: Turn, run_id: RunId) -> Generator[Need, Any, list[Entry]]:
    """The entries of this run, those of this batch included."""
    stored = yield NeedJournal(run_id)
    first = max((first for trimmed, first in turn.trimmed if trimmed == run_id), default=0)
    written = (entry for of, entry in turn.entries if of == run_id)
    return [entry for entry in (*stored, *written) if entry.index >= first]


def find_use(turn: Turn, component: str, key: str) -> Generator[Need, Any, KeyUse | None]:
    """What this idempotency key stands for by now, in this batch too."""
    use: KeyUse | None = turn.keys.get((component, key)) or (yield NeedKey(component, key))
    for *place, run_id in turn.retaken:
        if use is not None and place == [component, key]:
            use = KeyUse(component, key, run_id, use.input_digest)
    return use


def forget_inactive(state: State, turn: Turn) -> None:
    """After the commit: keep in memory only what is at work, about to be, or warm."""
    for run in turn.touched.values():
        if run.worker is None and not run.is_listed:
            state.runs.pop(run.id, None)


def clear_waiting(run: Run) -> None:
    """The run doesn't wait any more."""
    run.waiting = NOT_WAITING
    run.wake_at = 0
