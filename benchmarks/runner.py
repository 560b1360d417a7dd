"""Measures workloads: contenders by turns, each time in a fresh process, so that drift meets them alike."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.probe import Figures
from benchmarks.workloads import PEERS, Workload

ROOT = Path(__file__).resolve().parent.parent
MEASUREMENT_SECONDS_MAX = 600.0


class WrongResult(Exception):
    """A program failed, or found its results to be wrong."""


@dataclass
class Measured:
    """What a workload came to.

    Attributes:
        rounds: For each contender, its figures of each round.
    """

    workload: Workload
    rounds: dict[str, list[Figures]] = field(default_factory=dict)


def measure(workload: Workload, pythons: dict[str, str], rounds: int, is_quick: bool) -> Measured:
    """Measure a workload.

    Args:
        workload: What to do.
        pythons: For each peer that is there, the Python of its environment.
        rounds: How often.
        is_quick: With its smaller sizes.

    Raises:
        WrongResult: A program of a contender failed.
    """
    measured = Measured(workload)
    for number in range(rounds):
        for contender, program in workload.programs.items():
            if contender in PEERS and contender not in pythons:
                continue
            _show(f"{workload.name} {number + 1}/{rounds}: {contender}")
            sizes = workload.sizes_for(contender, is_quick)
            figures = run_program(pythons.get(contender, sys.executable), program, sizes, contender in PEERS)
            measured.rounds.setdefault(contender, []).append(figures)
    _show("")
    return measured


def _show(progress: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)


def run_program(python: str, program: str, sizes: dict[str, object], is_peer: bool) -> Figures:
    """The figures of one program, run in a process of its own."""
    paths = [str(ROOT)]
    if not is_peer:
        paths += [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGNT5_")}
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    command = [python, "-m", "benchmarks.measure", program, json.dumps(sizes)]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=MEASUREMENT_SECONDS_MAX
        )
    except subprocess.TimeoutExpired as error:
        raise WrongResult(f"{program} took more than {MEASUREMENT_SECONDS_MAX:.0f} s") from error
    if ended.returncode != 0:
        raise WrongResult(f"{program} failed:\n{ended.stderr}")
    figures: Figures = json.loads(ended.stdout.splitlines()[-1])
    return figures
