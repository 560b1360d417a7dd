"""A worker process that is killed amid many runs, and the next one that recovers them."""

import asyncio
import sys
from pathlib import Path

from dbos import DBOS, SetWorkflowID

from benchmarks import crash
from benchmarks.probe import Effects, Figures
from benchmarks.programs.dbos.app import launched

STEPS = 10
STEP_SECONDS = 0.02
POLL_SECONDS = 0.05
FOLDER = Path(sys.argv[2] if __name__ == "__main__" else ".")
EFFECTS = Effects(FOLDER) if __name__ == "__main__" else None


@DBOS.step()
async def work(run: int, step: int) -> int:
    assert EFFECTS is not None, "steps run in the processes that are started for them"
    EFFECTS.record(run, step)
    await asyncio.sleep(STEP_SECONDS)
    return step


@DBOS.workflow()
async def ten_steps(run: int) -> int:
    return sum([await work(run, step) for step in range(STEPS)])


async def begin(runs: int) -> None:
    with launched(FOLDER):
        for run in range(runs):
            with SetWorkflowID(str(run)):
                await DBOS.start_workflow_async(ten_steps, run)
        crash.say("submitted")
        await asyncio.Event().wait()


async def resume(runs: int) -> None:
    with launched(FOLDER):
        handles = [await DBOS.retrieve_workflow_async(str(run)) for run in range(runs)]
        for handle in handles:
            result = await handle.get_result(polling_interval_sec=POLL_SECONDS)
            assert result == sum(range(STEPS)), "every run has its result"
        crash.say("done")


async def measure(folder: Path, runs: int) -> Figures:
    """Kill it when half of the steps have begun."""
    return crash.killed_midway("dbos.killed", folder, runs, STEPS)


if __name__ == "__main__":
    asyncio.run({"begin": begin, "resume": resume}[sys.argv[1]](int(sys.argv[3])))
