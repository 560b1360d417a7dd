"""Opens what a power loss has left of a journal, and says what is wrong with it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from agnt5.core.engine.invariants import check_journal
from agnt5.core.journal.entry import Body, CancelRequested, Ended, Entry, Outcome, Signal
from agnt5.core.model.errors import StoreError
from agnt5.core.model.ids import RunId
from agnt5.store.port import RunFilter
from agnt5.store.sqlite.store import SqliteStore

from .disk import Disk, Loss, Operation

JOURNAL = "journal.db"
Journals = dict[RunId, list[Entry]]


class Promise(NamedTuple):
    """What had been acknowledged by the time so many operations were recorded."""

    position: int
    kind: str
    particulars: tuple[str | int, ...]


class Image(NamedTuple):
    """What is on the disk after the power has gone.

    Attributes:
        position: How many operations there had been.
    """

    position: int
    loss: Loss
    files: dict[str, bytes]


def promises_of(path: Path) -> list[Promise]:
    """What `programs/promises.py` has noted."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [Promise(position, kind, tuple(particulars)) for position, kind, *particulars in lines]


def images(
    operations: Sequence[Operation], losses: Sequence[Loss], chance: Random, before: dict[str, bytes] | None = None
) -> Iterator[Image]:
    """A power loss of each sort at every point of a recording.

    Args:
        before: The files that were there when it began.
    """
    disk = Disk(before)
    for position in range(len(operations) + 1):
        if position:
            disk.take(operations[position - 1])
        for loss in losses:
            yield Image(position, loss, disk.after(loss, chance))


def lay_out(image: Image, folder: Path, chance: Random) -> Path:
    """Write the files of an image to an empty folder; returns the journal."""
    for name, content in image.files.items():
        (folder / name).write_bytes(content)
    if f"{JOURNAL}-wal" in image.files and chance.random() < 0.5:
        # The index of the log is never synced: there may be anything in it.
        (folder / f"{JOURNAL}-shm").write_bytes(chance.randbytes(32_768))
    return folder / JOURNAL


class Judge:
    """Knows what was promised, and what was written in the end.

    Args:
        promises: In the order of their making.
        final: The journals of all runs as they were when nothing had gone wrong.
    """

    def __init__(self, promises: Sequence[Promise], final: Journals) -> None:
        self._promises = promises
        self._final = final
        # A commit is there or not: so many entries have there been at some time, and no other number.
        self._counts = {0} | {promise.particulars[0] for promise in promises if promise.kind == "committed"}

    async def verdict(self, image: Image, journal: Path) -> str:
        """What is wrong with the image; nothing, if it is empty."""
        store = SqliteStore(journal)
        try:
            await store.open()
            found = await journals_of(store)
            return await self._broken_promise(store, found, image) or self._nonsense(found)
        except StoreError as error:
            return f"{type(error).__name__}: {error.what}"
        except AssertionError as error:
            return f"it isn't one that the engine has written: {error}"
        finally:
            await store.close()

    async def _broken_promise(self, store: SqliteStore, found: Journals, image: Image) -> str:
        count = sum(map(len, found.values()))
        for promise in self._promises:
            if promise.position > image.position:
                continue
            kind, particulars = promise.kind, promise.particulars
            if kind == "event":
                is_kept = await store.event(str(particulars[0])) is not None
            elif kind == "committed":
                is_kept = count >= int(particulars[0])
            else:
                is_kept = _is_kept(kind, found.get(RunId(str(particulars[0])), []), particulars[1:])
            if not is_kept:
                return f"lost: {kind} {particulars}, acknowledged at {promise.position}"
        return ""

    def _nonsense(self, found: Journals) -> str:
        for run_id, entries in found.items():
            check_journal(entries)
            if entries != self._final[run_id][: len(entries)]:
                return f"run {run_id} has entries that were never written"
        count = sum(map(len, found.values()))
        return "" if count in self._counts else f"half of a commit is there: {count} entries"


def _is_kept(kind: str, entries: list[Entry], particulars: tuple[str | int, ...]) -> bool:
    bodies = [entry.body for entry in entries]
    match kind:
        case "run":
            return bool(bodies)
        case "outcome":
            return any(isinstance(body, Outcome) and body.name == particulars[0] for body in bodies)
        case "signal":
            return _has(bodies, Signal)
        case "cancel":
            return _has(bodies, CancelRequested)
        case "result":
            return _has(bodies, Ended)
        case _:
            raise AssertionError(f"nobody promises a {kind}")


def _has(bodies: list[Body], kind: type[Body]) -> bool:
    return any(isinstance(body, kind) for body in bodies)


async def journals_of(store: SqliteStore) -> Journals:
    """Every journal of a store."""
    return {run.id: await store.journal(run.id) for run in await store.runs(RunFilter(limit=1000))}
