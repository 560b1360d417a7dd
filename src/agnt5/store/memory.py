"""Runs in memory: the reference for what a store does, and where tests make it fail.

Nothing survives its process. What is written is encoded and decoded as by any other store, so that
no object is shared between the one who writes and the one who reads.
"""

from collections.abc import Callable
from typing import Any

from agnt5.core.engine.commands import Waiter
from agnt5.core.engine.state import Event, KeyUse
from agnt5.core.journal.codec import checksum, decode_body, encode_body
from agnt5.core.journal.entry import Entry
from agnt5.core.model.errors import StoreCorrupt
from agnt5.core.model.ids import OperationKey, RunId
from agnt5.core.model.run import TERMINAL, Run, Status
from agnt5.store.port import Aged, Batch, Heartbeat, Place, Removal, RunFilter, StoreInfo
from agnt5.store.records import COLUMNS, row_of, run_of


class MemoryStore:
    """A store in this process's memory.

    Attributes:
        before_commit: Called with each batch before it is written; what it raises is the commit's
            outcome, with nothing written.
        after_commit: Likewise after it is written: the outcome is then unknown to the caller.
    """

    def __init__(self) -> None:
        self.before_commit: Callable[[Batch], None] | None = None
        self.after_commit: Callable[[Batch], None] | None = None
        self._rows: dict[RunId, dict[str, object]] = {}
        # Records of removed runs that have entries left.
        self._remains: dict[RunId, dict[str, object]] = {}
        self._entries: dict[RunId, list[tuple[int, int, bytes, int]]] = {}
        self._events: dict[str, Event] = {}
        self._waiters: dict[str, dict[tuple[RunId, OperationKey], Waiter]] = {}
        self._keys: dict[tuple[str, str], KeyUse] = {}
        self._heartbeats: dict[RunId, dict[OperationKey, Heartbeat]] = {}
        self._is_marked_open = False

    async def open(self) -> StoreInfo:
        was_open, self._is_marked_open = self._is_marked_open, True
        return StoreInfo("memory", is_crash=was_open)

    async def mark_closed(self) -> None:
        self._is_marked_open = False

    async def close(self) -> None:
        """What is in memory stays there, for a runtime that opens it again."""

    async def commit(self, batch: Batch) -> None:
        if self.before_commit is not None:
            self.before_commit(batch)
        self._write(batch)
        if self.after_commit is not None:
            self.after_commit(batch)

    def _write(self, batch: Batch) -> None:
        self._check(batch)
        for run in (*batch.created, *batch.changed):
            self._rows[run.id] = dict(zip(COLUMNS, row_of(run), strict=True))
        for run_id, entry in batch.entries:
            body = encode_body(entry.body)
            self._entries.setdefault(run_id, []).append((entry.index, entry.at, body, checksum(body)))
        for run_id, first in batch.trimmed:
            self._entries[run_id] = [line for line in self._entries[run_id] if line[0] >= first]
        for target in batch.served:
            self._waiters.pop(target, None)
        for waiter in batch.waiters:
            self._waiters.setdefault(waiter.target, {})[waiter.run_id, waiter.key] = waiter
        for event in batch.events:
            self._events[event.id] = event
        for use in batch.keys:
            self._keys[use.component, use.key] = use
        for component, key, run_id in batch.retaken:
            self._keys[component, key] = KeyUse(component, key, run_id, self._keys[component, key].input_digest)
        for beat in batch.heartbeats:
            self._heartbeats.setdefault(beat.run_id, {})[beat.key] = beat
        for removal in batch.removed:
            self._remove(removal)
        for target, run_id, key in batch.unwaited:
            self._waiters[target].pop((run_id, key))
        for event_id in batch.forgotten:
            del self._events[event_id]

    def _remove(self, removal: Removal) -> None:
        run_id = removal.run_id
        row = self._rows.pop(run_id, None)
        if row is not None:
            self._remains[run_id] = row
            self._heartbeats.pop(run_id, None)
            place = (str(row["component"]), str(row["idempotency_key"]))
            if place in self._keys and self._keys[place].run_id == run_id:
                del self._keys[place]
        self._entries[run_id] = [line for line in self._entries.get(run_id, ()) if line[0] >= removal.until]
        if removal.is_whole:
            assert not self._entries.pop(run_id), f"of run {run_id} entries are left that nobody would find"
            del self._remains[run_id]

    def _check(self, batch: Batch) -> None:
        """What other stores' keys refuse is found before anything is written: all or nothing."""
        for run in batch.created:
            assert run.id not in self._rows, f"run {run.id} is created twice"
        last = {run_id: lines[-1][0] for run_id, _ in batch.entries if (lines := self._entries.get(run_id))}
        for run_id, entry in batch.entries:
            assert entry.index > last.get(run_id, -1), f"entry {entry.index} of run {run_id} is written twice"
            last[run_id] = entry.index
        assert not any(event.id in self._events for event in batch.events), "an event is resolved twice"
        assert not any((use.component, use.key) in self._keys for use in batch.keys), "a key is used twice"

    # Reading

    async def run(self, run_id: RunId) -> Run | None:
        row = self._rows.get(run_id)
        if row is None:
            return None
        lines = self._entries.get(run_id, ())
        return run_of(row, lines[-1][0] + 1 if lines else 0, lines[-1][1] if lines else 0)

    async def journal(self, run_id: RunId) -> list[Entry]:
        return [_entry(run_id, line) for line in self._entries.get(run_id, ())]

    async def last_entry(self, run_id: RunId) -> Entry:
        return _entry(run_id, self._entries[run_id][-1])

    async def runs(self, wanted: RunFilter) -> list[Run]:
        found: list[Run] = []
        for run_id in sorted(self._rows, reverse=True):
            run = await self.run(run_id)
            if run is not None and _is_wanted(run, wanted) and len(found) < wanted.limit:
                found.append(run)
        return found

    async def run_ids(self, prefix: str, limit: int) -> list[RunId]:
        return sorted(run_id for run_id in self._rows if run_id.startswith(prefix))[:limit]

    async def children(self, run_id: RunId) -> list[Run]:
        return [run for run in await self._all() if run.link is not None and run.link.run == run_id]

    async def heartbeats(self, run_id: RunId) -> list[Heartbeat]:
        return list(self._heartbeats.get(run_id, {}).values())

    async def event(self, event_id: str) -> Event | None:
        return self._events.get(event_id)

    async def waiters(self, target: str) -> list[Waiter]:
        return list(self._waiters.get(target, {}).values())

    async def key_use(self, component: str, key: str) -> KeyUse | None:
        return self._keys.get((component, key))

    async def live_children(self, run_id: RunId) -> list[RunId]:
        return [run.id for run in await self.children(run_id) if not run.status.is_terminal]

    async def running(self, after: RunId | None, limit: int) -> list[Run]:
        runs = [run for run in await self._all() if run.status is Status.RUNNING and run.id > (after or "")]
        return runs[:limit]

    async def queued(self, component: str, limit: int) -> list[Run]:
        return [run for run in await self._startable() if run.component == component][:limit]

    async def queued_components(self) -> list[str]:
        return sorted({run.component for run in await self._startable()})

    async def blocked(self, component: str, limit: int) -> list[Run]:
        runs = [run for run in await self._all() if run.status is Status.BLOCKED and run.component == component]
        return runs[:limit]

    async def due(self, until: int, limit: int) -> list[tuple[int, RunId]]:
        found = sorted((run.wake_at, run.id) for run in await self._all() if 0 < run.wake_at <= until)
        return found[:limit]

    # What is kept no longer

    async def aged(self, after: RunId | None, before: RunId, limit: int) -> list[Aged]:
        ids = sorted(run_id for run_id in self._rows if (after or "") < run_id < before)
        return [self._aged(run_id, self._rows[run_id]) for run_id in ids[:limit]]

    async def remains(self) -> Aged | None:
        return next((self._aged(run_id, row) for run_id, row in sorted(self._remains.items())), None)

    def _aged(self, run_id: RunId, row: dict[str, Any]) -> Aged:
        lines = self._entries.get(run_id, [])
        parent = row["parent"]
        return Aged(
            run_id,
            row["status"],
            row["created_at"],
            row["ended_at"],
            self._began_at(run_id),
            lines[0][0] if lines else 0,
            lines[-1][0] + 1 if lines else 0,
            self._began_at(parent) if parent in self._rows else 0,
            bool(self._waiters.get(f"run:{run_id}")),
        )

    def _began_at(self, run_id: RunId) -> int:
        return next((line[1] for line in self._entries.get(run_id, ())), 0)

    async def waits(self, after: Place | None, limit: int) -> list[tuple[Place, bool]]:
        places = sorted((target, *place) for target, waiting in self._waiters.items() for place in waiting)
        found = [place for place in places if after is None or place > after][:limit]
        return [(place, self._is_over(place[1])) for place in found]

    def _is_over(self, run_id: RunId) -> bool:
        row = self._rows.get(run_id)
        return row is None or row["status"] in TERMINAL

    async def event_times(self, after: str, limit: int) -> list[tuple[str, int]]:
        return [(event.id, event.at) for _, event in sorted(self._events.items()) if event.id > after][:limit]

    async def _all(self) -> list[Run]:
        runs = [await self.run(run_id) for run_id in sorted(self._rows)]
        return [run for run in runs if run is not None]

    async def _startable(self) -> list[Run]:
        return [run for run in await self._all() if run.status is Status.QUEUED and not run.wake_at]


def _entry(run_id: RunId, line: tuple[int, int, bytes, int]) -> Entry:
    position, at, body, written = line
    if checksum(body) != written:
        raise StoreCorrupt(
            f"entry {position} of run {run_id} isn't what was written: its checksum differs",
            why="the memory was changed from outside",
            fix="start afresh",
            run_id=run_id,
            position=position,
        )
    return Entry(position, at, decode_body(body))


def _is_wanted(run: Run, wanted: RunFilter) -> bool:
    return (
        (wanted.status is None or run.status is wanted.status)
        and (wanted.component is None or run.component == wanted.component)
        and (wanted.tag is None or wanted.tag in run.tags)
        and (wanted.before is None or run.id < wanted.before)
    )
