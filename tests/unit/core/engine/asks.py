"""What a worker says of a run, in short."""

from typing import Any

from msgspec import Raw

from agnt5.core.journal.entry import Begun, Kind, Outcome, Retrying
from agnt5.core.model.ids import OperationKey, RunId
from agnt5.core.model.run import Failure, Status, Timer, Wait
from agnt5.core.protocol.messages import Again, AwaitEvent, AwaitRun, ContinueAs, End, Park, Send, StartRun

BROKEN = Failure("builtins:ValueError", "broken")


def key(op: int) -> OperationKey:
    """The key of the operation of this number."""
    return OperationKey(f"key-{op}")


def step(op: int, name: str = "charge", result: bytes = b"1", **more: Any) -> Outcome:
    return Outcome(op, key(op), Kind.STEP, name, result=Raw(result), **more)


def retrying(op: int, retry_at: int) -> Retrying:
    return Retrying(op, key(op), "charge", 1, 0, 1, retry_at, BROKEN)


def begun(op: int) -> Begun:
    return Begun(op, key(op), Kind.STEP, "charge")


def call(op: int, child: str, component: str = "child", **more: Any) -> StartRun:
    return StartRun(op, key(op), Kind.CALL, RunId(child), component, Raw(b"{}"), **more)


def submit(op: int, child: str, component: str = "child", **more: Any) -> StartRun:
    return StartRun(op, key(op), Kind.SUBMIT, RunId(child), component, Raw(b"{}"), **more)


def await_run(op: int, target: str, kind: Kind = Kind.RESULT) -> AwaitRun:
    return AwaitRun(op, key(op), kind, "child", RunId(target))


def await_event(op: int, event_id: str) -> AwaitEvent:
    return AwaitEvent(op, key(op), event_id)


def send(op: int, what: str, target: str, name: str = "", payload: bytes = b"1") -> Send:
    return Send(op, key(op), what, target, name, Raw(payload))


def completed(result: bytes = b"1", **more: Any) -> End:
    return End(Status.COMPLETED, Raw(result), **more)


def failed(**more: Any) -> End:
    return End(Status.FAILED, error=BROKEN, **more)


def cancelled(**more: Any) -> End:
    return End(Status.CANCELLED, **more)


def again(retry_at: int, **more: Any) -> Again:
    return Again(BROKEN, retry_at, **more)


def continue_as(input: bytes = b"2", **more: Any) -> ContinueAs:  # noqa: A002  What the message calls it.
    return ContinueAs(Raw(input), **more)


def park(*timers: tuple[int, int], on: tuple[tuple[str, str], ...] = (), is_open: bool = False) -> Park:
    """The body waits for timers of (due, n) and for what is named (kind, name)."""
    made = tuple(Timer(due, n, "sleep") for due, n in timers)
    return Park(made, tuple(Wait(kind, name) for kind, name in on), is_open)
