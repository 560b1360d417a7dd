"""What the demo proves: from the ledger, which agnt5 knows nothing of, and the run's status."""

import json
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Any

from msgspec import Struct

from agnt5.core.model.run import Status


class Check(Struct, frozen=True):
    """One thing that must hold.

    Attributes:
        claim: What should be so.
        found: What is.
    """

    claim: str
    found: str
    holds: bool


def read_ledger(path: Path, order_id: str) -> list[dict[str, Any]]:
    """The effects of one order, in the order in which the world saw them."""
    if not path.exists():
        return []
    effects = [json.loads(line) for line in path.read_text().splitlines()]
    return [effect for effect in effects if effect["order_id"] == order_id]


def verdict(
    effects: Sequence[dict[str, Any]], status: Status, *, killed: int, exit_status: int, resumed: int
) -> list[Check]:
    """Whether the card was charged once, before the kill, and the receipt sent once, after it.

    Args:
        effects: Lines of the ledger, of one order.
        status: Of the run.
        killed: The process that was killed.
        exit_status: Of that process; that of a process which a signal ended is negative.
        resumed: The process that came after it.
    """
    charges = [effect["pid"] for effect in effects if effect["what"] == "charge"]
    receipts = [effect["pid"] for effect in effects if effect["what"] == "receipt"]
    return [
        Check("the first process died of SIGKILL", f"its exit status is {exit_status}", exit_status == -SIGKILL),
        Check("the card was charged once, by the process that was killed", _by(charges), charges == [killed]),
        Check("the receipt was sent once, by the process that came after it", _by(receipts), receipts == [resumed]),
        Check("the run completed", status.value, status is Status.COMPLETED),
    ]


def _by(pids: list[int]) -> str:
    times = "once" if len(pids) == 1 else f"{len(pids)} times"
    return times + (f", by {', '.join(f'process {pid}' for pid in pids)}" if pids else "")
