"""Reads a journal beside whoever writes it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from agnt5.cli.printable import one_line
from agnt5.config import journal_path
from agnt5.core.journal.entry import Ended, Entry
from agnt5.core.model.errors import InvalidInput, UnknownRun
from agnt5.core.model.ids import RUN_ID_CHARS, RunId
from agnt5.core.model.run import Run
from agnt5.store.port import RunFilter
from agnt5.store.sqlite.reader import SqliteReader

_CANDIDATES_MAX: Final = 10  # That an ambiguous prefix lists; arbitrary.


class Record(Struct, frozen=True):
    """A run with all that its journal holds, of one moment.

    Attributes:
        children: The runs that it has started, by id.
    """

    run: Run
    entries: list[Entry]
    children: dict[str, Run]


class Listed(Struct, frozen=True):
    """A run, and how it ended if it has."""

    run: Run
    ended: Ended | None


@asynccontextmanager
async def reading(store: str | None) -> AsyncIterator[SqliteReader]:
    """A reader of the journal that a URL stands for, or of that of AGNT5_HOME.

    Raises:
        StoreError: It isn't there, or can't be read.
    """
    reader = SqliteReader(journal_path(store))
    await reader.open_read_only()
    try:
        yield reader
    finally:
        await reader.close()


async def read_record(reader: SqliteReader, prefix: str) -> Record:
    """The run whose id begins so, with all that its journal holds.

    Raises:
        UnknownRun: There is none.
        InvalidInput: There are several.
    """
    with reader.snapshot():
        run = await find_run(reader, prefix)
        children: dict[str, Run] = {child.id: child for child in await reader.children(run.id)}
        return Record(run, await reader.journal(run.id), children)


async def find_run(reader: SqliteReader, prefix: str) -> Run:
    """The run whose id begins so; within a snapshot.

    Raises:
        UnknownRun: There is none.
        InvalidInput: There are several.
    """
    prefix = prefix.strip().lower()
    is_possible = prefix and len(prefix) <= RUN_ID_CHARS and set(prefix) <= set("0123456789abcdef")
    ids = await reader.run_ids(prefix, _CANDIDATES_MAX + 1) if is_possible else []
    if len(ids) > 1:
        raise await _ambiguous(reader, prefix, ids)
    run = await reader.run(ids[0]) if ids else None
    if run is None:
        raise UnknownRun(
            f"no run in {reader.path.absolute()} has an id that begins with {one_line(prefix)!r}",
            why="it was mistyped, or the run is in another journal",
            fix="`agnt5 runs list` shows what there is; --store or AGNT5_HOME say where",
            run_id=prefix,
        )
    return run


async def _ambiguous(reader: SqliteReader, prefix: str, ids: list[RunId]) -> InvalidInput:
    candidates = []
    for run_id in ids[:_CANDIDATES_MAX]:
        run = await reader.run(run_id)
        assert run is not None, "within a snapshot nothing goes away"
        candidates.append(f"{run.id}  {run.status.value:<9}  {run.component}")
    if len(ids) > _CANDIDATES_MAX:
        candidates.append("… and more")
    return InvalidInput(
        "\n".join([f"{prefix!r} is the beginning of several run ids:", *candidates]),
        why="runs that start together, and runs and their children, have ids that begin alike",
        fix="give more of the id",
        candidates=list(ids),
    )


async def read_list(reader: SqliteReader, wanted: RunFilter) -> list[Listed]:
    """Runs by a filter, those that started last first."""
    with reader.snapshot():
        listed = []
        for run in await reader.runs(wanted):
            body = (await reader.last_entry(run.id)).body if run.status.is_terminal else None
            listed.append(Listed(run, body if isinstance(body, Ended) else None))
        return listed
