"""What the engine is told, by callers, by the clock and by itself; workers speak in messages.

A command with a `token` is answered under it, once what it did is committed.
"""

from msgspec import Raw, Struct

from agnt5.core.journal.entry import Kind, Options
from agnt5.core.model.ids import OperationKey, RunId, WorkerId
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import Failure, Run, Status

Token = int


class Submit(Struct, frozen=True, gc=False):
    """Create a run.

    Attributes:
        input_digest: Of the canonical input; compared where the idempotency key was used before.
        worker: Where it is submitted from, and preferably runs.
        start_at: Not before this time, in microseconds since the epoch; 0 for at once.
    """

    token: Token
    run_id: RunId
    component: str
    input: Raw
    worker: WorkerId | None = None
    start_at: int = 0
    tags: tuple[str, ...] = ()
    idempotency_key: str = ""
    input_digest: str = ""
    idempotent: bool = True
    options: Options | None = None


class SendEvent(Struct, frozen=True, gc=False):
    """Resolve an event, for all who wait for it now or later."""

    token: Token
    event_id: str
    payload: Raw


class SendSignal(Struct, frozen=True, gc=False):
    """Give a run a signal."""

    token: Token
    run_id: RunId
    name: str
    payload: Raw


class Cancel(Struct, frozen=True, gc=False):
    """Ask a run, and its children, to stop. Without a token nobody waits for an answer.

    Attributes:
        parent: The run that no longer wants its child; it may cancel no other's.
    """

    token: Token | None
    run_id: RunId
    parent: RunId | None = None


class Resume(Struct, frozen=True, gc=False):
    """Let a blocked run go on."""

    token: Token
    run_id: RunId


class RetryRun(Struct, frozen=True, gc=False):
    """Make a new run that does what a failed or cancelled one did not."""

    token: Token
    run_id: RunId
    new_id: RunId
    take_key: bool = False


class ForkRun(Struct, frozen=True, gc=False):
    """Make a new run with the first entries of another's journal."""

    token: Token
    run_id: RunId
    new_id: RunId
    at: int


class Due(Struct, frozen=True, gc=False):
    """The time that a run waits for has come."""

    run_id: RunId


class Sweep(Struct, frozen=True, gc=False):
    """Write down which runs have been waiting since before this time (microseconds)."""

    before: int


class Recover(Struct, frozen=True, gc=False):
    """Take up runs that the store holds as running, though nobody runs them any more.

    Attributes:
        is_suspect: It was alone when its process died.
        queued: Components of which the store holds queued runs.
    """

    runs: tuple[Run, ...]
    is_suspect: bool = False
    queued: tuple[str, ...] = ()


class Refill(Struct, frozen=True, gc=False):
    """Put these stored queued runs of a component into the ready queue; perhaps more are stored."""

    component: str
    runs: tuple[Run, ...]
    is_last: bool


class Quarantine(Struct, frozen=True, gc=False):
    """A run's journal can't be read: it waits for a human, and the others go on."""

    run_id: RunId
    error: Failure


class Waiter(Struct, frozen=True, gc=False):
    """A run waits for something that other runs may wait for too.

    Attributes:
        target: `event:` and its id, or `run:` and its id.
        life: Of the waiting run; in a later one `op` means something else.
        site: File and line of the waiting.
    """

    target: str
    run_id: RunId
    life: int
    op: int
    key: OperationKey
    scope: str = ""
    site: str = ""


# What the engine tells itself, in the batch in which it came up.


class RunOver(Struct, frozen=True, gc=False):
    """A run has ended for which this waiter waits.

    Attributes:
        kind: Whether the waiter called it, or awaits it by its handle.
    """

    waiter: Waiter
    kind: Kind
    run_id: RunId
    component: str
    status: Status
    result: Raw = NOTHING
    error: Failure | None = None


class TellWaiters(Struct, frozen=True, gc=False):
    """A run has ended whose handle others await."""

    run_id: RunId
    component: str
    status: Status
    result: Raw = NOTHING
    error: Failure | None = None


class EventResolved(Struct, frozen=True, gc=False):
    """An event has its payload for which this waiter waits."""

    waiter: Waiter
    event_id: str
    payload: Raw


ClientCommand = Submit | SendEvent | SendSignal | Cancel | Resume | RetryRun | ForkRun
InternalCommand = Due | Sweep | Recover | Refill | Quarantine | RunOver | TellWaiters | EventResolved
Command = ClientCommand | InternalCommand
