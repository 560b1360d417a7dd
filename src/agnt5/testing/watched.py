"""A worker that tells when nothing is at work in it, and what of the user's code it calls.

The hosts of runs are the real ones. Each is asked two things more: whether anything of its run
executes at the moment, and when it wants to be woken next. All is on the loop's thread but the
calls of plain functions, which are counted under a lock.
"""

import inspect
from collections.abc import Awaitable, Callable
from copy import copy
from random import Random
from threading import Lock
from typing import Any, Final

from msgspec import Struct, structs

from agnt5.core.journal.entry import Kind
from agnt5.core.model.ids import OperationKey, RunId
from agnt5.core.protocol.messages import Dispatch
from agnt5.core.replay.operations import Request
from agnt5.sdk.component import Component
from agnt5.worker.function import FunctionRun
from agnt5.worker.keyed import Keyed
from agnt5.worker.run import RunHost
from agnt5.worker.step import Step
from agnt5.worker.worker import Worker
from agnt5.worker.workflow import WorkflowRun

NEVER: Final = float("inf")  # As a time.
BODY: Final = OperationKey("body")  # Stands for the body of a function's own run among its steps.


class Call(Struct, frozen=True):
    """A call of the user's code: of a step, or of a function's own run."""

    run_id: RunId
    key: OperationKey
    name: str


class Calls:
    """Which of the user's functions execute at the moment.

    Args:
        on_call: Told of each call before it is made, on whichever thread makes it.
    """

    def __init__(self, on_call: Callable[[Call], None] | None = None) -> None:
        self._on_call = on_call
        self._live: dict[int, Call] = {}
        self._count = 0
        self._lock = Lock()

    @property
    def live(self) -> list[Call]:
        """Those that have begun and not ended."""
        with self._lock:
            return list(self._live.values())

    def _begin(self, call: Call) -> int:
        if self._on_call is not None:
            self._on_call(call)
        with self._lock:
            self._count += 1
            self._live[self._count] = call
            return self._count

    def _end(self, number: int) -> None:
        with self._lock:
            self._live.pop(number, None)

    def watch(self, call: Call, fn: Callable[..., Any], *, is_async: bool) -> Callable[..., Any]:
        """The function, with each of its calls counted."""

        async def watched(*args: Any, **kwargs: Any) -> Any:
            number = self._begin(call)
            try:
                return await fn(*args, **kwargs)
            finally:
                self._end(number)

        def watched_plainly(*args: Any, **kwargs: Any) -> Any:
            number = self._begin(call)
            result = None
            try:
                result = fn(*args, **kwargs)
            finally:
                if not inspect.isawaitable(result):
                    self._end(number)
            return self._watch_rest(result, number) if inspect.isawaitable(result) else result

        return watched if is_async else watched_plainly

    async def _watch_rest(self, awaitable: Awaitable[Any], number: int) -> Any:
        """A plain function returned something to await, as a lambda around an async one does."""
        try:
            return await awaitable
        finally:
            self._end(number)


class Evenly(Random):
    """Chance that is always in the middle, so that delays have no jitter and can be turned to exactly."""

    def random(self) -> float:
        return 0.5


class WatchedWorkflowRun(WorkflowRun):
    """A run of a workflow; arguments that differ from the recorded ones are an error."""

    def __init__(self, bench: "WatchedWorker", dispatch: Dispatch, component: Component[Any, Any]) -> None:
        super().__init__(bench, dispatch, component)
        self.replay.is_strict = True
        self._calls_made = bench.calls

    def start_step(self, request: Request, scope: str) -> None:
        _watch_step(self._calls_made, self.run_id, request)
        super().start_step(request, scope)

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it executes, nothing is on its way and nothing due."""
        if not (self._is_live and self._is_caught_up) or self._ending is not None:
            return False
        if self._pending or self._asked_timers or self.ahead:
            return False
        return _are_idle(self) and self.next_due > self.clock_us()

    @property
    def next_due(self) -> float:
        """When something of it is due that the runtime doesn't watch, in microseconds since the epoch."""
        if self.is_parked:
            return NEVER
        timers = [timer.due for timer in self.replay.loop.timers.values()]
        return min([*timers, _next_of_steps(self)], default=NEVER)


class WatchedFunctionRun(FunctionRun):
    """A run of a function."""

    def __init__(self, bench: "WatchedWorker", dispatch: Dispatch, component: Component[Any, Any]) -> None:
        call = Call(dispatch.run_id, BODY, component.name)
        watched = copy(component)
        is_async = component.schema.is_async
        watched.fn = bench.calls.watch(call, component.fn, is_async=is_async)
        super().__init__(bench, dispatch, watched)
        self._calls_made = bench.calls

    def start_step(self, request: Request, scope: str) -> None:
        _watch_step(self._calls_made, self.run_id, request)
        super().start_step(request, scope)

    @property
    def is_idle(self) -> bool:
        """Whether its body waits for something it asked for, nothing else executes, and nothing is due."""
        if self._ending is not None:
            return False
        waits = bool(self._own.waiting_for) or any(not wait[2].done() for wait in self._signal_waits)
        return waits and _are_idle(self) and self.next_due > self.clock_us()

    @property
    def next_due(self) -> float:
        """As for a workflow; the runtime watches nothing of a function's."""
        return min(_next_of(self._own), _next_of_steps(self))


def _watch_step(calls: Calls, run_id: RunId, request: Request) -> None:
    spec = request.spec
    call = Call(run_id, request.key, request.name)
    request.spec = structs.replace(spec, fn=calls.watch(call, spec.fn, is_async=spec.schema.is_async))


def _are_idle(host: RunHost) -> bool:
    """Whether no step executes: each waits for its next attempt, or for what its function has asked for."""
    return all(step.retry_at or _waits(host, step) for step in host.steps.values())


def _waits(host: RunHost, step: Step) -> bool:
    keyed = host._keyed.get(step.request.key)
    return keyed is not None and bool(keyed.waiting_for)


def _next_of_steps(host: RunHost) -> float:
    times: list[float] = [step.retry_at for step in host.steps.values() if step.retry_at]
    times += [_next_of(keyed) for keyed in host._keyed.values()]
    return min(times, default=NEVER)


def _next_of(keyed: Keyed) -> float:
    """When the soonest sleep ends that this function is in."""
    sleeps = [request.key for request in keyed.waiting_for if request.kind is Kind.SLEEP]
    begun = [keyed.recall.begun[key][1] for key in sleeps if key in keyed.recall.begun]
    return min((entry.due for entry in begun), default=NEVER)


class WatchedWorker(Worker):
    """A worker of a harness.

    Attributes:
        calls: What it calls of the user's.
    """

    calls: Calls

    def _host(self, message: Dispatch, component: Component[Any, Any]) -> RunHost:
        return (WatchedWorkflowRun if component.is_deterministic else WatchedFunctionRun)(self, message, component)

    @property
    def hosts(self) -> list[WatchedWorkflowRun | WatchedFunctionRun]:
        """The runs that it holds."""
        return list(self._runs.values())  # type: ignore[arg-type]  # It makes no others.

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to say, and no run that it holds is at work."""
        return not self._is_flush_due and all(host.is_idle for host in self.hosts)

    @property
    def events_in_steps(self) -> list[tuple[RunId, str]]:
        """Events that the functions of steps wait for, which the runtime doesn't know of."""
        return [
            (host.run_id, request.name)
            for host in self.hosts
            for keyed in host._keyed.values()
            for request in keyed.waiting_for
            if request.kind is Kind.EVENT
        ]

    @property
    def next_due(self) -> float:
        """When something is due that the runtime doesn't watch, in microseconds since the epoch."""
        return min((host.next_due for host in self.hosts), default=NEVER)
