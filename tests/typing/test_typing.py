"""Type checkers see the arguments and the results of everything durable: mypy is run over users' code."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
LINE = re.compile(r"^(?:.*?)(?P<file>\w+)\.py:(?P<line>\d+): (?P<kind>error|note): (?P<said>.*)$")


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int, str]]:
    """The errors that mypy finds in both files: file, line, what it says."""
    if find_spec("mypy") is None:
        assert os.environ.get("CI") != "true", "mypy is part of the test tools: pip install 'agnt5-runtime[test]'"
        pytest.skip("mypy isn't installed: pip install mypy")
    environment = {**os.environ, "MYPYPATH": str(SOURCE)}
    cache = tmp_path_factory.mktemp("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", f"--cache-dir={cache}"]
    command += ["--config-file=", "--no-color-output", "--no-pretty", "usage.py", "misuse.py"]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode in (0, 1), done.stderr or done.stdout
    found = [LINE.match(line) for line in done.stdout.splitlines()]
    return [
        (match["file"], int(match["line"]), match["said"])
        for match in found
        if match is not None and match["kind"] == "error"
    ]


def test_correct_code_is_found_correct(findings: list[tuple[str, int, str]]):
    """Calls, runs, handles and steps have the types of the functions behind them, and none is `Any`."""
    assert [finding for finding in findings if finding[0] == "usage"] == []


def test_agnt5_itself_is_clean(findings: list[tuple[str, int, str]]):
    """A user's own strict check is not disturbed by ours."""
    assert [finding for finding in findings if finding[0] not in ("usage", "misuse")] == []


def marked_lines() -> list[int]:
    lines = (HERE / "misuse.py").read_text().splitlines()
    return [number for number, line in enumerate(lines, 1) if line.endswith("# error")]


def test_every_mistake_is_found(findings: list[tuple[str, int, str]]):
    """Each marked line is an error, and no other: wrong arguments, wrong results, wrong options."""
    found = {line for file, line, _ in findings if file == "misuse"}
    marked = set(marked_lines())

    assert len(marked) > 30, "the file of mistakes has some"
    assert found - marked == set(), "lines that are right"
    assert marked - found == set(), "mistakes that nobody noticed"
