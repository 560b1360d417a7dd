"""What a turn has decided, as the store takes it."""

from agnt5.core.engine.state import Turn
from agnt5.store.port import Batch, Heartbeat


def batch_of(turn: Turn) -> Batch:
    """The writes of a turn, for one commit."""
    return Batch(
        turn.entries,
        list(turn.created.values()),
        list(turn.changed.values()),
        list(turn.events.values()),
        list(turn.keys.values()),
        turn.retaken,
        turn.served,
        turn.waiters,
        [Heartbeat(*beat) for beat in turn.heartbeats],
        turn.trimmed,
    )
