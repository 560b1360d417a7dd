"""`crash_everywhere` goes red on mistakes that replay can't bear, and lets pass those that are harmless here."""

import asyncio
import time
from typing import Any

import pytest

from agnt5 import InvalidInput, Workflow, WorkflowContext, workflow
from agnt5.testing import CrashTestFailed, Waiting, crash_everywhere

from . import planted

SOON_SECONDS = 3_000.0
MISTAKES = [
    pytest.param(planted.time_as_argument, (), "step 'echo'", id="the time as an argument"),
    pytest.param(planted.time_as_result, (), "the end of the run", id="the time as the result"),
    pytest.param(planted.time_as_state, (), "state 'began'", id="the time in the state"),
    pytest.param(planted.date_as_argument, (), "step 'echo'", id="the date as an argument"),
    pytest.param(planted.branch_on_the_date, (time.time() + SOON_SECONDS,), "step 'too late'", id="a deadline"),
    pytest.param(planted.branch_on_what_has_passed, (), "step 'slow'", id="a stopwatch"),
    pytest.param(planted.chance_as_argument, (), "step 'echo'", id="chance as an argument"),
    pytest.param(planted.chance_as_branch, (), "echo", id="chance as a branch"),
    pytest.param(planted.fresh_uuid, (), "the end of the run", id="a UUID as the result"),
    pytest.param(planted.global_counter, (), "step 'echo'", id="a global counter"),
    pytest.param(planted.global_list, (), "the end of the run", id="a global list"),
]


@pytest.mark.parametrize(("mistake", "args", "named"), MISTAKES)
async def test_a_body_that_differs_from_life_to_life_is_found_out(
    mistake: Workflow[Any, Any], args: tuple[Any, ...], named: str
) -> None:
    """The failure names the place and the operation, and the line of the code where there is one."""
    with pytest.raises(CrashTestFailed) as failed:
        await crash_everywhere(mistake, *args, hash_seeds=0)

    assert named in failed.value.what
    assert "replayed from the first" in failed.value.place
    assert mistake.name in failed.value.place
    assert "Fix: " in str(failed.value)
    assert isinstance(failed.value, AssertionError)


async def test_the_order_of_a_set_is_found_out_in_other_processes() -> None:
    """Strings hash differently in each process, so a set of them is walked in another order after a real crash."""
    with pytest.raises(CrashTestFailed, match="sorted") as failed:
        await crash_everywhere(planted.set_of_strings)

    assert "other hashes" in failed.value.place
    assert "step 'echo'" in failed.value.what


async def test_a_sorted_set_passes_in_other_processes() -> None:
    """What the failure says to do helps."""
    report = await crash_everywhere(planted.sorted_set)

    assert report.processes > 0


async def test_a_workflow_inside_a_function_is_not_replayed_elsewhere_and_one_is_told() -> None:
    """Another process can't import it: that is said, and an error where it was asked for."""

    @workflow
    async def local(ctx: WorkflowContext) -> int:
        return await ctx.step(planted.echo, 1)

    with pytest.warns(UserWarning, match="inside of a function"):
        report = await crash_everywhere(local)
    with pytest.raises(InvalidInput, match="inside of a function"):
        await crash_everywhere(local, hash_seeds=2)

    assert report.processes == 0


@pytest.mark.parametrize("harmless", [planted.changed_result, planted.changed_argument, planted.hushed])
async def test_mistakes_that_agnt5_makes_harmless_pass(harmless: Workflow[Any, Any]) -> None:
    """Results and arguments are copies that a body may change; one that catches everything asks for nothing more."""
    report = await crash_everywhere(harmless, hash_seeds=0)

    assert report.error is None
    assert "changed" not in planted.SHARED


async def test_a_body_that_is_deaf_to_its_cancel_is_found_out() -> None:
    """It swallows the CancelledError and waits on: a cancel is delivered once, so the run never ends."""
    cancels = []

    async def cancel_once(waiting: Waiting) -> None:
        if not cancels:
            cancels.append(waiting.name)
            await waiting.cancel()

    with pytest.raises(CrashTestFailed, match="waits for signal 'go', which nobody sends"):
        await crash_everywhere(planted.deaf, outside=cancel_once, hash_seeds=0)

    assert cancels == ["go"]


async def test_an_event_that_nobody_sends_is_named() -> None:
    """The run would wait for ever; the failure says for what, and how to send it."""
    with pytest.raises(CrashTestFailed, match=r"event 'go', which nobody sends\n  Fix: pass outside="):
        await crash_everywhere(planted.never_told, hash_seeds=0)


async def test_a_run_without_an_end_is_given_up() -> None:
    """Time could be turned for ever."""
    with pytest.raises(CrashTestFailed, match="still going after 50 timers"):
        await crash_everywhere(planted.endless, turns_max=50, hash_seeds=0)


async def test_a_step_that_doesnt_end_is_named() -> None:
    """Real time is up at some point."""

    @workflow
    async def stuck(ctx: WorkflowContext) -> None:
        await ctx.step("hanging", asyncio.Event().wait)

    with pytest.raises(CrashTestFailed, match="'hanging' still at work"):
        await crash_everywhere(stuck, patience=0.05, hash_seeds=0)


async def test_a_difference_after_a_crash_names_the_append_and_what_was_written() -> None:
    """What differs only where a step was cut short is found there, and the step is named."""
    calls: list[int] = []

    async def count() -> int:
        calls.append(1)
        return len(calls)

    @workflow
    async def counted(ctx: WorkflowContext) -> int:
        if not ctx.is_replaying:
            calls.clear()
        await ctx.step("first", planted.echo, 0)
        return await ctx.step("counting", count)

    with pytest.raises(CrashTestFailed) as failed:
        await crash_everywhere(counted, hash_seeds=0)

    assert failed.value.place.startswith("killed right before append 3 (the outcome of step 'counting'")
    assert failed.value.what == "it returned 2, but undisturbed it returned 1"
