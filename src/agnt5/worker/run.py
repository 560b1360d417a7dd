"""A run that this worker holds: what every sort of body has in common.

The host carries out what the body asks for (a step here, a child elsewhere), passes on to the
runtime what is to be journaled, and brings the body to its end: its open steps are stopped and
awaited, and then the outcome is reported.
"""

import asyncio
import logging
from random import Random
from typing import Any, Protocol

from msgspec import Raw, structs

from agnt5.core.journal.entry import Begun, Entry, Kind, Outcome
from agnt5.core.model.errors import RunBlockedError
from agnt5.core.model.failures import failure_of
from agnt5.core.model.ids import OperationKey, RunId, WorkerId, child_run_id
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.retry import RetryPolicy
from agnt5.core.model.run import Status
from agnt5.core.protocol.messages import (
    Abandon,
    Again,
    Ask,
    AwaitEvent,
    AwaitRun,
    Block,
    ContinueAs,
    Dispatch,
    End,
    Send,
    StartRun,
)
from agnt5.core.replay.history import History
from agnt5.core.replay.operations import Request
from agnt5.core.replay.recall import Recall
from agnt5.sdk import failures, serde
from agnt5.sdk.backend import Backend
from agnt5.sdk.component import ChildSpec, Component
from agnt5.sdk.context import ContinueAs as ContinueAsResult
from agnt5.sdk.host import StepDefaults
from agnt5.worker.keyed import Keyed
from agnt5.worker.retrying import retry_at
from agnt5.worker.settings import WorkerSettings
from agnt5.worker.step import Step
from agnt5.worker.threads import Threads

NO_DEFAULTS = StepDefaults()
LOGGER = logging.getLogger("agnt5.worker")


class Bench(Protocol):
    """What a worker lends to each of its runs."""

    id: WorkerId
    loop: asyncio.AbstractEventLoop
    threads: Threads
    chance: Random
    backend: Backend
    settings: WorkerSettings
    orphans: dict[tuple[RunId, OperationKey], Step]

    def clock_us(self) -> int:
        """The time, in microseconds since the epoch."""

    def flush_soon(self, run: "RunHost") -> None:
        """The run has something to say to the runtime."""

    def driving(self, run: "RunHost | None") -> None:
        """A body is let go on, or waits again: one that never comes back is found by this."""

    def give_up(self, run: "RunHost") -> None:
        """The worker is through with the run."""

    def has_parked(self, run: "RunHost") -> None:
        """The run waits, and can be forgotten if need be."""

    def orphan_over(self, step: Step, outcome: Outcome) -> None:
        """A step that its run's attempt has left running has come to an end."""


class RunHost:
    """One run, from its dispatch until it ends, is released or lost.

    Attributes:
        asks: What it has to say to the runtime, in order.
        ahead: Outcomes that the body has seen before the runtime: they are said first.
        is_over: The body is through, or the run is no longer ours.
        is_parked: The runtime has been told that it waits.
        stuck: Its body was stopped, because it computed without ever waiting.
    """

    is_evictable = False

    def __init__(self, bench: Bench, dispatch: Dispatch, component: Component[Any, Any], history: History) -> None:
        self.bench = bench
        self.clock_us = bench.clock_us
        self.loop = bench.loop
        self.threads = bench.threads
        self.chance = bench.chance
        self.backend = bench.backend
        self.run_id = dispatch.run_id
        self.epoch = dispatch.epoch
        self.component = component
        self.history = history
        self.attempt = history.attempt
        self.state = history.state
        self.heartbeats = dispatch.heartbeats
        self.asks: list[Ask] = []
        self.ahead: list[Ask] = []
        self.is_over = False
        self.is_parked = False
        self.stuck: RunBlockedError | None = None
        self.steps: dict[OperationKey, Step] = {}
        self.step_defaults: StepDefaults = getattr(component, "step_defaults", NO_DEFAULTS)
        self._keyed: dict[str, Keyed] = {}
        self._scoped: dict[str, list[Entry]] = {}
        self._ending: Ask | None = None
        self._grace: asyncio.TimerHandle | None = None
        for entry in dispatch.entries[1:]:
            scope = getattr(entry.body, "scope", "")
            if scope:
                self._scoped.setdefault(scope, []).append(entry)

    # What each sort of body does in its own way

    def begin_life(self) -> None:
        """Start the body."""
        raise NotImplementedError

    def take(self, entries: list[Entry]) -> None:
        """Entries have been committed."""
        raise NotImplementedError

    @property
    def seen(self) -> int:
        """Index of the last entry that the body was given."""
        raise NotImplementedError

    def consider(self) -> None:
        """A step has ended or waits: perhaps the body waits now, or another step may start."""
        raise NotImplementedError

    def look_again(self) -> None:
        """The clock was turned: timers, delays and sleeps may be over by now."""
        for keyed in self._keyed.values():
            keyed.look_again()

    def open_calls(self) -> list[Request]:
        """Children that the body awaits."""
        raise NotImplementedError

    def has_compensated(self, error: BaseException) -> bool:
        """Whether the body undid its work while it failed with this exception."""
        raise NotImplementedError

    @property
    def consumed(self) -> dict[str, int]:
        """How many signals of each name the generation has taken."""
        raise NotImplementedError

    @property
    def is_cancel_requested(self) -> bool:
        """Whether the run is to be cancelled."""
        raise NotImplementedError

    def close_body(self) -> None:
        """Forget the body, without letting it go on."""
        raise NotImplementedError

    # What its steps stand on

    def ask(self, ask: Ask) -> None:
        """Ask the runtime, with the next flush."""
        self.asks.append(ask)
        self.bench.flush_soon(self)

    def keyed_of(self, step: Step) -> Keyed:
        """What the function of a step asks for."""
        scope = step.request.key
        keyed = self._keyed.get(scope)
        if keyed is None:
            recall = Recall.of_step(scope, self._scoped.get(scope, []))
            keyed = self._keyed[scope] = Keyed(self, scope, self.history.generation, recall)
        return keyed

    def last_heartbeat_of(self, step: Step) -> Any:
        """What a step last reported in the attempt that a crash cut short."""
        if not self.heartbeats:
            return None
        attempt, details = self.heartbeats.get(step.request.key, (0, NOTHING))
        return serde.decode(details) if attempt == step.attempt else None

    def step_over(self, step: Step, outcome: Outcome) -> None:
        """A step has come to an end."""
        if self.is_over:
            self.bench.orphan_over(step, outcome)
            return
        self.steps.pop(step.request.key, None)
        self._keyed.pop(step.request.key, None)
        self.ask(outcome)
        self._consider_end()

    def step_waits(self, step: Step) -> None:
        """A step waits for its next attempt."""
        if self._ending is not None:
            self.steps.pop(step.request.key, None)
        self._consider_end()

    def _consider_end(self) -> None:
        if self._ending is None:
            self.consider()
        elif not self.steps:
            self._say_end()

    # Carrying out what a body asks for

    def carry_out(self, request: Request, scope: str, calls: int) -> None:
        """Do what was asked, or have it done.

        Args:
            calls: How many children the operation has had before.
        """
        kind = request.kind
        if kind is Kind.STEP:
            self._begin_step(request, scope)
        elif kind is Kind.CALL and request.begun is not None:
            target = RunId(request.begun.target)
            self.ask(AwaitRun(request.op, request.key, kind, request.name, target, request.site, scope))
        elif kind is Kind.CALL or kind is Kind.SUBMIT:
            self.ask(self._start_run(request, scope, calls))
        elif kind is Kind.RESULT:
            target = RunId(request.target)
            self.ask(AwaitRun(request.op, request.key, kind, request.name, target, request.site, scope))
        elif kind is Kind.EVENT:
            self.ask(AwaitEvent(request.op, request.key, request.name, request.site, scope))
        elif kind is Kind.STATE:
            value = Raw(request.args) if request.args else NOTHING
            self.ask(
                Outcome(
                    request.op,
                    request.key,
                    kind,
                    request.name,
                    result=value,
                    began=self.clock_us(),
                    ended=self.clock_us(),
                    site=request.site,
                    scope=scope,
                )
            )
        elif kind is Kind.SEND:
            payload = Raw(request.args) if request.args else NOTHING
            self.ask(
                Send(
                    request.op,
                    request.key,
                    request.spec,
                    request.target,
                    request.name,
                    payload,
                    request.site,
                    scope,
                )
            )
        else:
            raise AssertionError(f"nobody carries out a {kind.value}")

    def _start_run(self, request: Request, scope: str, calls: int) -> StartRun:
        spec = request.spec
        assert isinstance(spec, ChildSpec), "a child request carries its component"
        submission = spec.component.submission_of(request.args, spec.options, self.clock_us())
        return StartRun(
            request.op,
            request.key,
            request.kind,
            child_run_id(self.run_id, request.key, calls),
            submission.component,
            submission.input,
            request.site,
            scope,
            submission.options,
            submission.start_at,
            submission.tags,
            submission.idempotency_key,
            submission.input_digest,
            submission.idempotent,
        )

    def abandon(self, request: Request, scope: str) -> None:
        """Nobody waits for the operation any more: stop it, where that means something."""
        if request.kind is Kind.STEP:
            step = self.steps.get(request.key)
            if step is not None:
                step.drop()
        elif request.kind is Kind.CALL:
            self.ask(Abandon(self._child_of(request)))
        self.note_waiting()

    def _child_of(self, request: Request) -> RunId:
        if request.begun is not None:
            return RunId(request.begun.target)
        return child_run_id(self.run_id, request.key, self._calls_of(request))

    def _calls_of(self, request: Request) -> int:
        return self.history.calls.get(request.key, 0)

    def note_waiting(self) -> None:
        """What the body waits for has changed."""

    def found_on_record(self, outcome: Outcome) -> None:
        """A body that is run again has come to an operation that is done already."""

    # Steps

    def _begin_step(self, request: Request, scope: str) -> None:
        spec = request.spec
        if not spec.idempotent:
            if request.begun is None:
                args = Raw(request.args)
                self.ask(Begun(request.op, request.key, Kind.STEP, request.name, "", args, request.site, scope=scope))
                return
            if not self._may_run_again(request):
                self.block_step(request)
                return
        self.start_step(request, scope)

    def _may_run_again(self, request: Request) -> bool:
        """Whether a human has let the run go on since this step was begun."""
        return request.begun_index < self.history.resumed_at

    def block_step(self, request: Request) -> None:
        """A step that may not run twice was cut short."""
        error = RunBlockedError(
            f"step {request.name!r} of run {self.run_id} was cut short, and may not run again",
            why="its function is declared idempotent=False, and whether its effect took place is unknown",
            fix=f"look at the effect, then `agnt5 runs resume {self.run_id}` to run it again or cancel the run",
            run_id=self.run_id,
        )
        self.block(error)

    def start_step(self, request: Request, scope: str) -> None:
        """Execute a step, or take over one that an earlier attempt has left running."""
        orphan = self.bench.orphans.pop((self.run_id, request.key), None)
        if orphan is None:
            step = Step(self, request, scope)
            self.steps[request.key] = step
            step.start()
        elif orphan.finished is not None:
            self.ask(structs.replace(orphan.finished, op=request.op, site=request.site, scope=scope))
        else:
            self.steps[request.key] = orphan
            orphan.adopt(self, request, scope)

    def route(self, entry: Entry) -> bool:
        """Give an entry to the step it is for; returns whether it is for one."""
        scope = getattr(entry.body, "scope", "")
        if not scope:
            return False
        keyed = self._keyed.get(scope)
        if keyed is not None:
            keyed.take(entry)
        else:
            # The step has not asked for anything yet in this life; when it does, it finds this on record.
            self._scoped.setdefault(scope, []).append(entry)
        return True

    # Ends

    def conclude(self, result: Any, error: BaseException | None) -> None:
        """The body is through: stop what it left open, then report its outcome."""
        if self.is_over or self._ending is not None:
            return
        text = b""
        if error is None and not isinstance(result, ContinueAsResult):
            try:
                text = serde.encode(result, self.component.schema.result_types)
                if b'"$' in text:
                    serde.decode(text, self.component.schema.result_types)
            except Exception as refused:  # Also what the user's own properties and iterators raise.
                error = refused
        self._ending = self._outcome(result, text, error)
        for step in list(self.steps.values()):
            step.drop()
        if self._ending is not None and not self.is_over and self.steps:
            self._grace = self.loop.call_later(self.bench.settings.grace, self._leave_orphans)
        elif not self.is_over:
            self._say_end()

    def _outcome(self, result: Any, text: bytes, error: BaseException | None) -> Ask:
        abandoned = tuple(self._child_of(request) for request in self.open_calls())
        consumed = self.consumed
        if error is None and isinstance(result, ContinueAsResult):
            try:
                schema = self.component.schema
                fresh = schema.write(schema.bind(result.args, result.kwargs, self.component.name))
                return ContinueAs(Raw(fresh), dict(self.state), consumed, abandoned)
            except Exception as refused:  # Arguments that don't fit, or can't be journaled.
                error = refused
        if error is None:
            return End(Status.COMPLETED, Raw(text), consumed=consumed, abandoned=abandoned)
        compensated = self.has_compensated(error)
        if self.is_cancel_requested:
            is_plain = isinstance(error, asyncio.CancelledError)
            failure = None if is_plain else failures.write(error)
            return End(Status.CANCELLED, NOTHING, failure, compensated, consumed, abandoned)
        if isinstance(error, asyncio.CancelledError):
            error = RuntimeError(f"{self.component.name!r} was cancelled from inside: it let a CancelledError escape")
        when = retry_at(self._policy(), self.attempt, error, self.chance, self.clock_us())
        if when is not None:
            return Again(failures.write(error), when, compensated, consumed, abandoned)
        return End(Status.FAILED, NOTHING, failures.write(error), compensated, consumed, abandoned)

    def _policy(self) -> RetryPolicy:
        spec = self.history.options.retries
        if spec is None:
            return self.component.retries or RetryPolicy()
        names = (*spec.retry_on, *spec.no_retry_on)
        found = {name: failures.find_type(name) for name in names}
        return spec.policy({name: cls for name, cls in found.items() if cls is not None})

    @property
    def timeout(self) -> float | None:
        """Seconds that an attempt may take."""
        return self.history.options.timeout or self.component.timeout

    def _leave_orphans(self) -> None:
        """Steps that don't stop are left to themselves; a next attempt that asks for one takes it over."""
        for step in self.steps.values():
            LOGGER.warning(
                "a step goes on after its run's attempt has ended",
                extra={"run_id": self.run_id, "step": step.request.name},
            )
            self.bench.orphans[self.run_id, step.request.key] = step
        self.steps.clear()
        self._say_end()

    def _say_end(self) -> None:
        assert self._ending is not None, "only a body that is through ends"
        if self._grace is not None:
            self._grace.cancel()
        self.ask(self._ending)
        self.is_over = True
        self.close_body()
        self.bench.give_up(self)

    def block(self, error: RunBlockedError) -> None:
        """The run can't go on: a human has to look."""
        if self.is_over:
            return
        from_here = failure_of(error)
        self.forget()
        self.asks.clear()
        self.ask(Block(from_here))
        self.bench.give_up(self)

    def forget(self) -> None:
        """Drop the run, and tell nobody: it is no longer ours, or no longer wanted in memory."""
        if self.is_over:
            return
        self.is_over = True
        if self._grace is not None:
            self._grace.cancel()
        for step in self.steps.values():
            step.forget()
        self.steps.clear()
        for keyed in self._keyed.values():
            keyed.close()
        self.close_body()
