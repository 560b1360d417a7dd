"""What has been recorded for a body that runs on an ordinary loop: found by key, in any order.

Such a body is a function, or a step that asks for operations of its own. It is run again from its
top after a crash, and may do input and output on the way, so its operations don't come in an order
to rely on. Each is found by what it asks for.
"""

from agnt5.core.journal.entry import Begun, Entry, Kind, Outcome, Retrying
from agnt5.core.model.ids import OperationKey
from agnt5.core.replay.history import History
from agnt5.core.replay.operations import KEPT


class Recall:
    """The operations of one run or step, by key.

    Attributes:
        present: Outcomes in the current attempt, with their place in the journal.
        begun: What the current attempt has set going, likewise.
        successes: What earlier attempts achieved.
        calls: How many children each operation has had.
    """

    def __init__(self) -> None:
        self.present: dict[OperationKey, tuple[int, Outcome]] = {}
        self.begun: dict[OperationKey, tuple[int, Begun]] = {}
        self.successes: dict[OperationKey, Outcome] = {}
        self.calls: dict[OperationKey, int] = {}

    @classmethod
    def of_run(cls, history: History) -> "Recall":
        """What the last attempt of a run has recorded itself, outside of steps."""
        recall = cls()
        recall.successes = history.successes
        recall.calls = history.calls
        for entry in history.present:
            if isinstance(entry.body, Begun | Outcome) and not entry.body.scope:
                recall.note(entry)
        return recall

    @classmethod
    def of_step(cls, scope: str, entries: list[Entry]) -> "Recall":
        """What the last attempt of a step has recorded."""
        recall = cls()
        for entry in entries:
            body = entry.body
            if isinstance(body, Retrying) and body.key == scope:
                recall.next_attempt()
            elif isinstance(body, Begun | Outcome) and body.scope == scope:
                recall.note(entry)
        return recall

    def note(self, entry: Entry) -> None:
        """Take in one more entry."""
        body = entry.body
        if isinstance(body, Begun):
            self.begun[body.key] = entry.index, body
            if body.kind is Kind.CALL:
                self.calls[body.key] = self.calls.get(body.key, 0) + 1
        elif isinstance(body, Outcome):
            self.present[body.key] = entry.index, body

    def next_attempt(self) -> None:
        """The attempt is over: of what it did, only successes are kept."""
        for _, outcome in self.present.values():
            if outcome.kind in KEPT and outcome.is_success:
                self.successes[outcome.key] = outcome
        self.present.clear()
        self.begun.clear()

    def outcome_of(self, key: OperationKey, kind: Kind) -> Outcome | None:
        """What this operation came to, if that is recorded and still counts."""
        found = self.present.get(key)
        if found is not None:
            return found[1]
        return self.successes.get(key) if kind in KEPT else None

    def is_from_before(self, key: OperationKey, kind: Kind) -> bool:
        """Whether an earlier attempt achieved it, and the current one has it from there."""
        return key not in self.present and kind in KEPT and key in self.successes

    def outcomes_before(self, index: int) -> set[OperationKey]:
        """What the current attempt had the outcome of before that entry."""
        return {key for key, (place, _) in self.present.items() if place < index}

    def index_of(self, key: OperationKey) -> int | None:
        """Where the current attempt has recorded the outcome of this operation."""
        found = self.present.get(key)
        return found[0] if found is not None else None
