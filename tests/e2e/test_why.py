"""Why a run isn't progressing: asked of its handle, and of its journal with or without a process."""

import asyncio
import json
import os
import re
from pathlib import Path
from textwrap import dedent

import processes
import pytest
from click.testing import Result
from commands import END_SECONDS, agnt5_in_process, exit_code, in_runtime, live_run, until_suspended

import agnt5
from agnt5 import (
    FunctionContext,
    Handle,
    RetryPolicy,
    Runtime,
    WorkerSettings,
    WorkflowContext,
    function,
    get_run,
    workflow,
)
from agnt5.cli.exits import Exit
from agnt5.cli.holder import holder_of
from agnt5.sdk.backend import Explanation
from agnt5.sdk.registry import REGISTRY

AT = r", at [-\d: ]+ UTC"
HERE = r"\(test_why\.py:\d+\)"
NO_PROCESS = r"; no process has the journal: it goes on in the next one that has '\w+'"


async def explained(handle: Handle[object], part: str) -> Explanation:
    """What is said of the run, as soon as this is a part of it."""
    said = await handle.explain()
    async with asyncio.timeout(END_SECONDS):
        while part not in said:
            await asyncio.sleep(0.005)
            said = await handle.explain()
    return said


async def read_beside(run_id: str, part: str) -> str:
    """What the command says beside this process, as soon as this is a part of it: short waits aren't written down."""
    async with asyncio.timeout(END_SECONDS):
        while part not in (said := await asyncio.to_thread(why, run_id)):  # noqa: ASYNC110  Nothing tells when.
            await asyncio.sleep(0.05)
    return said


def why(run_id: str) -> str:
    """What the command says of the run."""
    result: Result = agnt5_in_process("runs", "why", run_id)
    assert exit_code(result) == Exit.OK, result.stderr
    [sentence] = result.stdout.splitlines()
    return sentence


# At work


async def test_a_step_that_takes_long_is_named():
    """Which step, since when, and at which line it was asked for."""
    release = asyncio.Event()

    async def slow() -> None:
        await release.wait()

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        await ctx.step(slow)

    async with Runtime():
        handle = await flow.submit()
        said = await explained(handle, "running step")
        release.set()
        await handle.result(timeout=END_SECONDS)

    assert re.fullmatch(rf"running step 'slow' since \d+\.\d s {HERE}", said)
    assert said.status == "running"
    assert said.facts["doing"][0]["step"] == "slow"


async def test_a_step_between_attempts_is_told_with_its_error():
    """Which attempt comes, in how many seconds, and what the last one raised; the journal says the same."""

    async def flaky() -> None:
        raise ConnectionError("no answer")

    @workflow
    async def flow(ctx: WorkflowContext) -> None:
        patient = RetryPolicy(initial_interval=3600, max_interval=3600, jitter=0)
        await ctx.step.options(retries=patient)(flaky)

    async with Runtime():
        handle = await flow.submit()
        said = await explained(handle, "attempt 2")
        beside = await read_beside(handle.id, "attempt 2")

    told = rf"attempt 2 of step 'flaky' in 3\d\d\d\.\d s{AT} {HERE} because ConnectionError: no answer"
    assert re.search(told, said)
    assert re.search(told, beside)
    assert said.facts["error"] == "ConnectionError: no answer"


async def test_a_run_in_the_queue_says_how_many_are_before_it():
    """A worker that is full gives its room to those that came first."""
    release = asyncio.Event()

    @function
    async def work() -> None:
        await release.wait()

    async with Runtime(settings=WorkerSettings(capacity=1)):
        handles = [await work.submit() for _ in range(4)]
        sentences = [str(await handle.explain()) for handle in handles]
        release.set()
        for handle in handles:
            await handle.result(timeout=END_SECONDS)

    assert sentences[0].startswith("running its attempt 1")
    assert [sentence.partition(" UTC ")[2] for sentence in sentences[1:]] == [
        "for a worker that has room",
        "behind 1 run of 'work'",
        "behind 2 runs of 'work'",
    ]


# Waiting for others


async def test_the_innermost_of_runs_that_wait_for_each_other_is_named():
    """Whoever asks about the order is told that the parcel waits for its label."""

    @workflow
    async def parcel(ctx: WorkflowContext) -> None:
        await ctx.wait_for_event("label")

    @workflow
    async def shipping(ctx: WorkflowContext) -> None:
        await parcel()

    @workflow
    async def order(ctx: WorkflowContext) -> None:
        await shipping()

    async with Runtime():
        handle = await order.submit()
        said = await explained(handle, "event label")
        beside = await read_beside(handle.id, "event label")

    told = rf"for child run [0-9a-f]{{32}} of 'shipping' {HERE}; 1 more down, run [0-9a-f]{{32}} of 'parcel' is waiting"
    assert re.search(told, said)
    assert re.search(told, beside)
    assert said.endswith(said.facts["innermost"]["why"])


async def test_a_child_whose_component_nobody_has_is_the_cause():
    """The parent waits for something that can't begin."""
    with REGISTRY.isolated():

        @workflow
        async def absent(ctx: WorkflowContext) -> None: ...

        missing = absent

    @workflow
    async def order(ctx: WorkflowContext) -> None:
        await missing()

    async with Runtime():
        handle = await order.submit()
        said = await explained(handle, "no worker registers")

    assert "that run is queued since" in said
    assert said.endswith("no worker registers component 'absent': import the module that defines it")


async def test_a_function_that_awaits_a_child_names_it():
    """It isn't written down as waiting, and its journal knows the child."""

    @workflow
    async def parcel(ctx: WorkflowContext) -> None:
        await ctx.wait_for_event("label")

    @function
    async def order(ctx: FunctionContext) -> None:
        await parcel()

    async with Runtime():
        handle = await order.submit()
        said = await explained(handle, "event label")

    assert re.search(r"waiting.* for child run [0-9a-f]{32} of 'parcel'", said)


# Without the process


def test_a_run_that_sleeps_says_until_when_and_that_no_process_has_it():
    """Its timer is in the journal, and nobody is there to see it fire."""

    @workflow
    async def nap(ctx: WorkflowContext) -> None:
        await ctx.sleep(3600)

    async def begin() -> str:
        handle = await nap.submit()
        await until_suspended(handle)
        return handle.id

    sentence = why(in_runtime(begin))

    asleep = rf"waiting since [-\d: ]+ UTC for the end of a sleep in 3\d+\.\d s{AT} {HERE}"
    assert re.fullmatch(asleep + NO_PROCESS, sentence)


def test_a_run_blocked_by_changed_code_names_both_lines():
    """The entry, what was recorded and what is asked for, each with its line."""

    async def begin() -> str:
        with REGISTRY.isolated():

            @workflow(name="order")
            async def before(ctx: WorkflowContext) -> None:
                await ctx.step("charge", str, 1)
                await ctx.wait_for_signal("go")

            handle = await before.submit()
            await until_suspended(handle)
            return handle.id

    async def go_on(run_id: str) -> None:
        @workflow(name="order")
        async def after(ctx: WorkflowContext) -> None:
            await ctx.step("refund", str, 1)
            await ctx.wait_for_signal("go")

        await get_run(run_id).signal("go")
        with pytest.raises(agnt5.NonDeterminismError):
            await get_run(run_id).result(timeout=END_SECONDS)

    run_id = in_runtime(begin)
    in_runtime(lambda: go_on(run_id))

    sentence = why(run_id)

    assert re.fullmatch(
        rf"blocked by non-determinism: entry 1 was recorded as step 'charge' {HERE}, "
        rf"but the code now asks for step 'refund' {HERE}",
        sentence,
    )


AT_WORK = """
    import asyncio, pathlib, sys
    from agnt5 import WorkflowContext, workflow


    async def work(folder: str) -> None:
        pathlib.Path(folder, "began").touch()
        await asyncio.Event().wait()


    @workflow
    async def order(ctx: WorkflowContext, folder: str) -> None:
        await ctx.step("first", str, 1)
        await ctx.step(work, folder)
"""


def test_a_killed_process_is_part_of_the_answer(tmp_path: Path):
    """While it lives it is named by its pid; when it is gone, the run was cut short."""
    app = tmp_path / "app.py"
    app.write_text(dedent(AT_WORK))

    with live_run(f"{app}:order", "--input", json.dumps([str(tmp_path)])) as (process, run_id):
        processes.wait_for_file(tmp_path / "began", process)
        alive = why(run_id)
        process.kill()
        process.wait(END_SECONDS)
        gone = why(run_id)

    last = r"; the last that it did is step 'first' \(app\.py:13\), \d+\.\d s ago"
    running = r"running its attempt 1 since [-\d: ]+ UTC"
    assert re.fullmatch(rf"{running}{last}; process {process.pid} has the journal", alive)
    assert re.fullmatch(rf"cut short in its attempt 1{last}{NO_PROCESS}", gone)


def test_a_run_that_is_over_says_how():
    """With its error, and without a word about processes."""

    @function(retries=1)
    async def refuse() -> None:
        raise ValueError("no such item\nreally")

    async def begin() -> str:
        handle = await refuse.submit()
        with pytest.raises(ValueError, match="no such item"):
            await handle.result()
        return handle.id

    assert re.fullmatch(r"failed \d+\.\d s ago: ValueError: no such item", why(in_runtime(begin)))


def test_why_as_json_has_the_facts():
    """For programs: the sentence and what it was made of."""

    @workflow
    async def wait(ctx: WorkflowContext) -> None:
        await ctx.wait_for_event("paid")

    async def begin() -> str:
        handle = await wait.submit()
        await until_suspended(handle)
        return handle.id

    run_id = in_runtime(begin)

    document = json.loads(agnt5_in_process("runs", "why", run_id[:20], "--json").stdout)

    assert (document["id"], document["status"], document["component"]) == (run_id, "suspended", "wait")
    assert document["why"] == why(run_id)
    assert document["facts"]["process"] is None
    assert re.fullmatch(rf"event paid {HERE}", document["facts"]["waiting_for"][0])


def test_an_unknown_run_is_no_riddle():
    """Exit code 5, as everywhere."""
    in_runtime(lambda: asyncio.sleep(0))

    assert exit_code(agnt5_in_process("runs", "why", "ffff")) == Exit.UNKNOWN


# Who has the journal


async def test_the_holder_of_a_journal_is_found_and_not_disturbed(tmp_path: Path):
    """None before, this process meanwhile, none after; looking takes nothing away."""
    journal = tmp_path / "home" / "journal.db"
    link = tmp_path / "link.db"
    link.symlink_to(journal)

    before = holder_of(journal)
    async with Runtime(store=f"sqlite:///{journal}"):
        meanwhile = holder_of(journal), holder_of(link), holder_of(journal)
    after = holder_of(journal)

    assert (before, meanwhile, after) == (0, (os.getpid(),) * 3, 0)


def test_a_lock_that_cannot_be_looked_at_tells_nothing(tmp_path: Path):
    """Then it isn't claimed that no process has the journal."""
    (tmp_path / "other.db.lock").symlink_to(tmp_path / "other.db.lock")

    assert holder_of(tmp_path / "other.db") is None
