"""Runs that have ended are replayed: what the body asks for is what the journal has, from any place in it."""

import asyncio
from random import Random
from typing import Final

from contract.replay.recording import Recording
from contract.replay.rehearsal import end_of, rehearse

from agnt5.core.journal.entry import AttemptBegan, Ended, Entry
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Run, Status
from agnt5.sdk import methods
from agnt5.sdk.registry import REGISTRY

from . import programs
from .effects import Ledger, keeping

RUNS_MAX: Final = 2  # Of each seed; every run that is evicted or taken up again is replayed as it is.
REPLAYED: Final = {component.name: component for component in programs.COMPONENTS if component.is_deterministic}


def check_replays(ended: list[tuple[Run, list[Entry]]], chance: Random) -> tuple[str, str] | None:
    """Replay some of these journals; returns what is wrong."""
    fit = [(run, journal) for run, journal in ended if run.component in REPLAYED and _is_simple(run, journal)]
    wrong: list[str] = []
    with keeping(Ledger(lambda _, what: wrong.append(what))), REGISTRY.isolated(), methods.isolated():
        programs.register()
        for run, journal in chance.sample(fit, min(RUNS_MAX, len(fit))):
            last = journal[-1].body
            assert isinstance(last, Ended), "it has ended"
            recording = Recording(REPLAYED[run.component], RunId(run.id), journal[:-1], last)
            try:
                asyncio.run(_check(recording, chance))
            except AssertionError as error:
                wrong.append(f"{run.component} {run.id} doesn't follow its journal: {error}")
    return ("I19", wrong[0]) if wrong else None


def _is_simple(run: Run, journal: list[Entry]) -> bool:
    """Whether all of the journal is of one attempt, and of this run alone."""
    is_retried = any(isinstance(entry.body, AttemptBegan) for entry in journal)
    return run.status is Status.COMPLETED and run.origin is None and not is_retried


async def _check(recording: Recording, chance: Random) -> None:
    asked, moments = await rehearse(recording, 1)
    assert moments[-1].end == end_of(recording), f"it comes to {moments[-1].end}"
    for length in (len(recording.entries), chance.randrange(1, len(recording.entries) + 1)):
        again, later = await rehearse(recording, length)
        assert again == asked, f"after {length} entries it asks for something else"
        assert later == moments[length - 1 :], f"after {length} entries it is elsewhere"
