"""Graphs of three nodes, of one that follows itself, and of one that is sent many values at once.

Write-ahead log and SQLite's default of `synchronous=FULL`, and `durability="sync"`: the checkpoint of
each step is on the disk before the next one begins. Each client is a thread, since the saver is.
"""

import asyncio
import itertools
import operator
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from benchmarks.probe import Figures, long_runs, many_runs, wide_runs

_threads = itertools.count()


class State(TypedDict):
    """The value that the steps pass on, its last one, and what they have found."""

    value: int
    last: int
    found: Annotated[list[int], operator.add]


def saver(folder: Path) -> Any:
    return SqliteSaver.from_conn_string(str(folder / "langgraph.db"))


def increment(state: State) -> dict[str, Any]:
    return {"value": state["value"] + 1}


def square(state: State) -> dict[str, Any]:
    return {"found": [state["value"] ** 2]}


def next_or_end(state: State) -> str:
    return END if state["value"] >= state["last"] else "increment"


def send_all(state: State) -> list[Send]:
    return [Send("square", {"value": value}) for value in range(state["last"])]


def runner(graph: Any, pool: ThreadPoolExecutor) -> Callable[[int, int], Awaitable[Any]]:
    """What runs a compiled graph from a value, with the last one in its state."""

    def invoke(value: int, last: int) -> Any:
        config = {"configurable": {"thread_id": str(next(_threads))}, "recursion_limit": last - value + 10}
        return graph.invoke({"value": value, "last": last, "found": []}, config, durability="sync")

    async def run(value: int, last: int) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, invoke, value, last)

    return run


async def three_steps(folder: Path, runs: int, concurrency: int) -> Figures:
    graph = StateGraph(State)
    for name in "abc":
        graph.add_node(name, increment)
    for start, end in ((START, "a"), ("a", "b"), ("b", "c"), ("c", END)):
        graph.add_edge(start, end)
    with saver(folder) as checkpointer, ThreadPoolExecutor(concurrency) as pool:
        run = runner(graph.compile(checkpointer=checkpointer), pool)

        async def one(value: int) -> int:
            result: int = (await run(value, value + 3))["value"]
            return result

        return await many_runs(one, runs, concurrency)


async def long_run(folder: Path, sizes: list[int]) -> Figures:
    graph = StateGraph(State)
    graph.add_node("increment", increment)
    graph.add_edge(START, "increment")
    graph.add_conditional_edges("increment", next_or_end)
    with saver(folder) as checkpointer, ThreadPoolExecutor(1) as pool:
        run = runner(graph.compile(checkpointer=checkpointer), pool)

        async def one(size: int) -> int:
            result: int = (await run(0, size))["value"]
            return result

        return await long_runs(one, sizes)


async def fan_out(folder: Path, steps: int, repeats: int) -> Figures:
    graph = StateGraph(State)
    graph.add_node("square", square)
    graph.add_conditional_edges(START, send_all, ["square"])
    graph.add_edge("square", END)
    with saver(folder) as checkpointer, ThreadPoolExecutor(1) as pool:
        run = runner(graph.compile(checkpointer=checkpointer), pool)

        async def one(size: int) -> int:
            return sum((await run(0, size))["found"])

        return await wide_runs(one, steps, repeats)
