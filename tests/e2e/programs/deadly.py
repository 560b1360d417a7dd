"""Kills its own process at a point that the environment names, and writes effects where no kill can undo them.

    EFFECTS        file that effects are appended to, each on the disk before the step goes on
    DIE_ENTRIES    die when so many journal entries have been written, counted in this process
    DIE_WHEN       `committed`: as soon as they are durable, before anybody has heard of it
                   `torn`: in the middle of the commit after that one; so what they led to has been set going
    DIE_IN         `before LINE` or `after LINE`: die in the step with that effect, on either side of it
"""

import os
import signal

from agnt5 import config
from agnt5.store.port import Batch
from agnt5.store.sqlite.store import SqliteStore

EFFECTS = os.environ.get("EFFECTS", os.devnull)
DIE_ENTRIES = int(os.environ.get("DIE_ENTRIES", "-1"))
DIE_WHEN = os.environ.get("DIE_WHEN", "committed")
DIE_IN = os.environ.get("DIE_IN", "")


def die() -> None:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


def note(line: str) -> None:
    """Append a line to the log of effects; it survives everything from here on."""
    file = os.open(EFFECTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{line}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)


def effect(line: str) -> None:
    """What a step does to the world."""
    if f"before {line}" == DIE_IN:
        die()
    note(f"effect {line}")
    if f"after {line}" == DIE_IN:
        die()


class DeadlyStore(SqliteStore):
    """A journal whose owner dies at the point named."""

    _written = 0

    async def commit(self, batch: Batch) -> None:
        await super().commit(batch)
        self._written += len(batch.entries)
        if DIE_WHEN == "committed" and 0 <= DIE_ENTRIES <= self._written:
            die()

    def _write(self, batch: Batch) -> None:
        super()._write(batch)
        if DIE_WHEN == "torn" and 0 <= DIE_ENTRIES <= self._written:
            die()


# Every runtime that this process makes by a URL stands on it.
config.SqliteStore = DeadlyStore
