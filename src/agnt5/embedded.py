"""The runtime inside the user's own process: started on first use, stopped with the process.

    user's loop A ──┐                       ┌─ engine + store (one thread)
    user's loop B ──┼── Session each ── ▶ ──┤
    own loop ───────┘  (a thread, for code without a loop, and for runs whose loop has closed)

This is the composition root of the embedded size: it knows the worker, the runtime and the store,
and nothing else does.
"""

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from random import Random, SystemRandom
from types import TracebackType
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw

from agnt5.config import check_environment, retention_of, store_of
from agnt5.core.engine.commands import Cancel, ForkRun, Resume, RetryRun, SendEvent, SendSignal, Submit, Token
from agnt5.core.engine.effects import Submitted
from agnt5.core.journal.codec import encode_body
from agnt5.core.journal.entry import Entry
from agnt5.core.model.errors import Unavailable
from agnt5.core.model.ids import ENTROPY_BITS, RunId, new_run_id
from agnt5.core.model.retry import MICROSECONDS
from agnt5.core.model.run import Status
from agnt5.runtime.clock import Clock, SystemClock
from agnt5.runtime.lane import has_stopped
from agnt5.runtime.requests import Follow, GetExplanation, GetState, GetStatus, SubmitAndWatch, Watch
from agnt5.runtime.retention import FOREVER, Retention
from agnt5.runtime.runtime import RuntimeThread, Serving
from agnt5.sdk import backend as sdk_backend
from agnt5.sdk.backend import Explanation, RunEvent, RunOutcome, Submission
from agnt5.session import Session
from agnt5.store.port import Store
from agnt5.worker.settings import WorkerSettings
from agnt5.worker.watchdog import Watchdog

LOGGER = logging.getLogger("agnt5.runtime")
T = TypeVar("T")
# How long runs whose loop has closed wait before a loop of the runtime's own takes them: a program
# that is about to end, or a test that is followed by the next, gets out of the way meanwhile.
ADOPT_SECONDS: Final = 0.5
OWN_LOOP_SECONDS: Final = 5.0  # How long a stop waits for the runtime's own loop.


class Embedded:
    """A runtime in this process, as callers see it (`sdk.backend.Backend`).

    Args:
        store: Where runs are kept.
        settings: Of each loop's worker.
        clock: The time.
        retention: How long what is over is kept.
    """

    def __init__(
        self,
        store: Store,
        settings: WorkerSettings | None = None,
        clock: Clock | None = None,
        retention: Retention = FOREVER,
    ) -> None:
        self._clock = clock or SystemClock()
        self._retention = retention
        self._settings = settings or WorkerSettings()
        self._store = store
        self._chance: Random = SystemRandom()
        self._thread = self._make_serving()
        self._lock = threading.Lock()
        self._sessions: dict[asyncio.AbstractEventLoop, Session] = {}
        self._own: OwnLoop | None = None
        self._adopt: threading.Timer | None = None
        self._watchdog = Watchdog(self._settings.body_seconds_max)
        self._pid = os.getpid()
        self.is_stopped = False

    def _make_serving(self) -> Serving:
        return RuntimeThread(self._store, self._clock, self._stopped, self._retention)

    def _make_session(self) -> Session:
        return Session(self._thread, self, self._clock.now_us, self._settings, self._detached)

    def start(self) -> None:
        """Open the store and take up what is unfinished.

        Raises:
            StoreError: The store can't be used.
        """
        self._thread.start()

    def stop(self) -> None:
        """Let go of everything; what is unfinished stays in the store for the next start."""
        with self._lock:
            if self.is_stopped:
                return
            self.is_stopped = True
            if self._adopt is not None:
                self._adopt.cancel()
            own = self._own
        self._watchdog.stop()
        if self._pid != os.getpid():
            return  # A forked child: nothing of this is its own.
        if own is not None:
            own.stop()
        for session in list(self._sessions.values()):
            session.detach()
        self._thread.stop()

    def _stopped(self) -> None:
        # On the runtime's thread: it may have failed by itself.
        self.is_stopped = True

    def abandon(self) -> None:
        """In a forked child: the runtime is the parent's."""
        self.is_stopped = True
        abandon = getattr(self._store, "abandon", None)
        if abandon is not None:
            abandon()

    # Sessions

    def _session(self) -> Session:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            session = self._attach(loop)
        return session

    def attach(self) -> None:
        """Let the running loop execute runs."""
        self._session()

    def detach(self, *, is_orderly: bool = True) -> None:
        """Let the running loop execute no more runs.

        Args:
            is_orderly: Those who wait are told that nobody serves any more. Else, as where the program
                is interrupted, they are cancelled.
        """
        session = self._sessions.get(asyncio.get_running_loop())
        if session is not None:
            session.close(has_stopped() if is_orderly else None)

    def _attach(self, loop: asyncio.AbstractEventLoop) -> Session:
        if self.is_stopped:
            raise Unavailable(
                "the runtime has stopped" if self._pid == os.getpid() else "the runtime belongs to the parent process",
                why="its block is over, its store failed, or this process was forked from the one that runs it",
                fix="use it inside its block; start processes with the `spawn` method rather than `fork`",
            )
        session = self._make_session()
        with self._lock:
            self._sessions[loop] = session
        session.start()
        self._watchdog.watch(session.worker)
        return session

    def _detached(self, session: Session) -> None:
        self._watchdog.unwatch(session.worker)
        with self._lock:
            self._sessions.pop(session.loop, None)
            if self.is_stopped or self._sessions or self._adopt is not None:
                return
            # Nobody is left to run what was begun.
            self._adopt = threading.Timer(ADOPT_SECONDS, self._adopt_orphans)
            self._adopt.daemon = True
            self._adopt.start()

    def _adopt_orphans(self) -> None:
        with self._lock:
            self._adopt = None
            is_needed = not self._sessions and not self.is_stopped
        if is_needed:
            self.own_loop()

    def own_loop(self) -> "OwnLoop":
        """A loop of the runtime's own, with a worker."""
        with self._lock:
            if self._own is None:
                self._own = OwnLoop()
            own = self._own
        own.call(self._session)
        return own

    # What callers ask (sdk.backend.Backend)

    def now_us(self) -> int:
        return self._clock.now_us()

    def run_blocking(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self.own_loop().run(make, self)

    async def run(self, submission: Submission) -> RunOutcome:
        session = self._session()
        outcome: RunOutcome = await session.call(lambda token: SubmitAndWatch(self._submit(token, submission, session)))
        return outcome

    async def submit(self, submission: Submission) -> RunId:
        session = self._session()
        submitted: Submitted = await session.call(lambda token: self._submit(token, submission, session))
        return submitted.run_id

    def _submit(self, token: Token, submission: Submission, session: Session) -> Submit:
        return Submit(
            token,
            new_run_id(self._clock.now_us(), self._chance.getrandbits(ENTROPY_BITS)),
            submission.component,
            submission.input,
            session.id,
            submission.start_at,
            submission.tags,
            submission.idempotency_key,
            submission.input_digest,
            submission.idempotent,
            submission.options,
        )

    async def outcome(self, run_id: RunId) -> RunOutcome:
        outcome: RunOutcome = await self._session().call(lambda token: Watch(token, run_id))
        return outcome

    async def status(self, run_id: RunId) -> Status:
        status: Status = await self._session().call(lambda token: GetStatus(token, run_id))
        return status

    async def state(self, run_id: RunId, key: str) -> Raw | None:
        value: Raw | None = await self._session().call(lambda token: GetState(token, run_id, key))
        return value

    async def explain(self, run_id: RunId) -> Explanation:
        explanation: Explanation = await self._session().call(lambda token: GetExplanation(token, run_id))
        return explanation

    async def events(self, run_id: RunId) -> AsyncIterator[RunEvent]:
        async for page in self._session().stream(lambda token: Follow(token, run_id)):
            for entry in page.entries:
                yield event_of(run_id, entry)

    async def signal(self, run_id: RunId, name: str, payload: Raw) -> None:
        await self._session().call(lambda token: SendSignal(token, run_id, name, payload))

    async def send_event(self, event_id: str, payload: Raw) -> None:
        await self._session().call(lambda token: SendEvent(token, event_id, payload))

    async def cancel(self, run_id: RunId) -> None:
        await self._session().call(lambda token: Cancel(token, run_id))

    async def resume(self, run_id: RunId) -> None:
        await self._session().call(lambda token: Resume(token, run_id))

    async def retry(self, run_id: RunId, take_key: bool) -> RunId:
        new_id = new_run_id(self._clock.now_us(), self._chance.getrandbits(ENTROPY_BITS))
        await self._session().call(lambda token: RetryRun(token, run_id, new_id, take_key))
        return new_id

    async def fork(self, run_id: RunId, at: int) -> RunId:
        new_id = new_run_id(self._clock.now_us(), self._chance.getrandbits(ENTROPY_BITS))
        await self._session().call(lambda token: ForkRun(token, run_id, new_id, at))
        return new_id


def event_of(run_id: RunId, entry: Entry) -> RunEvent:
    """A journal entry, as users see it."""
    data = msgspec.json.decode(encode_body(entry.body))
    kind = data.pop("type")
    name = data.get("name") or data.get("component") or ""
    return RunEvent(run_id, entry.index, kind, name, datetime.fromtimestamp(entry.at / MICROSECONDS, UTC), data)


class OwnLoop:
    """An event loop in a thread of the runtime's own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name="agnt5-loop", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def call(self, fn: Callable[[], T]) -> T:
        """Call a function on the loop, and wait for what it returns."""

        async def call() -> T:
            return fn()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def run(self, make: Callable[[], Coroutine[Any, Any, T]], at: Embedded) -> T:
        """Run a coroutine on the loop, with calls going to this runtime, and wait for it."""

        async def run() -> T:
            sdk_backend.choose(at)
            return await make()

        future = asyncio.run_coroutine_threadsafe(run(), self._loop)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C in the waiting thread: what it waited for is given up with it.
            future.cancel()
            raise

    def stop(self) -> None:
        """End the loop; what runs on it is dropped."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(OWN_LOOP_SECONDS)


# The runtime of the process, for whoever names none

_default_lock: Final = threading.Lock()
_default: list[Embedded] = []
_all: "list[Embedded]" = []


def default_runtime() -> Embedded:
    """The runtime over `AGNT5_HOME`, started by whoever needs it first.

    Raises:
        StoreError: Its journal can't be used.
    """
    with _default_lock:
        if _default and not _default[0].is_stopped:
            return _default[0]
        check_environment()
        runtime = Embedded(store_of(None), retention=retention_of())
        runtime.start()
        _default[:] = [runtime]
        _all.append(runtime)
        return runtime


def _stop_all() -> None:
    for runtime in _all:
        runtime.stop()
    _all.clear()


def _after_fork() -> None:
    for runtime in _all:
        runtime.abandon()
    _all.clear()
    _default.clear()


class Runtime:
    """A runtime of one's own, in place of the one that starts by itself.

    Args:
        store: `sqlite:///FILE`, or `memory://`; `./.agnt5/journal.db` when absent.
        settings: Bounds of its workers.
        retention: How long runs are kept after their end; what `AGNT5_RETENTION` says when absent.

    Raises:
        InvalidInput: The store or the retention can't be meant.

    Example:
        >>> async def main():
        ...     async with Runtime(store="sqlite:///orders.db"):
        ...         await checkout("order-42")
    """

    def __init__(
        self, store: str | None = None, *, settings: WorkerSettings | None = None, retention: Retention | None = None
    ) -> None:
        self._embedded = Embedded(store_of(store), settings, retention=retention or retention_of())
        self._token: Any = None

    async def __aenter__(self) -> "Runtime":
        """Start it: calls from this task, and from tasks it makes, go to it.

        Raises:
            JournalLockedError: Another process uses the journal.
            StoreError: The journal can't be used.
        """
        # Opening may read a large journal; other tasks of the loop go on meanwhile.
        await asyncio.get_running_loop().run_in_executor(None, self._embedded.start)
        _all.append(self._embedded)
        self._token = sdk_backend.choose(self._embedded)
        # From now on this loop executes what is unfinished.
        self._embedded.attach()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it: what is unfinished stays in the journal for the next start."""
        sdk_backend.unchoose(self._token)
        _all.remove(self._embedded)
        # An exception of the user's own ends the block in order too; Ctrl-C and a cancel don't.
        self._embedded.detach(is_orderly=kind is None or issubclass(kind, Exception))
        await asyncio.get_running_loop().run_in_executor(None, self._embedded.stop)


sdk_backend.set_default(default_runtime)
atexit.register(_stop_all)
os.register_at_fork(after_in_child=_after_fork)
