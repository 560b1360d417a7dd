"""What can be set of a worker."""

from msgspec import Struct


class WorkerSettings(Struct, frozen=True):
    """Bounds of one worker.

    Attributes:
        capacity: Runs at work at a time; those that wait don't count.
        max_cached_runs: Waiting runs that are kept in memory; beyond it the one that has waited
            longest is forgotten, and replayed when it goes on.
        max_threads: Plain functions that execute at a time.
        grace: Seconds that a step without a timeout is awaited when its run's attempt is over.
        body_seconds_max: Seconds that a workflow body may compute without waiting for anything.
    """

    capacity: int = 1_000
    max_cached_runs: int = 1_000
    max_threads: int = 64
    grace: float = 10.0
    body_seconds_max: float = 10.0
