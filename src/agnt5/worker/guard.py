"""Refuses what a workflow body may not do, where Python tells us of it.

An audit hook sees every socket, subprocess and thread before it happens. On a thread whose running
event loop is that of a body, it raises; anywhere else it does nothing. Files are not refused:
reading one is not repeatable either, but importing a module lazily reads files too.

Before Python 3.13 `time.sleep` raises no audit event, and before 3.12 a thread that is started
raises none, so there they are wrapped.
"""

import functools
import sys
import threading
import time
from asyncio import events
from typing import Any, Final

from agnt5.core.replay.loop import ReplayLoop, effect_outside_step

_REFUSED: Final = {
    "time.sleep": "slept on its thread",
    "socket.__new__": "opened a socket",
    "socket.connect": "opened a connection",
    "socket.bind": "opened a socket",
    "socket.sendto": "sent over a socket",
    "socket.sendmsg": "sent over a socket",
    "socket.getaddrinfo": "looked up a host",
    "socket.gethostbyname": "looked up a host",
    "socket.gethostbyaddr": "looked up a host",
    "socket.getnameinfo": "looked up a host",
    "subprocess.Popen": "started a process",
    "os.system": "started a process",
    "os.posix_spawn": "started a process",
    "os.fork": "forked its process",
    "_thread.start_new_thread": "started a thread",
    "_thread.start_joinable_thread": "started a thread",  # What it is called from Python 3.13 on.
}
_installed: list[bool] = []


def install() -> None:
    """Have bodies watched from now on, in the whole process; again changes nothing."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_audit)
        if sys.version_info < (3, 13):
            _wrap(time, "sleep", "time.sleep")
        if sys.version_info < (3, 12):
            _wrap(threading.Thread, "start", "_thread.start_new_thread")


def _wrap(owner: Any, name: str, event: str) -> None:
    wrapped = getattr(owner, name)

    @functools.wraps(wrapped)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        _audit(event, ())
        return wrapped(*args, **kwargs)

    setattr(owner, name, guarded)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event in _REFUSED and type(events._get_running_loop()) is ReplayLoop:
        raise effect_outside_step(_REFUSED[event])
