"""A workflow with one of everything, and a driver that gives it what it waits for from outside.

    everything.py submit JOURNAL    submit the run, send what it waits for, print its result
    everything.py resume JOURNAL    submit nothing: whatever is in the journal goes on by itself

What the runtime has acknowledged is noted outside, and not sent again by the next process: were it
lost, the run would wait for ever.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import NamedTuple

from deadly import EFFECTS, effect, note

import agnt5
from agnt5 import DurableContext, RetryPolicy, Runtime, workflow
from agnt5.core.journal.entry import Signal
from agnt5.store.port import RunFilter
from agnt5.store.sqlite.reader import SqliteReader

WAIT_SECONDS = 30.0  # For the result; a run that takes longer has lost something.
QUICK = RetryPolicy(max_attempts=4, initial_interval=0.01, jitter=0)


def charge(order: str) -> str:
    effect("charge 1")
    return f"paid {order}"


async def flaky(ctx: DurableContext, order: str) -> int:
    effect(f"flaky {ctx.attempt}")
    if ctx.attempt < 3:
        raise ConnectionError(f"attempt {ctx.attempt}")
    return ctx.attempt


async def fetch(part: int) -> int:
    effect(f"fetch-{part} 1")
    # So that each has a commit of its own, and not all three share one.
    await asyncio.sleep(part * 0.005)
    return part * part


async def audit(order: str, token: str) -> str:
    effect("audit 1")
    return f"audited {order} {token}"


def pack(order: str) -> str:
    effect("pack 1")
    return f"packed {order}"


async def ship(order: str) -> str:
    effect("ship 1")
    return f"shipped {order}"


@workflow
async def deliver(ctx: DurableContext, order: str) -> list[str]:
    """The child: two steps with a pause between them."""
    packed = await ctx.step(pack, order)
    await ctx.sleep(0.01)
    return [packed, await ctx.step(ship, order)]


@workflow
async def everything(ctx: DurableContext, order: str) -> dict[str, object]:
    """One of everything that a body can ask for."""
    token, begun = str(ctx.uuid4()), ctx.now()
    paid = await ctx.step(charge, order)
    attempts = await ctx.step.options(retries=QUICK)(flaky, order)
    await ctx.state.set("paid", paid)
    squares = await ctx.spawn([(f"fetch-{part}", fetch, part) for part in range(3)])
    await ctx.sleep(0.02)
    approval = await ctx.wait_for_event(f"approval:{order}")
    word = await ctx.wait_for_signal("go")
    try:
        async with asyncio.timeout(0.02):
            await ctx.wait_for_event("never")
    except TimeoutError:
        is_late = True
    delivered, audited = await asyncio.gather(deliver(order), ctx.step(audit, order, token))
    await ctx.state.set("delivered", delivered)
    await agnt5.send_event(f"done:{order}", paid)
    return {
        "paid": await ctx.state.get("paid"),
        "attempts": attempts,
        "squares": squares,
        "approval": approval,
        "word": word,
        "is_late": is_late,
        "delivered": delivered,
        # Drawn again on every replay, and each time the same.
        "audited": audited.removesuffix(token),
        "is_later": ctx.now() > begun,
    }


class Known(NamedTuple):
    """What the journal holds before this process opens it."""

    run_id: str
    has_signal: bool


async def drive(mode: str, journal: str) -> None:
    """See the run through, from wherever it is."""
    known = await known_in(journal) if mode == "resume" else None
    if mode == "resume" and known is None:
        return
    is_told = acknowledged()
    async with Runtime(store=f"sqlite:///{journal}"):
        if known is None:
            handle = await everything.submit("o-1")
            note(f"acknowledged run {handle.id}")
        else:
            handle = agnt5.get_run(known.run_id)
        if "event" not in is_told:
            await agnt5.send_event("approval:o-1", {"by": "ann"})
            note("acknowledged event")
        # Signals have no key: whoever sends one and hears nothing has to look.
        if "signal" not in is_told and (known is None or not known.has_signal):
            await handle.signal("go", "now")
            note("acknowledged signal")
        print(json.dumps(await handle.result(timeout=WAIT_SECONDS), sort_keys=True))


def acknowledged() -> set[str]:
    """What earlier processes were told is safe."""
    lines = Path(EFFECTS).read_text().splitlines() if Path(EFFECTS).exists() else []
    return {line.split()[1] for line in lines if line.startswith("acknowledged ")}


async def known_in(journal: str) -> Known | None:
    """The run that the journal holds, if it holds one."""
    reader = SqliteReader(Path(journal))
    await reader.open_read_only()
    try:
        runs = await reader.runs(RunFilter(component="everything"))
        assert len(runs) <= 1, f"submitted once, and in the journal {len(runs)} times"
        if not runs:
            return None
        entries = await reader.journal(runs[0].id)
        return Known(runs[0].id, any(isinstance(entry.body, Signal) for entry in entries))
    finally:
        await reader.close()


if __name__ == "__main__":
    asyncio.run(drive(*sys.argv[1:]))
