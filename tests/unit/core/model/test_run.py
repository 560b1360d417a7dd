"""A run's status says where it is in its life."""

import pytest

from agnt5.core.model.run import NOT_WAITING, TERMINAL, Run, RunId, Status, Waiting


@pytest.mark.parametrize("status", Status)
def test_three_ways_to_end(status: Status):
    """Completed, failed, cancelled; a blocked run hasn't ended."""
    assert status.is_terminal is (status.value in ("completed", "failed", "cancelled"))
    assert status.is_terminal is (status in TERMINAL)


def test_a_new_run_is_queued_and_unclaimed():
    """Nobody holds it, nothing was tried, and its epoch has yet to rise."""
    run = Run(id=RunId("a"), component="c")

    assert (run.status, run.epoch, run.attempt, run.generation, run.worker) == (Status.QUEUED, 0, 1, 1, None)
    assert run.waiting is NOT_WAITING
    assert Waiting() == NOT_WAITING
