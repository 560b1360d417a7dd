"""A random walk through what callers, workers and the clock may tell the engine, sensible or not."""

from collections import Counter, defaultdict
from random import Random
from typing import Any

from msgspec import Raw

from agnt5.core.engine.commands import Cancel, Command, ForkRun, Resume, RetryRun, SendEvent, SendSignal, Sweep
from agnt5.core.engine.effects import Effect, Tell
from agnt5.core.journal.entry import Kind, Outcome, Patched, Signal, Started
from agnt5.core.model.ids import RunId, WorkerId
from agnt5.core.model.run import Status, Timer
from agnt5.core.protocol.messages import (
    Abandon,
    Ask,
    AwaitEvent,
    AwaitRun,
    Block,
    ComponentInfo,
    Fire,
    Heartbeat,
    Refuse,
    Register,
    Release,
    Report,
)
from unit.core.engine import asks
from unit.core.engine.driver import SECOND, Driver

COMPONENTS = ("a", "b")
NOBODY = RunId("f" * 32)
OLD_MESSAGES_MAX = 50


class Walk:
    """Tells an engine things, and knows what must come of them.

    Attributes:
        accepted: How often each kind of thing was taken.
        refused: How often it was not.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.engine = Driver()
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.runs: list[RunId] = []
        self.keys: dict[tuple[str, str], RunId] = {}
        self.events: dict[str, bytes] = {}
        self.signals: dict[RunId, list[Signal]] = defaultdict(list)
        self.old: list[Report] = []
        self.open: dict[RunId, list[AwaitEvent | AwaitRun]] = defaultdict(list)
        self._asked: set[tuple[RunId, str, int]] = set()  # What was asked, in which claim of which run.
        self._ops = 0
        self._workers = 0

    def step(self) -> None:
        """Do one thing."""
        acts = (
            [self._report] * 8
            + [self._client] * 6
            + [self._stale] * 2
            + [self._worker_comes, self._worker_goes, self._time, self._batch]
        )
        self.random.choice(acts)()
        if self.random.random() < 0.01:
            self.engine.restart(is_suspect=self.random.random() < 0.3)
            self.accepted["Recover"] += 1

    # Callers

    def _client(self) -> None:
        self._note(*self._command())

    def _command(self) -> tuple[Command, dict[str, Any]]:
        make = self.random.choice(
            [self._submit, self._submit, self._event, self._signal, self._cancel, self._resume, self._retry, self._fork]
        )
        return make()

    def _note(self, command: Command, said: dict[str, Any]) -> None:
        answer = self.engine.ask(command)
        self._learn(command, said, answer)

    def _learn(self, command: Command, said: dict[str, Any], answer: Any) -> None:
        """Compare the answer with what it must be, and remember what follows from it."""
        counter = self.refused if isinstance(answer, Exception) else self.accepted
        counter[type(command).__name__] += 1
        if isinstance(answer, Exception):
            return
        if "place" in said:
            expected = self.keys.setdefault(said["place"], answer.run_id)
            assert answer.run_id == expected, "a key stands for one run"
        if getattr(answer, "is_new", False):
            self.runs.append(answer.run_id)
        if isinstance(command, SendEvent):
            first = self.events.setdefault(command.event_id, bytes(command.payload))
            assert first == bytes(command.payload), "the first payload wins"
        if isinstance(command, SendSignal):
            self.signals[command.run_id].append(Signal(command.name, command.payload))
        if isinstance(command, RetryRun) and command.take_key:
            run = self.engine.run(command.run_id)
            if run.idempotency_key:
                self.keys[run.component, run.idempotency_key] = answer.run_id

    def _submit(self) -> tuple[Command, dict[str, Any]]:
        component = self.random.choice(COMPONENTS)
        options: dict[str, Any] = {"idempotent": self.random.random() < 0.9}
        said = {}
        if self.random.random() < 0.4:
            key, digest = self.random.choice("xyz"), self.random.choice("dddde")
            options |= {"idempotency_key": key, "input_digest": digest}
            said = {"place": (component, key)}
        if self.random.random() < 0.2:
            options["start_at"] = self.engine.now + self.random.randrange(5 * SECOND)
        return self.engine.submission(component, **options), said

    def _some_run(self) -> RunId:
        return self.random.choice([*self.runs[-12:], NOBODY])

    def _payload(self) -> Raw:
        return Raw(self.random.choice([b"1", b"1", b"2"]))

    def _event(self) -> tuple[Command, dict[str, Any]]:
        return SendEvent(self.engine.token(), f"e{self.random.randrange(30)}", self._payload()), {}

    def _signal(self) -> tuple[Command, dict[str, Any]]:
        return SendSignal(self.engine.token(), self._some_run(), self.random.choice("st"), self._payload()), {}

    def _cancel(self) -> tuple[Command, dict[str, Any]]:
        return Cancel(self.engine.token(), self._some_run()), {}

    def _resume(self) -> tuple[Command, dict[str, Any]]:
        return Resume(self.engine.token(), self._some_run()), {}

    def _retry(self) -> tuple[Command, dict[str, Any]]:
        take_key = self.random.random() < 0.5
        return RetryRun(self.engine.token(), self._some_run(), self.engine.new_id(), take_key), {}

    def _fork(self) -> tuple[Command, dict[str, Any]]:
        return ForkRun(self.engine.token(), self._some_run(), self.engine.new_id(), self.random.randrange(6)), {}

    # Workers

    def _held_runs(self) -> list[RunId]:
        return [run.id for run in self.engine.state.runs.values() if run.worker is not None]

    def _report(self) -> None:
        message = self._message()
        if message is not None:
            refused = self._is_refused(message, self.engine.turn(message))
            assert not refused or message.is_ahead, "what the holder of a run says is taken"
            self._count(message, refused)

    def _message(self) -> Report | None:
        held = self._held_runs()
        if not held:
            return None
        run_id = self.random.choice(held)
        messages = [self._ask(run_id) for _ in range(self.random.choice([1, 1, 2, 3]))]
        # What is asked for again after a crash is asked for before anything new.
        messages.sort(key=lambda ask: getattr(ask, "op", self._ops))
        last = self._last_ask(run_id)
        message = self.engine.message(run_id, *messages, *([last] if last is not None else []))
        self.old = [*self.old[-OLD_MESSAGES_MAX:], message]
        return message

    def _ask(self, run_id: RunId) -> Ask:
        """Something after which the run goes on."""
        answered = {body.key for body in self.engine.bodies(run_id, Outcome)}  # type: ignore[union-attr]
        self.open[run_id] = [ask for ask in self.open[run_id] if ask.key not in answered]
        epoch = self.engine.run(run_id).epoch
        again = [ask for ask in self.open[run_id] if (run_id, ask.key, epoch) not in self._asked]
        if again and self.random.random() < 0.3:
            # As after a crash: asked for again at the same place, once.
            self._asked.add((run_id, again[0].key, epoch))
            return again[0]
        self._ops += 1
        op, now = self._ops, self.engine.now
        child = RunId(f"c{op:031x}")
        waits: list[AwaitEvent | AwaitRun] = [
            asks.await_event(op, f"e{self.random.randrange(30)}"),
            asks.await_run(op, self._some_run()),
        ]
        simple: list[Ask] = [
            asks.step(op),
            asks.retrying(op, now),
            asks.begun(op),
            Patched(f"p{op}"),
            Heartbeat(asks.key(op), 1, Raw(b"1")),
            Fire(Timer(now, op)),
            Abandon(self._some_run()),
            asks.call(op, child, self.random.choice(COMPONENTS)),
            asks.submit(op, child, self.random.choice(COMPONENTS)),
            asks.send(op, "event", f"e{self.random.randrange(30)}", payload=bytes(self._payload())),
            asks.send(op, "cancel", self._some_run()),
        ]
        chosen = self.random.choice([*simple, *waits])
        if isinstance(chosen, AwaitEvent | AwaitRun):
            self.open[run_id].append(chosen)
            self._asked.add((run_id, chosen.key, epoch))
        return chosen

    def _last_ask(self, run_id: RunId) -> Ask | None:
        """Something after which the worker may have the run no more, or nothing."""
        later = self.engine.now + self.random.randrange(3 * SECOND)
        parks = [asks.park((later, self._ops), (later + 1, -1)), asks.park(on=(("signal", "s"),))]
        if int(run_id, 16) % 3 == 0:
            # Runs of functions wait in no other way, and others never so.
            parks = [asks.park(is_open=True)]
        chosen: Ask | None = self.random.choice(
            [
                *[None] * 6,
                *parks * 2,
                Release(),
                Block(asks.BROKEN),
                asks.completed(),
                asks.failed(compensated=self.random.random() < 0.5),
                asks.again(later, compensated=self.random.random() < 0.5),
                asks.continue_as(consumed={"s": self.random.randrange(2)}),
            ]
        )
        if chosen is not None and type(chosen).__name__ in ("Again", "ContinueAs"):
            self.open[run_id] = []
        return chosen

    def _count(self, message: Report, refused: bool) -> None:
        for ask in message.asks:
            name = f"{type(ask).__name__}.{ask.kind}" if isinstance(ask, AwaitRun) else type(ask).__name__
            (self.refused if refused else self.accepted)[name] += 1

    def _is_refused(self, message: Report, effects: list[Effect]) -> bool:
        return Tell(message.worker, Refuse(message.run_id, message.epoch)) in effects

    def _stale(self) -> None:
        """Something said before, or by somebody who isn't the holder: it changes nothing at all."""
        if not self.old:
            return
        message = self.random.choice(self.old)
        run = self.engine.state.runs.get(message.run_id)
        if run is not None and (run.worker, run.epoch) == (message.worker, message.epoch):
            stranger = self.random.choice([message.worker, WorkerId("stranger")])
            message = Report(stranger, message.run_id, 99, message.seen, message.asks)
        before = self.engine.journal(message.run_id)

        effects = self.engine.turn(message)

        assert effects[0] == Tell(message.worker, Refuse(message.run_id, message.epoch))
        assert self.engine.journal(message.run_id) == before
        self._count(message, refused=True)

    def _worker_comes(self) -> None:
        self._workers += 1
        worker = WorkerId(f"w{self._workers}")
        code = self.random.choice(["v1", "v2"])
        self.engine.hello(worker, "a", capacity=self.random.randrange(1, 6), code=code)
        if self.random.random() < 0.8:
            self.engine.turn(Register(worker, (ComponentInfo("b", "workflow", code),)))
        self.accepted["Hello"] += 1

    def _worker_goes(self) -> None:
        if len(self.engine.state.workers) > 1:
            self.engine.goodbye(self.random.choice(list(self.engine.state.workers)))
            self.accepted["Goodbye"] += 1

    # Time, and all at once

    def _time(self) -> None:
        self.engine.pass_time(self.random.random() * 3)
        self.engine.turn(Sweep(self.engine.now - SECOND // 2))
        self.engine.refill()

    def _batch(self) -> None:
        """Several things in one commit."""
        commands = [self._command() for _ in range(self.random.randrange(2, 6))]
        message = self._message()
        effects = self.engine.turn(*([message] if message else []), *(command for command, _ in commands))
        if message is not None:
            self._count(message, self._is_refused(message, effects))
        for command, said in commands:
            self._learn(command, said, self.engine.answers[command.token])  # type: ignore[union-attr, index]

    # In the end

    def finish(self) -> None:
        """Without faults, every run comes to its end, whatever was done to it before."""
        engine = self.engine
        engine.hello("last", *COMPONENTS, capacity=10_000, code="v9")
        for run in [engine.run(run_id) for run_id in engine.stored_ids()]:
            if run.status is Status.BLOCKED:
                engine.resume(run.id)
        engine.pass_time(60)
        for _ in range(100):
            engine.refill()
            held = self._held_runs()
            if not held:
                break
            for run_id in held:
                engine.report(run_id, asks.completed())
        for run_id in engine.stored_ids():
            if not engine.status(run_id).is_terminal:
                # It waits for a signal, warm with nobody: what it waits for wakes it.
                self._note(SendSignal(engine.token(), run_id, "s", Raw(b"1")), {})
                engine.report(run_id, asks.completed())
        assert all(engine.status(run_id).is_terminal for run_id in engine.stored_ids()), "every run has ended"
        self._check_signals()

    def _check_signals(self) -> None:
        """Of a run that never changed its journal for another, every accepted signal is there, in order."""
        for run_id, sent in self.signals.items():
            start = self.engine.bodies(run_id)[0]
            run = self.engine.run(run_id)
            if isinstance(start, Started) and start.generation == 1 and run.origin is None:
                assert self.engine.bodies(run_id, Signal) == sent, "an acknowledged signal is kept"

    def check_outcomes(self) -> None:
        """What was awaited came to what it was: events to their payload, ended runs to their end."""
        for run_id in self.runs:
            for body in self.engine.bodies(run_id, Outcome):
                assert isinstance(body, Outcome)
                if body.kind is Kind.EVENT:
                    expected = self.events.get(body.name)
                    assert expected is None or bytes(body.result) == expected, "every waiter gets the same payload"
                if body.kind is Kind.RESULT and body.target in self.engine.ends and body.is_success:
                    assert body.result == self.engine.ends[RunId(body.target)].result
