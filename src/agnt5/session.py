"""What one event loop has of the embedded runtime: its worker, and the calls made from it."""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, Final

from agnt5.core.engine.commands import Token
from agnt5.core.model.errors import Unavailable
from agnt5.core.model.ids import RunId, WorkerId
from agnt5.core.protocol.messages import FromWorker
from agnt5.runtime.lane import has_stopped
from agnt5.runtime.port import AtWork
from agnt5.runtime.requests import Answer, Entries, Failed, SubmitAndWatch, Taken, ToSession, Unwatch
from agnt5.runtime.runtime import Serving
from agnt5.sdk.backend import Backend
from agnt5.worker.settings import WorkerSettings
from agnt5.worker.worker import Worker

LOGGER = logging.getLogger("agnt5.runtime")
# Requests of one loop that the runtime may have in hand. More wait on their own loop, so that a
# burst of submissions costs the caller memory and not the runtime.
IN_HAND_MAX: Final = 5_000

_tokens: Final = itertools.count(1)
_names: Final = itertools.count(1)


class Session:
    """Connects one event loop with the runtime's thread.

    Everything but `send` and `deliver` is called on the loop's own thread.

    Args:
        runtime: Where messages go.
        backend: What steps call.
        clock_us: The time, in microseconds since the epoch.
        settings: Of the worker.
        on_closed: Called when the loop has been closed, or the session has.
    """

    def __init__(
        self,
        runtime: Serving,
        backend: Backend,
        clock_us: Callable[[], int],
        settings: WorkerSettings,
        on_closed: "Callable[[Session], None]",
    ) -> None:
        self.id = WorkerId(f"worker-{next(_names)}")
        self.loop = asyncio.get_running_loop()
        self.worker = Worker(self.id, self.loop, self._send_from_worker, backend, clock_us, settings)
        self._runtime = runtime
        self._on_closed = on_closed
        self._calls: dict[Token, asyncio.Future[Any]] = {}
        self._streams: dict[Token, asyncio.Queue[Entries | Exception]] = {}
        self._outbox: list[Any] = []
        self._is_flush_due = False
        self._is_closed = False
        self._in_hand = 0
        self._backlog: deque[Any] = deque()
        self._sentinel = self._guard_loop()

    def start(self) -> None:
        """Attach the loop."""
        # The loop closes its asynchronous generators as it shuts down, and so tells that it does.
        with suppress(StopIteration):
            self._sentinel.__anext__().send(None)
        self.worker.start()

    async def _guard_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.close()

    def close(self, reason: Exception | None = None) -> None:
        """Detach the loop: its runs go elsewhere, its calls are given up.

        Args:
            reason: What those who wait are told; without one, as where the loop ends, they are cancelled.
        """
        if self._is_closed:
            return
        self.worker.close()
        self._is_closed = True
        for call in self._calls.values():
            if reason is None:
                call.cancel()
            elif not call.done():
                call.set_exception(reason)
        for queue in self._streams.values():
            queue.put_nowait(reason or has_stopped())
        self._on_closed(self)

    def detach(self) -> None:
        """Have the loop detached, from any thread, because the runtime stops."""
        if asyncio._get_running_loop() is self.loop:
            self.close(has_stopped())
        else:
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.close, has_stopped())

    # Calls

    async def call(self, make: Callable[[Token], Any]) -> Any:
        """Ask the runtime something, and wait for the answer.

        Raises:
            Agnt5Error: What the runtime says instead.
        """
        token = next(_tokens)
        future: asyncio.Future[Any] = self.loop.create_future()
        self._calls[token] = future
        self._post(make(token))
        try:
            return await future
        finally:
            if self._calls.pop(token, None) is not None:
                self._post(Unwatch(token))

    async def stream(self, make: Callable[[Token], Any]) -> AsyncGenerator[Entries, None]:
        """Ask the runtime for entries, as long as there are more to come."""
        token = next(_tokens)
        queue: asyncio.Queue[Entries | Exception] = asyncio.Queue()
        self._streams[token] = queue
        self._post(make(token))
        try:
            while True:
                said = await queue.get()
                if isinstance(said, Exception):
                    raise said
                yield said
                if said.is_last:
                    return
        finally:
            if self._streams.pop(token, None) is not None:
                self._post(Unwatch(token))

    # To and from the runtime

    def _post(self, request: Any) -> None:
        if self._is_closed:
            return
        if self._in_hand >= IN_HAND_MAX:
            self._backlog.append(request)
            return
        self._in_hand += 1
        self._outbox.append(request)
        if not self._is_flush_due:
            self._is_flush_due = True
            self.loop.call_soon(self._flush)

    def _taken(self, count: int) -> None:
        """The runtime has dealt with so many requests: there is room for more."""
        self._in_hand -= count
        while self._backlog and self._in_hand < IN_HAND_MAX:
            request = self._backlog.popleft()
            token = _token_of(request)
            if token in self._calls or token in self._streams:
                self._post(request)

    def _flush(self) -> None:
        self._is_flush_due = False
        outbox, self._outbox = self._outbox, []
        try:
            self._runtime.post(self, outbox)
        except Unavailable as error:
            for request in outbox:
                self._failed(Failed(_token_of(request), error))

    def _send_from_worker(self, messages: list[FromWorker]) -> None:
        # A runtime that has stopped wants to hear nothing any more.
        with suppress(Unavailable):
            self._runtime.post(self, list(messages))

    def send(self, messages: list[ToSession]) -> bool:
        """Take messages from the runtime's thread; returns whether the loop is still there."""
        try:
            self.loop.call_soon_threadsafe(self._receive, messages)
        except RuntimeError:
            return False
        return True

    def doing(self, run_id: RunId) -> list[AtWork]:
        """The steps of a run that execute on this loop, from any thread."""
        steps = self.worker.steps_of(run_id)
        return [AtWork(step.request.name, step.attempt, step.began, step.request.site) for step in steps]

    def _receive(self, messages: list[ToSession]) -> None:
        for_worker = []
        for message in messages:
            kind = type(message)
            if kind is Answer:
                self._answered(message)  # type: ignore[arg-type]  # As just tested.
            elif kind is Failed:
                self._failed(message)  # type: ignore[arg-type]  # As just tested.
            elif kind is Taken:
                self._taken(message.count)  # type: ignore[union-attr]  # As just tested.
            elif kind is Entries:
                queue = self._streams.get(message.token)  # type: ignore[union-attr]  # As just tested.
                if queue is not None:
                    queue.put_nowait(message)  # type: ignore[arg-type]  # As just tested.
            else:
                for_worker.append(message)
        if for_worker:
            self.worker.receive(for_worker)  # type: ignore[arg-type]  # What is left over is for it.

    def _answered(self, message: Answer) -> None:
        call = self._calls.pop(message.token, None)
        if call is not None and not call.done():
            call.set_result(message.value)

    def _failed(self, message: Failed) -> None:
        call = self._calls.pop(message.token, None)
        if call is not None and not call.done():
            call.set_exception(message.error)
        queue = self._streams.get(message.token)
        if queue is not None:
            queue.put_nowait(message.error)


def _token_of(request: Any) -> Token:
    token: Token = (request.submit if isinstance(request, SubmitAndWatch) else request).token
    return token
