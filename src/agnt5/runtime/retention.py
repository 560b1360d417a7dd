"""Removes runs and events that nobody needs any more, in small bites between the runtime's turns.

A pass goes once through what the store holds: runs, then waits, then events. A bite reads a page and
commits what is to go of it. After each the keeper rests for nineteen times as long as it took, so that
it takes a twentieth of the runtime's time at most; what a bite may hold follows from what the last one took.

What is kept, however old:

- A run that hasn't ended, one that another waits for, and one whose parent is there in the generation
  that started it: the parent may be replayed, or made again as a retry or a fork, and ask for it.
- An event that a run which is there could ask for: one that began before the event's time was over.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from msgspec import Struct

from agnt5.core.model.errors import StoreError
from agnt5.core.model.ids import RunId, new_run_id
from agnt5.core.model.retry import MICROSECONDS, seconds_of
from agnt5.core.model.run import Status
from agnt5.runtime.clock import Clock
from agnt5.store.port import Aged, Batch, Place, Removal, Store

LOGGER = logging.getLogger("agnt5.runtime")
DAY: Final = 86_400.0  # Seconds.
NEVER: Final = 1 << 62  # Microseconds since the epoch; far beyond any clock.
PAGE: Final = 50  # Runs that a bite looks at.
ROWS: Final = 500  # Waits or events that a bite looks at; each costs less than a run.
# Entries that a bite deletes. Payloads of megabytes or a slow disk make it few, small ones many.
ENTRIES_MIN: Final = 10
ENTRIES_START: Final = 200
ENTRIES_MAX: Final = 2_000
BITE_US: Final = 3_000  # What a bite should take beyond what every commit does; a few commits, so nobody notices.
RESTS: Final = 19  # For each time unit of work.
REST_MIN_US: Final = 1_000
REST_MAX_US: Final = 1_000_000
INTERVAL_MIN_US: Final = 1 * MICROSECONDS  # From the end of a pass to the next one.
INTERVAL_MAX_US: Final = 3_600 * MICROSECONDS
INTERVALS: Final = 10  # Passes within the shortest time that anything is kept.
AGAIN_US: Final = 60 * MICROSECONDS  # After a commit that was refused.


class Retention(Struct, frozen=True, kw_only=True):
    """How long runs are kept after their end, in seconds or as a `timedelta`; None for ever.

    Attributes:
        completed: Runs that completed.
        failed: Runs that failed.
        cancelled: Runs that were cancelled.
        events: Events after they were resolved; longer where a run that is kept could ask for one.

    Raises:
        InvalidInput: A time is negative, or no time.

    Example:
        >>> Retention(completed=3600).failed == 30 * 86_400
        True
    """

    completed: float | timedelta | None = 7 * DAY
    failed: float | timedelta | None = 30 * DAY
    cancelled: float | timedelta | None = 30 * DAY
    events: float | timedelta | None = 30 * DAY

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            self.microseconds(name)

    def microseconds(self, name: str) -> int | None:
        """One of the times, None for ever."""
        value = getattr(self, name)
        return None if value is None else round(seconds_of(value, name) * MICROSECONDS)


_STATUSES: Final = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
FOREVER: Final = Retention(completed=None, failed=None, cancelled=None, events=None)


class Keeper:
    """Looks after one store.

    Args:
        store: Open, and written by nobody else meanwhile.
        retention: How long to keep what.
        clock: The time.

    Attributes:
        next_at: When there is something to do, in microseconds since the epoch.
        removed: How many runs it has removed.
    """

    def __init__(self, store: Store, retention: Retention, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        kept = {status: retention.microseconds(status.value) for status in _STATUSES}
        self._kept_us = {status.value: kept_us for status, kept_us in kept.items() if kept_us is not None}
        self._events_us = retention.microseconds("events")
        self._entries_max = ENTRIES_START
        self._shortest_us = NEVER  # That any bite with a commit in it has taken.
        self._phases: deque[Callable[[], Awaitable[bool]]] = deque()
        self._has_written = False
        self._now = 0
        self._after: RunId | None = None
        self._after_wait: Place | None = None
        self._after_event = ""
        self._oldest = NEVER
        self.removed = 0
        self.next_at = 0 if self._kept_us else NEVER

    async def work(self) -> None:
        """Take one bite, if it is time.

        Raises:
            StoreError: Whether the bite was written is unknown, or the store can't be read.
        """
        began = self._clock.now_us()
        if began < self.next_at <= began + INTERVAL_MAX_US or not self._kept_us:
            return
        if not self._phases:
            self._begin_pass(began)
        self._has_written = False
        try:
            if await self._phases[0]():
                self._phases.popleft()
        except StoreError as error:
            if not error.is_aborted:
                raise
            # What it has seen so far may still be there.
            LOGGER.warning("old runs were not removed: %s", error.what)
            self._phases.clear()
            self.next_at = began + AGAIN_US
            return
        now = self._clock.now_us()
        took = max(now - began, 0)
        if self._has_written:
            self._adapt(took)
        rest = min(max(took * RESTS, REST_MIN_US), REST_MAX_US) if self._phases else self._interval
        self.next_at = now + rest

    async def _write(self, batch: Batch) -> None:
        self._has_written = True
        await self._store.commit(batch)

    def _begin_pass(self, now: int) -> None:
        self._phases.extend([self._bite_remains, self._bite_runs, self._bite_waits])
        if self._events_us is not None:
            self._phases.append(self._bite_events)
        self._now = now
        self._after = self._after_wait = None
        self._after_event = ""
        # Of runs that are too young to be looked at, none began before this.
        self._oldest = self._young_since

    @property
    def _young_since(self) -> int:
        return max(self._now - min(self._kept_us.values()), 0)

    @property
    def _interval(self) -> int:
        return min(max(min(self._kept_us.values()) // INTERVALS, INTERVAL_MIN_US), INTERVAL_MAX_US)

    def _adapt(self, took_us: int) -> None:
        # A disk that takes long for every commit is no reason for smaller ones.
        self._shortest_us = min(self._shortest_us, took_us)
        more_us = took_us - self._shortest_us
        if more_us > BITE_US:
            self._entries_max = max(self._entries_max // 2, ENTRIES_MIN)
        elif more_us < BITE_US // 2:
            self._entries_max = min(self._entries_max * 2, ENTRIES_MAX)

    # One bite each; returns whether the phase is over

    async def _bite_remains(self) -> bool:
        """Go on with a run whose journal was too long for one bite."""
        run = await self._store.remains()
        if run is not None:
            await self._write(Batch(removed=[self._removal(run, self._entries_max)]))
        return run is None

    async def _bite_runs(self) -> bool:
        # Ids begin with the time of their making, or of their parent's: no older run comes after this one.
        page = await self._store.aged(self._after, new_run_id(self._young_since, 0), PAGE)
        removed: list[Removal] = []
        room = self._entries_max
        is_through = len(page) < PAGE
        for run in page:
            if self._is_kept(run):
                self._oldest = min(self._oldest, run.began_at or run.created_at)
            else:
                removal = self._removal(run, room)
                if removed and not removal.is_whole:
                    is_through = False
                    break  # The next bite begins with it.
                removed.append(removal)
                room -= removal.until - run.first
            self._after = run.id
        if removed:
            await self._write(Batch(removed=removed))
            self.removed += len(removed)
            if not all(removal.is_whole for removal in removed):
                self._phases.appendleft(self._bite_remains)
                return False
        return is_through

    def _is_kept(self, run: Aged) -> bool:
        kept_us = self._kept_us.get(run.status)
        if kept_us is None or not run.ended_at or run.ended_at + kept_us > self._now:
            return True
        return run.is_awaited or 0 < run.parent_began_at <= run.created_at

    def _removal(self, run: Aged, entries_max: int) -> Removal:
        until = min(run.next_index, run.first + entries_max)
        return Removal(run.id, until, until == run.next_index)

    async def _bite_waits(self) -> bool:
        """Forget what runs waited for that are over: an event that nobody resolves keeps no row for ever."""
        page = await self._store.waits(self._after_wait, ROWS)
        over = [place for place, is_over in page if is_over]
        if over:
            await self._write(Batch(unwaited=over))
        if page:
            self._after_wait = page[-1][0]
        return len(page) < ROWS

    async def _bite_events(self) -> bool:
        assert self._events_us is not None, "events that are kept for ever are not looked at"
        until = min(self._oldest, self._now) - self._events_us
        page = await self._store.event_times(self._after_event, ROWS)
        old = [event_id for event_id, at in page if at < until]
        if old:
            await self._write(Batch(forgotten=old))
        if page:
            self._after_event = page[-1][0]
        return len(page) < ROWS
