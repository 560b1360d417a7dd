"""A restart with many unfinished runs: each has done its first step and was cut short in its second."""

import asyncio
import sys
import time
from pathlib import Path

from agnt5 import Runtime, WorkerSettings, WorkflowContext, get_run, workflow
from benchmarks import crash
from benchmarks.probe import Effects, Figures

ROLE = sys.argv[1] if __name__ == "__main__" else ""
FOLDER = Path(sys.argv[2] if __name__ == "__main__" else ".")
RUNS = int(sys.argv[3]) if __name__ == "__main__" else 0
EFFECTS = Effects(FOLDER) if __name__ == "__main__" else None
in_second_step = 0
are_all_there = asyncio.Event()


async def first(run: int) -> int:
    assert EFFECTS is not None, "steps run in the processes that are started for them"
    EFFECTS.record("first", run)
    return run


async def second(run: int) -> int:
    global in_second_step
    assert EFFECTS is not None, "steps run in the processes that are started for them"
    if ROLE == "begin":
        in_second_step += 1
        if in_second_step == RUNS:
            are_all_there.set()
        await asyncio.Event().wait()
    EFFECTS.record("second", run)
    return run + 1


@workflow
async def two_steps(ctx: WorkflowContext, run: int) -> int:
    value = await ctx.step(first, run)
    return await ctx.step(second, value)


async def begin() -> None:
    settings = WorkerSettings(capacity=RUNS)
    async with Runtime(store=f"sqlite:///{FOLDER}/journal.db", settings=settings):
        handles = await asyncio.gather(*(two_steps.submit(run) for run in range(RUNS)))
        (FOLDER / "ids").write_text("\n".join(handle.id for handle in handles))
        await are_all_there.wait()
        crash.say("ready")
        await asyncio.Event().wait()


async def resume() -> None:
    async with Runtime(store=f"sqlite:///{FOLDER}/journal.db"):
        ids = (FOLDER / "ids").read_text().split()
        results = await asyncio.gather(*(get_run(run_id).result() for run_id in ids))
        assert results == list(range(1, RUNS + 1)), "every run has its result"
        crash.say("done")


async def measure(folder: Path, runs: int) -> Figures:
    """Kill the process when all runs are in their second step; what the next one does with them."""
    effects = Effects(folder)
    killed = crash.start("agnt5.restart", "begin", folder, runs)
    crash.wait_said(killed, "ready")
    killed.kill()
    killed.wait()
    began = time.monotonic()
    resumed = crash.start("agnt5.restart", "resume", folder, runs)
    crash.wait_said(resumed, "done")
    done = time.monotonic()
    assert resumed.wait() == 0, "the runtime stops cleanly"
    log = effects.read()
    done_once = sorted(f"{step} {run}" for step in ("first", "second") for run in range(runs))
    assert sorted(name for _, name in log) == done_once, "each effect took place exactly once"
    progress = min(at for at, name in log if name.startswith("second"))
    return {"first progress s": progress - began, "all resumed s": done - began}


if __name__ == "__main__":
    asyncio.run({"begin": begin, "resume": resume}[ROLE]())
