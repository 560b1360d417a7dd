"""What the simulator has found, each as a plain story that doesn't depend on a seed."""

import asyncio
from typing import Any

import pytest
from contract.replay.parts import work
from contract.replay.recording import stage
from unit.core.engine import asks
from unit.core.engine.driver import SECOND, Driver, now_or_never

from agnt5 import WorkflowContext, workflow
from agnt5.core.engine import run as run_module
from agnt5.core.engine.commands import Cancel, Recover
from agnt5.core.engine.state import State
from agnt5.core.journal.entry import Fired
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Status
from agnt5.sdk.schema import Schema
from agnt5.worker.attempt import Attempt


async def test_a_call_given_up_as_the_body_ends_is_cancelled() -> None:
    """A body that stops waiting for a child, and returns in the same breath, leaves no child behind."""

    @workflow
    async def hanging(ctx: WorkflowContext) -> None:
        await ctx.wait_for_event("never")

    @workflow
    async def impatient(ctx: WorkflowContext) -> None:
        call = asyncio.create_task(hanging())
        await ctx.step(work, "short", 20)
        call.cancel()

    async with stage() as on:
        handle = await impatient.submit()
        await handle.result()
        (child,) = await on.store.children(RunId(handle.id))

        async def is_cancelled() -> bool:
            run = await on.store.run(child.id)
            return run is not None and run.status is Status.CANCELLED

        await on.wait_until(is_cancelled)


def test_a_run_without_room_in_the_queue_is_one_object_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart that takes up more runs than the queue holds, and a cancel of one of them at once, lose none."""
    driver = Driver()
    driver.hello("w", "checkout")
    driver.submit()
    second = driver.submit()
    monkeypatch.setattr(run_module, "READY_MAX", 1)
    driver.state = State()
    runs = now_or_never(driver.store.running(None, 10))

    driver.turn(Recover(tuple(runs)), Cancel(driver.token(), second))

    assert driver.stored(second).status is Status.QUEUED
    assert driver.stored(second).is_cancel_requested


def test_a_signal_after_the_clock_was_put_back_fires_a_timer_once() -> None:
    """What the journal's time has reached is due: it is fired, wakes the run, and isn't fired again later."""
    driver = Driver()
    driver.hello("w", "checkout")
    run_id = driver.submit()
    driver.now += SECOND
    driver.report(run_id, asks.step(0))
    driver.report(run_id, asks.park((driver.now, 0)))
    driver.goodbye("w")
    driver.now -= SECOND // 2

    driver.signal(run_id, "news")

    assert driver.status(run_id) is Status.QUEUED
    driver.pass_time(2)
    assert len(driver.bodies(run_id, Fired)) == 1


def test_a_plain_step_that_was_given_up_before_a_thread_was_free_never_begins() -> None:
    """What nobody wants any more isn't executed, also where it has waited for its turn."""
    waiting: list[Any] = []
    called: list[str] = []

    class Busy:
        """Threads that are all at work."""

        def submit(self, fn: Any, *args: Any) -> None:
            waiting.append((fn, args))

    def plain() -> None:
        called.append("plain")

    loop = asyncio.new_event_loop()
    attempt = Attempt(loop, Busy(), "step 'plain'", lambda result, error: None)  # type: ignore[arg-type]
    schema = Schema(plain, lambda *_: False, {})
    attempt.start(plain, schema, schema.write(schema.bind((), {}, "plain")), None, None, None)
    assert waiting, "it is to run in a thread"

    attempt.forget()
    for fn, args in waiting:
        fn(*args)

    assert called == []
    loop.close()
