"""Runs seeds from the command line: `python -m tests.sim --seed 41`, or `--count 1000` of them."""

import argparse
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

# As under pytest, so that a seed is the same there and here.
sys.path.insert(0, str(Path(__file__).parents[1]))

from sim.bugs import BUGS
from sim.coverage import Coverage
from sim.runner import describe, run_seed


def main() -> int:
    """Run what was asked for; returns how many seeds failed."""
    parser = argparse.ArgumentParser(description="Simulate the engine from seeds.")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--count", type=int, default=1, help="how many")
    parser.add_argument("--bug", choices=sorted(BUGS), help="with this bug planted")
    parser.add_argument("--trace", help="a file for what happens")
    parser.add_argument("--coverage", action="store_true", help="print what was met how often")
    parser.add_argument("--hash", action="store_true", help="print the trace's hash, and nothing else")
    given = parser.parse_args()
    if given.hash:
        print(run_seed(given.seed).trace_hash)
        return 0
    coverage, voids, failed, events = Coverage(), 0, Counter[str](), 0
    began = perf_counter()
    with ExitStack() as stack:
        trace = stack.enter_context(Path(given.trace).open("w")) if given.trace else None
        for seed in range(given.seed, given.seed + given.count):
            result = run_seed(seed, coverage, trace, BUGS[given.bug].patches() if given.bug else ())
            events += result.events
            voids += result.is_void
            if result.violation is not None:
                failed[result.violation[0]] += 1
                print(describe(result))
            elif given.count == 1:
                print(f"seed {seed}: {result}")
    seconds = perf_counter() - began
    print(
        f"{given.count} seeds, {events:,} events in {seconds:.1f} s ({events / seconds:,.0f}/s), "
        f"{voids} void, {failed.total()} failed {dict(failed)}"
    )
    if given.coverage:
        print(coverage.table())
    return min(failed.total(), 1)


if __name__ == "__main__":
    sys.exit(main())
