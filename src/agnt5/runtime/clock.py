"""The time, as the runtime and its workers know it."""

from time import time_ns
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now_us(self) -> int:
        """Microseconds since the epoch."""


class SystemClock:
    """The machine's own clock. It may jump; the stamps of one journal never go back all the same."""

    def now_us(self) -> int:
        return time_ns() // 1000
