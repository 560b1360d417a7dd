"""One process at a time writes a journal: a lock beside the file, which ends with its holder.

The lock is not on the journal itself. On POSIX systems, closing any descriptor of a file gives up
all locks that the process has on it, and those are how SQLite keeps the file whole.
"""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any, Final

from agnt5.core.model.errors import JournalLockedError, StoreError

# A command that asks who has the journal shares the lock for some microseconds; that is no other writer.
TRIES: Final = 3
TRY_SECONDS: Final = 0.002

_held: dict[str, int] = {}  # Paths that this process holds, with its pid: a forked child holds nothing.


class JournalLock:
    """Holds a journal for this process, until it is released or the process is gone."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._path = journal.with_name(f"{journal.name}.lock")
        self._file: int | None = None

    def acquire(self) -> dict[str, Any]:
        """Take the lock.

        Returns:
            What the last holder left in it.

        Raises:
            JournalLockedError: Another process has it, or another runtime in this one.
            StoreError: The file can't be opened.
        """
        name = str(self._path)
        if _held.get(name) == os.getpid():
            raise self._locked({"pid": os.getpid()})
        try:
            file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"the lock {name} can't be opened: {error.strerror}",
                why="the directory is read-only, or belongs to somebody else",
                fix="set AGNT5_HOME to a directory that this process may write to",
            ) from error
        if not _is_taken(file):
            said = _read(file)
            os.close(file)
            raise self._locked(said)
        self._file = file
        _held[name] = os.getpid()
        return _read(file)

    def write(self, facts: dict[str, Any]) -> None:
        """Leave something for whoever finds the lock taken, or takes it next."""
        assert self._file is not None, "only a lock that is held is written"
        text = json.dumps({"pid": os.getpid(), **facts}).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text, 0)

    def release(self) -> None:
        """Let go of the journal."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            _held.pop(str(self._path), None)

    def abandon(self) -> None:
        """In a forked child: close the copy of the parent's lock, which stays the parent's."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _locked(self, said: dict[str, Any]) -> JournalLockedError:
        pid = said.get("pid", "unknown")
        here = pid == os.getpid()
        return JournalLockedError(
            f"the journal {self._journal} is in use by "
            + ("another runtime of this process" if here else f"process {pid}"),
            why="one journal has one writer at a time",
            fix="use the runtime that is there, or give this one a journal of its own with store= or AGNT5_HOME"
            if here
            else f"wait until process {pid} has ended, give this one a journal of its own with AGNT5_HOME, or let "
            "both use one server; `agnt5 runs list` reads the journal beside it",
            pid=pid,
            journal=str(self._journal),
        )


def _is_taken(file: int) -> bool:
    for _ in range(TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(TRY_SECONDS)
        else:
            return True
    return False


def _read(file: int) -> dict[str, Any]:
    text = os.pread(file, 4096, 0)
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
