"""What a seed makes of the world: which faults there are at all, how often, and how tight every bound is."""

from random import Random

from msgspec import Struct

from agnt5.core.engine import run as run_module
from agnt5.runtime import lane as lane_module
from agnt5.runtime import timers as timers_module

from .patching import Patch

FAULTS = ("crash", "crash_before", "crash_after", "stop", "pause", "jump", "lost", "stale", "full", "unknown", "slow")


class Swarm(Struct):
    """The world of one seed.

    Attributes:
        faults: The kinds of faults that there are.
        every: Seconds between two faults, on average.
        submissions: How many runs are submitted.
        every_op: Seconds between two things that callers do, on average.
        slow: Seconds that a commit takes at the most.
    """

    faults: tuple[str, ...] = ()
    every: float = 0.5
    submissions: int = 8
    every_op: float = 0.15
    slow: float = 0.01
    lag: float = 0.0
    capacity: int = 1_000
    max_cached_runs: int = 1_000
    ready_max: int = 2_000
    turn_max: int = 2_000
    due_max: int = 500
    loaded_max: int = 10_000
    page: int = 2_000

    def bounds(self) -> list[Patch]:
        """What makes the runtime's bounds as tight as that."""
        return [
            (run_module, "READY_MAX", self.ready_max),
            (lane_module, "READY_MAX", self.ready_max),
            (lane_module, "TURN_MAX", self.turn_max),
            (lane_module, "DUE_MAX", self.due_max),
            (lane_module, "LOADED_MAX", self.loaded_max),
            (timers_module, "LOADED_MAX", self.loaded_max),
            (lane_module, "PAGE", self.page),
        ]


def swarm_of(seed: int) -> Swarm:
    """The world of this seed. Some have one kind of fault only: many at once hide each other."""
    chance = Random(f"{seed}/swarm")
    count = chance.choice([1, 2, 3, 4, len(FAULTS)])
    return Swarm(
        faults=tuple(sorted(chance.sample(FAULTS, count))),
        every=chance.choice([0.1, 0.3, 0.6]),
        submissions=chance.choice([4, 8, 12]),
        every_op=chance.choice([0.02, 0.1, 0.2]),
        slow=chance.choice([0.0, 0.002, 0.02]),
        lag=chance.choice([0.0, 0.0, 0.2]),
        capacity=chance.choice([1, 2, 5, 1_000]),
        max_cached_runs=chance.choice([0, 1, 3, 1_000]),
        ready_max=chance.choice([2, 4, 2_000]),
        turn_max=chance.choice([1, 3, 2_000]),
        due_max=chance.choice([1, 500]),
        loaded_max=chance.choice([2, 5, 10_000]),
        page=chance.choice([2, 2_000]),
    )
