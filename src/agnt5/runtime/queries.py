"""Answers callers who want to know something, from memory or the store."""

from typing import assert_never

from msgspec import Raw

from agnt5.core.engine.events import unknown_run
from agnt5.core.engine.state import State
from agnt5.core.journal.entry import Entry, Kind, Outcome
from agnt5.core.model.errors import Agnt5Error
from agnt5.core.model.ids import RunId
from agnt5.core.model.run import Run
from agnt5.core.replay.history import History, apply_state
from agnt5.runtime.dispatch import Dispatcher
from agnt5.runtime.explain import explain
from agnt5.runtime.port import AtWork
from agnt5.runtime.requests import Follow, GetExplanation, GetState, GetStatus, Query, Unwatch, Watch
from agnt5.runtime.scene import scene_of
from agnt5.sdk.backend import Explanation
from agnt5.store.port import Reader


async def answer_query(query: Query, state: State, store: Reader, dispatcher: Dispatcher, now_us: int) -> None:
    """Answer a query, or have it answered when there is something to say."""
    if isinstance(query, Unwatch):
        dispatcher.forget_caller(query.token)
        return
    try:
        run = state.runs.get(query.run_id) or await store.run(query.run_id)
        if run is None:
            raise unknown_run(query.run_id)
        await _answer(query, run, state, store, dispatcher, now_us)
    except Agnt5Error as error:
        dispatcher.fail(query.token, error)


async def _answer(
    query: Watch | Follow | GetStatus | GetState | GetExplanation,
    run: Run,
    state: State,
    store: Reader,
    dispatcher: Dispatcher,
    now_us: int,
) -> None:
    match query:
        case Watch():
            await dispatcher.watch(query.token, run)
        case Follow():
            await dispatcher.follow(query.token, run)
        case GetStatus():
            dispatcher.answer(query.token, run.status)
        case GetState():
            dispatcher.answer(query.token, (await state_of(store, run.id)).get(query.key))
        case GetExplanation():
            sentence, facts = explain(await scene_of(run, Inside(state, store, dispatcher)), now_us)
            dispatcher.answer(query.token, Explanation(sentence, run.status.value, facts))
        case _:
            assert_never(query)


class Inside:
    """What the runtime itself knows around a run."""

    pid: int | None = None

    def __init__(self, state: State, store: Reader, dispatcher: Dispatcher) -> None:
        self._state = state
        self._store = store
        self._ports = dispatcher.ports

    async def run(self, run_id: RunId) -> Run | None:
        return self._state.runs.get(run_id) or await self._store.run(run_id)

    async def journal(self, run_id: RunId) -> list[Entry]:
        return await self._store.journal(run_id)

    async def queued_before(self, run: Run) -> int:
        queue = self._state.ready.get(run.component, ())
        return next((place for place, other in enumerate(queue) if other == run.id), len(queue))

    def is_offered(self, component: str) -> bool | None:
        return any(component in worker.components for worker in self._state.workers.values())

    def doing(self, run: Run) -> list[AtWork]:
        port = self._ports.get(run.worker) if run.worker is not None else None
        return port.doing(run.id) if port is not None else []


async def state_of(store: Reader, run_id: RunId) -> dict[str, Raw]:
    """The committed state of a run, as its journal has it."""
    history = History(await store.journal(run_id))
    for entry in history.present:
        if isinstance(entry.body, Outcome) and entry.body.kind is Kind.STATE:
            apply_state(history.state, entry.body)
    return history.state
