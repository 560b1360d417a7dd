"""What the runtime needs of a store, and what a store promises.

A commit is all or nothing. When `commit` returns, it survives a crash and, where the store says so,
a power loss. When it raises `StoreFull`, nothing of it was written. When it raises anything else,
nobody knows: the store must not be used any more, and what it holds is found by opening it again.

Reads see what was committed. One process at a time may write to a store; a `Reader` may be beside it.
"""

from typing import Protocol

from msgspec import Raw, Struct

from agnt5.core.engine.commands import Waiter
from agnt5.core.engine.state import Event, KeyUse
from agnt5.core.journal.entry import Entry
from agnt5.core.model.ids import OperationKey, RunId
from agnt5.core.model.run import Run, Status

Place = tuple[str, RunId, OperationKey]  # Of a waiter: its target, who waits, in which operation.


class Heartbeat(Struct, frozen=True):
    """What a step last said of itself."""

    run_id: RunId
    key: OperationKey
    attempt: int
    details: Raw


class Aged(Struct, frozen=True):
    """A run, as far as it matters for how long it is kept.

    Attributes:
        status: As it is stored; one that we never wrote keeps the run.
        ended_at: 0 while it hasn't.
        began_at: When its present generation began: the time of the first entry that is kept. 0 without any.
        first: Index of that entry.
        next_index: Of the entry to come.
        parent_began_at: As `began_at`, of the run that started it; 0 where there is none any more.
        is_awaited: Some run is written down as waiting for it.
    """

    id: RunId
    status: str
    created_at: int
    ended_at: int
    began_at: int
    first: int
    next_index: int
    parent_began_at: int
    is_awaited: bool


class Removal(Struct, frozen=True):
    """A run that is forgotten: its record, its idempotency key and what its steps last said, at once.

    Attributes:
        until: Its entries before this index go with the same commit.
        is_whole: No others are left. Else it is found by `remains` until they are gone too.
    """

    run_id: RunId
    until: int
    is_whole: bool


class Batch(Struct):
    """What one commit writes.

    Attributes:
        created: New runs; that one exists already is a mistake.
        changed: Records of runs, to be overwritten.
        retaken: Idempotency keys that stand for another run from now on.
        served: Targets whose waiters have been told; they wait no more.
        trimmed: Runs, and the first entry of their journal that is kept.
        removed: Runs that are kept no longer.
        unwaited: Waits of runs that are over or gone.
        forgotten: Ids of events that are kept no longer.
    """

    entries: list[tuple[RunId, Entry]] = []
    created: list[Run] = []
    changed: list[Run] = []
    events: list[Event] = []
    keys: list[KeyUse] = []
    retaken: list[tuple[str, str, RunId]] = []
    served: list[str] = []
    waiters: list[Waiter] = []
    heartbeats: list[Heartbeat] = []
    trimmed: list[tuple[RunId, int]] = []
    removed: list[Removal] = []
    unwaited: list[Place] = []
    forgotten: list[str] = []


class RunFilter(Struct, frozen=True):
    """Which runs to list; those that started last come first.

    Attributes:
        before: Only runs whose id is less, to go on where a page ended.
        limit: How many, at the most.
    """

    status: Status | None = None
    component: str | None = None
    tag: str | None = None
    before: RunId | None = None
    limit: int = 50


class StoreInfo(Struct, frozen=True):
    """What is to know of a store that was opened.

    Attributes:
        id: Made when the store was created; a copy has the same.
        is_crash: Its last owner didn't close it.
    """

    id: str
    is_crash: bool


class Reader(Protocol):
    """Reads a store."""

    async def run(self, run_id: RunId) -> Run | None:
        """The run of this id."""

    async def journal(self, run_id: RunId) -> list[Entry]:
        """The entries of a run, in order.

        Raises:
            StoreCorrupt: One of them isn't what was written.
        """

    async def last_entry(self, run_id: RunId) -> Entry:
        """The last entry of a run that exists."""

    async def runs(self, wanted: RunFilter) -> list[Run]:
        """Runs, by a filter."""

    async def run_ids(self, prefix: str, limit: int) -> list[RunId]:
        """Ids that begin so."""

    async def children(self, run_id: RunId) -> list[Run]:
        """The runs that this one has started."""

    async def close(self) -> None:
        """Let go of the store."""


class Store(Reader, Protocol):
    """Reads and writes a store, of which it is the only writer."""

    async def open(self) -> StoreInfo:
        """Make it usable: create what is missing, bring what is old up to date.

        Raises:
            JournalLockedError: Another process has it.
            StoreTooNew: A later version wrote it; nothing was changed.
            StoreCorrupt: It isn't what was written.
            StoreError: It can't be used for another reason.
        """

    async def commit(self, batch: Batch) -> None:
        """Write a batch, durably.

        Raises:
            StoreFull: There is no space; nothing was written.
            StoreError: Whether it was written is unknown.
        """

    async def heartbeats(self, run_id: RunId) -> list[Heartbeat]:
        """What the steps of a run last said of themselves."""

    async def event(self, event_id: str) -> Event | None:
        """The event of this id, if it was resolved."""

    async def waiters(self, target: str) -> list[Waiter]:
        """Who waits for this target."""

    async def key_use(self, component: str, key: str) -> KeyUse | None:
        """What an idempotency key stands for."""

    async def live_children(self, run_id: RunId) -> list[RunId]:
        """The runs that this one has started and that have not ended."""

    async def running(self, after: RunId | None, limit: int) -> list[Run]:
        """Runs that are stored as running, by id."""

    async def queued(self, component: str, limit: int) -> list[Run]:
        """Runs of a component that may start now, by id."""

    async def queued_components(self) -> list[str]:
        """Components that have such runs."""

    async def blocked(self, component: str, limit: int) -> list[Run]:
        """Blocked runs of a component, by id."""

    async def due(self, until: int, limit: int) -> list[tuple[int, RunId]]:
        """When the runtime has to look at which runs, up to a time, soonest first."""

    async def aged(self, after: RunId | None, before: RunId, limit: int) -> list[Aged]:
        """Runs whose id is between these two, by id."""

    async def remains(self) -> Aged | None:
        """A run that was removed, and of whose entries some are left."""

    async def waits(self, after: Place | None, limit: int) -> list[tuple[Place, bool]]:
        """Who is written down as waiting, in the order of places, and whether that run is over or gone."""

    async def event_times(self, after: str, limit: int) -> list[tuple[str, int]]:
        """Events that were resolved and when, by id."""

    async def mark_closed(self) -> None:
        """Write down that the owner lets go of the store on purpose."""
