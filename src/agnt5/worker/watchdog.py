"""Finds workflow bodies that compute without ever waiting, and stops them.

Such a body holds its event loop's thread, so nothing on that loop can see it. This looks from
another thread. What it finds is interrupted with an exception in the body itself, the only way that
Python has to stop code from outside; the run is then blocked, with the line it was at.
"""

import ctypes
import sys
import threading
from time import monotonic
from types import FrameType
from typing import Final, Protocol

from agnt5.core.model.errors import BusyWorkflowError, RunBlockedError
from agnt5.core.replay.loop import site_of_frames

CHECK_SECONDS: Final = 1.0
_DEBUGGERS: Final = ("bdb", "pdb", "pydevd", "_pydevd_bundle", "debugpy")


class Interrupted(BaseException):
    """Raised in a body that is stopped. Not an `Exception`, so that the body doesn't handle it."""


class Stuck(Protocol):
    """A run whose body executes."""

    stuck: RunBlockedError | None


class Watched(Protocol):
    """A worker, as far as it can be seen from another thread."""

    thread_id: int

    @property
    def at_work(self) -> "tuple[Stuck, float] | None":
        """The run whose body executes at the moment, and since when."""


class Watchdog:
    """Looks at workers once a second.

    Args:
        seconds_max: How long a body may compute in one go.
    """

    def __init__(self, seconds_max: float) -> None:
        self._seconds_max = seconds_max
        self._workers: list[Watched] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, worker: Watched) -> None:
        """Look at this worker too."""
        with self._lock:
            self._workers.append(worker)
            if self._thread is None:
                self._thread = threading.Thread(target=self._main, name="agnt5-watchdog", daemon=True)
                self._thread.start()

    def unwatch(self, worker: Watched) -> None:
        """Look at this worker no more."""
        with self._lock:
            if worker in self._workers:
                self._workers.remove(worker)

    def stop(self) -> None:
        """Look at nothing any more."""
        self._stopped.set()

    def _main(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            with self._lock:
                workers = list(self._workers)
            for worker in workers:
                self._look(worker)

    def _look(self, worker: Watched) -> None:
        at_work = worker.at_work
        if at_work is None or monotonic() - at_work[1] < self._seconds_max:
            return
        frame = sys._current_frames().get(worker.thread_id)
        if frame is None or _is_debugged(frame) or worker.at_work is not at_work:
            return
        run = at_work[0]
        site = site_of_frames(frame)
        run.stuck = BusyWorkflowError(
            f"a workflow body computed for more than {self._seconds_max} s without waiting, lastly at {site}",
            why="it loops without an await, or does heavy work itself; nothing else can run on its loop meanwhile",
            fix="move the work into a step: a plain function runs in a thread of its own",
            site=site,
        )
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.thread_id), ctypes.py_object(Interrupted))


def take_back(thread_id: int) -> None:
    """The body has come to a wait after all: an interrupt that is still on its way must not hit other code."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), None)


def _is_debugged(frame: FrameType | None) -> bool:
    """Whether somebody is looking at the body in a debugger, which takes as long as it takes."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in _DEBUGGERS:
            return True
        frame = frame.f_back
    return False
