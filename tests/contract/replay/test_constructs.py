"""Every construct of asyncio and anyio replays exactly, from every point of its journal.

Each body is run on a real runtime once. Its journal is then played to it again and again: in full,
between random allocations; from each of its prefixes, where it must ask for what it asked for at that
point and nothing else; and in processes with other hash seeds.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agnt5 import InvalidInput, WorkflowContext
from agnt5.runtime.clock import SystemClock
from agnt5.sdk.registry import REGISTRY

from . import constructs_anyio, constructs_asyncio, constructs_context, parts
from .other_process import pack
from .recording import EVICT_ALWAYS, Recording, record
from .rehearsal import Commotion, check_against_journal, end_of, rehearse

REPLAYS = 100
BODIES = [*constructs_asyncio.BODIES, *constructs_anyio.BODIES, *constructs_context.BODIES]


@pytest.fixture(autouse=True)
def known_components() -> None:
    """Components of the bodies' modules are known to each test."""
    REGISTRY.add(parts.fail)
    REGISTRY.add(constructs_context.child)


@pytest.fixture
def commotion() -> Iterator[Commotion]:
    """Makes each replay find its memory in another state."""
    thresholds = gc.get_threshold()
    yield Commotion(seed=7)
    gc.set_threshold(*thresholds)


def prefixes(recording: Recording) -> range:
    """Lengths of journal to begin a life with; in long journals not all of them."""
    count = len(recording.entries)
    return range(1, count + 1, 1 + count // 150)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
async def test_a_construct_replays_exactly(body: Any, commotion: Commotion) -> None:
    """What a body asks for, and what it comes to, follows from its journal alone."""
    recording = await record(body)

    asked, moments = await rehearse(recording, 1)
    again = []
    for _ in range(REPLAYS if len(recording.entries) < 200 else REPLAYS // 10):
        commotion.stir()
        again.append(await rehearse(recording, len(recording.entries)))

    check_against_journal(recording, asked)
    assert moments[-1].end == end_of(recording)
    for asked_again, ends in again:
        assert asked_again == asked
        assert ends == moments[-1:]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
async def test_a_construct_replays_from_every_prefix(body: Any, commotion: Commotion) -> None:
    """A life that begins anywhere in the journal asks for exactly what comes next, and ends the same."""
    recording = await record(body, EVICT_ALWAYS)
    asked, moments = await rehearse(recording, 1)

    for length in prefixes(recording):
        commotion.stir()
        asked_by_now, here = await rehearse(recording, length, length)
        asked_in_all, later = await rehearse(recording, length)

        assert asked_by_now == asked[: moments[length - 1].asked]
        assert here == [moments[length - 1]]
        assert asked_in_all == asked
        assert later == moments[length - 1 :]
    assert moments[-1].end == end_of(recording)


async def test_constructs_replay_under_any_hash_seed(tmp_path: Path) -> None:
    """The order of operations doesn't depend on how strings hash, which differs from process to process."""
    recordings = [await record(body) for body in BODIES]
    expected = {each.component.name: pack((await rehearse(each, 1))[0]) for each in recordings}
    packed = tmp_path / "recordings.json"
    packed.write_text(json.dumps(list(map(_packed, recordings))))
    tests = Path(__file__).parents[2]
    program = [sys.executable, "-m", "contract.replay.other_process", str(packed)]

    for seed in ("0", "1", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])}
        done = await asyncio.to_thread(
            subprocess.run, program, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == expected


def _packed(recording: Recording) -> dict[str, Any]:
    return {
        "name": recording.component.name,
        "run_id": recording.run_id,
        "entries": [[entry.index, entry.at, pack(entry.body)] for entry in recording.entries],
    }


async def test_as_completed_over_bare_coroutines_is_refused() -> None:
    """Asyncio would put them into a set that is walked in another order each time; the error says what to do."""
    caught: list[InvalidInput] = []

    async def careless(ctx: WorkflowContext) -> Any:
        bare = [parts.nap(ctx, 0), parts.nap(ctx, 0)]
        try:
            return [await each for each in asyncio.as_completed(bare)]
        except InvalidInput as error:
            caught.append(error)
            raise
        finally:
            for each in bare:
                each.close()

    recording = await record(careless)

    assert recording.ended.status == "failed"
    assert "as_completed" in caught[0].what
    assert "create_task" in caught[0].fix


class LaggingClock(SystemClock):
    """On other threads than the one that made it, a little late: as a time is that was read before it is used."""

    def __init__(self) -> None:
        self._own = threading.get_ident()

    def now_us(self) -> int:
        return super().now_us() - (0 if threading.get_ident() == self._own else 3_000)


async def test_no_timer_fires_before_its_time() -> None:
    """Not even where the runtime's time was taken before the worker's; a sleep is never shorter than was asked."""
    slept: list[timedelta] = []

    async def sleeping(ctx: WorkflowContext) -> None:
        for _ in range(3):
            before = ctx.now()
            # While a step executes, it is the worker that watches the time.
            working = asyncio.create_task(ctx.step(parts.work, "meanwhile", 20))
            await ctx.sleep(0.004)
            slept.append(ctx.now() - before)
            await working

    recording = await record(sleeping, clock=LaggingClock())

    assert recording.ended.status == "completed"
    assert min(slept) >= timedelta(seconds=0.004)
