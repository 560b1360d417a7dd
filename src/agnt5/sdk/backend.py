"""What the SDK needs of a runtime, wherever that is; and which runtime a call goes to."""

import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from typing import Any, Protocol, TypeVar

from msgspec import Raw, Struct

from agnt5.core.journal.entry import Options
from agnt5.core.model.errors import Unavailable
from agnt5.core.model.ids import RunId
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import Failure, Status
from agnt5.sdk.current import CURRENT

T = TypeVar("T")


class Submission(Struct, frozen=True, gc=False):
    """A run that somebody wants.

    Attributes:
        start_at: Not before this time, in microseconds since the epoch; 0 for at once.
        input_digest: Of the canonical input, where there is an idempotency key.
    """

    component: str
    input: Raw
    idempotent: bool = True
    idempotency_key: str = ""
    input_digest: str = ""
    start_at: int = 0
    tags: tuple[str, ...] = ()
    options: Options | None = None


class RunOutcome(Struct, frozen=True, gc=False):
    """How a run ended, or why it doesn't go on (`Status.BLOCKED`, with the reason as its error)."""

    run_id: RunId
    component: str
    status: Status
    result: Raw = NOTHING
    error: Failure | None = None


class RunEvent(Struct, frozen=True, gc=False):
    """Something that happened in a run.

    Attributes:
        index: Of the journal entry.
        kind: What sort of entry: `started`, `outcome`, `retrying`, `ended` and so on.
        name: Whom it concerns: a step, a child, an event.
        at: When.
        data: The entry, as plain JSON values.
    """

    run_id: str
    index: int
    kind: str
    name: str
    at: datetime
    data: dict[str, Any]


class Explanation(str):
    """A sentence about where a run is, with the facts as attributes.

    Attributes:
        status: The run's status.
        facts: What the sentence was made of.
    """

    status: str
    facts: dict[str, Any]

    def __new__(cls, sentence: str, status: str = "", facts: dict[str, Any] | None = None) -> "Explanation":
        made = super().__new__(cls, sentence)
        made.status = status
        made.facts = facts or {}
        return made


class Backend(Protocol):
    """A runtime, as callers see it. Every method is called on the caller's own event loop."""

    def now_us(self) -> int:
        """The runtime's time, in microseconds since the epoch."""

    def run_blocking(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on a loop of the runtime's own, and block the thread until it is through."""

    async def run(self, submission: Submission) -> RunOutcome:
        """Submit, and wait for the outcome."""

    async def submit(self, submission: Submission) -> RunId:
        """Submit; returns once the run is durable."""

    async def outcome(self, run_id: RunId) -> RunOutcome:
        """Wait until the run has ended, or is blocked."""

    async def status(self, run_id: RunId) -> Status:
        """Where the run is now."""

    async def state(self, run_id: RunId, key: str) -> Raw | None:
        """A value of the run's committed state."""

    async def explain(self, run_id: RunId) -> Explanation:
        """Why the run is where it is."""

    def events(self, run_id: RunId) -> AsyncIterator[RunEvent]:
        """What has happened in the run and what happens from now on, until it ends."""

    async def signal(self, run_id: RunId, name: str, payload: Raw) -> None:
        """Give the run a signal."""

    async def send_event(self, event_id: str, payload: Raw) -> None:
        """Resolve an event."""

    async def cancel(self, run_id: RunId) -> None:
        """Ask the run to stop."""

    async def resume(self, run_id: RunId) -> None:
        """Let a blocked run go on."""

    async def retry(self, run_id: RunId, take_key: bool) -> RunId:
        """Make a new run that does what a failed one did not."""

    async def fork(self, run_id: RunId, at: int) -> RunId:
        """Make a new run with the first entries of another's journal."""


Connector = Callable[[], Backend]

_chosen: contextvars.ContextVar[Backend | None] = contextvars.ContextVar("agnt5_backend", default=None)
_default: list[Connector] = []


def set_default(connector: Connector) -> None:
    """Say what connects to a runtime where none was chosen."""
    _default[:] = [connector]


def choose(backend: Backend) -> "contextvars.Token[Backend | None]":
    """Have calls from this context go to that runtime."""
    return _chosen.set(backend)


def unchoose(token: "contextvars.Token[Backend | None]") -> None:
    """Undo `choose`."""
    _chosen.reset(token)


def backend() -> Backend:
    """The runtime that calls from here go to."""
    host = getattr(CURRENT.get(), "_host", None)
    if host is not None:
        # Inside a run or step: whichever runtime executes it.
        at: Backend = host.backend
        return at
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    if not _default:
        raise Unavailable("there is no runtime to call", why="agnt5 was not imported as a whole", fix="import agnt5")
    return _default[0]()
