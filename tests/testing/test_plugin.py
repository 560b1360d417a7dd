"""The pytest plugin: a fresh harness for each test that asks for one, and nothing for the others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SYNC = '''
import pytest
from agnt5 import WorkflowContext, workflow
from agnt5.sdk.registry import REGISTRY


async def double(number: int) -> int:
    return 2 * number


@pytest.mark.parametrize("factor", [2, 3])
def test_each_test_defines_its_own(harness, factor):
    name = "compute"
    assert name not in [component.name for component in REGISTRY.all()]

    if factor == 2:
        @workflow
        async def compute(ctx: WorkflowContext, number: int) -> int:
            return await ctx.step(double, number)
    else:
        @workflow
        async def compute(ctx: WorkflowContext, number: int) -> int:
            return await ctx.step(double, number) + number

    run = harness.run_sync(compute.submit(5, idempotency_key="the same in both"))
    assert harness.run_sync(run.result()) == 5 * factor
    assert compute.run_sync(1) == factor


@pytest.mark.agnt5(always_replay=True, patience=5)
def test_the_marker_has_options(harness):
    assert harness.settings.max_cached_runs == 0


def test_without_the_marker_runs_are_kept(harness):
    assert harness.settings.max_cached_runs > 0
'''
ASYNC = '''
import asyncio
from agnt5 import WorkflowContext, workflow


async def test_on_the_loop_of_the_test(harness):
    @workflow
    async def sleeper(ctx: WorkflowContext) -> str:
        await ctx.sleep(3_600)
        return "slept"

    call = asyncio.create_task(sleeper())
    await harness.turn(3_600)
    assert await call == "slept"


async def test_with_something_left_undone(harness):
    @workflow
    async def waiter(ctx: WorkflowContext) -> None:
        await ctx.wait_for_event("never")

    await waiter.submit()
    await harness.settle()
'''
ALWAYS = "def test_always(harness):\n    assert harness.settings.max_cached_runs == 0\n"
UNUSED = '''
import sys


def test_nothing():
    assert "agnt5.testing.harness" not in sys.modules
'''


def run_pytest(folder: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a test file in a process of its own, with the plugin as an installation would load it."""
    (folder / "test_it.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "agnt5.testing.plugin", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "--strict-markers", "-W", "error", "--rootdir", ".", *options, "test_it.py"],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("tests", "options", "passed"),
    [
        pytest.param(SYNC, ("-p", "no:asyncio"), 4, id="plain functions"),
        pytest.param(
            ASYNC,
            ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
            2,
            id="pytest-asyncio",
        ),
        pytest.param(ALWAYS, ("-o", "agnt5_always_replay=true", "-p", "no:asyncio"), 1, id="ini option"),
    ],
)
def test_the_fixture_gives_each_test_a_harness_of_its_own(
    tmp_path: Path, tests: str, options: tuple[str, ...], passed: int
) -> None:
    """Components, keys and runs of one test are unknown to the next, with an event loop and without."""
    ended = run_pytest(tmp_path, tests, *options)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{passed} passed" in ended.stdout
    assert not (tmp_path / ".agnt5").exists()


def test_the_plugin_does_nothing_for_tests_that_dont_ask(tmp_path: Path) -> None:
    """It has a fixture and a marker to offer; the harness is not even imported."""
    ended = run_pytest(tmp_path, UNUSED, "-p", "no:asyncio")

    assert ended.returncode == 0, ended.stdout + ended.stderr
