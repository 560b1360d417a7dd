"""Processes are killed while hundreds of runs are in flight, and at times that nobody chose.

Goal: each acknowledged run is found again and ends once, with each completed step done once.
Method: after every kill, the journal and the log of effects outside of agnt5 say which steps were cut
short; those, and no others, may be seen once more. In the end the two have to agree exactly.
Reproduce: the random kills print their seed; put it into `SEED`.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from processes import KILLED, Finished, finish, lines, read_journal, start

from agnt5.core.journal.entry import Kind, Outcome

PROGRAM = "crowd.py"
IN_FLIGHT = 200
ROUNDS = 20
COUNT = 150  # Submissions of a round, if it lives so long.
LIFE_SECONDS = 0.25  # The longest life of a round, from when its runtime is there.
SEED: int | None = None
STEPS = ("reserve", "charge", "ship")


class Crowd:
    """A journal, a log of effects, and how often each effect has to be seen in the end."""

    def __init__(self, directory: Path) -> None:
        self.journal = directory / "journal.db"
        self.log = directory / "effects"
        self.repeated: Counter[str] = Counter()

    def start(self, mode: str, *args: str, **environment: str) -> "subprocess.Popen[str]":
        """Start a process on the journal."""
        return start(PROGRAM, mode, str(self.journal), *args, EFFECTS=str(self.log), **environment)

    def kill(self, process: "subprocess.Popen[str]", before: Counter[str]) -> None:
        """Kill a process, and take stock of what was cut short."""
        process.kill()
        assert finish(process).code == KILLED, "it was gone before it was killed"
        self.repeated.update((self.seen() - before).keys() - self.recorded())

    def wait_noted(self, process: "subprocess.Popen[str]", said: str, count: int) -> None:
        """Wait until so many lines of the log have this in them."""
        deadline = time.monotonic() + 30
        while sum(said in line for line in lines(self.log)) < count:
            assert process.poll() is None, f"it ended early: {finish(process)}"
            assert time.monotonic() < deadline, f"{count} times {said!r} never came"
            time.sleep(0.005)

    def seen(self) -> Counter[str]:
        return Counter(line.removeprefix("effect ") for line in lines(self.log) if line.startswith("effect "))

    def acknowledged(self) -> set[str]:
        return {line.split()[1] for line in lines(self.log) if line.startswith("acknowledged ")}

    def recorded(self) -> set[str]:
        """Effects of steps whose outcome is in the journal."""
        return {
            f"{json.loads(bytes(entry.body.args))['order']} {entry.body.name}"
            for _, entries in read_journal(self.journal)
            for entry in entries
            if isinstance(entry.body, Outcome) and entry.body.kind is Kind.STEP
        }

    def check_end(self, last: Finished) -> None:
        """Every acknowledged run has ended well, and every step was done once, or once more if it was cut short."""
        assert last.code == 0, last
        assert last.err == "", f"noise on stderr: {last.err}"
        acknowledged = self.acknowledged()
        assert json.loads(last.out) == {order: f"shipped {order}" for order in acknowledged}
        inputs = [bytes(entries[0].body.input) for _, entries in read_journal(self.journal)]
        assert len(inputs) == len(set(inputs)), "no order has two runs"
        seen = self.seen()
        wanted = {f"{order} {step}" for order in acknowledged for step in STEPS}
        assert wanted <= seen.keys(), f"never done: {wanted - seen.keys()}"
        wrong = {line: times for line, times in seen.items() if times != 1 + self.repeated[line] and line in wanted}
        assert not wrong, f"seen so often: {wrong}; cut short were {self.repeated}"


def test_a_kill_while_many_runs_are_in_flight_loses_and_repeats_none(tmp_path: Path) -> None:
    """P1, P3: two hundred runs, cut off in the middle of their steps, all end once in the next process."""
    crowd = Crowd(tmp_path)
    first = crowd.start("submit", "o", f"{IN_FLIGHT}", HOLD="1")
    crowd.wait_noted(first, "acknowledged ", IN_FLIGHT)
    crowd.wait_noted(first, " ship", IN_FLIGHT // 4)

    crowd.kill(first, Counter())
    is_done = crowd.recorded()
    last = finish(crowd.start("collect"))

    assert crowd.acknowledged() == {f"o-{number}" for number in range(IN_FLIGHT)}
    assert len(is_done) >= IN_FLIGHT // 2, "it was killed in the middle"
    assert crowd.repeated.total() >= IN_FLIGHT // 4
    crowd.check_end(last)


def test_kills_at_random_times_lose_no_acknowledged_run(tmp_path: Path) -> None:
    """P1: whenever the power goes, whatever a caller was told is safe is there afterwards, and ends."""
    seed = SEED if SEED is not None else int.from_bytes(os.urandom(4))
    print(f"seed {seed}", file=sys.stderr)
    chance = Random(seed)
    crowd = Crowd(tmp_path)

    for number in range(ROUNDS):
        before = crowd.seen()
        process = crowd.start("trickle", f"round{number}", f"{COUNT}")
        crowd.wait_noted(process, f"ready round{number}", 1)
        time.sleep(chance.uniform(0, LIFE_SECONDS))
        crowd.kill(process, before)
    last = finish(crowd.start("collect"))

    assert len(crowd.acknowledged()) > ROUNDS
    crowd.check_end(last)
