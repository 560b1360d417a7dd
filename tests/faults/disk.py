"""What a disk may hold when the power goes, worked out from a recording of what a process did to it.

Surely there is what was synced: the bytes of a file up to its last sync, the names of a directory up to its
last. Of all that came later, each write may be there, be missing, be there in some of its sectors and not in
others, and come before one that was issued earlier.
"""

import struct
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path, PurePath
from random import Random
from typing import Final, NamedTuple

SECTOR_BYTES: Final = 512  # What a disk writes whole or not at all.
_RECORD: Final = struct.Struct("=cHQQ")


class Operation(NamedTuple):
    """One thing that was done to the disk; the kinds are those of `preload/recorder.c`."""

    kind: str
    name: str
    offset: int
    data: bytes


class Loss(StrEnum):
    """What becomes of all that was not synced."""

    DROPPED = "dropped"
    TORN = "torn"
    NOTHING = "nothing"  # As when the process is killed, and the system lives on.


def recording(path: Path, folder: Path) -> list[Operation]:
    """The operations of a recording, on names in a folder; the folder's own name is `.`."""
    content = path.read_bytes()
    operations = []
    place = 0
    while place < len(content):
        kind, path_bytes, offset, data_bytes = _RECORD.unpack_from(content, place)
        place += _RECORD.size
        name = content[place : place + path_bytes].decode()
        place += path_bytes
        data = content[place : place + data_bytes]
        place += data_bytes
        if kind == b"R":
            data = _name(data.decode(), folder).encode()
        operations.append(Operation(kind.decode(), _name(name, folder), offset, data))
    return operations


def _name(path: str, folder: Path) -> str:
    return str(PurePath(path).relative_to(folder))


class File:
    """The bytes of one file that are surely on the disk, and what was done to it since."""

    def __init__(self, synced: bytes = b"") -> None:
        self._synced = bytearray(synced)
        self._pending: list[Operation] = []

    def change(self, operation: Operation) -> None:
        """Write to it or truncate it, in the system's memory."""
        self._pending.append(operation)

    def sync(self) -> None:
        """Bring everything to the disk."""
        for operation in self._pending:
            _apply(self._synced, operation)
        self._pending.clear()

    def after(self, loss: Loss, chance: Random) -> bytes:
        """What there is of it after the power has gone."""
        content = bytearray(self._synced)
        if loss is not Loss.DROPPED:
            for operation in self._pending if loss is Loss.NOTHING else _torn(self._pending, chance):
                _apply(content, operation)
        return bytes(content)


def _apply(content: bytearray, operation: Operation) -> None:
    end = operation.offset
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    if operation.kind == "T":
        del content[end:]
    else:
        content[end : end + len(operation.data)] = operation.data


def _torn(pending: Iterable[Operation], chance: Random) -> list[Operation]:
    """Some of the writes, whole or in part, in any order."""
    left: list[Operation] = []
    for operation in pending:
        fate = chance.random()
        if fate < 0.4:
            left.append(operation)
        elif fate < 0.8 and operation.kind == "W":
            for start in range(0, len(operation.data), SECTOR_BYTES):
                if chance.random() < 0.5:
                    sector = operation.data[start : start + SECTOR_BYTES]
                    left.append(operation._replace(offset=operation.offset + start, data=sector))
    if chance.random() < 0.5:
        chance.shuffle(left)
    return left


class Disk:
    """One directory, as the process sees it and as the disk has it.

    Args:
        files: What was there before the recording.
    """

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self._seen = {name: File(content) for name, content in (files or {}).items()}
        self._synced = dict(self._seen)
        self._pending: list[tuple[str, File | None]] = []

    def take(self, operation: Operation) -> None:
        """Do what was recorded."""
        name = operation.name
        match operation.kind:
            case "C":
                self._give_name(name, File())
            case "U":
                self._give_name(name, None)
            case "R":
                self._give_name(operation.data.decode(), self._seen[name])
                self._give_name(name, None)
            case "S" if name == ".":
                self._synced = dict(self._seen)
                self._pending.clear()
            case "S":
                self._seen[name].sync()
            case _:
                self._seen[name].change(operation)

    def _give_name(self, name: str, file: File | None) -> None:
        if file is None:
            del self._seen[name]
        else:
            self._seen[name] = file
        self._pending.append((name, file))

    def after(self, loss: Loss, chance: Random) -> dict[str, bytes]:
        """The files that there are after the power has gone."""
        names = dict(self._synced)
        # File systems keep changes of names in order: those that are there are the first ones.
        count = {Loss.DROPPED: 0, Loss.NOTHING: len(self._pending)}.get(loss, chance.randint(0, len(self._pending)))
        for name, file in self._pending[:count]:
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file
        return {name: file.after(loss, chance) for name, file in names.items()}
