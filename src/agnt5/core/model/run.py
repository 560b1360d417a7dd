"""A run as the runtime keeps it: where it is in its life, who holds it and what it waits for."""

from enum import StrEnum
from typing import Final

from msgspec import Raw, Struct

from agnt5.core.model.ids import OperationKey, RunId, WorkerId
from agnt5.core.model.payload import NOTHING


class Status(StrEnum):
    """Where a run is in its life.

    QUEUED ---> RUNNING <---> SUSPENDED          COMPLETED, FAILED, CANCELLED end it
                   |
                BLOCKED  until a human, or other code, makes it go on
    """

    QUEUED = "queued"
    RUNNING = "running"
    SUSPENDED = "suspended"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Failure(Struct, frozen=True, gc=False, omit_defaults=True):
    """An exception, written down.

    Attributes:
        type: Module and qualified name.
        message: What `str` made of it.
        data: What it takes to make it again, as the SDK encodes it; nothing if it can't be.
        traceback: As text, for people.
    """

    type: str
    message: str = ""
    data: Raw = NOTHING
    traceback: str = ""


class Timer(Struct, frozen=True, gc=False, omit_defaults=True):
    """A timer that the body has set.

    Attributes:
        due: Microseconds since the epoch.
        n: The order of setting in the attempt; `WAKE` for one that the body doesn't see.
        label: What it is for, for people.
    """

    due: int
    n: int
    label: str = ""
    site: str = ""


WAKE: Final = -1  # The worker has something to do at that time, such as the next attempt of a step.


class Wait(Struct, frozen=True, gc=False, omit_defaults=True):
    """Something a suspended body waits for, other than time.

    Attributes:
        kind: `signal`, `event`, `run`, or `call`.
        name: Of the signal or event; the id of the run.
    """

    kind: str
    name: str
    site: str = ""


class Waiting(Struct, frozen=True, gc=False, omit_defaults=True):
    """Why a run isn't running.

    Attributes:
        timers: What it has set, soonest first.
        on: What else would wake it.
        since: When it began to wait, in microseconds since the epoch.
        retry: Its last attempt failed; the next one starts at `wake_at`.
        blocked: Why a human has to look at it.
    """

    timers: tuple[Timer, ...] = ()
    on: tuple[Wait, ...] = ()
    since: int = 0
    retry: bool = False
    blocked: Failure | None = None


NOT_WAITING: Final = Waiting()


class Link(Struct, frozen=True, gc=False, omit_defaults=True):
    """The operation of another run that this run answers.

    Attributes:
        run: The parent.
        life: Which life of the parent asked: in a later one, the number `op` means something else.
        called: The parent awaits the outcome; a submission is on its own.
    """

    run: RunId
    op: int
    key: OperationKey
    life: int
    called: bool
    scope: str = ""


class Origin(Struct, frozen=True, gc=False, omit_defaults=True):
    """The run that this one was made from, by a person.

    Attributes:
        how: `retry` or `fork`.
    """

    how: str
    run: RunId


class Run(Struct, kw_only=True):
    """One run. Changed in place by the engine, and by nothing else.

    Attributes:
        epoch: How often it was claimed; the fencing token of all that its worker says.
        attempt: Of this generation, from 1.
        life: How often its body was started from the top, over all attempts and generations.
        wake_at: When the runtime has to look at it again; 0 for never.
        awaited: Other runs than the parent wait for its outcome.
        code: Fingerprint of the code it last ran on.
        idempotent: Whether it may run again if its worker dies inside it.
        crashes: How often in a row its worker died while it was alone, without progress.
        next_index: Of the entry to come.
        stamp: Time of the last entry.
        worker: Who holds it; not stored: a restarted runtime has no workers yet.
        prefer: Whose it should be, being submitted from there.
        is_listed: It has a place in the ready queue in memory.
        is_parked: Its worker has it in memory, waiting; it costs no credit.
        is_open: While parked, its body may do other things: it is not written down as waiting.
        is_stored_suspended: The store knows that it waits.
    """

    id: RunId
    component: str
    status: Status = Status.QUEUED
    epoch: int = 0
    attempt: int = 1
    generation: int = 1
    life: int = 1
    created_at: int = 0
    started_at: int = 0
    ended_at: int = 0
    wake_at: int = 0
    link: Link | None = None
    origin: Origin | None = None
    awaited: bool = False
    tags: tuple[str, ...] = ()
    idempotency_key: str = ""
    code: str = ""
    idempotent: bool = True
    crashes: int = 0
    is_cancel_requested: bool = False
    waiting: Waiting = NOT_WAITING

    next_index: int = 0
    stamp: int = 0
    worker: WorkerId | None = None
    prefer: WorkerId | None = None
    is_listed: bool = False
    is_parked: bool = False
    is_open: bool = False
    is_stored_suspended: bool = False
