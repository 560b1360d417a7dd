"""One life of a deterministic body: fed with its journal, it asks for operations.

The body runs on its own loop (`loop`), and only when this machine lets it: once at the start and
once after each entry, until everything in it waits. What it asked for in between is in `asked`.

    start()  --> the body runs --> asked: requests, in order
    deliver(entry) --> the one that waits for it goes on --> asked: more requests

While entries of the past are left, whatever the body asks for has been asked before: it is checked
against what was recorded and not carried out. `go_live` then tells what has no outcome yet.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from random import Random
from typing import Any
from uuid import UUID

from msgspec import Raw

from agnt5.core.journal.entry import (
    UNNUMBERED,
    Begun,
    CancelRequested,
    Entry,
    Fired,
    Kind,
    Outcome,
    Patched,
    Retrying,
    Signal,
)
from agnt5.core.model.errors import InternalError, NonDeterminismError, RunBlockedError
from agnt5.core.model.ids import OperationKeys, RunId, seed_of
from agnt5.core.model.payload import NOTHING
from agnt5.core.replay.closing import Evicted
from agnt5.core.replay.determinism import (
    Recorded,
    changed,
    differs,
    has_compensated,
    has_other_arguments,
    missing,
    other_arguments,
)
from agnt5.core.replay.history import History, apply_state
from agnt5.core.replay.loop import ReplayFuture, ReplayLoop
from agnt5.core.replay.operations import COMPENSATING, KEPT, ReadFailure, Request


class OperationFuture(ReplayFuture):
    """What the body waits on for an operation; tells when the body stops waiting."""

    __slots__ = ("replay", "request")

    replay: "Replay"
    request: Request

    def cancel(self, msg: Any = None) -> bool:
        is_cancelled = super().cancel(msg)
        if is_cancelled:
            self.replay.note_dropped(self.request)
        return is_cancelled


class Replay:
    """Runs a body from the top, along its journal and beyond it.

    Args:
        run_id: Whose body it is.
        entries: The journal of its generation, as far as it goes.
        read_failure: Makes an exception from what the journal holds.
        log: Takes a sentence about the body that somebody should know.

    Attributes:
        asked: What the body has asked for since this was last emptied.
        dropped: What it has stopped waiting for, likewise.
        divergence: How it disagrees with its journal; it isn't run any further.
        is_strict: Arguments that differ from the recorded ones are a divergence, and not only a warning.
    """

    def __init__(
        self,
        run_id: RunId,
        entries: list[Entry],
        read_failure: ReadFailure,
        log: Callable[[str], None],
    ) -> None:
        self.run_id = run_id
        self.history = History(entries)
        self.asked: list[Request] = []
        self.dropped: list[Request] = []
        self.divergence: RunBlockedError | None = None
        self.is_strict = False
        self.is_cancel_requested = False
        self.next_index = self.history.next_index
        self.state = self.history.state
        history = self.history
        seed = self._seed = seed_of(history.started.seed or run_id) + history.generation
        # What its class lacks is set there one by one.
        self.loop = ReplayLoop(history.began_at, seed, self._on_loop_error)  # type: ignore[abstract]
        self._random: Random | None = None
        self._uuids: Random | None = None
        self._log = log
        self._read_failure = read_failure
        self._keys = OperationKeys(history.generation)
        self._count = 0
        self._open: dict[int, Request] = {}
        self._left = deque(history.present)
        self._recorded: dict[int, tuple[int, Recorded]] = {}
        self._handled: list[BaseException] = []
        self._signals: dict[str, deque[Raw]] = {}
        self._signal_waits: dict[str, deque[tuple[asyncio.Future[Any], Callable[[Raw], Any], str]]] = {}
        self._taken = dict(history.spent)
        self._unpatched: set[str] = set()
        self._main: asyncio.Task[Any] | None = None
        for signal in history.signals:
            self._signals.setdefault(signal.name, deque()).append(signal.payload)
        for entry in history.present:
            body = entry.body
            if isinstance(body, Begun | Outcome | Retrying) and body.op >= 0 and not body.scope:
                self._recorded.setdefault(body.op, (entry.index, body))

    # Running

    def start(self, body: Coroutine[Any, Any, Any], context: Context) -> None:
        """Run the body up to its first wait."""
        self._main = self.loop.create_task(body, name="main", context=context)
        self._run()

    def feed(self, entries_max: int) -> bool:
        """Give the body that many entries of its past; returns whether some are left."""
        for _ in range(entries_max):
            if not self._left or self.is_over or self.divergence is not None:
                break
            entry = self._left.popleft()
            self._apply(entry)
            self._run()
        if self.is_over and self.divergence is None:
            self._check_end()
        return bool(self._left) and not self.is_over and self.divergence is None

    def append(self, entry: Entry) -> None:
        """Something was appended to the journal while the body is still being fed with it."""
        if entry.index >= self.next_index:
            self.next_index = entry.index + 1
            self._left.append(entry)

    def deliver(self, entry: Entry) -> None:
        """Give the body what has been appended to its journal."""
        if entry.index < self.next_index or self.is_over:
            return
        self.next_index = entry.index + 1
        self._apply(entry)
        self._run()

    def _run(self) -> None:
        try:
            self.loop.run_until_idle()
        except RunBlockedError as error:
            self._stop(error)

    def _stop(self, error: RunBlockedError) -> None:
        self.divergence = self.divergence or error
        self.loop.is_stopped = True

    def _apply(self, entry: Entry) -> None:
        self.loop.now_us = entry.at
        body = entry.body
        if isinstance(body, Outcome):
            self._apply_outcome(entry, body)
        elif isinstance(body, Fired):
            if not self.loop.fire(body.n):
                self._stop(missing(entry, body, self._open.values(), is_over=False))
        elif isinstance(body, Signal):
            self._apply_signal(body)
        elif isinstance(body, Begun | Retrying):
            self._apply_progress(entry, body)
        elif isinstance(body, CancelRequested):
            assert self._main is not None, "the body is started before its journal is read"
            self.is_cancel_requested = True
            self._main.cancel()

    def _apply_outcome(self, entry: Entry, body: Outcome) -> None:
        if body.kind is Kind.STATE:
            apply_state(self.state, body)
        if body.op == UNNUMBERED or body.scope:
            # Of an earlier attempt that was still at it, or of a step: the body isn't waiting for it.
            self.history.keep(body)
        elif body.op >= self._count:
            self._stop(missing(entry, body, self._open.values(), is_over=self.is_over))
        else:
            request = self._open.pop(body.op, None)
            if request is not None:
                future, request.future = request.future, None
                self._resolve(future, request, body)

    def _resolve(self, future: "asyncio.Future[Any]", request: Request, body: Outcome) -> None:
        if future.done():
            return
        if body.error is not None:
            future.set_exception(as_raisable(self._read_failure(body.error)))
            return
        try:
            future.set_result(request.read(body.result))
        except Exception as error:  # A value whose class has changed since: replay can't go on with it.
            self._stop(
                NonDeterminismError(
                    f"what {request.kind.value} {request.name!r} returned can't be read any more: {error}",
                    why="the class of the value has changed since the run recorded it",
                    fix="let the class read its old fields again; the run then resumes by itself",
                )
            )

    def _apply_progress(self, entry: Entry, body: Begun | Retrying) -> None:
        if isinstance(body, Begun):
            self.history.count(body)
        if body.op == UNNUMBERED or body.scope:
            return
        if body.op >= self._count:
            self._stop(missing(entry, body, self._open.values(), is_over=self.is_over))
            return
        request = self._open.get(body.op)
        if request is None:
            # The body had given it up by then; that it was begun tells the worker that there is something to stop.
            request = next((each for each in self.dropped if each.op == body.op), None)
        if request is None:
            return
        if isinstance(body, Begun):
            request.begun, request.begun_index = body, entry.index
        else:
            request.failures = (*request.failures, body)

    def _apply_signal(self, body: Signal) -> None:
        waits = self._signal_waits.get(body.name)
        while waits:
            future, read, _ = waits.popleft()
            if not future.done():
                self._taken[body.name] = self._taken.get(body.name, 0) + 1
                future.set_result(read(body.payload))
                return
        self._signals.setdefault(body.name, deque()).append(body.payload)

    def _check_end(self) -> None:
        """A body that ends before it asks for what its journal records doesn't match it."""
        for entry in self._left:
            body = entry.body
            if isinstance(body, Begun | Outcome | Retrying) and body.op >= self._count and not body.scope:
                self._stop(missing(entry, body, (), is_over=True))
                return
            if isinstance(body, Begun):
                # What was on its way to the journal when the body ended is left open by it.
                self._apply_progress(entry, body)

    def _on_loop_error(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._log(f"{context.get('message', 'an error in a workflow body')}: {error!r}")

    # Asking

    def begin(self, request: Request) -> "asyncio.Future[Any]":
        """The body asks for an operation; returns what it waits on."""
        if self.loop.is_closed():
            raise Evicted
        number = self._count
        self._count += 1
        request.op = number
        request.key = self._keys.next(request.kind, request.target or request.name, request.identity or request.args)
        self._note_handling(request)
        future = OperationFuture(loop=self.loop)
        future.replay = self
        future.request = request
        request.future = future
        if self._recorded:
            recorded = self._recorded.get(number)
            if recorded is not None and not self._matches(recorded[0], recorded[1], request):
                return future
        if request.kind in KEPT:
            kept = self.history.successes.get(request.key)
            if kept is not None:
                request.future = None
                self._resolve(future, request, kept)
                return future
        self._open[number] = request
        self.asked.append(request)
        return future

    def _matches(self, index: int, recorded: Recorded, request: Request) -> bool:
        if differs(recorded, request):
            self._stop(changed(index, recorded, request))
            return False
        if self.is_strict and has_other_arguments(recorded, request):
            self._stop(other_arguments(index, recorded, request))
            return False
        if recorded.args is not NOTHING and bytes(recorded.args) != request.args:
            self._log(
                f"{request.kind.value} {request.name!r} ({request.site}) was recorded with other arguments; "
                "the recorded outcome is used. Are they read from the clock, chance or a file?"
            )
        return True

    def _note_handling(self, request: Request) -> None:
        """Remember during the handling of which exception the body did something."""
        if request.kind not in COMPENSATING:
            return
        handling = request.handling
        if handling is None and self.loop.is_handling:
            task = asyncio.current_task(self.loop)
            handling = getattr(task, "handling", None)
        if handling is not None and all(known is not handling for known in self._handled):
            self._handled.append(handling)

    def note_dropped(self, request: Request) -> None:
        """The body stopped waiting for an operation."""
        request.future = None
        if not self.loop.is_closed() and self._open.pop(request.op, None) is not None:
            self.dropped.append(request)

    def wait_signal(self, name: str, read: Callable[[Raw], Any], site: str) -> "asyncio.Future[Any]":
        """The body asks for the next signal of this name."""
        if self.loop.is_closed():
            raise Evicted
        future = self.loop.create_future()
        queue = self._signals.get(name)
        if queue:
            self._taken[name] = self._taken.get(name, 0) + 1
            future.set_result(read(queue.popleft()))
        else:
            self._signal_waits.setdefault(name, deque()).append((future, read, site))
        return future

    @property
    def random(self) -> Random:
        """Chance that replay repeats."""
        if self._random is None:
            self._random = Random(self._seed)  # noqa: S311  That it can be repeated is the point.
        return self._random

    def uuid4(self) -> UUID:
        """A random UUID of version 4 that replay repeats."""
        if self._uuids is None:
            self._uuids = Random(self._seed + 1)  # noqa: S311  A stream of its own: neither shifts the other.
        return UUID(int=self._uuids.getrandbits(128), version=4)

    def is_patched(self, change_id: str) -> tuple[bool, bool]:
        """Whether the body takes the new branch of a changed place, and whether that is to be recorded."""
        if self.loop.is_closed():
            raise Evicted
        if change_id in self.history.patches:
            return True, False
        if change_id in self._unpatched or any(map(_is_trace, self._left)):
            # And so it stays: the next life finds the answer for all places where this is asked.
            self._unpatched.add(change_id)
            return False, False
        self.history.patches.add(change_id)
        return True, True

    # What the worker wants to know

    @property
    def is_replaying(self) -> bool:
        """Whether what the body does now has happened before, or is the clearing up of an eviction."""
        return self.loop.is_closed() or bool(self._left)

    @property
    def is_over(self) -> bool:
        """Whether the body is through."""
        return self._main is not None and self._main.done()

    @property
    def outcome(self) -> "asyncio.Task[Any]":
        """The body, which is through."""
        assert self._main is not None and self._main.done(), "only a body that is through has an outcome"
        return self._main

    @property
    def waiting_for(self) -> list[Request]:
        """Operations without an outcome, in the order of asking."""
        return list(self._open.values())

    @property
    def awaited_signals(self) -> list[tuple[str, str]]:
        """Names of the signals that the body waits for, with the lines that do."""
        return [
            (name, site) for name, waits in self._signal_waits.items() for future, _, site in waits if not future.done()
        ]

    @property
    def consumed(self) -> dict[str, int]:
        """How many signals of each name the generation has taken."""
        return dict(self._taken)

    def has_compensated(self, error: BaseException) -> bool:
        """Whether the body undid its work while it failed with this exception."""
        return has_compensated(error, self._handled)

    def close(self) -> None:
        """Forget the body, without letting it go on."""
        self._open.clear()
        self.loop.close()
        if self._main is not None and self._main.done() and not self._main.cancelled():
            # Whether or not somebody has looked at it: its exception is in the journal.
            self._main.exception()
        # The body's context holds its host, and the host holds us: let go, so that no cycle is left
        # for the collector.
        self._main = None
        self._log = _unheard


def _is_trace(entry: Entry) -> bool:
    """Whether the body left this entry; the others also come to a run that has not begun."""
    body = entry.body
    if isinstance(body, Outcome | Begun | Retrying):
        return body.op != UNNUMBERED or bool(body.scope)
    return isinstance(body, Fired | Patched)


def _unheard(sentence: str) -> None:
    """What a body that is closed still has to say."""


def as_raisable(error: BaseException) -> BaseException:
    """The exception, or one that a future may hold."""
    if isinstance(error, StopIteration):
        return RuntimeError(f"a step raised StopIteration({error.value!r})")
    if isinstance(error, asyncio.CancelledError):
        return InternalError("a step was cancelled", why="nobody asked for it", fix="report this")
    return error
