"""Tools for those who test their workflows: a harness with a clock they turn, and crashes at every place."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # So that the pytest plugin, which is in here, can be loaded without them.
    from agnt5.testing.crash import CrashReport, CrashTestFailed, crash_everywhere, crash_everywhere_sync
    from agnt5.testing.harness import Harness
    from agnt5.testing.operations import Operation
    from agnt5.testing.outside import Waiting

_HOME: Final = {
    "CrashReport": "crash",
    "CrashTestFailed": "crash",
    "Harness": "harness",
    "Operation": "operations",
    "Waiting": "outside",
    "crash_everywhere": "crash",
    "crash_everywhere_sync": "crash",
}

__all__ = [
    "CrashReport",
    "CrashTestFailed",
    "Harness",
    "Operation",
    "Waiting",
    "crash_everywhere",
    "crash_everywhere_sync",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
