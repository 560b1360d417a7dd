"""What callers ask of the runtime beside commands, and how they are answered."""

from typing import Any

from msgspec import Struct

from agnt5.core.engine.commands import ClientCommand, Submit, Token
from agnt5.core.journal.entry import Entry
from agnt5.core.model.ids import RunId
from agnt5.core.protocol.messages import ToWorker


class SubmitAndWatch(Struct, frozen=True, gc=False):
    """Make a run, and tell its outcome."""

    submit: Submit


class Watch(Struct, frozen=True, gc=False):
    """Tell the run's outcome, as soon as it has ended or is blocked."""

    token: Token
    run_id: RunId


class Unwatch(Struct, frozen=True, gc=False):
    """Nobody waits for this answer any more."""

    token: Token


class Follow(Struct, frozen=True, gc=False):
    """Tell every entry of the run's journal, those that are there and those that come."""

    token: Token
    run_id: RunId


class GetStatus(Struct, frozen=True, gc=False):
    """Tell where the run is."""

    token: Token
    run_id: RunId


class GetState(Struct, frozen=True, gc=False):
    """Tell a value of the run's state."""

    token: Token
    run_id: RunId
    key: str


class GetExplanation(Struct, frozen=True, gc=False):
    """Tell why the run is where it is."""

    token: Token
    run_id: RunId


Query = Watch | Unwatch | Follow | GetStatus | GetState | GetExplanation
Request = ClientCommand | SubmitAndWatch | Query


class Answer(Struct, frozen=True, gc=False):
    """The answer to a request."""

    token: Token
    value: Any


class Failed(Struct, frozen=True, gc=False):
    """The request came to an error."""

    token: Token
    error: Exception


class Entries(Struct, frozen=True, gc=False):
    """Entries of a run that is followed; the last ones where its journal is at its end."""

    token: Token
    entries: list[Entry]
    is_last: bool


class Taken(Struct, frozen=True, gc=False):
    """So many requests of the session have been dealt with; it may send as many more."""

    count: int


ToSession = ToWorker | Answer | Failed | Entries | Taken
