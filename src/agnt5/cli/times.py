"""Times and durations as people read them."""

from datetime import UTC, datetime
from typing import Final

from agnt5.core.model.retry import MICROSECONDS

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


def lasted(us: int) -> str:
    """A duration, with as many digits as matter."""
    seconds = max(us, 0) / MICROSECONDS
    if seconds < 0.0095:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def ago(us: int) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = max(us, 0) // MICROSECONDS
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {name} ago"
    return f"{seconds} s ago"


def moment(us: int) -> str:
    """Date and time, to the millisecond."""
    return datetime.fromtimestamp(us / MICROSECONDS, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def clock(us: int, now_us: int) -> str:
    """The time of day in UTC, with the date where it isn't today's."""
    when, now = (datetime.fromtimestamp(time / MICROSECONDS, UTC) for time in (us, now_us))
    return when.strftime("%H:%M:%S" if when.date() == now.date() else "%Y-%m-%d %H:%M:%S")


def iso(us: int) -> str | None:
    """For programs; None for a time that hasn't come."""
    if not us:
        return None
    seconds, rest = divmod(us, MICROSECONDS)  # A float doesn't hold every microsecond.
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat(timespec="microseconds")
