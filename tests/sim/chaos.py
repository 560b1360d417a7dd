"""What goes wrong: one fault after the other, of the kinds that the seed allows."""

import asyncio
from collections.abc import Callable
from random import Random

from msgspec import structs

from agnt5.core.protocol.messages import Report

from .scene import Scene

SECOND = 1_000_000
OLD_REPORTS_MAX = 60


class Chaos:
    """Makes things go wrong in a world.

    Attributes:
        hits: How often each kind of fault met work in flight.
    """

    def __init__(self, world: Scene, chance: Random) -> None:
        self._world = world
        self._chance = chance
        self.hits: dict[str, int] = dict.fromkeys(world.swarm.faults, 0)
        self.old_reports: list[Report] = []

    async def rage(self) -> None:
        """Go on until cancelled."""
        kinds = list(self._world.swarm.faults)
        acts: dict[str, Callable[[], None]] = {kind: getattr(self, f"_{kind}") for kind in kinds}
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / self._world.swarm.every))
            # Those that have met no work yet come first, mostly.
            kind = min(self._chance.sample(kinds, len(kinds)), key=lambda kind: self.hits[kind])
            if self._chance.random() < 0.3:
                kind = self._chance.choice(kinds)
            acts[kind]()

    def _hit(self, kind: str) -> None:
        self._world.tell("fault", kind, self._world.is_busy)
        self.hits[kind] += self._world.is_busy

    def note_report(self, report: Report) -> None:
        """A worker has said something."""
        self.old_reports.append(report)
        del self.old_reports[:-OLD_REPORTS_MAX]

    # Processes

    def _crash(self) -> None:
        self._hit("crash")
        self._world.kill()

    def _crash_before(self) -> None:
        self._world.faults.die_before = 1

    def _crash_after(self) -> None:
        self._world.faults.die_after = 1

    def died_in_commit(self, kind: str) -> None:
        """A commit was cut in two."""
        if kind in self.hits:
            self.hits[kind] += 1

    def _stop(self) -> None:
        self._hit("stop")
        self._world.process.stop()

    def _pause(self) -> None:
        process = self._world.process
        loop = self._chance.choice([process.lane_loop, process.user_loop, process.pool_loop])
        self._hit("pause")
        loop.paused_until = self._world.scheduler.now + int(self._chance.random() * 2 * SECOND)

    def _jump(self) -> None:
        self._hit("jump")
        self._world.clock.jump(int((self._chance.random() * 40 - 20) * SECOND))

    def _lost(self) -> None:
        process = self._world.process
        if process.session is not None:
            self._hit("lost")
            process.lose_session()
            self._world.outside.call_later(self._chance.random() * 0.5, process.attach_session)

    def _stale(self) -> None:
        """What was said under an earlier claim arrives once more."""
        process = self._world.process
        if not process.thread.is_serving or not self.old_reports or process.session is None:
            return
        report = self._chance.choice(self.old_reports)
        past = self._world.oracle.pasts.get(report.run_id)
        if past is not None and past.epoch > report.epoch:
            self._hit("stale")
            # As if by the worker that has the run now: only the epoch tells them apart.
            process.thread.post(process.session, [structs.replace(report, worker=process.session.id)])

    # The store

    def _full(self) -> None:
        self._world.faults.full = self._chance.choice([1, 1, 3])

    def _unknown(self) -> None:
        self._world.faults.unknown = 1

    def _slow(self) -> None:
        self._hit("slow")
        self._world.faults.slow = 0.2
        self._world.ledger.slow = self._chance.choice([0.0, 0.1, 1.0])
        self._world.outside.call_later(self._chance.random(), self._quick_again)

    def _quick_again(self) -> None:
        self._world.faults.slow = self._world.swarm.slow

    def commit_over(self, outcome: str) -> None:
        """A commit came to this."""
        if outcome in self.hits:
            self.hits[outcome] += 1
