"""Refuses what a workflow body may not do, where Python tells us of it.

An audit hook sees every socket, subprocess and thread before it happens. On a thread whose running
event loop is that of a body, it raises; anywhere else it does nothing. Files are not refused:
reading one is not repeatable either, but importing a module lazily reads files too.

Before Python 3.13 `time.sleep` raises no audit event, so there it is wrapped.
"""

import sys
import time
from asyncio import events
from typing import Any, Final, SupportsIndex

from agnt5.core.replay.loop import ReplayLoop, effect_outside_step

_REFUSED: Final = {
    "time.sleep": "slept on its thread",
    "socket.__new__": "opened a socket",
    "socket.connect": "opened a connection",
    "socket.getaddrinfo": "looked up a host",
    "subprocess.Popen": "started a process",
    "os.system": "started a process",
    "os.posix_spawn": "started a process",
    "os.fork": "forked its process",
    "_thread.start_new_thread": "started a thread",
}
_installed: list[bool] = []


def install() -> None:
    """Have bodies watched from now on, in the whole process; again changes nothing."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_audit)
        if sys.version_info < (3, 13):
            _wrap_sleep()


def _wrap_sleep() -> None:
    sleep = time.sleep

    def guarded_sleep(seconds: float | SupportsIndex, /) -> None:
        _audit("time.sleep", (seconds,))
        sleep(seconds)

    guarded_sleep.__doc__, guarded_sleep.__name__ = sleep.__doc__, sleep.__name__
    time.sleep = guarded_sleep


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event in _REFUSED and type(events._get_running_loop()) is ReplayLoop:
        raise effect_outside_step(_REFUSED[event])
