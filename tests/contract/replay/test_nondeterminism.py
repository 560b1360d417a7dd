"""Code that disagrees with its journal is stopped, told both sides of it, and goes on once it is mended."""

import logging
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from agnt5 import NonDeterminismError, Workflow, workflow
from agnt5.core.journal.entry import Outcome, Patched
from agnt5.sdk.handle import Handle
from agnt5.sdk.registry import REGISTRY
from agnt5.store.memory import MemoryStore

from .recording import EVICT_ALWAYS, stage

HEAD = """
import asyncio
from agnt5 import ctx, workflow, send_event

async def charge(n=0): return f"charged {n}"
async def ship(n=0): return f"shipped {n}"

@workflow(name="child")
async def child(n): return n

@workflow(name="other_child")
async def other_child(n): return n

@workflow(name="order")
async def order():
"""
Define = Callable[[str], Workflow[Any, Any]]


@pytest.fixture
def define(tmp_path: Path) -> Define:
    """Defines `order` with a body, in a file of its own: each is another version of the code."""
    known = REGISTRY.all()
    versions: list[str] = []

    def version(body: str) -> Workflow[Any, Any]:
        versions.append(body)
        path = tmp_path / f"order_v{len(versions)}.py"
        path.write_text(HEAD + indent(dedent(body), "    "))
        with REGISTRY._lock:
            REGISTRY._components = {component.name: component for component in known}
        names: dict[str, Any] = {"__name__": "order_module"}
        exec(compile(path.read_text(), str(path), "exec"), names)
        made: Workflow[Any, Any] = names["order"]
        return made

    return version


async def begun(component: Workflow[Any, Any], store: MemoryStore) -> str:
    """Run it on one runtime until it waits; returns its id."""
    async with stage(EVICT_ALWAYS, store) as on:
        handle = await component.submit()
        await on.wait_status(handle, "suspended")
        return handle.id


OLD = """
    a = await ctx.step(charge, 1)
    b = await ctx.step(ship, 2)
    await ctx.wait_for_signal("go")
    return [a, b]
"""
OLD_CHILDREN = """
    one, two = await child.submit(1), await child.submit(2)
    a = await one.result()
    b = await child(3)
    await ctx.wait_for_signal("go")
    return [a, b]
"""
CHANGES = {
    "another kind": (OLD, "await ctx.state.set('charge', 1)", "step 'charge'", "state 'charge'"),
    "another name": (OLD, "await ctx.step('pay', charge, 1)", "step 'charge'", "step 'pay'"),
    "another order": (OLD, "await ctx.step(ship, 2)\nawait ctx.step(charge, 1)", "step 'charge'", "step 'ship'"),
    "another one at the end": (
        OLD,
        "await ctx.step(charge, 1)\nawait ctx.step('send', ship, 2)",
        "step 'ship'",
        "step 'send'",
    ),
    "one too few": (
        OLD,
        "await ctx.step(charge, 1)\nawait ctx.wait_for_signal('go')",
        "step 'ship'",
        "asks for nothing",
    ),
    "an early end": (OLD, "return await ctx.step(charge, 1)", "step 'ship'", "ends before"),
    "an end at once": (OLD, "return 0", "step 'charge'", "ends before"),
    "an exception": (OLD, "raise ValueError('not any more')", "step 'charge'", "ends before"),
    "a sleep instead": (OLD, "await ctx.sleep(1000)", "step 'charge'", "asks for nothing"),
    "another event": (
        "await send_event('paid', 1)\nawait ctx.wait_for_signal('go')",
        "await send_event('unpaid', 1)",
        "send 'paid'",
        "send 'unpaid'",
    ),
    "another child": (
        OLD_CHILDREN,
        "await child.submit(1)\nawait other_child.submit(2)",
        "submit 'child'",
        "submit 'other_child'",
    ),
    "a call where a submission was": (OLD_CHILDREN, "await child(1)", "submit 'child'", "call 'child'"),
    "another run awaited": (
        OLD_CHILDREN,
        "one, two = await child.submit(1), await child.submit(2)\nawait two.result()",
        "result",
        "result",
    ),
    "another branch order": (
        "await asyncio.gather(ctx.step(charge), ctx.step(ship))\nawait ctx.wait_for_signal('go')",
        "await asyncio.gather(ctx.step(ship), ctx.step(charge))",
        "step 'charge'",
        "step 'ship'",
    ),
    "a timer less": (
        "await ctx.sleep(0.001)\nawait ctx.wait_for_signal('go')",
        "await ctx.wait_for_signal('go')",
        "sleep",
        "asks for nothing",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_operation_blocks_the_run(change: str, define: Define) -> None:
    """The error names both operations and the lines of both; with the old code back, the run goes on by itself."""
    old, new, recorded, asked = CHANGES[change]
    store = MemoryStore()
    run_id = await begun(define(old), store)

    define(new)
    async with stage(EVICT_ALWAYS, store) as on:
        handle = Handle[Any](run_id)
        await handle.signal("go")
        with pytest.raises(NonDeterminismError) as caught:
            await handle.result()
        status = await handle.status()
        define(old + "\n    # Mended.\n")
        await on.wait_status(handle, "completed")

    error = caught.value
    assert status == "blocked"
    assert recorded in error.what
    assert asked in error.what
    assert recorded in error.recorded  # type: ignore[attr-defined]  # One of its facts.
    assert "order_v1.py:" in error.what
    assert "order_v2.py:" in error.what or "asks for nothing" in asked or "ends before" in asked
    assert f"entry {error.index} " in error.what  # type: ignore[attr-defined]  # One of its facts.
    assert error.why
    assert "ctx.patched" in error.fix


async def test_resume_tries_a_blocked_run_again() -> None:
    """What was wrong need not be the code: told that it is mended, the run goes on from where it was."""
    world = {"name": "first"}

    async def look() -> str:
        return "seen"

    @workflow
    async def careless(ctx: Any) -> list[str]:
        found = [await ctx.step(world["name"], look)]
        await ctx.wait_for_signal("go")
        return [*found, await ctx.step("last", look)]

    async with stage(EVICT_ALWAYS) as on:
        handle = await careless.submit()
        await on.wait_status(handle, "suspended")
        world["name"] = "second"
        await handle.signal("go")
        await on.wait_status(handle, "blocked")
        with pytest.raises(NonDeterminismError):
            await handle.result()
        await handle.resume()
        await on.wait_status(handle, "blocked")
        world["name"] = "first"
        await handle.resume()
        result = await handle.result()

    assert result == ["seen", "seen"]


async def test_a_blocked_run_keeps_what_it_has(define: Define) -> None:
    """Being blocked and tried again neither adds operations to the journal nor takes any away."""
    store = MemoryStore()
    run_id = await begun(define(OLD), store)
    before = await store.journal(run_id)  # type: ignore[arg-type]  # A run's id is its text.

    define("await ctx.step(ship, 1)")
    async with stage(EVICT_ALWAYS, store) as on:
        handle = Handle[Any](run_id)
        await handle.signal("go")
        await on.wait_status(handle, "blocked")
        during = await on.journal(run_id)

    assert [entry.body for entry in during[: len(before)]] == [entry.body for entry in before]
    assert sum(isinstance(entry.body, Outcome) for entry in during) == 2


async def test_arguments_that_differ_are_a_warning(define: Define, caplog: pytest.LogCaptureFixture) -> None:
    """The recorded outcome is used, and the log says so with the line."""
    store = MemoryStore()
    run_id = await begun(define(OLD), store)

    define(OLD.replace("charge, 1", "charge, 99"))
    with caplog.at_level(logging.WARNING):
        async with stage(EVICT_ALWAYS, store):
            handle = Handle[Any](run_id)
            await handle.signal("go")
            result = await handle.result()

    warnings = [record.getMessage() for record in caplog.records if record.name == "agnt5.worker"]
    assert result == ["charged 1", "shipped 2"]
    assert len(warnings) == 1
    assert "step 'charge'" in warnings[0]
    assert "order_v2.py:" in warnings[0]
    assert "other arguments" in warnings[0]


async def test_outcomes_that_nobody_reads_any_more_are_fine(define: Define) -> None:
    """The code may ignore what it asked for: an outcome, a signal, a timer that fired."""
    store = MemoryStore()
    old = """
        both = asyncio.gather(ctx.step(charge), ctx.step(ship))
        async with asyncio.timeout(60):
            await both
        await ctx.wait_for_signal("early")
        await ctx.sleep(0.001)
        await ctx.wait_for_signal("go")
    """
    new = """
        asyncio.gather(ctx.step(charge), ctx.step(ship))
        await asyncio.sleep(0)
        return "quick"
    """
    component = define(old)
    async with stage(EVICT_ALWAYS, store) as on:
        handle = await component.submit()
        await handle.signal("early")
        await on.wait_entries(handle, 5)
        await on.wait_status(handle, "suspended")

    define(new)
    async with stage(EVICT_ALWAYS, store):
        handle = Handle[Any](handle.id)
        await handle.signal("go")
        result = await handle.result()

    assert result == "quick"


PATCHED = """
    a = await ctx.step("new charge" if ctx.patched("charging") else "charge", charge, 1)
    b = await ctx.step(ship, 2)
    await ctx.wait_for_signal("go")
    c = ctx.patched("after") and await ctx.step("new end", ship, 3)
    await ctx.wait_for_signal("stop")
    return [a, b, c, ctx.patched("charging"), ctx.patched("after")]
"""


async def test_patched_keeps_the_old_branch_for_runs_that_had_passed_it(define: Define) -> None:
    """Old runs answer False where they have been, True where they come later, and the same on every replay."""
    store = MemoryStore()
    run_id = await begun(define(OLD), store)

    component = define(PATCHED)
    async with stage(EVICT_ALWAYS, store) as on:
        old, new = Handle[Any](run_id), await component.submit()
        for handle in (old, new):
            await handle.signal("go")
            await on.wait_status(handle, "suspended")
            await handle.signal("stop")
        results = [await old.result(), await new.result()]
        journals = [await on.journal(handle.id) for handle in (old, new)]

    assert results == [
        ["charged 1", "shipped 2", "shipped 3", False, True],
        ["charged 1", "shipped 2", "shipped 3", True, True],
    ]
    recorded = [[entry.body.change_id for entry in journal if isinstance(entry.body, Patched)] for journal in journals]
    assert recorded == [["after"], ["charging", "after"]]


async def test_patched_in_a_loop_stays_what_it_was(define: Define) -> None:
    """A run that took the old branch in the first round takes it in all, also when it is replayed in between."""
    store = MemoryStore()
    body = """
        found = []
        for n in range(4):
            found.append(await ctx.step({name}, charge, n))
            await ctx.wait_for_signal("go")
        return found
    """
    run_id = await begun(define(body.format(name="'old'")), store)

    define(body.format(name="'new' if ctx.patched('loop') else 'old'"))
    async with stage(EVICT_ALWAYS, store) as on:
        handle = Handle[Any](run_id)
        for n in range(4):
            await on.wait_entries(handle, 2 * n + 2)
            await handle.signal("go")
        result = await handle.result()
        journal = await on.journal(run_id)

    assert result == [f"charged {n}" for n in range(4)]
    assert [entry.body.name for entry in journal if isinstance(entry.body, Outcome)] == ["old"] * 4


async def test_patched_is_true_in_a_run_that_has_only_been_sent_something(define: Define) -> None:
    """Signals that came before the run began are no trace of old code."""
    component = define(PATCHED)
    async with stage() as on:
        handle = await component.submit(delay=0.2)
        await handle.signal("go")
        await handle.signal("stop")
        result = await handle.result()
        journal = await on.journal(handle.id)

    assert type(journal[1].body).__name__ == "Signal"
    assert result[3:] == [True, True]
