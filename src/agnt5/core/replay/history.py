"""A journal, read for one life of a body: what earlier attempts left, and what this one has seen.

Attempts before the last one are over. What they leave is their successes, under the operation's
key, the run's state, and the signals; unless the attempt compensated, which leaves the state
alone. The entries of the last attempt are what the body is fed again, one by one.
"""

from msgspec import Raw

from agnt5.core.journal.entry import (
    AttemptBegan,
    AttemptEnded,
    Begun,
    Entry,
    Kind,
    Options,
    Outcome,
    Patched,
    Resumed,
    Signal,
    Started,
)
from agnt5.core.model.ids import OperationKey
from agnt5.core.model.payload import NOTHING
from agnt5.core.replay.operations import KEPT


class History:
    """What a journal holds for the last attempt in it.

    Attributes:
        started: The first entry of the generation's journal.
        attempt: Its number, from 1.
        began_at: When it began, in microseconds since the epoch.
        present: Its entries, to be given to the body.
        next_index: Of the entry that will follow the journal.
        successes: What earlier attempts achieved, by key.
        calls: How many children each operation has had, by key.
        state: The run's state when the attempt began.
        signals: Those that came before it, in order, and are not used up.
        spent: How many signals of each name compensated attempts used up.
        patches: Changed places of which this generation took the new branch.
        resumed_at: Index of the last entry after which a human let the run go on.
    """

    def __init__(self, entries: list[Entry]) -> None:
        started = entries[0].body
        assert isinstance(started, Started), "a journal begins with the start of a generation"
        self.started = started
        self.options: Options = started.options or Options()
        self.attempt = started.attempt
        self.generation = started.generation
        self.began_at = entries[0].at
        self.next_index = entries[-1].index + 1
        self.successes: dict[OperationKey, Outcome] = {}
        self.calls: dict[OperationKey, int] = {}
        self.state: dict[str, Raw] = dict(started.state)
        self.signals: list[Signal] = []
        self.spent: dict[str, int] = {}
        self.patches: set[str] = set()
        self.resumed_at = -1
        last = 0
        for place, entry in enumerate(entries):
            kind = type(entry.body)
            if kind is AttemptBegan:
                last = place
            elif kind is Patched:
                self.patches.add(entry.body.change_id)  # type: ignore[union-attr]  # As just tested.
            elif kind is Resumed:
                self.resumed_at = entry.index
        for entry in entries[1 : last + 1]:
            self._pass(entry)
        self.present = entries[last + 1 :]

    def _pass(self, entry: Entry) -> None:
        body = entry.body
        if isinstance(body, Outcome):
            self.keep(body)
            if body.kind is Kind.STATE:
                apply_state(self.state, body)
        elif isinstance(body, Begun):
            self.count(body)
        elif isinstance(body, Signal):
            self.signals.append(body)
        elif isinstance(body, AttemptEnded) and body.compensated:
            self._compensate(body)
        elif isinstance(body, AttemptBegan):
            self.attempt, self.generation, self.began_at = body.attempt, body.generation, entry.at

    def keep(self, outcome: Outcome) -> None:
        """Remember what succeeded."""
        if outcome.kind in KEPT and outcome.is_success:
            self.successes[outcome.key] = outcome

    def count(self, begun: Begun) -> None:
        """Remember that an operation has had one more child."""
        if begun.kind is Kind.CALL:
            self.calls[begun.key] = self.calls.get(begun.key, 0) + 1

    def _compensate(self, body: AttemptEnded) -> None:
        self.successes.clear()
        self.calls.clear()
        left = {name: number - self.spent.get(name, 0) for name, number in body.consumed.items()}
        self.spent = dict(body.consumed)
        signals = []
        for signal in self.signals:
            if left.get(signal.name, 0) > 0:
                left[signal.name] -= 1
            else:
                signals.append(signal)
        self.signals = signals


def apply_state(state: dict[str, Raw], outcome: Outcome) -> None:
    """Set or delete what a state operation said."""
    if outcome.result is NOTHING:
        state.pop(outcome.name, None)
    else:
        state[outcome.name] = outcome.result
