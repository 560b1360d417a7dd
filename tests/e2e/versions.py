"""Versions of a program: what one of them began is held against another."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

from click.testing import Result
from commands import agnt5_in_process, exit_code, in_runtime, until_suspended

import agnt5
from agnt5.cli.loading import load_module
from agnt5.sdk.registry import REGISTRY

BEFORE = '''
    import asyncio
    from agnt5 import WorkflowContext, function, workflow


    async def reserve(item: str) -> str:
        return f"{item} reserved"


    async def charge(amount: int) -> int:
        return amount


    @workflow
    async def invoice(ctx: WorkflowContext, item: str) -> str:
        return f"invoice for {item}"


    @workflow
    async def order(ctx: WorkflowContext, item: str) -> str:
        await ctx.step(reserve, item)
        await ctx.state.set("progress", "reserved")
        await ctx.sleep(0.001)
        await ctx.step(charge, 5)
        await invoice(item)
        await ctx.wait_for_event("packed")
        name = await ctx.wait_for_signal("signed")
        return name
'''


FIRST = "    await ctx.step(reserve, item)"  # The first line of the body.


@contextmanager
def none_loaded() -> Iterator[None]:
    """All versions have one name; those that are loaded in the block are gone after it."""
    path, loaded = [*sys.path], set(sys.modules)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - loaded:
            if name.startswith("app"):
                del sys.modules[name]


def version(tmp_path: Path, name: str, source: str) -> Path:
    """The program as it is in this checkout."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "app.py").write_text(dedent(source))
    return folder / "app.py"


def begin(app: Path, *inputs: Any, component: str = "order", events: tuple[str, ...] = ("packed",)) -> list[str]:
    """Have this version begin runs, and stop when they wait; their ids."""

    async def scenario() -> list[str]:
        for event in events:
            await agnt5.send_event(event)
        handles = [await REGISTRY.get(component).submit(each) for each in inputs]
        await until_suspended(*handles)
        return [handle.id for handle in handles]

    with REGISTRY.isolated():
        load_module(str(app))
        ids: list[str] = in_runtime(scenario)
        return ids


def preflight(app: Path, *args: str) -> Result:
    """Hold this version against the journal."""
    with REGISTRY.isolated():
        return agnt5_in_process("preflight", str(app), *args)


def document(app: Path, *args: str) -> dict[str, Any]:
    """What programs are told of that."""
    result = preflight(app, "--json", *args)
    told: dict[str, Any] = json.loads(result.stdout)
    return told | {"code": exit_code(result)}


def edited(tmp_path: Path, old: str, new: str, source: str = BEFORE) -> Path:
    """The version after an edit."""
    source = dedent(source)
    assert source.count(old) == 1, f"{old!r} isn't one place of the program"
    return version(tmp_path, "after", source.replace(old, new))
