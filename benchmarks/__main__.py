"""The command: measures, prints the table, and fails where a result is wrong; a missed bound is no failure."""

import argparse
import compileall
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import peers, table
from benchmarks.runner import ROOT, WrongResult, measure
from benchmarks.workloads import PEERS, WORKLOADS

QUICK_ROUNDS = 2


def main() -> int:
    """Measure what the command line asks for."""
    options = _options()
    # As an installed package is; what the machine's settings say about bytecode is not what is measured.
    compileall.compile_dir(ROOT / "src", quiet=1)
    workloads = [workload for workload in WORKLOADS if workload.name in options.only]
    pythons = {} if options.no_peers else _pythons(options.peers_dir)
    measured, wrong = [], 0
    for workload in workloads:
        rounds = options.rounds or min(workload.rounds, QUICK_ROUNDS if options.quick else workload.rounds)
        try:
            measured.append(measure(workload, pythons, rounds, options.quick))
        except WrongResult as error:
            wrong += 1
            print(f"\nWRONG: {workload.title}: {error}", file=sys.stderr)
    print(_heading(options.quick))
    print(table.markdown(row for one in measured for row in table.rows_of(one)))
    bounds = [(one, bound) for one in measured for bound in one.workload.bounds]
    met = sum(bound.is_met(table.value_of(one, bound)) for one, bound in bounds)
    print(f"\n{met} of {len(bounds)} bounds met; {wrong} workloads with wrong results")
    if options.json:
        options.json.write_text(json.dumps({one.workload.name: one.rounds for one in measured}, indent=2) + "\n")
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure agnt5, its peers and the limit.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each contender does each workload")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of every round")
    parser.add_argument("--no-peers", action="store_true", help="leave DBOS and LangGraph out")
    parser.add_argument("--peers-dir", type=Path, default=peers.cache_folder(), help="where they are installed")
    options = parser.parse_args()
    options.only = options.only or names
    return options


def _pythons(folder: Path) -> dict[str, str]:
    found = {}
    for peer in PEERS:
        try:
            found[peer] = peers.python_of(peer, folder)
        except (OSError, subprocess.CalledProcessError) as error:
            said = str(getattr(error, "stderr", "") or error).strip().splitlines()
            print(f"SKIPPED {peer}: it can't be installed: {said[-1]}", file=sys.stderr)
    return found


def _heading(is_quick: bool) -> str:
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    kind = "quick; " if is_quick else ""
    return f"{kind}{datetime.now(UTC):%Y-%m-%d}; {machine}; medians over rounds by turns\n"


if __name__ == "__main__":
    sys.exit(main())
