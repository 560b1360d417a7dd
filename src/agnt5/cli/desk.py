"""Carries out one command on a journal that no process has: the runtime is started for it alone.

It has no worker and so offers no component: nothing that the journal holds is executed. What any
start of a runtime does is done: runs that a dead process left as running are queued again, timers
that have come due are written down.
"""

from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Final

from agnt5.cli.holder import check_exists
from agnt5.config import check_environment, journal_path, store_of
from agnt5.core.engine.commands import ClientCommand
from agnt5.core.model.errors import JournalLockedError, OutcomeUnknown
from agnt5.core.model.ids import RunId, WorkerId
from agnt5.core.model.run import Status
from agnt5.runtime.clock import SystemClock
from agnt5.runtime.port import AtWork
from agnt5.runtime.requests import Answer, Failed, GetStatus, ToSession
from agnt5.runtime.runtime import RuntimeThread

_ANSWER_SECONDS: Final = 60.0  # A commit takes milliseconds; a journal with a million due timers, seconds.


class Desk:
    """A runtime to command, for as long as its block lasts.

    Args:
        store: URL of the journal; None for that of AGNT5_HOME.
        instead: The call that does the same in a program, for whoever finds the journal taken.
    """

    id = WorkerId("command")

    def __init__(self, store: str | None, instead: str) -> None:
        if store is None:
            check_environment()
        check_exists(journal_path(store))
        self._instead = instead
        self._answers: SimpleQueue[Answer | Failed] = SimpleQueue()
        self._runtime = RuntimeThread(store_of(store), SystemClock(), _nobody_to_tell)

    def __enter__(self) -> "Desk":
        """Take the journal.

        Raises:
            JournalLockedError: A process has it.
            StoreError: It can't be used.
        """
        try:
            self._runtime.start()
        except JournalLockedError as error:
            pid = error.facts.get("pid", "unknown")
            raise JournalLockedError(
                error.what,
                why="this command writes to the journal, which has one writer at a time",
                fix=f"call `{self._instead}` in process {pid}, or run the command again when that has ended; "
                "`agnt5 runs list`, `show` and `why` read the journal beside it",
                **error.facts,
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runtime.stop()

    def ask(self, request: ClientCommand | GetStatus) -> Any:
        """The answer to a command, once what it did is committed.

        Raises:
            Agnt5Error: What the runtime says instead.
        """
        self._runtime.post(self, [request])
        try:
            said = self._answers.get(timeout=_ANSWER_SECONDS)
        except Empty:
            raise OutcomeUnknown(
                f"there was no answer within {_ANSWER_SECONDS:g} s",
                why="the disk hangs, or the journal holds a great deal that has come due",
                fix="`agnt5 runs show ID` tells whether it was done; it may be asked again",
            ) from None
        if isinstance(said, Failed):
            raise said.error
        return said.value

    def status(self, run_id: RunId) -> Status:
        """Where a run is."""
        status: Status = self.ask(GetStatus(0, run_id))
        return status

    # What the runtime sees of it (runtime.port.Port)

    def send(self, messages: list[ToSession]) -> bool:
        for message in messages:
            if isinstance(message, Answer | Failed):
                self._answers.put(message)
        return True

    def doing(self, run_id: RunId) -> list[AtWork]:
        return []


def _nobody_to_tell() -> None:
    """Whoever asks finds out by the answer."""
