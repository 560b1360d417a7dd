"""Makes anyio fit for bodies that are replayed and dropped.

A cancel scope walks its child scopes as they come out of a set, which is by their address in
memory. In a body they keep the order in which they were entered. And anyio remembers each task until
that is done, which a task of an evicted body never is.
"""

import sys
from asyncio import events
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

_BACKEND: Final = "anyio._backends._asyncio"
_backends: list[Any] = []


class InOrder(dict[Any, None]):
    """A set that is walked in the order of adding, as far as anyio uses one."""

    add = dict.setdefault
    remove = dict.__delitem__

    def discard(self, member: Any) -> None:
        """Take it out, if it is there."""
        self.pop(member, None)


def order_scopes(is_body: Callable[[Any], bool]) -> None:
    """Have cancel scopes that are made on a body's loop keep their children in order; again changes nothing."""
    if _backends or "anyio" not in sys.modules:
        return
    backend: Any = import_module(_BACKEND)
    _backends.append(backend)
    scopes = backend.CancelScope
    make = scopes.__init__

    def make_in_order(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        if is_body(events._get_running_loop()):
            self._child_scopes = InOrder()

    scopes.__init__ = make_in_order


def forget(task: Any) -> None:
    """A task won't be done: what anyio keeps of it refers to it, and would keep both for ever."""
    for backend in _backends:
        backend._task_states.pop(task, None)
