"""What was acknowledged, and whether in the end it is so."""

from collections import Counter
from typing import Any

import msgspec

from agnt5.core.engine.invariants import check_journal
from agnt5.core.journal.entry import Ended, Entry, Started
from agnt5.core.model.run import Run, Status
from agnt5.store.port import RunFilter

from . import programs
from .oracle import at_once
from .scene import Scene


class Ending:
    """The books of all callers together.

    Attributes:
        events: The payload of each event that was acknowledged.
        signals: The run and payload of each such signal.
        cancelled: Runs whose cancel was acknowledged.
        touched: Runs that somebody wanted cancelled, acknowledged or not.
        retaken: Some retry may have taken a key.
        outcomes: What programs came to, where nobody interfered with any run.
        ended: All runs, with their journals.
    """

    def __init__(self, world: Scene) -> None:
        self._world = world
        self._submitted: list[tuple[str, str, str | None]] = []
        self._by_key: dict[tuple[str, str], str] = {}
        self.events: dict[str, bytes] = {}
        self.signals: list[tuple[str, bytes]] = []
        self.cancelled: set[str] = set()
        self.touched: set[str] = set()
        self.retaken = False
        self.outcomes: list[Outcome] = []
        self.ended: list[tuple[Run, list[Entry]]] = []

    def submitted(self, run_id: str, component: str, key: str | None) -> None:
        """A submission was acknowledged."""
        self._submitted.append((run_id, component, key))
        if key is None:
            return
        known = self._by_key.setdefault((component, key), run_id)
        if known != run_id and not self.retaken:
            self._world.violate("I2", f"key {key} of {component} stands for {known} and for {run_id}")

    def followed(self, run_id: str, events: list[Any]) -> None:
        """Somebody was told all that happened in a run."""
        indices = [event.index for event in events]
        if indices != list(range(indices[0], indices[0] + len(indices))):
            self._world.violate("I3", f"who followed {run_id} was told of {indices}")

    def check(self) -> None:
        """All of it, in the end."""
        runs = at_once(self._world.rows.runs(RunFilter(limit=10_000)))
        self._check_acknowledged(runs)
        for run in runs:
            journal = at_once(self._world.rows.journal(run.id))
            try:
                check_journal(journal)
            except AssertionError as error:
                self._world.violate("I3", f"the journal of {run.id}: {error}")
                return
            self.ended.append((run, journal))
            if run.component in {component.name for component in programs.TOPS}:
                self._note_outcome(run, journal[0].body, journal[-1].body)

    def _check_acknowledged(self, runs: list[Run]) -> None:
        world, known = self._world, {run.id for run in runs}
        for run_id, component, _ in self._submitted:
            if run_id not in known:
                world.violate("I1", f"run {run_id} of {component} was acknowledged, and is lost")
        keys = Counter((run.component, run.idempotency_key) for run in runs if run.idempotency_key)
        for place, count in keys.items():
            if count > 1 and not self.retaken:
                world.violate("I2", f"key {place} has {count} runs")
        for event_id, payload in self.events.items():
            event = at_once(world.rows.event(event_id))
            if event is None or msgspec.json.decode(event.payload) != msgspec.json.decode(payload):
                world.violate("I12", f"event {event_id} was acknowledged with {payload!r}, and is {event}")
        for run_id, payload in self.signals:
            self._check_signal(run_id, payload)
        for run_id in self.cancelled:
            run = world.oracle.run(run_id)
            if run is None or not run.status.is_terminal:
                world.violate("I20", f"run {run_id} was cancelled, and has not ended")

    def _check_signal(self, run_id: str, payload: bytes) -> None:
        run = self._world.oracle.run(run_id)
        found = self._world.oracle.past(run.id).signals if run is not None else []
        wanted = msgspec.json.decode(payload)
        count = sum(msgspec.json.decode(signal) == wanted for signal in found)
        # A new generation begins with those that the one before didn't take.
        if count == 0 or (count > 1 and run is not None and run.generation == 1):
            self._world.violate("I12", f"signal {payload!r} to {run_id} was acknowledged, and is there {count} times")

    def _note_outcome(self, run: Run, started: Any, ended: Any) -> None:
        assert isinstance(started, Started), "a journal begins with the start"
        assert isinstance(ended, Ended), "all runs have ended by now"
        if run.origin is None and not self.touched:
            seed = _seed_of(run.component, started)
            said = f"{ended.error.type}: {ended.error.message}" if ended.error is not None else ""
            self.outcomes.append(Outcome(run.component, run.id, seed, run.status, bytes(ended.result), said))


class Outcome(msgspec.Struct):
    """What a program came to with which nobody interfered."""

    component: str
    run_id: str
    seed: int
    status: Status
    result: bytes
    error: str

    def is_same(self, other: "Outcome") -> bool:
        """Whether it came to the same without faults."""
        return (self.status, self.result, self.error) == (other.status, other.result, other.error)


def _seed_of(component: str, started: Started) -> int:
    found = next(known for known in programs.TOPS if known.name == component)
    args, kwargs = found.schema.read(started.input, component)
    seed: int = kwargs["seed"] if "seed" in kwargs else args[0]
    return seed
