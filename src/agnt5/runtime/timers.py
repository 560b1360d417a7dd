"""When the runtime has to look at which run: the near future in memory, all the rest in the store."""

import heapq
from typing import Final

from agnt5.core.model.ids import RunId

WINDOW_US: Final = 60_000_000  # How far ahead timers are read from the store: a minute.
# How long before the window ends the next one is read. A warm run that waits is written down within
# a second or so; by then its timer is in the window, or in the store for the next reading.
LEAD_US: Final = 5_000_000
LOADED_MAX: Final = 10_000  # How many are read at a time.


class Timers:
    """Times at which runs are due, soonest first.

    A run stands here at most once, at the soonest of the times asked for; whether it is really due
    is for the engine to say.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, RunId]] = []
        self._soonest: dict[RunId, int] = {}
        # Up to this time, all that the store knows is here too.
        self._known_until = 0
        self._is_cut_short = False

    def arm(self, due: int, run_id: RunId) -> None:
        """Have this run looked at then; what lies beyond the window is left to the store."""
        if due > self._known_until:
            return
        known = self._soonest.get(run_id)
        if known is None or due < known:
            self._soonest[run_id] = due
            heapq.heappush(self._heap, (due, run_id))

    def pop_due(self, now: int, limit: int) -> list[RunId]:
        """Take out runs that are due."""
        due: list[RunId] = []
        while self._heap and self._heap[0][0] <= now and len(due) < limit:
            when, run_id = heapq.heappop(self._heap)
            if self._soonest.get(run_id) == when:
                del self._soonest[run_id]
                due.append(run_id)
        return due

    def wants_more(self, now: int) -> bool:
        """Whether it is time to read on in the store."""
        if self._is_cut_short:
            return not self._heap
        return now >= self._known_until - LEAD_US

    def load(self, found: list[tuple[int, RunId]], until: int) -> None:
        """Take in what the store holds up to a time, or the first `LOADED_MAX` of it."""
        self._is_cut_short = len(found) == LOADED_MAX
        self._known_until = found[-1][0] if self._is_cut_short else until
        for due, run_id in found:
            self.arm(due, run_id)

    @property
    def next_at(self) -> int:
        """When to look again, in microseconds since the epoch: for a timer, or to read on."""
        more = self._known_until - LEAD_US
        if not self._heap:
            return more
        return self._heap[0][0] if self._is_cut_short else min(self._heap[0][0], more)
