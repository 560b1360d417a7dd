"""Looks at all that a journal file holds, and tells what of it isn't what was written.

It reads run by run, so that what is damaged is named and the rest looked at all the same. All is
read as it is at one moment, beside whoever writes.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from agnt5.core.journal.entry import Ended, Entry
from agnt5.core.model.errors import StoreCorrupt
from agnt5.core.model.ids import RunId
from agnt5.store.records import run_of
from agnt5.store.sqlite.opening import looking_at, text_of
from agnt5.store.sqlite.reader import _RUN, ENTRIES, entry_of
from agnt5.store.sqlite.removing import REMOVED

PAGE: Final = 500  # Runs between two calls of `progress`.
FILE_FINDINGS_MAX: Final = 100  # Of SQLite's own; arbitrary.


class Finding(Struct, frozen=True):
    """Something that isn't as it should be.

    Attributes:
        where: `file`, `record`, `entry`, `journal`, `key` or `event`.
        position: Of the entry.
    """

    where: str
    what: str
    run_id: RunId | None = None
    component: str = ""
    position: int | None = None


class Checked(Struct):
    """What was looked at, and what was found."""

    schema: int = 0
    runs: int = 0
    entries: int = 0
    findings: list[Finding] = []

    @property
    def damaged(self) -> list[RunId]:
        """The runs that something was found in, by id."""
        return sorted({finding.run_id for finding in self.findings if finding.run_id is not None})


def check_journal(path: Path, progress: Callable[[int, int], None]) -> Checked:
    """Look at a whole journal.

    Args:
        progress: Told how many runs have been looked at, and of how many.

    Raises:
        StoreError: It can't be read at all.
    """
    with looking_at(path) as connection:
        connection.row_factory = sqlite3.Row
        connection.text_factory = text_of
        return _Check(connection, progress).all()


class _Check:
    def __init__(self, connection: sqlite3.Connection, progress: Callable[[int, int], None]) -> None:
        self._connection = connection
        self._progress = progress
        self._found = Checked()

    def all(self) -> Checked:
        [[self._found.schema]] = self._connection.execute("PRAGMA user_version")
        for look in (self._file, self._runs, self._strays, self._keys, self._events):
            try:
                look()
            except sqlite3.DatabaseError as error:
                # A damaged page ends this look; what isn't on it is found by the others.
                self._note("file", str(error))
        return self._found

    def _note(self, where: str, what: str, run_id: RunId | None = None, **facts: Any) -> None:
        self._found.findings.append(Finding(where, what, run_id, **facts))

    def _file(self) -> None:
        for [said] in self._connection.execute(f"PRAGMA integrity_check({FILE_FINDINGS_MAX})"):
            if said != "ok":
                for line in said.splitlines():
                    self._note("file", line)

    def _runs(self) -> None:
        [[total]] = self._connection.execute("SELECT count(*) FROM runs WHERE partition = 0")
        after = ""
        while True:
            page = self._connection.execute(f"{_RUN} AND r.id > ? ORDER BY r.id LIMIT {PAGE}", (after,)).fetchall()
            for row in page:
                after = row["id"]
                self._found.runs += 1
                try:
                    self._run(row)
                except sqlite3.DatabaseError as error:
                    self._note("journal", f"its journal can't be read: {error}", after, component=row["component"])
            self._progress(self._found.runs, total)
            if len(page) < PAGE:
                break

    def _run(self, row: sqlite3.Row) -> None:
        run_id, component = row["id"], row["component"]
        is_over = None
        try:
            is_over = run_of(row, 0, 0).status.is_terminal
        except StoreCorrupt as error:
            self._note("record", error.what, run_id, component=component)
        last: Entry | None = None
        expected = None
        for line in self._connection.execute(f"{ENTRIES} ORDER BY position", (run_id,)):
            self._found.entries += 1
            position = line["position"]
            if expected is not None and position != expected:
                said = f"{position - expected} entries before entry {position} are missing"
                self._note("journal", said, run_id, component=component, position=expected)
            expected = position + 1
            last = self._entry(run_id, component, line, last)
        if expected is None:
            self._note("journal", "it has no entries", run_id, component=component)
        elif last is not None and is_over is not None and is_over != isinstance(last.body, Ended):
            said = f"its record says {row['status']}, and its journal has {'no' if is_over else 'an'} end"
            self._note("journal", said, run_id, component=component)

    def _entry(self, run_id: RunId, component: str, line: sqlite3.Row, before: Entry | None) -> Entry | None:
        position = line["position"]
        try:
            entry = entry_of(run_id, line)
        except (StoreCorrupt, TypeError, ValueError) as error:
            self._note("entry", said_of(error), run_id, component=component, position=position)
            return None
        if before is not None and entry.at < before.at:
            said = f"entry {position} is older than the one before"
            self._note("journal", said, run_id, component=component, position=position)
        return entry

    def _strays(self) -> None:
        """Entries of no run, but for those that are being removed."""
        after = ""
        while True:
            rows = self._connection.execute(
                "SELECT run_id FROM journal WHERE partition = 0 AND run_id > ? ORDER BY run_id LIMIT 1", (after,)
            ).fetchall()
            if not rows:
                return
            [[after]] = rows
            known = self._connection.execute(
                f"SELECT 1 FROM runs WHERE partition IN (0, {REMOVED}) AND id = ?", (after,)
            ).fetchall()
            if not known:
                self._note("journal", "it has entries and no record", RunId(after))

    def _keys(self) -> None:
        rows = self._connection.execute(
            "SELECT component, key, run_id FROM idempotency_keys k WHERE partition = 0 "
            "AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.partition = 0 AND r.id = k.run_id)"
        )
        for row in rows:
            said = f"idempotency key {row['key']!r} stands for a run that isn't there"
            self._note("key", said, RunId(row["run_id"]), component=row["component"])

    def _events(self) -> None:
        rows = self._connection.execute("SELECT id FROM events WHERE partition = 0 AND NOT json_valid(payload)")
        for [event_id] in rows:
            self._note("event", f"the payload of event {event_id!r} can't be read")


def said_of(error: Exception) -> str:
    """What an error says, without its advice."""
    return error.what if isinstance(error, StoreCorrupt) else f"{type(error).__name__}: {error}"
