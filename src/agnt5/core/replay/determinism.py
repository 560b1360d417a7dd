"""How code and journal can disagree, and whether a failing attempt undid its work."""

from collections.abc import Iterable
from typing import Final

from msgspec import Raw

from agnt5.core.journal.entry import Begun, Entry, Fired, Kind, Outcome, Retrying
from agnt5.core.model.errors import NonDeterminismError
from agnt5.core.model.payload import NOTHING
from agnt5.core.replay.operations import Request

Recorded = Begun | Outcome | Retrying

ARGS_CHARS_MAX: Final = 200  # Of arguments, in an error; arbitrary.
_WHY: Final = "the code changed, or it reads time, randomness or the network outside a step"
_FIX: Final = (
    "bring the old code back, move that read into ctx.step(...), or guard the change with ctx.patched(...); "
    "the run then resumes by itself"
)


def kind_of(recorded: Recorded) -> str:
    """What sort of operation an entry is about."""
    return "step" if isinstance(recorded, Retrying) else recorded.kind.value


def differs(recorded: Recorded, request: Request) -> bool:
    """Whether the journal holds another operation here than the one asked for now."""
    if kind_of(recorded) != request.kind.value:
        return True
    # A run that is awaited by its handle is known by its id; its component is noted for people.
    if recorded.name != request.name and request.kind.value != "result":
        return True
    # A child's id follows from its arguments, which may differ; a run that was chosen may not.
    is_chosen = request.kind.value in ("result", "send") and not isinstance(recorded, Retrying)
    return is_chosen and recorded.target != request.target  # type: ignore[union-attr]  # Just excluded.


def changed(index: int, recorded: Recorded, request: Request) -> NonDeterminismError:
    """The code asks for something else than what is recorded."""
    return NonDeterminismError(
        f"entry {index} was recorded as {_recorded(recorded)}, but the code now asks for {_asked(request)}",
        why=_WHY,
        fix=_FIX,
        index=index,
        recorded=_recorded(recorded),
        asked=_asked(request),
    )


def _arguments(recorded: Recorded) -> Raw:
    """What was asked with; of a state that is what it was set to."""
    is_state = isinstance(recorded, Outcome) and recorded.kind is Kind.STATE
    return recorded.result if is_state else recorded.args  # type: ignore[union-attr]  # Only an outcome has one.


def has_other_arguments(recorded: Recorded, request: Request) -> bool:
    """Whether the code asks for the recorded operation with other arguments."""
    was = _arguments(recorded)
    return was is not NOTHING and bytes(was) != request.args


def other_arguments(index: int, recorded: Recorded, request: Request) -> NonDeterminismError:
    """The code asks for the recorded operation with other arguments, where that is not let pass."""
    was = f"{_recorded(recorded)} with {_short(_arguments(recorded))}"
    now = f"{_asked(request)} with {_short(request.args)}"
    return NonDeterminismError(
        f"entry {index} was recorded as {was}, but the code now asks for {now}",
        why="the arguments are read from the clock, chance, the environment or something that the body changed",
        fix="use ctx.now(), ctx.random or ctx.uuid4(), or read it in a step",
        index=index,
        recorded=was,
        asked=now,
    )


def _short(args: bytes | Raw) -> str:
    text = bytes(args).decode()
    return text if len(text) <= ARGS_CHARS_MAX else f"{text[:ARGS_CHARS_MAX]}..."


def missing(
    entry: Entry, recorded: Recorded | Fired, open_requests: Iterable[Request], *, is_over: bool
) -> NonDeterminismError:
    """The journal has come to an operation that the code didn't ask for."""
    if is_over:
        now = "the code ends before it asks for that"
    else:
        asked = ", ".join(_asked(request) for request in list(open_requests)[:3])
        now = f"the code now asks for {asked}" if asked else "the code asks for nothing now"
    what = _timer(recorded) if isinstance(recorded, Fired) else _recorded(recorded)
    return NonDeterminismError(
        f"entry {entry.index} was recorded as {what}, but {now}",
        why=_WHY,
        fix=_FIX,
        index=entry.index,
        recorded=what,
        asked=now,
    )


def _recorded(recorded: Recorded) -> str:
    kind = kind_of(recorded)
    return f"{kind} {_chosen(kind, recorded)!r} ({recorded.site or 'unknown line'})"


def _timer(fired: Fired) -> str:
    return f"{fired.label or 'timer'} ({fired.site or 'unknown line'})"


def _asked(request: Request) -> str:
    return f"{request.kind.value} {_chosen(request.kind.value, request)!r} ({request.site or 'unknown line'})"


def _chosen(kind: str, what: Recorded | Request) -> str:
    """What tells it from others of its kind: of an awaited run, which one it is."""
    return what.target if kind == "result" and not isinstance(what, Retrying) else what.name


def has_compensated(error: BaseException, handled: Iterable[BaseException]) -> bool:
    """Whether one of these exceptions, during whose handling the body did something, led to this one."""
    handled = list(handled)
    return bool(handled) and not _related(error).isdisjoint(_members(handled))


def _related(error: BaseException) -> set[int]:
    """The exception, what it was raised in the handling of, and the members of groups among these."""
    found: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is None or id(current) in found:
            continue
        found.add(id(current))
        todo += [current.__context__, current.__cause__]
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions
    return found


def _members(errors: list[BaseException]) -> set[int]:
    # `except*` handles a group of its own making; what tells it apart are its members.
    found: set[int] = set()
    todo = list(errors)
    while todo:
        current = todo.pop()
        found.add(id(current))
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions
    return found
