"""A run whose component nobody has registered waits, says for whom, and goes on when somebody comes who has it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import Finished, run_script

from agnt5 import Runtime, get_run, send_event, workflow

HEAD = """
import asyncio, sys
import agnt5
from agnt5 import Runtime, get_run, workflow

async def double(x: int) -> int:
    return 2 * x

STORE = "sqlite:///journal.db"
"""

DEFINES = """
@workflow
async def renamed(ctx, x: int) -> int:
    y = await ctx.step(double, x)
    await ctx.wait_for_event("go")
    return y
"""

SUBMITS = """
async def main() -> None:
    async with Runtime(store=STORE):
        running = await renamed.submit(1)
        while await running.status() != "suspended":
            await asyncio.sleep(0.01)
        later = await renamed.submit(2, delay=0.3)
        print(running.id, later.id)
asyncio.run(main())
"""

ASKS = """
async def main() -> None:
    async with Runtime(store=STORE):
        await agnt5.send_event("go")
        for run_id in sys.argv[1:]:
            said = await get_run(run_id).explain()
            while "missing" not in said.facts:
                await asyncio.sleep(0.01)
                said = await get_run(run_id).explain()
            print(await get_run(run_id).status(), said.facts["missing"], "|", said)
            try:
                await get_run(run_id).result(timeout=0.1)
            except TimeoutError:
                print("waits")
asyncio.run(main())
"""

DEFINES_LATE = f"""
async def main() -> None:
    async with Runtime(store=STORE):
        define()
        print(*[await get_run(run_id).result(timeout=10) for run_id in sys.argv[1:]])

def define() -> None:
    global renamed
{"".join(f"    {line}{chr(10)}" for line in DEFINES.splitlines())}
asyncio.run(main())
"""

RESULTS = """
async def main() -> None:
    async with Runtime(store=STORE):
        print(*[await get_run(run_id).result(timeout=10) for run_id in sys.argv[1:]])
asyncio.run(main())
"""


def test_a_run_of_a_missing_component_waits_and_says_so(tmp_path: Path) -> None:
    """A process without the component says which one is missing; one that has it carries the run on."""
    ids = run_script(tmp_path, HEAD + DEFINES + SUBMITS).out.split()

    without = run_script(tmp_path, HEAD + ASKS, *ids)
    with_it = run_script(tmp_path, HEAD + DEFINES + RESULTS, *ids)

    assert (without.code, without.err) == (0, "")
    said = without.out.splitlines()
    assert said[1::2] == ["waits", "waits"]
    for line in said[::2]:
        status, missing, _, sentence = line.split(" ", 3)
        assert status in ("queued", "suspended")
        assert missing == "renamed"
        assert "no worker registers component 'renamed'" in sentence
        assert "import" in sentence
    assert with_it == Finished(0, "2 4\n", "")


def test_a_run_goes_on_once_the_component_is_defined_in_the_same_process(tmp_path: Path) -> None:
    """A module that is imported late is soon enough."""
    ids = run_script(tmp_path, HEAD + DEFINES + SUBMITS).out.split()
    waited = run_script(tmp_path, HEAD + ASKS, *ids)

    finished = run_script(tmp_path, HEAD + DEFINES_LATE, *ids)

    assert waited.code == 0, waited
    assert finished == Finished(0, "2 4\n", "")


@dataclass
class Receipt:
    """A result that is read by the component's annotation."""

    amount: int


@pytest.mark.parametrize("is_over", [False, True])
async def test_a_handle_found_by_id_knows_the_component(tmp_path: Path, is_over: bool) -> None:
    """Whether the run has ended or is waited for, its result comes back with its own type."""

    @workflow
    async def paying(ctx: Any) -> Receipt:
        await ctx.wait_for_event("paid")
        return Receipt(42)

    async with Runtime(store=f"sqlite:///{tmp_path / 'journal.db'}"):
        handle = await paying.submit()
        result = asyncio.create_task(get_run(handle.id).result())
        # The answer to what was asked later comes later: by then the other question is known too.
        await handle.status()
        await send_event("paid")
        await handle.result()
        found = await get_run(handle.id).result() if is_over else await result
        await result

    assert found == Receipt(42)
