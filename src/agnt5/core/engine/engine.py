"""The one machine that changes runs: a command goes in, entries and effects come out.

It does no input or output and knows neither the time nor chance; both are given to it. What it
decides in a batch of commands is collected in a `Turn`, to be written in one commit; only then may
the effects be carried out. Until then its own state is ahead of the store, and is thrown away if
the commit is refused.
"""

from collections.abc import Callable
from typing import Any, Final

from agnt5.core.engine import events, operator, queue, report
from agnt5.core.engine.commands import (
    Cancel,
    Command,
    Due,
    EventResolved,
    ForkRun,
    Quarantine,
    Recover,
    Refill,
    Resume,
    RetryRun,
    RunOver,
    SendEvent,
    SendSignal,
    Submit,
    Sweep,
    TellWaiters,
)
from agnt5.core.engine.state import State, Steps, Turn, forget_inactive
from agnt5.core.protocol.messages import FromWorker, Goodbye, Hello, Register, Report

Case = Callable[[State, Turn, Any], Steps | None]

_CASES: Final[dict[type, Case]] = {
    Report: report.report,
    Submit: queue.submit,
    SendEvent: events.send_event,
    SendSignal: events.send_signal,
    Cancel: operator.cancel,
    Resume: operator.resume,
    RetryRun: operator.retry,
    ForkRun: operator.fork,
    Hello: queue.hello,
    Register: queue.register,
    Goodbye: queue.goodbye,
    Due: queue.due,
    Sweep: queue.sweep,
    Recover: queue.recover,
    Refill: queue.refill,
    Quarantine: operator.quarantine,
    RunOver: events.run_over,
    TellWaiters: events.tell_waiters,
    EventResolved: events.event_resolved,
}


def advance(state: State, turn: Turn, command: Command | FromWorker) -> Steps | None:
    """Take one command.

    Returns:
        None where that is all; else a generator, to be run to its end before the next command: it
        yields what it needs from the store and is sent what was found.
    """
    return _CASES[type(command)](state, turn, command)


def settle(state: State, turn: Turn) -> None:
    """After the last command of a batch: give queued runs to workers that have room."""
    assert not turn.told, "what the engine tells itself is part of the batch"
    queue.dispatch(state, turn)


def forget(state: State, turn: Turn) -> None:
    """After the commit: drop from memory what is no longer active."""
    forget_inactive(state, turn)
