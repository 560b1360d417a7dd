"""Notices that somebody has moved, removed, cut off or restored the files of a journal that is in use.

SQLite goes on writing to a file that has lost its name, and into one that was overwritten in place. The first
would be lost with the process, and the second would make one file of two. So each commit looks before and after:
the names still lead to the files that were opened, none is shorter than it was left, and the first bytes of the
journal, which tell its size and count its changes, are those that were left there.
"""

import ctypes
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from agnt5.core.model.errors import StoreError

_HEADER_BYTES: Final = 100  # https://www.sqlite.org/fileformat.html, section 1.3.


class FileWatch:
    """Watches the files of one open journal.

    Attributes:
        is_broken: They have been found to be others.
    """

    def __init__(self, journal: Path) -> None:
        self.is_broken = False
        self._journal = journal
        self._names = [str(journal), f"{journal}-wal", f"{journal}.lock"]
        self._file: int | None = None
        self._header = b""
        self._stamps: list[tuple[int, int]] = []
        self._sizes = [0, 0, 0]

    def start(self) -> None:
        """Take the files as they are now for those that there should be."""
        # Open until the connection is closed: closing it gives up the locks that SQLite has on the file.
        self._file = os.open(self._journal, os.O_RDONLY | os.O_CLOEXEC)
        self._stamps = [(found.st_dev, found.st_ino) for found in map(os.stat, self._names)]
        self.note()

    def check(self) -> None:
        """See that nobody has touched the files since they were noted.

        Raises:
            StoreError: Somebody has.
        """
        sizes, header = self._look()
        if header != self._header:
            raise self._broken("was overwritten")
        if any(now < before for now, before in zip(sizes, self._sizes, strict=True)):
            raise self._broken("was cut off")

    def note(self) -> None:
        """Remember how we have left the files.

        Raises:
            StoreError: What we have written went to files that aren't there any more.
        """
        self._sizes, self._header = self._look()

    def is_displaced(self) -> bool:
        """Whether the files are others by now."""
        if self._file is not None and not self.is_broken:
            # It says so of itself.
            with suppress(StoreError):
                self.check()
        return self.is_broken

    def _look(self) -> tuple[list[int], bytes]:
        assert self._file is not None, "files are watched while they are open"
        sizes = []
        for name, stamp in zip(self._names, self._stamps, strict=True):
            try:
                found = os.stat(name)
            except OSError:
                raise self._broken(f"has lost its {Path(name).name}") from None
            if (found.st_dev, found.st_ino) != stamp:
                raise self._broken(f"has another {Path(name).name} in its place")
            sizes.append(found.st_size)
        return sizes, os.pread(self._file, _HEADER_BYTES, 0)

    def _broken(self, said: str) -> StoreError:
        self.is_broken = True
        return StoreError(
            f"the journal {self._journal} {said} while it was in use",
            why="another program moved, deleted or restored its files",
            fix="end this process, put the right file there, without a -wal and -shm of another, and start again",
            journal=str(self._journal),
        )

    def stop(self) -> None:
        """The connection is closed."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def never_close(connection: sqlite3.Connection) -> None:
    """Keep a connection open until the process ends: closing it would copy its log into a file that isn't its own."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
