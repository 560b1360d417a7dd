"""Threads for plain functions: as many as are needed up to a bound, and none that keeps a process alive.

The standard pool waits at exit for whatever still runs in it; a program that was told to stop
would hang in a step that sleeps.
"""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

IDLE_SECONDS = 10.0  # After which a thread without work ends; arbitrary.


class Threads:
    """A pool of daemon threads.

    Args:
        max_threads: How many there may be.
    """

    def __init__(self, max_threads: int) -> None:
        self._max = max_threads
        self._work: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._count = 0

    def submit(self, fn: Callable[..., Any], *args: Any) -> None:
        """Call a function, which must not raise, on a thread; it waits while all are busy."""
        with self._lock:
            self._work.put((fn, args))
            if self._idle >= self._work.qsize() or self._count >= self._max:
                return
            self._count += 1
        threading.Thread(target=self._serve, name="agnt5-step", daemon=True).start()

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            try:
                fn, args = self._work.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    self._idle -= 1
                    if self._work.empty():
                        self._count -= 1
                        return
                continue
            with self._lock:
                self._idle -= 1
            fn(*args)
            del fn, args
