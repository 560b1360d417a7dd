"""A workflow with one of everything is killed at every point of its journal and in every step, and comes out the same.

Goal: no crash loses what was acknowledged, repeats what was completed, or changes the result.
Method: one run to the end gives the number of journal entries and the effects of its steps. Then, for
every length of the journal and every side of every effect, a process is killed there and another takes
over without being asked. Between the two, the journal and the log of effects, which is kept outside of
agnt5, say exactly which effects will be seen once more: those of steps that were cut short.
Reproduce: a failing case names its kill; pass the same variables to `programs/everything.py`.
"""

import json
from collections import Counter
from pathlib import Path

import pytest
from processes import KILLED, Finished, for_each, lines, read_journal, run

from agnt5.core.journal.entry import Kind, Outcome, Retrying

PROGRAM = "everything.py"
RESULT = {
    "approval": {"by": "ann"},
    "attempts": 3,
    "audited": "audited o-1 ",
    "delivered": ["packed o-1", "shipped o-1"],
    "is_late": True,
    "is_later": True,
    "paid": "paid o-1",
    "squares": [0, 1, 4],
    "word": "now",
}
# One line for each attempt of a step.
EFFECTS = ("charge 1", "flaky 1", "flaky 2", "flaky 3", "fetch-0 1", "fetch-1 1", "fetch-2 1", "audit 1", "pack 1")
EFFECTS += ("ship 1",)
ENTRIES = 24  # Of the run and its child together.
WHENS = ("committed", "torn")


class Place:
    """A journal and a log of effects, with one process after the other at work on them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.journal = directory / "journal.db"
        self.log = directory / "effects"
        # How often each effect has to be seen when all is over.
        self.expected = Counter(EFFECTS)

    def run(self, mode: str, **kill: str) -> Finished:
        """Run the driver; where it is killed, take stock of what was cut short."""
        before = self.seen()
        finished = run(PROGRAM, mode, str(self.journal), EFFECTS=str(self.log), **kill)
        assert finished.code in (0, KILLED), f"it failed: {finished}"
        if finished.code == KILLED:
            self.expected.update((self.seen() - before).keys() - self.recorded())
        return finished

    def seen(self) -> Counter[str]:
        """The effects in the log."""
        return Counter(line.removeprefix("effect ") for line in lines(self.log) if line.startswith("effect "))

    def recorded(self) -> set[str]:
        """The attempts of steps whose outcome is in the journal."""
        return {
            f"{entry.body.name} {entry.body.attempt}"
            for _, entries in read_journal(self.journal)
            for entry in entries
            if isinstance(entry.body, Retrying) or (isinstance(entry.body, Outcome) and entry.body.kind is Kind.STEP)
        }

    @property
    def length(self) -> int:
        """How many entries the journal has, over all runs."""
        return sum(len(entries) for _, entries in read_journal(self.journal))

    def check_end(self, last: Finished) -> None:
        """All is as if nothing had ever been killed."""
        assert last.code == 0, last
        assert last.err == "", f"noise on stderr: {last.err}"
        assert json.loads(last.out) == RESULT
        assert self.seen() == self.expected, f"effects: {self.seen()}, expected: {self.expected}"
        components = Counter(run.component for run, _ in read_journal(self.journal))
        assert components == {"everything": 1, "deliver": 1}, f"runs: {components}"


def test_a_run_that_nobody_disturbs_has_the_journal_that_the_kills_are_counted_by(tmp_path: Path) -> None:
    """The enumeration below covers the whole journal and every effect of the run."""
    place = Place(tmp_path / "place")

    finished = place.run("submit")

    place.check_end(finished)
    assert place.length == ENTRIES
    assert place.expected == Counter(EFFECTS)


@pytest.mark.parametrize("when", WHENS)
def test_a_kill_after_each_append_changes_nothing(tmp_path: Path, when: str) -> None:
    """P1, P3: whatever length the journal had when the power went, the next process ends the run the same way."""

    def kill_at(length: int) -> None:
        place = Place(tmp_path / f"{length}")

        killed = place.run("submit", DIE_ENTRIES=f"{length}", DIE_WHEN=when)
        was = place.length
        finished = place.run("resume") if killed.code == KILLED else killed

        # Entries that one commit wrote stand or fall together, so it may be a few more.
        assert was >= length
        assert killed.code == KILLED or (when == "torn" and length == ENTRIES), killed
        place.check_end(finished)

    for_each(range(1, ENTRIES + 1), kill_at)


def test_a_kill_before_anything_is_written_leaves_nothing_behind(tmp_path: Path) -> None:
    """A submission that was never acknowledged may be lost, but then as a whole."""
    place = Place(tmp_path / "place")

    killed = place.run("submit", DIE_ENTRIES="0", DIE_WHEN="torn")
    finished = place.run("resume")

    assert killed.code == KILLED
    assert finished == Finished(0, "", "")
    assert (place.length, place.seen()) == (0, Counter())


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_kill_inside_a_step_repeats_that_step_alone(tmp_path: Path, side: str) -> None:
    """P3: a step cut short runs again; its effect is seen twice only where it had taken place."""

    def kill_in(effect: str) -> None:
        place = Place(tmp_path / effect)

        killed = place.run("submit", DIE_IN=f"{side} {effect}")
        is_there = place.seen()[effect] == 1
        finished = place.run("resume")

        assert killed.code == KILLED, killed
        assert is_there == (side == "after")
        assert place.expected[effect] == (2 if is_there else 1)
        place.check_end(finished)

    for_each(EFFECTS, kill_in)


@pytest.mark.parametrize("when", WHENS)
def test_a_process_that_is_killed_after_each_further_append_still_gets_there(tmp_path: Path, when: str) -> None:
    """P1, P3: progress is made however often the power goes, and no completed step is ever repeated."""
    place = Place(tmp_path / "place")

    finished = place.run("submit", DIE_ENTRIES="1", DIE_WHEN=when)
    kills = 0
    while finished.code == KILLED and kills < 2 * ENTRIES:
        kills += 1
        finished = place.run("resume", DIE_ENTRIES="1", DIE_WHEN=when)

    # Hardly a commit holds more than one entry, and each of these had one more than the last.
    assert kills >= ENTRIES // 2
    place.check_end(finished)
