"""A worker process that is killed amid many runs, and the next one that finishes them."""

import asyncio
import sys
from pathlib import Path

from agnt5 import Runtime, WorkflowContext, get_run, workflow
from benchmarks import crash
from benchmarks.probe import Effects, Figures

STEPS = 10
STEP_SECONDS = 0.02
FOLDER = Path(sys.argv[2] if __name__ == "__main__" else ".")
EFFECTS = Effects(FOLDER) if __name__ == "__main__" else None


async def work(run: int, step: int) -> int:
    assert EFFECTS is not None, "steps run in the processes that are started for them"
    EFFECTS.record(run, step)
    await asyncio.sleep(STEP_SECONDS)
    return step


@workflow
async def ten_steps(ctx: WorkflowContext, run: int) -> int:
    return sum([await ctx.step(work, run, step) for step in range(STEPS)])


async def begin(runs: int) -> None:
    async with Runtime(store=f"sqlite:///{FOLDER}/journal.db"):
        handles = await asyncio.gather(*(ten_steps.submit(run) for run in range(runs)))
        (FOLDER / "ids").write_text("\n".join(handle.id for handle in handles))
        crash.say("submitted")
        await asyncio.Event().wait()


async def resume(runs: int) -> None:
    async with Runtime(store=f"sqlite:///{FOLDER}/journal.db"):
        ids = (FOLDER / "ids").read_text().split()
        results = await asyncio.gather(*(get_run(run_id).result() for run_id in ids))
        assert results == [sum(range(STEPS))] * runs, "every run has its result"
        crash.say("done")


async def measure(folder: Path, runs: int) -> Figures:
    """Kill it when half of the steps have begun."""
    return crash.killed_midway("agnt5.killed", folder, runs, STEPS)


if __name__ == "__main__":
    asyncio.run({"begin": begin, "resume": resume}[sys.argv[1]](int(sys.argv[3])))
