"""The runtime of this process: engine and store in a thread of their own."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic_ns
from typing import Any, Protocol

from agnt5.core.model.errors import StoreError, Unavailable
from agnt5.runtime.clock import Clock
from agnt5.runtime.lane import Lane
from agnt5.runtime.port import Port
from agnt5.runtime.retention import FOREVER, Retention
from agnt5.store.port import Store

LOGGER = logging.getLogger("agnt5.runtime")
STOP_SECONDS = 10.0  # How long a stop waits for the turn that is under way.
LOOK_SECONDS = 2.0  # Between two looks at whether the machine's clock was set.
JUMP_US = 250_000  # What is more than clocks drift apart in that time.


class Serving(Protocol):
    """Whatever drives the engine over a store."""

    def start(self) -> None:
        """Open the store and take up what is unfinished.

        Raises:
            StoreError: The store can't be used.
        """

    def post(self, port: Port, messages: list[Any]) -> None:
        """Take messages and requests of a session, from any thread.

        Raises:
            Unavailable: It has stopped.
        """

    def stop(self) -> None:
        """Finish what is under way, and close the store."""


class RuntimeThread:
    """Runs a lane over a store until it is stopped, or the store fails.

    Args:
        store: Opened, used and closed by the thread alone.
        clock: The time.
        on_stopped: Called on the thread when it serves no more.
        retention: How long what is over is kept.
    """

    def __init__(
        self, store: Store, clock: Clock, on_stopped: Callable[[], None], retention: Retention = FOREVER
    ) -> None:
        self._store = store
        self._clock = clock
        self._lane = Lane(store, clock, retention=retention)
        self._on_stopped = on_stopped
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._main, name="agnt5-runtime", daemon=True)

    def start(self) -> None:
        """Open the store and take up what is unfinished; returns when that is done.

        Raises:
            StoreError: The store can't be used.
        """
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def post(self, port: Port, messages: list[Any]) -> None:
        """Take messages and requests of a session, from any thread.

        Raises:
            Unavailable: The runtime has stopped.
        """
        try:
            self._lane.post(port, messages)
        except RuntimeError as error:
            raise Unavailable(
                "the runtime has stopped",
                why="its store failed, its `async with` block is over, or the process is ending",
                fix="look at the log of `agnt5.runtime`, then start again",
            ) from error

    @property
    def backlog(self) -> int:
        """How many messages wait to be taken."""
        return self._lane.backlog

    def stop(self) -> None:
        """Finish what is under way, and close the store; what is unfinished is taken up next time."""
        loop = self._loop
        if loop is None or not self._thread.is_alive():
            return
        # It may have just ended by itself.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._lane.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                LOGGER.error("the runtime doesn't stop; its store may be hanging")

    # On the thread

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.is_set():
                LOGGER.critical("the runtime's thread has died", exc_info=True)
            self._error = error
        finally:
            self._loop = None
            self._started.set()
            self._on_stopped()

    async def _serve(self) -> None:
        info = await self._store.open()
        try:
            await self._lane.start(info.is_crash)
            self._loop = asyncio.get_running_loop()
            self._started.set()
            watch = asyncio.create_task(self._watch_clock())
            await self._lane.run()
            watch.cancel()
        finally:
            self._lane.refuse()
            try:
                if self._lane.failure is None:
                    await self._store.mark_closed()
            except StoreError as error:
                # The next start takes it for a crash, which does no harm.
                LOGGER.warning("the journal was closed without a note of it: %s", error.what)
            finally:
                await self._store.close()

    async def _watch_clock(self) -> None:
        """Have everybody look again when the wall clock is set, or the machine has slept.

        Whoever waits for a time waits on the monotonic clock for as long as it was until then.
        """
        ahead = self._clock.now_us() - monotonic_ns() // 1000
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            before, ahead = ahead, self._clock.now_us() - monotonic_ns() // 1000
            if abs(ahead - before) > JUMP_US:
                LOGGER.info("the clock was set by %.1f s", (ahead - before) / 1_000_000)
                self._lane.clock_was_set()
