"""What those who act in a world see of it."""

from typing import Protocol

from agnt5.store.memory import MemoryStore

from .effects import Ledger
from .loop import Scheduler, SimLoop
from .oracle import Oracle
from .process import Process, SimClock
from .store import Faults
from .swarm import Swarm


class Scene(Protocol):
    """A world.

    Attributes:
        seed: What it was made from.
        process: The one that is there at the moment, or was last.
        outside: The loop of whoever is no part of the process.
        is_over: Its story is told to the end.
    """

    seed: int
    swarm: Swarm
    scheduler: Scheduler
    clock: SimClock
    rows: MemoryStore
    faults: Faults
    ledger: Ledger
    oracle: Oracle
    outside: SimLoop
    process: Process
    is_over: bool

    def violate(self, invariant: str, what: str) -> None:
        """Something isn't as it must be."""

    def tell(self, *what: object) -> None:
        """Something happened."""

    @property
    def is_busy(self) -> bool:
        """Whether there is work in flight that a fault would hit."""

    def start_process(self) -> Process:
        """Start a process on what the store holds."""

    def kill(self) -> None:
        """The process dies, before the next event."""
