"""The worker of one event loop: takes runs from the runtime, and reports what becomes of them.

It lives on its loop's thread alone. What it has to say is collected during one turn of the loop
and sent at its end, so that a thousand steps that end together are one message.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from random import Random
from threading import get_ident
from time import monotonic
from typing import Any

from msgspec import structs

from agnt5.core.journal.entry import UNNUMBERED, Outcome
from agnt5.core.model.errors import Agnt5Error, RunBlockedError, UnknownComponent
from agnt5.core.model.failures import failure_of
from agnt5.core.model.ids import OperationKey, RunId, WorkerId
from agnt5.core.protocol.messages import (
    Block,
    ComponentInfo,
    Deliver,
    Dispatch,
    FromWorker,
    Goodbye,
    Hello,
    LookAgain,
    Refuse,
    Register,
    Release,
    Report,
    Reset,
    ToWorker,
)
from agnt5.sdk.backend import Backend
from agnt5.sdk.component import Component
from agnt5.sdk.registry import REGISTRY
from agnt5.worker import guard
from agnt5.worker.function import FunctionRun
from agnt5.worker.run import RunHost
from agnt5.worker.settings import WorkerSettings
from agnt5.worker.step import Step
from agnt5.worker.threads import Threads
from agnt5.worker.watchdog import take_back
from agnt5.worker.workflow import WorkflowRun

LOGGER = logging.getLogger("agnt5.worker")
ORPHANS_MAX = 1_000  # Steps left running by runs that have ended; the oldest are forgotten beyond it.
Send = Callable[[list[FromWorker]], None]


class Worker:
    """Hosts runs on one event loop.

    Args:
        worker_id: Its name to the runtime.
        loop: Where it lives.
        send: Takes messages to the runtime; called on the loop's thread.
        backend: What calls from steps go to.
        clock_us: The time, in microseconds since the epoch.
        settings: Its bounds.
    """

    def __init__(
        self,
        worker_id: WorkerId,
        loop: asyncio.AbstractEventLoop,
        send: Send,
        backend: Backend,
        clock_us: Callable[[], int],
        settings: WorkerSettings,
    ) -> None:
        self.id = worker_id
        self.loop = loop
        self.backend = backend
        self.settings = settings
        self.clock_us = clock_us
        self.threads = Threads(settings.max_threads)
        self.chance = Random()  # noqa: S311  For jitter, which need not be secret.
        self.orphans: dict[tuple[RunId, OperationKey], Step] = {}
        self.thread_id = get_ident()
        # The run whose body executes at the moment, and since when; read by the watchdog's thread.
        self.at_work: tuple[RunHost, float] | None = None
        self._send = send
        self._runs: dict[RunId, RunHost] = {}
        self._parked: OrderedDict[RunId, RunHost] = OrderedDict()
        self._talkers: dict[RunHost, None] = {}
        self._is_flush_due = False
        self._is_closed = False

    # From and to the runtime

    def start(self) -> None:
        """Say hello, and what components there are; those that come later are told too."""
        guard.install()
        components = REGISTRY.listen(self._component_added)
        self._send([Hello(self.id, tuple(map(_info, components)), self.settings.capacity)])

    def _component_added(self, component: Component[Any, Any]) -> None:
        # On whichever thread the module is imported.
        if not self._is_closed:
            self._send([Register(self.id, (_info(component),))])

    def close(self) -> None:
        """Let go of everything at once: no outcome of a run or step is reported any more."""
        if self._is_closed:
            return
        self._is_closed = True
        REGISTRY.unlisten(self._component_added)
        self._forget_all()
        self._send([Goodbye(self.id)])

    def receive(self, messages: list[ToWorker]) -> None:
        """The runtime says something."""
        if self._is_closed:
            return
        for message in messages:
            kind = type(message)
            try:
                if kind is Deliver:
                    self._deliver(message)  # type: ignore[arg-type]  # As just tested.
                elif kind is Dispatch:
                    self._dispatch(message)  # type: ignore[arg-type]  # As just tested.
                elif kind is Refuse:
                    self._refused(message)  # type: ignore[arg-type]  # As just tested.
                elif kind is Reset:
                    self._forget_all()
                elif kind is LookAgain:
                    self.look_again()
            except Exception as error:  # A broken rule of ours: that run stops, and the others go on.
                LOGGER.exception("a run can't be carried on", extra={"run_id": getattr(message, "run_id", "")})
                self._block_broken(getattr(message, "run_id", None), error)

    def _block_broken(self, run_id: RunId | None, error: Exception) -> None:
        host = self._runs.get(run_id) if run_id is not None else None
        if host is not None:
            host.block(
                RunBlockedError(
                    f"run {host.run_id} can't be carried on: {type(error).__name__}: {error}",
                    why="a rule of agnt5 itself was broken",
                    fix=f"report it, with the log of `agnt5.worker`; then `agnt5 runs resume {host.run_id}`",
                    run_id=host.run_id,
                )
            )

    def _dispatch(self, message: Dispatch) -> None:
        known = self._runs.pop(message.run_id, None)
        if known is not None:
            known.forget()
            self._parked.pop(message.run_id, None)
        try:
            host = self._host(message, REGISTRY.get(message.component))
        except Exception as error:  # A journal that can't be understood must not take the worker down.
            self._send([Report(self.id, message.run_id, message.epoch, -1, [Block(_unreadable(message, error))])])
            return
        self._runs[message.run_id] = host
        host.begin_life()

    def _host(self, message: Dispatch, component: Component[Any, Any]) -> RunHost:
        return (WorkflowRun if component.is_deterministic else FunctionRun)(self, message, component)

    def look_again(self) -> None:
        """The clock was turned: whoever waits for a time sees whether it has come."""
        for host in list(self._runs.values()):
            host.look_again()

    def _deliver(self, message: Deliver) -> None:
        host = self._runs.get(message.run_id)
        if host is None or host.epoch != message.epoch:
            return
        if message.entries and message.entries[-1].index <= host.seen:
            # The body was ahead of all this. If it has parked since, it still is: were its timers
            # looked after here too, they would fire twice.
            return
        if host.is_parked:
            self._parked.pop(message.run_id, None)
        host.take(message.entries)

    def _refused(self, message: Refuse) -> None:
        host = self._runs.get(message.run_id)
        if host is not None and host.epoch == message.epoch:
            host.forget()
            self.give_up(host)

    def _forget_all(self) -> None:
        for host in list(self._runs.values()):
            host.forget()
        for step in self.orphans.values():
            step.forget()
        self._runs.clear()
        self._parked.clear()
        self._talkers.clear()
        self.orphans.clear()

    def flush_soon(self, run: RunHost) -> None:
        """The run has something to say; it is sent when this turn of the loop is over."""
        self._talkers[run] = None
        if not self._is_flush_due:
            self._is_flush_due = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._is_closed:
            return
        talkers, self._talkers = self._talkers, {}
        messages: list[FromWorker] = []
        for run in talkers:
            seen = run.seen
            if run.ahead:
                ahead, run.ahead = run.ahead, []
                messages.append(Report(self.id, run.run_id, run.epoch, seen - len(ahead), ahead, is_ahead=True))
            if run.asks:
                asks, run.asks = run.asks, []
                messages.append(Report(self.id, run.run_id, run.epoch, seen, asks))
        if messages:
            self._send(messages)

    # What it lends to its runs

    def driving(self, run: RunHost | None) -> None:
        """A body is let go on, or waits again."""
        was = self.at_work
        self.at_work = (run, monotonic()) if run is not None else None
        if was is not None and was[0].stuck is not None and was[0] is not run:
            take_back(self.thread_id)

    def give_up(self, run: RunHost) -> None:
        """The worker is through with the run; what it has said is still sent."""
        if self._runs.get(run.run_id) is run:
            del self._runs[run.run_id]
        self._parked.pop(run.run_id, None)

    def has_parked(self, run: RunHost) -> None:
        """The run waits; beyond the bound, the one that has waited longest is forgotten."""
        if not run.is_evictable:
            return
        self._parked[run.run_id] = run
        while len(self._parked) > self.settings.max_cached_runs:
            _, oldest = self._parked.popitem(last=False)
            oldest.ask(Release())
            oldest.forget()
            self.give_up(oldest)

    def steps_of(self, run_id: RunId) -> list[Step]:
        """The steps of a run that execute; also for other threads, which may only look."""
        host = self._runs.get(run_id)
        return [step for step in list(host.steps.values()) if not step.retry_at] if host is not None else []

    def orphan_over(self, step: Step, outcome: Outcome) -> None:
        """A step that its run's attempt has left running has come to an end."""
        place = (step.owner.run_id, step.request.key)
        if self.orphans.get(place) is not step:
            return
        successor = self._runs.get(place[0])
        if successor is not None:
            # A later attempt is under way and hasn't asked for it yet; it will find it recorded.
            del self.orphans[place]
            successor.ask(structs.replace(outcome, op=UNNUMBERED))
        else:
            step.finished = outcome
        while len(self.orphans) > ORPHANS_MAX:
            del self.orphans[next(iter(self.orphans))]


def _info(component: Component[Any, Any]) -> ComponentInfo:
    return ComponentInfo(component.name, component.kind, component.code)


def _unreadable(message: Dispatch, error: Exception) -> Any:
    if isinstance(error, UnknownComponent):
        blocked: Agnt5Error = error
    else:
        blocked = RunBlockedError(
            f"the journal of run {message.run_id} can't be followed: {type(error).__name__}: {error}",
            why="it was edited, or written by another version",
            fix=f"restore it from a backup, or cancel the run: `agnt5 runs cancel {message.run_id}`",
        )
    return failure_of(blocked)
