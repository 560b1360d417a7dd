"""Who is outside: callers, an operator, and who starts the process again; first in disorder, then in order.

While things go wrong callers submit runs, ask again under their keys, send, cancel, retry and fork.
Then the faults end: what programs wait for is sent, and all that was acknowledged must come to its end
within a bounded time.
"""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final

import msgspec

from agnt5 import get_run, send_event
from agnt5.core.model.errors import Agnt5Error, ConflictError, InvalidInput, OutcomeUnknown, StoreError, Unavailable
from agnt5.core.model.run import Run, Status
from agnt5.store.port import RunFilter

from . import programs
from .chaos import Chaos
from .ending import Ending
from .oracle import at_once
from .process import Lost
from .programs import payload_of
from .scene import Scene

SEEDS: Final = 60  # Of programs. Few, so that what each comes to without faults is soon known.
CHAOS_SECONDS: Final = 40.0  # After which no more goes wrong, whether callers are through or not.
HEALED_SECONDS: Final = 200.0  # Within which all ends once the faults are over.
LOOK_SECONDS: Final = 1.0
AGAIN: Final = (Lost, OutcomeUnknown, Unavailable, StoreError)  # Ask again, until somebody answers.
REFUSALS: Final = (ConflictError, InvalidInput)  # Answers, and no faults.


class Outside:
    """Tells the story of one world."""

    def __init__(self, world: Scene, chaos: Chaos, chance: Random) -> None:
        self._world = world
        self._chaos = chaos
        self._chance = chance
        self._signals = 0
        self._doing: list[asyncio.Task[None]] = []
        self.book = Ending(world)

    async def story(self) -> None:
        """From the first start to the last check."""
        world = self._world
        keeper = world.outside.create_task(self._keep())
        raging = world.outside.create_task(self._chaos.rage()) if world.swarm.faults else None
        operator = world.outside.create_task(self._operate())
        callers = [world.outside.create_task(self._submit(n)) for n in range(world.swarm.submissions)]
        await asyncio.wait(callers, timeout=CHAOS_SECONDS)
        await asyncio.sleep(4 * self._chance.random())
        operator.cancel()
        if raging is not None:
            raging.cancel()
        await self._calm_down()
        # What they have asked for may take a while; nothing is asked after that.
        await asyncio.gather(*callers, *self._doing)
        await self._heal()
        self.book.check()
        keeper.cancel()
        world.is_over = True

    async def alone(self, component: Any, seed: int) -> None:
        """One program, in peace."""
        keeper = self._world.outside.create_task(self._keep())
        await asyncio.sleep(0)  # Let it start a process.
        handle = await self._insist(lambda: component.submit(seed, "t"))
        self.book.submitted(handle.id, component.name, None)
        await self._heal()
        self.book.check()
        keeper.cancel()
        self._world.is_over = True

    async def _keep(self) -> None:
        """There is always a process, sooner or later."""
        while True:
            process = self._world.start_process()
            await process.begin()
            await process.over
            if not process.is_dead:
                # Its runtime has stopped, or its store failed: the program ends.
                self._world.kill()
            await asyncio.sleep(self._chance.random() * 0.5)

    async def _insist(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Ask until there is an answer."""
        while True:
            try:
                return await self._world.process.ask(make)
            except AGAIN:
                await asyncio.sleep(0.05 + 0.3 * self._chance.random())

    # While things go wrong

    async def _submit(self, n: int) -> None:
        chance, tag = self._chance, f"t{n}"
        await asyncio.sleep(n * self._world.swarm.every_op * chance.random())
        component = chance.choice(programs.TOPS)
        seed, key = chance.randrange(SEEDS), f"k{n}" if chance.random() < 0.6 else None
        delay = chance.choice([None, None, 0.3])

        async def submit(seed: int = seed) -> str:
            return (await component.submit(seed, tag, idempotency_key=key, delay=delay)).id

        run_id = await self._insist(submit)
        self.book.submitted(run_id, component.name, key)
        if key is not None and chance.random() < 0.5:
            await asyncio.sleep(chance.random())
            self.book.submitted(await self._insist(submit), component.name, key)
            try:
                other = await self._insist(lambda: submit(seed + 1))
            except ConflictError:
                pass
            else:
                self._world.violate("I2", f"key {key} was used with another input, and stands for {other} now")
        if chance.random() < 0.4:
            await self._until_over(run_id)

    async def _until_over(self, run_id: str) -> None:
        async def wait() -> None:
            await get_run(run_id).result(timeout=2.0)

        try:
            await self._world.process.ask(wait)
        except (*AGAIN, *REFUSALS, TimeoutError, LookupError, OSError, Agnt5Error):
            return

    async def _operate(self) -> None:
        """People and programs do things to runs, sensible or not."""
        acts = [self._event, self._event, self._signal, self._signal, self._look, self._look, self._follow]
        acts += [self._spare_event, self._stray_signal, self._cancel, self._retry, self._fork]
        acts += [self._resume, self._resume]
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / self._world.swarm.every_op))
            self._doing.append(self._world.outside.create_task(self._chance.choice(acts)()))

    def _some_run(self) -> str:
        known = at_once(self._world.rows.run_ids("", 1_000))
        return self._chance.choice([*known, "f" * 32] if known and self._chance.random() < 0.9 else ["f" * 32])

    async def _event(self) -> None:
        waited = [event_id for event_id, need in self._world.ledger.events.items() if not need.acked]
        if waited:
            await self._send_event(self._chance.choice(waited))

    async def _send_event(self, event_id: str) -> None:
        payload = payload_of(event_id)
        await self._insist(lambda: send_event(event_id, payload))
        self._world.ledger.events[event_id].acked += 1
        self.book.events[event_id] = msgspec.json.encode(payload)

    async def _spare_event(self) -> None:
        """Nobody waits for it, and others send it with another payload."""
        event_id = f"spare/{self._chance.randrange(5)}"
        payload = {"only": self._chance.randrange(1_000_000)}
        try:
            await self._world.process.ask(lambda: send_event(event_id, payload))
            self.book.events[event_id] = msgspec.json.encode(payload)
        except (*AGAIN, *REFUSALS):
            return

    async def _signal(self) -> None:
        waited = [place for place, need in self._world.ledger.signals.items() if need.acked < need.asked]
        if waited:
            await self._send_signal(*self._chance.choice(waited))

    async def _send_signal(self, run_id: str, name: str) -> None:
        self._signals += 1
        payload = {**payload_of(name), "n": self._signals}
        try:
            await self._world.process.ask(lambda: get_run(run_id).signal(name, payload))
        except (*AGAIN, *REFUSALS, Agnt5Error):
            return
        if name != "stray":
            self._world.ledger.signals[run_id, name].acked += 1
        self.book.signals.append((run_id, msgspec.json.encode(payload)))

    async def _stray_signal(self) -> None:
        await self._send_signal(self._some_run(), "stray")

    async def _look(self) -> None:
        handle = get_run(self._some_run())
        look = self._chance.choice([handle.status, handle.explain, lambda: handle.state.get("kept")])
        try:
            await self._world.process.ask(look)
        except (*AGAIN, Agnt5Error):
            return

    async def _follow(self) -> None:
        run_id = self._some_run()

        async def follow() -> None:
            async with asyncio.timeout(self._chance.random() * 3):
                self.book.followed(run_id, [event async for event in get_run(run_id).events()])

        try:
            await self._world.process.ask(follow)
        except (*AGAIN, TimeoutError, Agnt5Error):
            return

    async def _operator(self, act: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        try:
            return await self._world.process.ask(act)
        except (*AGAIN, *REFUSALS, Agnt5Error):
            return None

    async def _cancel(self) -> None:
        if self._chance.random() < 0.4:
            parents = [run.link.run for run in self._live_runs() if run.link is not None]
            run_id = self._chance.choice(parents) if parents and self._chance.random() < 0.6 else self._some_run()
            self.book.touched.add(run_id)
            if await self._operator(get_run(run_id).cancel) is None and self._world.oracle.run(run_id) is not None:
                self.book.cancelled.add(run_id)

    async def _retry(self) -> None:
        over = at_once(self._world.rows.runs(RunFilter(self._chance.choice([Status.FAILED, Status.CANCELLED]))))
        run_id = self._chance.choice(over).id if over and self._chance.random() < 0.8 else self._some_run()
        take_key = self._chance.random() < 0.5
        self.book.retaken |= take_key
        await self._operator(lambda: get_run(run_id).retry(take_key=take_key))

    async def _fork(self) -> None:
        if self._chance.random() < 0.5:
            run_id, at = self._some_run(), self._chance.randrange(1, 12)
            await self._operator(lambda: get_run(run_id).fork(at=at))

    async def _resume(self) -> None:
        blocked = at_once(self._world.rows.runs(RunFilter(Status.BLOCKED)))
        run_id = blocked[0].id if blocked else self._some_run()
        await self._operator(get_run(run_id).resume)

    # When nothing goes wrong any more

    async def _calm_down(self) -> None:
        self._world.tell("healed")
        await asyncio.sleep(1.0)  # What was set to end by itself has ended by then.
        self._world.faults.end()
        self._world.ledger.slow = 0.0

    async def _heal(self) -> None:
        world = self._world
        deadline = world.outside.time() + HEALED_SECONDS
        while live := self._live_runs():
            if world.outside.time() > deadline:
                self._stuck(live)
                return
            if world.process.session is not None:
                await self._help(live)
            await asyncio.sleep(LOOK_SECONDS)
        for _ in range(5):
            # Whoever it is, it works again.
            assert await self._insist(lambda: programs.plain.run("well")) == "plain well"

    def _live_runs(self) -> list[Run]:
        runs = at_once(self._world.rows.runs(RunFilter(limit=10_000)))
        return [run for run in runs if not run.status.is_terminal]

    async def _help(self, live: list[Run]) -> None:
        """Send what is waited for, and let go on what waits for a human."""
        ledger, ids = self._world.ledger, {run.id for run in live}
        for event_id, need in list(ledger.events.items()):
            if not need.acked:
                await self._send_event(event_id)
        for (run_id, name), need in list(ledger.signals.items()):
            if run_id in ids and need.acked < need.asked:
                await self._send_signal(run_id, name)
        for run in live:
            for wait in run.waiting.on:
                # An attempt that compensated has used up what was sent for it.
                if wait.kind == "signal" and (run.id, wait.name) in ledger.signals:
                    await self._send_signal(run.id, wait.name)
            if run.status is Status.BLOCKED:
                await self._operator(get_run(run.id).resume)
            elif self._is_left_alone(run):
                self.book.touched.add(run.id)
                await self._operator(get_run(run.id).cancel)

    def _is_left_alone(self, run: Run) -> bool:
        """Whether nobody is left who would end it: its parent submitted it, and has ended, or it never had one."""
        if run.component != "sim_child" or (run.link is not None and run.link.called):
            return False
        if run.link is None:
            return True
        parent = self._world.oracle.run(run.link.run)
        return parent is not None and parent.status.is_terminal

    def _stuck(self, live: list[Run]) -> None:
        first = live[-1]
        parent = self._world.oracle.run(first.link.run) if first.link is not None else None
        journal = at_once(self._world.rows.journal(first.id))
        last = [f"{type(entry.body).__name__} {getattr(entry.body, 'name', '')}" for entry in journal[-3:]]
        self._world.violate(
            "I26",
            f"{len(live)} runs don't end, the first of them {first.component} {first.id}: {first.status.value}, "
            f"waits for {first.waiting}, wakes at {first.wake_at}; now is {self._world.clock.now_us()}; lastly {last}; "
            f"child of {parent}",
        )
