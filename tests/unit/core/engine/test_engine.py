"""Whatever the engine is told, in whatever order, its invariants hold and its promises are kept.

Goal: no sequence of commands, sensible or not, breaks a rule of the engine or loses a run.
Method: a seeded random walk of callers, workers that come, die and talk too late, restarts and
time; the driver checks the invariants after every batch and every journal it touched. In the end
the faults stop, and every run must come to its end.
Reproduce: the seed is the test's parameter.
"""

from collections import Counter
from typing import get_args

import pytest

from agnt5.core.engine.commands import Command
from agnt5.core.engine.engine import _CASES
from agnt5.core.protocol.messages import Ask, FromWorker
from unit.core.engine.walk import Walk

STEPS = 250
SEEDS = range(24)
# Each of these is taken from one who may say it, and refused from one who may not.
BOTH_WAYS = {
    *("Submit", "SendEvent", "SendSignal", "Cancel", "Resume", "RetryRun", "ForkRun"),
    *("Outcome", "Begun", "Retrying", "Patched", "StartRun", "AwaitEvent", "AwaitRun.result", "Send", "Fire"),
    *("Abandon", "Heartbeat", "Park", "Release", "Block", "End", "Again", "ContinueAs"),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_walk_breaks_no_rule(seed: int):
    """Safety under faults, then liveness without."""
    walk = Walk(seed)

    for _ in range(STEPS):
        walk.step()
    walk.finish()

    walk.check_outcomes()


def test_the_walk_goes_everywhere():
    """A walk that never gets somewhere shows nothing: each kind of command is seen accepted and refused."""
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for seed in range(4):
        walk = Walk(seed)
        for _ in range(STEPS):
            walk.step()
        accepted += walk.accepted
        refused += walk.refused

    assert accepted.keys() >= BOTH_WAYS
    assert refused.keys() >= BOTH_WAYS
    assert {"Hello", "Goodbye", "Recover"} <= accepted.keys()
    assert {ask.__name__ for ask in get_args(Ask)} <= {name.partition(".")[0] for name in BOTH_WAYS}


def test_every_command_has_its_case():
    """A new command that nobody handles is found here, not in production."""
    assert set(_CASES) == set(get_args(Command)) | set(get_args(FromWorker))
