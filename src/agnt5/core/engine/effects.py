"""What the engine asks the outside to do, once the batch is committed."""

from typing import Any

from msgspec import Raw, Struct

from agnt5.core.engine.commands import Token
from agnt5.core.journal.entry import Entry
from agnt5.core.model.errors import Agnt5Error
from agnt5.core.model.ids import RunId, WorkerId
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import Failure, Status
from agnt5.core.protocol.messages import ToWorker


class Tell(Struct, frozen=True, gc=False):
    """Send this to a worker."""

    worker: WorkerId
    message: ToWorker


class Claimed(Struct, frozen=True, gc=False):
    """Give a run to a worker; its journal is to be loaded unless it is here."""

    worker: WorkerId
    run_id: RunId
    epoch: int
    component: str
    entries: list[Entry] | None


class Reply(Struct, frozen=True, gc=False):
    """Answer a command."""

    token: Token
    answer: Any


class Reject(Struct, frozen=True, gc=False):
    """Answer a command with an error."""

    token: Token
    error: Agnt5Error


class Ended(Struct, frozen=True, gc=False):
    """A run has its outcome: tell whoever waits for it."""

    run_id: RunId
    status: Status
    result: Raw = NOTHING
    error: Failure | None = None


class Blocked(Struct, frozen=True, gc=False):
    """A run waits for a human: tell whoever waits for it."""

    run_id: RunId
    error: Failure


class Arm(Struct, frozen=True, gc=False):
    """Send `Due` for this run at this time, in microseconds since the epoch."""

    due: int
    run_id: RunId


Effect = Tell | Claimed | Reply | Reject | Ended | Blocked | Arm


class Submitted(Struct, frozen=True, gc=False):
    """Answer to a submission.

    Attributes:
        is_new: Whether the run was made for it, or found under its idempotency key.
    """

    run_id: RunId
    is_new: bool


class Accepted(Struct, frozen=True, gc=False):
    """Answer to a command that has nothing else to say.

    Attributes:
        changed: Whether it changed anything; the same event again does not.
    """

    changed: bool = True
