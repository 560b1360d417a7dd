"""A clock that stands still until it is turned."""

from datetime import UTC, datetime, timedelta
from typing import Final

from agnt5.core.model.retry import MICROSECONDS

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)


class TurnedClock:
    """The time of one harness, as its runtime and workers know it (`runtime.clock.Clock`).

    Args:
        start: What it shows at first; the machine's time when absent.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._now = (start or datetime.now(UTC)) - EPOCH

    def now_us(self) -> int:
        return self._now // _TICK

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return EPOCH + self._now

    def turn_to(self, us: int) -> None:
        """Put it forward, to so many microseconds since the epoch."""
        assert us >= self.now_us(), "a turned clock never goes back"
        self._now = timedelta(microseconds=us)


def microseconds(seconds: float | timedelta) -> int:
    """A duration as the runtime counts it."""
    if isinstance(seconds, timedelta):
        return seconds // _TICK
    return round(seconds * MICROSECONDS)
