"""What is known around a run: gathered for the one who explains where it is."""

from typing import Final, Protocol

from msgspec import Struct

from agnt5.core.journal.entry import AttemptEnded, Begun, Ended, Entry, Kind, Outcome, Retrying
from agnt5.core.model.errors import StoreCorrupt
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Failure, Run, Status
from agnt5.runtime.port import AtWork

DEPTH_MAX: Final = 50  # Runs that wait for each other in a row, as far as they are followed.


class Around(Protocol):
    """Where to look: the runtime itself, or a journal file beside it.

    Attributes:
        pid: Of the process that has the journal: 0 where none has, None where it isn't known or is this one.
    """

    pid: int | None

    async def run(self, run_id: RunId) -> Run | None:
        """The run of this id."""

    async def journal(self, run_id: RunId) -> list[Entry]:
        """Its entries."""

    async def queued_before(self, run: Run) -> int:
        """How many runs of its component are queued before it."""

    def is_offered(self, component: str) -> bool | None:
        """Whether some worker offers the component; None where that isn't known."""

    def doing(self, run: Run) -> list[AtWork]:
        """The steps of the run that execute."""


class Scene(Struct):
    """A run, and what is around it.

    Attributes:
        open: Operations on record as begun that have no outcome, in the order of the journal.
        retrying: The last failed attempt of each step that is to be tried again.
        last: The last outcome of an operation in its journal.
        failure: What the last attempt that is over came to.
        ahead: How many runs are queued before it.
        awaited: The run that it waits for.
    """

    run: Run
    pid: int | None
    is_offered: bool | None
    open: list[Begun] = []
    retrying: list[Retrying] = []
    last: tuple[Entry, Outcome] | None = None
    failure: Failure | None = None
    ahead: int = 0
    doing: list[AtWork] = []
    awaited: "Scene | None" = None


async def scene_of(run: Run, around: Around) -> Scene:
    """The run with what is around it, down to the run at the end of those that wait for each other."""
    top = scene = await _one(run, around)
    seen = {run.id}
    while len(seen) < DEPTH_MAX:
        target = awaited_run(scene)
        found = await around.run(target) if target and target not in seen else None
        if found is None:
            break
        seen.add(found.id)
        scene.awaited = await _one(found, around)
        scene = scene.awaited
    return top


async def _one(run: Run, around: Around) -> Scene:
    scene = Scene(run, around.pid, around.is_offered(run.component), doing=around.doing(run))
    try:
        _read(scene, await around.journal(run.id))
    except StoreCorrupt:
        # Such a run is blocked, and its record says why.
        return scene
    if run.status is Status.QUEUED and not run.wake_at:
        scene.ahead = await around.queued_before(run)
    return scene


def _read(scene: Scene, entries: list[Entry]) -> None:
    begun: dict[str, Begun] = {}
    retrying: dict[str, Retrying] = {}
    for entry in entries:
        body = entry.body
        if isinstance(body, Begun):
            begun[body.key] = body
        elif isinstance(body, Retrying):
            retrying[body.key] = body
        elif isinstance(body, Outcome):
            begun.pop(body.key, None)
            retrying.pop(body.key, None)
            scene.last = entry, body
        elif isinstance(body, Ended):
            scene.failure = body.error
        elif isinstance(body, AttemptEnded):
            # The attempt is over, and what it left open with it.
            scene.failure = body.error
            begun.clear()
            retrying.clear()
    scene.open = list(begun.values())
    scene.retrying = list(retrying.values())


def awaited_run(scene: Scene) -> RunId | None:
    """The first of the runs that this one waits for."""
    run, calls = scene.run, [begun for begun in scene.open if begun.kind is Kind.CALL]
    if run.status.is_terminal or run.status is Status.BLOCKED:
        return None
    for wait in run.waiting.on:
        if wait.kind == "run":
            return RunId(wait.name)
        for call in calls:
            if wait.kind == "call" and (call.name, call.site) == (wait.name, wait.site):
                return RunId(call.target)
    # A function that awaits a child is not written down as waiting: it may do other things meanwhile.
    return RunId(calls[0].target) if calls and run.status is Status.RUNNING else None
