"""A run with a deterministic body: replayed along its journal, then carried on live.

                 dispatch                       nothing of it runs here
    (journal) ------------> replaying --> live -------------------------> parked
                                            ^        deliver                |
                                            +-------------------------------+

What the body asks for while it is replayed has been asked before and is not carried out. When its
journal is at its end, timers that have come due meanwhile are asked for first: a step whose timeout
has passed while the process was down is not started again.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, Final
from uuid import UUID

from msgspec import Raw

from agnt5.core.journal.entry import Begun, Entry, Fired, Kind, Outcome, Patched
from agnt5.core.model.errors import InvalidInput, StepTimeoutError
from agnt5.core.model.retry import MICROSECONDS
from agnt5.core.model.run import WAKE, Timer, Wait
from agnt5.core.protocol.messages import Dispatch, Fire, Park
from agnt5.core.replay.operations import Operation, Request
from agnt5.core.replay.replay import Replay
from agnt5.sdk import failures
from agnt5.sdk.component import Component
from agnt5.sdk.context import WorkflowContext
from agnt5.sdk.current import CURRENT
from agnt5.worker.run import LOGGER, Bench, RunHost
from agnt5.worker.step import Step
from agnt5.worker.watchdog import Interrupted

FEED_MAX: Final = 500  # Entries in a row before other work of the loop gets its turn; about 10 ms.
TIMERS_MAX: Final = 64  # Of those a waiting body has set, the runtime is told so many, soonest first.
IDLE_SECONDS: Final = 0.005  # After which outcomes that the body is ahead of are committed; arbitrary.
_WAITS: Final = {Kind.CALL: "call", Kind.RESULT: "run", Kind.EVENT: "event"}
# Answered as soon as they are committed: a body that waits for one of these hardly waits.
_PROMPT: Final = frozenset({Kind.STATE, Kind.SEND, Kind.SUBMIT})


class WorkflowRun(RunHost):
    """Carries on one deterministic run, and is what its context stands on."""

    is_evictable = True
    is_deterministic = True
    scope = ""
    last_heartbeat: Any = None

    def __init__(self, bench: Bench, dispatch: Dispatch, component: Component[Any, Any]) -> None:
        self.replay = Replay(dispatch.run_id, dispatch.entries, failures.read, self._log)
        super().__init__(bench, dispatch, component, self.replay.history)
        self.idempotency_key: str = dispatch.run_id
        self._steps_max: int | None = getattr(component, "max_concurrent_steps", None)
        self._interval: int = getattr(component, "checkpoint_interval", 1)
        self._queued_steps: deque[Request] = deque()
        self._asked_timers: set[int] = set()
        self._pending: set[int] = set()
        self._has_retries = False
        self._is_live = False
        self._is_caught_up = False
        self._is_beginning = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_due = 0

    def _log(self, sentence: str) -> None:
        LOGGER.warning(sentence, extra={"run_id": self.run_id})

    # Life

    def begin_life(self) -> None:
        context = WorkflowContext(self)
        variables = contextvars.Context()
        variables.run(CURRENT.set, context)
        schema = self.component.schema
        try:
            args, kwargs = schema.read(self.history.started.input, self.component.name)
            body = self.component.fn(*([context, *args] if schema.wants_context else args), **kwargs)
        except Exception as error:  # What the code at hand can't take, it never could, or no longer can.
            self.conclude(None, error)
            return
        if self.timeout is not None:
            body = _bounded(body, self.timeout, self.component.name)
        with self:
            self.replay.start(body, variables)
        self._feed()

    def __enter__(self) -> None:
        """The body is let go on, watched."""
        self.bench.driving(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        self.bench.driving(None)
        if self.stuck is not None:
            self.replay.divergence = self.stuck
        # It may have been stopped where no task of its own could take the exception.
        return kind is Interrupted

    def _feed(self) -> None:
        if self.is_over:
            return
        is_more = False
        with self:
            is_more = self.replay.feed(FEED_MAX)
        if is_more:
            self.loop.call_soon(self._feed)
        else:
            self._go_live()
            self._advance()

    def _go_live(self) -> None:
        self._is_live = True
        # Of all that the body has asked for so far, this is what has no outcome yet.
        self.replay.asked = self.replay.waiting_for

    def take(self, entries: list[Entry]) -> None:
        self.is_parked = False
        with self:
            for entry in entries:
                self._take_one(entry)
        if self._is_live:
            self._advance()

    def _take_one(self, entry: Entry) -> None:
        if not self._is_live:
            # The body is still in its past: this follows it.
            if entry.index >= self.replay.next_index:
                self.route(entry)
            self.replay.append(entry)
            return
        self.replay.deliver(entry)
        body = entry.body
        if type(body) is Outcome:
            self._pending.discard(body.op)
            self.route(entry)
        elif type(body) is Begun and not self.route(entry) and body.kind is Kind.STEP:
            self._step_is_on_record(body)
        elif type(body) is Fired:
            self._asked_timers.discard(body.n)

    def _step_is_on_record(self, body: Begun) -> None:
        """A step that may not run twice is on record as begun, so it may run once."""
        self._pending.discard(body.op)
        for request in self.replay.waiting_for:
            if request.op == body.op:
                self.start_step(request, "")

    def _advance(self) -> None:
        """The body has gone as far as it could: do what it asked for, or let it wait."""
        replay = self.replay
        if self.is_over or self._ending is not None:
            return
        if replay.divergence is not None:
            self.block(replay.divergence)
            return
        if replay.is_over:
            self._body_over()
            return
        self._is_beginning = True
        try:
            if replay.dropped:
                self._drop_all()
            if self._fire_due() and not self._is_caught_up:
                # Something came due before the body could be carried on. What it asks for waits until
                # it has seen that.
                return
            self._is_caught_up = True
            self._begin_asked()
        finally:
            self._is_beginning = False
        self.consider()

    def _begin_asked(self) -> None:
        asked, self.replay.asked = self.replay.asked, []
        for request in asked:
            if request.is_awaited and not self.is_over:
                self._begin(request)

    def _drop_all(self) -> None:
        dropped, self.replay.dropped = self.replay.dropped, []
        for request in dropped:
            if request.is_sent or request.begun is not None:
                self.abandon(request, "")

    def _begin(self, request: Request) -> None:
        if request.kind is Kind.STEP and self._steps_max is not None and len(self.steps) >= self._steps_max:
            self._queued_steps.append(request)
            return
        request.is_sent = True
        if request.kind is Kind.STEP and request.spec.idempotent:
            self.start_step(request, "")
            return
        if request.kind in _PROMPT or request.kind is Kind.STEP:
            self._pending.add(request.op)
        self.carry_out(request, "", self.history.calls.get(request.key, 0))

    def _body_over(self) -> None:
        main = self.replay.outcome
        if main.cancelled():
            self.conclude(None, asyncio.CancelledError())
        else:
            error = main.exception()
            self.conclude(None if error is not None else main.result(), error)

    # Steps

    def step_over(self, step: Step, outcome: Outcome) -> None:
        if self._interval > 1 and self._may_go_ahead(step, outcome):
            self._go_ahead(step, outcome)
            return
        if not step.within and not self.is_over:
            # It is on its way to the journal, and back to the body as soon as it is there.
            self._pending.add(outcome.op)
        super().step_over(step, outcome)

    def step_waits(self, step: Step) -> None:
        self._has_retries = True
        super().step_waits(step)

    def _may_go_ahead(self, step: Step, outcome: Outcome) -> bool:
        """Whether the body may see the outcome before it is committed (`checkpoint_interval`)."""
        return (
            len(self.ahead) < self._interval - 1
            and not self.asks
            and not step.within
            and outcome.is_success
            and self._ending is None
            and not self.is_over
        )

    def _go_ahead(self, step: Step, outcome: Outcome) -> None:
        del self.steps[step.request.key]
        self._keyed.pop(step.request.key, None)
        if not self.ahead:
            self.loop.call_later(IDLE_SECONDS, self.bench.flush_soon, self)
        self.ahead.append(outcome)
        with self:
            self._take_one(Entry(self.replay.next_index, max(outcome.ended, self.replay.loop.now_us), outcome))
        self._advance()

    def consider(self) -> None:
        if self.is_over or self._is_beginning or not self._is_caught_up:
            # While it begins what the body asked for, it doesn't wait, even if the first of that does.
            return
        while self._queued_steps and self._steps_max is not None and len(self.steps) < self._steps_max:
            request = self._queued_steps.popleft()
            if request.is_awaited:
                self._begin(request)
        if self._has_retries:
            self._start_due_attempts()
        if self._pending or self._asked_timers or self._is_executing():
            if self._has_retries or self.replay.loop.timers or self._alarm is not None:
                self._set_alarm()
        elif not self.is_parked:
            self._park()

    def _is_executing(self) -> bool:
        if not self._has_retries:
            return bool(self.steps)
        return any(not step.retry_at for step in self.steps.values())

    def _start_due_attempts(self) -> None:
        now = self.clock_us()
        for step in list(self.steps.values()):
            if 0 < step.retry_at <= now:
                step.execute()
        self._has_retries = any(step.retry_at for step in self.steps.values())

    # Time

    def _fire_due(self) -> bool:
        """Ask for the timers that are due; returns whether any is on its way."""
        timers = self.replay.loop.timers
        if timers:
            now = self.clock_us()
            due = sorted((timer.due, timer.n) for timer in timers.values() if timer.due <= now)
            for _, n in due:
                if n not in self._asked_timers:
                    self._asked_timers.add(n)
                    self.ask(Fire(self._timer(n)))
        return bool(self._asked_timers)

    def _timer(self, n: int) -> Timer:
        timer = self.replay.loop.timers[n]
        return Timer(timer.due, n, timer.label, timer.site)

    def _set_alarm(self) -> None:
        """While something of the run executes here, its timers are watched here."""
        due = min(
            (timer.due for timer in self.replay.loop.timers.values() if timer.n not in self._asked_timers),
            default=0,
        )
        for step in self.steps.values():
            if step.retry_at and (not due or step.retry_at < due):
                due = step.retry_at
        if due == self._alarm_due:
            return
        self._clear_alarm()
        if due:
            self._alarm_due = due
            self._alarm = self.loop.call_later((due - self.clock_us()) / MICROSECONDS, self._ring)

    def _clear_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        self._alarm_due = 0

    def _ring(self) -> None:
        self._clear_alarm()
        if not self.is_over and self._ending is None:
            self._fire_due()
            self.consider()

    def look_again(self) -> None:
        super().look_again()
        if not self.is_parked and self._is_caught_up:
            self._ring()

    def _park(self) -> None:
        """Nothing of the run executes here: the runtime watches its timers, and may let it be forgotten."""
        self._clear_alarm()
        loop = self.replay.loop
        soonest = sorted((timer.due, timer.n) for timer in loop.timers.values())[:TIMERS_MAX]
        timers = [self._timer(n) for _, n in soonest]
        timers += [Timer(step.retry_at, WAKE, "retry", step.request.site) for step in self.steps.values()]
        timers.sort(key=lambda timer: (timer.due, timer.n))
        on = [
            Wait(_WAITS[request.kind], request.target or request.name, request.site)
            for request in self.replay.waiting_for
            if request.kind in _WAITS
        ]
        on += [Wait("signal", name, site) for name, site in self.replay.awaited_signals]
        self.is_parked = True
        self.ask(Park(tuple(timers), tuple(on)))
        self.bench.has_parked(self)

    # What a run is asked by others

    @property
    def seen(self) -> int:
        return self.replay.next_index - 1

    @property
    def consumed(self) -> dict[str, int]:
        return self.replay.consumed

    @property
    def is_cancel_requested(self) -> bool:
        return self.replay.is_cancel_requested

    def open_calls(self) -> list[Request]:
        # What the body gave up in the very turn in which it ended has not been looked at yet.
        return [
            request
            for request in (*self.replay.waiting_for, *self.replay.dropped)
            if request.kind is Kind.CALL and (request.is_sent or request.begun is not None)
        ]

    def has_compensated(self, error: BaseException) -> bool:
        return self.replay.has_compensated(error)

    def close_body(self) -> None:
        self._clear_alarm()
        self.replay.close()

    # What its context stands on

    @property
    def is_replaying(self) -> bool:
        return self.replay.is_replaying

    @property
    def random(self) -> Random:
        return self.replay.random

    def now_us(self) -> int:
        return self.replay.loop.now_us

    def uuid4(self) -> UUID:
        return self.replay.uuid4()

    def begin(self, request: Request) -> Awaitable[Any]:
        return self.replay.begin(request)

    def next_hash(self) -> int:
        return self.replay.loop.next_hash()

    def sleep(self, seconds: float, site: str) -> Awaitable[None]:
        request = Request(Kind.SLEEP, "sleep", b"", site, _nothing)
        return Operation(lambda _: self._sleep(seconds, site), request, self.next_hash)

    def _sleep(self, seconds: float, site: str) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = self.replay.loop.create_future()
        timer = self.replay.loop.call_later(seconds, _set_done, future)
        timer.label, timer.site = "sleep", site
        future.add_done_callback(lambda _: timer.cancel())
        return future

    def wait_event(self, request: Request, timeout: float | None) -> Awaitable[Any]:
        if timeout is None:
            return Operation(self.replay.begin, request, self.next_hash)
        said = f"event {request.name!r} didn't come within {timeout} s"
        return Operation(lambda _: _limited(self.replay.begin, request, timeout, said), request, self.next_hash)

    def wait_signal(self, name: str, read: Callable[[Raw], Any], timeout: float | None, site: str) -> Awaitable[Any]:
        request = Request(Kind.EVENT, name, b"", site, read)

        def wait(_: Request) -> "asyncio.Future[Any]":
            return self.replay.wait_signal(name, read, site)

        if timeout is None:
            return Operation(wait, request, self.next_hash)
        said = f"signal {name!r} didn't come within {timeout} s"
        return Operation(lambda _: _limited(wait, request, timeout, said), request, self.next_hash)

    def patched(self, change_id: str) -> bool:
        is_new, is_to_record = self.replay.is_patched(change_id)
        if is_to_record:
            self.ask(Patched(change_id))
        return is_new

    def heartbeat(self, details: bytes) -> None:
        raise InvalidInput(
            "a workflow body gave a heartbeat",
            why="a body that waits costs nothing and needs none; heartbeats are for steps that work",
            fix="call ctx.heartbeat inside the step",
        )


async def _bounded(body: Coroutine[Any, Any, Any], timeout: float, name: str) -> Any:
    try:
        async with asyncio.timeout(timeout) as scope:
            return await body
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise StepTimeoutError(
            f"an attempt of {name!r} took longer than {timeout} s",
            why="its timeout is shorter than it needed",
            fix="raise timeout=, or let it be continued in another run",
        ) from error


async def _limited(begin: Callable[[Request], Awaitable[Any]], request: Request, timeout: float, said: str) -> Any:
    try:
        async with asyncio.timeout(timeout) as scope:
            return await begin(request)
    except TimeoutError:
        if not scope.expired():
            raise
        raise TimeoutError(said) from None


def _set_done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _nothing(raw: Raw) -> None:
    return None
