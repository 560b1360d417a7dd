"""One step of a run: its attempts, the delays between them, and what it came to.

A step is the host of its own context: what its function asks for is journaled under the step's key
as scope, and found again by key when the step is run again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, ClassVar, Protocol
from uuid import UUID

from msgspec import Raw, Struct

from agnt5.core.journal.entry import Kind, Outcome, Retrying
from agnt5.core.model.errors import InvalidInput
from agnt5.core.model.ids import RunId
from agnt5.core.model.payload import NOTHING
from agnt5.core.model.run import Failure
from agnt5.core.protocol.messages import Ask, Heartbeat
from agnt5.core.replay.operations import Request
from agnt5.sdk import failures, serde
from agnt5.sdk.backend import Backend
from agnt5.sdk.context import FunctionContext
from agnt5.sdk.host import StepDefaults
from agnt5.sdk.steps import StepSpec
from agnt5.worker.attempt import Attempt
from agnt5.worker.keyed import Keyed
from agnt5.worker.retrying import retry_at
from agnt5.worker.threads import Threads

BEAT_SECONDS = 1.0  # Heartbeats are committed at most, and at least, this often.


class StepOwner(Protocol):
    """The run that a step belongs to."""

    run_id: RunId
    loop: asyncio.AbstractEventLoop
    threads: Threads
    chance: Random
    state: dict[str, Raw]
    backend: Backend

    def clock_us(self) -> int:
        """The worker's time, in microseconds since the epoch."""

    def ask(self, ask: Ask) -> None:
        """Ask the runtime."""

    def step_over(self, step: "Step", outcome: Outcome) -> None:
        """A step has come to an end."""

    def step_waits(self, step: "Step") -> None:
        """A step waits for its next attempt."""

    def keyed_of(self, step: "Step") -> Keyed:
        """What the step's function asks for."""

    def last_heartbeat_of(self, step: "Step") -> Any:
        """What the step last reported before a crash."""


_NO_DEFAULTS = StepDefaults()


class Step(Struct, eq=False):
    """A step that executes, or waits for its next attempt.

    Attributes:
        request: What the body asked for.
        within: The key of the step within which it was asked for, if any.
        attempt: The current or next attempt, from 1.
        retry_at: When that starts, in microseconds since the epoch; 0 while it executes.
        is_dropped: The body has stopped waiting for it.
        finished: What it came to after its run's attempt had ended.
    """

    owner: StepOwner
    request: Request
    within: str
    attempt: int = 1
    retry_at: int = 0
    is_dropped: bool = False
    finished: Outcome | None = None
    last_heartbeat: Any = None
    _execution: Attempt | None = None
    _keyed: Keyed | None = None
    _random: Random | None = None
    _began: int = 0
    _beat: bytes | None = None
    _is_beating: bool = False
    _beat_timer: asyncio.TimerHandle | None = None

    is_deterministic: ClassVar[bool] = False
    is_replaying: ClassVar[bool] = False
    step_defaults: ClassVar[StepDefaults] = _NO_DEFAULTS

    # Running

    def start(self) -> None:
        """Start the first attempt that the journal doesn't know, when its time has come."""
        failed = self.request.failures
        if failed:
            self.attempt = failed[-1].attempt + 1
            self.last_heartbeat = _details(failed[-1].details)
            self.retry_at = failed[-1].retry_at
            if self.retry_at > self.owner.clock_us():
                self.owner.step_waits(self)
                return
        self.execute()

    def execute(self) -> None:
        """Make the attempt now."""
        owner, spec = self.owner, self.request.spec
        assert isinstance(spec, StepSpec), "a step carries what it takes to run it"
        self.retry_at = 0
        self._began = owner.clock_us()
        last = owner.last_heartbeat_of(self)
        if last is not None:
            self.last_heartbeat = last
        self._execution = Attempt(owner.loop, owner.threads, f"step {spec.name!r}", self._done)
        self._execution.start(
            spec.fn, spec.schema, spec.text, FunctionContext(self), spec.timeout, spec.heartbeat_timeout
        )

    def drop(self) -> None:
        """The body has stopped waiting: ask the step to stop. It is over when it does, or ends otherwise."""
        self.is_dropped = True
        if self._execution is None or not self._execution.is_live:
            self._over(cancelled=True)
        else:
            self._execution.cancel()

    def adopt(self, owner: StepOwner, request: Request, within: str) -> None:
        """A later attempt of the run asks for what an earlier one has left running."""
        self.owner = owner
        self.request = request
        self.within = within
        self.is_dropped = False

    def forget(self) -> None:
        """Stop it, and tell nobody."""
        self._stop_beating()
        if self._execution is not None:
            self._execution.forget()
        if self._keyed is not None:
            self._keyed.close()

    def _done(self, result: Any, error: BaseException | None) -> None:
        self._stop_beating()
        self._execution = None
        text = b""
        if error is None:
            try:
                text = self._encode(result)
            except Exception as refused:  # Also what the user's own properties and iterators raise.
                error = refused
        if error is None:
            self._over(result=Raw(text))
        elif isinstance(error, asyncio.CancelledError):
            self._over(cancelled=True)
        elif not self.is_dropped and (when := self._retry_at(error)) is not None:
            self._try_again(error, when)
        else:
            self._over(error=failures.write(error))

    def _encode(self, result: Any) -> bytes:
        types = self.request.spec.schema.result_types
        text = serde.encode(result, types)
        if b'"$' in text:
            # What can't be read again must fail here, where it was returned, and not in a replay.
            serde.decode(text, types)
        return text

    def _retry_at(self, error: BaseException) -> int | None:
        owner = self.owner
        return retry_at(self.request.spec.retries, self.attempt, error, owner.chance, owner.clock_us())

    def _try_again(self, error: BaseException, when: int) -> None:
        request, owner = self.request, self.owner
        owner.ask(
            Retrying(
                request.op,
                request.key,
                request.name,
                self.attempt,
                self._began,
                owner.clock_us(),
                when,
                failures.write(error),
                Raw(request.args),
                Raw(self._beat) if self._beat is not None else NOTHING,
                request.site,
                self.within,
            )
        )
        self.last_heartbeat = serde.decode(self._beat) if self._beat is not None else None
        if self._keyed is not None:
            self._keyed.next_attempt()
        self._random = None
        self._beat = None
        self.attempt += 1
        self.retry_at = when
        owner.step_waits(self)

    def _over(self, result: Raw = NOTHING, error: Failure | None = None, cancelled: bool = False) -> None:
        request = self.request
        if self._keyed is not None:
            self._keyed.close()
        outcome = Outcome(
            request.op,
            request.key,
            Kind.STEP,
            request.name,
            "",
            Raw(request.args),
            result,
            error,
            cancelled,
            self.attempt,
            self._began,
            self.owner.clock_us(),
            request.site,
            self.within,
        )
        self.owner.step_over(self, outcome)

    @property
    def began(self) -> int:
        """When its attempt began, in microseconds since the epoch."""
        return self._began

    # What its context stands on

    @property
    def run_id(self) -> RunId:
        return self.owner.run_id

    @property
    def scope(self) -> str:
        return self.request.key

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.owner.loop

    @property
    def state(self) -> dict[str, Raw]:
        return self.owner.state

    @property
    def backend(self) -> Backend:
        return self.owner.backend

    @property
    def idempotency_key(self) -> str:
        return f"{self.owner.run_id}-{self.request.key}"

    @property
    def random(self) -> Random:
        if self._random is None:
            self._random = Random(self.idempotency_key)  # noqa: S311  Chance that can be repeated is the point.
        return self._random

    def now_us(self) -> int:
        return self.owner.clock_us()

    def uuid4(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)

    def next_hash(self) -> int:
        return self.keyed.next_hash()

    @property
    def keyed(self) -> Keyed:
        """What the step's function asks for; made when it first asks."""
        if self._keyed is None:
            self._keyed = self.owner.keyed_of(self)
        return self._keyed

    def begin(self, request: Request) -> Awaitable[Any]:
        return self.keyed.begin(request)

    def sleep(self, seconds: float, site: str) -> Awaitable[None]:
        return self.keyed.sleep(seconds, site)

    def wait_event(self, request: Request, timeout: float | None) -> Awaitable[Any]:
        return self.keyed.wait_event(request, timeout)

    def wait_signal(self, name: str, read: Callable[[Raw], Any], timeout: float | None, site: str) -> Awaitable[Any]:
        raise InvalidInput(
            f"step {self.request.name!r} waits for signal {name!r}",
            why="signals are taken in order by the body of a run, and a step may run more than once",
            fix="wait for it in the body, and pass what came to the step",
        )

    def patched(self, change_id: str) -> bool:
        # A step isn't replayed: what runs is always the code at hand.
        return True

    def heartbeat(self, details: bytes) -> None:
        if self._execution is not None:
            self._execution.beat()
        self._beat = details
        # Steps in threads beat too; what touches the loop goes through it.
        if self._beat_timer is not None or self._is_beating:
            return
        self._is_beating = True
        try:
            self.owner.loop.call_soon_threadsafe(self._commit_beat)
        except RuntimeError:
            return  # The loop is closed: the worker is gone, and with it who would listen.

    def _commit_beat(self) -> None:
        self._is_beating = False
        if self._beat is None or self._execution is None or not self._execution.is_live:
            return
        self.owner.ask(Heartbeat(self.request.key, self.attempt, Raw(self._beat)))
        committed = self._beat
        self._beat_timer = self.owner.loop.call_later(BEAT_SECONDS, self._next_beat, committed)

    def _next_beat(self, committed: bytes) -> None:
        self._beat_timer = None
        if self._beat is not committed:
            self._commit_beat()

    def _stop_beating(self) -> None:
        if self._beat_timer is not None:
            self._beat_timer.cancel()
            self._beat_timer = None


def _details(raw: Raw) -> Any:
    return None if raw is NOTHING else serde.decode(raw)
