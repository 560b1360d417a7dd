"""Fetches from the store what the engine asks for while it advances."""

import logging
from typing import Any, Final, assert_never

from agnt5.core.engine.state import (
    Need,
    NeedBlocked,
    NeedChildren,
    NeedEnd,
    NeedEvent,
    NeedJournal,
    NeedKey,
    NeedRun,
    NeedWaiters,
)
from agnt5.core.journal.entry import Ended
from agnt5.core.model.errors import StoreCorrupt
from agnt5.core.model.failures import failure_of
from agnt5.core.model.run import Status
from agnt5.store.port import Store

LOGGER = logging.getLogger("agnt5.runtime")
BLOCKED_MAX: Final = 2_000  # Runs of a component that are tried again when its code changes; the rest by hand.


async def load_readable(store: Store, need: Need) -> Any:
    """What the store holds of it, where nobody could be told that it is damaged.

    A run whose record can't be read is there for nobody, and an outcome that can't be read is that error:
    one damaged row stops no other run.
    """
    try:
        return await load(store, need)
    except StoreCorrupt as error:
        LOGGER.error("what is damaged is left aside: %s", error.what)
        if isinstance(need, NeedRun):
            return None
        if isinstance(need, NeedEnd):
            return Ended(Status.FAILED, error=failure_of(error))
        raise


async def load(store: Store, need: Need) -> Any:
    """What the store holds of it.

    Raises:
        StoreCorrupt: It can't be read.
    """
    match need:
        case NeedRun():
            return await store.run(need.run_id)
        case NeedJournal():
            return await store.journal(need.run_id)
        case NeedEvent():
            return await store.event(need.event_id)
        case NeedWaiters():
            return await store.waiters(need.target)
        case NeedKey():
            return await store.key_use(need.component, need.key)
        case NeedChildren():
            return await store.live_children(need.run_id)
        case NeedBlocked():
            return await store.blocked(need.component, BLOCKED_MAX)
        case NeedEnd():
            body = (await store.last_entry(need.run_id)).body
            assert isinstance(body, Ended), "the journal of a run that is over ends with its outcome"
            return body
        case _:
            assert_never(need)
