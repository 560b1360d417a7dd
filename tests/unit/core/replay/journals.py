"""Makes journals and drives bodies over them, without a runtime."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

import msgspec
from msgspec import Raw

from agnt5.core.journal.entry import Begun, Body, Entry, Fired, Kind, Outcome, Retrying, Signal, Started
from agnt5.core.model.ids import OperationKey, RunId
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import Failure
from agnt5.core.replay.loop import ReplayLoop
from agnt5.core.replay.operations import Operation, Request
from agnt5.core.replay.replay import Replay

RUN = RunId("0" * 15 + "a" * 17)
START_US = 1_700_000_000_000_000
STEP_US = 1_000


def raw(value: Any) -> Raw:
    """A value, encoded."""
    return Raw(msgspec.json.encode(value))


def entries(*bodies: Body, first: int = 0) -> list[Entry]:
    """Journal lines, a millisecond apart."""
    return [Entry(first + n, START_US + (first + n) * STEP_US, body) for n, body in enumerate(bodies)]


def started() -> Started:
    """The first entry of a journal."""
    return Started("body", raw([]))


def outcome(op: int, name: str, result: Any = None, kind: Kind = Kind.STEP, key: str = "k", **rest: Any) -> Outcome:
    """A success."""
    return Outcome(op, OperationKey(key), kind, name, args=raw(name), result=raw(result), site=f"old.py:{op}", **rest)


def failed(op: int, name: str, message: str) -> Outcome:
    """A failure."""
    error = Failure("builtins:ValueError", message)
    return Outcome(op, OperationKey("k"), Kind.STEP, name, args=raw(name), error=error, site=f"old.py:{op}")


def begun(op: int, name: str, kind: Kind = Kind.CALL, key: str = "k", scope: str = "") -> Begun:
    """Something was set going."""
    return Begun(op, OperationKey(key), kind, name, "child-id", NOTHING, f"old.py:{op}", scope=scope)


def retrying(op: int, name: str, attempt: int, key: str = "k") -> Retrying:
    """An attempt of a step failed."""
    return Retrying(op, OperationKey(key), name, attempt, 1, 2, 3, Failure("builtins:ValueError", "again"))


def fired(n: int, label: str = "sleep") -> Fired:
    """A timer came due."""
    return Fired(n, START_US, label, "old.py:9")


def signal(name: str, payload: Any) -> Signal:
    """A signal came."""
    return Signal(name, raw(payload))


def drive(loop: ReplayLoop, body: Callable[[], Any]) -> "asyncio.Task[Any]":
    """Start a body and run it to its first wait."""
    task = loop.create_task(body())
    loop.run_until_idle()
    return task


class Life:
    """A body over a journal, and the operations it can ask for."""

    def __init__(self, body: Callable[["Life"], Any], *bodies: Body) -> None:
        self.logged: list[str] = []
        self.replay = Replay(RUN, entries(started(), *bodies), _read_failure, self.logged.append)
        self.next_index = 1 + len(bodies)
        self.replay.start(body(self), Context())
        self.replay.feed(1_000)

    def step(self, name: str, args: Any = None, kind: Kind = Kind.STEP, target: str = "") -> Awaitable[Any]:
        """An operation, as a context makes it."""
        text = msgspec.json.encode(name if args is None else args)
        request = Request(kind, name, text, f"new.py:{name}", msgspec.json.decode, target=target)
        return Operation(self.replay.begin, request, self.replay.loop.next_hash)

    def deliver(self, *bodies: Body) -> None:
        """The runtime appends these."""
        for entry in entries(*bodies, first=self.next_index):
            self.next_index += 1
            self.replay.deliver(entry)

    @property
    def asked(self) -> list[str]:
        """The names of what was asked for since the last look."""
        names = [request.name for request in self.replay.asked]
        self.replay.asked.clear()
        return names

    @property
    def result(self) -> Any:
        """What the body came to."""
        return self.replay.outcome.result()


def _read_failure(failure: Failure) -> BaseException:
    return ValueError(failure.message)
