"""A runtime removes what is over by itself, and nobody who is at work notices."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from time import monotonic

import pytest

import agnt5
from agnt5 import InvalidInput, Retention, Runtime, UnknownRun, WorkflowContext, function, get_run, workflow
from agnt5.config import retention_of
from agnt5.embedded import Embedded
from agnt5.runtime.retention import FOREVER
from agnt5.sdk import backend
from agnt5.store.port import Store

from .behaviour.world import PATIENCE_SECONDS, TurnedClock
from .conftest import STORES

DAY = 86_400.0  # Seconds.


class Life:
    """A runtime whose clock a test turns.

    Args:
        store: Where its runs are.
    """

    def __init__(self, store: Store) -> None:
        self._clock = TurnedClock()
        self.runtime = Embedded(store, clock=self._clock, retention=Retention())

    async def pass_by(self, days: float) -> None:
        """Let time pass, and be noticed."""
        self._clock.turn(days * DAY)
        await self.poke()

    async def poke(self) -> None:
        """Have the runtime look at its clock, as it does whenever somebody asks it something."""
        with pytest.raises(UnknownRun):
            await get_run("0" * 32).status()

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something holds."""
        deadline = monotonic() + PATIENCE_SECONDS
        while not await condition():
            assert monotonic() < deadline, "what was waited for didn't come"
            await self.poke()

    async def until_gone(self, run_id: str) -> None:
        """Wait until a run is no more, for as many passes as that takes: there is one an hour."""

        async def is_gone_by_now() -> bool:
            self._clock.turn(3_600)
            return await _is_gone(run_id)

        await self.until(is_gone_by_now)


async def _is_gone(run_id: str) -> bool:
    try:
        await get_run(run_id).status()
    except UnknownRun:
        return True
    return False


@pytest.fixture(params=list(STORES))
async def life(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Life]:
    """A runtime over one of the stores."""
    made = Life(STORES[request.param](tmp_path)())
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, made.runtime.start)
    token = backend.choose(made.runtime)
    made.runtime.attach()
    yield made
    backend.unchoose(token)
    made.runtime.detach()
    await loop.run_in_executor(None, made.runtime.stop)


async def test_what_is_over_is_removed_while_the_runtime_serves(life: Life):
    """A completed run goes after a week, a failed one stays; whoever asks for the first is told that it isn't there."""

    @function
    async def double(number: int) -> int:
        return 2 * number

    @function(retries=1)
    async def refuse(number: int) -> int:
        raise ValueError(number)

    done, failed = await double.submit(4), await refuse.submit(4)
    assert await done.result() == 8
    with pytest.raises(ValueError, match="4"):
        await failed.result()

    await life.pass_by(days=6.9)
    await life.poke()
    assert await done.status() == "completed"
    await life.pass_by(days=0.2)
    await life.until_gone(done.id)

    with pytest.raises(UnknownRun, match="no longer retained"):
        await done.result()
    assert await failed.status() == "failed"
    assert await double(5) == 10


async def test_a_parent_gets_what_its_child_came_to_however_late_it_asks(life: Life):
    """The child is kept as long as the parent lives, and goes after it."""

    @function
    async def double(number: int) -> int:
        return 2 * number

    @workflow
    async def patient(ctx: WorkflowContext) -> list[object]:
        child = await double.submit(4)
        await ctx.wait_for_event("go on")
        return [child.id, await child.result()]

    @function
    async def marker() -> None:
        pass

    parent = await patient.submit()
    other = await marker.submit()
    await other.result()
    await life.until(lambda: _is(parent, "suspended"))
    await life.pass_by(days=60)
    await life.until_gone(other.id)

    await agnt5.send_event("go on", None)
    child, result = await parent.result()

    assert result == 8
    await life.pass_by(days=8)
    await life.until_gone(parent.id)
    await life.until_gone(str(child))


async def _is(handle: agnt5.Handle[object], status: str) -> bool:
    return await handle.status() == status


async def test_a_key_stands_for_its_run_until_that_is_removed(life: Life):
    """Within the retention the same run answers; after it the key makes a new one."""

    @function
    async def double(number: int) -> int:
        return 2 * number

    first = await double.submit(4, idempotency_key="order-4")
    await first.result()
    await life.pass_by(days=6.9)
    same = await double.submit(4, idempotency_key="order-4")
    await life.pass_by(days=0.2)
    await life.until_gone(first.id)
    new = await double.submit(5, idempotency_key="order-4")

    assert same.id == first.id
    assert new.id != first.id
    assert await new.result() == 10


async def test_an_event_is_there_for_a_run_that_asks_late(life: Life):
    """What was acknowledged while a run lived is there when it asks, however long that takes."""

    @workflow
    async def late(ctx: WorkflowContext) -> str:
        await ctx.wait_for_signal("ask")
        return await ctx.wait_for_event("paid")

    @function
    async def marker() -> None:
        pass

    run, other = await late.submit(), await marker.submit()
    await agnt5.send_event("paid", "by card")
    await other.result()
    await life.until(lambda: _is(run, "suspended"))
    await life.pass_by(days=200)
    await life.until_gone(other.id)

    await run.signal("ask", None)

    assert await run.result() == "by card"


async def test_a_workflow_that_asks_for_a_removed_run_is_told(life: Life):
    """The handle of a run that it didn't start itself keeps nothing; that error is recorded as any other is."""

    @function
    async def double(number: int) -> int:
        return 2 * number

    @workflow
    async def curious(ctx: WorkflowContext, run_id: str) -> str:
        await ctx.wait_for_event("ask")
        try:
            return str(await get_run(run_id).result())
        except UnknownRun:
            return "gone"

    done = await double.submit(4)
    await done.result()
    asking = await curious.submit(done.id)
    await life.pass_by(days=8)
    await life.until_gone(done.id)

    await agnt5.send_event("ask", None)

    assert await asking.result() == "gone"


async def test_trimming_disturbs_nobody_who_is_at_work(life: Life):
    """While runs end and are removed by the hundred, families, keys and waits come to what they should."""

    @function
    async def double(number: int) -> int:
        return 2 * number

    @workflow
    async def family(ctx: WorkflowContext, number: int) -> int:
        submitted = await double.submit(number)
        called = await asyncio.gather(*(double(number + extra) for extra in range(3)))
        await ctx.step(lambda: None)
        return sum(called) + await submitted.result()

    async def turn() -> None:
        while True:
            await life.pass_by(days=8)

    first = await double.submit(0)
    await first.result()
    turning = asyncio.create_task(turn())
    results = await asyncio.gather(*(family(number) for number in range(60)))
    keyed = await asyncio.gather(*(double.run(number, idempotency_key=str(number)) for number in range(60)))
    turning.cancel()

    assert results == [8 * number + 6 for number in range(60)]
    assert keyed == [2 * number for number in range(60)]
    assert await _is_gone(first.id), "it was being trimmed"


# Settings


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", Retention()),
        ("off", FOREVER),
        ("completed=12h", Retention(completed=12 * 3_600)),
        ("completed=90s, failed=off,events=5m", Retention(completed=90, failed=None, events=300)),
        ("cancelled=1d", Retention(cancelled=DAY)),
    ],
)
def test_the_environment_says_how_long(text: str, meant: Retention):
    """What isn't named is kept as long as without it."""
    assert retention_of({"AGNT5_RETENTION": text}) == meant
    assert retention_of({}) == Retention()


@pytest.mark.parametrize(
    "text", ["on", "7d", "completed", "completed=", "completed=7", "completed=-1d", "running=7d", "events=1w", ",",
             "failed=1d,failed=2d", "completed=²d"]
)  # fmt: skip
def test_what_the_environment_cannot_mean_is_refused(text: str, monkeypatch: pytest.MonkeyPatch):
    """Before anything is opened, with how it is written."""
    monkeypatch.setenv("AGNT5_RETENTION", text)

    with pytest.raises(InvalidInput, match="AGNT5_RETENTION") as refused:
        Runtime()

    assert "completed=7d" in refused.value.fix


async def test_an_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch):
    """It is not even looked at then."""

    @function
    async def double(number: int) -> int:
        return 2 * number

    monkeypatch.setenv("AGNT5_RETENTION", "nonsense")

    async with Runtime(store="memory://", retention=Retention(completed=0)):
        done = await double.submit(4)
        await done.result()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await _is_gone(done.id):  # noqa: ASYNC110  Nothing tells of it.
                await asyncio.sleep(0.01)
