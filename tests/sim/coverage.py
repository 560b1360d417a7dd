"""How often each kind of command, ask and entry was accepted, refused, and crashed into."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

from agnt5.core.engine.commands import ClientCommand, InternalCommand
from agnt5.core.engine.effects import Reject, Tell
from agnt5.core.engine.state import State, Turn
from agnt5.core.journal.entry import Body
from agnt5.core.protocol.messages import Ask, Refuse, Report

ACCEPTED, REFUSED, CRASHED = "accepted", "refused", "crashed into"
FATES = (ACCEPTED, REFUSED, CRASHED)


def _names(union: Any) -> Iterator[str]:
    for member in get_args(union):
        yield member.__name__


KINDS = (
    *(f"command {name}" for name in (*_names(ClientCommand), *_names(InternalCommand), "Hello", "Register", "Goodbye")),
    *(f"ask {name}" for name in _names(Ask)),
    *(f"entry {name}" for name in _names(Body)),
)


class Coverage:
    """Counts, over all seeds."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._turn: Turn | None = None
        self._commands: list[Any] = []

    def took(self, state: State, turn: Turn, command: Any) -> None:
        """The engine is told something, in this turn."""
        if turn is not self._turn:
            # A turn that had nothing to write has no commit to tell of.
            self.over(ACCEPTED)
            self._turn = turn
        self._commands.append(command)

    def over(self, fate: str) -> None:
        """What became of the turn that is under way."""
        turn, commands = self._turn, self._commands
        self._turn, self._commands = None, []
        if turn is None:
            return
        rejected = {effect.token for effect in turn.effects if isinstance(effect, Reject)}
        refused = {
            (effect.message.run_id, effect.message.epoch)
            for effect in turn.effects
            if isinstance(effect, Tell) and isinstance(effect.message, Refuse)
        }
        for command in commands:
            own = fate
            if isinstance(command, Report):
                own = REFUSED if fate == ACCEPTED and (command.run_id, command.epoch) in refused else fate
                for ask in command.asks:
                    self.counts[f"ask {type(ask).__name__}", own] += 1
            else:
                if fate == ACCEPTED and getattr(command, "token", None) in rejected:
                    own = REFUSED
                self.counts[f"command {type(command).__name__}", own] += 1
        for _, entry in turn.entries:
            self.counts[f"entry {type(entry.body).__name__}", fate] += 1

    def add(self, other: "Coverage") -> None:
        """Take in what was counted elsewhere."""
        self.counts.update(other.counts)

    def missing(self) -> set[tuple[str, str]]:
        """What never happened."""
        return {(kind, fate) for kind in KINDS for fate in FATES if not self.counts[kind, fate]}

    def table(self) -> str:
        """All of it, for people."""
        lines = [f"{'':32}" + "".join(f"{fate:>14}" for fate in FATES)]
        lines += [f"{kind:32}" + "".join(f"{self.counts[kind, fate]:14,}" for fate in FATES) for kind in KINDS]
        return "\n".join(lines)


