"""What a body asks its context for, and the awaitable that it gets."""

from asyncio import events
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, TypeVar
from warnings import warn

from msgspec import Raw, Struct

from agnt5.core.journal.entry import UNNUMBERED, Begun, Kind, Retrying
from agnt5.core.model.ids import OperationKey
from agnt5.core.model.run import Failure

T = TypeVar("T")
_NOTHING_LEFT: Final = iter(())

# Outcomes of these, once they succeeded, are kept over a retry of the run.
KEPT: Final = frozenset({Kind.STEP, Kind.CALL, Kind.SUBMIT, Kind.RESULT, Kind.EVENT, Kind.SEND})
# A body that does one of these while it handles the exception that ends it has compensated.
COMPENSATING: Final = frozenset({Kind.STEP, Kind.CALL, Kind.SUBMIT})


class Request(Struct):
    """One operation that a body asks for.

    Attributes:
        kind: What sort of operation.
        name: Function, component, event id, key of the state.
        args: The encoded arguments; for a state, its new value.
        site: File and line of the asking.
        read: Makes the result from what the journal holds.
        target: The run concerned, if any.
        spec: What the worker needs to carry it out; the replay doesn't look inside.
        handling: The exception that was being handled when it was made.
        identity: What it is told apart by from others of its kind and name, where that isn't its
            arguments.
        op: The order of asking; `UNNUMBERED` until it is asked.
        key: Its identity, from then on.
        future: What the body waits on, while it does.
        begun: The journal's word that it was set going.
        begun_index: Where that stands; -1 where it doesn't.
        failures: Attempts of it that the journal holds.
        is_sent: The worker has started it, or asked the runtime for it.
    """

    kind: Kind
    name: str
    args: bytes
    site: str
    read: Callable[[Raw], Any]
    target: str = ""
    spec: Any = None
    handling: BaseException | None = None
    identity: bytes | None = None
    op: int = UNNUMBERED
    key: OperationKey = OperationKey("")
    future: Any = None
    begun: Begun | None = None
    begun_index: int = -1
    failures: tuple[Retrying, ...] = ()
    is_sent: bool = False

    @property
    def is_awaited(self) -> bool:
        """Whether the body still waits for it."""
        return self.future is not None and not self.future.done()


ReadFailure = Callable[[Failure], BaseException]


class Operation(Coroutine[Any, Any, T]):
    """An operation that begins when it is first awaited, as a coroutine does.

    It can be awaited, made a task of, and put into `gather` or `as_completed`; there it hashes by
    the order of first use, so that sets of operations are walked in the same order on replay.

    Args:
        begin: Asks for the operation and returns what to wait on.
        request: What is asked.
        next_hash: Gives the hash, when one is needed.
    """

    __slots__ = ("_begin", "_hash", "_next_hash", "_waiting", "request")

    def __init__(
        self, begin: Callable[[Request], Awaitable[T]], request: Request, next_hash: Callable[[], int]
    ) -> None:
        self._begin = begin
        self._next_hash = next_hash
        self._waiting: Any = None
        self._hash: int | None = None
        self.request = request

    def __await__(self) -> Generator[Any, Any, T]:
        # What awaits it sees the result's type; it iterates itself, with all of a generator that awaiting uses.
        iterator: Any = self
        return iterator  # type: ignore[no-any-return]  # As just said.

    def __iter__(self) -> "Operation[T]":
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        waiting = self._waiting
        if waiting is None:
            # Asked for, even if that is refused.
            self._waiting = _NOTHING_LEFT
            waiting = self._waiting = self._begin(self.request).__await__()
            return next(waiting)
        return waiting.send(value)

    def throw(self, *exception: Any) -> Any:
        try:
            if self._waiting is None:
                self._waiting = _NOTHING_LEFT
                raise exception[0]
            return self._waiting.throw(*exception)
        finally:
            # The exception holds this frame by its traceback, and must not be held in turn.
            del exception

    def close(self) -> None:
        if self._waiting is None:
            self._waiting = _NOTHING_LEFT
        elif hasattr(self._waiting, "close"):
            self._waiting.close()

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = self._next_hash()
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other

    def __del__(self) -> None:
        if self._waiting is None and not _is_evicting():
            request = self.request
            warn(
                f"{request.kind.value} {request.name!r} ({request.site}) was never awaited, so it did not happen",
                RuntimeWarning,
                stacklevel=2,
            )


def _is_evicting() -> bool:
    """Whether a body is being closed: what it would have awaited later is no mistake."""
    loop = events._get_running_loop()
    return loop is not None and loop.is_closed()
