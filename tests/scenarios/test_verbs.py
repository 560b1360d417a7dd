"""Every verb on a run in every state does what it says, or refuses with one of our errors."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from contract.behaviour.world import World, until_status

from agnt5 import ConflictError, InvalidInput, UnknownRun, get_run, workflow
from agnt5.core.model.ids import RunId

STATES = ["queued", "running", "suspended", "blocked", "completed", "failed", "cancelled"]
OVER = {"completed", "failed", "cancelled"}
VERBS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "status": lambda run: run.status(),
    "explain": lambda run: run.explain(),
    "state": lambda run: run.state.get("n"),
    "signal": lambda run: run.signal("word", 1),
    "cancel": lambda run: run.cancel(),
    "resume": lambda run: run.resume(),
    "retry": lambda run: run.retry(),
    "fork": lambda run: run.fork(at=1),
}
# In all other states the verb is refused.
ALLOWED = {
    "status": set(STATES),
    "explain": set(STATES),
    "state": set(STATES),
    "signal": set(STATES) - OVER,
    "cancel": set(STATES),
    "resume": {"blocked"},
    "retry": {"failed", "cancelled"},
    "fork": set(STATES) - {"queued"},
}


async def in_state(state: str) -> Any:
    """A run that is there."""
    started, held = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        started.set()
        await held.wait()

    @workflow(name=f"in_{state}")
    async def body(ctx: Any) -> str:
        await ctx.state.set("n", 1)
        match state:
            case "running":
                await ctx.step(hold)
            case "suspended" | "cancelled":
                await ctx.wait_for_event("never")
            case "blocked":
                # Time that no step has told is no time at all.
                while True:  # noqa: ASYNC110  # It is the mistake that this run is blocked for.
                    await asyncio.sleep(0)
            case "failed":
                raise ValueError("as asked for")
        return "done"

    handle = await body.submit(delay=3600) if state == "queued" else await body.submit()
    if state == "cancelled":
        await until_status(handle, "suspended")
        await handle.cancel()
    if state == "running":
        await started.wait()
    await until_status(handle, state)
    return handle


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_works_or_is_refused_with_a_reason(world: World, verb: str, state: str):
    """D08: no raw exception, no silent success: what can't be done is refused, and nothing changes."""
    handle = await in_state(state)

    if state in ALLOWED[verb]:
        await VERBS[verb](handle)
    else:
        with pytest.raises((ConflictError, InvalidInput)) as refused:
            await VERBS[verb](handle)
        assert refused.value.fix
        assert await handle.status() == state


@pytest.mark.parametrize("verb", VERBS)
async def test_a_run_that_does_not_exist_is_said_to_be_unknown(world: World, verb: str):
    """D08, T25: each verb names the id that nobody knows."""
    nobody = get_run(RunId("f" * 32))

    with pytest.raises(UnknownRun, match="f" * 32):
        await VERBS[verb](nobody)
