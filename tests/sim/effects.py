"""Who did what, as seen from outside: each execution of each step, and what became of it.

A step that starts must not be one that is completed, nor one that somebody still executes. An
execution is lost when the worker forgets its run, or dies; only then may the step run again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

RUNNING, SUCCEEDED, FAILED = "running", "succeeded", "failed"
Place = tuple[str, str]  # A run, and the key of one of its steps or the number of an attempt of its body.


class Execution(Struct):
    """One start of one step or function.

    Attributes:
        nonce: Part of what it returns, so that it is visible which one produced a result.
        is_lost: Whoever executed it has been told to forget it, or is dead.
    """

    place: Place
    nonce: str
    state: str = RUNNING
    is_lost: bool = False


class Need(Struct):
    """Something that programs wait for and that comes from outside.

    Attributes:
        asked: How often a body has come to this wait.
        acked: How often it was sent, and acknowledged.
    """

    asked: int = 0
    acked: int = 0


class Ledger:
    """What has been executed, and what is waited for.

    Args:
        violate: Takes the name of an invariant, and what is wrong.

    Attributes:
        completed: Steps of which the store holds that they succeeded.
        recorded: Executions of which the store holds the result.
        relaxed: Runs that may go ahead of their journal (`checkpoint_interval`).
        resumed: How often a human has let a run go on.
    """

    def __init__(self, violate: Callable[[str, str], None]) -> None:
        self._violate = violate
        self._open: dict[str, Execution] = {}
        self.by_place: dict[Place, list[Execution]] = {}
        self.by_nonce: dict[str, Execution] = {}
        self.completed: set[Place] = set()
        self.recorded: set[str] = set()
        self.relaxed: set[str] = set()
        self.events: dict[str, Need] = {}
        self.signals: dict[tuple[str, str], Need] = {}
        self.resumed: dict[str, int] = {}
        self.slow = 0.0  # Seconds that a step takes longer at the most.

    @contextmanager
    def step(self, ctx: Any) -> Iterator[str]:
        """A step executes; yields its nonce."""
        yield from self._execute((ctx.run_id, ctx.idempotency_key[len(ctx.run_id) + 1 :]))

    @contextmanager
    def body(self, ctx: Any, *, is_once: bool = False) -> Iterator[str]:
        """The body of a function executes."""
        place = (ctx.run_id, f"body-{ctx.attempt}")
        if is_once:
            self._check_once(place)
        yield from self._execute(place)

    def _execute(self, place: Place) -> Iterator[str]:
        execution = self._begin(place)
        try:
            yield execution.nonce
        except BaseException:
            execution.state = FAILED
            raise
        else:
            execution.state = SUCCEEDED
        finally:
            self._open.pop(execution.nonce, None)

    def _begin(self, place: Place) -> Execution:
        before = self.by_place.setdefault(place, [])
        if place in self.completed:
            self._violate("I5", f"step {place} is recorded as completed, and starts again")
        for execution in before:
            if execution.state != FAILED and not execution.is_lost:
                self._violate("I5", f"{place} starts again while {execution.nonce} is {execution.state} and not lost")
        execution = Execution(place, f"n-{len(self.by_nonce)}")
        before.append(execution)
        self.by_nonce[execution.nonce] = self._open[execution.nonce] = execution
        return execution

    def _check_once(self, place: Place) -> None:
        starts = len(self.by_place.get(place, ()))
        if starts > self.resumed.get(place[0], 0):
            self._violate("I5", f"run {place[0]} may not run again, and does for the {starts + 1}th time")

    def check_follows(self, run_id: str, after: str) -> None:
        """A step that was given what another one returned starts only once that is recorded."""
        if after and after not in self.recorded and run_id not in self.relaxed:
            self._violate("I1", f"a step of {run_id} starts though {after}, on which it depends, is not recorded")

    @property
    def under_way(self) -> int:
        """How many executions there are at the moment."""
        return len(self._open)

    def lose(self, run_id: str) -> None:
        """The worker forgets a run."""
        for execution in list(self._open.values()):
            if execution.place[0] == run_id:
                execution.is_lost = True
        for place, executions in self.by_place.items():
            if place[0] == run_id:
                for execution in executions:
                    execution.is_lost = True

    def lose_all(self) -> None:
        """The worker is gone."""
        for execution in self.by_nonce.values():
            execution.is_lost = True

    # What bodies wait for

    def need_event(self, event_id: str) -> None:
        """A body will wait for this event."""
        self.events.setdefault(event_id, Need()).asked += 1

    def need_signal(self, run_id: str, name: str, *, is_fresh: bool) -> None:
        """A body will wait for this signal."""
        need = self.signals.setdefault((run_id, name), Need())
        need.asked += is_fresh or not need.asked


_ledgers: list[Ledger] = []


def ledger() -> Ledger:
    """Of the world that is being simulated."""
    return _ledgers[-1]


@contextmanager
def keeping(kept: Ledger) -> Iterator[None]:
    """Executions in this block are noted there."""
    _ledgers.append(kept)
    try:
        yield
    finally:
        _ledgers.pop()
