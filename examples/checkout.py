"""A checkout: charge a card, then send a receipt, each once, whatever happens in between.

    python checkout.py order-42

Kill it at any moment and start it again: what was done stays done, and the rest follows. What the
outside world has seen is in `checkout-ledger.jsonl`, or the file that CHECKOUT_LEDGER names.
"""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime

from agnt5 import FunctionContext, WorkflowContext, function, workflow


@function
async def charge_card(ctx: FunctionContext, order_id: str, cents: int) -> str:
    # A real payment provider gets the same key when the step is tried again, and charges once.
    write_to_ledger("charge", order_id, cents=cents, key=ctx.idempotency_key)
    return f"txn-{order_id}"


@function
async def send_receipt(ctx: FunctionContext, order_id: str, txn: str) -> None:
    write_to_ledger("receipt", order_id, txn=txn, key=ctx.idempotency_key)


@workflow
async def checkout(ctx: WorkflowContext, order_id: str, cents: int = 1999) -> str:
    txn = await ctx.step(charge_card, order_id, cents)
    # A process that dies here has charged the card. The next one knows, and goes on below.
    await ctx.step(send_receipt, order_id, txn)
    return txn


def write_to_ledger(what: str, order_id: str, **details: object) -> None:
    """Stands in for the payment provider and the mail server: a file in which every effect is a line."""
    line = {"what": what, "order_id": order_id, **details, "pid": os.getpid(), "at": datetime.now(UTC).isoformat()}
    with open(os.environ.get("CHECKOUT_LEDGER", "checkout-ledger.jsonl"), "a") as ledger:
        ledger.write(json.dumps(line) + "\n")


async def main() -> None:
    order_id = sys.argv[1] if len(sys.argv) > 1 else "order-42"
    # One order is one checkout, however often it is asked for.
    print(await checkout.run(order_id, idempotency_key=order_id))


if __name__ == "__main__":
    asyncio.run(main())
