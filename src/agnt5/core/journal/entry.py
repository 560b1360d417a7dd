"""What a journal holds: one entry for each thing that happened in a run, in order.

The runtime alone appends, and it hands an entry to the body only once it is committed. So the
order of the journal *is* the order in which the body saw things, and a body that is fed the same
entries again takes the same path.

    Started                        the run exists, with its input
    Begun       operation          something was set going that will have an outcome later
    Retrying    operation          an attempt of a step failed and another will be made
    Outcome     operation          what an operation came to
    Signal, Fired, CancelRequested from outside: no operation asked for them
    Patched                        the body took the new branch of a changed place
    AttemptEnded, AttemptBegan     the run failed and is tried again
    Resumed                        a human let a blocked run go on
    Ended                          the run's own outcome; nothing follows it

An operation is named twice. `op` counts the asking within an attempt, from 0: replay of a
deterministic body matches by it. `key` is the operation's identity (what it asks, of whom, with
which arguments, for the how-manieth time): a retry of the run, and a body that runs on an
ordinary loop, match by that. `op` is `UNNUMBERED` where the asking has no number.
"""

from enum import StrEnum
from typing import Final

from msgspec import Raw, Struct

from agnt5.core.model.ids import OperationKey
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.retry import RetrySpec
from agnt5.core.model.run import Failure, Status

UNNUMBERED: Final = -1


class Kind(StrEnum):
    """What an operation asks for."""

    STEP = "step"
    CALL = "call"  # A child run, awaited.
    SUBMIT = "submit"  # A child run, not awaited.
    RESULT = "result"  # The outcome of a run that this one holds a handle of.
    EVENT = "event"
    STATE = "state"
    SEND = "send"  # An event, a signal or a cancel, sent elsewhere.
    SLEEP = "sleep"  # Only of bodies on an ordinary loop; a deterministic one sets timers.


class Options(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a caller asked of this one run, over its component's own settings."""

    retries: RetrySpec | None = None
    timeout: float | None = None  # Seconds, of an attempt.


class Started(Struct, frozen=True, gc=False, tag="started", omit_defaults=True):
    """The run exists. A new generation by `continue_as` starts with one too.

    Attributes:
        seed: The run whose chance this one draws; its own when empty. A fork has its source's.
        state: What the run's state holds from before.
    """

    component: str
    input: Raw
    attempt: int = 1
    generation: int = 1
    seed: str = ""
    state: dict[str, Raw] = {}
    options: Options | None = None


class Begun(Struct, frozen=True, gc=False, tag="begun", omit_defaults=True):
    """An operation was set going.

    Attributes:
        target: The child run, for a call.
        due: When a sleep ends, in microseconds since the epoch.
        scope: The step within which the operation was asked for, if any.
    """

    op: int
    key: OperationKey
    kind: Kind
    name: str
    target: str = ""
    args: Raw = NOTHING
    site: str = ""
    due: int = 0
    scope: str = ""


class Retrying(Struct, frozen=True, gc=False, tag="retrying", omit_defaults=True):
    """An attempt of a step failed and another follows.

    Attributes:
        retry_at: When, in microseconds since the epoch.
        details: What the attempt last said in its heartbeat.
    """

    op: int
    key: OperationKey
    name: str
    attempt: int
    began: int
    ended: int
    retry_at: int
    error: Failure
    args: Raw = NOTHING
    details: Raw = NOTHING
    site: str = ""
    scope: str = ""


class Outcome(Struct, frozen=True, gc=False, tag="outcome", omit_defaults=True):
    """What an operation came to: a result, an error, or a cancel of it.

    Attributes:
        name: Function, component, event id, or key of the state.
        target: The run concerned, for calls, submissions and results.
        began: When its last attempt started, in microseconds since the epoch.
        attempt: How many attempts it took.
        result: `NOTHING` where there is an error, and for a state's deletion.
        cancelled: The body stopped waiting for it, and so it was stopped.
    """

    op: int
    key: OperationKey
    kind: Kind
    name: str
    target: str = ""
    args: Raw = NOTHING
    result: Raw = NOTHING
    error: Failure | None = None
    cancelled: bool = False
    attempt: int = 1
    began: int = 0
    ended: int = 0
    site: str = ""
    scope: str = ""

    @property
    def is_success(self) -> bool:
        return self.error is None and not self.cancelled


class Signal(Struct, frozen=True, gc=False, tag="signal"):
    """A signal arrived. The body takes those of one name in this order, when it asks for them."""

    name: str
    payload: Raw


class Fired(Struct, frozen=True, gc=False, tag="fired", omit_defaults=True):
    """A timer that the body had set came due.

    Attributes:
        n: The order of setting within the attempt, from 0.
        due: When it was due, in microseconds since the epoch.
        label: What it was for: `sleep` or `timeout`.
    """

    n: int
    due: int
    label: str = ""
    site: str = ""


class CancelRequested(Struct, frozen=True, gc=False, tag="cancel"):
    """Somebody asked for the run to be cancelled; the body is interrupted here."""


class Patched(Struct, frozen=True, gc=False, tag="patched"):
    """The body passed a changed place and took its new branch."""

    change_id: str


class AttemptEnded(Struct, frozen=True, gc=False, tag="attempt_ended", omit_defaults=True):
    """The body raised, and the run will be tried again.

    Attributes:
        retry_at: When, in microseconds since the epoch.
        compensated: It undid its work as it failed; the next attempt reuses only the state.
        consumed: How many signals of each name this generation took.
    """

    attempt: int
    error: Failure
    retry_at: int
    compensated: bool = False
    consumed: dict[str, int] = {}


class AttemptBegan(Struct, frozen=True, gc=False, tag="attempt", omit_defaults=True):
    """The run is tried again from the top of its body."""

    attempt: int
    generation: int = 1


class Resumed(Struct, frozen=True, gc=False, tag="resumed"):
    """A human let a blocked run go on."""


class Ended(Struct, frozen=True, gc=False, tag="ended", omit_defaults=True):
    """The run's outcome; it never changes.

    Attributes:
        compensated: As for `AttemptEnded`; a retry of the run asks for it.
        consumed: Likewise.
    """

    status: Status
    result: Raw = NOTHING
    error: Failure | None = None
    compensated: bool = False
    consumed: dict[str, int] = {}


Body = (
    Started
    | Begun
    | Retrying
    | Outcome
    | Signal
    | Fired
    | CancelRequested
    | Patched
    | AttemptEnded
    | AttemptBegan
    | Resumed
    | Ended
)


class Entry(Struct, frozen=True, gc=False):
    """One line of a journal.

    Attributes:
        index: From 0, without gaps; over all generations of the run.
        at: The runtime's time in microseconds since the epoch, never less than the entry's before.
    """

    index: int
    at: int
    body: Body
