"""Random programs come to the same however often they are dropped from memory on the way.

Goal: find a mixture of operations and constructs that doesn't replay.
Method: each seed makes a program. It runs warm, evicted at every wait, and on workers that are thrown
away at random points; results and effects must agree, and each journal must replay exactly.
Reproduce: AGNT5_REPLAY_SEED=<the printed seed> AGNT5_REPLAY_COUNT=1 pytest <this file>
"""

import asyncio
import os
from collections import Counter
from random import Random
from typing import Any

import pytest

from agnt5 import WorkerSettings, Workflow, workflow
from agnt5.core.journal.entry import Ended, Entry, Kind, Outcome
from agnt5.core.model.ids import RunId
from agnt5.sdk.handle import Handle
from agnt5.sdk.registry import REGISTRY
from agnt5.store.memory import MemoryStore

from . import programs
from .recording import DEADLINE_SECONDS, EVICT_ALWAYS, Recording, stage
from .rehearsal import check_against_journal, end_of, rehearse

SEED = int(os.environ.get("AGNT5_REPLAY_SEED", "1"))
COUNT = int(os.environ.get("AGNT5_REPLAY_COUNT", "60"))
THROWN_AWAY_MAX = 4
PREFIXES = 8


@pytest.fixture(autouse=True)
def component() -> Workflow[Any, Any]:
    """The workflow that runs every program."""
    REGISTRY.add(programs.child)
    REGISTRY.add(programs.plain)
    programs.service()
    programs.EFFECTS.clear()
    return workflow(programs.program)


async def run_through(component: Workflow[Any, Any], seed: int, settings: WorkerSettings | None) -> Recording:
    """Run a program on one runtime."""
    async with stage(settings) as on:
        handle = await component.submit(seed)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.gather(handle.result(), return_exceptions=True)
        return recording_of(component, handle.id, await on.journal(handle.id))


async def run_on_many(component: Workflow[Any, Any], seed: int) -> Recording:
    """Run a program on runtimes that are stopped at random points of its journal."""
    store, chance, reached, run_id = MemoryStore(), Random(seed), 1, ""
    for _ in range(THROWN_AWAY_MAX):
        reached += chance.randrange(12)
        async with stage(chance.choice([None, EVICT_ALWAYS]), store) as on:
            handle = Handle[Any](run_id) if run_id else await component.submit(seed)
            run_id = handle.id

            async def is_reached(handle: Handle[Any] = handle, reached: int = reached) -> bool:
                journal = await store.journal(RunId(handle.id))
                return len(journal) >= reached or isinstance(journal[-1].body, Ended)

            await on.wait_until(is_reached)
    async with stage(None, store):
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.gather(Handle[Any](run_id).result(), return_exceptions=True)
    return recording_of(component, run_id, await store.journal(RunId(run_id)))


def recording_of(component: Workflow[Any, Any], run_id: str, journal: list[Entry]) -> Recording:
    ended = journal[-1].body
    assert isinstance(ended, Ended), f"the run didn't end, but is at {journal[-1]}"
    return Recording(component, RunId(run_id), journal[:-1], ended)


async def check_replays(recording: Recording, chance: Random) -> None:
    """The journal replays, in full and from some of its prefixes."""
    asked, moments = await rehearse(recording, 1)
    check_against_journal(recording, asked)
    assert moments[-1].end == end_of(recording)
    count = len(recording.entries)
    for length in {count, *(chance.randrange(1, count + 1) for _ in range(PREFIXES))}:
        again, later = await rehearse(recording, length)
        assert again == asked
        assert later == moments[length - 1 :]


def outcomes(recording: Recording) -> list[tuple[str, str, bool]]:
    """What was achieved, in no particular order. Whether a cancelled child is heard of depends on the time."""
    return sorted(
        (entry.body.kind.value, _name(entry.body), entry.body.is_success)
        for entry in recording.entries
        if isinstance(entry.body, Outcome) and not entry.body.cancelled and not _is_cancelled_child(entry.body)
    )


def _name(outcome: Outcome) -> str:
    """Its name without what differs from run to run: the run's id, its chance, and for whom it waited."""
    return "" if outcome.kind is Kind.RESULT else outcome.name.rpartition("/")[2].partition("-0.")[0]


def _is_cancelled_child(outcome: Outcome) -> bool:
    return outcome.error is not None and outcome.error.type.endswith("RunCancelledError")


@pytest.mark.parametrize("block", range(4))
async def test_random_programs_come_to_the_same(block: int, component: Workflow[Any, Any]) -> None:
    """Warm, evicted at every wait, or moved from worker to worker: same result, same effects, exact replay."""
    for seed in range(SEED + block, SEED + COUNT, 4):
        print(f"seed {seed}")
        chance = Random(seed)
        made: dict[str, Recording] = {}
        effects: dict[str, Counter[str]] = {}

        for mode in ("warm", "evicted", "moved"):
            programs.EFFECTS.clear()
            if mode == "moved":
                made[mode] = await run_on_many(component, seed)
            else:
                made[mode] = await run_through(component, seed, EVICT_ALWAYS if mode == "evicted" else None)
            effects[mode] = Counter(programs.EFFECTS)
            await check_replays(made[mode], chance)

        assert made["warm"].ended.status == "completed", f"seed {seed}: {made['warm'].ended.error}"
        assert made["evicted"].result == made["warm"].result, f"seed {seed}"
        assert made["moved"].result == made["warm"].result, f"seed {seed}"
        assert outcomes(made["evicted"]) == outcomes(made["warm"]), f"seed {seed}"
        assert outcomes(made["moved"]) == outcomes(made["warm"]), f"seed {seed}"
        assert effects["evicted"] == effects["warm"], f"seed {seed}"
        # A step that was under way on a worker that was thrown away runs again, and no other.
        assert set(effects["moved"]) == set(effects["warm"]), f"seed {seed}"
        assert effects["warm"].total() == len(effects["warm"]), f"seed {seed}"


def test_every_kind_of_block_is_generated() -> None:
    """No kind of operation or construct is left out of the default seeds."""
    found: set[str] = set()

    for seed in range(1, 61):
        found |= programs.kinds(programs.generate(seed))

    assert found == {*programs.LEAVES, *programs.BRANCHES}
