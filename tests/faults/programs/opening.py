"""Opens a journal, says so, and closes it again; or says why it can't.

    opening.py JOURNAL           at once
    opening.py JOURNAL BARRIER   when the file BARRIER is there, and holds it until that is gone
"""

import asyncio
import sys
import time
from pathlib import Path

from agnt5.core.model.errors import StoreError
from agnt5.store.sqlite.store import SqliteStore


def main(journal: str, barrier: str = "") -> None:
    while barrier and not Path(barrier).exists():
        time.sleep(0.001)
    store = SqliteStore(Path(journal))
    try:
        info = asyncio.run(store.open())
    except StoreError as error:
        print(type(error).__name__)
        return
    print("opened", info.id, flush=True)
    while barrier and Path(barrier).exists():
        time.sleep(0.001)
    asyncio.run(store.mark_closed())
    asyncio.run(store.close())


if __name__ == "__main__":
    main(*sys.argv[1:])
