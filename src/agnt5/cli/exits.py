"""The exit codes of the `agnt5` command; scripts may rely on them."""

from enum import IntEnum
from typing import Final

from agnt5.core.model.errors import (
    Agnt5Error,
    ConflictError,
    InvalidInput,
    RunBlockedError,
    RunCancelledError,
    StoreError,
    Unavailable,
    UnknownComponent,
    UnknownRun,
    UnserializableValue,
)
from agnt5.core.model.run import Status


class Exit(IntEnum):
    """What a command came to."""

    OK = 0
    FAILED = 1
    USAGE = 2  # As click has it.
    BLOCKED = 3
    CANCELLED = 4
    UNKNOWN = 5
    STORE = 6
    DIVERGENT = 7
    MISSING = 8
    INTERNAL = 70  # EX_SOFTWARE of sysexits.h.
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it.


MEANINGS: Final = {
    Exit.OK: "done",
    Exit.FAILED: "the run failed, or the demo's proof did not hold",
    Exit.USAGE: "the command or its input can't be meant",
    Exit.BLOCKED: "the run is blocked: it waits for a human",
    Exit.CANCELLED: "the run was cancelled",
    Exit.UNKNOWN: "no such run or component",
    Exit.STORE: "the journal is missing, locked, damaged or too new, or the runtime stopped",
    Exit.DIVERGENT: "preflight: the code does not fit a run in flight",
    Exit.MISSING: "preflight: a run in flight is of a component that the code does not have",
    Exit.INTERNAL: "a bug in agnt5",
    Exit.INTERRUPTED: "interrupted with Ctrl-C; runs stay resumable",
}

_ERRORS: Final[tuple[tuple[type[Agnt5Error], Exit], ...]] = (
    (InvalidInput, Exit.USAGE),
    (UnserializableValue, Exit.USAGE),
    (ConflictError, Exit.USAGE),
    (UnknownComponent, Exit.UNKNOWN),
    (UnknownRun, Exit.UNKNOWN),
    (RunBlockedError, Exit.BLOCKED),
    (RunCancelledError, Exit.CANCELLED),
    (StoreError, Exit.STORE),
    (Unavailable, Exit.STORE),
)
_STATUSES: Final = {
    Status.COMPLETED: Exit.OK,
    Status.FAILED: Exit.FAILED,
    Status.BLOCKED: Exit.BLOCKED,
    Status.CANCELLED: Exit.CANCELLED,
}


def exit_of_error(error: Agnt5Error) -> Exit:
    """The code for a command that ended with one of our errors."""
    return next((code for cls, code in _ERRORS if isinstance(error, cls)), Exit.INTERNAL)


def exit_of_status(status: Status) -> Exit:
    """The code for a run that ended so, or is blocked."""
    return _STATUSES[status]
