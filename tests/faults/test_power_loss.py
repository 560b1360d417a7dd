"""Whenever the power goes, and whatever it does to writes under way, everything acknowledged is there afterwards.

Goal: nothing acknowledged is lost, nothing is there by halves, and every journal opens.
Method: a process serves a shop and notes what it is promised, while a preloaded library records what it does to its
disk. From the recording come the disks that a power loss could have left: after each operation, with all that was not
synced dropped, or some of it there, torn into sectors and out of order. Each is opened by the store itself.
The same with `synchronous` set to less must find losses, or this finds none for want of looking.
Reproduce: a failure prints the seed; set POWER_LOSS_SEED to it.
"""

import os
import shutil
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from agnt5.store.sqlite.store import SqliteStore

from . import preloading
from .disk import Loss, Operation, recording
from .images import JOURNAL, Image, Judge, images, journals_of, lay_out, promises_of

IMAGES_MIN = 1_000
LOSSES = (Loss.DROPPED, Loss.TORN)  # At every point; chance decides what is torn.
CONTROL_IMAGES = 150  # Enough to lose something ten times over where anything can be lost.
SEED = int(os.environ.get("POWER_LOSS_SEED") or Random().randrange(2**32))


class Recorded(NamedTuple):
    """What a process did to its disk, and what it was promised."""

    operations: list[Operation]
    judge: Judge


async def record(recorder: Path, folder: Path, **environment: str) -> Recorded:
    """Let the shop have its day, with nothing going wrong."""
    disk = folder / "disk"
    disk.mkdir()
    finished = preloading.run(
        recorder,
        "promising.py",
        str(disk / JOURNAL),
        RECORD_PATH=str(disk),
        RECORD_TO=str(folder / "recording"),
        PROMISES=str(folder / "promises"),
        **environment,
    )
    assert (finished.code, finished.err) == (0, "")
    store = SqliteStore(disk / JOURNAL)
    await store.open()
    final = await journals_of(store)
    await store.close()
    return Recorded(recording(folder / "recording", disk), Judge(promises_of(folder / "promises"), final))


async def problem_of(image: Image, judge: Judge, memory: Path, chance: Random) -> str:
    """What is wrong with an image."""
    folder = memory / "image"
    folder.mkdir()
    try:
        return await judge.verdict(image, lay_out(image, folder, chance))
    finally:
        shutil.rmtree(folder)


async def test_nothing_acknowledged_is_lost_when_the_power_goes(tmp_path: Path, recorder: Path, memory: Path) -> None:
    """P1: after each operation on the disk, with unsynced writes dropped, torn or reordered, the journal is whole."""
    print(f"POWER_LOSS_SEED={SEED}")
    chance = Random(SEED)
    recorded = await record(recorder, tmp_path)

    problems = []
    count = 0
    for image in images(recorded.operations, LOSSES, chance):
        count += 1
        problem = await problem_of(image, recorded.judge, memory, chance)
        if problem:
            problems.append(f"power lost after operation {image.position}, unsynced {image.loss}: {problem}")

    assert not problems, f"seed {SEED}, {len(problems)} of {count} images\n" + "\n".join(problems[:20])
    assert count >= IMAGES_MIN, f"{count} images"


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
async def test_a_journal_that_is_synced_less_loses_what_was_acknowledged(
    tmp_path: Path, recorder: Path, memory: Path, synchronous: str
) -> None:
    """The control: what the test above would find if commits weren't on the disk when they return."""
    chance = Random(SEED)
    recorded = await record(recorder, tmp_path, SYNCHRONOUS=synchronous)

    found = list(images(recorded.operations, LOSSES, chance))
    problems = [
        await problem_of(image, recorded.judge, memory, chance) for image in chance.sample(found, CONTROL_IMAGES)
    ]

    assert sum(problem.startswith("lost: ") for problem in problems) > CONTROL_IMAGES // 10, problems


def test_the_directories_of_a_journal_are_on_the_disk_before_anything_is_promised(
    tmp_path: Path, recorder: Path
) -> None:
    """P1: a name is there after a power loss only once the directory that has it was synced."""
    disk = tmp_path / "disk"
    disk.mkdir()

    finished = preloading.run(
        recorder,
        "opening.py",
        str(disk / "made" / "anew" / JOURNAL),
        RECORD_PATH=str(disk),
        RECORD_TO=str(tmp_path / "recording"),
    )

    synced = [operation.name for operation in recording(tmp_path / "recording", disk) if operation.kind == "S"]
    assert finished.out.startswith("opened")
    assert {".", "made", "made/anew"} <= set(synced)
