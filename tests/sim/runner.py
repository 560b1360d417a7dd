"""Runs seeds, one after the other, and says what came of them."""

import gc
import sys
from collections.abc import Iterable
from functools import cache
from random import Random
from typing import TextIO

from . import programs
from .coverage import Coverage
from .ending import Outcome
from .outside import Outside
from .patching import Patch, patched
from .replays import check_replays
from .swarm import Swarm, swarm_of
from .world import Result, World

COLLECT_EVERY = 20  # Seeds; nothing is collected while one is under way.


def run_seed(
    seed: int, coverage: Coverage | None = None, trace: TextIO | None = None, bug: Iterable[Patch] = ()
) -> Result:
    """The world of a seed, from its beginning to its end."""
    world = World(seed, swarm_of(seed), coverage or Coverage(), trace)
    outside = Outside(world, world.chaos, Random(f"{seed}/outside"))
    with patched(bug):
        result = world.run(outside.story())
    if seed % COLLECT_EVERY == 0:
        gc.collect()
    if result.violation is None:
        replayed = check_replays(outside.book.ended, Random(f"{seed}/replays"))
        result.violation = replayed or compare(outside.book.outcomes)
    return result


def compare(outcomes: list[Outcome]) -> tuple[str, str] | None:
    """Whether programs came to what they come to without faults."""
    for outcome in outcomes:
        wanted = undisturbed(outcome.component, outcome.seed)
        if not outcome.is_same(wanted):
            return "I27", f"{outcome}, and without faults {wanted}"
    return None


@cache
def undisturbed(component: str, seed: int) -> Outcome:
    """What a program comes to in a world without faults."""
    world = World(seed, Swarm(slow=0.0), Coverage())
    outside = Outside(world, world.chaos, Random(seed))
    found = next(known for known in programs.TOPS if known.name == component)
    result = world.run(outside.alone(found, seed))
    assert result.violation is None, f"{component} of seed {seed} fails without any fault: {result.violation}"
    return next(outcome for outcome in outside.book.outcomes if outcome.component == component)


def describe(result: Result) -> str:
    """A failing seed, with how to see it again."""
    assert result.violation is not None, "only a seed that fails is described"
    invariant, what = result.violation
    return (
        f"FAIL {invariant} {what}\n"
        f"  seed={result.seed} events={result.events} t={result.seconds:.6f}s trace_hash={result.trace_hash} "
        f"python={sys.version.partition(' ')[0]}\n"
        f"  again: python -m tests.sim --seed {result.seed} --trace trace.txt"
    )
