"""What runtime and worker say to each other.

A worker holds a run from `Dispatch` until it ends it, releases it, or loses it. Whatever it says
of the run carries the `epoch` of that dispatch; one that is no longer current is answered with
`Refuse`, and the worker drops the run. The runtime is the only one that appends to a journal: a
worker *asks*, and learns from `Deliver` what has been committed, in the order of the journal.

Embedded, the messages pass through memory as they are; over a connection they are frames.
"""

from msgspec import Raw, Struct

from agnt5.core.journal.entry import Begun, Entry, Kind, Options, Outcome, Patched, Retrying
from agnt5.core.model.ids import OperationKey, RunId, WorkerId
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import Failure, Status, Timer, Wait

# What a worker asks about a run it holds. `Outcome`, `Begun`, `Retrying` and `Patched` are entries
# that the runtime appends as they are.


class StartRun(Struct, frozen=True, gc=False, tag="start_run", omit_defaults=True):
    """Start a child run; `kind` says whether its outcome is awaited (`call`) or not (`submit`)."""

    op: int
    key: OperationKey
    kind: Kind
    run_id: RunId
    component: str
    input: Raw
    site: str = ""
    scope: str = ""
    options: Options | None = None
    start_at: int = 0
    tags: tuple[str, ...] = ()
    idempotency_key: str = ""
    input_digest: str = ""
    idempotent: bool = True


class AwaitRun(Struct, frozen=True, gc=False, tag="await_run", omit_defaults=True):
    """Tell the outcome of this run, once there is one."""

    op: int
    key: OperationKey
    kind: Kind
    name: str
    target: RunId
    site: str = ""
    scope: str = ""


class AwaitEvent(Struct, frozen=True, gc=False, tag="await_event", omit_defaults=True):
    """Tell the payload of this event, once there is one."""

    op: int
    key: OperationKey
    event_id: str
    site: str = ""
    scope: str = ""


class Send(Struct, frozen=True, gc=False, tag="send", omit_defaults=True):
    """Resolve an event, signal a run or cancel one; once, however often it is asked.

    Attributes:
        what: `event`, `signal` or `cancel`.
        target: The event's id or the run's.
        name: Of the signal.
    """

    op: int
    key: OperationKey
    what: str
    target: str
    name: str = ""
    payload: Raw = NOTHING
    site: str = ""
    scope: str = ""


class Fire(Struct, frozen=True, gc=False, tag="fire"):
    """A timer of the body is due, says the worker's clock."""

    timer: Timer


class Abandon(Struct, frozen=True, gc=False, tag="abandon"):
    """Nobody awaits this child any more: cancel it."""

    run_id: RunId


class Heartbeat(Struct, frozen=True, gc=False, tag="heartbeat"):
    """A step shows that it lives."""

    key: OperationKey
    attempt: int
    details: Raw


class Park(Struct, frozen=True, gc=False, tag="park", omit_defaults=True):
    """The body waits, and nothing of it runs here. The runtime fires its timers from now on.

    Attributes:
        is_open: The body runs on an ordinary loop and may do other things meanwhile. It costs no
            credit, but a restart must not wait for what it waits for.
    """

    timers: tuple[Timer, ...] = ()
    on: tuple[Wait, ...] = ()
    is_open: bool = False


class Release(Struct, frozen=True, gc=False, tag="release"):
    """The worker has forgotten the run; it will need the journal to go on with it."""


class Block(Struct, frozen=True, gc=False, tag="block"):
    """The run can't go on by itself: a human has to look."""

    error: Failure


class End(Struct, frozen=True, gc=False, tag="end", omit_defaults=True):
    """The body is through; this is the run's outcome."""

    status: Status
    result: Raw = NOTHING
    error: Failure | None = None
    compensated: bool = False
    consumed: dict[str, int] = {}
    abandoned: tuple[RunId, ...] = ()


class Again(Struct, frozen=True, gc=False, tag="again", omit_defaults=True):
    """The body raised, and its policy wants another attempt at `retry_at`."""

    error: Failure
    retry_at: int
    compensated: bool = False
    consumed: dict[str, int] = {}
    abandoned: tuple[RunId, ...] = ()


class ContinueAs(Struct, frozen=True, gc=False, tag="continue_as", omit_defaults=True):
    """The body ends this generation and starts the next, with this input."""

    input: Raw
    state: dict[str, Raw] = {}
    consumed: dict[str, int] = {}
    abandoned: tuple[RunId, ...] = ()


Ask = (
    Outcome
    | Begun
    | Retrying
    | Patched
    | StartRun
    | AwaitRun
    | AwaitEvent
    | Send
    | Fire
    | Abandon
    | Heartbeat
    | Park
    | Release
    | Block
    | End
    | Again
    | ContinueAs
)

# Worker to runtime


class ComponentInfo(Struct, frozen=True, gc=False, omit_defaults=True):
    """A component that a worker offers.

    Attributes:
        code: Fingerprint of its code, to tell one version from another.
    """

    name: str
    kind: str
    code: str = ""


class Hello(Struct, frozen=True, gc=False, tag="hello"):
    """A worker is there.

    Attributes:
        capacity: How many runs it will have at work at a time; those that wait don't count.
    """

    worker: WorkerId
    components: tuple[ComponentInfo, ...]
    capacity: int


class Register(Struct, frozen=True, gc=False, tag="register"):
    """The worker has learned more components."""

    worker: WorkerId
    components: tuple[ComponentInfo, ...]


class Goodbye(Struct, frozen=True, gc=False, tag="goodbye"):
    """The worker is gone, with all it held."""

    worker: WorkerId


class Report(Struct, frozen=True, gc=False, tag="report", omit_defaults=True):
    """What a worker asks about one run, in order.

    Attributes:
        seen: Index of the last entry that the body was given.
        is_ahead: The body has already seen these outcomes (`checkpoint_interval`), stamped by
            the worker. They are good only if nothing else was appended after `seen`.
    """

    worker: WorkerId
    run_id: RunId
    epoch: int
    seen: int
    asks: list[Ask]
    is_ahead: bool = False


FromWorker = Hello | Register | Goodbye | Report

# Runtime to worker


class Dispatch(Struct, frozen=True, gc=False, tag="dispatch"):
    """The run is yours: its journal, and what its unfinished steps last said in a heartbeat.

    Attributes:
        heartbeats: By the step's key: the attempt that said it, and what.
    """

    run_id: RunId
    epoch: int
    component: str
    entries: list[Entry]
    heartbeats: dict[OperationKey, tuple[int, Raw]]


class Deliver(Struct, frozen=True, gc=False, tag="deliver"):
    """These entries are committed. Without any: look at the run again, something is due."""

    run_id: RunId
    epoch: int
    entries: list[Entry]


class Refuse(Struct, frozen=True, gc=False, tag="refuse"):
    """The run isn't yours, or what you said of it came too late: drop it."""

    run_id: RunId
    epoch: int


class Reset(Struct, frozen=True, gc=False, tag="reset"):
    """The runtime lost what was not committed: drop every run."""


class LookAgain(Struct, frozen=True, gc=False, tag="look_again"):
    """The machine's clock was set: see which timers are due by now."""


ToWorker = Dispatch | Deliver | Refuse | Reset | LookAgain
