"""Replays a journal against the code at hand, with no effect: does the code still fit the run?

The body runs as it would in a worker, along the recorded entries and up to where they end. What it
asks for there is not carried out: no step starts, nothing is written, nobody is told. A body that
does what it may not (reach for the network, compute without end, raise) says so of itself and
leaves the next one alone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from functools import partial
from random import Random
from threading import get_ident
from time import monotonic
from typing import Any, Final, NoReturn, cast

from msgspec import Struct

from agnt5.core.journal.entry import (
    AttemptBegan,
    AttemptEnded,
    Begun,
    CancelRequested,
    Entry,
    Fired,
    Kind,
    Outcome,
    Patched,
    Retrying,
    Started,
)
from agnt5.core.model.errors import EffectOutsideStep, NonDeterminismError, RunBlockedError
from agnt5.core.model.ids import OperationKey, RunId, WorkerId
from agnt5.core.model.retry import name_of_type
from agnt5.core.model.run import Run, Status, Wait
from agnt5.core.protocol.messages import Ask, Dispatch, Park
from agnt5.core.replay.operations import Request
from agnt5.sdk.backend import Backend
from agnt5.sdk.component import Component
from agnt5.worker import guard
from agnt5.worker.run import RunHost
from agnt5.worker.settings import WorkerSettings
from agnt5.worker.step import Step
from agnt5.worker.threads import Threads
from agnt5.worker.watchdog import Watchdog, take_back
from agnt5.worker.workflow import WorkflowRun


class Verdict(StrEnum):
    """How code and run stand to each other."""

    COMPATIBLE = "compatible"
    AHEAD = "ahead"  # The code has changed, at no place that the run has passed.
    UNSTARTED = "unstarted"  # Nothing is recorded that code could disagree with.
    NOT_REPLAYED = "not_replayed"  # A function: it runs from its top, and finds what succeeded by key.
    DIVERGENT = "divergent"
    FAILS = "fails"  # The body raises, or never comes to a wait.
    MISSING = "missing"  # The code at hand has no such component.
    UNREADABLE = "unreadable"  # Its journal is damaged.


class Finding(Struct, frozen=True):
    """What a rehearsal came to.

    Attributes:
        error: How the code disagrees with the journal, or what it raised.
        notes: What is no disagreement, and may yet be worth a look.
        waits: What the body waits for where its journal ends.
    """

    verdict: Verdict
    error: BaseException | None = None
    notes: tuple[str, ...] = ()
    waits: tuple[Wait, ...] | None = None


class Stage:
    """Where runs are rehearsed, one after the other, on the thread that made it. Use it as a context manager.

    Args:
        body_seconds_max: Seconds that a body may compute without waiting for anything.
    """

    id = WorkerId("rehearsal")

    def __init__(self, body_seconds_max: float) -> None:
        self._later = _Later()
        self.loop = cast(asyncio.AbstractEventLoop, self._later)
        self.threads = Threads(1)
        self.chance = Random()  # noqa: S311  Nothing is drawn from it: no attempt is delayed.
        self.backend = cast(Backend, _Nobody())
        self.settings = WorkerSettings()
        self.orphans: dict[tuple[RunId, OperationKey], Step] = {}
        self.thread_id = get_ident()
        self.at_work: tuple[RunHost, float] | None = None
        self._now_us = 0
        self._watchdog = Watchdog(body_seconds_max)

    def __enter__(self) -> "Stage":
        guard.install()
        self._watchdog.watch(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.stop()

    def rehearse(self, run: Run, entries: list[Entry], component: Component[Any, Any]) -> Finding:
        """Run the component's body along this journal."""
        if not component.is_deterministic:
            return Finding(Verdict.NOT_REPLAYED)
        entries = _with_next_attempt(entries)
        # Time stands where the journal ends.
        self._now_us = entries[-1].at
        life = _Rehearsal(self, Dispatch(run.id, run.epoch, run.component, entries, {}), component)
        try:
            life.play(self._later)
            # A run that nobody has claimed yet, such as a fork, knows no code; a blocked one is at the changed place.
            has_other_code = run.code not in ("", component.code) and run.status is not Status.BLOCKED
            return life.finding(has_other_code=has_other_code)
        finally:
            life.forget()

    # What it lends to a run (worker.run.Bench)

    def clock_us(self) -> int:
        return self._now_us

    def flush_soon(self, run: RunHost) -> None:
        """Nobody is told."""

    def driving(self, run: RunHost | None) -> None:
        was = self.at_work
        self.at_work = (run, monotonic()) if run is not None else None
        if was is not None and was[0].stuck is not None and was[0] is not run:
            take_back(self.thread_id)

    def give_up(self, run: RunHost) -> None:
        """Whoever rehearses lets go of it."""

    def has_parked(self, run: RunHost) -> None:
        """It is looked at, and then forgotten."""

    def orphan_over(self, step: Step, outcome: Outcome) -> None:
        raise AssertionError("a rehearsal starts no step")


def _with_next_attempt(entries: list[Entry]) -> list[Entry]:
    """The journal as the next life of the body finds it: between two attempts, that is the next one's."""
    last = entries[-1]
    if not isinstance(last.body, AttemptEnded):
        return entries
    generation = max(entry.body.generation for entry in entries if isinstance(entry.body, Started | AttemptBegan))
    began = AttemptBegan(last.body.attempt + 1, generation + last.body.compensated)
    return [*entries, Entry(last.index + 1, last.at, began)]


class _Later:
    """In place of the worker's loop: what is to be called soon is called by the rehearsal, and no alarm rings."""

    def __init__(self) -> None:
        self.callbacks: deque[Callable[[], object]] = deque()

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self.callbacks.append(partial(callback, *args))

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> "_Silent":
        return _Silent()


class _Silent:
    """An alarm that never rings."""

    def cancel(self) -> None:
        """It doesn't anyway."""


class _Nobody:
    """In place of a runtime: there is nobody to ask."""

    def __getattr__(self, name: str) -> NoReturn:
        raise EffectOutsideStep(
            f"a workflow body calls the runtime itself ({name})",
            why="the answer differs from time to time, and a rehearsal has no runtime to give one",
            fix="ask through the context, or in a step",
        )


_WORK: Final = (Kind.STEP, Kind.CALL)
_OF_A_BODY: Final = (Outcome, Begun, Retrying, Fired, Patched)  # Entries that a body has left.


class _Rehearsal(WorkflowRun):
    """A life of a body in which nothing is carried out."""

    def __init__(self, stage: Stage, dispatch: Dispatch, component: Component[Any, Any]) -> None:
        self._notes: list[str] = []
        self._requests: list[Request] = []
        self._waits: tuple[Wait, ...] | None = None
        self._error: BaseException | None = None
        self._is_through = False
        super().__init__(stage, dispatch, component)
        self._entries = dispatch.entries

    def play(self, later: "_Later") -> None:
        """Let the body follow its journal."""
        try:
            self.begin_life()
            # Long journals are fed in portions.
            while later.callbacks:
                later.callbacks.popleft()()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # The body's own, such as SystemExit, which no loop holds back.
            self._error = error
        finally:
            later.callbacks.clear()

    def finding(self, *, has_other_code: bool) -> Finding:
        """What is to be said of it."""
        error = self._error
        was_to_fail = error is not None and self._was_to_fail(error)
        notes = tuple(dict.fromkeys(self._notes))
        if isinstance(error, NonDeterminismError):
            raised = self._raised()
            if raised is None:
                return Finding(Verdict.DIVERGENT, error, notes)
            return Finding(Verdict.FAILS, raised, (*notes, error.what))
        if error is not None and not was_to_fail:
            return Finding(Verdict.FAILS, error, notes)
        if not any(isinstance(entry.body, _OF_A_BODY) for entry in self._entries):
            return Finding(Verdict.UNSTARTED, None, notes, self._waits)
        notes += self._done_anew()
        is_ahead = has_other_code and not notes and self._is_where_it_was()
        return Finding(Verdict.AHEAD if is_ahead else Verdict.COMPATIBLE, None, notes, self._waits)

    def _raised(self) -> BaseException | None:
        """What ended a body whose journal goes on."""
        if not self.replay.is_over or self.replay.outcome.cancelled():
            return None
        return self.replay.outcome.exception()

    def _was_to_fail(self, error: BaseException) -> bool:
        """Whether the journal itself leads to this: an attempt failed so before, or a process died before its end."""
        if isinstance(error, RunBlockedError) or not isinstance(error, Exception | asyncio.CancelledError):
            return False
        name = name_of_type(type(error))
        if any(isinstance(entry.body, AttemptEnded) and entry.body.error.type == name for entry in self._entries):
            self._notes.append(f"it raises {type(error).__name__} as an earlier attempt did")
            return True
        if not self.history.present:
            return False
        last = self.history.present[-1].body
        return isinstance(last, CancelRequested) or (isinstance(last, Outcome) and not last.is_success)

    def _done_anew(self) -> tuple[str, ...]:
        """What an earlier attempt achieved and this code passes over for something else.

        Over a retry operations are matched by key, not by order, so that isn't a divergence.
        """
        asked = {request.key for request in self._requests}
        known = {entry.body.key for entry in self._entries if isinstance(entry.body, Outcome | Begun | Retrying)}
        kept = [done for done in self.history.successes.values() if done.key not in asked and not done.scope]
        new = [each for each in self.replay.waiting_for if each.kind in _WORK and each.key not in known]
        if not kept or not new:
            return ()
        done, now = kept[0], new[0]
        return (
            f"an earlier attempt has done {done.kind.value} {done.name!r} ({done.site}); "
            f"the code asks for {now.kind.value} {now.name!r} ({now.site}) instead, which is done anew",
        )

    def _is_where_it_was(self) -> bool:
        """Whether every operation on record, and there are some, is asked for at the line at which it was."""
        lines = {request.op: _line(request.site) for request in self._requests}
        places = [
            (_line(entry.body.site), lines[entry.body.op])
            for entry in self.history.present
            if isinstance(entry.body, Outcome | Begun | Retrying)
            and entry.body.op in lines
            and entry.body.site
            and not entry.body.scope
        ]
        return bool(places) and all(was == now for was, now in places)

    # What the body asks for is noted, and not carried out

    def begin(self, request: Request) -> Awaitable[Any]:
        self._requests.append(request)
        return super().begin(request)

    def wait_event(self, request: Request, timeout: float | None) -> Awaitable[Any]:
        self._requests.append(request)
        return super().wait_event(request, timeout)

    def start_step(self, request: Request, scope: str) -> None:
        """It isn't started."""

    def carry_out(self, request: Request, scope: str, calls: int) -> None:
        """It isn't carried out."""

    def ask(self, ask: Ask) -> None:
        if isinstance(ask, Park):
            self._waits = ask.on

    def conclude(self, result: Any, error: BaseException | None) -> None:
        if not self._is_through:
            self._is_through = True
            self._error = error

    def block(self, error: RunBlockedError) -> None:
        if not self._is_through:
            self._is_through = True
            self._error = error

    def _log(self, sentence: str) -> None:
        self._notes.append(sentence)

    def forget(self) -> None:
        # Whatever the body's own `finally` raises as it is closed concerns nobody any more; it is watched, too.
        with suppress(Exception), self:
            super().forget()


def _line(site: str) -> str:
    """A place in the code without its folder, which differs between checkouts."""
    return site.rpartition("/")[2]
