"""The benchmarks' command: it measures, judges, and is red where a result is wrong; nothing here is timed."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a module of the benchmarks."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def benchmarks(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command, in as little as it can be asked for."""
    return python("benchmarks", "--quick", "--rounds", "1", "--no-peers", *arguments)


def test_a_quick_benchmark_prints_its_table_and_writes_its_figures(tmp_path: Path) -> None:
    """One command measures a workload, compares it with the limit, and says whether the bounds are met."""
    figures = tmp_path / "figures.json"

    ended = benchmarks("--only", "fan_out", "--json", str(figures))

    assert ended.returncode == 0, ended.stderr
    [row] = [line for line in ended.stdout.splitlines() if line.startswith("| s ")]
    ours, limit, bound, verdict = (row.split("|")[column].strip() for column in (2, 3, 8, 9))
    assert ours
    assert limit
    assert bound == "≤ 0.15"
    assert verdict in ("met", "**missed**")
    rounds = json.loads(figures.read_text())["fan_out"]
    assert {contender: len(found) for contender, found in rounds.items()} == {"agnt5": 1, "limit": 1}
    assert all(found[0]["s"] > 0 for found in rounds.values())


def test_a_workload_that_does_not_exist_is_named_in_the_error() -> None:
    """A misspelt workload measures nothing."""
    ended = benchmarks("--only", "fan_uot")

    assert ended.returncode == 2
    assert "fan_uot" in ended.stderr


def test_a_measurement_whose_result_is_wrong_fails_instead_of_giving_figures() -> None:
    """A fast wrong answer is no answer: the program's own check ends it."""
    sizes = {"repeats": 1, "modules": "agnt5", "allowed": []}

    ended = python("benchmarks.measure", "importing:importing", json.dumps(sizes))

    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "nothing else is loaded: msgspec" in ended.stderr
