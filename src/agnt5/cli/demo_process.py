"""The two processes of the demo: one that will be killed, and one that nobody asks anything.

    python -m agnt5.cli.demo_process start FILE ORDER     runs the checkout, up to the receipt
    python -m agnt5.cli.demo_process serve FILE           has the same code and journal, that is all

Both live until their stdin ends, so that they never outlive the demo.
"""

import asyncio
import sys

from agnt5.cli.exits import exit_of_error
from agnt5.cli.loading import load_module
from agnt5.cli.problems import show_problem
from agnt5.core.model.errors import Agnt5Error
from agnt5.embedded import Runtime
from agnt5.sdk.context import FunctionContext


async def start(file: str, order_id: str) -> None:
    """Submit the checkout, with its second step held back before its first line."""
    module = load_module(file)
    receipt = module.send_receipt
    assert receipt.schema.is_async, "what is held back is async, and so is what takes its place"
    receipt.fn = _hold
    async with Runtime():
        await module.checkout.submit(order_id)
        await _until_stdin_ends()


async def _hold(ctx: FunctionContext, order_id: str, txn: str) -> None:
    # The step is asked for only once the charge is in the journal.
    print(ctx.run_id, flush=True)  # noqa: T201  For the demo, which reads it from this process.
    await asyncio.Event().wait()


async def serve(file: str) -> None:
    """Know the code and hold the journal: what is unfinished goes on by itself."""
    load_module(file)
    async with Runtime():
        await _until_stdin_ends()


async def _until_stdin_ends() -> None:
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Play the part that the arguments name."""
    part, *args = sys.argv[1:]
    try:
        asyncio.run(start(*args) if part == "start" else serve(*args))
    except Agnt5Error as error:
        show_problem(error)
        sys.exit(exit_of_error(error))


if __name__ == "__main__":
    main()
