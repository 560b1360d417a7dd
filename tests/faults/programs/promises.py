"""Notes what the runtime has promised, outside of agnt5, each with how much the disk had been told by then.

The process runs beneath `preload/recorder.c`. PROMISES names the file; each of its lines is a JSON array of the
number of operations recorded by then, what is promised, and its particulars.
"""

import ctypes
import json
import os

from agnt5 import config
from agnt5.store.port import Batch, StoreInfo
from agnt5.store.sqlite.store import SqliteStore

SYNCHRONOUS = os.environ.get("SYNCHRONOUS", "")  # Other than what the product has, to see what that does.
CHECKPOINT_PAGES = 40  # Few enough for the log to be copied into the file again and again.

_position = ctypes.CDLL(None).recording_position
_position.restype = ctypes.c_int64
_file = os.open(os.environ["PROMISES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
_written = 0


def promised(kind: str, *particulars: object) -> None:
    """Write down what has just been acknowledged."""
    os.write(_file, json.dumps([_position(), kind, *particulars]).encode() + b"\n")


class PromisingStore(SqliteStore):
    """A journal that says of each commit that it is there to stay."""

    async def open(self) -> StoreInfo:
        info = await super().open()
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        if SYNCHRONOUS:
            self._connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        return info

    async def commit(self, batch: Batch) -> None:
        global _written
        await super().commit(batch)
        _written += len(batch.entries)
        promised("committed", _written)


# Every runtime that this process makes by a URL stands on it.
config.SqliteStore = PromisingStore
